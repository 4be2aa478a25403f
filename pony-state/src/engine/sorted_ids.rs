//! Ids in an order that the caller defines, in chunks that copies share.

use std::cmp::Ordering;
use std::sync::Arc;

/// Ids per chunk; a full chunk is split in halves. 2 KiB, what one write copies while a snapshot lives.
const CHUNK_IDS_MAX: usize = 512;

/// A place in [`SortedIds`]: chunk, and offset in it.
pub(crate) type Place = (usize, usize);

/// A sorted list of ids. The order is the caller's: `cmp(id)` says how a listed id compares with what is sought.
#[derive(Debug, Clone, Default)]
pub(crate) struct SortedIds {
    /// None is empty.
    chunks: Vec<Arc<Vec<u32>>>,
    len: usize,
}

impl SortedIds {
    /// A list of ids that are sorted already.
    pub(crate) fn from_sorted(ids: &[u32]) -> Self {
        let chunks = ids.chunks(CHUNK_IDS_MAX / 2).map(|chunk| Arc::new(chunk.to_vec())).collect();
        Self { chunks, len: ids.len() }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// The place of the first id that is not less than what is sought.
    pub(crate) fn lower_bound(&self, cmp: impl Fn(u32) -> Ordering) -> Place {
        let before = |chunk: &Arc<Vec<u32>>| chunk.last().is_some_and(|&last| cmp(last) == Ordering::Less);
        let chunk = self.chunks.partition_point(before);
        let offset =
            self.chunks.get(chunk).map_or(0, |ids| ids.partition_point(|&id| cmp(id) == Ordering::Less));
        (chunk, offset)
    }

    /// The place of what is sought.
    fn find(&self, cmp: impl Fn(u32) -> Ordering) -> Option<Place> {
        let (chunk, offset) = self.lower_bound(&cmp);
        let id = self.chunks.get(chunk)?.get(offset)?;
        (cmp(*id) == Ordering::Equal).then_some((chunk, offset))
    }

    /// Puts an id into its place. Says whether it was new.
    pub(crate) fn insert(&mut self, id: u32, cmp: impl Fn(u32) -> Ordering) -> bool {
        let (chunk, offset) = self.lower_bound(&cmp);
        let there = self.chunks.get(chunk).and_then(|ids| ids.get(offset));
        if there.is_some_and(|&there| cmp(there) == Ordering::Equal) {
            return false;
        }
        self.len += 1;
        // Beyond the last id: append to the last chunk.
        let (chunk, offset) = match self.chunks.last() {
            Some(last) if chunk == self.chunks.len() => (chunk - 1, last.len()),
            _ => (chunk, offset),
        };
        match self.chunks.get_mut(chunk) {
            Some(ids) => {
                let ids = Arc::make_mut(ids);
                ids.insert(offset, id);
                if ids.len() >= CHUNK_IDS_MAX {
                    // Appending is the common case of growth: leave full chunks behind then, not half-full ones.
                    let at = if offset + 1 == ids.len() { CHUNK_IDS_MAX - 1 } else { CHUNK_IDS_MAX / 2 };
                    let tail = ids.split_off(at);
                    self.chunks.insert(chunk + 1, Arc::new(tail));
                }
            }
            None => self.chunks.push(Arc::new(vec![id])),
        }
        true
    }

    /// Removes what is sought. Says whether it was there.
    pub(crate) fn remove(&mut self, cmp: impl Fn(u32) -> Ordering) -> bool {
        let Some((chunk, offset)) = self.find(cmp) else { return false };
        if let Some(ids) = self.chunks.get_mut(chunk) {
            let ids = Arc::make_mut(ids);
            ids.remove(offset);
            if ids.is_empty() {
                self.chunks.remove(chunk);
            }
            self.len -= 1;
        }
        true
    }

    /// The ids in order, from a place on.
    pub(crate) fn iter_from(&self, (chunk, offset): Place) -> impl Iterator<Item = u32> + '_ {
        let first = self.chunks.get(chunk).and_then(|ids| ids.get(offset..)).unwrap_or_default();
        let rest = self.chunks.get(chunk + 1..).unwrap_or_default();
        first.iter().chain(rest.iter().flat_map(|ids| ids.iter())).copied()
    }

    /// All ids in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.iter_from((0, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_in_order_whatever_the_order_of_their_arrival() {
        let orders: [fn(u32) -> u32; 3] = [|i| i, |i| 2999 - i, |i| i * 1373 % 3000];
        for order in orders {
            let mut ids = SortedIds::default();
            for id in (0..3000).map(order) {
                assert!(ids.insert(id, |it| it.cmp(&id)));
                assert!(!ids.insert(id, |it| it.cmp(&id)));
            }
            assert!(ids.iter().eq(0..3000));
            assert!(ids.iter_from(ids.lower_bound(|it| it.cmp(&1234))).eq(1234..3000));
            for id in (0..3000).filter(|id| id % 3 != 0) {
                assert!(ids.remove(|it| it.cmp(&id)) && !ids.remove(|it| it.cmp(&id)));
            }
            assert!(ids.iter().eq((0..3000).step_by(3)));
            assert_eq!(ids.len(), 1000);
        }
    }

    #[test]
    fn an_empty_list_is_empty() {
        let mut ids = SortedIds::default();
        assert!(!ids.remove(|it| it.cmp(&1)));
        assert_eq!(ids.iter_from(ids.lower_bound(|it| it.cmp(&1))).count(), 0);
    }
}
