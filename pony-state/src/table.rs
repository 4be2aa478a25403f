//! One table's rows with its indexes, kept in step: the only place that writes either.
//!
//! Writes go through [`TableData::write`], which logs what a row was before a transaction first touched it; the
//! transaction decides later whether the log becomes changes or is undone.

mod invariants;
mod log;
mod ops;

pub use invariants::InvariantError;
pub(crate) use ops::TableOps;

use crate::engine::hash_index::HashIndex;
use crate::engine::id_set::Ids;
use crate::engine::index::Index;
use crate::engine::slab::Slab;
use crate::engine::sorted_ids::SortedIds;
use crate::row::Row;
use crate::schema::TableDef;
use crate::value::Value;
use log::Log;
use std::cmp::Ordering;
use std::sync::Arc;

/// What a write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// The row was like that before.
    Unchanged,
    /// The row changed, not for the first time in this transaction.
    Again,
    /// The row changed for the first time in this transaction; the place of its log entry.
    First(usize),
}

/// A table.
#[derive(Debug, Clone)]
pub(crate) struct TableData<R: Row> {
    def: Arc<TableDef>,
    rows: Slab<R>,
    primary: HashIndex,
    /// Row ids in the order of keys. Behind an `Arc`, because only new and removed rows change it.
    order: Arc<SortedIds>,
    /// In the order of [`TableDef::indexed`].
    indexes: Vec<Index>,
    log: Log<R>,
}

impl<R: Row> TableData<R> {
    pub(crate) fn new(def: Arc<TableDef>) -> Self {
        let indexes = vec![Index::default(); def.indexed().len()];
        let (rows, primary, order) = (Slab::default(), HashIndex::default(), Arc::default());
        Self { def, rows, primary, order, indexes, log: Log::default() }
    }

    pub(crate) fn table_def(&self) -> &Arc<TableDef> {
        &self.def
    }

    pub(crate) const fn row_count(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn by_id(&self, id: u32) -> Option<&R> {
        self.rows.get(id)
    }

    fn find_id(&self, hash: u32, key: &R::Key) -> Option<u32> {
        let is = |id| self.rows.get(id).is_some_and(|row| row.cmp_key(key) == Ordering::Equal);
        self.primary.find(hash, is)
    }

    pub(crate) fn id_of(&self, key: &R::Key) -> Option<u32> {
        self.find_id(self.def.hash_of(key), key)
    }

    pub(crate) fn get(&self, key: &R::Key) -> Option<&R> {
        self.rows.get(self.id_of(key)?)
    }

    /// All row ids, in no meaningful order.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u32> + '_ {
        self.rows.iter().map(|(id, _)| id)
    }

    /// Row ids in the order of keys, beginning after a key (which need not exist).
    pub(crate) fn ids_after<'a>(&'a self, after: Option<&R::Key>) -> impl Iterator<Item = u32> + use<'a, R> {
        let place = after.map_or((0, 0), |key| {
            self.order.lower_bound(|id| match self.cmp_key(id, key) {
                Ordering::Greater => Ordering::Greater,
                _ => Ordering::Less,
            })
        });
        self.order.iter_from(place)
    }

    fn cmp_key(&self, id: u32, key: &R::Key) -> Ordering {
        self.rows.get(id).map_or(Ordering::Less, |row| row.cmp_key(key))
    }

    /// The rows that have a value in a column of either part or of the key. `None`: there is no such column.
    pub(crate) fn find(&self, column: &str, value: &Value) -> Option<Ids<'_>> {
        let places = self.def.places(column)?;
        if let Some(index) = places.index.and_then(|index| self.indexes.get(index)) {
            return Some(index.find(&self.def, value));
        }
        if places.key.is_some() {
            let key = R::typed_key(&crate::Key::one(value.clone())).ok();
            let id = key.and_then(|key| self.id_of(&key));
            return Some(id.map_or(Ids::None, |id| Ids::One(std::iter::once(id))));
        }
        let value = value.clone();
        let holds = move |(id, row): (u32, &R)| places.hold(row, &value).then_some(id);
        Some(Ids::Boxed(Box::new(self.rows.iter().filter_map(holds))))
    }

    /// About how many rows [`TableData::find`] would look at.
    pub(crate) fn find_cost(&self, column: &str, value: &Value) -> usize {
        let Some(places) = self.def.places(column) else { return 0 };
        match places.index.and_then(|index| self.indexes.get(index)) {
            Some(index) => index.count(&self.def, value),
            None if places.key.is_some() => 1,
            None => self.rows.len(),
        }
    }

    /// Changes the row of a key; it is created where there is none, and vanishes where no part is left.
    pub(crate) fn write(&mut self, key: &R::Key, change: impl FnOnce(&mut R)) -> Written {
        let hash = self.def.hash_of(key);
        let id = self.find_id(hash, key);
        let old = id.and_then(|id| self.rows.get(id));
        let mut new = old.cloned().unwrap_or_else(|| R::new(key.clone()));
        change(&mut new);
        let vanishes = new.desired().is_none() && new.current().is_none();
        match id {
            None if vanishes => return Written::Unchanged,
            Some(_) if !vanishes && old == Some(&new) => return Written::Unchanged,
            _ => {}
        }
        let old = match id {
            None => {
                self.insert(hash, key, new);
                None
            }
            Some(id) if vanishes => self.remove(hash, key, id),
            Some(id) => self.replace(id, new),
        };
        self.log.push(hash, key, old).map_or(Written::Again, Written::First)
    }

    fn insert(&mut self, hash: u32, key: &R::Key, row: R) {
        let id = self.rows.insert(row);
        self.primary.insert(hash, id);
        let rows = &self.rows;
        Arc::make_mut(&mut self.order)
            .insert(id, |it| rows.get(it).map_or(Ordering::Less, |row| row.cmp_key(key)));
        update_indexes(&self.def, &mut self.indexes, id, None, self.rows.get(id));
    }

    fn replace(&mut self, id: u32, row: R) -> Option<R> {
        let old = std::mem::replace(self.rows.get_mut(id)?, row);
        update_indexes(&self.def, &mut self.indexes, id, Some(&old), self.rows.get(id));
        Some(old)
    }

    fn remove(&mut self, hash: u32, key: &R::Key, id: u32) -> Option<R> {
        let rows = &self.rows;
        Arc::make_mut(&mut self.order)
            .remove(|it| rows.get(it).map_or(Ordering::Less, |row| row.cmp_key(key)));
        self.primary.remove(hash, id);
        let old = self.rows.remove(id);
        update_indexes(&self.def, &mut self.indexes, id, old.as_ref(), None);
        old
    }
}

fn update_indexes<R: Row>(def: &TableDef, indexes: &mut [Index], id: u32, old: Option<&R>, new: Option<&R>) {
    for ((_, places), index) in def.indexed().iter().zip(indexes) {
        index.update(def, *places, id, old, new);
    }
}
