//! Starts libvirt's daemon where nobody else does: in containers and on machines without a service manager.

use super::error::{from_virt, order, transient};
use crate::Result;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::Command;
use virt::connect::Connect;

/// The address that local daemons answer at.
const SYSTEM_URI: &str = "qemu:///system";

/// Time for one question whether somebody answers.
const ASK_TIMEOUT: Duration = Duration::from_secs(10);

/// Time for a daemon to say that it started.
const SPAWN_TIMEOUT: Duration = Duration::from_secs(30);

/// Time for libvirtd to answer after its start; it looks at all its emulators first.
const UP_TIMEOUT: Duration = Duration::from_secs(90);

/// How often it is asked meanwhile.
const ASK_PERIOD: Duration = Duration::from_millis(100);

/// Where system daemons are, beside `PATH`.
const SYSTEM_DIRS: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/sbin"];

/// What to install.
const PACKAGES: &str = "libvirt-daemon-system libvirt-daemon-driver-qemu qemu-system-x86";

/// How libvirt was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DaemonFound {
    /// It answered.
    Running,
    /// It did not, and was started.
    Started,
}

/// Makes libvirt answer at `uri`. Only `qemu:///system` on a machine without systemd is ever started here;
/// the daemon stays when this process ends, as guests do.
///
/// # Errors
///
/// `Order` with what to do: which packages to install, which service to start. `Transient` if the daemon was
/// started but does not answer.
pub async fn ensure_libvirtd(uri: &str) -> Result<DaemonFound> {
    let Err(silence) = ask(uri).await else {
        return Ok(DaemonFound::Running);
    };
    if uri != SYSTEM_URI {
        return Err(silence);
    }
    if has_systemd(Path::new("/run")) {
        let advice = format!("start it with: systemctl start libvirtd (packages: {PACKAGES})");
        return Err(order(format!("{}; {advice}", silence.message)));
    }
    let (virtlogd, libvirtd) = (program("virtlogd")?, program("libvirtd")?);
    // It refuses to start twice, which is fine; and without it libvirtd still answers.
    if let Err(error) = spawn(&virtlogd).await {
        tracing::debug!(%error, "virtlogd did not start; it may be running already");
    }
    let started = spawn(&libvirtd).await;
    await_answer(uri, started).await.map(|()| DaemonFound::Started)
}

fn has_systemd(run: &Path) -> bool {
    run.join("systemd/system").is_dir()
}

async fn ask(uri: &str) -> Result<()> {
    let text = uri.to_owned();
    let asked = tokio::task::spawn_blocking(move || {
        virt::error::clear_error_callback();
        let mut conn =
            Connect::open(Some(&text)).map_err(|e| from_virt(&format!("reach libvirt at {text}"), &e))?;
        let _ = conn.close();
        Ok(())
    });
    match tokio::time::timeout(ASK_TIMEOUT, asked).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(panic)) => Err(transient(format!("cannot reach libvirt at {uri}: {panic}"))),
        Err(_) => {
            Err(transient(format!("libvirt at {uri} did not answer within {} s", ASK_TIMEOUT.as_secs())))
        }
    }
}

fn program(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain(SYSTEM_DIRS.map(PathBuf::from));
    let found = dirs.map(|dir| dir.join(name)).find(|file| file.is_file());
    found.ok_or_else(|| {
        order(format!("there is no {name} on this machine; install: apt-get install {PACKAGES}"))
    })
}

/// Starts a daemon, which returns once it went into the background.
async fn spawn(program: &Path) -> Result<()> {
    let mut command = Command::new(program);
    command.arg("-d").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let failed = |why: String| transient(format!("cannot start {}: {why}", program.display()));
    match tokio::time::timeout(SPAWN_TIMEOUT, command.status()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(failed(format!("it ended with {status}"))),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => {
            Err(failed(format!("it did not go into the background within {} s", SPAWN_TIMEOUT.as_secs())))
        }
    }
}

/// Somebody else may start it at the same time, and then ours gives way: only an answer counts.
async fn await_answer(uri: &str, started: Result<()>) -> Result<()> {
    let deadline = Instant::now() + UP_TIMEOUT;
    loop {
        let Err(silence) = ask(uri).await else { return Ok(()) };
        if Instant::now() >= deadline {
            return Err(started.err().unwrap_or(silence));
        }
        tokio::time::sleep(ASK_PERIOD).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_manager_is_seen() {
        let run = tempfile::tempdir().unwrap();
        assert!(!has_systemd(run.path()));
        std::fs::create_dir_all(run.path().join("systemd/system")).unwrap();
        assert!(has_systemd(run.path()));
    }

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        let error = program("pony-no-such-daemon").unwrap_err();
        assert!(
            error.message.contains("pony-no-such-daemon") && error.message.contains("libvirt-daemon-system")
        );
    }
}
