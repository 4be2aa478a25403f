//! A secondary index: from the values that a column has in either part (or in the key) to rows.

use super::hash_index::HashIndex;
use super::id_set::{IdSet, Ids};
use super::slab::Slab;
use crate::row::{PartValues, Row};
use crate::schema::{ColumnPlaces, TableDef};
use crate::value::Value;

/// Postings per page: what one write copies while a snapshot lives, so few.
const PAGE_POSTINGS: usize = 16;

/// Many new rows are listed in parts of about so many, up to so many parts.
const PART_ROWS: usize = 256;
const PARTS_MAX: usize = 256;

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
    postings: Slab<Posting, PAGE_POSTINGS>,
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

/// How to get at a part of a row, and the column's place there.
type PartAt<R, P> = (fn(&R) -> Option<&P>, Option<usize>);

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
    #[inline]
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
        if let Some(place) = places.key {
            // A key is of one row for good: it comes and goes with it.
            match (old, new) {
                (None, Some(row)) => self.insert(def, row.key_value(place), id),
                (Some(row), None) => self.remove(def, &row.key_value(place), id),
                _ => {}
            }
        }
        let desired: PartAt<R, R::Desired> = (R::desired, places.desired);
        let current: PartAt<R, R::Current> = (R::current, places.current);
        self.follow::<R, _, _>(def, id, (old, new), desired, current);
        self.follow::<R, _, _>(def, id, (old, new), current, desired);
    }

    /// Follows what one part of a row held and holds: a value stays listed as long as the other part has it.
    #[inline]
    fn follow<R: Row, P: PartValues, O: PartValues>(
        &mut self,
        def: &TableDef,
        id: u32,
        (old, new): (Option<&R>, Option<&R>),
        (part, place): PartAt<R, P>,
        (other, other_place): PartAt<R, O>,
    ) {
        let Some(place) = place else { return };
        let (was, is) = (old.and_then(part), new.and_then(part));
        if same(was, is, place) {
            return;
        }
        let elsewhere = |row: Option<&R>, value: &Value| {
            other_place.zip(row.and_then(other)).is_some_and(|(place, part)| part.is(place, value))
        };
        if let Some(was) = was.map(|part| part.value(place))
            && !elsewhere(new, &was)
        {
            self.remove(def, &was, id);
        }
        if let Some(is) = is.map(|part| part.value(place))
            && !elsewhere(old, &is)
        {
            self.insert(def, is, id);
        }
    }

    /// Lists many new rows, those together whose values lie together here: a large index is passed once, instead of
    /// jumped about in, which is a wait for memory each time.
    pub(crate) fn insert_all<R: Row, const ITEMS: usize>(
        &mut self,
        def: &TableDef,
        places: ColumnPlaces,
        rows: &Slab<R, ITEMS>,
        ids: &[u32],
    ) {
        let parts = (ids.len() / PART_ROWS + 1).next_power_of_two().min(PARTS_MAX);
        let mut parted = vec![Vec::with_capacity(ids.len() / parts + PART_ROWS); parts];
        let entries = self.by_hash.len() + ids.len();
        for (&id, row) in ids.iter().filter_map(|id| Some((id, rows.get(*id)?))) {
            for value in values_of(row, places).into_iter().flatten() {
                let hash = def.hash_of(&value);
                if let Some(part) = parted.get_mut(HashIndex::part(hash, entries, parts)) {
                    part.push((hash, value, id));
                }
            }
        }
        for (hash, value, row) in parted.into_iter().flatten() {
            self.list(hash, value, row);
        }
    }

    fn insert(&mut self, def: &TableDef, value: Value, row: u32) {
        self.list(def.hash_of(&value), value, row);
    }

    #[inline]
    fn list(&mut self, hash: u32, value: Value, row: u32) {
        if let Some(posting) = self.posting(hash, &value).and_then(|id| self.postings.get_mut(id)) {
            posting.rows.insert(row);
        } else {
            let id = self.postings.insert(Posting { value, rows: IdSet::one(row) });
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
            || self.desired.zip(row.desired()).is_some_and(|(place, part)| part.is(place, value))
            || self.current.zip(row.current()).is_some_and(|(place, part)| part.is(place, value))
    }
}
