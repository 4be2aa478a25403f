//! [`DesiredStore`] in one SQLite file.
//!
//! One thread owns the connection that writes ([`writer`]); readers have connections of their own and, thanks
//! to the write-ahead log, neither wait for it nor hold it up ([`read`]); another thread watches for what other
//! processes write ([`follow`]). Only one store at a time has a file open, by a lock on a file beside it
//! ([`file`]).

mod apply;
mod connection;
mod diagnose;
mod file;
mod follow;
mod read;
mod schema;
mod transaction;
mod writer;

use crate::ddl::plan::Plan;
use crate::error::{CommitError, FeedError, LoadError, OpenError, Outage, Unavailable};
use crate::migration::{Migrated, Migration};
use crate::store::{Changes, Claim, Committed, DesiredStore, Lead, Load, Position, only};
use async_trait::async_trait;
use file::FileLock;
use pony_state::{RowOp, TableSchema};
use read::Reader;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use writer::Writer;

/// Changes that the feed remembers by default: some minutes of the heaviest writing, some 50 MB. Whoever was
/// away for longer loads everything, which takes a second or two.
const OUTBOX_ROWS_KEPT: u32 = 100_000;

/// Milliseconds between looks for what other processes wrote: people at a shell do not notice, and it costs
/// nothing that can be measured.
const POLL_MS: u64 = 250;

/// Where the database is, and what it holds.
#[derive(Debug, Clone)]
pub struct SqliteConfig {
    /// The file. It and its directory are made where they are missing, for the owner only.
    pub path: PathBuf,
    /// All tables, those that are not stored included.
    pub tables: Vec<TableSchema>,
    /// The steps up to the present schema.
    pub migrations: Vec<Migration>,
    /// How many changes the feed keeps at least.
    pub outbox_rows_kept: u32,
    /// Milliseconds between looks for what other processes wrote.
    pub poll_ms: u64,
}

impl SqliteConfig {
    /// These tables in that file.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, tables: Vec<TableSchema>, migrations: Vec<Migration>) -> Self {
        let path = path.into();
        Self { path, tables, migrations, outbox_rows_kept: OUTBOX_ROWS_KEPT, poll_ms: POLL_MS }
    }
}

/// Desired state in a SQLite file.
///
/// Dropping it ends its threads and lets go of the file. Both `migrate` and `open` block on the file system:
/// they are meant for start-up.
///
/// ```
/// # use pony_store::{DesiredStore, Migration, SqliteConfig, SqliteStore};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let tables = Vec::new();
/// let migrations = vec![Migration::initial(&tables)?];
/// let config = SqliteConfig::new(directory.path().join("pony.sqlite"), tables, migrations);
/// SqliteStore::migrate(&config)?;
/// let store = SqliteStore::open(&config)?;
/// # let _: &dyn DesiredStore = &store;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SqliteStore {
    writer: Writer,
    follower: follow::Follower,
    reader: Arc<Reader>,
    position: watch::Receiver<Position>,
    /// Let go of last, when both threads have ended.
    _lock: FileLock,
}

impl SqliteStore {
    /// Creates the database, or brings an older one up to the present version.
    ///
    /// # Errors
    /// [`OpenError`]; the database is as it was then.
    pub fn migrate(config: &SqliteConfig) -> Result<Migrated, OpenError> {
        let plan = Plan::new(&config.tables)?;
        file::create(&config.path)?;
        let _lock = FileLock::take(&config.path)?;
        schema::migrate(&config.path, &plan, &config.migrations)
    }

    /// Opens a database of the present version.
    ///
    /// # Errors
    /// [`OpenError`], which says what to do about it.
    pub fn open(config: &SqliteConfig) -> Result<Self, OpenError> {
        let plan = Arc::new(Plan::new(&config.tables)?);
        file::require(&config.path)?;
        let lock = FileLock::take(&config.path)?;
        file::require_writable(&config.path)?;
        let unavailable = |source| OpenError::Unavailable { path: config.path.clone(), source };
        let connection = schema::open(&config.path, &plan, &config.migrations)?;
        let reader = Arc::new(Reader::open(&config.path, Arc::clone(&plan)).map_err(unavailable)?);
        let start = reader.newest().map_err(unavailable)?;
        let (told, position) = watch::channel(start);
        let told = Arc::new(told);
        let follower =
            follow::Follower::start(&config.path, Duration::from_millis(config.poll_ms), Arc::clone(&told))
                .map_err(unavailable)?;
        let writer = Writer::start(connection, plan, config.outbox_rows_kept, told).map_err(unavailable)?;
        Ok(Self { writer, follower, reader, position, _lock: lock })
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.follower.stop();
        self.writer.stop();
    }
}

#[async_trait]
impl DesiredStore for SqliteStore {
    async fn load(&self) -> Result<Load, LoadError> {
        read::load(Arc::clone(&self.reader)).await
    }

    async fn commit_all(&self, requests: Vec<Vec<RowOp>>) -> Vec<Result<Committed, CommitError>> {
        self.writer.commit(requests).await
    }

    async fn import(&self, ops: Vec<RowOp>) -> Result<Committed, CommitError> {
        only(self.writer.import(ops).await)
    }

    async fn changes_after(&self, position: Position, limit: usize) -> Result<Changes, FeedError> {
        let reader = Arc::clone(&self.reader);
        let task = tokio::task::spawn_blocking(move || reader.changes_after(position, limit));
        task.await.unwrap_or_else(|error| Err(internal(&error).into()))
    }

    fn subscribe(&self) -> watch::Receiver<Position> {
        self.position.clone()
    }

    /// Whoever has the file open leads: its lock is held by one process at a time.
    async fn take_lead(&self, _: &Claim) -> Result<Lead, Unavailable> {
        self.writer.raise_epoch().await.map(|epoch| Lead::Own { epoch })
    }

    async fn renew_lead(&self) -> Result<bool, Unavailable> {
        Ok(true)
    }

    async fn resign(&self) {}
}

/// A task of ours that panicked or was cancelled with its runtime.
fn internal(error: &tokio::task::JoinError) -> Unavailable {
    Unavailable::new(Outage::Internal, error.to_string())
}
