//! The file: who may read it, who may have it open, and what else it could be.

use crate::fixture::{SqliteFixture, fixture};
use pony_store::conformance::{Fixture, tables};
use pony_store::{Claim, Lead, Migrated, Migration, OpenError, SqliteConfig, SqliteStore};
use rusqlite::Connection;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn only_the_owner_may_read_it() {
    let fixture = fixture(100).await;
    let path = &fixture.config.path;
    lead(&fixture).await;
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    let files: Vec<_> =
        path.parent().unwrap().read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn a_second_opener_is_refused() {
    let mut fixture = fixture(100).await;
    for error in [SqliteStore::open(&fixture.config).err(), SqliteStore::migrate(&fixture.config).err()] {
        let error = error.expect("it is in use");
        assert!(matches!(error, OpenError::InUse { .. }), "{error}");
        assert!(error.to_string().contains(&*fixture.config.path.to_string_lossy()), "{error}");
    }
    assert_eq!(lead(&fixture).await, Lead::Own { epoch: 1 });
    fixture.reopen().await;
    assert_eq!(lead(&fixture).await, Lead::Own { epoch: 2 });
}

async fn lead(fixture: &SqliteFixture) -> Lead {
    let claim = Claim { holder: uuid::Uuid::nil(), name: String::new(), ttl_ms: 1_000 };
    fixture.store().take_lead(&claim).await.unwrap()
}

fn config(path: &Path) -> SqliteConfig {
    SqliteConfig::new(path, tables(), vec![Migration::initial(&tables()).unwrap()])
}

#[test]
fn what_is_not_there_is_created_by_migrate_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("new").join("pony.sqlite");
    let config = config(&path);
    assert!(matches!(SqliteStore::open(&config), Err(OpenError::Absent(_))));
    assert!(!path.exists());
    assert_eq!(SqliteStore::migrate(&config).unwrap(), Migrated::Created);
    assert_eq!(SqliteStore::migrate(&config).unwrap(), Migrated::Current);
    SqliteStore::open(&config).unwrap();
}

#[test]
fn files_of_others_are_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let text = directory.path().join("text");
    std::fs::write(&text, "some text that is longer than the header of a database: ".repeat(100)).unwrap();
    let other = directory.path().join("other.sqlite");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE theirs (a)").unwrap();
    for path in [&text, &other] {
        let before = std::fs::read(path).unwrap();
        for error in [SqliteStore::open(&config(path)).err(), SqliteStore::migrate(&config(path)).err()] {
            let error = error.expect("it belongs to others");
            assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
        }
        assert_eq!(std::fs::read(path).unwrap(), before, "{}", path.display());
    }
}

#[test]
fn a_schema_that_somebody_changed_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pony.sqlite");
    let config = config(&path);
    SqliteStore::migrate(&config).unwrap();
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("CREATE INDEX mine ON tenant (approved); CREATE TABLE notes (text)").unwrap();
    SqliteStore::open(&config).expect("more than is asked for does no harm");
    connection.execute_batch("ALTER TABLE tenant ADD COLUMN colour TEXT").unwrap();
    let error = SqliteStore::open(&config).expect_err("a column more would never be told of");
    assert!(error.to_string().contains("`tenant` has `colour TEXT` in addition"), "{error}");
    connection.execute_batch("ALTER TABLE tenant DROP COLUMN colour").unwrap();
    SqliteStore::open(&config).unwrap();
    connection.execute_batch("DROP TRIGGER \"disk.after.delete\"").unwrap();
    let error = SqliteStore::open(&config).expect_err("removals would never be told of");
    assert!(matches!(&error, OpenError::Differs { version: 1, .. }), "{error}");
    assert!(error.to_string().contains("`disk.after.delete` is missing"), "{error}");
}
