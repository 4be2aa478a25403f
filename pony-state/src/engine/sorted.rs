//! Entries in an order that the caller defines, in chunks that copies share.

use std::cmp::Ordering;
use triomphe::Arc;

/// A place in [`Sorted`]: chunk, and offset in it.
pub(crate) type Place = (usize, usize);

/// How the entries of a list compare with what is sought.
pub(crate) trait Probe<E> {
    fn cmp(&self, entry: E) -> Ordering;

    /// How many of these, which are in order, are less than what is sought.
    #[inline]
    fn less(&self, entries: &[E]) -> usize
    where
        E: Copy,
    {
        entries.partition_point(|&entry| self.cmp(entry) == Ordering::Less)
    }
}

impl<E, F: Fn(E) -> Ordering> Probe<E> for F {
    #[inline]
    fn cmp(&self, entry: E) -> Ordering {
        self(entry)
    }
}

/// A sorted list, in chunks of less than `MAX` entries; a full one is split in halves. The order is the caller's, and the
/// same for every [`Probe`].
#[derive(Debug, Clone)]
pub(crate) struct Sorted<E, const MAX: usize> {
    /// The first entry of each chunk: a search finds its chunk here, without a look at any.
    heads: Vec<E>,
    /// None is empty.
    chunks: Vec<Arc<Chunk<E, MAX>>>,
    len: usize,
}

/// Entries in one piece of memory, their number before them: who looks at either has both in one line of the cache.
#[derive(Debug, Clone)]
#[repr(C)]
pub(crate) struct Chunk<E, const MAX: usize> {
    len: usize,
    entries: [E; MAX],
}

impl<E, const MAX: usize> Default for Sorted<E, MAX> {
    fn default() -> Self {
        Self { heads: Vec::new(), chunks: Vec::new(), len: 0 }
    }
}

impl<E, const MAX: usize> Chunk<E, MAX> {
    #[inline]
    pub(crate) fn as_slice(&self) -> &[E] {
        self.entries.get(..self.len).unwrap_or_default()
    }
}

impl<E: Copy + Default, const MAX: usize> Chunk<E, MAX> {
    /// The first `MAX` entries at most.
    fn of(entries: &[E]) -> Self {
        let mut chunk = Self { len: 0, entries: [E::default(); MAX] };
        chunk.extend(entries);
        chunk
    }

    fn extend(&mut self, entries: &[E]) {
        for (place, entry) in self.entries.iter_mut().skip(self.len).zip(entries) {
            *place = *entry;
        }
        self.len = (self.len + entries.len()).min(MAX);
    }

    /// Puts an entry at an offset. There must be a free place.
    fn insert(&mut self, offset: usize, entry: E) {
        let len = self.len.min(MAX - 1);
        self.entries.copy_within(offset..len, offset + 1);
        if let Some(place) = self.entries.get_mut(offset) {
            *place = entry;
        }
        self.len = len + 1;
    }

    fn remove(&mut self, offset: usize) {
        self.entries.copy_within(offset + 1..self.len, offset);
        self.len -= 1;
    }

    fn split_off(&mut self, at: usize) -> Self {
        let tail = Self::of(self.as_slice().get(at..).unwrap_or_default());
        self.len = at;
        tail
    }
}

impl<E: Copy + Default, const MAX: usize> Sorted<E, MAX> {
    /// A list of entries that are sorted already.
    pub(crate) fn from_sorted(entries: &[E]) -> Self {
        let mut sorted = Self { len: entries.len(), ..Self::default() };
        entries.chunks(MAX / 2).for_each(|chunk| sorted.push_chunk(Chunk::of(chunk)));
        sorted
    }

    fn push_chunk(&mut self, chunk: Chunk<E, MAX>) {
        self.heads.extend(chunk.as_slice().first());
        self.chunks.push(Arc::new(chunk));
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    fn chunk(&self, chunk: usize) -> &[E] {
        self.chunks.get(chunk).map_or(&[], |chunk| chunk.as_slice())
    }

    /// The place of the first entry that is not less than what is sought, in the chunk that it would be put into: that
    /// may be the end of a chunk.
    #[inline]
    fn seek(&self, probe: &impl Probe<E>) -> Place {
        // What is new mostly comes last: two comparisons settle that.
        let is_beyond = |entry: Option<&E>| entry.is_some_and(|&entry| probe.cmp(entry) == Ordering::Less);
        let is_last = is_beyond(self.heads.last());
        let chunk = if is_last { self.heads.len() } else { probe.less(&self.heads) }.saturating_sub(1);
        let entries = self.chunk(chunk);
        (chunk, if is_last && is_beyond(entries.last()) { entries.len() } else { probe.less(entries) })
    }

    #[inline]
    fn at(&self, (chunk, offset): Place) -> Option<E> {
        self.chunk(chunk).get(offset).copied()
    }

    /// The place of the first entry that is not less than what is sought.
    pub(crate) fn lower_bound(&self, probe: &impl Probe<E>) -> Place {
        let place = self.seek(probe);
        if self.at(place).is_some() { place } else { (place.0 + 1, 0) }
    }

    /// Puts an entry into its place. Says whether it was new.
    pub(crate) fn insert(&mut self, entry: E, probe: &impl Probe<E>) -> bool {
        let place @ (chunk, offset) = self.seek(probe);
        // At the end of a chunk: it could be the head of the next one.
        let there = self.at(place).or_else(|| self.heads.get(chunk + 1).copied());
        if there.is_some_and(|there| probe.cmp(there) == Ordering::Equal) {
            return false;
        }
        self.len += 1;
        let Some(entries) = self.chunks.get_mut(chunk) else {
            self.push_chunk(Chunk::of(&[entry]));
            return true;
        };
        let entries = Arc::make_mut(entries);
        entries.insert(offset, entry);
        let len = entries.len;
        if offset == 0 {
            self.note_head(chunk);
        }
        if len >= MAX {
            // Appending is the common case of growth: leave full chunks behind then, not half-full ones.
            self.split(chunk, if offset + 1 == len { MAX - 1 } else { MAX / 2 });
        }
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
                self.heads.extend(chunk.as_slice().first());
                self.chunks.push(Arc::clone(chunk));
            } else {
                self.append(&merged(chunk.as_slice(), here, &cmp));
            }
        }
        self.append(rest);
    }

    /// Appends chunks of entries, all of about the same length.
    fn append(&mut self, entries: &[E]) {
        let chunks = entries.len().div_ceil(MAX / 4 * 3).max(1);
        for chunk in entries.chunks(entries.len().div_ceil(chunks).max(1)) {
            self.push_chunk(Chunk::of(chunk));
        }
    }

    fn split(&mut self, chunk: usize, at: usize) {
        let Some(entries) = self.chunks.get_mut(chunk).map(Arc::make_mut) else { return };
        let tail = entries.split_off(at);
        if let Some(&head) = tail.as_slice().first() {
            self.chunks.insert(chunk + 1, Arc::new(tail));
            self.heads.insert(chunk + 1, head);
        }
    }

    /// Sees to it that the head of a chunk is what the chunk begins with.
    fn note_head(&mut self, chunk: usize) {
        if let (Some(first), Some(head)) = (self.at((chunk, 0)), self.heads.get_mut(chunk)) {
            *head = first;
        }
    }

    /// Removes what is sought. Says whether it was there.
    pub(crate) fn remove(&mut self, probe: &impl Probe<E>) -> bool {
        let place @ (chunk, offset) = self.lower_bound(probe);
        if self.at(place).is_none_or(|entry| probe.cmp(entry) != Ordering::Equal) {
            return false;
        }
        let Some(entries) = self.chunks.get_mut(chunk).map(Arc::make_mut) else { return false };
        entries.remove(offset);
        // Others are not looked at for nothing: each is a wait for memory.
        let is_small = entries.len <= MAX / 4;
        self.len -= 1;
        if offset == 0 {
            self.note_head(chunk);
        }
        if is_small {
            self.join(chunk.saturating_sub(1));
            self.join(chunk);
        }
        true
    }

    /// Joins a chunk with the next one where both together are small; an empty one goes.
    fn join(&mut self, chunk: usize) {
        let len = |chunk: usize| self.chunks.get(chunk).map(|entries| entries.len);
        match (len(chunk), len(chunk + 1)) {
            (Some(0), _) => {
                self.chunks.remove(chunk);
                self.heads.remove(chunk);
            }
            (Some(one), Some(next)) if one + next <= MAX / 2 => {
                let tail = self.chunks.remove(chunk + 1);
                self.heads.remove(chunk + 1);
                if let Some(entries) = self.chunks.get_mut(chunk) {
                    Arc::make_mut(entries).extend(tail.as_slice());
                }
            }
            _ => {}
        }
    }

    /// The chunks from a place on: what is left of the first one, and the others.
    pub(crate) fn slices_from(&self, (chunk, offset): Place) -> (&[E], &[Arc<Chunk<E, MAX>>]) {
        let first = self.chunk(chunk).get(offset..).unwrap_or_default();
        (first, self.chunks.get(chunk + 1..).unwrap_or_default())
    }

    /// The entries in order, from a place on.
    pub(crate) fn iter_from(&self, place: Place) -> impl Iterator<Item = E> + '_ {
        let (first, rest) = self.slices_from(place);
        first.iter().chain(rest.iter().flat_map(|entries| entries.as_slice())).copied()
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
                assert!(ids.insert(id, &|it: u32| it.cmp(&id)));
                assert!(!ids.insert(id, &|it: u32| it.cmp(&id)));
            }
            assert!(ids.iter().eq(0..3000));
            assert!(ids.iter_from(ids.lower_bound(&|it: u32| it.cmp(&1234))).eq(1234..3000));
            for id in (0..3000).filter(|id| id % 3 != 0) {
                assert!(ids.remove(&|it: u32| it.cmp(&id)) && !ids.remove(&|it: u32| it.cmp(&id)));
            }
            assert!(ids.iter().eq((0..3000).step_by(3)));
            assert_eq!(ids.len(), 1000);
        }
    }

    #[test]
    fn an_empty_list_is_empty() {
        let mut ids = Sorted::<u32, 512>::default();
        assert!(!ids.remove(&|it: u32| it.cmp(&1)));
        assert_eq!(ids.iter_from(ids.lower_bound(&|it: u32| it.cmp(&1))).count(), 0);
    }

    #[test]
    fn what_is_left_of_many_chunks_does_not_stay_in_many() {
        let all: Vec<u32> = (0..100_000).collect();
        let mut ids = Sorted::<u32, 512>::from_sorted(&all);
        for id in (0..100_000).filter(|id| id % 1000 != 0) {
            assert!(ids.remove(&|it: u32| it.cmp(&id)));
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
                ids.insert(id, &|it: u32| it.cmp(&id));
            }
            let before = ids.clone();
            let new: Vec<u32> = new.difference(&there).copied().collect();
            ids.merge(&new, |one, other| one.cmp(&other));
            let all: BTreeSet<u32> = there.iter().chain(&new).copied().collect();
            prop_assert!(ids.iter().eq(all.iter().copied()) && before.iter().eq(there.iter().copied()));
            prop_assert!(ids.chunks.iter().zip(&ids.heads).all(|(chunk, head)| chunk.as_slice().first() == Some(head)));
            prop_assert!(ids.chunks.iter().all(|chunk| chunk.len < 128));
            prop_assert_eq!((ids.len(), ids.chunks.len()), (all.len(), ids.heads.len()));
        }

        /// Long runs of neighbours, so that chunks split, empty and join at both ends.
        #[test]
        fn it_is_a_sorted_set(steps in proptest::collection::vec((any::<bool>(), 0_u32..3000, 1_u32..700), 0..12), probe in 0_u32..3800) {
            let (mut ids, mut model) = (Sorted::<u32, 512>::default(), BTreeSet::new());
            for (add, from, count) in steps {
                for id in from..from + count {
                    if add {
                        prop_assert_eq!(ids.insert(id, &|it: u32| it.cmp(&id)), model.insert(id));
                    } else {
                        prop_assert_eq!(ids.remove(&|it: u32| it.cmp(&id)), model.remove(&id));
                    }
                }
                prop_assert!(ids.iter().eq(model.iter().copied()));
                prop_assert!(ids.chunks.iter().zip(&ids.heads).all(|(chunk, head)| chunk.as_slice().first() == Some(head)));
                prop_assert_eq!((ids.len(), ids.chunks.len()), (model.len(), ids.heads.len()));
            }
            let bound = ids.lower_bound(&|it: u32| it.cmp(&probe));
            prop_assert!(ids.iter_from(bound).eq(model.range(probe..).copied()));
        }
    }
}
