//! A store in a database of its own, on a server that all tests of this program share.

use async_trait::async_trait;
use pony_store::conformance::{Cluster, Fixture, tables};
use pony_store::{DesiredStore, Migration, PostgresConfig, PostgresStore, Server};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Nothing here survives a crash of the machine, nor must it.
static CLUSTER: LazyLock<Result<Cluster, String>> =
    LazyLock::new(|| Cluster::start(&["fsync = off", "max_connections = 300", "log_statement = 'none'"]));

static NEXT: AtomicU32 = AtomicU32::new(0);

pub(crate) struct PostgresFixture {
    pub(crate) cluster: &'static Cluster,
    pub(crate) database: String,
    pub(crate) config: PostgresConfig,
    pub(crate) store: Option<PostgresStore>,
}

/// Says that the test is skipped, and why.
pub(crate) fn skip(why: &str) {
    println!("skipped: {}: {why}", std::thread::current().name().unwrap_or("?"));
}

/// An empty database.
pub(crate) fn empty() -> Option<(&'static Cluster, String)> {
    match &*CLUSTER {
        Ok(cluster) => {
            let database = format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed));
            cluster.create(&database);
            Some((cluster, database))
        }
        Err(why) => {
            skip(why);
            None
        }
    }
}

/// A store of the suite's tables.
pub(crate) fn config(address: &str) -> PostgresConfig {
    let server = Server::new(address, None).unwrap();
    PostgresConfig::new(server, tables(), vec![Migration::initial(&tables()).unwrap()])
}

/// A new database whose feed keeps that many changes.
pub(crate) async fn fixture(rows_kept: u32) -> Option<PostgresFixture> {
    let (cluster, database) = tokio::task::spawn_blocking(empty).await.unwrap()?;
    let mut config = config(&cluster.address(&database));
    config.outbox_rows_kept = rows_kept;
    PostgresStore::migrate(&config).await.unwrap();
    let store = Some(PostgresStore::open(&config).await.unwrap());
    Some(PostgresFixture { cluster, database, config, store })
}

impl PostgresFixture {
    /// A session of somebody else.
    pub(crate) async fn client(&self) -> tokio_postgres::Client {
        client(&self.cluster.address(&self.database)).await
    }
}

/// A session of somebody who knows nothing of the store.
pub(crate) async fn client(address: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(address, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

#[async_trait]
impl Fixture for PostgresFixture {
    fn store(&self) -> &dyn DesiredStore {
        self.store.as_ref().unwrap()
    }

    async fn raw(&self, sql: &str) -> Result<(), String> {
        let result = self.client().await.batch_execute(sql).await;
        result.map_err(|error| error.as_db_error().map_or(error.to_string(), |it| it.message().to_owned()))
    }

    fn no_lists(&self) -> Vec<&'static str> {
        vec!["[]", "5", "{5}", "{10.0.0}", "{NULL}", "{{10.0.0.1}}"]
    }

    fn range(&self, start: i64, end: i64) -> String {
        format!("int8range({start}, {end})")
    }

    async fn reopen(&mut self) {
        drop(self.store.take());
        self.store = Some(PostgresStore::open(&self.config).await.unwrap());
    }
}
