//! The erased door: tables and rows without their Rust types.

use super::filter::{UnknownColumn, filter, filter_in_order};
use crate::engine::id_set::Ids;
use crate::row::{Row, RowOps};
use crate::schema::{ColumnPlaces, PartKind, TableDef};
use crate::table::TableOps;
use crate::value::{Key, Value};
use std::any::Any;
use std::sync::Arc;

/// A table, for reading, without its row type.
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// # let mut state = house()?;
/// let lamps = state.any("lamp").unwrap();
/// for row in lamps.ordered() {
///     println!("{}: {:?}", row.key(), row.part(PartKind::Desired));
/// }
/// # Ok::<_, SchemaError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct AnyTable<'a> {
    ops: &'a dyn TableOps,
}

impl<'a> AnyTable<'a> {
    pub(crate) const fn new(ops: &'a dyn TableOps) -> Self {
        Self { ops }
    }

    pub(crate) const fn ops(self) -> &'a dyn TableOps {
        self.ops
    }

    /// The rows with a value in a column of these places.
    pub(crate) fn rows_with(self, places: ColumnPlaces, value: &Value) -> AnyRows<'a> {
        self.rows_of(self.ops.ids_with(places, value))
    }

    /// The row of a key of these values; none where they do not fit.
    pub(crate) fn get_by(self, key: &[Value]) -> Option<AnyRow<'a>> {
        self.by_id(self.ops.id_of_any(key)?)
    }

    pub(crate) fn by_id(self, id: u32) -> Option<AnyRow<'a>> {
        self.ops.row(id).map(|row| AnyRow { def: self.ops.def(), row })
    }

    /// The ids of the rows for which every filter holds.
    pub(crate) fn ids(self, filters: &[(&str, Value)]) -> Result<Ids<'a>, UnknownColumn> {
        filter(self.ops, filters)
    }

    /// Puts ids of rows into the order of keys.
    pub(crate) fn sort_ids(self, ids: &mut Vec<u32>) {
        if ids.len() == self.len() {
            *ids = self.ops.ids_after_any(None).collect();
        } else {
            self.ops.sort_ids(ids);
        }
    }

    fn rows_of(self, ids: Ids<'a>) -> AnyRows<'a> {
        AnyRows { table: self, ids }
    }

    /// Its definition.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// assert_eq!(state.any("lamp").unwrap().def().name(), "lamp");
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn def(self) -> &'a Arc<TableDef> {
        self.ops.def()
    }

    /// How many rows there are.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// assert_eq!(state.any("lamp").unwrap().len(), 2);
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn len(self) -> usize {
        self.ops.len()
    }

    /// Whether there is no row.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// assert!(!state.any("lamp").unwrap().is_empty());
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The row of a key; none for a key that does not fit the table.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let lamps = state.any("lamp").unwrap();
    /// assert!(lamps.get(&Key::one("hall")).is_some() && lamps.get(&Key::one(5)).is_none());
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn get(self, key: &Key) -> Option<AnyRow<'a>> {
        self.get_by(key.values())
    }

    /// All rows, in no meaningful order.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// assert_eq!(state.any("lamp").unwrap().iter().count(), 2);
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn iter(self) -> AnyRows<'a> {
        self.rows_of(self.ops.all_ids())
    }

    /// All rows in the order of their keys.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let keys = state.any("lamp").unwrap().ordered().map(AnyRow::key);
    /// assert!(keys.eq([Key::one("attic"), Key::one("hall")]));
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn ordered(self) -> AnyRows<'a> {
        self.rows_of(self.ops.ids_after_any(None))
    }

    /// The rows in the order of their keys that come after a key, whether or not that one exists: all of them, where it
    /// is none of this table's.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// assert!(state.any("lamp").unwrap().after(&Key::one("b")).map(AnyRow::key).eq([Key::one("hall")]));
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn after(self, key: &Key) -> AnyRows<'a> {
        self.rows_of(self.ops.ids_after_any(self.fitting(Some(key))))
    }

    /// A key, if it has the columns of this table's.
    fn fitting(self, key: Option<&Key>) -> Option<&Key> {
        key.filter(|key| self.def().check_key(key).is_ok())
    }

    /// The rows whose key, desired or current part has `value` in `column`.
    ///
    /// # Errors
    /// [`UnknownColumn`].
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let lamps = state.any("lamp").unwrap();
    /// assert_eq!(lamps.find("percent", &20.into())?.count(), 1);
    /// assert!(lamps.find("percnet", &20.into()).is_err());
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn find(self, column: &str, value: &Value) -> Result<AnyRows<'a>, UnknownColumn> {
        self.filter(&[(column, value.clone())])
    }

    /// The rows for which every filter holds, in no meaningful order.
    ///
    /// # Errors
    /// [`UnknownColumn`].
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// // One column may be that of the desired part, the other that of the current one.
    /// let filters = [("percent", 80.into()), ("percent", 20.into())];
    /// assert_eq!(state.any("lamp").unwrap().filter(&filters)?.count(), 1);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn filter(self, filters: &[(&str, Value)]) -> Result<AnyRows<'a>, UnknownColumn> {
        Ok(self.rows_of(filter(self.ops, filters)?))
    }

    /// The rows for which every filter holds, in the order of their keys, beginning beyond `after`: a listing. What it
    /// finds is found while it is read, unless that is a small part of the table.
    ///
    /// # Errors
    /// [`UnknownColumn`].
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let lamps = state.any("lamp").unwrap();
    /// let without_colour = [("colour", Value::Null)];
    /// let first = lamps.select(&without_colour, None)?.next().unwrap();
    /// let mut rest = lamps.select(&without_colour, Some(&first.key()))?;
    /// assert_eq!((first.key(), rest.next().unwrap().key()), (Key::one("attic"), Key::one("hall")));
    /// assert!(rest.next().is_none());
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn select(
        self,
        filters: &[(&str, Value)],
        after: Option<&Key>,
    ) -> Result<AnyRows<'a>, UnknownColumn> {
        Ok(self.rows_of(filter_in_order(self.ops, filters, self.fitting(after))?))
    }
}

/// Rows of a table, without their Rust type.
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// # let mut state = house()?;
/// let rows: AnyRows<'_> = state.any("lamp").unwrap().ordered();
/// assert_eq!(rows.count(), 2);
/// # Ok::<_, SchemaError>(())
/// ```
pub struct AnyRows<'a> {
    table: AnyTable<'a>,
    ids: Ids<'a>,
}

impl<'a> Iterator for AnyRows<'a> {
    type Item = AnyRow<'a>;

    fn next(&mut self) -> Option<AnyRow<'a>> {
        self.ids.by_ref().find_map(|id| self.table.by_id(id))
    }
}

/// A row without its Rust type.
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// # let mut state = house()?;
/// let row = state.any("lamp").and_then(|lamps| lamps.get(&Key::one("hall"))).unwrap();
/// assert_eq!(row.value(PartKind::Current, "percent"), Some(20.into()));
/// # Ok::<_, SchemaError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct AnyRow<'a> {
    def: &'a Arc<TableDef>,
    row: &'a dyn RowOps,
}

impl<'a> AnyRow<'a> {
    pub(crate) const fn new(def: &'a Arc<TableDef>, row: &'a dyn RowOps) -> Self {
        Self { def, row }
    }

    /// Its table.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// # let row = state.any("lamp").and_then(|lamps| lamps.get(&Key::one("hall"))).unwrap();
    /// assert_eq!(row.def().name(), "lamp");
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub const fn def(self) -> &'a Arc<TableDef> {
        self.def
    }

    /// Its key.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// # let row = state.any("lamp").and_then(|lamps| lamps.get(&Key::one("hall"))).unwrap();
    /// assert_eq!(row.key(), Key::one("hall"));
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn key(self) -> Key {
        self.row.any_key()
    }

    /// Whether it has that part.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// # let row = state.any("lamp").and_then(|lamps| lamps.get(&Key::one("attic"))).unwrap();
    /// assert!(row.has(PartKind::Desired) && !row.has(PartKind::Current));
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn has(self, kind: PartKind) -> bool {
        self.row.has_part(kind)
    }

    /// The values of a part, one for each column without the key's; `None` where the row does not have that part.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// # let row = state.any("lamp").and_then(|lamps| lamps.get(&Key::one("hall"))).unwrap();
    /// assert_eq!(row.part(PartKind::Current), Some(vec![20.into(), Value::Null]));
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn part(self, kind: PartKind) -> Option<Vec<Value>> {
        let columns = self.def.schema().part(kind).len();
        self.has(kind).then(|| (0..columns).filter_map(|place| self.row.part_value(kind, place)).collect())
    }

    pub(crate) fn key_value(self, place: usize) -> Value {
        self.row.any_key_value(place)
    }

    pub(crate) fn part_value(self, kind: PartKind, place: usize) -> Option<Value> {
        self.row.part_value(kind, place)
    }

    /// The value of a column of a part, or of the key; `None` where there is no such column or no such part.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// # let row = state.any("lamp").and_then(|lamps| lamps.get(&Key::one("hall"))).unwrap();
    /// assert_eq!(row.value(PartKind::Desired, "percent"), Some(80.into()));
    /// assert_eq!(row.value(PartKind::Desired, "room"), Some("hall".into()));
    /// assert_eq!(row.value(PartKind::Desired, "percnet"), None);
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn value(self, kind: PartKind, column: &str) -> Option<Value> {
        self.row.value_at(kind, self.def.places(column)?)
    }

    /// Whether key, desired or current part have `value` in `column`.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// # let row = state.any("lamp").and_then(|lamps| lamps.get(&Key::one("hall"))).unwrap();
    /// assert!(row.holds("percent", &80.into()) && row.holds("percent", &20.into()));
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn holds(self, column: &str, value: &Value) -> bool {
        PartKind::BOTH.iter().any(|kind| self.value(*kind, column).as_ref() == Some(value))
    }

    /// The row with its Rust type; `None` where it is of another.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// # let row = state.any("lamp").and_then(|lamps| lamps.get(&Key::one("hall"))).unwrap();
    /// assert_eq!(row.row::<Lamp>().map(|lamp| &*lamp.room), Some("hall"));
    /// assert!(row.row::<Switch>().is_none());
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn row<R: Row>(self) -> Option<&'a R> {
        (self.row as &dyn Any).downcast_ref()
    }

    pub(crate) const fn ops(self) -> &'a dyn RowOps {
        self.row
    }
}
