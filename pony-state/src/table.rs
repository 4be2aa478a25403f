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
use crate::engine::slab::{Items, Slab};
use crate::engine::sorted::Sorted;
use crate::row::Row;
use crate::schema::{ColumnPlaces, TableDef};
use crate::value::Value;
use log::Log;
use std::cmp::Ordering;
use std::sync::Arc;

/// A row in the order of keys: its rank in the upper half, its id in the lower. See [`Row::rank`].
type Ranked = u64;

const fn ranked(rank: u32, id: u32) -> Ranked {
    (rank as u64) << 32 | id as u64
}

/// What is to become of a row.
pub(crate) enum Edit<R: Row> {
    Row(R),
    Desired(Option<R::Desired>),
    Current(Option<R::Current>),
    Remove,
}

impl<R: Row> Edit<R> {
    /// Whether the row is like that already.
    fn is_idle(&self, row: &R) -> bool {
        match self {
            Self::Row(new) => new == row,
            Self::Desired(part) => part.as_ref() == row.desired(),
            Self::Current(part) => part.as_ref() == row.current(),
            Self::Remove => false,
        }
    }

    /// Whether a row is left without parts.
    fn vanishes(&self, row: Option<&R>) -> bool {
        let absent = |row: &R| row.desired().is_none() && row.current().is_none();
        match self {
            Self::Row(new) => absent(new),
            Self::Desired(part) => part.is_none() && row.is_none_or(|row| row.current().is_none()),
            Self::Current(part) => part.is_none() && row.is_none_or(|row| row.desired().is_none()),
            Self::Remove => true,
        }
    }

    fn apply(self, row: &mut R) {
        match self {
            Self::Row(new) => *row = new,
            Self::Desired(part) => row.set_desired(part),
            Self::Current(part) => row.set_current(part),
            Self::Remove => {}
        }
    }
}

/// A table.
#[derive(Debug, Clone)]
pub(crate) struct TableData<R: Row> {
    def: Arc<TableDef>,
    rows: Slab<R>,
    primary: HashIndex,
    /// Row ids in the order of keys. Behind an `Arc`, because only new and removed rows change it.
    order: Arc<Sorted<Ranked>>,
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

    #[inline]
    pub(crate) fn by_id(&self, id: u32) -> Option<&R> {
        self.rows.get(id)
    }

    #[inline]
    fn find_id(&self, hash: u32, key: &R::Key) -> Option<u32> {
        self.primary.find(hash, |id| self.rows.get(id).is_some_and(|row| row.has_key(key)))
    }

    #[inline]
    pub(crate) fn id_of(&self, key: &R::Key) -> Option<u32> {
        self.find_id(self.def.hash_of(key), key)
    }

    #[inline]
    pub(crate) fn get(&self, key: &R::Key) -> Option<&R> {
        self.rows.get(self.id_of(key)?)
    }

    /// All rows, in no meaningful order.
    pub(crate) fn rows(&self) -> Items<'_, R> {
        self.rows.items()
    }

    /// All row ids, in no meaningful order.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u32> + '_ {
        self.rows.iter().map(|(id, _)| id)
    }

    /// Row ids in the order of keys, beginning after a key (which need not exist).
    pub(crate) fn ids_after<'a>(&'a self, after: Option<&R::Key>) -> impl Iterator<Item = u32> + use<'a, R> {
        let place = after.map_or((0, 0), |key| {
            let cmp = self.compare(key);
            self.order.lower_bound(|it| match cmp(it) {
                Ordering::Greater => Ordering::Greater,
                _ => Ordering::Less,
            })
        });
        self.order.iter_from(place).map(|it| it as u32)
    }

    /// How rows compare with a key.
    fn compare<'a>(&'a self, key: &'a R::Key) -> impl Fn(Ranked) -> Ordering + 'a {
        by_rank(&self.rows, R::rank(key), key)
    }

    /// The rows that have a value in a column of either part or of the key. `None`: there is no such column.
    pub(crate) fn find(&self, column: &str, value: &Value) -> Option<Ids<'_>> {
        self.def.places(column).map(|places| self.find_at(places, value))
    }

    /// The rows that have a value in a column of these places.
    pub(crate) fn find_at(&self, places: ColumnPlaces, value: &Value) -> Ids<'_> {
        if let Some(index) = places.index.and_then(|index| self.indexes.get(index)) {
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

    /// About how many rows [`TableData::find`] would look at.
    pub(crate) fn find_cost(&self, column: &str, value: &Value) -> usize {
        let Some(places) = self.def.places(column) else { return 0 };
        match places.index.and_then(|index| self.indexes.get(index)) {
            Some(index) => index.count(&self.def, value),
            None if places.key.is_some() => 1,
            None => self.rows.len(),
        }
    }

    /// Changes the row of a key; it is created where there is none, and vanishes where no part is left. Says the place
    /// of the log entry, if that changed anything.
    pub(crate) fn write(&mut self, key: &R::Key, edit: Edit<R>) -> Option<usize> {
        let hash = self.def.hash_of(key);
        self.write_at(hash, key, self.find_id(hash, key), edit)
    }

    /// Changes the row of a key by what `edit` makes of what there is. Says the same.
    pub(crate) fn rewrite(
        &mut self,
        key: &R::Key,
        edit: impl FnOnce(&R) -> Option<Edit<R>>,
    ) -> Option<usize> {
        let hash = self.def.hash_of(key);
        let id = self.find_id(hash, key)?;
        let edit = edit(self.rows.get(id)?)?;
        self.write_at(hash, key, Some(id), edit)
    }

    fn write_at(&mut self, hash: u32, key: &R::Key, id: Option<u32>, edit: Edit<R>) -> Option<usize> {
        let old = id.and_then(|id| self.rows.get(id));
        let before = match (id, edit.vanishes(old)) {
            (None, true) => return None,
            (None, false) => {
                let mut row = R::new(key.clone());
                edit.apply(&mut row);
                self.insert(hash, key, row);
                None
            }
            (Some(id), true) => self.remove(hash, key, id),
            (Some(_), false) if old.is_some_and(|row| edit.is_idle(row)) => return None,
            (Some(id), false) => self.replace(id, edit),
        };
        Some(self.log.push(hash, key.clone(), before))
    }

    fn insert(&mut self, hash: u32, key: &R::Key, row: R) {
        let (id, rank) = (self.rows.insert(row), R::rank(key));
        self.primary.insert(hash, id);
        Arc::make_mut(&mut self.order).insert(ranked(rank, id), by_rank(&self.rows, rank, key));
        update_indexes(&self.def, &mut self.indexes, id, None, self.rows.get(id));
    }

    fn replace(&mut self, id: u32, edit: Edit<R>) -> Option<R> {
        let row = self.rows.get_mut(id)?;
        let old = row.clone();
        edit.apply(row);
        update_indexes(&self.def, &mut self.indexes, id, Some(&old), Some(row));
        Some(old)
    }

    fn remove(&mut self, hash: u32, key: &R::Key, id: u32) -> Option<R> {
        Arc::make_mut(&mut self.order).remove(by_rank(&self.rows, R::rank(key), key));
        self.primary.remove(hash, id);
        let old = self.rows.remove(id);
        update_indexes(&self.def, &mut self.indexes, id, old.as_ref(), None);
        old
    }

    /// Makes rows what they were before all writes since the log was empty.
    fn undo_all(&mut self) {
        while let Some((key, before)) = self.log.pop() {
            self.write(&key, before.map_or(Edit::Remove, Edit::Row));
            // What undoes is not to be undone.
            self.log.pop();
        }
        self.log.clear();
    }
}

/// How listed rows compare with a key of that rank.
fn by_rank<'a, R: Row>(rows: &'a Slab<R>, rank: u32, key: &'a R::Key) -> impl Fn(Ranked) -> Ordering + 'a {
    move |it| match ((it >> 32) as u32).cmp(&rank) {
        Ordering::Equal => rows.get(it as u32).map_or(Ordering::Less, |row| row.cmp_key(key)),
        differs => differs,
    }
}

fn update_indexes<R: Row>(def: &TableDef, indexes: &mut [Index], id: u32, old: Option<&R>, new: Option<&R>) {
    for ((_, places), index) in def.indexed().iter().zip(indexes) {
        index.update(def, *places, id, old, new);
    }
}
