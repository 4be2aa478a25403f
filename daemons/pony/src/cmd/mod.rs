//! What the subcommands do.

mod account;
mod apply;
mod common;
mod console;
mod delete;
mod dev;
mod explain;
mod get;
mod image;
mod instance;
mod login;
mod moves;
mod token;
mod volume;

use crate::cli::{Cli, Command, CompletionArgs, ImageCommand, InstanceCommand, VolumeCommand};
use crate::session::{self, Session};
use clap::CommandFactory;

/// Carries out a command.
///
/// # Errors
/// Whatever went wrong, with its causes.
pub async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Login(args) => login::run(cli.url.as_deref(), cli.cacert.as_deref(), cli.json, &args).await,
        Command::Dev(args) => dev::run(*args).await,
        Command::Completion(args) => completion(&args),
        command => {
            let client = session::client(cli.url.as_deref(), cli.cacert.as_deref())?;
            let session = Session::open(client).await?.answering(cli.json);
            give(&session, command).await
        }
    }
}

/// Gives an order to a cloud.
async fn give(session: &Session, command: Command) -> anyhow::Result<()> {
    match command {
        // These open no session.
        Command::Login(_) | Command::Dev(_) | Command::Completion(_) => Ok(()),
        Command::Get(args) => get::run(session, args).await,
        Command::Apply(args) => apply::run(session, &args).await,
        Command::Delete(args) => delete::run(session, &args).await,
        Command::Instance(InstanceCommand::Create(args)) => instance::create(session, &args).await,
        Command::Instance(InstanceCommand::Start(args)) => instance::order(session, &args, "running").await,
        Command::Instance(InstanceCommand::Stop(args)) => instance::order(session, &args, "stopped").await,
        Command::Instance(InstanceCommand::Pause(args)) => instance::order(session, &args, "paused").await,
        Command::Instance(InstanceCommand::Delete(args)) => instance::delete(session, &args).await,
        Command::Instance(InstanceCommand::Console(args)) => console::run(session, &args).await,
        Command::Instance(InstanceCommand::Move(args)) => moves::instance(session, &args).await,
        Command::Host(command) => moves::hosts(session, &command).await,
        Command::Image(ImageCommand::Add(args)) => image::add(session, &args).await,
        Command::Image(ImageCommand::Delete(args)) => {
            delete::rows(session, "image", &args.rows, args.removal).await
        }
        Command::Volume(VolumeCommand::Add(args)) => volume::add(session, &args).await,
        Command::Volume(VolumeCommand::Delete(args)) => {
            delete::rows(session, "volume", &args.rows, args.removal).await
        }
        Command::Explain(args) => explain::run(session, &args).await,
        Command::User(command) => account::user(session, &command).await,
        Command::Tenant(command) => account::tenant(session, &command).await,
        Command::Member(command) => account::member(session, &command).await,
        Command::Quota(command) => account::quota(session, &command).await,
        Command::Token(args) => token::run(session, &args).await,
    }
}

/// Writes a shell's completion script, made whole first: it is one word of the grammar after the other.
fn completion(args: &CompletionArgs) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "pony", &mut script);
    Ok(session::say(&String::from_utf8_lossy(&script))?)
}
