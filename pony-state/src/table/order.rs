//! The rows in the order of keys.

use super::PAGE_ROWS;
use crate::engine::slab::Slab;
use crate::engine::sorted::Sorted;
use crate::row::Row;
use std::cmp::Ordering;

/// Entries per chunk: 2 to 4 KiB, what one write copies while a snapshot lives.
const CHUNK: usize = 512;

/// Up to so many new rows are put into order one by one: a merge passes over all chunks.
const ONE_BY_ONE_MAX: usize = 64;

/// A row in the order of keys: its rank in the upper half, its id in the lower. See [`Row::rank`].
pub(super) type Ranked = u64;

const fn ranked(rank: u32, id: u32) -> Ranked {
    (rank as u64) << 32 | id as u64
}

/// Row ids in the order of keys.
pub(super) type Order = Sorted<Ranked, CHUNK>;

pub(super) type Rows<R> = Slab<R, PAGE_ROWS>;

/// Puts the row of an id into the order.
pub(super) fn insert<R: Row>(order: &mut Order, rows: &Rows<R>, id: u32, key: &R::Key) {
    let rank = R::rank(key);
    order.insert(ranked(rank, id), &by_rank(rows, rank, key));
}

/// Puts the rows of many ids into the order.
pub(super) fn insert_all<R: Row>(order: &mut Order, rows: &Rows<R>, ids: &[u32]) {
    if ids.len() > ONE_BY_ONE_MAX {
        order.merge(&sorted(rows, ids), |one, other| in_order(rows, one, other));
        return;
    }
    for &id in ids {
        if let Some(key) = rows.get(id).map(Row::key) {
            insert(order, rows, id, &key);
        }
    }
}

/// Removes the row of a key, which `rows` still has.
pub(super) fn remove<R: Row>(order: &mut Order, rows: &Rows<R>, key: &R::Key) {
    order.remove(&by_rank(rows, R::rank(key), key));
}

/// Puts ids of rows into order; those without a row vanish.
pub(super) fn sort<R: Row>(rows: &Rows<R>, ids: &mut Vec<u32>) {
    let entries = sorted(rows, ids);
    ids.clear();
    ids.extend(entries.into_iter().map(|it| it as u32));
}

/// The entries of rows, in order.
fn sorted<R: Row>(rows: &Rows<R>, ids: &[u32]) -> Vec<Ranked> {
    let entry = |id: &u32| rows.get(*id).map(|row| ranked(row.own_rank(), *id));
    let mut entries: Vec<Ranked> = ids.iter().filter_map(entry).collect();
    entries.sort_unstable_by(|&one, &other| in_order(rows, one, other));
    entries
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
