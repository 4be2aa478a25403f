//! The naive model: ordered maps of values, searched from end to end.

use pony_state::{AnyRow, Key, PartKind, Schema, TableDef, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The desired and the current part of a row.
pub(crate) type Parts = [Option<Vec<Value>>; 2];

/// The rows of a table.
pub(crate) type Rows = BTreeMap<Key, Parts>;

/// All tables, in the order of their numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Model(pub(crate) Vec<Rows>);

pub(crate) fn place(kind: PartKind) -> usize {
    usize::from(kind == PartKind::Current)
}

/// What an erased row is, taken apart.
pub(crate) fn row(row: AnyRow<'_>) -> (Key, Parts) {
    (row.key(), PartKind::BOTH.map(|kind| row.part(kind)))
}

/// The values that a row has in the columns of a name.
fn values<'r>(def: &TableDef, key: &'r Key, parts: &'r Parts, column: &str) -> Vec<&'r Value> {
    let schema = def.schema();
    let named = |columns: &[pony_state::ColumnSchema]| columns.iter().position(|it| it.name == column);
    let own = named(&schema.key).map(|place| &key.values()[place]);
    let part = |kind: PartKind| {
        let values = parts[place(kind)].as_ref()?;
        Some(&values[named(schema.part(kind))?])
    };
    own.into_iter().chain(PartKind::BOTH.into_iter().filter_map(part)).collect()
}

impl Model {
    pub(crate) fn new(schema: &Schema) -> Self {
        Self(schema.tables().iter().map(|_| Rows::new()).collect())
    }

    /// Sets or removes a part. Says whether that changed anything.
    pub(crate) fn set(&mut self, table: usize, key: &Key, kind: PartKind, part: Option<Vec<Value>>) -> bool {
        let mut parts = self.0[table].get(key).cloned().unwrap_or_default();
        parts[place(kind)] = part;
        self.put(table, key, &parts)
    }

    /// Sets or removes a row. Says whether that changed anything.
    pub(crate) fn put(&mut self, table: usize, key: &Key, parts: &Parts) -> bool {
        let old = self.0[table].get(key).cloned().unwrap_or_default();
        if parts.iter().all(Option::is_none) {
            self.0[table].remove(key);
        } else {
            self.0[table].insert(key.clone(), parts.clone());
        }
        old != *parts
    }

    pub(crate) fn part(&self, table: usize, key: &Key, kind: PartKind) -> Option<&Vec<Value>> {
        self.0[table].get(key)?[place(kind)].as_ref()
    }

    /// The keys of the rows for which all filters hold, in order.
    pub(crate) fn filter(&self, def: &TableDef, filters: &[(&str, Value)]) -> Vec<Key> {
        let holds = |key: &Key, parts: &Parts| {
            filters.iter().all(|(column, value)| values(def, key, parts, column).contains(&value))
        };
        let rows = self.0[def.id().index()].iter();
        rows.filter(|(key, parts)| holds(key, parts)).map(|(key, _)| key.clone()).collect()
    }

    /// The keys of join rows, and of the rows that they lead to from `value` in `from`.
    pub(crate) fn joined(
        &self,
        schema: &Schema,
        def: &TableDef,
        from: &str,
        value: &Value,
    ) -> Vec<(Key, Key)> {
        let (left, right) = def.schema().join.clone().unwrap();
        let to = if from == left { right } else { left };
        let target = schema.table(def.column(&to).unwrap().references.as_deref().unwrap()).unwrap().id();
        let mut pairs = BTreeSet::new();
        for (key, parts) in &self.0[def.id().index()] {
            // Both ends come from the same part, or from the key.
            for kind in PartKind::BOTH {
                let mut only = parts.clone();
                only[1 - place(kind)] = None;
                let has_part = parts[place(kind)].is_some();
                if values(def, key, &only, from).contains(&value) && has_part {
                    let ends = values(def, key, &only, &to).into_iter().cloned().map(Key::one);
                    pairs.extend(ends.map(|end| (key.clone(), end)));
                }
            }
        }
        pairs.retain(|(_, end)| self.0[target.index()].contains_key(end));
        pairs.into_iter().collect()
    }
}
