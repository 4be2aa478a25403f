//! From one version to the next: what steps may do, and what happens when one fails.

use pony_state::{ColumnType, TableSchema};
use pony_store::conformance::{Replica, columns, id, insert, tables};
use pony_store::{DesiredStore, Migrated, Migration, OpenError, SqliteConfig, SqliteStore};
use rusqlite::Connection;
use serde_json::json;
use std::borrow::Cow;
use std::path::Path;

/// The tables of the next version: `disk` has a column more, `network.order` must have a value.
fn next_tables() -> Vec<TableSchema> {
    let mut all = tables();
    let size =
        all.iter().find(|it| it.name == "part").unwrap().desired.iter().find(|it| it.name == "size").unwrap();
    let size = pony_state::ColumnSchema { ty: ColumnType::Bool, ..size.clone() };
    for table in &mut all {
        match table.name.as_str() {
            "disk" => table.desired.push(size.clone()),
            "network" => table.desired[1].nullable = false,
            _ => {}
        }
    }
    all
}

const STEP: &str = r#"
ALTER TABLE "disk" ADD COLUMN "size" INTEGER CONSTRAINT "disk.size: must be `true` or `false` [type disk size]" CHECK ("size" IS NULL OR "size" IN (0, 1));
CREATE TABLE "new" (
  "uuid" TEXT NOT NULL CONSTRAINT "network.uuid: must be a UUID [type network uuid]" CHECK ("uuid" GLOB '{uuid}'),
  "range" TEXT NOT NULL,
  "order" INTEGER NOT NULL,
  PRIMARY KEY ("uuid")
) STRICT;
INSERT INTO "new" SELECT "uuid", "range", ifnull("order", 7) FROM "network";
DROP TABLE "network";
ALTER TABLE "new" RENAME TO "network";
"#;

fn migrations(step: &str) -> Vec<Migration> {
    let uuid = [8, 4, 4, 4, 12].map(|digits| "[0-9a-f]".repeat(digits)).join("-");
    let step = step.replace("{uuid}", &uuid);
    let initial = Migration::initial(&tables()).unwrap();
    vec![
        initial,
        Migration { name: Cow::Borrowed("second"), sqlite: Cow::Owned(step), postgres: Cow::Borrowed("") },
    ]
}

/// A database of the first version with some rows.
async fn old(path: &Path) -> SqliteConfig {
    let config = SqliteConfig::new(path, tables(), vec![Migration::initial(&tables()).unwrap()]);
    SqliteStore::migrate(&config).unwrap();
    let store = SqliteStore::open(&config).unwrap();
    let ops = vec![
        insert("disk", json!({"id": "sda"})),
        insert("network", json!({"uuid": id(1), "range": "10.0.0.0/24"})),
        insert("address", json!({"uuid": id(2), "network": id(1), "ip": "10.0.0.1"})),
    ];
    store.commit(ops).await.unwrap();
    config
}

#[tokio::test]
async fn an_older_database_is_brought_up() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pony.sqlite");
    let old = old(&path).await;
    let config = SqliteConfig::new(&path, next_tables(), migrations(STEP));
    let error = SqliteStore::open(&config).unwrap_err();
    assert!(matches!(error, OpenError::Outdated { found: 1, wanted: 2, .. }), "{error}");
    assert_eq!(SqliteStore::migrate(&config).unwrap(), Migrated::Upgraded { from: 1 });
    let store = SqliteStore::open(&config).unwrap();
    let mut replica = Replica::load(&store, &next_tables()).await;
    let network = columns(json!({"uuid": id(1), "range": "10.0.0.0/24", "order": 7}));
    assert_eq!(replica.row("network", &[json!(id(1))]), Some(&network));
    assert_eq!(replica.rows.len(), 3);
    store.commit(vec![insert("disk", json!({"id": "sdb", "size": true}))]).await.unwrap();
    store.commit(vec![insert("network", json!({"uuid": id(9), "range": "::/0"}))]).await.unwrap_err();
    assert_eq!(replica.follow(&store, 10).await.unwrap().len(), 1);
    drop(store);
    for error in [SqliteStore::open(&old).err(), SqliteStore::migrate(&old).err()] {
        let error = error.expect("it is newer now");
        assert!(matches!(error, OpenError::Newer { found: 2, known: 1, .. }), "{error}");
    }
}

#[tokio::test]
async fn a_step_that_fails_leaves_everything_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pony.sqlite");
    let old = old(&path).await;
    let dump = |path: &Path| -> Vec<String> {
        let connection = Connection::open(path).unwrap();
        let mut statement =
            connection.prepare("SELECT ifnull(sql, name) FROM sqlite_schema ORDER BY name").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let before = dump(&path);
    let broken = format!("{STEP} SELECT nothing FROM nowhere;");
    let dangling = format!("{STEP} DELETE FROM \"network\";");
    let cases = [
        (broken.as_str(), "step 2 (second) failed"),
        (dangling.as_str(), "a row of table `address` refers to a row of `network` that is not there"),
        ("SELECT 1;", "differs from the schema of version 2"),
    ];
    for (step, words) in cases {
        let config = SqliteConfig::new(&path, next_tables(), migrations(step));
        let error = SqliteStore::migrate(&config).unwrap_err();
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        assert!(format!("{error}: {cause}").contains(words), "{error}: {cause}");
        assert_eq!(dump(&path), before);
    }
    let store = SqliteStore::open(&old).unwrap();
    assert_eq!(Replica::load(&store, &tables()).await.rows.len(), 3);
}
