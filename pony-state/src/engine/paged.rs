//! A growing array in pages that copies share until one of them writes.

use triomphe::Arc;

/// Pages under one chunk: how many page pointers a write copies at most besides its page.
const CHUNK_PAGES: usize = 1 << CHUNK_BITS;
const CHUNK_BITS: usize = 6;

/// An array of pages of `ITEMS` items each, two levels deep. A clone shares everything; a write to a clone copies one
/// page and one chunk of pointers. `ITEMS` is a power of two.
#[derive(Debug)]
pub(crate) struct Paged<T, const ITEMS: usize> {
    chunks: Vec<Arc<Chunk<T, ITEMS>>>,
    len: usize,
}

/// Pointers to pages; those beyond the end are not there.
#[derive(Debug)]
struct Chunk<T, const ITEMS: usize> {
    pages: [Option<Arc<[T; ITEMS]>>; CHUNK_PAGES],
}

impl<T, const ITEMS: usize> Clone for Chunk<T, ITEMS> {
    fn clone(&self) -> Self {
        Self { pages: self.pages.clone() }
    }
}

impl<T, const ITEMS: usize> Clone for Paged<T, ITEMS> {
    fn clone(&self) -> Self {
        Self { chunks: self.chunks.clone(), len: self.len }
    }
}

impl<T, const ITEMS: usize> Default for Paged<T, ITEMS> {
    fn default() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }
}

impl<T, const ITEMS: usize> Paged<T, ITEMS> {
    const ITEM_BITS: u32 = {
        assert!(ITEMS.is_power_of_two(), "a page has a power of two items");
        ITEMS.trailing_zeros()
    };

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    const fn chunk_and_page(page: usize) -> (usize, usize) {
        (page >> CHUNK_BITS, page & (CHUNK_PAGES - 1))
    }

    /// A page by its number: the items from `page * ITEMS` on.
    #[inline]
    pub(crate) fn page(&self, page: usize) -> Option<&[T; ITEMS]> {
        let (chunk, page) = Self::chunk_and_page(page);
        self.chunks.get(chunk)?.pages.get(page)?.as_deref()
    }

    #[inline]
    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        self.page(at >> Self::ITEM_BITS)?.get(at & (ITEMS - 1))
    }

    /// The pages from a number on. The last one is filled up with default items.
    pub(crate) fn pages_from(&self, page: usize) -> impl Iterator<Item = &[T; ITEMS]> {
        let (chunk, page) = Self::chunk_and_page(page);
        let chunks = self.chunks.get(chunk..).unwrap_or_default().iter();
        chunks.flat_map(|chunk| chunk.pages.iter().map_while(Option::as_deref)).skip(page)
    }

    /// All items, and the default ones that fill up the last page.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pages_from(0).flat_map(|page| page.iter())
    }
}

impl<T: Clone + Default, const ITEMS: usize> Paged<T, ITEMS> {
    /// An array of `len` default items.
    pub(crate) fn with_len(len: usize) -> Self {
        let mut paged = Self::default();
        while paged.len < len {
            paged.push_page();
            paged.len = (paged.len + ITEMS).min(len);
        }
        paged
    }

    /// The item for writing. Copies what a clone shares.
    #[inline]
    pub(crate) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        let (chunk, page) = Self::chunk_and_page(at >> Self::ITEM_BITS);
        let chunk = Arc::make_mut(self.chunks.get_mut(chunk)?);
        let page = chunk.pages.get_mut(page)?.as_mut()?;
        Arc::make_mut(page).get_mut(at & (ITEMS - 1))
    }

    /// Appends an item.
    pub(crate) fn push(&mut self, item: T) {
        if self.len & (ITEMS - 1) == 0 {
            self.push_page();
        }
        let at = self.len;
        self.len += 1;
        if let Some(place) = self.get_mut(at) {
            *place = item;
        }
    }

    /// All items, and the default ones that fill up the last page: moved, as far as no clone shares them.
    pub(crate) fn into_items(self) -> impl Iterator<Item = T> {
        let pages = self.chunks.into_iter().flat_map(|chunk| Arc::unwrap_or_clone(chunk).pages);
        pages.flatten().flat_map(Arc::unwrap_or_clone)
    }

    fn push_page(&mut self) {
        let (chunk, page) = Self::chunk_and_page(self.len >> Self::ITEM_BITS);
        if self.chunks.len() == chunk {
            self.chunks.push(Arc::new(Chunk { pages: [const { None }; CHUNK_PAGES] }));
        }
        let chunk = self.chunks.get_mut(chunk).map(Arc::make_mut);
        if let Some(place) = chunk.and_then(|chunk| chunk.pages.get_mut(page)) {
            *place = Some(Arc::new(std::array::from_fn(|_| T::default())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Numbers = Paged<usize, 4>;

    #[test]
    fn items_stay_where_they_were_put() {
        let mut numbers = Numbers::default();
        for number in 0..5000 {
            numbers.push(number);
        }
        assert!((0..5000).all(|at| numbers.get(at) == Some(&at)));
        assert!(numbers.iter().copied().take(5000).eq(0..5000));
        assert!(numbers.pages_from(700).flatten().copied().take(2200).eq(2800..5000));
        assert_eq!(numbers.len(), 5000);
        assert!(numbers.into_items().take(5000).eq(0..5000));
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
        let page = |numbers: &Numbers, page: usize| numbers.page(page).map(|page| page.as_ptr());
        let differ = (0..750).filter(|&number| page(&before, number) != page(&numbers, number));
        assert_eq!(differ.collect::<Vec<_>>(), [0]);
    }
}
