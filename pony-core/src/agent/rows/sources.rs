//! Which rows each order was made from, found out by noting what is read while it is made: so it need not be declared
//! anywhere else, and a commit leads to the few orders that it concerns.

use super::{named_by, order};
use crate::agent::orders::{Order, OrderId};
use crate::lookup::Lookup;
use pony_state::{Change, Commit, Entity, Key, PartKind, Read, State, TableId, Value};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use uuid::Uuid;

/// Something that was asked of the rows. When its answer may have become another one, what was made of it is made anew.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Source {
    /// A part of a row.
    Part(TableId, PartKind, Key),
    /// The desired parts that have a value in a column.
    Column(TableId, &'static str, Value),
}

/// Which rows each order was made from, and which orders are to be made again.
#[derive(Debug)]
pub(in crate::agent) struct Sources {
    host: Uuid,
    orders: HashMap<Source, BTreeSet<OrderId>>,
    of: BTreeMap<OrderId, HashSet<Source>>,
    /// The columns that were asked for. There are only so many questions in the program.
    columns: BTreeSet<(TableId, &'static str)>,
    stale: BTreeSet<OrderId>,
}

impl Sources {
    /// Of a host, without any rows. All commits must be noted from then on.
    pub(in crate::agent) fn new(host: Uuid) -> Self {
        Self {
            host,
            orders: HashMap::new(),
            of: BTreeMap::new(),
            columns: BTreeSet::new(),
            stale: OrderId::WHOLE.into(),
        }
    }

    /// Whether there is an order to be made again.
    pub(in crate::agent) fn is_any_stale(&self) -> bool {
        !self.stale.is_empty()
    }

    /// Notes which orders a commit concerns.
    pub(in crate::agent) fn note(&mut self, commit: &Commit) {
        for change in commit.changes() {
            for kind in PartKind::BOTH.into_iter().filter(|kind| change.part_changed(*kind)) {
                self.note_part(change, kind);
            }
        }
    }

    fn note_part(&mut self, change: &Change, kind: PartKind) {
        let (table, key) = (change.table().id(), change.key());
        if kind == PartKind::Desired {
            self.stale.extend(named_by(change.table().name(), &key));
            for (_, column) in self.columns.range((table, "")..).take_while(|(it, _)| *it == table) {
                let rows = [change.before(), change.after()].into_iter().flatten();
                for value in rows.filter(|row| row.has(kind)).filter_map(|row| row.value(kind, column)) {
                    let source = Source::Column(table, column, value);
                    self.stale.extend(self.orders.get(&source).into_iter().flatten());
                }
            }
        }
        self.stale.extend(self.orders.get(&Source::Part(table, kind, key)).into_iter().flatten());
    }

    /// Makes those orders again that a commit concerned since the last call.
    pub(in crate::agent) fn renew(&mut self, rows: &State) -> Vec<Order> {
        let stale = std::mem::take(&mut self.stale);
        stale.into_iter().map(|id| self.make(rows, id)).collect()
    }

    /// How much is remembered.
    #[cfg(test)]
    pub(in crate::agent) fn len(&self) -> usize {
        self.orders.len() + self.of.len()
    }

    fn make(&mut self, rows: &State, id: OrderId) -> Order {
        let noting = Noting { rows, asked: RefCell::default(), found: Cell::new(false) };
        let order = order(&noting, self.host, id);
        // Where its own row was asked for in vain, that row names it as soon as it is there.
        let is_void = !noting.found.get() && !OrderId::WHOLE.contains(&id);
        let asked = if is_void { HashSet::new() } else { noting.asked.into_inner() };
        self.replace(id, asked);
        order
    }

    fn replace(&mut self, id: OrderId, asked: HashSet<Source>) {
        let before = self.of.remove(&id).unwrap_or_default();
        for source in before.difference(&asked) {
            let Some(orders) = self.orders.get_mut(source) else { continue };
            orders.remove(&id);
            if orders.is_empty() {
                self.orders.remove(source);
            }
        }
        for source in asked.difference(&before) {
            self.orders.entry(source.clone()).or_default().insert(id);
            if let Source::Column(table, column, _) = source {
                self.columns.insert((*table, column));
            }
        }
        if !asked.is_empty() {
            self.of.insert(id, asked);
        }
    }
}

/// Reads rows, and notes what it was asked for.
struct Noting<'a> {
    rows: &'a State,
    asked: RefCell<HashSet<Source>>,
    /// Whether there was an answer to anything.
    found: Cell<bool>,
}

impl Noting<'_> {
    fn note(&self, source: impl FnOnce(TableId) -> Source, table: &str, is_found: bool) {
        let Some(table) = self.rows.any(table) else { return };
        self.asked.borrow_mut().insert(source(table.def().id()));
        self.found.set(self.found.get() || is_found);
    }
}

impl Lookup for Noting<'_> {
    fn desired<R: Entity>(&self, key: &R::Key) -> Option<&R::Desired> {
        let part = self.rows.desired::<R>(key);
        let source = |table| Source::Part(table, PartKind::Desired, R::untyped_key(key));
        self.note(source, R::TABLE, part.is_some());
        part
    }

    fn desired_with<R: Entity>(
        &self,
        column: &'static str,
        value: impl Into<Value>,
    ) -> Vec<(R::Key, &R::Desired)> {
        let value = value.into();
        let parts = self.rows.desired_with::<R>(column, value.clone());
        self.note(|table| Source::Column(table, column, value), R::TABLE, !parts.is_empty());
        parts
    }

    fn current<R: Entity>(&self, key: &R::Key) -> Option<&R::Current> {
        let part = self.rows.current::<R>(key);
        let source = |table| Source::Part(table, PartKind::Current, R::untyped_key(key));
        self.note(source, R::TABLE, part.is_some());
        part
    }
}
