//! The cloud's own tables: what their database looks like, and that the migrations lead there.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use pony_core::tables::table_schemas;
use pony_store::{Migrated, SqliteConfig, SqliteStore, cloud_migrations, ddl};
use rusqlite::Connection;
use std::path::Path;

const HOW_TO_GO_ON: &str = "
The databases that the tables ask for are not those of tests/golden any more. If that is meant:
  1. UPDATE_GOLDEN=1 cargo test -p pony-store --test cloud
  2. look at `git diff pony-store/tests/golden`
  3. write the steps from the old schema to the new one: pony-store/migrations/README.md says how.
     (Before the first release, for both databases: cp pony-store/tests/golden/cloud.DB.sql pony-store/migrations/DB/0001_initial.sql)
";

#[test]
fn the_databases_are_the_golden_ones() {
    let tables = table_schemas();
    for (database, generated) in [("sqlite", ddl::sqlite(&tables)), ("postgres", ddl::postgres(&tables))] {
        let name = format!("tests/golden/cloud.{database}.sql");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        let generated = generated.unwrap();
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &generated).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap();
        let differences: Vec<String> = differences(&golden, &generated);
        assert!(differences.is_empty(), "{HOW_TO_GO_ON}\n{}", differences.join("\n"));
    }
}

/// Lines that only one of the texts has.
fn differences(golden: &str, generated: &str) -> Vec<String> {
    let lines = |text: &str, other: &str, sign: char| -> Vec<String> {
        let other: Vec<&str> = other.lines().collect();
        text.lines().filter(|line| !other.contains(line)).map(|line| format!("{sign} {line}")).collect()
    };
    let mut all = lines(golden, generated, '-');
    all.extend(lines(generated, golden, '+'));
    if all.is_empty() && golden != generated {
        all.push("the same lines in another order".to_owned());
    }
    all
}

/// Makes a database as the first step alone leaves it, which is the oldest that there is.
fn oldest(path: &Path) {
    let first = &cloud_migrations()[0];
    let connection = Connection::open(path).unwrap();
    connection.execute_batch(&format!("BEGIN; {}; COMMIT", first.sqlite)).unwrap();
    connection.pragma_update(None, "application_id", 0x506f_6e79).unwrap();
    connection.execute("INSERT INTO _migration (version, name) VALUES (1, ?1)", [&first.name]).unwrap();
}

#[test]
fn the_migrations_lead_to_the_present_schema() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("old.sqlite");
    oldest(&path);
    let config = SqliteConfig::new(&path, table_schemas(), cloud_migrations());
    let migrated = SqliteStore::migrate(&config);
    match migrated {
        Ok(Migrated::Upgraded { from: 1 }) => assert!(cloud_migrations().len() > 1),
        Ok(Migrated::Current) => assert_eq!(cloud_migrations().len(), 1),
        other => panic!("{HOW_TO_GO_ON}\n{other:?}"),
    }
    SqliteStore::open(&config).unwrap();
}
