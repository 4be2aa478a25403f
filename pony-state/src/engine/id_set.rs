//! The row ids of one index value: a few are stored in place, more in a plain list, many in shared chunks.

use super::sorted::{Chunk, Probe, Sorted};
use std::cmp::Ordering;
use std::slice;
use triomphe::Arc;

/// Up to so many ids lie in place: as many as fit beside the length where a pointer would lie.
const IN_PLACE: usize = 3;

/// From this length on a list is kept in chunks.
const LISTED_MAX: usize = 128;

/// Ids per chunk: what one write moves, or copies while a snapshot lives.
const CHUNK_IDS: usize = 64;

/// Up to so many ids are counted one by one, several at a time and without a branch to guess wrong.
const COUNTED_MAX: usize = 64;

/// Seeks an id among ids.
struct Id(u32);

impl Probe<u32> for Id {
    #[inline]
    fn cmp(&self, entry: u32) -> Ordering {
        entry.cmp(&self.0)
    }

    #[inline]
    fn less(&self, ids: &[u32]) -> usize {
        let (mut skipped, mut rest) = (0, ids);
        while rest.len() > COUNTED_MAX {
            let (lower, upper) = rest.split_at(rest.len() / 2);
            if upper.first().is_some_and(|first| *first < self.0) {
                skipped += lower.len();
                rest = upper;
            } else {
                rest = lower;
            }
        }
        skipped + rest.iter().map(|id| u32::from(*id < self.0)).sum::<u32>() as usize
    }
}

impl Id {
    /// The place of the id among these, or where it would have to be put.
    #[inline]
    fn search(&self, ids: &[u32]) -> Result<usize, usize> {
        // What is new mostly comes last.
        if ids.last().is_none_or(|last| *last < self.0) {
            return Err(ids.len());
        }
        let place = self.less(ids);
        if ids.get(place) == Some(&self.0) { Ok(place) } else { Err(place) }
    }
}

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

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::InPlace(len, _) => *len == 0,
            Self::Listed(ids) => ids.is_empty(),
            Self::Chunked(ids) => ids.len() == 0,
        }
    }

    /// Adds an id. Says whether it was new.
    pub(crate) fn insert(&mut self, id: u32) -> bool {
        match self {
            Self::InPlace(len, ids) => {
                let listed = ids.get(..*len as usize).unwrap_or_default();
                let Err(place) = Id(id).search(listed) else { return false };
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
                let Err(place) = Id(id).search(ids) else { return false };
                let ids = Arc::make_mut(ids);
                ids.insert(place, id);
                if ids.len() > LISTED_MAX {
                    *self = Self::Chunked(Arc::new(Sorted::from_sorted(ids)));
                }
                true
            }
            Self::Chunked(ids) => Arc::make_mut(ids).insert(id, &Id(id)),
        }
    }

    /// Removes an id. Says whether it was there.
    pub(crate) fn remove(&mut self, id: u32) -> bool {
        match self {
            Self::InPlace(len, ids) => {
                let listed = ids.get(..*len as usize).unwrap_or_default();
                let Ok(place) = Id(id).search(listed) else { return false };
                ids.copy_within(place + 1.., place);
                *len -= 1;
                true
            }
            Self::Listed(ids) => {
                let Ok(place) = Id(id).search(ids) else { return false };
                Arc::make_mut(ids).remove(place);
                true
            }
            Self::Chunked(ids) => Arc::make_mut(ids).remove(&Id(id)),
        }
    }

    /// The ids in ascending order.
    #[inline]
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
    Listed(slice::Iter<'a, u32>, slice::Iter<'a, Arc<Chunk<u32, CHUNK_IDS>>>),
    Boxed(Box<dyn Iterator<Item = u32> + 'a>),
}

impl<'a> Ids<'a> {
    pub(crate) const NONE: Self = Self::One(None);

    fn listed(first: &'a [u32], rest: &'a [Arc<Chunk<u32, CHUNK_IDS>>]) -> Self {
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
                *ids = rest.next()?.as_slice().iter();
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
                rest.fold(init, |init, ids| ids.as_slice().iter().copied().fold(init, &mut f))
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
