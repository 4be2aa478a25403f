//! The `twilight` daemon.

use anyhow::Context;
use clap::Parser;
use pony_net::{Endpoint, PublicKey};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use twilight::{Auth, Collectd, Config, Measuring, RealHost, Twilight};

/// The agent on a host of a PonyCloud.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// The directory for its key and what it must remember
    #[arg(long, default_value = "/var/lib/pony/twilight")]
    dir: PathBuf,
    /// Where Sparkle is
    #[arg(long, default_value = "tcp://127.0.0.1:9850")]
    sparkle: Endpoint,
    /// Sparkle's public key, as it prints it when it starts
    #[arg(long)]
    sparkle_key: PublicKey,
    /// Seconds that a guest may take to shut down before its plug is pulled
    #[arg(long, default_value_t = 10)]
    stop_grace: u64,
    /// Where Prometheus may ask what host and guests use, at /metrics: on loopback, such as 127.0.0.1:9862
    #[arg(long)]
    metrics: Option<SocketAddr>,
    /// The collectd that is told what host and guests use, HOST:PORT (its port is 25826)
    #[arg(long)]
    collectd: Option<String>,
    /// A file with `user: password` by which packets for collectd are signed; needed where they leave this machine
    #[arg(long, requires = "collectd")]
    collectd_auth: Option<PathBuf>,
    /// Seconds between two words to collectd
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    collectd_interval: u64,
    /// Seconds that Sparkle may be out of reach after a change of the host's links before the change is rolled back
    #[arg(long, default_value_t = twilight::PROVE.as_secs())]
    rollback_after: u64,
    #[command(flatten)]
    host: RealHost,
}

impl Options {
    fn measuring(&self) -> anyhow::Result<Measuring> {
        let auth = self.collectd_auth.as_deref().map(Auth::read).transpose()?;
        let interval = Duration::from_secs(self.collectd_interval);
        let collectd = self.collectd.clone().map(|server| Collectd { server, auth, interval });
        Ok(Measuring { prometheus: self.metrics, collectd })
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let filter = EnvFilter::try_from_env("PONY_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let drivers = options.host.drivers(&options.dir, &options.sparkle).await?;
    let config = Config {
        measuring: options.measuring()?,
        host: options.host.uuid()?,
        dir: options.dir,
        sparkle: options.sparkle,
        sparkle_key: options.sparkle_key,
        stop_grace: Duration::from_secs(options.stop_grace),
        prove: Duration::from_secs(options.rollback_after),
    };
    let mut twilight = Twilight::start(&config, drivers).context("starting")?;
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
