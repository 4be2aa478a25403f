//! What the rows were before each write of the running transaction: an undo log, and what becomes the changes.

use crate::change::Versions;
use crate::row::Row;
use hashbrown::HashTable;
use std::sync::Arc;

/// Up to this many entries are searched one by one: most transactions never build the hash table.
const LINEAR_ENTRIES_MAX: usize = 8;

/// A list of log entries that has grown beyond this gives its memory back afterwards.
pub(crate) const KEPT_ENTRIES_MAX: usize = 1024;

/// One write.
#[derive(Debug)]
struct Entry<R: Row> {
    hash: u32,
    id: u32,
    touch: Touch,
    before: Before<R>,
}

/// What a row was.
#[derive(Debug)]
pub(super) enum Before<R: Row> {
    /// There was no row of that key. New rows, of which there may be very many, need no more than this.
    Nothing(R::Key),
    /// What comes after it is not said yet.
    Row(Arc<Versions<R>>),
    /// It has been taken out.
    Taken,
}

impl<R: Row> Before<R> {
    fn key(&self) -> Option<R::Key> {
        match self {
            Self::Nothing(key) => Some(key.clone()),
            Self::Row(versions) => versions.key(),
            Self::Taken => None,
        }
    }

    /// Whether it is an earlier version of that row.
    pub(super) fn is_of(&self, row: &R) -> bool {
        match self {
            Self::Nothing(key) => row.has_key(key),
            Self::Row(versions) => versions.key().is_some_and(|key| row.has_key(&key)),
            Self::Taken => false,
        }
    }
}

/// Which of a transaction's writes to a row one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Touch {
    Only,
    FirstOfSome,
    Later,
}

/// The first of a transaction's writes to a row.
pub(super) struct First<R: Row> {
    pub(super) hash: u32,
    /// Where the row was then, and most likely is.
    pub(super) id: u32,
    pub(super) before: Before<R>,
    /// Whether it was the only one: the row is not what it was then.
    pub(super) is_only: bool,
}

/// The writes, in order. Empty between transactions.
#[derive(Debug)]
pub(crate) struct Log<R: Row> {
    entries: Vec<Entry<R>>,
}

impl<R: Row> Default for Log<R> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

/// A copy of a table is made for, or because of, a snapshot: no transaction of it has begun.
impl<R: Row> Clone for Log<R> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<R: Row> Log<R> {
    /// The place of the last entry.
    pub(super) const fn last(&self) -> usize {
        self.entries.len().saturating_sub(1)
    }

    /// Notes what a row was before a write.
    pub(super) fn note(&mut self, hash: u32, id: u32, before: Before<R>) {
        self.entries.push(Entry { hash, id, touch: Touch::Only, before });
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Finds out which entries are the first ones of their rows.
    pub(super) fn settle(&mut self) {
        if self.entries.len() <= LINEAR_ENTRIES_MAX {
            for place in 1..self.entries.len() {
                let (earlier, rest) = self.entries.split_at_mut(place);
                let Some(entry) = rest.first_mut() else { break };
                let key = entry.before.key();
                let same = |it: &&mut Entry<R>| it.hash == entry.hash && it.before.key() == key;
                if let Some(first) = earlier.iter_mut().find(same) {
                    (first.touch, entry.touch) = (Touch::FirstOfSome, Touch::Later);
                }
            }
            return;
        }
        let mut firsts = HashTable::<u32>::with_capacity(self.entries.len());
        for place in 0..self.entries.len() {
            let entries = &self.entries;
            let Some(entry) = entries.get(place) else { break };
            let key = entry.before.key();
            let same = |&it: &u32| entries.get(it as usize).is_some_and(|it| it.before.key() == key);
            let hasher = |&it: &u32| entries.get(it as usize).map_or(0, |it| spread(it.hash));
            match firsts.find(spread(entry.hash), same).copied() {
                Some(first) => {
                    self.touch(first as usize, Touch::FirstOfSome);
                    self.touch(place, Touch::Later);
                }
                None => {
                    firsts.insert_unique(spread(entry.hash), place as u32, hasher);
                }
            }
        }
    }

    fn touch(&mut self, place: usize, touch: Touch) {
        if let Some(entry) = self.entries.get_mut(place) {
            entry.touch = touch;
        }
    }

    /// Takes what a settled log says of a row; `None` where that has been said at its first touch.
    pub(super) fn take_first(&mut self, place: usize) -> Option<First<R>> {
        let entry = self.entries.get_mut(place).filter(|entry| entry.touch != Touch::Later)?;
        let before = std::mem::replace(&mut entry.before, Before::Taken);
        Some(First { hash: entry.hash, id: entry.id, before, is_only: entry.touch == Touch::Only })
    }

    /// Takes the last entry: what the row was.
    pub(super) fn pop(&mut self) -> Option<Before<R>> {
        self.entries.pop().map(|entry| entry.before)
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.entries.shrink_to(KEPT_ENTRIES_MAX);
    }
}

/// The hash table takes its control bytes from the upper bits.
const fn spread(hash: u32) -> u64 {
    (hash as u64) << 32 | hash as u64
}
