//! `pony instance console`

use crate::cli::ConsoleArgs;
use crate::overview;
use crate::session::{Session, note, now_unix_s};
use crate::terminal::{self, Left};
use crate::why;
use anyhow::{Context, bail};
use std::path::Path;

pub(super) async fn run(session: &Session, args: &ConsoleArgs) -> anyhow::Result<()> {
    let mut browser = session.browser();
    let instance = browser.one_of("instance", &args.instance).await?;
    let view = overview::instance(&mut browser, &instance, now_unix_s()).await?;
    let name = instance.label();
    let Some(placement) = why::main_placement(&view.placements) else {
        bail!("instance {name} is on no host, so that there is no console");
    };
    let Some(console) = placement.row.current_text("console") else {
        let status = placement.status().unwrap_or("not heard of");
        bail!("instance {name} is {status} on {} and has no console there", placement.host_name);
    };
    let hosts = browser.rows_if_visible("host").await?;
    let host = hosts.iter().find(|host| host.key == placement.host);
    if host.and_then(|host| host.row.alias()).is_some_and(|hostname| !is_here(hostname)) {
        bail!(
            "instance {name} runs on {}: run this command there (its console is {console})",
            placement.host_name
        );
    }
    let path = console.rsplit_once(':').map_or(console, |(_, path)| path);
    let fd = terminal::open_console(Path::new(path)).with_context(|| {
        format!("cannot open the console {path} of instance {name}, which runs on {}", placement.host_name)
    })?;
    note(&format!("console of {name}; Ctrl-] leaves"));
    match terminal::attach(fd)? {
        Left::ByUser => note(&format!("left the console of {name}")),
        Left::ByGuest => note(&format!("the console of {name} has closed")),
    }
    Ok(())
}

/// Whether a host name is this machine's.
fn is_here(hostname: &str) -> bool {
    nix::unistd::gethostname().is_ok_and(|own| own.to_string_lossy() == hostname)
}
