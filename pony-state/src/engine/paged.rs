//! A growing array in pages that copies share until one of them writes.

use std::sync::Arc;

/// Pages under one chunk: how many page pointers a write copies at most besides its page.
const CHUNK_PAGES_BITS: u32 = 7;

/// An array of pages of `2^BITS` items each, two levels deep. A clone shares everything; a write to a clone copies
/// one page and one chunk of pointers.
#[derive(Debug, Clone)]
pub(crate) struct Paged<T, const BITS: u32> {
    chunks: Vec<Arc<Chunk<T>>>,
    len: usize,
}

#[derive(Debug, Clone)]
struct Chunk<T> {
    pages: Vec<Arc<[T]>>,
}

impl<T, const BITS: u32> Default for Paged<T, BITS> {
    fn default() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }
}

impl<T: Clone + Default, const BITS: u32> Paged<T, BITS> {
    const PAGE_ITEMS: usize = 1 << BITS;

    /// An array of `len` default items.
    pub(crate) fn with_len(len: usize) -> Self {
        let mut paged = Self::default();
        while paged.len < len {
            paged.push_page();
            paged.len = (paged.len + Self::PAGE_ITEMS).min(len);
        }
        paged
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    const fn split(at: usize) -> (usize, usize, usize) {
        let page = at >> BITS;
        (page >> CHUNK_PAGES_BITS, page & ((1 << CHUNK_PAGES_BITS) - 1), at & (Self::PAGE_ITEMS - 1))
    }

    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        let (chunk, page, item) = Self::split(at);
        self.chunks.get(chunk)?.pages.get(page)?.get(item)
    }

    /// The item for writing. Copies what a clone shares.
    pub(crate) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        let (chunk, page, item) = Self::split(at);
        let chunk = Arc::make_mut(self.chunks.get_mut(chunk)?);
        Arc::make_mut(chunk.pages.get_mut(page)?).get_mut(item)
    }

    /// Appends an item.
    pub(crate) fn push(&mut self, item: T) {
        if self.len & (Self::PAGE_ITEMS - 1) == 0 {
            self.push_page();
        }
        let at = self.len;
        self.len += 1;
        if let Some(place) = self.get_mut(at) {
            *place = item;
        }
    }

    fn push_page(&mut self) {
        let page: Arc<[T]> = (0..Self::PAGE_ITEMS).map(|_| T::default()).collect();
        match self.chunks.last_mut() {
            Some(chunk) if chunk.pages.len() < 1 << CHUNK_PAGES_BITS => Arc::make_mut(chunk).pages.push(page),
            _ => self.chunks.push(Arc::new(Chunk { pages: vec![page] })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Numbers = Paged<usize, 2>;

    #[test]
    fn items_stay_where_they_were_put() {
        let mut numbers = Numbers::default();
        for number in 0..5000 {
            numbers.push(number);
        }
        assert!((0..5000).all(|at| numbers.get(at) == Some(&at)));
        assert_eq!(numbers.len(), 5000);
    }

    #[test]
    fn a_clone_keeps_what_it_saw() {
        let mut numbers = Numbers::with_len(3000);
        let before = numbers.clone();
        *numbers.get_mut(2500).unwrap() = 7;
        numbers.push(8);
        assert_eq!((before.get(2500), before.len()), (Some(&0), 3000));
        assert_eq!((numbers.get(2500), numbers.get(3000)), (Some(&7), Some(&8)));
    }

    #[test]
    fn a_write_copies_one_page_only() {
        let mut numbers = Numbers::with_len(3000);
        let before = numbers.clone();
        *numbers.get_mut(0).unwrap() = 7;
        let pages = |numbers: &Numbers| -> Vec<_> {
            numbers.chunks.iter().flat_map(|chunk| chunk.pages.iter().map(|page| page.as_ptr())).collect()
        };
        let (old, new) = (pages(&before), pages(&numbers));
        assert_eq!(old.iter().zip(&new).filter(|(old, new)| old != new).count(), 1);
    }
}
