//! What the rows were before each write of the running transaction: an undo log.

use crate::row::Row;
use hashbrown::HashTable;

/// Up to this many entries are searched one by one: most transactions never build the hash table.
const LINEAR_ENTRIES_MAX: usize = 8;

/// A log that has grown beyond this gives its memory back afterwards.
const KEPT_ENTRIES_MAX: usize = 1024;

/// In [`Entry::before`]: there was no row.
const NOTHING: u32 = u32::MAX;

/// One write.
#[derive(Debug)]
struct Entry<R: Row> {
    hash: u32,
    /// The place in the log's list of rows.
    before: u32,
    key: R::Key,
    touch: Touch,
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
    pub(super) key: R::Key,
    /// What the row was.
    pub(super) before: Option<R>,
    /// Whether it was the only one: the row is not what it was then.
    pub(super) is_only: bool,
}

/// The writes, in order. Empty between transactions.
#[derive(Debug)]
pub(crate) struct Log<R: Row> {
    entries: Vec<Entry<R>>,
    /// What rows were. Apart from the entries: new rows, of which there may be very many, need no place here.
    rows: Vec<Option<R>>,
}

impl<R: Row> Default for Log<R> {
    fn default() -> Self {
        Self { entries: Vec::new(), rows: Vec::new() }
    }
}

/// A copy of a table is made for, or because of, a snapshot: no transaction of it has begun.
impl<R: Row> Clone for Log<R> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<R: Row> Log<R> {
    /// Notes what a row was. Says the place of the entry.
    pub(super) fn push(&mut self, hash: u32, key: R::Key, before: Option<R>) -> usize {
        let mut place = NOTHING;
        if before.is_some() {
            place = self.rows.len() as u32;
            self.rows.push(before);
        }
        self.entries.push(Entry { hash, key, before: place, touch: Touch::Only });
        self.entries.len() - 1
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
                let first = earlier.iter_mut().find(|it| it.hash == entry.hash && it.key == entry.key);
                if let Some(first) = first {
                    (first.touch, entry.touch) = (Touch::FirstOfSome, Touch::Later);
                }
            }
            return;
        }
        let mut firsts = HashTable::<u32>::with_capacity(self.entries.len());
        for place in 0..self.entries.len() {
            let entries = &self.entries;
            let Some(entry) = entries.get(place) else { break };
            let same = |&it: &u32| entries.get(it as usize).is_some_and(|it| it.key == entry.key);
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

    fn take_row(&mut self, place: u32) -> Option<R> {
        self.rows.get_mut(place as usize).and_then(Option::take)
    }

    /// Takes what a settled log says of a row; `None` where that has been said at its first touch.
    pub(super) fn take_first(&mut self, place: usize) -> Option<First<R>> {
        let entry = self.entries.get(place).filter(|entry| entry.touch != Touch::Later)?;
        let (hash, key, before, is_only) =
            (entry.hash, entry.key.clone(), entry.before, entry.touch == Touch::Only);
        Some(First { hash, key, before: self.take_row(before), is_only })
    }

    /// Takes the last entry: the key, and what the row was.
    pub(super) fn pop(&mut self) -> Option<(R::Key, Option<R>)> {
        let entry = self.entries.pop()?;
        let before = self.take_row(entry.before);
        Some((entry.key, before))
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.rows.clear();
        if self.entries.capacity() > KEPT_ENTRIES_MAX {
            *self = Self::default();
        }
    }
}

/// The hash table takes its control bytes from the upper bits.
const fn spread(hash: u32) -> u64 {
    (hash as u64) << 32 | hash as u64
}
