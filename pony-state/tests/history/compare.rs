//! All answers of a state against those of the model.

use crate::cloud::{Instance, Vdisk, Volume};
use crate::model::{self, Model};
use crate::op::{VALUES, column_value};
use crate::typed::{by_table, filter, rows};
use pony_state::{AnyRow, AnyTable, Entity, Key, PartKind, Read, Row, TableDef, Value};
use serde_json::Value as Json;

/// Every so many filters of one column pages are looked at, since there are many of each.
const FILTERS_PER_PAGE: usize = 5;

/// Everything that a state, snapshot or transaction can be asked, by name.
pub(crate) fn erased(read: &impl Read, model: &Model) {
    for it in read.view().tables() {
        table(it, model);
    }
    joins_by_name(read, model);
}

/// Everything that a table can be asked, by name.
pub(crate) fn table(table: AnyTable<'_>, model: &Model) {
    table_rows(table, model);
    look_ups(table, model);
}

pub(crate) fn joins_by_name(read: &impl Read, model: &Model) {
    let join = read.any("vdisk").unwrap();
    for from in ["instance", "volume"] {
        for value in values(join.def(), from) {
            let pairs = read.view().joined_any("vdisk", from, &value).unwrap();
            let mut pairs: Vec<_> = pairs.iter().map(|(row, end)| (row.key(), end.key())).collect();
            pairs.sort_unstable();
            assert_eq!(pairs, model.joined(read.schema(), join.def(), from, &value), "{from} = {value}");
        }
    }
}

/// The same by the typed door, where there is one.
pub(crate) fn typed(read: &impl Read, model: &Model) {
    for table in read.view().tables() {
        let (def, expected) = (table.def(), &model.0[table.def().id().index()]);
        let found = by_table!(def.name(), rows(read));
        assert!(found.iter().map(|(key, parts)| (key, parts)).eq(expected.iter()), "{}", def.name());
        for filters in filters(def) {
            assert_eq!(
                by_table!(def.name(), filter(read, &filters)),
                model.filter(def, &filters),
                "{filters:?}"
            );
        }
    }
    joins::<Volume>(read, model, "instance");
    joins::<Instance>(read, model, "volume");
}

fn joins<T: Entity>(read: &impl Read, model: &Model, from: &str) {
    let def = read.table::<Vdisk>().def();
    for value in values(def, from) {
        let pairs = read.joined::<Vdisk, T>(from, value.clone());
        let keys = |(row, end): (&Vdisk, &T)| (Vdisk::untyped_key(&row.key()), T::untyped_key(&end.key()));
        let mut pairs: Vec<_> = pairs.map(keys).collect();
        pairs.sort_unstable();
        assert_eq!(pairs, model.joined(read.schema(), def, from, &value), "{from} = {value}");
    }
}

fn table_rows(table: AnyTable<'_>, model: &Model) {
    let rows = &model.0[table.def().id().index()];
    let mut all: Vec<_> = table.ordered().map(model::row).collect();
    assert!(all.iter().map(|(key, parts)| (key, parts)).eq(rows.iter()), "{}: {all:?}", table.def().name());
    let mut unordered: Vec<_> = table.iter().map(model::row).collect();
    unordered.sort_unstable();
    assert_eq!(unordered, all);
    assert_eq!((table.len(), table.is_empty()), (rows.len(), rows.is_empty()));
    for (place, (key, parts)) in all.drain(..).enumerate() {
        assert_eq!(table.get(&key).map(model::row), Some((key.clone(), parts)));
        assert!(table.after(&key).map(AnyRow::key).eq(rows.keys().skip(place + 1).cloned()));
    }
    for row in table.iter() {
        assert!(table.contains(&row.key()));
        let json = row.to_json();
        for kind in PartKind::BOTH {
            let part = table.def().part_to_json(row, kind).map(Json::Object);
            assert_eq!(json.get(kind.as_str()), part.as_ref());
        }
    }
    assert!(table.get(&Key::of([])).is_none() && table.get(&Key::one(Value::Null)).is_none());
}

fn look_ups(table: AnyTable<'_>, model: &Model) {
    let def = table.def();
    for (place, filters) in filters(def).into_iter().enumerate() {
        let expected = model.filter(def, &filters);
        let mut found: Vec<Key> = table.filter(&filters).unwrap().map(AnyRow::key).collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{}: {filters:?}", def.name());
        if let [(column, value)] = &*filters {
            let mut found: Vec<Key> = table.find(column, value).unwrap().map(AnyRow::key).collect();
            found.sort_unstable();
            assert_eq!(found, expected, "{column} = {value}");
            let holds = |key: &Key| table.get(key).is_some_and(|row| row.holds(column, value));
            assert!(expected.iter().all(holds), "{column} = {value}");
        }
        if place % FILTERS_PER_PAGE == 0 || filters.len() != 1 {
            pages(table, &filters, &expected);
        }
    }
}

/// Pages of every size, from before the first row, after each row, and after a row that is not there.
fn pages(table: AnyTable<'_>, filters: &[(&str, Value)], expected: &[Key]) {
    let first = expected.len() / 2;
    for (after, rest) in
        [(None, expected), (expected.get(first), expected.get(first + 1..).unwrap_or_default())]
    {
        for limit in [0, 1, 2, expected.len(), usize::MAX] {
            let page = table.select(filters, after).unwrap().take(limit);
            let keys: Vec<_> = page.map(AnyRow::key).collect();
            assert_eq!(keys, rest[..limit.min(rest.len())], "{filters:?} after {after:?}, {limit} at most");
        }
    }
}

/// The values that a column may have.
fn values(def: &TableDef, column: &str) -> Vec<Value> {
    let schema = def.column(column).unwrap();
    (0..VALUES).map(|seed| column_value(schema, seed)).collect()
}

/// Every value of every column alone, and some together: with itself, with its neighbour, with all.
fn filters(def: &TableDef) -> Vec<Vec<(&str, Value)>> {
    let mut names: Vec<&str> = def.schema().columns().map(|column| &*column.name).collect();
    names.sort_unstable();
    names.dedup();
    let mut all = Vec::new();
    for name in &names {
        all.extend(values(def, name).into_iter().map(|value| vec![(*name, value)]));
    }
    all.extend(names.iter().map(|name| vec![(*name, Value::Null)]));
    for (place, name) in names.iter().enumerate() {
        let next = names[(place + 1) % names.len()];
        let (one, two) = (values(def, name), values(def, next));
        all.push(vec![(*name, one[1].clone()), (next, two[1].clone())]);
        all.push(vec![(*name, one[1].clone()), (*name, one[2].clone())]);
    }
    all.push(names.iter().map(|name| (*name, values(def, name)[1].clone())).collect());
    all.push(Vec::new());
    all
}
