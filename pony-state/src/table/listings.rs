//! How rows are found otherwise than by their key: in the order of keys, and by the values of indexed columns.

use super::KEPT_ENTRIES_MAX;
use super::order::{self, Order, Rows};
use crate::engine::index::Index;
use crate::row::Row;
use crate::schema::TableDef;
use std::sync::OnceLock;
use triomphe::Arc;

/// Up to so many new rows of a transaction are listed at once.
const AT_ONCE_MAX: usize = 64;

/// Where rows are listed.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    /// Behind an `Arc`, because only new and removed rows change it.
    pub(super) order: Arc<Order>,
    /// In the order of [`TableDef::indexed`].
    pub(super) indexes: Vec<Index>,
}

/// The listings of a table. Where a transaction has many new rows they are listed together at its end, which costs much
/// less than one after the other; those of several bulks together at the end of the next other transaction. Unless somebody
/// looks before.
#[derive(Debug)]
pub(super) struct Listings {
    listed: Listed,
    /// New rows that are not listed. Between transactions only those of bulks.
    new: Vec<u32>,
    /// All of them listed: made when somebody looks, kept by the next write.
    whole: OnceLock<Listed>,
    /// How many more new rows the running transaction lists at once; without end where it has been asked, since it will be
    /// again.
    at_once: usize,
}

/// A copy of a table is made for, or because of, a snapshot: no transaction of it has begun.
impl Clone for Listings {
    fn clone(&self) -> Self {
        match self.whole.get() {
            Some(whole) => Self::of(whole.clone()),
            None => Self { new: self.new.clone(), ..Self::of(self.listed.clone()) },
        }
    }
}

impl Listings {
    pub(super) fn new(def: &TableDef) -> Self {
        let indexes = vec![Index::default(); def.indexed().len()];
        Self::of(Listed { order: Arc::new(Order::default()), indexes })
    }

    const fn of(listed: Listed) -> Self {
        Self { listed, new: Vec::new(), whole: OnceLock::new(), at_once: AT_ONCE_MAX }
    }

    /// All rows, listed.
    #[inline]
    pub(super) fn whole<R: Row>(&self, def: &TableDef, rows: &Rows<R>) -> &Listed {
        if self.new.is_empty() {
            return &self.listed;
        }
        self.whole.get_or_init(|| {
            let mut whole = self.listed.clone();
            whole.insert_all(def, rows, &self.new);
            whole
        })
    }

    /// Lists a new row.
    pub(super) fn insert<R: Row>(&mut self, def: &TableDef, rows: &Rows<R>, id: u32, key: &R::Key) {
        self.keep_whole();
        let Some(left) = self.at_once.checked_sub(1) else { return self.new.push(id) };
        self.at_once = left;
        order::insert(Arc::make_mut(&mut self.listed.order), rows, id, key);
        self.listed.follow(def, id, None, rows.get(id));
    }

    /// Follows a row that is another one now. Where it is not listed yet this lists what changed, and the rest comes later.
    #[inline]
    pub(super) fn change<R: Row>(&mut self, def: &TableDef, rows: &Rows<R>, id: u32, before: Option<&R>) {
        self.keep_whole();
        self.listed.follow(def, id, before, rows.get(id));
    }

    /// Forgets a row, which `rows` still has.
    pub(super) fn remove<R: Row>(&mut self, def: &TableDef, rows: &Rows<R>, id: u32, key: &R::Key) {
        self.list_new(def, rows);
        order::remove(Arc::make_mut(&mut self.listed.order), rows, key);
        self.listed.follow(def, id, rows.get(id), None);
    }

    /// Ends a transaction.
    pub(super) fn settle<R: Row>(&mut self, def: &TableDef, rows: &Rows<R>) {
        self.list_new(def, rows);
        self.end_bulk();
    }

    /// Ends a transaction of many new rows, after which more may come.
    pub(super) const fn end_bulk(&mut self) {
        self.at_once = AT_ONCE_MAX;
    }

    fn keep_whole(&mut self) {
        if let Some(whole) = self.whole.take() {
            self.listed = whole;
            self.at_once = usize::MAX;
            self.forget_new();
        }
    }

    #[inline]
    fn list_new<R: Row>(&mut self, def: &TableDef, rows: &Rows<R>) {
        if self.new.is_empty() {
            return;
        }
        self.keep_whole();
        if !self.new.is_empty() {
            self.listed.insert_all(def, rows, &self.new);
            self.forget_new();
        }
    }

    fn forget_new(&mut self) {
        self.new.clear();
        self.new.shrink_to(KEPT_ENTRIES_MAX);
    }
}

impl Listed {
    /// Follows a row from its old version to its new one; `None` where there is none.
    #[inline]
    fn follow<R: Row>(&mut self, def: &TableDef, id: u32, old: Option<&R>, new: Option<&R>) {
        for ((_, places), index) in def.indexed().iter().zip(&mut self.indexes) {
            index.update(def, *places, id, old, new);
        }
    }

    fn insert_all<R: Row>(&mut self, def: &TableDef, rows: &Rows<R>, ids: &[u32]) {
        order::insert_all(Arc::make_mut(&mut self.order), rows, ids);
        for ((_, places), index) in def.indexed().iter().zip(&mut self.indexes) {
            index.insert_all(def, *places, rows, ids);
        }
    }
}
