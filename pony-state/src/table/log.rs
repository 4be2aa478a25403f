//! What the rows were before each write of the running transaction: an undo log, and what becomes the changes.

use crate::change::Versions;
use crate::row::Row;
use hashbrown::HashTable;
use std::sync::Arc;

/// Up to this many entries are searched one by one: most transactions never build the hash table.
const LINEAR_ENTRIES_MAX: usize = 8;

/// A log that has grown beyond this gives its memory back afterwards.
const KEPT_ENTRIES_MAX: usize = 1024;

/// One write.
#[derive(Debug)]
struct Entry<R: Row> {
    hash: u32,
    touch: Touch,
    before: Before<R>,
}

/// What a row was. It lies where the change that may come of it will have it.
#[derive(Debug)]
pub(super) enum Before<R: Row> {
    /// There was no row of that key. New rows, of which there may be very many, need no more than this.
    Nothing(R::Key),
    Row(Arc<Versions<R>>),
    /// It has been taken out.
    Taken,
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

impl<R: Row> Before<R> {
    fn key(&self) -> Option<&R::Key> {
        match self {
            Self::Nothing(key) => Some(key),
            Self::Row(versions) => Some(&versions.key),
            Self::Taken => None,
        }
    }

    pub(super) fn row(&self) -> Option<&R> {
        if let Self::Row(versions) = self { versions.before.as_ref() } else { None }
    }
}

impl<R: Row> Log<R> {
    /// The place of the last entry.
    pub(super) const fn last(&self) -> usize {
        self.entries.len().saturating_sub(1)
    }

    /// Notes that there was no row of that key.
    pub(super) fn note_nothing(&mut self, hash: u32, key: R::Key) {
        self.entries.push(Entry { hash, touch: Touch::Only, before: Before::Nothing(key) });
    }

    /// Notes what a row is before it changes.
    pub(super) fn note(&mut self, hash: u32, key: R::Key, row: R) -> Option<&R> {
        let versions = Arc::new(Versions { key, before: Some(row), after: None });
        self.entries.push(Entry { hash, touch: Touch::Only, before: Before::Row(versions) });
        self.entries.last()?.before.row()
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
                let same =
                    |it: &&mut Entry<R>| it.hash == entry.hash && it.before.key() == entry.before.key();
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
            let same =
                |&it: &u32| entries.get(it as usize).is_some_and(|it| it.before.key() == entry.before.key());
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
        Some(First { hash: entry.hash, before, is_only: entry.touch == Touch::Only })
    }

    /// Takes the last entry: the key, and what the row was.
    pub(super) fn pop(&mut self) -> Option<(R::Key, Option<R>)> {
        match self.entries.pop()?.before {
            Before::Nothing(key) => Some((key, None)),
            Before::Row(versions) => {
                let key = versions.key.clone();
                Some((key, Arc::unwrap_or_clone(versions).before))
            }
            Before::Taken => None,
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        if self.entries.capacity() > KEPT_ENTRIES_MAX {
            *self = Self::default();
        }
    }
}

/// The hash table takes its control bytes from the upper bits.
const fn spread(hash: u32) -> u64 {
    (hash as u64) << 32 | hash as u64
}
