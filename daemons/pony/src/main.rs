//! `pony`: parse, run, report. What is done stands in the library.

use clap::Parser;
use pony::cli::Cli;
use pony::session::note;
use pony::wait::WaitError;
use sparkle::Heap;
use std::io;
use std::process::ExitCode;

// `pony dev` runs a Sparkle.
#[global_allocator]
static HEAP: Heap = Heap;

fn main() -> ExitCode {
    let cli = Cli::parse().with_environment();
    let result = twilight::run_to_end(pony::cmd::run(cli));
    result.map_or_else(|error| report(&error), |()| ExitCode::SUCCESS)
}

/// Tells what went wrong; the exit codes are part of the command's help.
fn report(error: &anyhow::Error) -> ExitCode {
    let broken_pipe = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    if error.downcast_ref::<io::Error>().is_some_and(broken_pipe) {
        // Whoever read the output has had enough, as `head` does.
        return ExitCode::SUCCESS;
    }
    note(&format!("{error:#}"));
    match error.downcast_ref::<WaitError>() {
        Some(WaitError::Interrupted { .. }) => ExitCode::from(130),
        _ => ExitCode::FAILURE,
    }
}
