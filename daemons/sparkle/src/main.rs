//! The `sparkle` daemon.

use clap::Parser;
use sparkle::{Command, Config, Heap, Sparkle};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[global_allocator]
static HEAP: Heap = Heap;

/// The controller of a PonyCloud. Without a command it serves.
#[derive(Parser)]
#[command(version)]
struct Options {
    #[command(flatten)]
    config: Config,
    /// How to log, to standard error: lines for people, or JSON objects for programs; how much: PONY_LOG=debug
    #[arg(long, env = "PONY_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text, global = true)]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let filter = EnvFilter::try_from_env("PONY_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match options.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    if let Some(command) = options.command {
        tracing::info!("{}", command.run(&options.config).await?);
        return Ok(());
    }
    let mut terminate = signal(SignalKind::terminate())?;
    // Whoever lost the lead stands by from then on, with nothing left of what it believed.
    while serve(options.config.clone(), &mut terminate).await? == Ended::LostLead {}
    Ok(())
}

#[derive(PartialEq, Eq)]
enum Ended {
    Asked,
    LostLead,
}

async fn serve(config: Config, terminate: &mut Signal) -> anyhow::Result<Ended> {
    let scheme = config.http.scheme();
    let mut sparkle = Sparkle::start(config).await?;
    tracing::info!(
        "the REST API is at {scheme}://{}/, hosts connect to tcp://{}",
        sparkle.api(),
        sparkle.zmq()
    );
    tracing::info!("hosts need the key {}", sparkle.key());
    let asked = tokio::select! {
        _ = terminate.recv() => true,
        _ = tokio::signal::ctrl_c() => true,
        () = sparkle.stopped() => false,
    };
    let lost = sparkle.has_lost_lead();
    sparkle.shutdown().await;
    anyhow::ensure!(asked || lost, "Sparkle stopped by itself; the log says why");
    Ok(if asked { Ended::Asked } else { Ended::LostLead })
}
