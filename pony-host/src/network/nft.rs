//! `nft`, run in a network namespace.

use super::error::{transient, unsupported};
use super::namespace::Namespace;
use crate::Result;
use pony_core::host::DriverError;
use std::io;
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

/// Time for one run of `nft`, which takes milliseconds where nobody holds the kernel's lock.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What it answers to these arguments and this input, however it ends.
pub(super) async fn run(namespace: &Namespace, args: &[&str], input: String) -> Result<Output> {
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    let runtime = tokio::runtime::Handle::current();
    // A process is in the network namespace of the thread that starts it.
    let started = namespace.run(move || {
        let _runtime = runtime.enter();
        start(&args)
    });
    let mut child = started.await?.map_err(|error| without(&error))?;
    let talk = async {
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes()).await?;
        }
        child.wait_with_output().await
    };
    match tokio::time::timeout(TIMEOUT, talk).await {
        Ok(output) => output.map_err(|error| transient(format!("cannot talk to nft: {error}"))),
        Err(_) => Err(transient(format!("nft did not end within {} s", TIMEOUT.as_secs()))),
    }
}

/// One transaction.
pub(super) async fn commit(namespace: &Namespace, script: String) -> Result<()> {
    run(namespace, &["-f", "-"], script).await.and_then(succeeded).map(drop)
}

pub(super) fn succeeded(output: Output) -> Result<Output> {
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(transient(format!("the firewall was refused: {}", said.lines().next().unwrap_or("nft says nothing"))))
}

fn start(args: &[String]) -> io::Result<Child> {
    let mut command = Command::new("nft");
    command.args(args).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
}

fn without(error: &io::Error) -> DriverError {
    match error.kind() {
        io::ErrorKind::NotFound => unsupported(
            "guests cannot be kept from sending as somebody else: there is no nft; install nftables",
        ),
        _ => transient(format!("cannot start nft: {error}")),
    }
}
