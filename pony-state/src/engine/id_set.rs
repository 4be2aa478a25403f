//! The row ids of one index value: one is stored in place, a few in a plain list, many in shared chunks.

use super::sorted_ids::SortedIds;
use std::iter;
use std::sync::Arc;

/// From this length on a list is kept in chunks.
const FEW_IDS_MAX: usize = 128;

/// A set of ids, sorted. Longer ones are behind an `Arc`: a page of many sets is copied where one of them changes.
#[derive(Debug, Clone)]
pub(crate) enum IdSet {
    One(u32),
    Few(Arc<Vec<u32>>),
    Many(Arc<SortedIds>),
}

impl Default for IdSet {
    fn default() -> Self {
        Self::Few(Arc::default())
    }
}

impl IdSet {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Few(ids) => ids.len(),
            Self::Many(ids) => ids.len(),
        }
    }

    /// Adds an id. Says whether it was new.
    pub(crate) fn insert(&mut self, id: u32) -> bool {
        match self {
            Self::One(one) if *one == id => false,
            Self::One(one) => {
                *self = Self::Few(Arc::new(if *one < id { vec![*one, id] } else { vec![id, *one] }));
                true
            }
            Self::Few(ids) => {
                let Err(place) = ids.binary_search(&id) else { return false };
                let ids = Arc::make_mut(ids);
                ids.insert(place, id);
                if ids.len() > FEW_IDS_MAX {
                    *self = Self::Many(Arc::new(SortedIds::from_sorted(ids)));
                }
                true
            }
            Self::Many(ids) => Arc::make_mut(ids).insert(id, |it| it.cmp(&id)),
        }
    }

    /// Removes an id. Says whether it was there.
    pub(crate) fn remove(&mut self, id: u32) -> bool {
        match self {
            Self::One(one) if *one != id => false,
            Self::One(_) => {
                *self = Self::default();
                true
            }
            Self::Few(ids) => {
                let Ok(place) = ids.binary_search(&id) else { return false };
                Arc::make_mut(ids).remove(place);
                true
            }
            Self::Many(ids) => Arc::make_mut(ids).remove(|it| it.cmp(&id)),
        }
    }

    /// The ids in ascending order.
    pub(crate) fn iter(&self) -> Ids<'_> {
        match self {
            Self::One(id) => Ids::One(iter::once(*id)),
            Self::Few(ids) => Ids::Few(ids.iter().copied()),
            Self::Many(ids) => Ids::Boxed(Box::new(ids.iter())),
        }
    }
}

/// Ids of rows, from wherever.
pub(crate) enum Ids<'a> {
    None,
    One(iter::Once<u32>),
    Few(iter::Copied<std::slice::Iter<'a, u32>>),
    Boxed(Box<dyn Iterator<Item = u32> + 'a>),
}

impl Iterator for Ids<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        match self {
            Self::None => None,
            Self::One(ids) => ids.next(),
            Self::Few(ids) => ids.next(),
            Self::Boxed(ids) => ids.next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_set_at_every_size() {
        let mut set = IdSet::One(0);
        for id in (1..1000).map(|i| i * 733 % 1000) {
            assert!(set.insert(id) && !set.insert(id));
        }
        assert!(set.iter().eq(0..1000));
        for id in (0..1000).map(|i| i * 733 % 1000) {
            assert_eq!(set.len(), 1000 - set_removed(id));
            assert!(set.remove(id) && !set.remove(id));
        }
        assert_eq!((set.len(), set.iter().count()), (0, 0));
        assert!(!IdSet::One(3).insert(3) && !IdSet::One(3).remove(4) && IdSet::One(3).remove(3));
    }

    /// How many ids were removed before `id` in the order above.
    fn set_removed(id: u32) -> usize {
        (0..1000).position(|i| i * 733 % 1000 == id).unwrap()
    }
}
