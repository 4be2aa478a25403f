//! `pony instance console`

use crate::cli::ConsoleArgs;
use crate::overview;
use crate::session::{Session, note, now_unix_s};
use crate::terminal::{self, Left};
use anyhow::bail;
use std::io::ErrorKind;
use std::path::Path;

pub(super) async fn run(session: &Session, args: &ConsoleArgs) -> anyhow::Result<()> {
    let mut browser = session.browser();
    let instance = browser.one_of("instance", &args.instance).await?;
    let view = overview::instance(&mut browser, &instance, now_unix_s()).await?;
    let name = instance.label();
    let Some(host) = &view.host else { bail!("instance {name} is on no host, so that there is no console") };
    let Some(console) = instance.row.current_text("console") else {
        let status = instance.row.current_text("status").unwrap_or("not heard of");
        bail!("instance {name} is {status} on {} and has no console there", host.label);
    };
    let hosts = browser.rows_if_visible("host").await?;
    let row = hosts.iter().find(|row| Some(row.key.as_str()) == instance.row.current_text("host"));
    if row.and_then(|host| host.row.alias()).is_some_and(|hostname| !is_here(hostname)) {
        bail!("instance {name} runs on {}: run this command there (its console is {console})", host.label);
    }
    let path = console.rsplit_once(':').map_or(console, |(_, path)| path);
    let fd = terminal::open_console(Path::new(path)).map_err(|error| {
        let advice =
            if error.kind() == ErrorKind::PermissionDenied { " (it is root's: sudo -E)" } else { "" };
        let what = format!("cannot open the console {path} of instance {name}, which runs on {}", host.label);
        anyhow::Error::from(error).context(what + advice)
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
