//! Entries by their hashes, in pages: open addressing with linear probing, without tombstones.
//!
//! A look-up waits for memory once for each pointer on its way, so what is looked for lies in the table itself
//! where that is small: the primary index holds hashes and row ids ([`Hashed`]), another index its values with their rows.

use super::paged::Paged;

/// What a place of a table holds. The default is a free place.
pub(crate) trait Entry: Clone + Default {
    fn is_free(&self) -> bool;

    /// The hash that it was added with, if it is not free.
    fn hash(&self) -> u32;
}

/// An id with its hash: that in the upper half, the id plus one in the lower; 0 is a free place.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Hashed(u64);

impl Hashed {
    pub(crate) const fn new(hash: u32, id: u32) -> Self {
        Self((hash as u64) << 32 | (id as u64 + 1))
    }

    pub(crate) const fn id(self) -> u32 {
        (self.0 as u32).wrapping_sub(1)
    }
}

impl Entry for Hashed {
    #[inline]
    fn is_free(&self) -> bool {
        self.0 == 0
    }

    #[inline]
    fn hash(&self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// A multimap from 32-bit hashes to entries, in pages of `ITEMS`; the caller says which entry of equal hash is the right one.
#[derive(Debug, Clone)]
pub(crate) struct HashIndex<E, const ITEMS: usize> {
    entries: Paged<E, ITEMS>,
    len: usize,
}

impl<E, const ITEMS: usize> Default for HashIndex<E, ITEMS> {
    fn default() -> Self {
        Self { entries: Paged::default(), len: 0 }
    }
}

impl<E: Entry, const ITEMS: usize> HashIndex<E, ITEMS> {
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Where a hash has its place in so many equal parts, which lie in the order of hashes.
    #[inline]
    pub(crate) const fn part(hash: u32, parts: usize) -> usize {
        ((hash as u64 * parts as u64) >> 32) as usize
    }

    /// How many places so many entries take: whole pages, of which at most four fifths are used.
    const fn places(entries: usize) -> usize {
        (entries * 5).div_ceil(4).next_multiple_of(ITEMS)
    }

    const fn home(&self, hash: u32) -> usize {
        Self::part(hash, self.entries.len())
    }

    const fn after(&self, place: usize) -> usize {
        if place + 1 < self.entries.len() { place + 1 } else { 0 }
    }

    /// How far behind one place another one lies.
    const fn distance(&self, from: usize, to: usize) -> usize {
        if from <= to { to - from } else { to + self.entries.len() - from }
    }

    /// The first entry of that hash for which `is` gives something: its place, and that.
    #[inline]
    pub(crate) fn seek<'a, T>(&'a self, hash: u32, is: impl Fn(&'a E) -> Option<T>) -> Option<(usize, T)> {
        let mut place = self.home(hash);
        // Ends, because some places are always free.
        loop {
            let page = self.entries.page(place / ITEMS)?;
            for entry in page.get(place % ITEMS..)? {
                if entry.is_free() {
                    return None;
                }
                if entry.hash() == hash
                    && let Some(found) = is(entry)
                {
                    return Some((place, found));
                }
                place += 1;
            }
            place = if place < self.entries.len() { place } else { 0 };
        }
    }

    /// What `is` gives for an entry of that hash.
    #[inline]
    pub(crate) fn find<'a, T>(&'a self, hash: u32, is: impl Fn(&'a E) -> Option<T>) -> Option<T> {
        self.seek(hash, is).map(|(_, found)| found)
    }

    /// The entry in a place, to change it: its hash stays, and it does not become free.
    #[inline]
    pub(crate) fn get_mut(&mut self, place: usize) -> Option<&mut E> {
        self.entries.get_mut(place)
    }

    /// All entries, in no meaningful order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &E> {
        self.entries.iter().filter(|entry| !entry.is_free())
    }

    /// Adds an entry that is not there yet.
    pub(crate) fn insert(&mut self, entry: E) {
        self.reserve(1);
        self.fill(entry);
        self.len += 1;
    }

    fn is_free(&self, place: usize) -> bool {
        self.entries.get(place).is_none_or(E::is_free)
    }

    fn fill(&mut self, entry: E) {
        let mut place = self.home(entry.hash());
        while !self.is_free(place) {
            place = self.after(place);
        }
        self.put(place, entry);
    }

    fn put(&mut self, place: usize, entry: E) {
        if let Some(there) = self.entries.get_mut(place) {
            *there = entry;
        }
    }

    /// Makes room for so many more entries at once: twice as much as there is, at least, so that growing costs each entry little.
    pub(crate) fn reserve(&mut self, more: usize) {
        let (places, least) = (self.entries.len(), Self::places(self.len + more));
        if least > places {
            let larger = Paged::with_len(least.max(places * 2));
            let smaller = std::mem::replace(&mut self.entries, larger);
            smaller.into_items().filter(|entry| !entry.is_free()).for_each(|entry| self.fill(entry));
        }
    }

    /// Frees a place.
    pub(crate) fn remove(&mut self, place: usize) {
        let (mut hole, mut next) = (place, place);
        // Entries that were pushed past the hole by it move back, so that probing needs no tombstones.
        loop {
            next = self.after(next);
            let Some(entry) = self.entries.get(next).filter(|entry| !entry.is_free()) else { break };
            if self.distance(self.home(entry.hash()), next) >= self.distance(hole, next) {
                let moved = entry.clone();
                self.put(hole, moved);
                hole = next;
            }
        }
        self.put(hole, E::default());
        self.len -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Few distinct hashes, so that runs collide, wrap around and are torn open everywhere.
        #[test]
        fn it_is_a_map(steps in proptest::collection::vec((any::<bool>(), 0_u32..40, prop_oneof![Just(0), Just(5), Just(7), Just(u32::MAX)]), 0..300)) {
            let mut index = HashIndex::<Hashed, 16>::default();
            let mut model = std::collections::BTreeSet::new();
            for (add, id, salt) in steps {
                let hash = (id % 5).wrapping_add(salt);
                if add {
                    if model.insert((hash, id)) {
                        index.insert(Hashed::new(hash, id));
                    }
                } else {
                    let place = index.seek(hash, |it| (it.id() == id).then_some(())).map(|(place, ())| place);
                    prop_assert_eq!(place.is_some(), model.remove(&(hash, id)));
                    place.into_iter().for_each(|place| index.remove(place));
                }
                prop_assert_eq!(index.len(), model.len());
                prop_assert_eq!(index.iter().count(), model.len());
                for &(hash, id) in &model {
                    prop_assert_eq!(index.find(hash, |it| (it.id() == id).then_some(it.id())), Some(id));
                }
                prop_assert_eq!(index.find(hash, |it| (it.id() == 1000).then_some(())), None);
            }
        }
    }
}
