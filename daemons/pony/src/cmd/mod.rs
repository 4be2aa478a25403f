//! What the subcommands do.

mod apply;
mod common;
mod console;
mod delete;
mod dev;
mod get;
mod image;
mod instance;
mod login;
mod volume;

use crate::cli::{Cli, Command, ImageCommand, InstanceCommand, VolumeCommand};
use crate::session::{self, Session};

/// Carries out a command.
///
/// # Errors
/// Whatever went wrong, with its causes.
pub async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Login(args) => login::run(cli.url.as_deref(), &args).await,
        Command::Dev(args) => dev::run(*args).await,
        command => {
            let session = Session::open(session::client(cli.url.as_deref())?).await?;
            give(&session, command).await
        }
    }
}

/// Gives an order to a cloud.
async fn give(session: &Session, command: Command) -> anyhow::Result<()> {
    match command {
        // These two open no session.
        Command::Login(_) | Command::Dev(_) => Ok(()),
        Command::Get(args) => get::run(session, &args).await,
        Command::Apply(args) => apply::run(session, &args).await,
        Command::Delete(args) => delete::run(session, &args).await,
        Command::Instance(InstanceCommand::Create(args)) => instance::create(session, &args).await,
        Command::Instance(InstanceCommand::Start(args)) => instance::order(session, &args, "running").await,
        Command::Instance(InstanceCommand::Stop(args)) => instance::order(session, &args, "stopped").await,
        Command::Instance(InstanceCommand::Pause(args)) => instance::order(session, &args, "paused").await,
        Command::Instance(InstanceCommand::Delete(args)) => instance::delete(session, &args).await,
        Command::Instance(InstanceCommand::Console(args)) => console::run(session, &args).await,
        Command::Image(ImageCommand::Add(args)) => image::add(session, &args).await,
        Command::Volume(VolumeCommand::Add(args)) => volume::add(session, &args).await,
    }
}
