//! What the engine needs to know of rows and their parts. `#[derive(Entity)]` and `#[derive(Part)]` implement
//! these traits; [`crate::DynRow`] does for tables that are declared at run time.

use crate::column::Column;
use crate::schema::{ColumnSchema, PartKind, TableSchema};
use crate::value::{Key, Value, ValueError};
use std::any::Any;
use std::cmp::Ordering;
use std::fmt::Debug;
use std::hash::Hash;

/// A value does not fit one of the columns that it was meant for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnError {
    /// The column's place among those of the part, or of the key.
    pub column: usize,
    /// What is wrong with the value.
    pub problem: ValueError,
}

/// The columns of one part of one row.
pub trait PartValues: Clone + PartialEq + Debug + Send + Sync + 'static {
    /// The value of a column; null for a column that does not exist.
    fn value(&self, column: usize) -> Value;

    /// Whether a column is the same in both. Cheaper than comparing [`PartValues::value`]s.
    fn same(&self, other: &Self, column: usize) -> bool;

    /// The part that consists of these values, one for each column, in order.
    ///
    /// # Errors
    /// [`ColumnError`] for the first value that does not fit.
    fn from_values(values: &[Value]) -> Result<Self, ColumnError>;
}

/// A part whose columns were declared as a Rust struct.
pub trait Part: PartValues {
    /// The names of its columns, in order: the derives check by them what a declaration names.
    const NAMES: &'static [&'static str];

    /// Its columns, in order.
    fn columns() -> Vec<ColumnSchema>;
}

/// The part that an entity does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPart {}

impl PartValues for NoPart {
    fn value(&self, _: usize) -> Value {
        match *self {}
    }

    fn same(&self, _: &Self, _: usize) -> bool {
        match *self {}
    }

    fn from_values(_: &[Value]) -> Result<Self, ColumnError> {
        let problem = ValueError::Refused { found: "a part".into(), reason: "the table has none".into() };
        Err(ColumnError { column: 0, problem })
    }
}

impl Part for NoPart {
    const NAMES: &'static [&'static str] = &[];

    fn columns() -> Vec<ColumnSchema> {
        Vec::new()
    }
}

/// A row: key columns and two parts, each of which may be absent.
pub trait Row: Clone + PartialEq + Debug + Send + Sync + 'static {
    /// The key: the column's type, or a tuple of the columns' types. It must be ordered like the [`Value`]s that it
    /// becomes, as all types of this crate are: listings of both doors agree then.
    type Key: Clone + Eq + Ord + Hash + Debug + Send + Sync + 'static;
    /// The desired part.
    type Desired: PartValues;
    /// The current part.
    type Current: PartValues;

    /// A row without parts.
    fn new(key: Self::Key) -> Self;

    /// Its key.
    fn key(&self) -> Self::Key;

    /// Compares its key with another.
    fn cmp_key(&self, key: &Self::Key) -> Ordering;

    /// The value of one key column.
    fn key_value(&self, column: usize) -> Value;

    /// The desired part.
    fn desired(&self) -> Option<&Self::Desired>;

    /// The current part.
    fn current(&self) -> Option<&Self::Current>;

    /// Puts a desired part into the place of what was there.
    fn set_desired(&mut self, part: Option<Self::Desired>);

    /// Puts a current part into the place of what was there.
    fn set_current(&mut self, part: Option<Self::Current>);

    /// A key without its Rust type.
    fn untyped_key(key: &Self::Key) -> Key;

    /// A key with its Rust type.
    ///
    /// # Errors
    /// [`ColumnError`] for the first value that does not fit.
    fn typed_key(key: &Key) -> Result<Self::Key, ColumnError>;
}

/// A row type that declares its table.
pub trait Entity: Row {
    /// The table's name.
    const TABLE: &'static str;

    /// The table's declaration.
    fn schema() -> TableSchema;
}

/// A row without its Rust type.
pub(crate) trait RowOps: Any + Debug + Send + Sync {
    /// Its key.
    fn any_key(&self) -> Key;
    /// The value of a key column.
    fn any_key_value(&self, column: usize) -> Value;
    /// Whether it has that part.
    fn has_part(&self, kind: PartKind) -> bool;
    /// The value of a column of a part, if the part is there.
    fn part_value(&self, kind: PartKind, column: usize) -> Option<Value>;
}

impl<R: Row> RowOps for R {
    fn any_key(&self) -> Key {
        R::untyped_key(&self.key())
    }

    fn any_key_value(&self, column: usize) -> Value {
        self.key_value(column)
    }

    fn has_part(&self, kind: PartKind) -> bool {
        match kind {
            PartKind::Desired => self.desired().is_some(),
            PartKind::Current => self.current().is_some(),
        }
    }

    fn part_value(&self, kind: PartKind, column: usize) -> Option<Value> {
        match kind {
            PartKind::Desired => self.desired().map(|part| part.value(column)),
            PartKind::Current => self.current().map(|part| part.value(column)),
        }
    }
}

/// Reads one column of a part or key from its place in a slice: what the derives generate calls of.
///
/// # Errors
/// [`ColumnError`], where the value is missing or does not fit.
pub fn read_column<T: Column>(values: &[Value], column: usize) -> Result<T, ColumnError> {
    T::from_value(values.get(column).unwrap_or(&Value::Null))
        .map_err(|problem| ColumnError { column, problem })
}
