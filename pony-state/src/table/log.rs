//! What the rows were before the running transaction touched them.

use crate::row::Row;
use hashbrown::HashTable;

/// Up to this many entries are searched one by one: most transactions never build the hash table.
const LINEAR_ENTRIES_MAX: usize = 8;

/// A log that has grown beyond this gives its memory back afterwards.
const KEPT_ENTRIES_MAX: usize = 1024;

/// One row's first touch.
#[derive(Debug)]
struct Entry<R: Row> {
    hash: u32,
    key: R::Key,
    /// What it was.
    before: Option<R>,
}

/// The rows touched, each once, in the order of their first touch. Empty between transactions.
#[derive(Debug)]
pub(crate) struct Log<R: Row> {
    entries: Vec<Entry<R>>,
    places: HashTable<usize>,
}

impl<R: Row> Default for Log<R> {
    fn default() -> Self {
        Self { entries: Vec::new(), places: HashTable::new() }
    }
}

/// A copy of a table is made for, or because of, a snapshot: no transaction of it has begun.
impl<R: Row> Clone for Log<R> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<R: Row> Log<R> {
    fn knows(&self, hash: u32, key: &R::Key) -> bool {
        let is = |entry: &Entry<R>| entry.hash == hash && entry.key == *key;
        if self.entries.len() <= LINEAR_ENTRIES_MAX {
            return self.entries.iter().any(is);
        }
        self.places.find(spread(hash), |&place| self.entries.get(place).is_some_and(is)).is_some()
    }

    /// Notes what a row was, unless that has been noted. Says the place of a new entry.
    pub(super) fn push(&mut self, hash: u32, key: &R::Key, before: Option<R>) -> Option<usize> {
        if self.knows(hash, key) {
            return None;
        }
        self.entries.push(Entry { hash, key: key.clone(), before });
        let last = self.entries.len() - 1;
        if self.entries.len() > LINEAR_ENTRIES_MAX {
            let from = if self.places.is_empty() { 0 } else { last };
            for place in from..=last {
                let entries = &self.entries;
                let hasher = |&it: &usize| entries.get(it).map_or(0, |entry| spread(entry.hash));
                let hash = hasher(&place);
                self.places.insert_unique(hash, place, hasher);
            }
        }
        Some(last)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes what a row was out of its entry.
    pub(super) fn take(&mut self, place: usize) -> Option<(R::Key, Option<R>)> {
        let entry = self.entries.get_mut(place)?;
        Some((entry.key.clone(), entry.before.take()))
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.places.clear();
        if self.entries.capacity() > KEPT_ENTRIES_MAX {
            *self = Self::default();
        }
    }
}

/// The hash table takes its control bytes from the upper bits.
const fn spread(hash: u32) -> u64 {
    (hash as u64) << 32 | hash as u64
}
