//! [`DesiredStore`] in a PostgreSQL database (15 or newer).
//!
//! One task writes, over a session of its own ([`writer`]); another follows what is committed, by whomever, woken by
//! notifications that carry nothing ([`follow`]); a load has a session for itself ([`load`]). Sessions that break are
//! replaced, with growing waits; meanwhile every request is answered at once that the database is away.

mod apply;
mod binary;
mod diagnose;
mod follow;
mod load;
mod outage;
mod resolve;
mod rows;
mod schema;
mod server;
mod tls;
mod transaction;
mod writer;

pub use server::{AddressError, Server};

use crate::ddl::plan::Plan;
use crate::error::{CommitError, FeedError, LoadError, OpenError, Unavailable};
use crate::migration::{Migrated, Migration};
use crate::store::{Changes, Claim, Committed, DesiredStore, Lead, Load, Position, only};
use async_trait::async_trait;
use follow::Follower;
use pony_state::{RowOp, TableSchema};
use rows::Origin;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;
use writer::Writer;

/// Changes that the feed remembers by default: some minutes of the heaviest writing, some 50 MB. Whoever was
/// away for longer loads everything, which takes a second or two.
const OUTBOX_ROWS_KEPT: u32 = 100_000;

/// Where the database is, and what it holds.
#[derive(Debug, Clone)]
pub struct PostgresConfig {
    /// The server and the database there, which exists; this user may create in it.
    pub server: Server,
    /// All tables, those that are not stored included.
    pub tables: Vec<TableSchema>,
    /// The steps up to the present schema.
    pub migrations: Vec<Migration>,
    /// How many changes the feed keeps at least.
    pub outbox_rows_kept: u32,
}

impl PostgresConfig {
    /// These tables in that database.
    #[must_use]
    pub fn new(server: Server, tables: Vec<TableSchema>, migrations: Vec<Migration>) -> Self {
        Self { server, tables, migrations, outbox_rows_kept: OUTBOX_ROWS_KEPT }
    }

    /// The database, as errors name it.
    fn name(&self) -> PathBuf {
        PathBuf::from(self.server.to_string())
    }
}

/// Desired state in a PostgreSQL database.
///
/// Its tasks run on the runtime that it was opened on, and end when it is dropped.
#[derive(Debug)]
pub struct PostgresStore {
    server: Server,
    plan: Arc<Plan>,
    origin: Arc<Origin>,
    writer: Writer,
    follower: Follower,
    position: watch::Receiver<Position>,
}

impl PostgresStore {
    /// Creates the tables, or brings those of an older version up to the present one.
    ///
    /// # Errors
    /// [`OpenError`]; the database is as it was then.
    pub async fn migrate(config: &PostgresConfig) -> Result<Migrated, OpenError> {
        let plan = Plan::new(&config.tables)?;
        schema::migrate(config, &plan).await
    }

    /// Whether the database is of the present version and has its schema; [`PostgresStore::open`] succeeds then.
    ///
    /// # Errors
    /// [`OpenError`], which says what to do about it.
    pub async fn check(config: &PostgresConfig) -> Result<(), OpenError> {
        let plan = Plan::new(&config.tables)?;
        schema::check(config, &plan).await.map(|_| ())
    }

    /// Opens a database of the present version.
    ///
    /// # Errors
    /// [`OpenError`], which says what to do about it.
    pub async fn open(config: &PostgresConfig) -> Result<Self, OpenError> {
        let plan = Arc::new(Plan::new(&config.tables)?);
        let found = schema::check(config, &plan).await?;
        let origin = Arc::new(Origin::new(found.history.clone()));
        let (told, position) = watch::channel(found.newest);
        let told = Arc::new(told);
        let unavailable = |source| OpenError::Unavailable { path: config.name(), source };
        let (server, shared) = (config.server.clone(), (Arc::clone(&plan), Arc::clone(&origin)));
        let follower = Follower::start(server.clone(), shared.0, Arc::clone(&told), shared.1)
            .await
            .map_err(unavailable)?;
        let kept = config.outbox_rows_kept;
        let writer =
            Writer::start(server, Arc::clone(&plan), kept, told, &found).await.map_err(unavailable)?;
        Ok(Self { server: config.server.clone(), plan, origin, writer, follower, position })
    }
}

#[async_trait]
impl DesiredStore for PostgresStore {
    async fn load(&self) -> Result<Load, LoadError> {
        load::load(&self.server, Arc::clone(&self.plan), &self.origin).await
    }

    async fn commit_all(&self, requests: Vec<Vec<RowOp>>) -> Vec<Result<Committed, CommitError>> {
        self.writer.commit(requests).await
    }

    async fn import(&self, ops: Vec<RowOp>) -> Result<Committed, CommitError> {
        only(self.writer.import(ops).await)
    }

    async fn changes_after(&self, position: Position, limit: usize) -> Result<Changes, FeedError> {
        self.follower.changes_after(position, limit).await
    }

    fn subscribe(&self) -> watch::Receiver<Position> {
        self.position.clone()
    }

    async fn take_lead(&self, claim: &Claim) -> Result<Lead, Unavailable> {
        self.writer.take_lead(claim.clone()).await
    }

    async fn renew_lead(&self) -> Result<bool, Unavailable> {
        self.writer.renew_lead().await
    }

    async fn resign(&self) {
        self.writer.resign().await;
    }
}
