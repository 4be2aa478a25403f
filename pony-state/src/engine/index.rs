//! A secondary index: from the values that a column has in either part (or in the key) to rows.

use super::hash_index::{Entry, HashIndex};
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

/// The rows of one value: one at least, or the place is free.
#[derive(Debug, Clone, Default)]
struct Posting {
    value: Value,
    hash: u32,
    rows: IdSet,
}

impl Entry for Posting {
    #[inline]
    fn is_free(&self) -> bool {
        self.rows.is_empty()
    }

    #[inline]
    fn hash(&self) -> u32 {
        self.hash
    }
}

type Postings = HashIndex<Posting, PAGE_POSTINGS>;

/// An index over the columns of one name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Index {
    postings: Postings,
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
    /// The posting of a value, and its place.
    #[inline]
    fn posting(&self, hash: u32, value: &Value) -> Option<(usize, &IdSet)> {
        self.postings.seek(hash, |posting| (posting.value == *value).then_some(&posting.rows))
    }

    #[inline]
    fn rows_of(&self, def: &TableDef, value: &Value) -> Option<&IdSet> {
        self.posting(def.hash_of(value), value).map(|(_, rows)| rows)
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
        self.postings.iter().map(|posting| (&posting.value, &posting.rows))
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
        for (&id, row) in ids.iter().filter_map(|id| Some((id, rows.get(*id)?))) {
            for value in values_of(row, places).into_iter().flatten() {
                let hash = def.hash_of(&value);
                if let Some(part) = parted.get_mut(Postings::part(hash, parts)) {
                    part.push((hash, value, id));
                }
            }
        }
        let before = self.postings.len();
        for (done, part) in parted.into_iter().enumerate() {
            part.into_iter().for_each(|(hash, value, row)| self.list(hash, value, row));
            if done == 0 {
                // The other parts have about as many new values.
                self.postings.reserve((self.postings.len() - before) * (parts - 1));
            }
        }
    }

    fn insert(&mut self, def: &TableDef, value: Value, row: u32) {
        self.list(def.hash_of(&value), value, row);
    }

    #[inline]
    fn list(&mut self, hash: u32, value: Value, row: u32) {
        let place = self.posting(hash, &value).map(|(place, _)| place);
        match place.and_then(|place| self.postings.get_mut(place)) {
            Some(posting) => {
                posting.rows.insert(row);
            }
            None => self.postings.insert(Posting { value, hash, rows: IdSet::one(row) }),
        }
    }

    fn remove(&mut self, def: &TableDef, value: &Value, row: u32) {
        let Some((place, _)) = self.posting(def.hash_of(value), value) else { return };
        let Some(posting) = self.postings.get_mut(place) else { return };
        posting.rows.remove(row);
        if posting.rows.is_empty() {
            self.postings.remove(place);
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
