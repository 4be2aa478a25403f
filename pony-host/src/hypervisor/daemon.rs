//! Starts libvirt's daemon where nobody else does: in containers and on machines without a service manager.

use super::error::{from_virt, order, transient};
use crate::Result;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
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
/// the daemon stays when this process ends, as guests do. On such a machine `/dev/kvm` also gets the group and
/// mode that udev gives it, if it is root's alone.
///
/// # Errors
///
/// `Order` with what to do: which packages to install, which service to start. `Transient` if the daemon was
/// started but does not answer.
pub async fn ensure_libvirtd(uri: &str) -> Result<DaemonFound> {
    if uri == SYSTEM_URI && !has_systemd(Path::new("/run")) {
        share_kvm(Path::new("/dev/kvm"), Path::new("/etc/group"));
    }
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

/// Does what udev's rule for the device does (`GROUP="kvm", MODE="0660"`), where no udev did. Else the emulator,
/// which is not root, could not use it, while libvirt, which is, sees that it is there: it then looks at its
/// emulators anew at every step, which takes seconds.
fn share_kvm(device: &Path, groups: &Path) {
    let Ok(found) = std::fs::metadata(device) else { return };
    if found.mode() & 0o077 != 0 {
        return;
    }
    let groups = std::fs::read_to_string(groups).unwrap_or_default();
    let Some(group) = group_id(&groups, "kvm") else { return };
    let shared = std::os::unix::fs::chown(device, None, Some(group))
        .and_then(|()| std::fs::set_permissions(device, std::fs::Permissions::from_mode(0o660)));
    match shared {
        Ok(()) => tracing::info!("gave {} to the group kvm, as udev would", device.display()),
        Err(error) => tracing::debug!(%error, "{} stays as it is", device.display()),
    }
}

fn group_id(groups: &str, name: &str) -> Option<u32> {
    let mut fields = groups
        .lines()
        .map(|line| line.split(':'))
        .find_map(|mut fields| (fields.next() == Some(name)).then_some(fields))?;
    fields.nth(1)?.parse().ok()
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
    fn a_device_that_is_roots_alone_is_shared_with_its_group_and_any_other_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (device, groups) = (dir.path().join("kvm"), dir.path().join("group"));
        let own = std::fs::metadata(dir.path()).unwrap().gid();
        std::fs::write(&groups, format!("root:x:0:\nkvm:x:{own}:me\n")).unwrap();
        let mode = |mode| std::fs::set_permissions(&device, std::fs::Permissions::from_mode(mode)).unwrap();
        let found = || std::fs::metadata(&device).unwrap().mode() & 0o777;
        share_kvm(&device, &groups);
        std::fs::write(&device, "").unwrap();
        mode(0o600);
        share_kvm(&device, &groups);
        assert_eq!(found(), 0o660);
        mode(0o640);
        share_kvm(&device, &groups);
        assert_eq!(found(), 0o640);
        mode(0o600);
        share_kvm(&device, dir.path());
        assert_eq!(found(), 0o600);
    }

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        let error = program("pony-no-such-daemon").unwrap_err();
        assert!(
            error.message.contains("pony-no-such-daemon") && error.message.contains("libvirt-daemon-system")
        );
    }
}
