//! Sparkle, the controller, as a library: the database, the controller, the link to the hosts and the REST API,
//! put together. `sparkle` (the daemon) and `pony dev` both start it from here.
//!
//! It holds no rules of its own: what follows from an order is `pony_core`'s, what a database guarantees is
//! `pony_store`'s.

pub mod auth;
mod core;
mod feed;
mod http;
mod operator;
mod writer;

use anyhow::Context;
use feed::{Feed, Keys};
use pony_core::controller::Controller;
use pony_core::tables;
use pony_net::{AllowList, Clock, KeyPair, Limits, PublicKey, Server, ServerSecurity};
use pony_state::SharedState;
use pony_store::{Claim, DesiredStore, Lead, Migrated, SqliteConfig, SqliteStore};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Changes of the database that may wait for the controller, in steps of the feed.
const FEED_WAITING_MAX: usize = 16;
/// Milliseconds after which another Sparkle may lead when this one is not heard of.
const LEAD_TTL_MS: u64 = 10_000;
/// How long a shutdown waits for requests under way.
const SHUTDOWN_MAX: Duration = Duration::from_secs(5);

/// What a Sparkle is started with.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// The directory for the database, keys and the operator's credentials
    #[arg(long, default_value = ".pony")]
    pub dir: PathBuf,
    /// Where the REST API listens (plain HTTP: keep it on loopback, or behind a TLS proxy)
    #[arg(long, default_value = "127.0.0.1:9860")]
    pub listen: SocketAddr,
    /// Where hosts connect (encrypted with CURVE)
    #[arg(long, default_value = "127.0.0.1:9850")]
    pub zmq: SocketAddr,
    /// Take in hosts that nobody ordered, each by the first key that it shows
    #[arg(long)]
    pub enroll: bool,
}

/// A running Sparkle.
pub struct Sparkle {
    api: SocketAddr,
    zmq: SocketAddr,
    key: PublicKey,
    credentials: PathBuf,
    state: SharedState,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Sparkle {
    /// Starts it: when this returns, it serves.
    ///
    /// # Errors
    /// When the directory, the database or one of the addresses cannot be used; each says which and why.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        create_dir(&config.dir)?;
        warn_of_exposure(&config);
        let schema = tables::table_schemas();
        let store = open_store(&config, schema.clone()).await?;
        let keys = Keys::new(&schema);
        let claim = Claim { holder: Uuid::new_v4(), name: config.listen.to_string(), ttl_ms: LEAD_TTL_MS };
        let epoch = match store.take_lead(&claim).await.context("taking the lead")? {
            Lead::Own { epoch } => epoch,
            Lead::Others { name } => anyhow::bail!("another Sparkle, {name}, leads"),
        };
        let clock = Clock::start();
        let mut controller = Controller::new(Uuid::new_v4(), epoch)?;
        let (rows, position) = feed::load(&*store, &keys).await.context("reading the database")?;
        let credentials = operator::ensure(&config.dir, &*store, &rows).await?;
        controller.load(&rows, core::now(clock)).context("the database does not fit the schema")?;
        tracing::info!("epoch {epoch}: {} rows of desired state", rows.len());

        let key_pair = KeyPair::load_or_create(&config.dir.join("sparkle.key"))?;
        let key = key_pair.public();
        let admitted = Arc::new(AllowList::default());
        let security = ServerSecurity::Curve { keys: key_pair, admission: admitted.clone() };
        let server = Server::bind(config.zmq, security, Limits::default())
            .with_context(|| format!("listening for hosts at {}", config.zmq))?;
        let zmq = server.local_addr();
        let listener = tokio::net::TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("listening for the REST API at {}", config.listen))?;
        let api = listener.local_addr()?;

        let state = controller.state();
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let (applied, applied_seen) = watch::channel(position);
        let (available, available_seen) = watch::channel(true);
        let (feed_in, feed_out) = mpsc::channel::<Feed>(FEED_WAITING_MAX);
        let (own_in, own) = mpsc::channel(1);
        let (own_ended, written) = mpsc::channel(1);
        let (writes, requests) = writer::queue();

        tasks.spawn(feed::follow(store.clone(), keys, position, feed_in));
        let writer = writer::Writer { store, state: state.clone(), applied: applied_seen, own, own_ended };
        tasks.spawn(writer.run(requests));
        let core = core::Core {
            clock,
            controller,
            server,
            admitted,
            enroll: config.enroll,
            applied,
            available,
            writes: own_in,
            routes: core::Routes::default(),
        };
        tasks.spawn(core.run(feed_out, written, stop.clone()));
        let app = http::App::new(state.clone(), writes, available_seen)?;
        tasks.spawn(http::serve(listener, app, stop.clone()));
        Ok(Self { api, zmq, key, credentials, state, stop, tasks })
    }

    /// The REST API's address.
    #[must_use]
    pub fn api(&self) -> SocketAddr {
        self.api
    }

    /// Where hosts connect.
    #[must_use]
    pub fn zmq(&self) -> SocketAddr {
        self.zmq
    }

    /// The key that hosts know it by.
    #[must_use]
    pub fn key(&self) -> PublicKey {
        self.key
    }

    /// The file with the operator's `email:password`.
    #[must_use]
    pub fn credentials(&self) -> &std::path::Path {
        &self.credentials
    }

    /// All that it knows, to read.
    #[must_use]
    pub fn state(&self) -> &SharedState {
        &self.state
    }

    /// Waits until it stops by itself, which it does only when something is broken for good.
    pub async fn stopped(&mut self) {
        self.tasks.join_next().await;
    }

    /// Stops it. Hosts and guests go on.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(SHUTDOWN_MAX, all).await.is_err() {
            tracing::warn!("some tasks did not end within {} s", SHUTDOWN_MAX.as_secs());
        }
    }
}

/// What is safe on loopback may not be elsewhere.
fn warn_of_exposure(config: &Config) {
    if !config.listen.ip().is_loopback() {
        let at = config.listen;
        tracing::warn!(
            "the REST API at {at} is plain HTTP, so passwords can be overheard: put a TLS proxy before it"
        );
    }
    if config.enroll && !config.zmq.ip().is_loopback() {
        tracing::warn!(
            "whoever reaches {} is taken in as a host: mind who can, or do not enroll",
            config.zmq
        );
    }
}

fn create_dir(dir: &std::path::Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.with_context(|| format!("making the state directory {}", dir.display()))
}

async fn open_store(
    config: &Config,
    schema: Vec<pony_state::TableSchema>,
) -> anyhow::Result<Arc<dyn DesiredStore>> {
    let sqlite = SqliteConfig::new(config.dir.join("sparkle.db"), schema, pony_store::cloud_migrations());
    // File I/O: not on the threads that serve.
    let store = tokio::task::spawn_blocking(move || -> anyhow::Result<SqliteStore> {
        if let Migrated::Upgraded { from } = SqliteStore::migrate(&sqlite)? {
            tracing::info!("the database was upgraded from version {from:?}");
        }
        Ok(SqliteStore::open(&sqlite)?)
    });
    Ok(Arc::new(store.await??))
}
