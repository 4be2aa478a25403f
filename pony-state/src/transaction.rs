//! Writing: all or nothing. Here by the typed door, in [`any`] by the other.

mod any;

use crate::change::{Changes, Commit};
use crate::feed::Feed;
use crate::read::{Read, View};
use crate::row::Entity;
use crate::schema::TableId;
use crate::state::Root;
use crate::table::{Access, KEPT_ENTRIES_MAX, TableData, TableOps};

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
    /// told to start over, as if they had been too slow. Gives the state's version from then on. The first look-up by anything
    /// but a key, or the next commit, puts the new rows into the order of keys and into the indexes, which takes its time.
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
        self.for_each_table(TableOps::end_bulk);
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
        if self.is_empty() {
            return;
        }
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
