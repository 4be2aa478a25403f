//! Sparkle, the controller, as a library: the database, the controller, the link to the hosts and the REST API,
//! put together. `sparkle` (the daemon) and `pony dev` both start it from here.
//!
//! It holds no rules of its own: what follows from an order is `pony_core`'s, what a database guarantees is
//! `pony_store`'s.

pub mod auth;
mod command;
mod console;
mod core;
mod database;
mod feed;
mod http;
mod lead;
mod load;
mod metrics;
mod openapi;
mod operator;
mod stream;
mod transfer;
mod writer;

pub use command::Command;
pub use database::DatabaseArgs;
pub use http::{HttpArgs, HttpLimits, NoOrigin, Origin};
pub use lead::Role;
pub use load::load;
/// The allocator for programs in which a Sparkle runs: small pieces that live for a request, among a large state that
/// stays. With the system's, a GET takes a third longer (`make bench-api`). A library chooses none; the program installs it
/// as its `#[global_allocator]`.
pub use mimalloc::MiMalloc as Heap;

use anyhow::Context;
use database::Database;
use feed::{Feed, Keys};
use lead::{Keeper, LEAD_TTL_MS};
use metrics::{Measured, Metrics};
use pony_core::controller::Controller;
use pony_core::document::Tree;
use pony_core::tables;
use pony_net::{AllowList, Clock, KeyPair, PublicKey};
use pony_state::{Read, SharedState};
use pony_store::{Claim, Lead};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use stream::{Recorder, Streams};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Changes of the database that may wait for the controller, in steps of the feed.
const FEED_WAITING_MAX: usize = 16;
/// How long a shutdown waits for requests under way.
const SHUTDOWN_MAX: Duration = Duration::from_secs(5);
/// Descriptors for hosts, the database and files, besides those of the REST API's connections.
const DESCRIPTORS_BESIDES: u64 = 4096;

/// What a Sparkle is started with.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// The directory for the database, keys and the operator's credentials
    #[arg(long, default_value = ".pony", global = true)]
    pub dir: PathBuf,
    /// Where desired state is
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Where the REST API listens; beyond loopback with TLS only
    #[arg(long, default_value = "127.0.0.1:9860")]
    pub listen: SocketAddr,
    /// How it is served
    #[command(flatten)]
    pub http: HttpArgs,
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
    role: watch::Receiver<Role>,
    lost: CancellationToken,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Sparkle {
    /// Starts it: when this returns, it serves. Where another one leads with the same database, it stands by.
    ///
    /// # Errors
    /// When the directory, the database or one of the addresses cannot be used; each says which and why.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        config.http.check_exposure(config.listen)?;
        create_dir(&config.dir)?;
        warn_of_exposure(&config);
        let tls = config.http.tls()?;
        raise_descriptors(config.http.limits.connections_max);
        let store = Database::new(&config.database, &config.dir)?.open().await?;
        let claim = Claim { holder: Uuid::new_v4(), name: config.listen.to_string(), ttl_ms: LEAD_TTL_MS };
        let lead = store.take_lead(&claim).await.context("asking for the lead")?;
        let clock = Clock::start();
        let epoch = if let Lead::Own { epoch } = lead { epoch } else { 0 };
        let mut controller = Controller::new(Uuid::new_v4(), epoch)?;
        let position = load(&*store, &mut controller).await.context("reading the database")?;
        controller.loaded(core::now(clock));
        let credentials = operator::ensure(&config.dir, &*store, &controller, epoch > 0).await?;
        tracing::info!("epoch {epoch}: desired state up to {position}");

        let key_pair = KeyPair::load_or_create(&config.dir.join("sparkle.key"))?;
        let key = key_pair.public();
        let (link, zmq, role) = link(config.zmq, key_pair, lead)?;
        let listener = listen(config.listen).await?;
        let api = listener.local_addr()?;

        let state = controller.state();
        let (stop, lost) = (CancellationToken::new(), CancellationToken::new());
        let mut tasks = JoinSet::new();
        let (applied, applied_seen) = watch::channel(position);
        let (available, available_seen) = watch::channel(true);
        let (role_in, role) = watch::channel(role);
        let (taken, taken_seen) = mpsc::channel(1);
        let (feed_in, feed_out) = mpsc::channel::<Feed>(FEED_WAITING_MAX);
        let (inspect, inspected) = mpsc::channel(1);
        let (consoles, asked) = mpsc::channel(console::ASKED_WAITING_MAX);
        let (metrics, feed_seen) = (Metrics::new(), feed_in.downgrade());
        let (own_in, own) = mpsc::channel(1);
        let (own_ended, written) = mpsc::channel(1);
        let (writes, requests) = writer::queue();

        let keeper = Keeper { store: store.clone(), claim, role: role_in.clone(), taken, lost: lost.clone() };
        tasks.spawn(keeper.run(stop.clone()));
        let keys = Keys::new(&tables::table_schemas());
        tasks.spawn(feed::follow(store.clone(), keys, position, feed_in));
        let state_read = state.clone();
        let store = Arc::new(Measured::new(store, metrics.clone()));
        let writer =
            writer::Writer { store, state: state_read, applied: applied_seen, requests, own, own_ended };
        tasks.spawn(writer.run());
        let core = core::Core {
            clock,
            controller,
            link,
            enroll: config.enroll,
            applied,
            available,
            role: role_in,
            writes: own_in,
            routes: core::Routes::default(),
            board: console::Board::default(),
        };
        let inputs = core::Inputs { feed: feed_out, written, taken: taken_seen, inspect: inspected, asked };
        tasks.spawn(core.run(inputs, stop.clone()));
        let (tree, streams) = record(&mut tasks, &state, &metrics, &stop)?;
        let parts = http::Parts {
            tree,
            state: state.clone(),
            streams,
            writer: writes,
            available: available_seen,
            role: role.clone(),
            metrics,
            inspect,
            consoles,
            feed: feed_seen,
        };
        let app = http::App::new(parts, &config.http)?;
        serve(&mut tasks, (listener, tls), app, config.http.limits, &stop);
        Ok(Self { api, zmq, key, credentials, state, role, lost, stop, tasks })
    }

    /// What it is at the moment.
    #[must_use]
    pub fn role(&self) -> watch::Receiver<Role> {
        self.role.clone()
    }

    /// Whether it stopped because another one leads. It may be started again then, to stand by.
    #[must_use]
    pub fn has_lost_lead(&self) -> bool {
        self.lost.is_cancelled()
    }

    /// The REST API's address.
    #[must_use]
    pub fn api(&self) -> SocketAddr {
        self.api
    }

    /// Where hosts connect; where they would, while it stands by.
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

async fn listen(address: SocketAddr) -> anyhow::Result<tokio::net::TcpListener> {
    let bound = tokio::net::TcpListener::bind(address).await;
    bound.with_context(|| format!("listening for the REST API at {address}"))
}

/// The link to the hosts, where they connect (or would), and as what. It is open where this Sparkle leads.
fn link(address: SocketAddr, keys: KeyPair, lead: Lead) -> anyhow::Result<(core::Link, SocketAddr, Role)> {
    let mut link = core::Link::new(address, keys, Arc::new(AllowList::default()));
    Ok(match lead {
        Lead::Own { .. } => {
            let address = link.open()?;
            (link, address, Role::Leads)
        }
        Lead::Others { name } => {
            tracing::info!("{name} leads; this Sparkle stands by");
            (link, address, Role::StandsBy { leader: name })
        }
    })
}

/// Starts to record what changes, for those who watch.
fn record(
    tasks: &mut JoinSet<()>,
    state: &SharedState,
    metrics: &Metrics,
    stop: &CancellationToken,
) -> anyhow::Result<(Arc<Tree>, Streams)> {
    let tree = Arc::new(Tree::new(Arc::clone(state.snapshot().schema()))?);
    let (recorder, streams) = Recorder::new(Arc::clone(&tree), state.clone(), metrics.clone(), random()?);
    tasks.spawn(recorder.run(stop.clone()));
    Ok((tree, streams))
}

/// Starts to serve the REST API.
fn serve(
    tasks: &mut JoinSet<()>,
    (listener, tls): (tokio::net::TcpListener, Option<(http::Tls, [u8; 32])>),
    app: http::App,
    limits: HttpLimits,
    stop: &CancellationToken,
) {
    let tls = tls.map(|(tls, seen)| {
        tasks.spawn(tls.clone().follow(seen, stop.clone()));
        tls
    });
    tasks.spawn(http::serve(listener, tls, limits, app.router(), stop.clone()));
}

/// What is safe on loopback may not be elsewhere. (Of the REST API: [`HttpArgs::check_exposure`].)
fn warn_of_exposure(config: &Config) {
    if config.enroll && !config.zmq.ip().is_loopback() {
        tracing::warn!(
            "whoever reaches {} is taken in as a host: mind who can, or do not enroll",
            config.zmq
        );
    }
}

/// As many descriptors as the system allows, up to what all connections need: the usual soft limit is 1,024.
fn raise_descriptors(connections_max: usize) {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    let wanted =
        u64::try_from(connections_max).unwrap_or(u64::MAX).saturating_add(DESCRIPTORS_BESIDES).min(hard);
    if soft < wanted && setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_err() {
        tracing::warn!("only {soft} descriptors: not all of {connections_max} connections can be served");
    }
}

fn random() -> anyhow::Result<u32> {
    getrandom::u32().map_err(|error| anyhow::anyhow!("no randomness: {error}"))
}

fn create_dir(dir: &std::path::Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.with_context(|| format!("making the state directory {}", dir.display()))
}
