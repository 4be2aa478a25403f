//! Items under stable `u32` ids, in pages.

use super::paged::Paged;
use std::slice;

/// The end of the list of free slots.
const NONE: u32 = u32::MAX;

/// A slot holds an item, or the next free slot's id.
#[derive(Debug, Clone)]
enum Slot<T> {
    Free(u32),
    Used(T),
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self::Free(NONE)
    }
}

/// A collection that gives each item an id and reuses the ids of removed items, in pages of `ITEMS`.
#[derive(Debug, Clone)]
pub(crate) struct Slab<T, const ITEMS: usize> {
    slots: Paged<Slot<T>, ITEMS>,
    free: u32,
    len: usize,
}

impl<T, const ITEMS: usize> Default for Slab<T, ITEMS> {
    fn default() -> Self {
        Self { slots: Paged::default(), free: NONE, len: 0 }
    }
}

impl<T: Clone, const ITEMS: usize> Slab<T, ITEMS> {
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn get(&self, id: u32) -> Option<&T> {
        match self.slots.get(id as usize) {
            Some(slot) => slot.item(),
            None => None,
        }
    }

    pub(crate) fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        match self.slots.get_mut(id as usize) {
            Some(Slot::Used(item)) => Some(item),
            _ => None,
        }
    }

    /// Adds an item and says its id.
    ///
    /// # Panics
    /// Beyond 4,294,967,294 items: ids have 32 bits, and two items of one id would be worse.
    pub(crate) fn insert(&mut self, item: T) -> u32 {
        self.len += 1;
        let id = self.free;
        match self.slots.get_mut(id as usize) {
            Some(slot) if id != NONE => {
                if let Slot::Free(next) = std::mem::replace(slot, Slot::Used(item)) {
                    self.free = next;
                }
                id
            }
            _ => {
                assert!(self.slots.len() < NONE as usize, "a table holds at most {} rows", NONE - 1);
                let id = self.slots.len() as u32;
                self.slots.push(Slot::Used(item));
                id
            }
        }
    }

    /// Removes the item of that id.
    pub(crate) fn remove(&mut self, id: u32) -> Option<T> {
        self.get(id)?;
        let slot = self.slots.get_mut(id as usize)?;
        match std::mem::replace(slot, Slot::Free(self.free)) {
            Slot::Used(item) => {
                self.free = id;
                self.len -= 1;
                Some(item)
            }
            Slot::Free(_) => None,
        }
    }

    /// All items, in the order of ids.
    pub(crate) fn items(&self) -> Items<'_, T, ITEMS> {
        Items { slots: &self.slots, page: 0, rest: [].iter() }
    }

    /// All items with their ids, in the order of ids.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.slots.iter().enumerate().filter_map(|(id, slot)| Some((id as u32, slot.item()?)))
    }
}

impl<T> Slot<T> {
    #[inline]
    const fn item(&self) -> Option<&T> {
        if let Self::Used(item) = self { Some(item) } else { None }
    }
}

/// All items of a slab.
pub(crate) struct Items<'a, T, const ITEMS: usize> {
    slots: &'a Paged<Slot<T>, ITEMS>,
    /// The page that comes after `rest`.
    page: usize,
    rest: slice::Iter<'a, Slot<T>>,
}

impl<'a, T, const ITEMS: usize> Iterator for Items<'a, T, ITEMS> {
    type Item = &'a T;

    #[inline]
    fn next(&mut self) -> Option<&'a T> {
        loop {
            if let Some(item) = self.rest.find_map(Slot::item) {
                return Some(item);
            }
            self.rest = self.slots.page(self.page)?.iter();
            self.page += 1;
        }
    }

    #[inline]
    fn fold<B, F: FnMut(B, Self::Item) -> B>(self, init: B, mut f: F) -> B {
        let mut acc = self.rest.filter_map(Slot::item).fold(init, &mut f);
        for page in self.slots.pages_from(self.page) {
            acc = page.iter().filter_map(Slot::item).fold(acc, &mut f);
        }
        acc
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_stable_and_reused() {
        let mut slab = Slab::<_, 16>::default();
        let ids: Vec<u32> = (0..200).map(|item| slab.insert(item)).collect();
        assert_eq!(slab.remove(ids[70]), Some(70));
        assert_eq!(slab.remove(ids[3]), Some(3));
        assert_eq!(slab.remove(ids[3]), None);
        assert_eq!((slab.get(ids[3]), slab.len()), (None, 198));
        assert_eq!((slab.insert(1003), slab.insert(1070), slab.insert(200)), (3, 70, 200));
        assert_eq!(slab.get(3), Some(&1003));
        assert_eq!(slab.iter().count(), 201);
    }
}
