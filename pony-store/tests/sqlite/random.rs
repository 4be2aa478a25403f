//! Random transactions against the plainest possible model: the same ones succeed, the same rows result, and
//! whoever follows the feed holds them too.

use crate::fixture::fixture;
use pony_state::{Columns, RowOp};
use pony_store::CommitError;
use pony_store::conformance::{Fixture, Replica, columns, delete, id, insert, tables, update};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// Tables as maps from key to row.
#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    rows: BTreeMap<(String, String), Columns>,
}

/// Which columns refer to which table: (table, column, to, what happens when that goes).
const REFERENCES: [(&str, &str, &str, &str); 6] = [
    ("instance", "tenant", "tenant", "restrict"),
    ("member", "tenant", "tenant", "cascade"),
    ("member", "instance", "instance", "cascade"),
    ("disk", "parent", "disk", "cascade"),
    ("extent", "disk", "disk", "cascade"),
    ("extent", "holder", "instance", "null"),
];

const KEYS: [(&str, &[&str]); 5] = [
    ("tenant", &["uuid"]),
    ("instance", &["uuid"]),
    ("member", &["tenant", "instance"]),
    ("disk", &["id"]),
    ("extent", &["uuid"]),
];

fn defaults(table: &str) -> Columns {
    columns(match table {
        "tenant" => json!({"approved": false, "data": {"it's": [1, null]}}),
        "instance" => json!({"state": "stopped", "vcpu": 1, "rcpu": 0.5}),
        "member" => json!({"index": 0}),
        _ => json!({}),
    })
}

fn slot(table: &str, row: &Columns) -> (String, String) {
    let (_, key) = KEYS.iter().find(|(name, _)| *name == table).unwrap();
    let key: Vec<Json> = key.iter().map(|&column| row[column].clone()).collect();
    (table.to_owned(), Json::from(key).to_string())
}

impl Model {
    fn of<'a>(&'a self, table: &'a str) -> impl Iterator<Item = (&'a (String, String), &'a Columns)> {
        self.rows.iter().filter(move |((name, _), _)| name == table)
    }

    /// The state after the transaction, where it is one.
    fn after(&self, ops: &[RowOp]) -> Option<Self> {
        let mut next = self.clone();
        ops.iter().try_for_each(|op| next.apply(op))?;
        next.references_hold().then_some(next)
    }

    fn apply(&mut self, op: &RowOp) -> Option<()> {
        match op {
            RowOp::Insert { table, row } => {
                let mut new = defaults(table);
                new.extend(row.clone());
                new.retain(|_, value| !value.is_null());
                let slot = slot(table, &new);
                if self.rows.contains_key(&slot) {
                    return None;
                }
                self.put(slot, new)
            }
            RowOp::Update { table, key, columns } => {
                let slot = slot(table, key);
                let old = self.rows.get(&slot)?;
                let mut new = old.clone();
                new.extend(columns.clone());
                new.retain(|_, value| !value.is_null());
                // A holder stays, but one that is not there may be nulled.
                let (was, is) = (old.get("holder"), new.get("holder"));
                let gone = is.is_none() && was.is_some_and(|was| !self.exists("instance", was));
                if was != is && !gone {
                    return None;
                }
                self.put(slot, new)
            }
            RowOp::Delete { table, key } => {
                let slot = slot(table, key);
                self.rows.contains_key(&slot).then_some(())?;
                self.remove(&slot);
                Some(())
            }
        }
    }

    fn put(&mut self, slot: (String, String), row: Columns) -> Option<()> {
        let others = || self.of(&slot.0).filter(|(other, _)| **other != slot).map(|(_, row)| row);
        let same =
            |names: &[&str]| others().any(|other| names.iter().all(|&it| other.get(it) == row.get(it)));
        let overlaps = |other: &Columns| {
            let ends = |row: &Columns| (row["range"][0].as_i64().unwrap(), row["range"][1].as_i64().unwrap());
            let ((start, end), (low, high)) = (ends(&row), ends(other));
            other["disk"] == row["disk"] && start < high && low < end
        };
        let broken = match slot.0.as_str() {
            "tenant" => same(&["name"]),
            "instance" => same(&["tenant", "name"]) || row["rcpu"].as_f64() > row["vcpu"].as_f64(),
            "extent" => others().any(overlaps),
            _ => false,
        };
        (!broken).then(|| drop(self.rows.insert(slot, row)))
    }

    /// Removes the row, and does what its removal entails.
    fn remove(&mut self, slot: &(String, String)) {
        let Some(row) = self.rows.remove(slot) else { return };
        for (table, column, to, action) in REFERENCES {
            if to != slot.0 {
                continue;
            }
            let key = if to == "disk" { &row["id"] } else { &row["uuid"] };
            let referring: Vec<_> = self
                .of(table)
                .filter(|(_, row)| row.get(column) == Some(key))
                .map(|(slot, _)| slot.clone())
                .collect();
            for slot in referring {
                match action {
                    "cascade" => self.remove(&slot),
                    "null" => drop(self.rows.get_mut(&slot).unwrap().remove(column)),
                    _ => {}
                }
            }
        }
    }

    fn exists(&self, table: &str, key: &Json) -> bool {
        self.rows.contains_key(&(table.to_owned(), json!([key]).to_string()))
    }

    fn references_hold(&self) -> bool {
        REFERENCES.iter().all(|(table, column, to, _)| {
            self.of(table).all(|(_, row)| row.get(*column).is_none_or(|key| self.exists(to, key)))
        })
    }
}

fn uuid(base: u32) -> impl Strategy<Value = Json> {
    (0..4u32).prop_map(move |number| json!(id(base + number)))
}

fn maybe(strategy: impl Strategy<Value = Json>) -> impl Strategy<Value = Json> {
    prop_oneof![1 => Just(Json::Null), 3 => strategy]
}

fn disk() -> impl Strategy<Value = Json> {
    (0..5u32).prop_map(|number| json!(format!("disk-{number}")))
}

fn range() -> impl Strategy<Value = Json> {
    (0..20i64, 1..6i64).prop_map(|(start, size)| json!([start, start + size]))
}

/// An operation on few keys and values, so that much collides.
fn op() -> impl Strategy<Value = RowOp> {
    let name = || "[ab]".prop_map(Json::from);
    prop_oneof![
        3 => (uuid(0), name()).prop_map(|(uuid, name)| insert("tenant", json!({"uuid": uuid, "name": name}))),
        1 => (uuid(0), name()).prop_map(|(uuid, name)| update("tenant", json!({"uuid": uuid}), json!({"name": name}))),
        1 => uuid(0).prop_map(|uuid| delete("tenant", json!({"uuid": uuid}))),
        3 => (uuid(10), maybe(uuid(0)), name(), 0..3i64).prop_map(|(uuid, tenant, name, vcpu)| insert(
            "instance",
            json!({"uuid": uuid, "tenant": tenant, "name": name, "vcpu": vcpu})
        )),
        1 => (uuid(10), maybe(uuid(0)), 0..30i64).prop_map(|(uuid, tenant, tenths)| update(
            "instance",
            json!({"uuid": uuid}),
            json!({"tenant": tenant, "rcpu": tenths as f64 / 10.0})
        )),
        1 => uuid(10).prop_map(|uuid| delete("instance", json!({"uuid": uuid}))),
        2 => (uuid(0), uuid(10)).prop_map(|(tenant, instance)| insert(
            "member",
            json!({"tenant": tenant, "instance": instance})
        )),
        1 => (uuid(0), uuid(10), any::<i64>()).prop_map(|(tenant, instance, index)| update(
            "member",
            json!({"tenant": tenant, "instance": instance}),
            json!({"index": index})
        )),
        2 => (disk(), maybe(disk())).prop_map(|(disk, parent)| insert("disk", json!({"id": disk, "parent": parent}))),
        1 => (disk(), maybe(disk())).prop_map(|(disk, parent)| update("disk", json!({"id": disk}), json!({"parent": parent}))),
        1 => disk().prop_map(|disk| delete("disk", json!({"id": disk}))),
        3 => (uuid(20), disk(), range(), maybe(uuid(10))).prop_map(|(uuid, disk, range, holder)| insert(
            "extent",
            json!({"uuid": uuid, "disk": disk, "range": range, "holder": holder})
        )),
        1 => (uuid(20), range(), maybe(uuid(10))).prop_map(|(uuid, range, holder)| update(
            "extent",
            json!({"uuid": uuid}),
            json!({"range": range, "holder": holder})
        )),
        1 => (uuid(20), range()).prop_map(|(uuid, range)| update("extent", json!({"uuid": uuid}), json!({"range": range}))),
    ]
}

/// Leaves out what could not be done, so that more than collisions comes about.
fn possible(model: &Model, ops: Vec<RowOp>) -> Vec<RowOp> {
    let mut next = model.clone();
    let mut done = |op: &RowOp| {
        let mut then = next.clone();
        let possible = then.apply(op).is_some() && then.references_hold();
        if possible {
            next = then;
        }
        possible
    };
    ops.into_iter().filter(|op| done(op)).collect()
}

async fn run(history: Vec<(Option<RowOp>, Vec<RowOp>)>) {
    let fixture = fixture(100_000).await;
    let store = fixture.store();
    let mut model = Model::default();
    let mut follower = Replica::default();
    for (last, ops) in history {
        let mut ops = possible(&model, ops);
        ops.extend(last);
        let expected = model.after(&ops);
        match (store.commit(ops.clone()).await, expected) {
            (Ok(committed), Some(next)) => {
                model = next;
                follower.follow(store, 2).await.unwrap();
                assert_eq!(follower.position, committed.position);
            }
            (Err(CommitError::Unavailable(error)), _) => panic!("{error}"),
            (Err(_), None) => {}
            (result, expected) => {
                panic!("{ops:?}: {result:?}, but the model says {expected:?} after {model:?}")
            }
        }
        assert_eq!(follower.rows, model.rows, "{ops:?}");
    }
    assert_eq!(Replica::load(store, &tables()).await.rows, model.rows);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_store_is_a_map_that_keeps_its_rules(
        history in prop::collection::vec(
            (prop::option::of(op()), prop::collection::vec(op(), 0..16)),
            1..60,
        )
    ) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run(history));
    }
}

/// JSON functions of SQLite round floats; the feed does not.
#[tokio::test]
async fn floats_keep_all_their_digits() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let floats = prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO;
    let floats: Vec<f64> = (0..3000).map(|_| floats.new_tree(&mut runner).unwrap().current()).collect();
    let fixture = fixture(100_000).await;
    let part = |(number, size): (usize, &f64)| {
        let mac = format!("52:54:00:00:{:02x}:{:02x}", number / 256, number % 256);
        insert("part", json!({"mac": mac, "size": size}))
    };
    fixture.store().commit(floats.iter().enumerate().map(part).collect()).await.unwrap();
    let mut follower = Replica::default();
    follower.follow(fixture.store(), 10_000).await.unwrap();
    let loaded = Replica::load(fixture.store(), &tables()).await;
    assert_eq!(follower, loaded);
    let sizes: Vec<f64> = loaded.rows.values().map(|row| row["size"].as_f64().unwrap()).collect();
    assert_eq!(sizes, floats);
}
