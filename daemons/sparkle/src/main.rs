//! The `sparkle` daemon.

use clap::Parser;
use sparkle::{Config, Sparkle};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// The controller of a PonyCloud.
#[derive(Parser)]
#[command(version)]
struct Options {
    #[command(flatten)]
    config: Config,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let filter = EnvFilter::try_from_env("PONY_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let mut sparkle = Sparkle::start(options.config).await?;
    tracing::info!("the REST API is at http://{}/, hosts connect to tcp://{}", sparkle.api(), sparkle.zmq());
    tracing::info!("hosts need the key {}", sparkle.key());
    let mut terminate = signal(SignalKind::terminate())?;
    let asked = tokio::select! {
        _ = terminate.recv() => true,
        _ = tokio::signal::ctrl_c() => true,
        () = sparkle.stopped() => false,
    };
    sparkle.shutdown().await;
    anyhow::ensure!(asked, "Sparkle stopped by itself; the log says why");
    Ok(())
}
