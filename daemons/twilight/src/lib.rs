//! Twilight, the agent on each host, as a library: the agent, the drivers and the link to Sparkle, put together.
//! `twilight` (the daemon) and `pony dev` both start it from here.
//!
//! Stopping it stops no guest: what runs goes on, and is found again at the next start.

mod consoles;
mod core;
mod drivers;
mod durable;
mod epoch;
mod executor;
mod measure;
mod options;
mod real;
mod uplinks;

pub use drivers::{Drivers, Hands};
pub use measure::{Auth, Collectd, Measuring, NotLoopback};
pub use options::Options;
pub use real::RealHost;

use anyhow::Context;
use consoles::Consoles;
use epoch::EpochFile;
use executor::Executor;
use pony_core::agent::{Agent, AgentOptions, Config as AgentConfig};
use pony_net::{Client, ClientSecurity, Clock, Endpoint, KeyPair, Limits, PublicKey};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uplinks::UplinkFile;
use uuid::Uuid;

/// How long a shutdown waits.
const SHUTDOWN_MAX: Duration = Duration::from_secs(5);

/// How long Sparkle may be out of reach after a change of the host's links, where nobody says otherwise: longer than a
/// switch needs to let traffic through (30 s with the spanning tree), and to connect again after that.
pub const PROVE: Duration = Duration::from_secs(60);

/// How long a guest may take to shut down before its plug is pulled, where nobody says otherwise.
pub const STOP_GRACE: Duration = Duration::from_secs(10);

/// What a Twilight is started with.
#[derive(Debug, Clone)]
pub struct Config {
    /// The directory for its key and the epoch.
    pub dir: PathBuf,
    /// The host's identity.
    pub host: Uuid,
    /// Where Sparkle is.
    pub sparkle: Endpoint,
    /// The key that Sparkle proves itself with.
    pub sparkle_key: PublicKey,
    /// How long a guest may take to shut down before its plug is pulled.
    pub stop_grace: Duration,
    /// Whom what is used is told.
    pub measuring: Measuring,
    /// How long Sparkle may be out of reach after a change of the host's links before the change is rolled back.
    pub prove: Duration,
}

impl Config {
    /// What has to be said; of the rest what holds where nobody says otherwise: nobody is told what is used.
    #[must_use]
    pub fn new(dir: PathBuf, host: Uuid, sparkle: Endpoint, sparkle_key: PublicKey) -> Self {
        let measuring = Measuring::default();
        Self { dir, host, sparkle, sparkle_key, stop_grace: STOP_GRACE, measuring, prove: PROVE }
    }
}

/// Runs something to its end, on as many threads as there are processors. What then still hangs on a thread of its own, in a
/// call into storage or the hypervisor, is not waited for: it may hang for ever.
///
/// # Errors
/// When there can be no threads, or as what is run says.
pub fn run_to_end<T>(it: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(it);
    runtime.shutdown_background();
    ended
}

/// A running Twilight.
pub struct Twilight {
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Twilight {
    /// Starts it over these drivers. It returns at once; Sparkle may come later.
    ///
    /// # Errors
    /// When the directory or the port for metrics cannot be used, or the link cannot be set up.
    pub fn start(config: &Config, drivers: Drivers) -> anyhow::Result<Self> {
        Self::start_with(config, &drivers.clone(), Arc::new(drivers))
    }

    /// The same, where something else than the drivers themselves carries out the steps.
    ///
    /// # Errors
    /// As [`Twilight::start`].
    pub fn start_with(config: &Config, drivers: &Drivers, hands: Arc<dyn Hands>) -> anyhow::Result<Self> {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&config.dir);
        made.with_context(|| format!("making the state directory {}", config.dir.display()))?;
        let keys = KeyPair::load_or_create(&config.dir.join("twilight.key"))?;
        tracing::info!("host {}, key {}", config.host, keys.public());
        let (epoch, uplinks) = (EpochFile::new(&config.dir), UplinkFile::new(&config.dir));
        let clock = Clock::start();
        let ms = |it: Duration| u64::try_from(it.as_millis()).unwrap_or(u64::MAX);
        let options = AgentOptions {
            uuid: config.host,
            incarnation: Uuid::new_v4(),
            epoch_highest: epoch.read()?,
            seed: Uuid::new_v4().as_u64_pair().0,
            uplinks: uplinks.read()?,
            config: AgentConfig {
                shutdown_grace_ms: ms(config.stop_grace),
                prove_ms: ms(config.prove),
                ..AgentConfig::default()
            },
            limits: pony_state::sync::Limits::default(),
        };
        let agent = Agent::new(options, core::now(clock))?;
        let security = ClientSecurity::Curve { keys, server_key: config.sparkle_key };
        let client = Client::connect(&config.sparkle, &security, Limits::default())
            .with_context(|| format!("setting up the link to {}", config.sparkle))?;
        let metrics = match config.measuring.prometheus {
            Some(address) => Some(measure::bind(address).with_context(|| format!("metrics at {address}"))?),
            None => None,
        };
        let hints = core::Hints { guests: drivers.hypervisor.events(), machine: drivers.discovery.events() };
        let (consoles, said) = Consoles::new(drivers.hypervisor.clone());
        let (executor, answers) = Executor::new(hands);
        let host = config.host;
        let core = core::Core {
            host,
            clock,
            agent,
            client,
            executor,
            consoles,
            epoch,
            epoch_unsaved: None,
            uplinks,
            uplinks_unsaved: None,
        };
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(core.run(answers, hints, said, stop.clone()));
        if let Some(listener) = metrics {
            tasks.spawn(measure::serve(listener, drivers.clone(), stop.clone()));
        }
        if let Some(collectd) = config.measuring.collectd.clone() {
            tasks.spawn(measure::tell(collectd, host, drivers.clone(), stop.clone()));
        }
        Ok(Self { stop, tasks })
    }

    /// Waits until it stops by itself, which it does only when something is broken for good.
    pub async fn stopped(&mut self) {
        self.tasks.join_next().await;
    }

    /// Stops it. Guests go on.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(SHUTDOWN_MAX, all).await.is_err() {
            tracing::warn!("some tasks did not end within {} s", SHUTDOWN_MAX.as_secs());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// A Twilight that was asked to stop while a disk hung never ended.
    #[test]
    fn what_hangs_is_not_waited_for() {
        let (release, released) = mpsc::channel::<()>();
        let (begun, has_begun) = mpsc::channel();
        let hang = move || {
            begun.send(()).unwrap();
            let _ = released.recv();
        };
        let it = async {
            tokio::task::spawn_blocking(hang);
            tokio::task::spawn_blocking(move || has_begun.recv()).await??;
            Ok(())
        };
        run_to_end(it).unwrap();
        drop(release);
    }
}
