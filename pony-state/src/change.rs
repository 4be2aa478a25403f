//! What a transaction changed.

use crate::read::AnyRow;
use crate::row::{Row, RowOps};
use crate::schema::{PartKind, TableDef};
use crate::value::Key;
use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// One row before and after a transaction. Cloning it costs two reference counts.
#[derive(Clone)]
pub struct Change {
    def: Arc<TableDef>,
    rows: Arc<dyn ChangeOps>,
}

/// Both versions of a row with their Rust type; at least one is there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RowChange<'a, R> {
    /// What it was; `None` where the change created it.
    pub before: Option<&'a R>,
    /// What it is; `None` where the change removed it.
    pub after: Option<&'a R>,
}

/// A change without its row type.
trait ChangeOps: Any + Send + Sync {
    fn key(&self) -> Key;
    fn before(&self) -> Option<&dyn RowOps>;
    fn after(&self) -> Option<&dyn RowOps>;
    fn part_changed(&self, kind: PartKind) -> bool;
}

struct Versions<R: Row> {
    key: R::Key,
    before: Option<R>,
    after: Option<R>,
}

impl<R: Row> ChangeOps for Versions<R> {
    fn key(&self) -> Key {
        R::untyped_key(&self.key)
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
    pub(crate) fn new<R: Row>(def: Arc<TableDef>, key: R::Key, before: Option<R>, after: Option<R>) -> Self {
        Self { def, rows: Arc::new(Versions { key, before, after }) }
    }

    /// The row's table.
    #[must_use]
    pub fn table(&self) -> &TableDef {
        &self.def
    }

    /// The row's key.
    #[must_use]
    pub fn key(&self) -> Key {
        self.rows.key()
    }

    /// What the row was.
    #[must_use]
    pub fn before(&self) -> Option<AnyRow<'_>> {
        self.rows.before().map(|row| AnyRow::new(&self.def, row))
    }

    /// What the row is.
    #[must_use]
    pub fn after(&self) -> Option<AnyRow<'_>> {
        self.rows.after().map(|row| AnyRow::new(&self.def, row))
    }

    /// Whether that part is not what it was.
    #[must_use]
    pub fn part_changed(&self, kind: PartKind) -> bool {
        self.rows.part_changed(kind)
    }

    /// Both versions with their Rust type; `None` where the row is of another type.
    #[must_use]
    pub fn row<R: Row>(&self) -> Option<RowChange<'_, R>> {
        let rows = (&*self.rows as &dyn Any).downcast_ref::<Versions<R>>()?;
        Some(RowChange { before: rows.before.as_ref(), after: rows.after.as_ref() })
    }

    pub(crate) fn after_row(&self) -> Option<&dyn RowOps> {
        self.rows.after()
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Change");
        debug.field("table", &self.def.name()).field("key", &self.key().to_string());
        debug.field("before", &self.rows.before()).field("after", &self.rows.after()).finish()
    }
}

/// A committed transaction: its changes, one for each row that is not what it was, in the order in which the
/// transaction first touched them.
#[derive(Debug, Clone)]
pub struct Commit {
    version: u64,
    changes: Arc<[Change]>,
}

impl Commit {
    pub(crate) const fn new(version: u64, changes: Arc<[Change]>) -> Self {
        Self { version, changes }
    }

    /// The state's version from then on: one more than before, or the same where nothing changed.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The changes.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }
}

impl Deref for Commit {
    type Target = [Change];

    fn deref(&self) -> &[Change] {
        &self.changes
    }
}
