//! One state for many threads.

use super::{Snapshot, State};
use crate::change::Commit;
use crate::feed::Subscription;
use crate::read::{Read, View};
use crate::transaction::Transaction;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

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
    /// Locked while tables are changed in place, and to take a snapshot.
    state: Mutex<Held>,
    /// Told when the writer aside is done.
    done: Condvar,
}

#[derive(Debug)]
struct Held {
    state: State,
    /// Whether somebody writes aside: no other writer may begin.
    aside: bool,
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
        let state = Mutex::new(Held { state, aside: false });
        Self { shared: Arc::new(Shared { state, done: Condvar::new() }) }
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
        lock(&self.shared.state).state.snapshot()
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
        let state = &mut lock(&self.shared.state).state;
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
        let mut held = self.shared.to_write();
        let mut transaction = held.state.transaction();
        let result = change(&mut transaction)?;
        Ok((result, transaction.commit()))
    }

    /// Runs a transaction that brings so many rows that nobody wants to hear of each, as [`Transaction::commit_bulk`] says.
    /// Whoever wants a snapshot waits for it. Gives the state's version from then on.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let shared = SharedState::new(house()?);
    /// let (_, mut feed) = shared.subscribe(100);
    /// let lamps = (0..1000).map(|number| format!("lamp {number}").into());
    /// let Ok(((), version)) = shared.load(|tx| {
    ///     for name in lamps {
    ///         tx.set_current::<Lamp>(&name, light(1));
    ///     }
    ///     Ok::<_, std::convert::Infallible>(())
    /// });
    /// assert_eq!(feed.try_next().unwrap_err(), FeedError::Lagged);
    /// assert_eq!(shared.snapshot().version(), version);
    /// # Ok::<_, SchemaError>(())
    /// ```
    ///
    /// # Errors
    /// Those of `change`.
    pub fn load<T, E>(
        &self,
        change: impl FnOnce(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<(T, u64), E> {
        let mut held = self.shared.to_write();
        let mut transaction = held.state.transaction();
        let result = change(&mut transaction)?;
        Ok((result, transaction.commit_bulk()))
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
        let mut draft = self.draft();
        let result = draft.write(change)?;
        Ok((result, draft.commit()))
    }

    /// Begins such a transaction for somebody who cannot hold on to a borrow, or does not write all at once. Waits for other
    /// writers, and lets others wait for as long as it lives.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// let shared = SharedState::new(house()?);
    /// let mut draft = shared.draft();
    /// draft.write(|tx| tx.remove::<Lamp>(&"attic".into()));
    /// draft.write(|tx| tx.remove::<Lamp>(&"hall".into()));
    /// assert_eq!((draft.table::<Lamp>().len(), shared.snapshot().table::<Lamp>().len()), (0, 2));
    /// assert_eq!(draft.commit().len(), 2);
    /// assert_eq!(shared.snapshot().table::<Lamp>().len(), 0);
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn draft(&self) -> Draft {
        let mut held = self.shared.to_write();
        held.aside = true;
        let aside = held.state.snapshot().fork();
        drop(held);
        Draft { aside, turn: Turn(Arc::clone(&self.shared)) }
    }
}

/// A transaction aside that is nobody's borrow; see [`SharedState::draft`]. Dropped without a commit, it leaves the state
/// as it was. Reading it ([`Read`]) shows what it wrote.
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// let shared = SharedState::new(house()?);
/// let mut draft: Draft = shared.draft();
/// draft.write(|tx| tx.remove::<Lamp>(&"attic".into()));
/// drop(draft);
/// assert_eq!(shared.snapshot().table::<Lamp>().len(), 2);
/// # Ok::<_, SchemaError>(())
/// ```
#[derive(Debug)]
pub struct Draft {
    /// Its pages go before the turn does: the next writer need not copy them.
    aside: State,
    turn: Turn,
}

impl Read for Draft {
    fn view(&self) -> View<'_> {
        self.aside.view()
    }
}

impl Draft {
    /// Writes. Everything that it does is part of one transaction; a write that is refused leaves the others.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// let shared = SharedState::new(house()?);
    /// let mut draft = shared.draft();
    /// let refused = draft.write(|tx| tx.remove_row("lmap", &Key::one("attic")));
    /// assert!(refused.is_err() && draft.write(|tx| tx.remove_row("lamp", &Key::one("attic")))?);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn write<T>(&mut self, change: impl FnOnce(&mut Transaction<'_>) -> T) -> T {
        let mut transaction = self.aside.transaction();
        let result = change(&mut transaction);
        transaction.suspend();
        result
    }

    /// Makes it all last, and tells the subscribers.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// let shared = SharedState::new(house()?);
    /// let mut draft = shared.draft();
    /// draft.write(|tx| tx.remove::<Lamp>(&"attic".into()));
    /// assert_eq!(draft.commit().version(), shared.snapshot().version());
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn commit(self) -> Commit {
        let Self { mut aside, turn } = self;
        let commit = aside.transaction().commit();
        lock(&turn.0.state).state.adopt(aside, &commit);
        commit
    }
}

impl Shared {
    /// The state, for whoever writes in place.
    fn to_write(&self) -> MutexGuard<'_, Held> {
        let held = lock(&self.state);
        self.done.wait_while(held, |held| held.aside).unwrap_or_else(PoisonError::into_inner)
    }
}

/// The turn of a writer aside; it ends with this, however that comes about.
#[derive(Debug)]
struct Turn(Arc<Shared>);

impl Drop for Turn {
    fn drop(&mut self) {
        lock(&self.0.state).aside = false;
        self.0.done.notify_all();
    }
}
