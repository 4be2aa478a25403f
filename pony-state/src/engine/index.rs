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

/// Whether two versions of a part have the same value.
#[inline]
fn same<P: PartValues>(old: Option<&P>, new: Option<&P>, place: usize) -> bool {
    match (old, new) {
        (None, None) => true,
        (Some(old), Some(new)) => old.same(new, place),
        _ => false,
    }
}

impl Index {
    #[inline]
    fn posting(&self, hash: u32, value: &Value) -> Option<u32> {
        self.by_hash.find(hash, |id| self.postings.get(id).is_some_and(|posting| posting.value == *value))
    }

    #[inline]
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
        if places.key.is_some() && old.is_none() != new.is_none() {
            let value = old.or(new).zip(places.key).map(|(row, place)| row.key_value(place));
            self.replace(def, places, id, (old, value.as_ref()), (new, value.as_ref()));
        }
        let (was, is) = (old.and_then(R::desired), new.and_then(R::desired));
        if let Some(place) = places.desired
            && !same(was, is, place)
        {
            let (was, is) = (was.map(|part| part.value(place)), is.map(|part| part.value(place)));
            self.replace(def, places, id, (old, was.as_ref()), (new, is.as_ref()));
        }
        let (was, is) = (old.and_then(R::current), new.and_then(R::current));
        if let Some(place) = places.current
            && !same(was, is, place)
        {
            let (was, is) = (was.map(|part| part.value(place)), is.map(|part| part.value(place)));
            self.replace(def, places, id, (old, was.as_ref()), (new, is.as_ref()));
        }
    }

    /// Follows what one place of a row held and holds: a value stays listed as long as any place has it.
    fn replace<R: Row>(
        &mut self,
        def: &TableDef,
        places: ColumnPlaces,
        id: u32,
        (old, was): (Option<&R>, Option<&Value>),
        (new, is): (Option<&R>, Option<&Value>),
    ) {
        let holds = |row: Option<&R>, value: &Value| row.is_some_and(|row| places.hold(row, value));
        if let Some(was) = was
            && !holds(new, was)
        {
            self.remove(def, was, id);
        }
        if let Some(is) = is
            && !holds(old, is)
        {
            self.insert(def, is, id);
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
        self.key.is_some_and(|place| row.key_value(place) == *value)
            || self.desired.zip(row.desired()).is_some_and(|(place, part)| part.value(place) == *value)
            || self.current.zip(row.current()).is_some_and(|(place, part)| part.value(place) == *value)
    }
}
