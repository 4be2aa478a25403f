//! The typed door: a table as rows of their Rust type.

use super::Finder;
use super::filter::{UnknownColumn, filter, filter_in_order};
use crate::engine::id_set::Ids;
use crate::engine::slab::Items;
use crate::row::Row;
use crate::schema::TableDef;
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
        self.finder(column).find(value)
    }

    /// [`Self::find`], prepared for many values of one column.
    ///
    /// # Panics
    /// Where there is no such column: a mistake in the program, like an index out of bounds.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let by_percent = state.table::<Lamp>().finder("percent");
    /// assert_eq!([20, 50, 80, 90].map(|percent| by_percent.find(percent).count()), [1, 1, 1, 0]);
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn finder(self, column: &str) -> Finder<'a, R> {
        match self.def().places(column) {
            Some(places) => Finder::new(self.data, places),
            None => panic!("table `{}` has no column `{column}`", self.def().name()),
        }
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
        self.found(filter(self.data as &dyn TableOps, filters))
    }

    /// The rows for which every filter holds, in the order of their keys, beginning beyond `after`: a listing. What it
    /// finds is found while it is read, unless that is a small part of the table.
    ///
    /// # Panics
    /// Where there is no such column: a mistake in the program, like an index out of bounds.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let (lamps, without_colour) = (state.table::<Lamp>(), [("colour", Value::Null)]);
    /// let first = lamps.select(&without_colour, None).next().unwrap();
    /// let rest = lamps.select(&without_colour, Some(&first.room));
    /// assert_eq!(&*first.room, "attic");
    /// assert!(rest.map(|lamp| &*lamp.room).eq(["hall"]));
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn select(self, filters: &[(&str, Value)], after: Option<&R::Key>) -> Rows<'a, R> {
        let after = after.map(R::untyped_key);
        self.found(filter_in_order(self.data as &dyn TableOps, filters, after.as_ref()))
    }

    fn found(self, ids: Result<Ids<'a>, UnknownColumn>) -> Rows<'a, R> {
        match ids {
            Ok(ids) => self.listed(ids),
            Err(error) => panic!("{error}"),
        }
    }

    const fn listed(self, ids: Ids<'a>) -> Rows<'a, R> {
        Rows::listed(self.data, ids)
    }

    pub(super) const fn data(self) -> &'a TableData<R> {
        self.data
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

impl<'a, R: Row> Rows<'a, R> {
    pub(super) const fn listed(data: &'a TableData<R>, ids: Ids<'a>) -> Self {
        Self { data, from: Origin::Ids(ids) }
    }
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
