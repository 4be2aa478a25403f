//! Rows of tables that are declared at run time: the same engine, with values in place of typed columns.

use crate::column::Column;
use crate::row::{ColumnError, PartValues, Row};
use crate::value::{Key, Value};
use std::cmp::Ordering;

/// A part whose columns are known from a [`crate::TableSchema`] alone.
///
/// ```
/// use pony_state::{DynPart, PartValues};
///
/// let part = DynPart::from_values(&[80.into(), "red".into()])?;
/// assert_eq!(part.value(1), "red".into());
/// # Ok::<_, pony_state::ColumnError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DynPart(Box<[Value]>);

impl DynPart {
    /// Its values, in the order of the columns.
    ///
    /// ```
    /// use pony_state::{DynPart, PartValues};
    ///
    /// let part = DynPart::from_values(&[80.into()])?;
    /// assert_eq!(part.values(), [80.into()]);
    /// # Ok::<_, pony_state::ColumnError>(())
    /// ```
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

    fn from_vec(values: Vec<Value>) -> Result<Self, ColumnError> {
        Ok(Self(values.into()))
    }
}

/// A row whose columns are known from a [`crate::TableSchema`] alone.
///
/// ```
/// use pony_state::{ColumnSchema, ColumnType, DynRow, Key, PartKind, Read, Row, State, TableSchema};
///
/// let lamp = TableSchema::new("lamp").key(ColumnSchema::new("room", ColumnType::Text)).desired([]);
/// let mut state = State::builder().table_dyn(lamp).build()?;
/// let mut tx = state.transaction();
/// tx.set("lamp", &Key::one("hall"), PartKind::Desired, &[])?;
/// let commit = tx.commit();
/// let row = commit[0].row::<DynRow>().unwrap();
/// assert_eq!(row.after.map(Row::key), Some(Key::one("hall")));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
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

    fn of(key: Key, desired: Option<DynPart>, current: Option<DynPart>) -> Self {
        Self { key, desired, current }
    }

    fn key(&self) -> Key {
        self.key.clone()
    }

    fn cmp_key(&self, key: &Key) -> Ordering {
        self.key.cmp(key)
    }

    fn has_key(&self, key: &Key) -> bool {
        self.key == *key
    }

    fn rank(key: &Key) -> u32 {
        // All keys of a table have values of the same kind there.
        match key.values().first() {
            Some(Value::Uuid(uuid)) => uuid.rank(),
            Some(Value::Int(number)) => number.rank(),
            Some(Value::Text(text)) => text.rank(),
            Some(Value::Mac(mac)) => mac.rank(),
            _ => 0,
        }
    }

    fn own_rank(&self) -> u32 {
        Self::rank(&self.key)
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

    fn desired_mut(&mut self) -> Option<&mut DynPart> {
        self.desired.as_mut()
    }

    fn current_mut(&mut self) -> Option<&mut DynPart> {
        self.current.as_mut()
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

    fn key_of(values: &[Value]) -> Result<Key, ColumnError> {
        Ok(Key(values.into()))
    }
}
