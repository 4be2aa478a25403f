//! The typed door: a table as rows of their Rust type.

use super::filter::filter;
use crate::engine::id_set::Ids;
use crate::engine::slab::Items;
use crate::row::{PartValues, Row};
use crate::schema::{ColumnPlaces, PartKind, TableDef};
use crate::table::{PAGE_ROWS, TableData, TableOps};
use crate::value::Value;
use std::sync::Arc;

/// A table, for reading.
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// # let mut state = house()?;
/// let lamps: Table<'_, Lamp> = state.table();
/// assert_eq!(lamps.iter().filter(|lamp| lamp.current.is_some()).count(), 1);
/// # Ok::<_, SchemaError>(())
/// ```
#[derive(Debug)]
pub struct Table<'a, R: Row> {
    data: &'a TableData<R>,
}

impl<R: Row> Clone for Table<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R: Row> Copy for Table<'_, R> {}

impl<'a, R: Row> Table<'a, R> {
    pub(crate) const fn new(data: &'a TableData<R>) -> Self {
        Self { data }
    }

    /// Its definition.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// assert_eq!(state.table::<Lamp>().def().name(), "lamp");
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn def(self) -> &'a Arc<TableDef> {
        self.data.table_def()
    }

    /// How many rows there are.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// assert_eq!(state.table::<Lamp>().len(), 2);
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn len(self) -> usize {
        self.data.row_count()
    }

    /// Whether there is no row.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// assert!(!state.table::<Lamp>().is_empty());
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The row of a key.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let lamp = state.table::<Lamp>().get(&"attic".into()).unwrap();
    /// assert_eq!((&lamp.desired, &lamp.current), (&Some(light(50)), &None));
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn get(self, key: &R::Key) -> Option<&'a R> {
        self.data.get(key)
    }

    /// Whether there is a row of that key.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let lamps = state.table::<Lamp>();
    /// assert!(lamps.contains(&"hall".into()) && !lamps.contains(&"cellar".into()));
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn contains(self, key: &R::Key) -> bool {
        self.data.id_of(key).is_some()
    }

    /// All rows, in no meaningful order. The fastest way through a table.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let ordered: i64 = state.table::<Lamp>().iter().filter_map(|lamp| Some(lamp.desired.as_ref()?.percent)).sum();
    /// assert_eq!(ordered, 130);
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn iter(self) -> Rows<'a, R> {
        Rows { data: self.data, from: Origin::All(self.data.rows()) }
    }

    /// All rows in the order of their keys.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// assert!(state.table::<Lamp>().ordered().map(|lamp| &*lamp.room).eq(["attic", "hall"]));
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn ordered(self) -> Rows<'a, R> {
        self.listed(Ids::Boxed(Box::new(self.data.ids_after(None))))
    }

    /// The rows in the order of their keys that come after a key, whether or not that one exists.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// assert!(state.table::<Lamp>().after(&"b".into()).map(|lamp| &*lamp.room).eq(["hall"]));
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn after(self, key: &R::Key) -> Rows<'a, R> {
        self.listed(Ids::Boxed(Box::new(self.data.ids_after(Some(key)))))
    }

    /// The rows whose key, desired or current part has `value` in `column`: at once where the column is indexed
    /// (keys, references and what the declaration says), else by looking at every row. `None` (or
    /// [`Value::Null`]) finds rows of which a part exists without a value there.
    ///
    /// # Panics
    /// Where there is no such column: a mistake in the program, like an index out of bounds.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let lamps = state.table::<Lamp>();
    /// // By the desired part, or by the current one.
    /// assert_eq!((lamps.find("percent", 80).count(), lamps.find("percent", 20).count()), (1, 1));
    /// assert_eq!(lamps.find("colour", None::<Text>).count(), 2);
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn find(self, column: &str, value: impl Into<Value>) -> Rows<'a, R> {
        let Some(ids) = self.data.find(column, &value.into()) else {
            panic!("table `{}` has no column `{column}`", self.def().name());
        };
        self.listed(ids)
    }

    /// The rows for which every filter holds.
    ///
    /// # Panics
    /// Where there is no such column: a mistake in the program, like an index out of bounds.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let filters = [("percent", 80.into()), ("colour", Value::Null)];
    /// assert!(state.table::<Lamp>().filter(&filters).map(|lamp| &*lamp.room).eq(["hall"]));
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn filter(self, filters: &[(&str, Value)]) -> Rows<'a, R> {
        let ids = match filter(self.data as &dyn TableOps, filters) {
            Ok(ids) => ids,
            Err(error) => panic!("{error}"),
        };
        self.listed(ids)
    }

    const fn listed(self, ids: Ids<'a>) -> Rows<'a, R> {
        Rows { data: self.data, from: Origin::Ids(ids) }
    }
}

/// Rows of a table.
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// # let mut state = house()?;
/// let rows: Rows<'_, Lamp> = state.table().ordered();
/// assert_eq!(rows.count(), 2);
/// # Ok::<_, SchemaError>(())
/// ```
pub struct Rows<'a, R: Row> {
    data: &'a TableData<R>,
    from: Origin<'a, R>,
}

/// Where rows come from.
enum Origin<'a, R> {
    All(Items<'a, R, PAGE_ROWS>),
    Ids(Ids<'a>),
}

impl<'a, R: Row> Iterator for Rows<'a, R> {
    type Item = &'a R;

    #[inline]
    fn next(&mut self) -> Option<&'a R> {
        match &mut self.from {
            Origin::All(rows) => rows.next(),
            Origin::Ids(ids) => ids.find_map(|id| self.data.by_id(id)),
        }
    }

    #[inline]
    fn fold<B, F: FnMut(B, Self::Item) -> B>(self, init: B, mut f: F) -> B {
        match self.from {
            Origin::All(rows) => rows.fold(init, f),
            Origin::Ids(ids) => ids.fold(init, |init, id| match self.data.by_id(id) {
                Some(row) => f(init, row),
                None => init,
            }),
        }
    }
}

/// Pairs of a join row and a row that it leads to.
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// # let mut state = house()?;
/// let lamps: Joined<'_, Wire, Lamp> = state.joined("switch", "door");
/// assert!(lamps.map(|(wire, lamp)| (&*wire.switch, &*lamp.room)).eq([("door", "hall")]));
/// # Ok::<_, SchemaError>(())
/// ```
pub struct Joined<'a, J: Row, T: Row> {
    join: &'a TableData<J>,
    target: &'a TableData<T>,
    rows: Ids<'a>,
    from: &'a ColumnPlaces,
    key: Value,
    to: &'a ColumnPlaces,
    /// What the last join row led to beyond what has been given.
    rest: Option<(&'a J, &'a T)>,
}

impl<'a, J: Row, T: Row> Joined<'a, J, T> {
    /// `None` where the tables are not joined by that column.
    pub(crate) fn new(join: Table<'a, J>, target: Table<'a, T>, from: &str, key: Value) -> Option<Self> {
        let (from, to) = join.def().join_from(from)?;
        let rows = join.data.find_at(from.places, &key);
        let (from, to, is_target) = (&from.places, &to.places, to.table == target.def().id());
        is_target.then_some(Self { join: join.data, target: target.data, rows, from, key, to, rest: None })
    }

    /// The row that a part of a join row leads to, or its key where that has both columns. Like [`RowOps::opposite`],
    /// which needs no types.
    #[inline]
    fn end<P: PartValues>(&self, row: &J, part: Option<&P>, kind: PartKind) -> Option<&'a T> {
        let is_from_here = match self.from.key {
            Some(place) => row.key_value(place) == self.key,
            None => part?.is(self.from.part(kind)?, &self.key),
        };
        if !is_from_here {
            return None;
        }
        if let Some(place) = self.to.key {
            return self.target_of(row.key_value(place));
        }
        let (part, place) = (part?, self.to.part(kind)?);
        match part.as_any(place).and_then(|key| key.downcast_ref()) {
            Some(key) => self.target.get(key),
            None => self.target_of(part.value(place)),
        }
    }

    fn target_of(&self, key: Value) -> Option<&'a T> {
        self.target.get(&T::key_of(&[key]).ok()?)
    }
}

impl<'a, J: Row, T: Row> Iterator for Joined<'a, J, T> {
    type Item = (&'a J, &'a T);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if let Some(pair) = self.rest.take() {
            return Some(pair);
        }
        loop {
            let row = self.join.by_id(self.rows.next()?)?;
            let desired = self.end(row, row.desired(), PartKind::Desired);
            let current = self.end(row, row.current(), PartKind::Current);
            // Both may lead to the same row: that comes once.
            let current = current.filter(|it| !desired.is_some_and(|desired| std::ptr::eq(desired, *it)));
            self.rest = desired.and(current).map(|target| (row, target));
            if let Some(target) = desired.or(current) {
                return Some((row, target));
            }
        }
    }
}
