//! From hashes to ids, in pages: open addressing with linear probing, holding no keys.

use super::paged::Paged;

/// Entries per page: 4 KiB, what one write copies while a snapshot lives.
const PAGE_ENTRIES: usize = 512;

/// An entry is the hash in the upper half and the id plus one in the lower; 0 is a free place.
type Entry = u64;

const fn entry(hash: u32, id: u32) -> Entry {
    (hash as u64) << 32 | (id as u64 + 1)
}

const fn hash_of(entry: Entry) -> u32 {
    (entry >> 32) as u32
}

const fn id_of(entry: Entry) -> u32 {
    (entry as u32).wrapping_sub(1)
}

/// A multimap from 32-bit hashes to ids; the caller says which id of equal hash is the right one.
#[derive(Debug, Clone, Default)]
pub(crate) struct HashIndex {
    entries: Paged<Entry, PAGE_ENTRIES>,
    len: usize,
}

impl HashIndex {
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// In which of so many equal parts of an index of that many entries a hash has its place; both numbers of parts and of
    /// places are powers of two.
    pub(crate) const fn part(hash: u32, entries: usize, parts: usize) -> usize {
        let places = Self::places(entries);
        (hash as usize & (places - 1)) / places.div_ceil(parts)
    }

    /// How many places so many entries take.
    const fn places(entries: usize) -> usize {
        let least = (entries * 4).div_ceil(3).next_power_of_two();
        if least < PAGE_ENTRIES { PAGE_ENTRIES } else { least }
    }

    const fn mask(&self) -> usize {
        self.entries.len().wrapping_sub(1)
    }

    fn at(&self, place: usize) -> Entry {
        self.entries.get(place).copied().unwrap_or(0)
    }

    fn put(&mut self, place: usize, entry: Entry) {
        if let Some(there) = self.entries.get_mut(place) {
            *there = entry;
        }
    }

    /// The entry for which hash and `is` hold: its place, and its id.
    #[inline]
    fn entry(&self, hash: u32, is: impl Fn(u32) -> bool) -> Option<(usize, u32)> {
        let mut place = hash as usize & self.mask();
        // Ends, because some places are always free.
        loop {
            let page = self.entries.page(place / PAGE_ENTRIES)?;
            for &entry in page.get(place % PAGE_ENTRIES..)? {
                if entry == 0 {
                    return None;
                }
                if hash_of(entry) == hash && is(id_of(entry)) {
                    return Some((place, id_of(entry)));
                }
                place += 1;
            }
            place &= self.mask();
        }
    }

    /// The id for which hash and `is` hold.
    #[inline]
    pub(crate) fn find(&self, hash: u32, is: impl Fn(u32) -> bool) -> Option<u32> {
        self.entry(hash, is).map(|(_, id)| id)
    }

    /// Adds an id that is not there yet.
    pub(crate) fn insert(&mut self, hash: u32, id: u32) {
        if (self.len + 1) * 4 > self.entries.len() * 3 {
            self.grow();
        }
        self.fill(entry(hash, id));
        self.len += 1;
    }

    fn fill(&mut self, entry: Entry) {
        let mut place = hash_of(entry) as usize & self.mask();
        while self.at(place) != 0 {
            place = (place + 1) & self.mask();
        }
        self.put(place, entry);
    }

    fn grow(&mut self) {
        let larger = Paged::with_len((self.entries.len() * 2).max(PAGE_ENTRIES));
        let smaller = std::mem::replace(&mut self.entries, larger);
        smaller.iter().filter(|&&entry| entry != 0).for_each(|&entry| self.fill(entry));
    }

    /// Removes an id.
    pub(crate) fn remove(&mut self, hash: u32, id: u32) -> bool {
        let Some((mut hole, _)) = self.entry(hash, |it| it == id) else { return false };
        let mask = self.mask();
        let mut next = (hole + 1) & mask;
        // Entries that were pushed past the hole by it move back, so that probing needs no tombstones.
        loop {
            let entry = self.at(next);
            if entry == 0 {
                break;
            }
            let home = hash_of(entry) as usize & mask;
            if next.wrapping_sub(home) & mask >= next.wrapping_sub(hole) & mask {
                self.put(hole, entry);
                hole = next;
            }
            next = (next + 1) & mask;
        }
        self.put(hole, 0);
        self.len -= 1;
        true
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
            let mut index = HashIndex::default();
            let mut model = std::collections::BTreeSet::new();
            for (add, id, salt) in steps {
                let hash = (id % 5).wrapping_add(salt);
                if add {
                    if model.insert((hash, id)) {
                        index.insert(hash, id);
                    }
                } else {
                    prop_assert_eq!(index.remove(hash, id), model.remove(&(hash, id)));
                }
                prop_assert_eq!(index.len(), model.len());
                for &(hash, id) in &model {
                    prop_assert_eq!(index.find(hash, |it| it == id), Some(id));
                }
                prop_assert_eq!(index.find(hash, |it| it == 1000), None);
            }
        }
    }
}
