//! Writing without Rust types: values, JSON, changes of other states.

use super::Transaction;
use crate::change::Change;
use crate::codec::{KeyColumns, PartError, RowValues};
use crate::read::{Read, TableName};
use crate::row_op::RowOp;
use crate::schema::{PartKind, TableDef};
use crate::table::TableOps;
use crate::value::{Key, Value};
use serde_json::Value as Json;
use std::sync::Arc;

impl Transaction<'_> {
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
}
