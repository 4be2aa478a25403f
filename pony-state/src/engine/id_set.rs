//! The row ids of one index value: a few are stored in place, more in a plain list, many in shared chunks.

use super::sorted::Sorted;
use std::slice;
use triomphe::Arc;

/// Up to so many ids lie in place: as many as fit beside the length where a pointer would lie.
const IN_PLACE: usize = 3;

/// From this length on a list is kept in chunks.
const LISTED_MAX: usize = 128;

/// Ids per chunk: what one write moves, or copies while a snapshot lives.
const CHUNK_IDS: usize = 64;

/// A set of ids, sorted. Longer ones are behind an `Arc`: a page of many sets is copied where one of them changes.
#[derive(Debug, Clone)]
pub(crate) enum IdSet {
    InPlace(u8, [u32; IN_PLACE]),
    Listed(Arc<Vec<u32>>),
    Chunked(Arc<Sorted<u32, CHUNK_IDS>>),
}

impl Default for IdSet {
    fn default() -> Self {
        Self::InPlace(0, [0; IN_PLACE])
    }
}

impl IdSet {
    /// A set of one.
    pub(crate) const fn one(id: u32) -> Self {
        Self::InPlace(1, [id, 0, 0])
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::InPlace(len, _) => *len as usize,
            Self::Listed(ids) => ids.len(),
            Self::Chunked(ids) => ids.len(),
        }
    }

    /// Adds an id. Says whether it was new.
    pub(crate) fn insert(&mut self, id: u32) -> bool {
        match self {
            Self::InPlace(len, ids) => {
                let listed = ids.get(..*len as usize).unwrap_or_default();
                let Err(place) = listed.binary_search(&id) else { return false };
                if listed.len() < IN_PLACE {
                    ids.copy_within(place..IN_PLACE - 1, place + 1);
                    ids[place] = id;
                    *len += 1;
                } else {
                    let mut ids = ids.to_vec();
                    ids.insert(place, id);
                    *self = Self::Listed(Arc::new(ids));
                }
                true
            }
            Self::Listed(ids) => {
                let Err(place) = ids.binary_search(&id) else { return false };
                let ids = Arc::make_mut(ids);
                ids.insert(place, id);
                if ids.len() > LISTED_MAX {
                    *self = Self::Chunked(Arc::new(Sorted::from_sorted(ids)));
                }
                true
            }
            Self::Chunked(ids) => Arc::make_mut(ids).insert(id, |it| it.cmp(&id)),
        }
    }

    /// Removes an id. Says whether it was there.
    pub(crate) fn remove(&mut self, id: u32) -> bool {
        match self {
            Self::InPlace(len, ids) => {
                let listed = ids.get(..*len as usize).unwrap_or_default();
                let Ok(place) = listed.binary_search(&id) else { return false };
                ids.copy_within(place + 1.., place);
                *len -= 1;
                true
            }
            Self::Listed(ids) => {
                let Ok(place) = ids.binary_search(&id) else { return false };
                Arc::make_mut(ids).remove(place);
                true
            }
            Self::Chunked(ids) => Arc::make_mut(ids).remove(|it| it.cmp(&id)),
        }
    }

    /// The ids in ascending order.
    pub(crate) fn iter(&self) -> Ids<'_> {
        match self {
            Self::InPlace(len, ids) => Ids::listed(ids.get(..*len as usize).unwrap_or_default(), &[]),
            Self::Listed(ids) => Ids::listed(ids, &[]),
            Self::Chunked(ids) => {
                let (first, rest) = ids.slices_from((0, 0));
                Ids::listed(first, rest)
            }
        }
    }
}

/// Ids of rows, from wherever.
pub(crate) enum Ids<'a> {
    One(Option<u32>),
    Listed(slice::Iter<'a, u32>, slice::Iter<'a, Arc<Vec<u32>>>),
    Boxed(Box<dyn Iterator<Item = u32> + 'a>),
}

impl<'a> Ids<'a> {
    pub(crate) const NONE: Self = Self::One(None);

    fn listed(first: &'a [u32], rest: &'a [Arc<Vec<u32>>]) -> Self {
        Self::Listed(first.iter(), rest.iter())
    }
}

impl Iterator for Ids<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        match self {
            Self::One(id) => id.take(),
            Self::Listed(ids, rest) => loop {
                if let Some(id) = ids.next() {
                    return Some(*id);
                }
                *ids = rest.next()?.iter();
            },
            Self::Boxed(ids) => ids.next(),
        }
    }

    /// Loops over whole slices; what sums and counts use.
    #[inline]
    fn fold<B, F: FnMut(B, u32) -> B>(self, init: B, mut f: F) -> B {
        match self {
            Self::One(id) => id.into_iter().fold(init, f),
            Self::Listed(ids, rest) => {
                let init = ids.copied().fold(init, &mut f);
                rest.fold(init, |init, ids| ids.iter().copied().fold(init, &mut f))
            }
            Self::Boxed(ids) => ids.fold(init, f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_set_at_every_size() {
        let mut set = IdSet::one(0);
        for (count, id) in (1..3000).map(|i| i * 733 % 3000).enumerate() {
            assert!(set.insert(id) && !set.insert(id));
            assert_eq!((set.len(), set.iter().count(), set.iter().is_sorted()), (count + 2, count + 2, true));
        }
        assert!(set.iter().eq(0..3000));
        for (count, id) in (0..3000).map(|i| i * 733 % 3000).enumerate() {
            assert_eq!(set.len(), 3000 - count);
            assert!(set.remove(id) && !set.remove(id));
            assert_eq!(set.iter().fold(0, |count, _| count + 1), set.len());
        }
        assert_eq!((set.len(), set.iter().count()), (0, 0));
        assert!(!IdSet::one(3).insert(3) && !IdSet::one(3).remove(4) && IdSet::one(3).remove(3));
    }

    #[test]
    fn it_takes_no_more_than_two_words() {
        assert_eq!(size_of::<IdSet>(), 16);
    }
}
