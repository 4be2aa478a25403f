//! Random histories over the cloud's own tables, compared after every transaction with a computation that knows
//! neither ranks nor repairs.

use super::*;
use crate::reconcile::SplitMix64;
use crate::tables;
use pony_state::{ColumnSchema, ColumnType, State, TableDef, Transaction};
use serde_json::{Map, Value as Json, json};

/// Rows of each table.
const ROWS: u64 = 3;

fn roll(random: &mut SplitMix64, below: u64) -> u64 {
    random.below(below)
}

/// The key value of the row `n` of a table that is referenced by one column.
fn key_value(schema: &Schema, table: &str, n: u64) -> Json {
    let def = schema.table(table).unwrap();
    value(&def.schema().key[0].ty, def.id().index() as u128, n)
}

fn value(ty: &ColumnType, salt: u128, n: u64) -> Json {
    match ty {
        ColumnType::Uuid => json!(Uuid::from_u128((salt + 1) << 64 | u128::from(n))),
        ColumnType::Text => json!(format!("{salt}-{n}")),
        ColumnType::Bool => json!(n == 0),
        ColumnType::Int => json!(n + 1),
        ColumnType::Float => json!(0.5),
        ColumnType::Enum(words) => json!(words[usize::try_from(n).unwrap() % words.len()]),
        ColumnType::Inet => json!(format!("10.0.0.{n}/24")),
        ColumnType::Cidr => json!(format!("10.{n}.0.0/24")),
        ColumnType::Mac => json!(format!("52:54:00:00:00:{n:02x}")),
        ColumnType::Range => json!([n, n + 1]),
        ColumnType::Json => json!({}),
        ColumnType::List(_) => json!([]),
    }
}

fn column(schema: &Schema, def: &TableDef, column: &ColumnSchema, n: u64, random: &mut SplitMix64) -> Json {
    match column.references.as_deref() {
        Some(_) if column.nullable && roll(random, 3) == 0 => Json::Null,
        Some(target) => key_value(schema, target, n),
        None => value(&column.ty, def.id().index() as u128, n),
    }
}

/// Orders or removes a random row.
fn write(tx: &mut Transaction<'_>, schema: &Schema, random: &mut SplitMix64) {
    let scoped = |def: &TableDef| {
        let schema = def.schema();
        def.name() == "host" || schema.key.iter().chain(&schema.desired).any(|it| it.scope.is_some())
    };
    let reached = |def: &TableDef| {
        let columns =
            |other: &TableDef| other.schema().key.clone().into_iter().chain(other.schema().desired.clone());
        let names = |it: &ColumnSchema| it.scope.is_some() && it.references.as_deref() == Some(def.name());
        schema.tables().iter().any(|other| columns(other).any(|it| names(&it)))
    };
    let tables = schema.tables().iter().filter(|it| it.schema().has_desired);
    let stored: Vec<_> = tables.filter(|it| scoped(it) || reached(it)).collect();
    let at = usize::try_from(roll(random, stored.len() as u64)).unwrap();
    let def = stored[at];
    let mut part = Map::new();
    for it in &def.schema().key {
        let n = roll(random, ROWS);
        let salt = def.id().index() as u128;
        let key = it.references.as_deref().map(|target| key_value(schema, target, n));
        part.insert(it.name.clone(), key.unwrap_or_else(|| value(&it.ty, salt, n)));
    }
    let key = def.key_of_part(PartKind::Desired, &Json::Object(part.clone())).unwrap();
    if roll(random, 7) == 0 {
        tx.remove_part(def.id(), &key, PartKind::Desired).unwrap();
        return;
    }
    for it in &def.schema().desired {
        let n = roll(random, ROWS);
        part.insert(it.name.clone(), column(schema, def, it, n, random));
    }
    tx.set_json(def.id(), &key, PartKind::Desired, &Json::Object(part)).unwrap();
}

type Spread = BTreeMap<RowRef, BTreeSet<Uuid>>;

fn hosts_of(state: &State) -> impl Iterator<Item = Uuid> {
    let hosts = state.any("host").unwrap().iter().filter(|row| row.has(PartKind::Desired));
    hosts.map(|row| row.key().values()[0].as_uuid().unwrap())
}

/// The columns of a scope, and whether the row has something in them.
fn scoped<'a>(row: &'a AnyRow<'_>, scope: Scope) -> impl Iterator<Item = bool> + 'a {
    let columns = row.def().schema().desired.iter().filter(move |it| it.scope == Some(scope));
    columns.map(|it| row.value(PartKind::Desired, &it.name).is_some_and(|it| it != Value::Null))
}

fn everywhere(row: &AnyRow<'_>) -> bool {
    scoped(row, Scope::FollowsOrAll).any(|is_set| !is_set)
}

fn widely(row: &AnyRow<'_>) -> bool {
    let mut scoped = [Scope::BringsWidely, Scope::FollowsWidely].into_iter().flat_map(|it| scoped(row, it));
    scoped.any(|is_set| is_set)
}

/// Where rows go, as the declarations say, until nothing is added any more.
fn naive(state: &State) -> Spread {
    let mut spread = Spread::new();
    loop {
        let before = spread.clone();
        for table in state.view().tables() {
            for row in table.iter().filter(|row| row.has(PartKind::Desired)) {
                let this = (table.def().id(), row.key());
                if table.def().name() == "host" {
                    let uuid = this.1.values()[0].as_uuid().unwrap();
                    spread.entry(this.clone()).or_default().insert(uuid);
                }
                if table.def().schema().everywhere {
                    let hosts = state.any("host").unwrap();
                    let ordered = hosts.iter().filter(|host| host.has(PartKind::Desired));
                    let uuids = ordered.map(|host| host.key().values()[0].as_uuid().unwrap());
                    spread.entry(this.clone()).or_default().extend(uuids);
                }
                for column in table.def().schema().key.iter().chain(&table.def().schema().desired) {
                    let Some(scope) = column.scope else { continue };
                    let value = row.value(PartKind::Desired, &column.name).unwrap_or(Value::Null);
                    if value == Value::Null {
                        let all = hosts_of(state).filter(|_| scope == Scope::FollowsOrAll);
                        spread.entry(this.clone()).or_default().extend(all);
                        continue;
                    }
                    let target = state.any(column.references.as_deref().unwrap()).unwrap();
                    let that = (target.def().id(), Key::one(value));
                    let found = target.get(&that.1).filter(|row| row.has(PartKind::Desired));
                    let Some(found) = found else { continue };
                    let (from, to) = match scope {
                        Scope::Follows if everywhere(&found) && !widely(&row) => continue,
                        Scope::Follows | Scope::FollowsOrAll | Scope::FollowsWidely => (&that, &this),
                        Scope::Brings | Scope::BringsWidely => (&this, &that),
                    };
                    let hosts = spread.get(from).cloned().unwrap_or_default();
                    spread.entry(to.clone()).or_default().extend(hosts);
                }
            }
        }
        spread.retain(|_, hosts| !hosts.is_empty());
        if spread == before {
            return spread;
        }
    }
}

/// What hosts must be told, given where rows went and go, and which changed.
fn expected(before: &Spread, after: &Spread, changed: &BTreeSet<RowRef>) -> BTreeSet<Delivery> {
    let mut all = BTreeSet::new();
    for row in before.keys().chain(after.keys()) {
        let empty = BTreeSet::new();
        let (was, is) = (before.get(row).unwrap_or(&empty), after.get(row).unwrap_or(&empty));
        for host in was.union(is) {
            let reach = match (was.contains(host), is.contains(host)) {
                (false, _) => Reach::Began,
                (true, false) => Reach::Ceased,
                (true, true) if changed.contains(row) => Reach::Stays,
                (true, true) => continue,
            };
            all.insert(Delivery { host: *host, table: row.0, key: row.1.clone(), reach });
        }
    }
    all
}

fn history(seed: u64, steps: usize) -> usize {
    let mut random = SplitMix64::new(seed);
    let mut state = tables::new_state().unwrap();
    let schema = std::sync::Arc::clone(state.schema());
    let mut distribution = Distribution::new(&schema, "host").unwrap();
    let (mut spread, mut delivered) = (Spread::new(), 0);
    for step in 0..steps {
        let mut tx = state.transaction();
        for _ in 0..=roll(&mut random, 4) {
            write(&mut tx, &schema, &mut random);
        }
        let commit = tx.commit();
        let changed = commit.changes().iter().filter(|it| it.part_changed(PartKind::Desired));
        let changed: BTreeSet<RowRef> = changed.map(|it| (it.table().id(), it.key())).collect();
        let deliveries = distribution.repair(&state, commit.changes());
        distribution.check(&state).unwrap_or_else(|error| panic!("seed {seed}, step {step}: {error}"));
        let after = naive(&state);
        let got: BTreeSet<Delivery> = deliveries.iter().cloned().collect();
        assert_eq!(got.len(), deliveries.len(), "seed {seed}, step {step}: a host is told twice of a row");
        assert_eq!(got, expected(&spread, &after, &changed), "seed {seed}, step {step}");
        for (row, hosts) in &after {
            assert_eq!(distribution.hosts_of(row), hosts.iter().copied().collect::<Vec<_>>());
        }
        delivered += deliveries.len();
        spread = after;
    }
    delivered
}

#[test]
fn random_histories_deliver_exactly_what_changes() {
    let delivered: usize = crate::seeds::run(12, |seed| history(seed, 150)).into_iter().sum();
    assert!(delivered > 5_000, "the histories reach hosts: {delivered} deliveries");
}

#[test]
fn a_row_is_computed_from_rows_that_are_repaired_already() {
    let state = tables::new_state().unwrap();
    let distribution = Distribution::new(state.schema(), "host").unwrap();
    for (index, edges) in distribution.edges.iter().enumerate() {
        let depends = edges.follows.iter().map(|(_, on)| on).chain(edges.bringers.iter().map(|(on, _)| on));
        for on in depends {
            assert!(distribution.rank(*on) < edges.rank, "table {index}");
        }
        assert!(!edges.everywhere || distribution.rank(distribution.root) < edges.rank, "table {index}");
    }
}

#[test]
fn tables_that_follow_each_other_are_refused() {
    use pony_state::TableSchema;
    let mut column = ColumnSchema::new("to", ColumnType::Uuid);
    column.references = Some("b".to_owned());
    column.scope = Some(Scope::Follows);
    let a = TableSchema::new("a").key(ColumnSchema::new("uuid", ColumnType::Uuid)).desired([column.clone()]);
    column.references = Some("a".to_owned());
    let b = TableSchema::new("b").key(ColumnSchema::new("uuid", ColumnType::Uuid)).desired([column]);
    let state = State::builder().table_dyn(a).table_dyn(b).build().unwrap();
    let refused = Distribution::new(state.schema(), "a").unwrap_err();
    assert_eq!(refused, DistributionError::Circle("a".to_owned()));
    let refused = Distribution::new(state.schema(), "host").unwrap_err();
    assert_eq!(refused, DistributionError::NoRoot("host".to_owned()));
}
