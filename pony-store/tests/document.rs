//! What the document makes of requests, committed by the real database: it takes every operation in the order
//! given, and nothing else happens there (no cascade that the document did not foresee), on random histories.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use pony_core::document::{Caller, ErrorCode, Tree, UrlPath, Write, evaluate};
use pony_core::tables::{new_state, table_schemas};
use pony_state::{PartKind, Read, RowOp, State};
use pony_store::{DesiredStore, SqliteConfig, SqliteStore, cloud_migrations};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// Requests per history: enough that tenants, hosts and pools come and go several times.
const REQUESTS: usize = 400;

/// A cloud in memory beside the database.
struct Pair {
    store: SqliteStore,
    state: State,
    tree: Tree,
    next: u128,
    seed: u64,
}

impl Pair {
    /// A small generator (xorshift): histories repeat by seed.
    fn random(&mut self, below: usize) -> usize {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed % below.max(1) as u64) as usize
    }

    /// The key of some ordered row of a table.
    fn some(&mut self, table: &str) -> Option<String> {
        let rows = self.state.any(table).unwrap();
        let keys: Vec<String> = rows
            .ordered()
            .filter(|row| row.has(PartKind::Desired))
            .map(|row| row.key().to_string())
            .collect();
        let place = self.random(keys.len());
        keys.get(place).cloned()
    }

    /// The tenant of a row.
    fn owner(&self, table: &str, key: &str) -> Option<String> {
        let rows = self.state.any(table)?;
        let row = rows.get(&rows.def().parse_key(key).ok()?)?;
        row.value(PartKind::Desired, "tenant").filter(|it| !it.is_null()).map(|it| it.to_string())
    }

    /// A request that may or may not be possible at this moment.
    fn request(&mut self) -> Option<Json> {
        let name = format!("n{}", self.random(1000));
        let number = self.random(8);
        Some(match self.random(16) {
            0 => json!([{"op": "add", "path": "/tenant/$t", "value": {"desired": {"name": name}}}]),
            1 => {
                let host = Uuid::from_u128(0xA0 + number as u128);
                json!([{"op": "x-merge", "path": "/host", "value": {host.to_string(): {"desired": {"name": name}}}}])
            }
            2 => {
                let pool =
                    json!({"name": name, "type": "dir", "host": self.some("host"), "config": {"path": "/p"}});
                json!([{"op": "add", "path": "/storage-pool/$p", "value": {"desired": pool}}])
            }
            3 => json!([{"op": "add", "path": "/image/$i", "value": {
                "desired": {"name": name},
                "children": {"volume": {"$v": {"desired": {"storage_pool": self.some("storage_pool")?}}}},
            }}]),
            4 | 5 => {
                let tenant = self.some("tenant")?;
                let base = if number < 4 { self.some("image") } else { None };
                let copied = if number > 5 { self.some("volume") } else { None };
                let volume = json!({"size": 8, "storage_pool": self.some("storage_pool")?, "base_image": base,
                    "base_volume": copied});
                let path = format!("/tenant/{tenant}/children/volume/$v");
                json!([{"op": "add", "path": path, "value": {"desired": volume}}])
            }
            6 | 7 => {
                let tenant = self.some("tenant")?;
                let instance = json!({"name": name, "vcpu": 1, "rcpu": 1, "mem": 64});
                let nic = json!({"desired": {"switch": "$s", "index": 0}, "children": {
                    "address": {"$a": {"desired": {"network": "$n", "ip": "10.0.0.9"}}}}});
                let switch = json!({"desired": {"name": name, "type": "vxlan"}, "children": {
                    "network": {"$n": {"desired": {"range": "10.0.0.0/24"}}}}});
                let disk = json!({"desired": {"volume": self.some("volume")?, "index": 0}});
                let path = format!("/tenant/{tenant}/children");
                json!([{"op": "x-merge", "path": path, "value": {
                    "instance": {"$i": {"desired": instance, "children": {"vnic": {"$v": nic}, "vdisk": {"$d": disk}}}},
                    "switch": {"$s": switch},
                }}])
            }
            8 => {
                let (host, mac) = (self.some("host")?, format!("52:54:00:00:00:0{number}"));
                let path = format!("/host/{host}/children");
                json!([{"op": "x-merge", "path": path, "value": {
                    "bond": {"$b": {"desired": {}, "children": {"vlan": {"7": {"desired": {}}}}}},
                    "nic": {mac: {"desired": {"bond": "$b"}}},
                }}])
            }
            9 => {
                let (from, switch) = (self.some("vnic")?, self.some("switch")?);
                let old = self.state.any("vnic").unwrap();
                let old = old
                    .get(&old.def().parse_key(&from).unwrap())?
                    .value(PartKind::Desired, "switch")?
                    .to_string();
                let path = |switch: &str, tenant: &str| {
                    format!("/tenant/{tenant}/children/switch/{switch}/children/vnic/{from}")
                };
                let (here, there) = (self.owner("switch", &old)?, self.owner("switch", &switch)?);
                // The old switch goes in the same request: it must not take the card along.
                json!([
                    {"op": "move", "from": path(&old, &here), "path": path(&switch, &there)},
                    {"op": "remove", "path": format!("/tenant/{here}/children/switch/{old}")},
                ])
            }
            10 => json!([{"op": "remove", "path": format!("/tenant/{}", self.some("tenant")?)}]),
            11 => json!([{"op": "remove", "path": format!("/host/{}", self.some("host")?)}]),
            12 => json!([{"op": "remove", "path": format!("/storage-pool/{}", self.some("storage_pool")?)}]),
            13 => json!([{"op": "remove", "path": format!("/image/{}", self.some("image")?)}]),
            14 => {
                let instance = self.some("instance")?;
                let tenant = self.owner("instance", &instance)?;
                json!([{"op": "remove", "path": format!("/tenant/{tenant}/children/instance/{instance}")}])
            }
            _ => {
                let volume = self.some("volume")?;
                let tenant = self.owner("volume", &volume)?;
                json!([{"op": "remove", "path": format!("/tenant/{tenant}/children/volume/{volume}")}])
            }
        })
    }

    /// Evaluates a request; commits it in both.
    async fn send(&mut self, patch: Json) -> bool {
        let mut fresh = || {
            self.next += 1;
            Uuid::from_u128(0x1_0000 + self.next)
        };
        let url = UrlPath::parse("/").unwrap();
        let write = Write::Patch(patch);
        let effect =
            match evaluate(&self.tree, &self.state, &Caller::alicorn("a@x"), &url, &write, &mut fresh) {
                Ok(effect) => effect,
                Err(refused) => {
                    let expected = matches!(
                        refused.code(),
                        ErrorCode::Conflict | ErrorCode::PathNotFound | ErrorCode::InvalidData
                    );
                    assert!(expected, "{refused} at {:?}", refused.path);
                    return false;
                }
            };
        if let Err(error) = self.store.commit(effect.ops.clone()).await {
            panic!("{error:?}\n{:#?}", effect.ops);
        }
        let mut tx = self.state.transaction();
        for op in &effect.ops {
            let table = tx.def(op.table()).unwrap();
            let key = |columns: &pony_state::Columns| {
                table.key_of_part(PartKind::Desired, &Json::Object(columns.clone())).unwrap()
            };
            match op {
                RowOp::Insert { row, .. } => {
                    tx.set_json(table.id(), &key(row), PartKind::Desired, &Json::Object(row.clone()))
                        .unwrap();
                }
                RowOp::Update { key: columns, columns: changes, .. } => {
                    let changes = Json::Object(changes.clone());
                    tx.patch_json(table.id(), &key(columns), PartKind::Desired, &changes).unwrap();
                }
                RowOp::Delete { key: columns, .. } => {
                    tx.remove_part(table.id(), &key(columns), PartKind::Desired).unwrap();
                }
            }
        }
        tx.commit();
        true
    }

    /// All rows in memory, by table and key.
    fn in_memory(&self) -> BTreeMap<(String, String), Json> {
        let mut all = BTreeMap::new();
        for table in self.state.view().tables() {
            for row in table.iter() {
                if let Some(part) = table.def().part_to_json_with_key(row, PartKind::Desired) {
                    all.insert((table.def().name().to_owned(), row.key().to_string()), Json::Object(part));
                }
            }
        }
        all
    }

    /// The same in the database.
    async fn in_database(&self) -> BTreeMap<(String, String), Json> {
        let mut all = BTreeMap::new();
        let mut load = self.store.load().await.unwrap();
        while let Some(batch) = load.next().await.unwrap() {
            let table = Arc::clone(self.state.schema().table(&batch.table).unwrap());
            for row in batch.rows() {
                let row = Json::Object(batch.to_columns(row));
                let key = table.key_of_part(PartKind::Desired, &row).unwrap();
                all.insert((table.name().to_owned(), key.to_string()), row);
            }
        }
        all
    }
}

async fn history(seed: u64) {
    let directory = tempfile::tempdir().unwrap();
    let config =
        SqliteConfig::new(directory.path().join("cloud.sqlite"), table_schemas(), cloud_migrations());
    SqliteStore::migrate(&config).unwrap();
    let state = new_state().unwrap();
    let tree = Tree::new(Arc::clone(state.schema())).unwrap();
    let mut pair = Pair { store: SqliteStore::open(&config).unwrap(), state, tree, next: 0, seed };
    let mut committed = 0;
    for step in 0..REQUESTS {
        let Some(patch) = pair.request() else { continue };
        committed += usize::from(pair.send(patch.clone()).await);
        if step % 20 == 0 {
            assert_eq!(pair.in_database().await, pair.in_memory(), "seed {seed}, step {step}: {patch}");
        }
    }
    assert_eq!(pair.in_database().await, pair.in_memory(), "seed {seed}");
    assert!(
        committed > REQUESTS / 4,
        "seed {seed}: {committed} requests were possible, too few to prove anything"
    );
}

#[tokio::test]
async fn the_database_does_exactly_what_the_document_foresees() {
    for seed in 1..=4 {
        history(seed * 0x9E37_79B9).await;
    }
}
