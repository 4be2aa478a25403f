//! The `twilight` daemon.

use clap::Parser;
use std::sync::Arc;
use twilight::Options;

/// The agent on a host of a PonyCloud.
#[derive(Parser)]
#[command(version)]
struct Command {
    #[command(flatten)]
    options: Options,
}

fn main() -> anyhow::Result<()> {
    twilight::run_to_end(Command::parse().options.run(|drivers| Arc::new(drivers)))
}
