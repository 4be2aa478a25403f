//! Rows of tables that are declared at run time: the same engine, with values in place of typed columns.

use crate::row::{ColumnError, PartValues, Row};
use crate::value::{Key, Value};
use std::cmp::Ordering;

/// A part whose columns are known from a [`crate::TableSchema`] alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DynPart(Box<[Value]>);

impl DynPart {
    /// Its values, in the order of the columns.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        &self.0
    }
}

impl PartValues for DynPart {
    fn value(&self, column: usize) -> Value {
        self.0.get(column).cloned().unwrap_or_default()
    }

    fn same(&self, other: &Self, column: usize) -> bool {
        self.0.get(column) == other.0.get(column)
    }

    /// Takes any values: the table's schema has admitted them before.
    fn from_values(values: &[Value]) -> Result<Self, ColumnError> {
        Ok(Self(values.into()))
    }
}

/// A row whose columns are known from a [`crate::TableSchema`] alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DynRow {
    key: Key,
    desired: Option<DynPart>,
    current: Option<DynPart>,
}

impl Row for DynRow {
    type Key = Key;
    type Desired = DynPart;
    type Current = DynPart;

    fn new(key: Key) -> Self {
        Self { key, desired: None, current: None }
    }

    fn key(&self) -> Key {
        self.key.clone()
    }

    fn cmp_key(&self, key: &Key) -> Ordering {
        self.key.cmp(key)
    }

    fn key_value(&self, column: usize) -> Value {
        self.key.0.get(column).cloned().unwrap_or_default()
    }

    fn desired(&self) -> Option<&DynPart> {
        self.desired.as_ref()
    }

    fn current(&self) -> Option<&DynPart> {
        self.current.as_ref()
    }

    fn set_desired(&mut self, part: Option<DynPart>) {
        self.desired = part;
    }

    fn set_current(&mut self, part: Option<DynPart>) {
        self.current = part;
    }

    fn untyped_key(key: &Key) -> Key {
        key.clone()
    }

    fn typed_key(key: &Key) -> Result<Key, ColumnError> {
        Ok(key.clone())
    }
}
