//! A store in a file of its own, and another connection to that file.

use async_trait::async_trait;
use pony_store::conformance::{Fixture, tables};
use pony_store::{DesiredStore, Migration, SqliteConfig, SqliteStore};
use rusqlite::Connection;
use tempfile::TempDir;

pub(crate) struct SqliteFixture {
    pub(crate) config: SqliteConfig,
    pub(crate) store: Option<SqliteStore>,
    _directory: TempDir,
}

/// The same for the suite.
pub(crate) async fn some(rows_kept: u32) -> Option<SqliteFixture> {
    Some(fixture(rows_kept).await)
}

/// A new database whose feed keeps that many changes.
pub(crate) async fn fixture(rows_kept: u32) -> SqliteFixture {
    let directory = tempfile::tempdir().unwrap();
    let migrations = vec![Migration::initial(&tables()).unwrap()];
    let path = directory.path().join("state").join("pony.sqlite");
    let mut config = SqliteConfig::new(path, tables(), migrations);
    config.outbox_rows_kept = rows_kept;
    SqliteStore::migrate(&config).unwrap();
    let store = Some(SqliteStore::open(&config).unwrap());
    SqliteFixture { config, store, _directory: directory }
}

impl SqliteFixture {
    pub(crate) fn shell(&self) -> Connection {
        let connection = Connection::open(&self.config.path).unwrap();
        connection.busy_timeout(std::time::Duration::from_secs(20)).unwrap();
        connection
    }
}

#[async_trait]
impl Fixture for SqliteFixture {
    fn store(&self) -> &dyn DesiredStore {
        self.store.as_ref().unwrap()
    }

    async fn raw(&self, sql: &str) -> Result<(), String> {
        self.shell().execute_batch(sql).map_err(|error| error.to_string())
    }

    fn no_lists(&self) -> Vec<&'static str> {
        vec!["{}", "5", "[5]", "[\"10.0.0\"]"]
    }

    fn range(&self, start: i64, end: i64) -> String {
        format!("'[{start},{end}]'")
    }

    async fn reopen(&mut self) {
        drop(self.store.take());
        self.store = Some(SqliteStore::open(&self.config).unwrap());
    }
}
