//! A secondary index: from the values that a column has in either part (or in the key) to rows.

use super::hash_index::HashIndex;
use super::id_set::{IdSet, Ids};
use super::slab::Slab;
use crate::row::{PartValues, Row};
use crate::schema::{ColumnPlaces, TableDef};
use crate::value::Value;

/// The rows of one value.
#[derive(Debug, Clone)]
struct Posting {
    value: Value,
    rows: IdSet,
}

/// An index over the columns of one name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Index {
    by_hash: HashIndex,
    postings: Slab<Posting>,
}

/// The distinct values of one row in the columns of one name: at most one of key, desired and current each.
pub(crate) type RowValues = [Option<Value>; 3];

/// The distinct values of a row.
pub(crate) fn values_of<R: Row>(row: &R, places: ColumnPlaces) -> RowValues {
    let key = places.key.map(|place| row.key_value(place));
    let desired = places.desired.and_then(|place| Some(row.desired()?.value(place)));
    let current = places.current.and_then(|place| Some(row.current()?.value(place)));
    let desired = desired.filter(|it| key.as_ref() != Some(it));
    let current = current.filter(|it| key.as_ref() != Some(it) && desired.as_ref() != Some(it));
    [key, desired, current]
}

/// Whether two versions of a row have the same values. Says no where that is not found out cheaply.
fn unchanged<R: Row>(old: &R, new: &R, places: ColumnPlaces) -> bool {
    fn same<P: PartValues>(old: Option<&P>, new: Option<&P>, place: Option<usize>) -> bool {
        match (old, new, place) {
            (_, _, None) | (None, None, _) => true,
            (Some(old), Some(new), Some(place)) => old.same(new, place),
            _ => false,
        }
    }
    same(old.desired(), new.desired(), places.desired) && same(old.current(), new.current(), places.current)
}

impl Index {
    #[inline]
    fn posting(&self, hash: u32, value: &Value) -> Option<u32> {
        self.by_hash.find(hash, |id| self.postings.get(id).is_some_and(|posting| posting.value == *value))
    }

    fn rows_of(&self, def: &TableDef, value: &Value) -> Option<&IdSet> {
        let id = self.posting(def.hash_of(value), value)?;
        self.postings.get(id).map(|posting| &posting.rows)
    }

    /// The rows of a value.
    pub(crate) fn find(&self, def: &TableDef, value: &Value) -> Ids<'_> {
        self.rows_of(def, value).map_or(Ids::NONE, IdSet::iter)
    }

    /// How many rows have a value.
    pub(crate) fn count(&self, def: &TableDef, value: &Value) -> usize {
        self.rows_of(def, value).map_or(0, IdSet::len)
    }

    /// Every value with its rows.
    pub(crate) fn postings(&self) -> impl Iterator<Item = (&Value, &IdSet)> {
        self.postings.iter().map(|(_, posting)| (&posting.value, &posting.rows))
    }

    /// Follows a row from its old version to its new one; `None` where there is none.
    #[inline]
    pub(crate) fn update<R: Row>(
        &mut self,
        def: &TableDef,
        places: ColumnPlaces,
        id: u32,
        old: Option<&R>,
        new: Option<&R>,
    ) {
        if let (Some(old), Some(new)) = (old, new)
            && unchanged(old, new, places)
        {
            return;
        }
        self.move_row(def, places, id, old, new);
    }

    fn move_row<R: Row>(
        &mut self,
        def: &TableDef,
        places: ColumnPlaces,
        id: u32,
        old: Option<&R>,
        new: Option<&R>,
    ) {
        let old = old.map_or_else(RowValues::default, |row| values_of(row, places));
        let new = new.map_or_else(RowValues::default, |row| values_of(row, places));
        for value in old.iter().flatten().filter(|it| !new.iter().flatten().any(|new| new == *it)) {
            self.remove(def, value, id);
        }
        for value in new.iter().flatten().filter(|it| !old.iter().flatten().any(|old| old == *it)) {
            self.insert(def, value, id);
        }
    }

    fn insert(&mut self, def: &TableDef, value: &Value, row: u32) {
        let hash = def.hash_of(value);
        if let Some(posting) = self.posting(hash, value).and_then(|id| self.postings.get_mut(id)) {
            posting.rows.insert(row);
        } else {
            let id = self.postings.insert(Posting { value: value.clone(), rows: IdSet::one(row) });
            self.by_hash.insert(hash, id);
        }
    }

    fn remove(&mut self, def: &TableDef, value: &Value, row: u32) {
        let hash = def.hash_of(value);
        let Some(id) = self.posting(hash, value) else { return };
        let Some(posting) = self.postings.get_mut(id) else { return };
        posting.rows.remove(row);
        if posting.rows.len() == 0 {
            self.by_hash.remove(hash, id);
            self.postings.remove(id);
        }
    }
}

impl ColumnPlaces {
    /// Whether a row has a value in one of the places: what a filter asks.
    pub(crate) fn hold<R: Row>(self, row: &R, value: &Value) -> bool {
        values_of(row, self).iter().flatten().any(|it| it == value)
    }
}
