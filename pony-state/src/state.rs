//! The state: all tables, one writer, any number of snapshots.

mod build;
mod list;
mod shared;

pub use build::StateBuilder;
pub use list::RowList;
pub use shared::{Draft, SharedState};

use crate::change::Commit;
use crate::derived::TableHint;
use crate::feed::{Feed, Subscription};
use crate::read::{Read, View};
use crate::row::Entity;
use crate::schema::{Schema, TableId};
use crate::table::{TableData, TableOps};
use crate::transaction::{Transaction, Written};
use std::any::{Any, TypeId};
use std::sync::Arc;
use triomphe::Arc as Shared;

/// What never changes after construction.
#[derive(Debug)]
pub(crate) struct Catalog {
    pub(crate) schema: Arc<Schema>,
    /// The row type of each table that has one.
    types: Vec<Option<TypeId>>,
}

impl Catalog {
    /// The table of a row type.
    #[inline]
    pub(crate) fn id_of<R: Entity>(&self) -> Option<TableId> {
        let (hint, wanted) = (R::hint(), Some(TypeId::of::<R>()));
        let id = hint.get();
        if self.types.get(id.index()) == Some(&wanted) { Some(id) } else { self.search(wanted, hint) }
    }

    #[cold]
    pub(crate) fn search(&self, wanted: Option<TypeId>, hint: &TableHint) -> Option<TableId> {
        let id = TableId(self.types.iter().position(|ty| *ty == wanted)? as u16);
        hint.set(id);
        Some(id)
    }
}

/// A table that snapshots share. In a box, for `Shared` wants to know a size: to see whether it is shared costs less with it
/// than with what the standard library has, and every write asks.
pub(crate) type SharedTable = Shared<Box<dyn TableOps>>;

/// All tables at one moment. A clone shares them.
#[derive(Debug, Clone)]
pub(crate) struct Root {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) tables: Vec<SharedTable>,
    pub(crate) version: u64,
}

impl Root {
    /// A table for writing: a copy, where a snapshot shares it.
    #[inline]
    pub(crate) fn table_mut(&mut self, id: TableId) -> Option<&mut dyn TableOps> {
        let table = self.tables.get_mut(id.index())?;
        // Whoever gives up a snapshot right now causes a copy that was not needed.
        if !table.is_unique() {
            *table = Shared::new(table.copy());
        }
        Shared::get_mut(table).map(|table| &mut **table)
    }

    /// The same, with its row type.
    pub(crate) fn typed_mut<R: Entity>(&mut self) -> Option<(TableId, &mut TableData<R>)> {
        let id = self.catalog.id_of::<R>()?;
        let table: &mut dyn Any = self.table_mut(id)?;
        Some((id, table.downcast_mut()?))
    }
}

/// The tables of a schema, for the one who writes them.
///
/// Reading goes through [`Read`], writing through a [`Transaction`]; readers on other threads take a [`Snapshot`],
/// or all share a [`SharedState`].
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// # let mut state = house()?;
/// let mut tx = state.transaction();
/// tx.set_current::<Lamp>(&"attic".into(), light(50));
/// tx.commit();
/// assert_eq!(state.get::<Lamp>(&"attic".into()).unwrap().current, Some(light(50)));
/// # Ok::<_, SchemaError>(())
/// ```
#[derive(Debug)]
pub struct State {
    pub(crate) root: Shared<Root>,
    pub(crate) feed: Feed,
    written: Written,
}

impl State {
    pub(crate) const fn of(root: Shared<Root>) -> Self {
        Self { root, feed: Feed::new(), written: Written::new() }
    }

    /// Begins to declare the tables of a state.
    ///
    /// ```
    /// use pony_state::{ColumnSchema, ColumnType, Read, State, TableSchema};
    ///
    /// let lamp = TableSchema::new("lamp").key(ColumnSchema::new("room", ColumnType::Text)).desired([]);
    /// let state = State::builder().table_dyn(lamp).build()?;
    /// assert_eq!(state.version(), 0);
    /// # Ok::<_, pony_state::SchemaError>(())
    /// ```
    #[must_use]
    pub fn builder() -> StateBuilder {
        StateBuilder::default()
    }

    /// Begins a transaction. What it writes is undone when it is dropped without a commit.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let mut tx = state.transaction();
    /// tx.remove::<Lamp>(&"hall".into());
    /// assert_eq!(tx.table::<Lamp>().len(), 1);
    /// drop(tx);
    /// assert_eq!(state.table::<Lamp>().len(), 2);
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn transaction(&mut self) -> Transaction<'_> {
        Transaction::new(Shared::make_mut(&mut self.root), &mut self.feed, &mut self.written)
    }

    /// What the state is now, for as long as anybody wants to look at it. Costs a reference count; later commits
    /// copy the pages that they change while it lives.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let snapshot = state.snapshot();
    /// let mut tx = state.transaction();
    /// tx.remove::<Lamp>(&"hall".into());
    /// tx.commit();
    /// assert_eq!((snapshot.table::<Lamp>().len(), state.table::<Lamp>().len()), (2, 1));
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { root: Shared::clone(&self.root) }
    }

    /// Subscribes to the commits from now on, of which up to `capacity` changes may wait to be received.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let mut subscription = state.subscribe(100);
    /// let mut tx = state.transaction();
    /// tx.remove::<Lamp>(&"hall".into());
    /// tx.commit();
    /// let commit = subscription.try_next()?.unwrap();
    /// assert!(commit[0].before().is_some() && commit[0].after().is_none());
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn subscribe(&mut self, capacity: usize) -> Subscription {
        self.feed.subscribe(capacity)
    }

    /// Takes over the tables of another state of the same origin, which is one commit ahead.
    fn adopt(&mut self, other: Self, commit: &Commit) {
        self.root = other.root;
        self.feed.publish(commit);
    }
}

impl Read for State {
    fn view(&self) -> View<'_> {
        View(&self.root)
    }
}

/// A state at one moment. It never changes; clones of it cost a reference count.
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// # let mut state = house()?;
/// let snapshot = state.snapshot();
/// let reader = std::thread::spawn(move || snapshot.table::<Lamp>().len());
/// assert_eq!(reader.join().unwrap(), 2);
/// # Ok::<_, SchemaError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Snapshot {
    root: Shared<Root>,
}

impl Snapshot {
    /// A state of its own that begins as this snapshot, to try out what may never happen: nobody else sees what is
    /// written to it. Costs a reference count.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let mut trial = state.snapshot().fork();
    /// let mut tx = trial.transaction();
    /// tx.remove::<Lamp>(&"hall".into());
    /// let commit = tx.commit();
    /// assert_eq!(state.table::<Lamp>().len(), 2);
    /// // It shall be.
    /// let mut tx = state.transaction();
    /// for change in commit.iter() {
    ///     tx.apply(change)?;
    /// }
    /// tx.commit();
    /// assert_eq!(state.table::<Lamp>().len(), 1);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn fork(&self) -> State {
        State::of(Shared::clone(&self.root))
    }
}

impl Read for Snapshot {
    fn view(&self) -> View<'_> {
        View(&self.root)
    }
}
