//! The daemon's options, and its life.

use crate::{Auth, Collectd, Config, Drivers, Hands, Measuring, RealHost, Twilight};
use anyhow::Context;
use pony_net::{Endpoint, PublicKey};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// What a Twilight on a real host is told when it is started.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// The directory for its key and what it must remember
    #[arg(long, default_value = "/var/lib/pony/twilight")]
    pub dir: PathBuf,
    /// Where Sparkle is
    #[arg(long, default_value = "tcp://127.0.0.1:9850")]
    pub sparkle: Endpoint,
    /// Sparkle's public key, as it prints it when it starts
    #[arg(long, allow_hyphen_values = true)]
    pub sparkle_key: PublicKey,
    /// Seconds that a guest may take to shut down before its plug is pulled
    #[arg(long, default_value_t = crate::STOP_GRACE.as_secs())]
    pub stop_grace: u64,
    /// Where Prometheus may ask what host and guests use, at /metrics: on loopback, such as 127.0.0.1:9862
    #[arg(long)]
    pub metrics: Option<SocketAddr>,
    /// The collectd that is told what host and guests use, HOST:PORT (its port is 25826)
    #[arg(long)]
    pub collectd: Option<String>,
    /// A file with `user: password` by which packets for collectd are signed; needed where they leave this machine
    #[arg(long, requires = "collectd")]
    pub collectd_auth: Option<PathBuf>,
    /// Seconds between two words to collectd
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub collectd_interval: u64,
    /// Seconds that Sparkle may be out of reach after a change of the host's links before the change is rolled back
    #[arg(long, default_value_t = crate::PROVE.as_secs())]
    pub rollback_after: u64,
    /// The host
    #[command(flatten)]
    pub host: RealHost,
}

impl Options {
    fn measuring(&self) -> anyhow::Result<Measuring> {
        let auth = self.collectd_auth.as_deref().map(Auth::read).transpose()?;
        let interval = Duration::from_secs(self.collectd_interval);
        let collectd = self.collectd.clone().map(|server| Collectd { server, auth, interval });
        Ok(Measuring { prometheus: self.metrics, collectd })
    }

    /// Runs a Twilight on this machine until it is asked to stop by a signal. `hands` says what carries out the steps: the
    /// drivers that it is given, or something around them.
    ///
    /// # Errors
    /// When the host cannot be used, or Twilight stopped by itself.
    pub async fn run(self, hands: impl FnOnce(Drivers) -> Arc<dyn Hands>) -> anyhow::Result<()> {
        let filter = EnvFilter::try_from_env("PONY_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
        let drivers = self.host.drivers(&self.dir, &self.sparkle).await?;
        let config = Config {
            measuring: self.measuring()?,
            stop_grace: Duration::from_secs(self.stop_grace),
            prove: Duration::from_secs(self.rollback_after),
            ..Config::new(self.dir.clone(), self.host.uuid()?, self.sparkle.clone(), self.sparkle_key)
        };
        let hands = hands(drivers.clone());
        let mut twilight = Twilight::start_with(&config, &drivers, hands).context("starting")?;
        let mut terminate = signal(SignalKind::terminate())?;
        let asked = tokio::select! {
            _ = terminate.recv() => true,
            _ = tokio::signal::ctrl_c() => true,
            () = twilight.stopped() => false,
        };
        twilight.shutdown().await;
        anyhow::ensure!(asked, "Twilight stopped by itself; the log says why");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Alone {
        #[command(flatten)]
        options: Options,
    }

    /// One key of 85 does: its Twilight took it for another option, and did not start.
    #[test]
    fn a_key_may_begin_with_a_hyphen() {
        let key = format!("-A{}", "0".repeat(38));
        let parsed = Alone::try_parse_from(["twilight", "--sparkle-key", &key, "--stop-grace", "3"]);
        let options = parsed.unwrap_or_else(|error| panic!("{error}")).options;
        assert_eq!((options.sparkle_key.to_string(), options.stop_grace), (key, 3));
    }
}
