//! What a transaction changed.

use crate::read::AnyRow;
use crate::row::{Row, RowOps};
use crate::schema::{PartKind, TableDef};
use crate::value::Key;
use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// One row before and after a transaction. Cloning it costs a reference count.
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// # let mut state = house()?;
/// # let mut tx = state.transaction();
/// # tx.set_current::<Lamp>(&"hall".into(), light(80));
/// # let commit = tx.commit();
/// # let change = &commit[0];
/// assert_eq!((change.table().name(), change.key()), ("lamp", Key::one("hall")));
/// assert!(change.part_changed(PartKind::Current) && !change.part_changed(PartKind::Desired));
/// # Ok::<_, SchemaError>(())
/// ```
#[derive(Clone)]
pub struct Change {
    rows: Arc<dyn ChangeOps>,
}

/// Both versions of a row with their Rust type; at least one is there.
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// # let mut state = house()?;
/// # let mut tx = state.transaction();
/// # tx.set_current::<Lamp>(&"hall".into(), light(80));
/// # let commit = tx.commit();
/// # let change = &commit[0];
/// let lamp = change.row::<Lamp>().unwrap();
/// let percent = |lamp: &Lamp| lamp.current.as_ref().map(|light| light.percent);
/// assert_eq!((lamp.before.and_then(percent), lamp.after.and_then(percent)), (Some(20), Some(80)));
/// # Ok::<_, SchemaError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RowChange<'a, R> {
    /// What it was; `None` where the change created it.
    pub before: Option<&'a R>,
    /// What it is; `None` where the change removed it.
    pub after: Option<&'a R>,
}

/// A change without its row type.
trait ChangeOps: Any + Send + Sync {
    fn def(&self) -> &Arc<TableDef>;
    fn key(&self) -> Option<Key>;
    fn before(&self) -> Option<&dyn RowOps>;
    fn after(&self) -> Option<&dyn RowOps>;
    fn part_changed(&self, kind: PartKind) -> bool;
}

/// Both versions of a row, with its table; at least one is there. In one piece of memory, which the log begins and the
/// commit completes.
#[derive(Debug, Clone)]
pub(crate) struct Versions<R> {
    pub(crate) def: Arc<TableDef>,
    pub(crate) before: Option<R>,
    pub(crate) after: Option<R>,
}

impl<R: Row> Versions<R> {
    /// What a row was; what it is comes later.
    #[inline]
    pub(crate) fn before(def: &Arc<TableDef>, row: R) -> Arc<Self> {
        Arc::new(Self { def: Arc::clone(def), before: Some(row), after: None })
    }

    pub(crate) fn key(&self) -> Option<R::Key> {
        self.before.as_ref().or(self.after.as_ref()).map(Row::key)
    }
}

impl<R: Row> ChangeOps for Versions<R> {
    fn def(&self) -> &Arc<TableDef> {
        &self.def
    }

    fn key(&self) -> Option<Key> {
        self.key().map(|key| R::untyped_key(&key))
    }

    fn before(&self) -> Option<&dyn RowOps> {
        self.before.as_ref().map(|row| row as &dyn RowOps)
    }

    fn after(&self) -> Option<&dyn RowOps> {
        self.after.as_ref().map(|row| row as &dyn RowOps)
    }

    fn part_changed(&self, kind: PartKind) -> bool {
        let (before, after) = (self.before.as_ref(), self.after.as_ref());
        match kind {
            PartKind::Desired => before.and_then(R::desired) != after.and_then(R::desired),
            PartKind::Current => before.and_then(R::current) != after.and_then(R::current),
        }
    }
}

impl Change {
    pub(crate) const fn new<R: Row>(versions: Arc<Versions<R>>) -> Self {
        Self { rows: versions }
    }

    /// The row's table.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// # let mut tx = state.transaction();
    /// # tx.set_current::<Lamp>(&"hall".into(), light(80));
    /// # let commit = tx.commit();
    /// # let change = &commit[0];
    /// assert_eq!(change.table().name(), "lamp");
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn table(&self) -> &TableDef {
        self.rows.def()
    }

    /// The row's key.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// # let mut tx = state.transaction();
    /// # tx.set_current::<Lamp>(&"hall".into(), light(80));
    /// # let commit = tx.commit();
    /// # let change = &commit[0];
    /// assert_eq!(change.key(), Key::one("hall"));
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn key(&self) -> Key {
        self.rows.key().unwrap_or_else(|| Key::of([]))
    }

    /// What the row was.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// # let mut tx = state.transaction();
    /// # tx.set_current::<Lamp>(&"hall".into(), light(80));
    /// # let commit = tx.commit();
    /// # let change = &commit[0];
    /// let before = change.before().unwrap();
    /// assert_eq!(before.value(PartKind::Current, "percent"), Some(20.into()));
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn before(&self) -> Option<AnyRow<'_>> {
        self.rows.before().map(|row| AnyRow::new(self.rows.def(), row))
    }

    /// What the row is.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// # let mut tx = state.transaction();
    /// # tx.set_current::<Lamp>(&"hall".into(), light(80));
    /// # let commit = tx.commit();
    /// # let change = &commit[0];
    /// let after = change.after().unwrap();
    /// assert_eq!(after.value(PartKind::Current, "percent"), Some(80.into()));
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn after(&self) -> Option<AnyRow<'_>> {
        self.rows.after().map(|row| AnyRow::new(self.rows.def(), row))
    }

    /// Whether that part is not what it was.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// # let mut tx = state.transaction();
    /// # tx.set_current::<Lamp>(&"hall".into(), light(80));
    /// # let commit = tx.commit();
    /// # let change = &commit[0];
    /// assert!(change.part_changed(PartKind::Current) && !change.part_changed(PartKind::Desired));
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn part_changed(&self, kind: PartKind) -> bool {
        self.rows.part_changed(kind)
    }

    /// Both versions with their Rust type; `None` where the row is of another type.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// # let mut tx = state.transaction();
    /// # tx.set_current::<Lamp>(&"hall".into(), light(80));
    /// # let commit = tx.commit();
    /// # let change = &commit[0];
    /// let lamp = change.row::<Lamp>().unwrap();
    /// assert_eq!(lamp.after.unwrap().current, Some(light(80)));
    /// assert!(change.row::<Switch>().is_none());
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn row<R: Row>(&self) -> Option<RowChange<'_, R>> {
        let rows = self.versions::<R>()?;
        Some(RowChange { before: rows.before.as_ref(), after: rows.after.as_ref() })
    }

    pub(crate) fn versions<R: Row>(&self) -> Option<&Versions<R>> {
        (&*self.rows as &dyn Any).downcast_ref()
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Change");
        debug.field("table", &self.table().name()).field("key", &self.key().to_string());
        debug.field("before", &self.rows.before()).field("after", &self.rows.after()).finish()
    }
}

/// The changes of a commit. Most have one, which needs no list.
#[derive(Debug, Clone)]
pub(crate) enum Changes {
    None,
    One(Change),
    Some(Arc<[Change]>),
}

impl Changes {
    pub(crate) fn one(change: Option<Change>) -> Self {
        change.map_or(Self::None, Self::One)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    fn as_slice(&self) -> &[Change] {
        match self {
            Self::None => &[],
            Self::One(change) => std::slice::from_ref(change),
            Self::Some(changes) => changes,
        }
    }
}

impl FromIterator<Change> for Changes {
    fn from_iter<I: IntoIterator<Item = Change>>(changes: I) -> Self {
        Self::Some(changes.into_iter().collect::<Vec<_>>().into())
    }
}

/// A committed transaction: its changes, one for each row that is not what it was, in the order in which the
/// transaction first touched them. Cloning it costs reference counts.
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// # let mut state = house()?;
/// let mut tx = state.transaction();
/// tx.remove::<Lamp>(&"attic".into());
/// tx.set_current::<Lamp>(&"hall".into(), light(80));
/// let commit = tx.commit();
/// assert_eq!(commit.version(), 2);
/// assert!(commit.iter().map(Change::key).eq([Key::one("attic"), Key::one("hall")]));
/// # Ok::<_, SchemaError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Commit {
    version: u64,
    changes: Changes,
}

impl Commit {
    pub(crate) const fn new(version: u64, changes: Changes) -> Self {
        Self { version, changes }
    }

    /// The state's version from then on: one more than before, or the same where nothing changed.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// # let mut tx = state.transaction();
    /// # tx.set_current::<Lamp>(&"hall".into(), light(80));
    /// # let commit = tx.commit();
    /// # let change = &commit[0];
    /// assert_eq!((commit.version(), state.version()), (2, 2));
    /// assert_eq!(state.transaction().commit().version(), 2, "nothing changed");
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The changes.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// # let mut tx = state.transaction();
    /// # tx.set_current::<Lamp>(&"hall".into(), light(80));
    /// # let commit = tx.commit();
    /// # let change = &commit[0];
    /// assert_eq!(commit.changes().len(), 1);
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        self.changes.as_slice()
    }
}

impl Deref for Commit {
    type Target = [Change];

    fn deref(&self) -> &[Change] {
        self.changes()
    }
}
