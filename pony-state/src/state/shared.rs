//! One state for many threads.

use super::{Snapshot, State};
use crate::change::Commit;
use crate::feed::Subscription;
use crate::transaction::Transaction;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A handle to a state that any number of threads share: readers take snapshots, one writer at a time writes.
///
/// ```
/// # use pony_state::{ColumnSchema, ColumnType, Key, PartKind, Read, SharedState, State, TableSchema};
/// # let table = TableSchema::new("note").key(ColumnSchema::new("id", ColumnType::Int)).desired([]);
/// # let state = State::builder().table_dyn(table).build()?;
/// let shared = SharedState::new(state);
/// let before = shared.snapshot();
/// shared.write(|tx| tx.set("note", &Key::one(7), PartKind::Desired, &[]))?;
/// assert_eq!((before.version(), shared.snapshot().version()), (0, 1));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct SharedState {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Held by who writes, for as long as that takes. Locked before `state`.
    writer: Mutex<()>,
    /// Held while tables are changed in place, and to take a snapshot.
    state: Mutex<State>,
}

/// A panic in a transaction rolls it back on its way out, so that the state behind a poisoned lock is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SharedState {
    /// Shares a state.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let shared = SharedState::new(state);
    /// assert_eq!(shared.snapshot().version(), 1);
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn new(state: State) -> Self {
        Self { shared: Arc::new(Shared { writer: Mutex::new(()), state: Mutex::new(state) }) }
    }

    /// What the state is now. Waits at most for a running [`SharedState::write`].
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let shared = SharedState::new(state);
    /// let reader = std::thread::spawn({
    ///     let shared = shared.clone();
    ///     move || shared.snapshot().table::<Lamp>().len()
    /// });
    /// assert_eq!(reader.join().unwrap(), 2);
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        lock(&self.shared.state).snapshot()
    }

    /// Subscribes to the commits that follow the snapshot which comes with it. Of their changes up to `capacity`
    /// may wait to be received.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let shared = SharedState::new(state);
    /// let (snapshot, mut subscription) = shared.subscribe(100);
    /// shared.write(|tx| Ok::<_, PartError>(tx.remove::<Lamp>(&"attic".into())))?;
    /// let commit = subscription.try_next()?.unwrap();
    /// assert_eq!((snapshot.version(), commit.version()), (1, 2));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn subscribe(&self, capacity: usize) -> (Snapshot, Subscription) {
        let mut state = lock(&self.shared.state);
        (state.snapshot(), state.subscribe(capacity))
    }

    /// Runs a short transaction and commits it where `change` succeeds; else nothing has happened. Tables are
    /// changed in place, and whoever wants a snapshot waits for `change`: decide *what* to write before (on a
    /// [`Snapshot::fork`], if need be), and take [`SharedState::write_aside`] for more than some thousand rows.
    ///
    /// `change` must not use this handle: it would wait for itself.
    ///
    /// # Errors
    /// Those of `change`.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let shared = SharedState::new(state);
    /// let brighter = |tx: &mut Transaction<'_>| {
    ///     let changed = tx.update_desired::<Lamp>(&"hall".into(), |light| light.percent += 10);
    ///     if changed { Ok(()) } else { Err("there is no such lamp") }
    /// };
    /// let ((), commit) = shared.write(brighter)?;
    /// assert_eq!(commit.len(), 1);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn write<T, E>(
        &self,
        change: impl FnOnce(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<(T, Commit), E> {
        let _writer = lock(&self.shared.writer);
        let mut state = lock(&self.shared.state);
        let mut transaction = state.transaction();
        let result = change(&mut transaction)?;
        Ok((result, transaction.commit()))
    }

    /// The same for transactions that take their time: they work on a copy of the pages that they change, which
    /// takes the place of the old ones at the end. Nobody waits for it but other writers.
    ///
    /// # Errors
    /// Those of `change`.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let shared = SharedState::new(state);
    /// let all = |tx: &mut Transaction<'_>| {
    ///     for number in 0..10_000 {
    ///         tx.set_desired::<Lamp>(&format!("room {number}").into(), light(50));
    ///     }
    ///     Ok::<_, PartError>(())
    /// };
    /// // Readers go on meanwhile.
    /// let ((), commit) = shared.write_aside(all)?;
    /// assert_eq!(commit.len(), 10_000);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn write_aside<T, E>(
        &self,
        change: impl FnOnce(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<(T, Commit), E> {
        let _writer = lock(&self.shared.writer);
        let mut aside = self.snapshot().fork();
        let mut transaction = aside.transaction();
        let result = change(&mut transaction)?;
        let commit = transaction.commit();
        lock(&self.shared.state).adopt(aside, &commit);
        Ok((result, commit))
    }
}
