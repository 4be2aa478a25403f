//! Look-ups by the value of a column and through a join table, prepared: which tables and columns they are about is found
//! out once for many values.

use super::{Rows, Table};
use crate::engine::id_set::Ids;
use crate::row::{PartValues, Row};
use crate::schema::{ColumnPlaces, PartKind};
use crate::table::TableData;
use crate::value::Value;

/// Finds the rows that have a value in one column; see [`Table::finder`].
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// # let mut state = house()?;
/// let by_colour: Finder<'_, Lamp> = state.table().finder("colour");
/// assert_eq!(by_colour.find("red").count(), 0);
/// # Ok::<_, SchemaError>(())
/// ```
#[derive(Debug)]
pub struct Finder<'a, R: Row> {
    data: &'a TableData<R>,
    places: ColumnPlaces,
}

impl<R: Row> Clone for Finder<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R: Row> Copy for Finder<'_, R> {}

impl<'a, R: Row> Finder<'a, R> {
    pub(super) const fn new(data: &'a TableData<R>, places: ColumnPlaces) -> Self {
        Self { data, places }
    }

    /// The rows whose key, desired or current part has `value` in the column; see [`Table::find`].
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let by_colour = state.table::<Lamp>().finder("colour");
    /// assert_eq!(by_colour.find(Value::Null).count(), 2);
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[inline]
    pub fn find(self, value: impl Into<Value>) -> Rows<'a, R> {
        Rows::listed(self.data, self.data.find_at(self.places, &value.into()))
    }
}

/// Follows a join table from one side to the other; see [`crate::View::joiner`].
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// # let mut state = house()?;
/// let lamps_of: Joiner<'_, Wire, Lamp> = state.joiner("switch");
/// assert_eq!(["door", "bed"].map(|switch| lamps_of.of(switch).count()), [1, 0]);
/// # Ok::<_, SchemaError>(())
/// ```
#[derive(Debug)]
pub struct Joiner<'a, J: Row, T: Row> {
    join: &'a TableData<J>,
    target: &'a TableData<T>,
    from: &'a ColumnPlaces,
    to: &'a ColumnPlaces,
}

impl<J: Row, T: Row> Clone for Joiner<'_, J, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<J: Row, T: Row> Copy for Joiner<'_, J, T> {}

impl<'a, J: Row, T: Row> Joiner<'a, J, T> {
    /// `None` where the tables are not joined by that column.
    pub(super) fn new(join: Table<'a, J>, target: Table<'a, T>, from: &str) -> Option<Self> {
        let (from, to) = join.def().join_from(from)?;
        let (from, to, is_target) = (&from.places, &to.places, to.table == target.def().id());
        is_target.then_some(Self { join: join.data(), target: target.data(), from, to })
    }

    /// The rows that join rows of `key` lead to, each with its join row; see [`crate::Read::joined`].
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let lamps_of = state.joiner::<Wire, Lamp>("switch");
    /// assert!(lamps_of.of("door").map(|(_, lamp)| &*lamp.room).eq(["hall"]));
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[inline]
    pub fn of(self, key: impl Into<Value>) -> Joined<'a, J, T> {
        let key = key.into();
        let rows = self.join.find_at(*self.from, &key);
        Joined { joiner: self, rows, key, rest: None }
    }

    /// The rows that a join row of `key` leads to, by either part (or by its key, where that has a column).
    #[inline]
    fn ends(self, key: &Value, row: &J) -> [Option<&'a T>; 2] {
        let (desired, current) = (row.desired(), row.current());
        // That a row was found by `key` is enough where there is only one place that it can stand in.
        let is_sure = desired.is_some() != current.is_some() && self.from.key.is_none();
        let desired = self.end(key, row, desired, PartKind::Desired, is_sure);
        let current = self.end(key, row, current, PartKind::Current, is_sure);
        // Both may lead to the same row: that comes once.
        [desired, current.filter(|it| !desired.is_some_and(|desired| std::ptr::eq(desired, *it)))]
    }

    /// The row that a part of a join row of `key` leads to, or its key where that has both columns. Like
    /// `RowOps::opposite`, which needs no types.
    #[inline]
    fn end<P: PartValues>(
        self,
        key: &Value,
        row: &J,
        part: Option<&P>,
        kind: PartKind,
        is_sure: bool,
    ) -> Option<&'a T> {
        let is_from_here = match self.from.key {
            Some(place) => row.key_value(place) == *key,
            None => is_sure || part?.is(self.from.part(kind)?, key),
        };
        if !is_from_here {
            return None;
        }
        if let Some(place) = self.to.key {
            return self.target_of(row.key_value(place));
        }
        let (part, place) = (part?, self.to.part(kind)?);
        match part.typed(place) {
            Some(key) => self.target.get(key),
            None => self.target_of(part.value(place)),
        }
    }

    fn target_of(self, key: Value) -> Option<&'a T> {
        self.target.get(&T::key_of(&[key]).ok()?)
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
    joiner: Joiner<'a, J, T>,
    rows: Ids<'a>,
    key: Value,
    /// What the last join row led to beyond what has been given.
    rest: Option<(&'a J, &'a T)>,
}

impl<'a, J: Row, T: Row> Iterator for Joined<'a, J, T> {
    type Item = (&'a J, &'a T);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if let Some(pair) = self.rest.take() {
            return Some(pair);
        }
        loop {
            let row = self.joiner.join.by_id(self.rows.next()?)?;
            let [desired, current] = self.joiner.ends(&self.key, row);
            self.rest = desired.and(current).map(|target| (row, target));
            if let Some(target) = desired.or(current) {
                return Some((row, target));
            }
        }
    }

    #[inline]
    fn fold<B, F: FnMut(B, Self::Item) -> B>(self, init: B, mut f: F) -> B {
        let Self { joiner, rows, key, rest } = self;
        let init = rest.into_iter().fold(init, &mut f);
        rows.filter_map(|id| joiner.join.by_id(id)).fold(init, |init, row| {
            let ends = joiner.ends(&key, row).into_iter().flatten();
            ends.fold(init, |init, target| f(init, (row, target)))
        })
    }
}
