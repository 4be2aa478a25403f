//! What a request comes to: the operations on rows, in an order in which a database can take them one by one.

use super::draft::{Draft, Entry};
use super::pointer::Pointer;
use super::rows::Rows;
use pony_state::{ColumnSchema, Columns, Key, OnDelete, PartKind, RowOp, TableDef, TableId, Value};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// What a request comes to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Effect {
    /// What is to be committed, all or nothing, in this order. Empty where all is as asked for already.
    pub ops: Vec<RowOp>,
    /// For each of them, where in the document it was asked for.
    pub paths: Vec<Pointer>,
    /// What the placeholders of the request stand for.
    pub uuids: BTreeMap<String, Uuid>,
}

/// A row that changes.
struct Changed<'d> {
    before: Option<Columns>,
    entry: &'d Entry,
}

type Rowid = (TableId, Key);

impl<R: Rows> Draft<'_, R> {
    /// The operations that make the rows what the draft says.
    ///
    /// Removals come first, dependent rows before what they depend on, so that what is unique is free for others;
    /// but what rows that stay referred to before, and which would take them along or be refused, is removed last, when
    /// they do so no more. In between come the new and changed rows, what is referred to first.
    pub(super) fn effect(&self) -> Effect {
        let mut changed = BTreeMap::new();
        for ((table, key), entry) in self.entries() {
            let before = self.base.columns(*table, key, PartKind::Desired);
            if before != entry.desired {
                changed.insert((*table, key.clone()), Changed { before, entry });
            }
        }
        let gone = |changed: &Changed<'_>| changed.entry.desired.is_none();
        let late = self.late(&changed);
        let (mut early_order, mut write_order, mut late_order) = (Vec::new(), Vec::new(), Vec::new());
        let mut done = BTreeSet::new();
        for id in changed.keys() {
            self.visit(id, &changed, &mut done, &mut |id, it| match (gone(it), late.contains(id)) {
                (false, _) => write_order.push(id.clone()),
                (true, false) => early_order.push(id.clone()),
                (true, true) => late_order.push(id.clone()),
            });
        }
        // A row is visited after what it refers to; removals go the other way round.
        early_order.reverse();
        late_order.reverse();
        let mut effect = Effect { uuids: self.names().clone(), ..Effect::default() };
        for id in early_order.iter().chain(&write_order).chain(&late_order) {
            if let (Some(change), Some(table)) = (changed.get(id), self.table(id.0)) {
                effect.ops.push(row_op(table, &id.1, change));
                effect.paths.push(change.entry.path.clone());
            }
        }
        effect
    }

    /// Removed rows that rows which stay referred to before; and what these, in turn, referred to.
    fn late(&self, changed: &BTreeMap<Rowid, Changed<'_>>) -> BTreeSet<Rowid> {
        let is_gone = |id: &Rowid| changed.get(id).is_some_and(|it| it.entry.desired.is_none());
        let stays = changed.iter().filter(|(_, it)| it.entry.desired.is_some());
        let mut open: Vec<Rowid> = stays
            .flat_map(|(id, it)| {
                self.references(id, it.before.as_ref(), |column| column.on_delete != OnDelete::SetNull)
            })
            .filter(|target| is_gone(target))
            .collect();
        let mut late = BTreeSet::new();
        while let Some(id) = open.pop() {
            let before = changed.get(&id).and_then(|it| it.before.as_ref());
            let targets = self.references(&id, before, |_| true).into_iter().filter(|target| is_gone(target));
            if late.insert(id.clone()) {
                open.extend(targets);
            }
        }
        late
    }

    /// Visits a changed row after the changed rows that it refers to.
    fn visit<'c, 'd>(
        &self,
        id: &Rowid,
        changed: &'c BTreeMap<Rowid, Changed<'d>>,
        done: &mut BTreeSet<Rowid>,
        found: &mut impl FnMut(&Rowid, &'c Changed<'d>),
    ) {
        // References form no long chains: their length is bounded by the number of tables, but for volumes that are
        // filled from volumes, whence the explicit stack.
        let mut stack = vec![(id.clone(), false)];
        while let Some((id, ready)) = stack.pop() {
            let Some(change) = changed.get(&id) else { continue };
            if ready {
                found(&id, change);
            } else if done.insert(id.clone()) {
                let columns = change.entry.desired.as_ref().or(change.before.as_ref());
                let targets = self.references(&id, columns, |_| true);
                stack.push((id, true));
                stack.extend(targets.into_iter().map(|target| (target, false)));
            }
        }
    }

    /// The rows that a row refers to by columns that count.
    fn references(
        &self,
        (table, key): &Rowid,
        columns: Option<&Columns>,
        counts: impl Fn(&ColumnSchema) -> bool,
    ) -> Vec<Rowid> {
        let (Some(table), Some(columns)) = (self.table(*table), columns) else { return Vec::new() };
        let schema = table.schema();
        let keys = schema.key.iter().zip(key.values().iter().cloned());
        let desired = schema.desired.iter().filter_map(|column| {
            let json = columns.get(&column.name)?;
            Some((column, Value::from_json(&column.ty, json).ok()?))
        });
        keys.chain(desired)
            .filter(|(column, _)| !column.soft && counts(column))
            .filter_map(|(column, value)| {
                let target = self.tree.schema().table(column.references.as_deref()?)?;
                Some((target.id(), Key::one(value)))
            })
            .collect()
    }
}

fn row_op(table: &TableDef, key: &Key, change: &Changed<'_>) -> RowOp {
    let name = table.name().to_owned();
    let key_columns: Columns = {
        let columns = table.schema().key.iter().zip(key.values());
        columns.map(|(column, value)| (column.name.clone(), value.to_json())).collect()
    };
    match (&change.before, &change.entry.desired) {
        (_, None) => RowOp::Delete { table: name, key: key_columns },
        (None, Some(columns)) => {
            let row = key_columns.into_iter().chain(columns.clone()).collect();
            RowOp::Insert { table: name, row }
        }
        (Some(before), Some(after)) => {
            let names = table.schema().desired.iter().map(|column| &column.name);
            let differs = names.filter(|name| before.get(*name) != after.get(*name));
            let columns =
                differs.map(|name| (name.clone(), after.get(name).cloned().unwrap_or(Json::Null))).collect();
            RowOp::Update { table: name, key: key_columns, columns }
        }
    }
}
