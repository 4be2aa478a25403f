//! Entries in an order that the caller defines, in chunks that copies share.

use std::cmp::Ordering;
use triomphe::Arc;

/// A place in [`Sorted`]: chunk, and offset in it.
pub(crate) type Place = (usize, usize);

/// A sorted list, in chunks of less than `MAX` entries; a full one is split in halves. The order is the caller's: `cmp(entry)` says how a listed entry compares with what is sought.
#[derive(Debug, Clone)]
pub(crate) struct Sorted<E, const MAX: usize> {
    /// The first entry of each chunk: a search finds its chunk here, without a look at any.
    heads: Vec<E>,
    /// None is empty.
    chunks: Vec<Arc<Vec<E>>>,
    len: usize,
}

impl<E, const MAX: usize> Default for Sorted<E, MAX> {
    fn default() -> Self {
        Self { heads: Vec::new(), chunks: Vec::new(), len: 0 }
    }
}

impl<E: Copy, const MAX: usize> Sorted<E, MAX> {
    /// By how many entries the memory of a chunk grows: what is left free stays little.
    const STEP: usize = MAX / 8;

    /// A list of entries that are sorted already.
    pub(crate) fn from_sorted(entries: &[E]) -> Self {
        let mut sorted = Self { len: entries.len(), ..Self::default() };
        for chunk in entries.chunks(MAX / 2) {
            sorted.heads.extend(chunk.first());
            sorted.chunks.push(Arc::new(chunk.to_vec()));
        }
        sorted
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// The place of the first entry that is not less than what is sought, in the chunk that it would be put into: that
    /// may be the end of a chunk.
    fn seek(&self, cmp: &impl Fn(E) -> Ordering) -> Place {
        let less = |&entry: &E| cmp(entry) == Ordering::Less;
        let chunk = self.heads.partition_point(less).saturating_sub(1);
        (chunk, self.chunks.get(chunk).map_or(0, |entries| entries.partition_point(less)))
    }

    fn at(&self, (chunk, offset): Place) -> Option<E> {
        self.chunks.get(chunk)?.get(offset).copied()
    }

    /// The place of the first entry that is not less than what is sought.
    pub(crate) fn lower_bound(&self, cmp: impl Fn(E) -> Ordering) -> Place {
        let place = self.seek(&cmp);
        if self.at(place).is_some() { place } else { (place.0 + 1, 0) }
    }

    /// Puts an entry into its place. Says whether it was new.
    pub(crate) fn insert(&mut self, entry: E, cmp: impl Fn(E) -> Ordering) -> bool {
        let place @ (chunk, offset) = self.seek(&cmp);
        // At the end of a chunk: it could be the head of the next one.
        let there = self.at(place).or_else(|| self.heads.get(chunk + 1).copied());
        if there.is_some_and(|there| cmp(there) == Ordering::Equal) {
            return false;
        }
        self.len += 1;
        match self.chunks.get_mut(chunk) {
            Some(entries) => {
                let entries = Arc::make_mut(entries);
                if entries.len() == entries.capacity() {
                    entries.reserve_exact(Self::STEP);
                }
                entries.insert(offset, entry);
                let last = offset + 1 == entries.len();
                if entries.len() >= MAX {
                    // Appending is the common case of growth: leave full chunks behind then, not half-full ones.
                    self.split(chunk, if last { MAX - 1 } else { MAX / 2 });
                }
            }
            None => self.chunks.push(Arc::new(vec![entry])),
        }
        self.note_head(chunk);
        true
    }

    /// Puts many entries, sorted and none of them listed yet, into their places at once.
    pub(crate) fn merge(&mut self, entries: &[E], cmp: impl Fn(E, E) -> Ordering) {
        let old = std::mem::replace(self, Self { len: self.len + entries.len(), ..Self::default() });
        let mut rest = entries;
        for (place, chunk) in old.chunks.iter().enumerate() {
            let next = old.heads.get(place + 1);
            let end =
                next.map_or(rest.len(), |&head| rest.partition_point(|&it| cmp(it, head) == Ordering::Less));
            let (here, later) = rest.split_at(end);
            rest = later;
            if here.is_empty() {
                self.heads.extend(chunk.first());
                self.chunks.push(Arc::clone(chunk));
            } else {
                self.append(&merged(chunk, here, &cmp));
            }
        }
        self.append(rest);
    }

    /// Appends chunks of entries, all of about the same length.
    fn append(&mut self, entries: &[E]) {
        let chunks = entries.len().div_ceil(MAX / 4 * 3).max(1);
        for chunk in entries.chunks(entries.len().div_ceil(chunks).max(1)) {
            self.heads.extend(chunk.first());
            self.chunks.push(Arc::new(chunk.to_vec()));
        }
    }

    fn split(&mut self, chunk: usize, at: usize) {
        let Some(entries) = self.chunks.get_mut(chunk).map(Arc::make_mut) else { return };
        let tail = entries.split_off(at);
        entries.shrink_to_fit();
        if let Some(&head) = tail.first() {
            self.chunks.insert(chunk + 1, Arc::new(tail));
            self.heads.insert(chunk + 1, head);
        }
    }

    /// Sees to it that the head of a chunk is what the chunk begins with.
    fn note_head(&mut self, chunk: usize) {
        let Some(first) = self.at((chunk, 0)) else { return };
        match self.heads.get_mut(chunk) {
            Some(head) => *head = first,
            None => self.heads.push(first),
        }
    }

    /// Removes what is sought. Says whether it was there.
    pub(crate) fn remove(&mut self, cmp: impl Fn(E) -> Ordering) -> bool {
        let place @ (chunk, offset) = self.lower_bound(&cmp);
        if self.at(place).is_none_or(|entry| cmp(entry) != Ordering::Equal) {
            return false;
        }
        if let Some(entries) = self.chunks.get_mut(chunk) {
            Arc::make_mut(entries).remove(offset);
            self.len -= 1;
        }
        self.note_head(chunk);
        self.join(chunk.saturating_sub(1));
        self.join(chunk);
        true
    }

    /// Joins a chunk with the next one where both together are small; an empty one goes.
    fn join(&mut self, chunk: usize) {
        let len = |chunk: usize| self.chunks.get(chunk).map(|entries| entries.len());
        match (len(chunk), len(chunk + 1)) {
            (Some(0), _) => {
                self.chunks.remove(chunk);
                self.heads.remove(chunk);
            }
            (Some(one), Some(next)) if one + next <= MAX / 2 => {
                let tail = self.chunks.remove(chunk + 1);
                self.heads.remove(chunk + 1);
                if let Some(entries) = self.chunks.get_mut(chunk) {
                    Arc::make_mut(entries).extend_from_slice(&tail);
                }
            }
            _ => {}
        }
    }

    /// The chunks from a place on: what is left of the first one, and the others.
    pub(crate) fn slices_from(&self, (chunk, offset): Place) -> (&[E], &[Arc<Vec<E>>]) {
        let first = self.chunks.get(chunk).and_then(|entries| entries.get(offset..)).unwrap_or_default();
        (first, self.chunks.get(chunk + 1..).unwrap_or_default())
    }

    /// The entries in order, from a place on.
    pub(crate) fn iter_from(&self, place: Place) -> impl Iterator<Item = E> + '_ {
        let (first, rest) = self.slices_from(place);
        first.iter().chain(rest.iter().flat_map(|entries| entries.iter())).copied()
    }

    /// All entries in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = E> + '_ {
        self.iter_from((0, 0))
    }
}

/// Two sorted lists as one.
fn merged<E: Copy>(one: &[E], other: &[E], cmp: impl Fn(E, E) -> Ordering) -> Vec<E> {
    let mut all = Vec::with_capacity(one.len() + other.len());
    let mut other = other.iter().copied().peekable();
    for &entry in one {
        while let Some(before) = other.next_if(|&it| cmp(it, entry) == Ordering::Less) {
            all.push(before);
        }
        all.push(entry);
    }
    all.extend(other);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn ids_come_in_order_whatever_the_order_of_their_arrival() {
        let orders: [fn(u32) -> u32; 3] = [|i| i, |i| 2999 - i, |i| i * 1373 % 3000];
        for order in orders {
            let mut ids = Sorted::<u32, 512>::default();
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
        let mut ids = Sorted::<u32, 512>::default();
        assert!(!ids.remove(|it| it.cmp(&1)));
        assert_eq!(ids.iter_from(ids.lower_bound(|it| it.cmp(&1))).count(), 0);
    }

    #[test]
    fn what_is_left_of_many_chunks_does_not_stay_in_many() {
        let all: Vec<u32> = (0..100_000).collect();
        let mut ids = Sorted::<u32, 512>::from_sorted(&all);
        for id in (0..100_000).filter(|id| id % 1000 != 0) {
            assert!(ids.remove(|it| it.cmp(&id)));
        }
        assert!(ids.iter().eq((0..100_000).step_by(1000)));
        assert!(ids.chunks.len() <= 2, "{} chunks", ids.chunks.len());
    }

    proptest! {
        /// Into none, one and many chunks, before, between and behind them.
        #[test]
        fn many_entries_are_merged_like_one_after_the_other(
            there in proptest::collection::btree_set(0_u32..5000, 0..1500),
            new in proptest::collection::btree_set(0_u32..5000, 0..1500),
        ) {
            let mut ids = Sorted::<u32, 128>::default();
            for &id in &there {
                ids.insert(id, |it| it.cmp(&id));
            }
            let before = ids.clone();
            let new: Vec<u32> = new.difference(&there).copied().collect();
            ids.merge(&new, |one, other| one.cmp(&other));
            let all: BTreeSet<u32> = there.iter().chain(&new).copied().collect();
            prop_assert!(ids.iter().eq(all.iter().copied()) && before.iter().eq(there.iter().copied()));
            prop_assert!(ids.chunks.iter().zip(&ids.heads).all(|(chunk, head)| chunk.first() == Some(head)));
            prop_assert!(ids.chunks.iter().all(|chunk| chunk.len() < 128));
            prop_assert_eq!((ids.len(), ids.chunks.len()), (all.len(), ids.heads.len()));
        }

        /// Long runs of neighbours, so that chunks split, empty and join at both ends.
        #[test]
        fn it_is_a_sorted_set(steps in proptest::collection::vec((any::<bool>(), 0_u32..3000, 1_u32..700), 0..12), probe in 0_u32..3800) {
            let (mut ids, mut model) = (Sorted::<u32, 512>::default(), BTreeSet::new());
            for (add, from, count) in steps {
                for id in from..from + count {
                    if add {
                        prop_assert_eq!(ids.insert(id, |it: u32| it.cmp(&id)), model.insert(id));
                    } else {
                        prop_assert_eq!(ids.remove(|it| it.cmp(&id)), model.remove(&id));
                    }
                }
                prop_assert!(ids.iter().eq(model.iter().copied()));
                prop_assert!(ids.chunks.iter().zip(&ids.heads).all(|(chunk, head)| chunk.first() == Some(head)));
                prop_assert_eq!((ids.len(), ids.chunks.len()), (model.len(), ids.heads.len()));
            }
            let bound = ids.lower_bound(|it| it.cmp(&probe));
            prop_assert!(ids.iter_from(bound).eq(model.range(probe..).copied()));
        }
    }
}
