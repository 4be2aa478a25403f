//! The rows in the order of keys.

use super::{KEPT_ENTRIES_MAX, PAGE_ROWS};
use crate::engine::slab::Slab;
use crate::engine::sorted::Sorted;
use crate::row::Row;
use std::cmp::Ordering;
use std::sync::OnceLock;
use triomphe::Arc;

/// Entries per chunk: 2 to 4 KiB, what one write copies while a snapshot lives.
const CHUNK: usize = 512;

/// Up to so many new rows of a transaction are put into order one by one: a merge passes over all chunks.
const ONE_BY_ONE_MAX: usize = 64;

/// A row in the order of keys: its rank in the upper half, its id in the lower. See [`Row::rank`].
pub(super) type Ranked = u64;

pub(super) const fn ranked(rank: u32, id: u32) -> Ranked {
    (rank as u64) << 32 | id as u64
}

type Listed = Sorted<Ranked, CHUNK>;

type Rows<R> = Slab<R, PAGE_ROWS>;

/// Row ids in the order of keys. A transaction's new rows are put into it together at its end, which costs much less than
/// one after the other where they are many; unless somebody wants them in order before.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// Behind an `Arc`, because only new and removed rows change it.
    listed: Arc<Listed>,
    /// New rows that are not listed. None between transactions.
    new: Vec<Ranked>,
    /// All of them listed: made when a running transaction is asked for it, kept by its next write.
    whole: OnceLock<Listed>,
    /// The running transaction has been asked for the order: it will be again, so that there is no waiting any more.
    is_wanted: bool,
}

/// A copy of a table is made for, or because of, a snapshot: no transaction of it has begun.
impl Clone for Order {
    fn clone(&self) -> Self {
        Self { listed: Arc::clone(&self.listed), ..Self::default() }
    }
}

impl Order {
    pub(super) fn insert<R: Row>(&mut self, entry: Ranked, rows: &Rows<R>, key: &R::Key) {
        self.keep_whole();
        if self.is_wanted {
            Arc::make_mut(&mut self.listed).insert(entry, &by_rank(rows, (entry >> 32) as u32, key));
        } else {
            self.new.push(entry);
        }
    }

    /// Removes the row of a key, which `rows` still has.
    pub(super) fn remove<R: Row>(&mut self, rows: &Rows<R>, key: &R::Key) {
        self.keep_whole();
        self.list_new(rows);
        Arc::make_mut(&mut self.listed).remove(&by_rank(rows, R::rank(key), key));
    }

    /// All rows, in order.
    pub(super) fn whole<R: Row>(&self, rows: &Rows<R>) -> &Listed {
        if self.new.is_empty() {
            return &self.listed;
        }
        self.whole.get_or_init(|| {
            let mut whole = Listed::clone(&self.listed);
            list(&mut whole, &mut self.new.clone(), rows);
            whole
        })
    }

    /// Ends a transaction.
    pub(super) fn settle<R: Row>(&mut self, rows: &Rows<R>) {
        self.keep_whole();
        self.list_new(rows);
        self.is_wanted = false;
    }

    fn keep_whole(&mut self) {
        if let Some(whole) = self.whole.take() {
            self.listed = Arc::new(whole);
            self.forget_new();
            self.is_wanted = true;
        }
    }

    fn list_new<R: Row>(&mut self, rows: &Rows<R>) {
        if !self.new.is_empty() {
            list(Arc::make_mut(&mut self.listed), &mut self.new, rows);
            self.forget_new();
        }
    }

    fn forget_new(&mut self) {
        self.new.clear();
        self.new.shrink_to(KEPT_ENTRIES_MAX);
    }

    /// How many rows are listed.
    pub(super) fn len(&self) -> usize {
        self.listed.len()
    }

    /// What is listed, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Ranked> + '_ {
        self.listed.iter()
    }
}

/// Puts new rows into a list.
fn list<R: Row>(listed: &mut Listed, new: &mut [Ranked], rows: &Rows<R>) {
    if new.len() > ONE_BY_ONE_MAX {
        new.sort_unstable_by(|&one, &other| in_order(rows, one, other));
        listed.merge(new, |one, other| in_order(rows, one, other));
        return;
    }
    for &mut entry in new {
        if let Some(key) = rows.get(entry as u32).map(Row::key) {
            listed.insert(entry, &by_rank(rows, (entry >> 32) as u32, &key));
        }
    }
}

/// Puts ids of rows into order; those without a row vanish.
pub(super) fn sort<R: Row>(rows: &Rows<R>, ids: &mut Vec<u32>) {
    let entry = |id: &u32| rows.get(*id).map(|row| ranked(row.own_rank(), *id));
    let mut entries: Vec<Ranked> = ids.iter().filter_map(entry).collect();
    entries.sort_unstable_by(|&one, &other| in_order(rows, one, other));
    ids.clear();
    ids.extend(entries.into_iter().map(|it| it as u32));
}

/// How two listed rows compare.
fn in_order<R: Row>(rows: &Rows<R>, one: Ranked, other: Ranked) -> Ordering {
    (one >> 32).cmp(&(other >> 32)).then_with(|| match (rows.get(one as u32), rows.get(other as u32)) {
        (Some(one), Some(other)) => one.cmp_key(&other.key()),
        (one, other) => one.is_some().cmp(&other.is_some()),
    })
}

/// How listed rows compare with a key of that rank.
pub(super) fn by_rank<'a, R: Row>(
    rows: &'a Rows<R>,
    rank: u32,
    key: &'a R::Key,
) -> impl Fn(Ranked) -> Ordering + 'a {
    move |it| match ((it >> 32) as u32).cmp(&rank) {
        Ordering::Equal => rows.get(it as u32).map_or(Ordering::Less, |row| row.cmp_key(key)),
        differs => differs,
    }
}
