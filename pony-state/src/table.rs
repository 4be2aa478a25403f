//! One table's rows with its indexes, kept in step: the only place that writes either.
//!
//! Writes go through [`TableData::write`], which logs what a row was before a transaction first touched it; the
//! transaction decides later whether the log becomes changes or is undone.

mod invariants;
mod listings;
mod log;
mod ops;
mod order;

pub use invariants::InvariantError;
pub(crate) use log::KEPT_ENTRIES_MAX;
pub(crate) use ops::TableOps;

use crate::change::Versions;
use crate::engine::hash_index::{HashIndex, Hashed};
use crate::engine::id_set::Ids;
use crate::engine::index::Index;
use crate::engine::slab::Items;
use crate::row::Row;
use crate::schema::{ColumnPlaces, TableDef};
use crate::value::Value;
use listings::{Listed, Listings};
use log::{Before, First, Log};
use order::Rows;
use std::cmp::Ordering;
use std::mem;
use std::sync::Arc;

/// Rows per page: what one write copies while a snapshot lives, so few.
pub(crate) const PAGE_ROWS: usize = 8;

/// Entries per page of a primary index: 4 KiB, what one write copies while a snapshot lives.
const PAGE_KEYS: usize = 512;

/// How to get at one part of a row.
pub(crate) struct Access<R, P> {
    get: fn(&R) -> Option<&P>,
    get_mut: fn(&mut R) -> Option<&mut P>,
    set: fn(&mut R, Option<P>),
}

impl<R: Row> Access<R, R::Desired> {
    pub(crate) const DESIRED: Self = Self { get: R::desired, get_mut: R::desired_mut, set: R::set_desired };
}

impl<R: Row> Access<R, R::Current> {
    pub(crate) const CURRENT: Self = Self { get: R::current, get_mut: R::current_mut, set: R::set_current };
}

impl<R: Row, P> Access<R, P> {
    /// Gives a row the part, and says what it was.
    #[inline]
    fn replace(&self, row: &mut R, part: Option<P>) -> R {
        let before = row.clone();
        (self.set)(row, part);
        before
    }
}

/// A table.
#[derive(Debug, Clone)]
pub(crate) struct TableData<R: Row> {
    def: Arc<TableDef>,
    rows: Rows<R>,
    primary: HashIndex<Hashed, PAGE_KEYS>,
    listings: Listings,
    log: Log<R>,
}

impl<R: Row> TableData<R> {
    pub(crate) fn new(def: Arc<TableDef>) -> Self {
        let (rows, primary, listings) = (Rows::default(), HashIndex::default(), Listings::new(&def));
        Self { def, rows, primary, listings, log: Log::default() }
    }

    pub(crate) fn table_def(&self) -> &Arc<TableDef> {
        &self.def
    }

    pub(crate) const fn row_count(&self) -> usize {
        self.rows.len()
    }

    #[inline]
    pub(crate) fn by_id(&self, id: u32) -> Option<&R> {
        self.rows.get(id)
    }

    /// The row of a hash for which `is` holds, and its id.
    #[inline]
    fn find(&self, hash: u32, is: impl Fn(&R) -> bool) -> Option<(u32, &R)> {
        self.primary.find(hash, |entry| {
            let row = self.rows.get(entry.id()).filter(|row| is(row))?;
            Some((entry.id(), row))
        })
    }

    #[inline]
    fn find_id(&self, hash: u32, key: &R::Key) -> Option<u32> {
        self.find(hash, |row| row.has_key(key)).map(|(id, _)| id)
    }

    #[inline]
    pub(crate) fn id_of(&self, key: &R::Key) -> Option<u32> {
        self.find_id(self.def.hash_of(key), key)
    }

    #[inline]
    pub(crate) fn get(&self, key: &R::Key) -> Option<&R> {
        self.find(self.def.hash_of(key), |row| row.has_key(key)).map(|(_, row)| row)
    }

    /// All rows, in no meaningful order.
    pub(crate) fn rows(&self) -> Items<'_, R, PAGE_ROWS> {
        self.rows.items()
    }

    /// All row ids, in no meaningful order.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u32> + '_ {
        self.rows.iter().map(|(id, _)| id)
    }

    #[inline]
    fn listed(&self) -> &Listed {
        self.listings.whole(&self.def, &self.rows)
    }

    #[inline]
    fn index(&self, places: ColumnPlaces) -> Option<&Index> {
        self.listed().indexes.get(places.index?)
    }

    /// Row ids in the order of keys, beginning after a key (which need not exist).
    pub(crate) fn ids_after<'a>(&'a self, after: Option<&R::Key>) -> impl Iterator<Item = u32> + use<'a, R> {
        let order = &self.listed().order;
        let place = after.map_or((0, 0), |key| {
            let cmp = order::by_rank(&self.rows, R::rank(key), key);
            order.lower_bound(&|it| match cmp(it) {
                Ordering::Greater => Ordering::Greater,
                _ => Ordering::Less,
            })
        });
        order.iter_from(place).map(|it| it as u32)
    }

    /// Puts row ids into the order of keys.
    pub(crate) fn order_ids(&self, ids: &mut Vec<u32>) {
        order::sort(&self.rows, ids);
    }

    /// The rows that have a value in a column of these places, in either part or the key.
    #[inline]
    pub(crate) fn find_at(&self, places: ColumnPlaces, value: &Value) -> Ids<'_> {
        if let Some(index) = self.index(places) {
            return index.find(&self.def, value);
        }
        if places.key.is_some() {
            let key = R::key_of(std::slice::from_ref(value)).ok();
            return Ids::One(key.and_then(|key| self.id_of(&key)));
        }
        let value = value.clone();
        let holds = move |(id, row): (u32, &R)| places.hold(row, &value).then_some(id);
        Ids::Boxed(Box::new(self.rows.iter().filter_map(holds)))
    }

    /// About how many rows [`TableData::find_at`] would look at.
    pub(crate) fn find_cost(&self, places: ColumnPlaces, value: &Value) -> usize {
        match self.index(places) {
            Some(index) => index.count(&self.def, value),
            None if places.key.is_some() => 1,
            None => self.rows.len(),
        }
    }

    /// Makes the row of a key that one; it vanishes where that has no part. This and the other writing methods: says the
    /// place of the log entry, if that changed anything.
    pub(crate) fn put(&mut self, key: &R::Key, row: R) -> Option<usize> {
        if row.desired().is_none() && row.current().is_none() {
            return self.remove(key);
        }
        let hash = self.def.hash_of(key);
        match self.find(hash, |row| row.has_key(key)) {
            None => self.insert(hash, key, row),
            Some((_, there)) if *there == row => None,
            Some((id, _)) => self.change(hash, id, |place| mem::replace(place, row)),
        }
    }

    /// Gives the row of a key a part, or takes it away; the row is created where there is none, and vanishes where no part
    /// is left.
    pub(crate) fn set<P: PartialEq>(
        &mut self,
        key: &R::Key,
        access: &Access<R, P>,
        part: Option<P>,
    ) -> Option<usize> {
        let hash = self.def.hash_of(key);
        let Some((id, row)) = self.find(hash, |row| row.has_key(key)) else {
            let mut row = R::new(key.clone());
            (access.set)(&mut row, Some(part?));
            return self.insert(hash, key, row);
        };
        if (access.get)(row) == part.as_ref() {
            return None;
        }
        if part.is_none() && (row.desired().is_none() || row.current().is_none()) {
            return self.remove_at(hash, key, id);
        }
        self.change(hash, id, |row| access.replace(row, part))
    }

    /// Changes a part of the row of a key where there is one.
    pub(crate) fn update<P: PartialEq>(
        &mut self,
        key: &R::Key,
        access: &Access<R, P>,
        change: impl FnOnce(&mut P),
    ) -> Option<usize> {
        let hash = self.def.hash_of(key);
        let (id, row) = self.find(hash, |row| row.has_key(key))?;
        (access.get)(row)?;
        let place = self.rows.get_mut(id)?;
        let before = Versions::before(&self.def, place.clone());
        let before = Trial { place, before: Some(before) }.run(access, change)?;
        self.changed(hash, id, before)
    }

    /// Removes the row of a key.
    pub(crate) fn remove(&mut self, key: &R::Key) -> Option<usize> {
        let hash = self.def.hash_of(key);
        let id = self.find_id(hash, key)?;
        self.remove_at(hash, key, id)
    }

    fn insert(&mut self, hash: u32, key: &R::Key, row: R) -> Option<usize> {
        let id = self.rows.insert(row);
        self.primary.insert(Hashed::new(hash, id));
        self.listings.insert(&self.def, &self.rows, id, key);
        self.log.note(hash, id, Before::Nothing(key.clone()));
        Some(self.log.last())
    }

    /// Changes a row; `write` says what it was.
    #[inline]
    fn change(&mut self, hash: u32, id: u32, write: impl FnOnce(&mut R) -> R) -> Option<usize> {
        let before = Versions::before(&self.def, write(self.rows.get_mut(id)?));
        self.changed(hash, id, before)
    }

    /// Follows a change of a row.
    #[inline]
    fn changed(&mut self, hash: u32, id: u32, before: Arc<Versions<R>>) -> Option<usize> {
        self.listings.change(&self.def, &self.rows, id, before.before.as_ref());
        self.log.note(hash, id, Before::Row(before));
        Some(self.log.last())
    }

    fn remove_at(&mut self, hash: u32, key: &R::Key, id: u32) -> Option<usize> {
        self.listings.remove(&self.def, &self.rows, id, key);
        let place = self.primary.seek(hash, |entry| (entry.id() == id).then_some(()));
        if let Some((place, ())) = place {
            self.primary.remove(place);
        }
        let row = self.rows.remove(id)?;
        self.log.note(hash, id, Before::Row(Versions::before(&self.def, row)));
        Some(self.log.last())
    }

    /// What the log has noted as the first write to a row, and the row as it is; `None` where that has been said at its
    /// first touch, or where the row is what it was.
    fn take_versions(&mut self, place: usize) -> Option<Arc<Versions<R>>> {
        let First { hash, id, before, is_only } = self.log.take_first(place)?;
        let is = |row: &R| before.is_of(row);
        let row = self.by_id(id).filter(|row| is(row)).or_else(|| self.find(hash, is).map(|(_, row)| row));
        match before {
            Before::Row(versions) if !is_only && row == versions.before.as_ref() => None,
            Before::Row(mut versions) => {
                Arc::make_mut(&mut versions).after = row.cloned();
                Some(versions)
            }
            _ => {
                let (def, after) = (Arc::clone(&self.def), Some(row?.clone()));
                Some(Arc::new(Versions { def, before: None, after }))
            }
        }
    }

    /// Ends a transaction: forgets its log.
    fn end(&mut self) {
        self.listings.settle(&self.def, &self.rows);
        self.log.clear();
    }

    /// Ends a transaction after which more of its kind may come.
    fn end_bulk(&mut self) {
        self.listings.end_bulk();
        self.log.clear();
    }

    /// Makes rows what they were before all writes since the log was empty.
    fn undo_all(&mut self) {
        while let Some(before) = self.log.pop() {
            let undone = match before {
                Before::Row(versions) => {
                    Arc::unwrap_or_clone(versions).before.and_then(|row| self.put(&row.key(), row))
                }
                Before::Nothing(key) => self.remove(&key),
                Before::Taken => None,
            };
            // What undoes is not to be undone.
            if undone.is_some() {
                self.log.pop();
            }
        }
        self.end();
    }
}

/// A row that somebody changes in its place. What it was is put back, unless it is taken out: where `change` panics, too.
struct Trial<'a, R: Row> {
    place: &'a mut R,
    before: Option<Arc<Versions<R>>>,
}

impl<R: Row> Trial<'_, R> {
    /// Changes a part. Gives what the row was, if it is another one now.
    fn run<P: PartialEq>(
        mut self,
        access: &Access<R, P>,
        change: impl FnOnce(&mut P),
    ) -> Option<Arc<Versions<R>>> {
        change((access.get_mut)(self.place)?);
        let was = self.before.as_ref()?.before.as_ref().and_then(access.get);
        if was == (access.get)(self.place) { None } else { self.before.take() }
    }
}

impl<R: Row> Drop for Trial<'_, R> {
    fn drop(&mut self) {
        if let Some(row) = self.before.take().and_then(|it| Arc::unwrap_or_clone(it).before) {
            *self.place = row;
        }
    }
}
