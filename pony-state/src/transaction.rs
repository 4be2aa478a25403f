//! Writing: all or nothing.

use crate::change::{Change, Changes, Commit};
use crate::codec::{KeyColumns, PartError, RowValues};
use crate::feed::Feed;
use crate::read::{Read, TableName, View};
use crate::row::Entity;
use crate::row_op::RowOp;
use crate::schema::{PartKind, TableDef, TableId};
use crate::state::Root;
use crate::table::{Access, KEPT_ENTRIES_MAX, TableData, TableOps};
use crate::value::{Key, Value};
use serde_json::Value as Json;
use std::sync::Arc;

/// A running transaction. Reads through it ([`Read`]) see what it wrote; nobody else does before the commit.
/// Dropped without one, it leaves the state as it was.
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// # let mut state = house()?;
/// let mut tx = state.transaction();
/// tx.set_current::<Lamp>(&"attic".into(), light(50));
/// tx.remove_part("lamp", &Key::one("hall"), PartKind::Desired)?;
/// assert_eq!(tx.commit().len(), 2);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Transaction<'s> {
    root: &'s mut Root,
    feed: &'s mut Feed,
    /// The log entries of all writes, in order. Empty between transactions.
    written: &'s mut Written,
}

/// Log entries of tables.
pub(crate) type Written = Vec<(TableId, u32)>;

impl Read for Transaction<'_> {
    fn view(&self) -> View<'_> {
        View(self.root)
    }
}

impl<'s> Transaction<'s> {
    pub(crate) const fn new(root: &'s mut Root, feed: &'s mut Feed, written: &'s mut Written) -> Self {
        Self { root, feed, written }
    }

    fn note(&mut self, table: TableId, entry: Option<usize>) -> bool {
        self.written.extend(entry.map(|entry| (table, entry as u32)));
        entry.is_some()
    }

    #[inline]
    fn typed<R: Entity>(&mut self, write: impl FnOnce(&mut TableData<R>) -> Option<usize>) -> bool {
        match self.root.typed_mut::<R>() {
            Some((id, table)) => {
                let entry = write(table);
                self.note(id, entry)
            }
            None => panic!("table `{}` is not part of this state's schema", R::TABLE),
        }
    }

    /// Makes a whole row what is given; a row without parts is removed. Says whether that changed anything.
    ///
    /// # Panics
    /// This and the other typed methods: where the schema was built without `R`.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let lamp = Lamp { room: "cellar".into(), desired: Some(light(10)), current: None };
    /// let mut tx = state.transaction();
    /// assert!(tx.put(lamp.clone()) && !tx.put(lamp));
    /// tx.commit();
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn put<R: Entity>(&mut self, row: R) -> bool {
        self.typed(|table| table.put(&row.key(), row))
    }

    /// Gives a row a desired part, in place of the one that it had. Says whether that changed anything.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let mut tx = state.transaction();
    /// assert!(tx.set_desired::<Lamp>(&"cellar".into(), light(10)));
    /// assert!(!tx.set_desired::<Lamp>(&"cellar".into(), light(10)));
    /// tx.commit();
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn set_desired<R: Entity>(&mut self, key: &R::Key, part: R::Desired) -> bool {
        self.typed::<R>(|table| table.set(key, &Access::DESIRED, Some(part)))
    }

    /// Gives a row a current part, in place of the one that it had. Says whether that changed anything.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let mut tx = state.transaction();
    /// assert!(tx.set_current::<Lamp>(&"attic".into(), light(50)));
    /// tx.commit();
    /// assert_eq!(state.get::<Lamp>(&"attic".into()).unwrap().desired, Some(light(50)));
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn set_current<R: Entity>(&mut self, key: &R::Key, part: R::Current) -> bool {
        self.typed::<R>(|table| table.set(key, &Access::CURRENT, Some(part)))
    }

    /// Changes a row's desired part where it has one. Says whether that changed anything.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let mut tx = state.transaction();
    /// assert!(tx.update_desired::<Lamp>(&"hall".into(), |light| light.percent += 10));
    /// assert!(!tx.update_desired::<Lamp>(&"cellar".into(), |light| light.percent += 10));
    /// tx.commit();
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn update_desired<R: Entity>(&mut self, key: &R::Key, change: impl FnOnce(&mut R::Desired)) -> bool {
        self.typed::<R>(|table| table.update(key, &Access::DESIRED, change))
    }

    /// Changes a row's current part where it has one. Says whether that changed anything.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let mut tx = state.transaction();
    /// assert!(tx.update_current::<Lamp>(&"hall".into(), |light| light.percent = 80));
    /// tx.commit();
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn update_current<R: Entity>(&mut self, key: &R::Key, change: impl FnOnce(&mut R::Current)) -> bool {
        self.typed::<R>(|table| table.update(key, &Access::CURRENT, change))
    }

    /// Removes a row's desired part. Says whether there was one.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let mut tx = state.transaction();
    /// assert!(tx.remove_desired::<Lamp>(&"hall".into()));
    /// // What is, still is.
    /// assert!(tx.get::<Lamp>(&"hall".into()).unwrap().current.is_some());
    /// tx.commit();
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn remove_desired<R: Entity>(&mut self, key: &R::Key) -> bool {
        self.typed::<R>(|table| table.set(key, &Access::DESIRED, None))
    }

    /// Removes a row's current part. Says whether there was one.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let mut tx = state.transaction();
    /// assert!(tx.remove_current::<Lamp>(&"hall".into()) && !tx.remove_current::<Lamp>(&"hall".into()));
    /// tx.commit();
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn remove_current<R: Entity>(&mut self, key: &R::Key) -> bool {
        self.typed::<R>(|table| table.set(key, &Access::CURRENT, None))
    }

    /// Removes both parts of a row. Says whether there was one.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let mut tx = state.transaction();
    /// assert!(tx.remove::<Lamp>(&"hall".into()));
    /// tx.commit();
    /// assert!(state.get::<Lamp>(&"hall".into()).is_none());
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn remove<R: Entity>(&mut self, key: &R::Key) -> bool {
        self.typed::<R>(|table| table.remove(key))
    }

    /// The definition of a table, also where the caller is going to write to it.
    ///
    /// # Errors
    /// [`PartError::UnknownTable`].
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let tx = state.transaction();
    /// assert_eq!(tx.def("lamp")?.name(), "lamp");
    /// assert!(tx.def("lmap").unwrap_err().to_string().starts_with("there is no table `lmap`"));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn def(&self, table: impl TableName) -> Result<Arc<TableDef>, PartError> {
        let found = self.any(&table).map(|table| Arc::clone(table.def()));
        found.ok_or_else(|| PartError::unknown_table(&table, self.schema()))
    }

    fn write_any(
        &mut self,
        def: &TableDef,
        write: impl FnOnce(&mut dyn TableOps) -> Result<Option<usize>, PartError>,
    ) -> Result<bool, PartError> {
        match self.root.table_mut(def.id()) {
            Some(table) => {
                let entry = write(table)?;
                Ok(self.note(def.id(), entry))
            }
            None => Ok(false),
        }
    }

    /// Gives a row a part of these values, one for each column in order, without the key's. Says whether that
    /// changed anything.
    ///
    /// # Errors
    /// [`PartError`], where table, key or values do not fit; nothing has changed then.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let mut tx = state.transaction();
    /// assert!(tx.set("lamp", &Key::one("cellar"), PartKind::Desired, &[10.into(), Value::Null])?);
    /// assert!(tx.set("lamp", &Key::one("cellar"), PartKind::Desired, &["dim".into(), Value::Null]).is_err());
    /// tx.commit();
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn set(
        &mut self,
        table: impl TableName,
        key: &Key,
        kind: PartKind,
        values: &[Value],
    ) -> Result<bool, PartError> {
        let def = self.def(table)?;
        def.check_key(key)?;
        def.check_part(kind, values)?;
        self.write_any(&def, |table| {
            table.set_part(key, kind, Some(values)).map_err(|error| def.column_error(kind, error))
        })
    }

    /// The same from a JSON object. Key columns in it must be those of `key`; members that are null or missing are
    /// absent, or what the column's default says.
    ///
    /// # Errors
    /// [`PartError`], where table, key or part do not fit; nothing has changed then.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let mut tx = state.transaction();
    /// let part = serde_json::json!({"percent": 10, "colour": "red"});
    /// tx.set_json("lamp", &Key::one("cellar"), PartKind::Desired, &part)?;
    /// tx.commit();
    /// assert_eq!(state.table::<Lamp>().find("colour", "red").count(), 1);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_json(
        &mut self,
        table: impl TableName,
        key: &Key,
        kind: PartKind,
        part: &Json,
    ) -> Result<bool, PartError> {
        let def = self.def(table)?;
        let values = def.part_from_json(kind, part, KeyColumns::Check(key))?;
        self.set(def.id(), key, kind, &values)
    }

    /// The same from the text of a JSON object, without a tree in between.
    ///
    /// # Errors
    /// [`PartError`], where table, key or part do not fit; nothing has changed then.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let mut tx = state.transaction();
    /// tx.set_text("lamp", &Key::one("cellar"), PartKind::Desired, r#"{"percent": 10}"#)?;
    /// tx.commit();
    /// assert_eq!(state.get::<Lamp>(&"cellar".into()).unwrap().desired, Some(light(10)));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_text(
        &mut self,
        table: impl TableName,
        key: &Key,
        kind: PartKind,
        part: &str,
    ) -> Result<bool, PartError> {
        let def = self.def(table)?;
        let values = def.part_from_text(kind, part, KeyColumns::Check(key))?;
        self.set(def.id(), key, kind, &values)
    }

    /// Makes a whole row what is given; a row without parts is removed. Says whether that changed anything.
    ///
    /// # Errors
    /// [`PartError`], where table, key or values do not fit; nothing has changed then.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let mut tx = state.transaction();
    /// let hall = RowValues { key: Key::one("hall"), parts: [Some(vec![5.into(), Value::Null]), None] };
    /// assert!(tx.put_values("lamp", hall.clone())? && !tx.put_values("lamp", hall)?);
    /// tx.commit();
    /// assert!(state.get::<Lamp>(&"hall".into()).unwrap().current.is_none());
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn put_values(&mut self, table: impl TableName, row: RowValues) -> Result<bool, PartError> {
        let def = self.def(table)?;
        def.check_key(&row.key)?;
        for (kind, part) in PartKind::BOTH.into_iter().zip(&row.parts) {
            part.as_ref().map_or(Ok(()), |values| def.check_part(kind, values))?;
        }
        self.write_any(&def, |table| {
            let wrong = |(kind, error): (Option<PartKind>, _)| {
                def.column_error(kind.unwrap_or(PartKind::Desired), error)
            };
            table.put_values(row).map_err(wrong)
        })
    }

    /// Changes the columns that the object names in a part that the row has; null removes a value. Says whether
    /// that changed anything.
    ///
    /// # Errors
    /// [`PartError`], where table, key or object do not fit, or the row has no such part; nothing has changed then.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let mut tx = state.transaction();
    /// let columns = serde_json::json!({"colour": "red"});
    /// tx.patch_json("lamp", &Key::one("hall"), PartKind::Desired, &columns)?;
    /// tx.commit();
    /// let light = state.get::<Lamp>(&"hall".into()).unwrap().desired.clone().unwrap();
    /// assert_eq!((light.percent, light.colour.as_deref()), (80, Some("red")));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn patch_json(
        &mut self,
        table: impl TableName,
        key: &Key,
        kind: PartKind,
        columns: &Json,
    ) -> Result<bool, PartError> {
        let def = self.def(table)?;
        let old = self.any(def.id()).and_then(|table| table.get(key)?.part(kind));
        let old = old.ok_or_else(|| def.absent(key, kind))?;
        let values = def.patch_part(kind, &old, columns, KeyColumns::Check(key))?;
        self.set(def.id(), key, kind, &values)
    }

    /// Removes a part of a row. Says whether there was one.
    ///
    /// # Errors
    /// [`PartError`], where table or key do not fit.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let mut tx = state.transaction();
    /// assert!(tx.remove_part("lamp", &Key::one("hall"), PartKind::Current)?);
    /// tx.commit();
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn remove_part(
        &mut self,
        table: impl TableName,
        key: &Key,
        kind: PartKind,
    ) -> Result<bool, PartError> {
        let def = self.def(table)?;
        def.check_key(key)?;
        self.write_any(&def, |table| {
            table.set_part(key, kind, None).map_err(|error| def.column_error(kind, error))
        })
    }

    /// Removes both parts of a row. Says whether there was one.
    ///
    /// # Errors
    /// [`PartError`], where table or key do not fit.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let mut tx = state.transaction();
    /// assert!(tx.remove_row("lamp", &Key::one("hall"))? && !tx.remove_row("lamp", &Key::one("hall"))?);
    /// tx.commit();
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn remove_row(&mut self, table: impl TableName, key: &Key) -> Result<bool, PartError> {
        let def = self.def(table)?;
        let desired = self.remove_part(def.id(), key, PartKind::Desired)?;
        let current = self.remove_part(def.id(), key, PartKind::Current)?;
        Ok(desired || current)
    }

    /// Makes a row what it is after `change`, which may come from another state of the same tables. Says whether
    /// that changed anything.
    ///
    /// # Errors
    /// [`PartError`], where this state's table of that name does not take the row.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let mut copy = state.snapshot().fork();
    /// let mut tx = state.transaction();
    /// tx.remove::<Lamp>(&"hall".into());
    /// let commit = tx.commit();
    /// // Elsewhere:
    /// let mut tx = copy.transaction();
    /// assert!(tx.apply(&commit[0])? && !tx.apply(&commit[0])?);
    /// tx.commit();
    /// assert!(copy.get::<Lamp>(&"hall".into()).is_none());
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn apply(&mut self, change: &Change) -> Result<bool, PartError> {
        let (def, key) = (self.def(change.table().name())?, change.key());
        def.check_key(&key)?;
        let same_table = std::ptr::eq(change.table(), &*def) || change.table().schema() == def.schema();
        let mut same_type = true;
        let changed = self.write_any(&def, |table| {
            let written = if same_table { table.apply(change) } else { None };
            same_type = written.is_some();
            Ok(written.flatten())
        })?;
        if same_type {
            return Ok(changed);
        }
        let mut changed = false;
        for kind in PartKind::BOTH {
            changed |= match change.after().and_then(|row| row.part(kind)) {
                Some(values) => self.set(def.id(), &key, kind, &values)?,
                None => self.remove_part(def.id(), &key, kind)?,
            };
        }
        Ok(changed)
    }

    /// Does to the desired part of a row what `op` says: an insertion of a part that is there replaces it, a removal
    /// of one that is not there does nothing. Says whether that changed anything.
    ///
    /// # Errors
    /// [`PartError`], where table, key or columns do not fit, or there is no part to update.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let op = serde_json::json!({
    ///     "op": "update", "table": "lamp", "key": {"room": "hall"}, "columns": {"percent": 90},
    /// });
    /// let op: RowOp = serde_json::from_value(op)?;
    /// let mut tx = state.transaction();
    /// assert!(tx.apply_op(&op)? && !tx.apply_op(&op)?);
    /// tx.commit();
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn apply_op(&mut self, op: &RowOp) -> Result<bool, PartError> {
        let (kind, def) = (PartKind::Desired, self.def(op.table())?);
        match op {
            RowOp::Insert { row, .. } => {
                let key = def.key_of_columns(kind, row)?;
                let values = def.part_from_columns(kind, row, KeyColumns::Ignore)?;
                self.set(def.id(), &key, kind, &values)
            }
            RowOp::Update { key, columns, .. } => {
                let key = def.key_of_columns(kind, key)?;
                let old = self.any(def.id()).and_then(|table| table.get(&key)?.part(kind));
                let old = old.ok_or_else(|| def.absent(&key, kind))?;
                let values = def.patch_columns(kind, &old, columns, KeyColumns::Check(&key))?;
                self.set(def.id(), &key, kind, &values)
            }
            RowOp::Delete { key, .. } => {
                let key = def.key_of_columns(kind, key)?;
                self.remove_part(def.id(), &key, kind)
            }
        }
    }

    /// Whether nothing has been written that changed anything at its time.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let mut tx = state.transaction();
    /// tx.set_desired::<Lamp>(&"hall".into(), light(80));
    /// assert!(tx.is_empty(), "it is like that already");
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.written.is_empty()
    }

    /// Makes it all last, and tells the subscribers.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let mut tx = state.transaction();
    /// tx.remove::<Lamp>(&"hall".into());
    /// let commit = tx.commit();
    /// assert_eq!((commit.len(), commit.version()), (1, state.version()));
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn commit(mut self) -> Commit {
        let changes = self.take_changes();
        self.root.version += u64::from(!changes.is_empty());
        let commit = Commit::new(self.root.version, changes);
        self.feed.publish(&commit);
        commit
    }

    /// Makes it all last, and lists no changes: for so many new rows that nobody wants to hear of each. Subscribers are
    /// told to start over, as if they had been too slow. Gives the state's version from then on.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let mut feed = state.subscribe(100);
    /// let mut tx = state.transaction();
    /// tx.set_current::<Lamp>(&"cellar".into(), light(1));
    /// assert_eq!(tx.commit_bulk(), 2);
    /// assert_eq!(feed.try_next().unwrap_err(), FeedError::Lagged);
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn commit_bulk(mut self) -> u64 {
        if !self.is_empty() {
            self.root.version += 1;
            self.feed.overrun();
        }
        self.for_each_table(TableOps::end);
        self.forget();
        self.root.version
    }

    /// Leaves what was written to the next transaction of this state, which goes on with it.
    pub(crate) fn suspend(self) {
        std::mem::forget(self);
    }

    fn take_changes(&mut self) -> Changes {
        if let [(table, _)] = **self.written {
            self.written.clear();
            return Changes::one(self.root.table_mut(table).and_then(TableOps::take_only_change));
        }
        self.for_each_table(TableOps::settle_log);
        let mut changes = Vec::with_capacity(self.written.len());
        for &(table, entry) in self.written.iter() {
            changes.extend(self.root.table_mut(table).and_then(|table| table.take_change(entry as usize)));
        }
        self.for_each_table(TableOps::end);
        self.forget();
        changes.into_iter().collect()
    }

    /// Does something to every table that was written to.
    fn for_each_table(&mut self, mut act: impl FnMut(&mut dyn TableOps)) {
        let mut done = vec![false; self.root.tables.len()];
        for (table, _) in self.written.iter() {
            let again = done.get_mut(table.index()).is_some_and(|done| std::mem::replace(done, true));
            if !again && let Some(table) = self.root.table_mut(*table) {
                act(table);
            }
        }
    }

    /// Empties the list of log entries, and gives its memory back where that has become much.
    fn forget(&mut self) {
        self.written.clear();
        self.written.shrink_to(KEPT_ENTRIES_MAX);
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if !self.is_empty() {
            self.for_each_table(TableOps::undo_all);
            self.forget();
        }
    }
}
