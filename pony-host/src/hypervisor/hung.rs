//! Ends a libvirtd that hangs, so that another one can take its place.
//!
//! libvirtd holds a guest's lock while it starts it, until there is an emulator: also while a hook of the operator's runs, or the
//! storage that it looks at is silent. That long nobody is told of any guest, not even of others, and no call ends it. But
//! libvirtd is made to be killed: guests run on, the next one finds them, and ends those that it does not find whole. So what was
//! begun comes to nothing, which is what a later order waits for.
//!
//! What hangs in the kernel, such as on a file system whose server is gone, hangs until that answers: not even a kill ends it.

use super::daemon::ensure_libvirtd;
use super::passage::libvirt_socket;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::sync::Mutex;
use virt::connect::Connect;

/// Time to tell what guests there are, which takes milliseconds, also where thousands do much on a busy machine. A call of ours
/// has been silent for some time before that is asked.
const ASK_TIMEOUT: Duration = Duration::from_secs(10);

/// What is believed to be libvirt's daemon, whatever else serves its socket: a service manager that starts it on demand, say.
const NAMES: [&str; 2] = ["libvirtd", "virtqemud"];

/// Where these note their processes.
const PID_FILES: [&str; 2] = ["/run/libvirtd.pid", "/run/virtqemud.pid"];

/// Sees to it that one libvirtd does not hang for ever.
#[derive(Debug, Clone)]
pub(super) struct Warden {
    uri: String,
    /// Held while it is looked after.
    busy: Arc<Mutex<()>>,
}

impl Warden {
    pub(super) fn new(uri: &str) -> Self {
        Self { uri: uri.to_owned(), busy: Arc::default() }
    }

    /// Looks after it in the background, since a call failed.
    pub(super) fn look(&self) {
        let Ok(busy) = Arc::clone(&self.busy).try_lock_owned() else { return };
        let warden = self.clone();
        tokio::spawn(async move {
            if warden.hangs().await {
                warden.end().await;
            }
            drop(busy);
        });
    }

    /// Whether it takes what it is asked, and does not answer.
    async fn hangs(&self) -> bool {
        let uri = self.uri.clone();
        let ask = move || Connect::open(Some(&uri)).and_then(|conn| conn.list_all_domains(0));
        tokio::time::timeout(ASK_TIMEOUT, tokio::task::spawn_blocking(ask)).await.is_err()
    }

    async fn end(&self) {
        let uri = &self.uri;
        let Some(pid) = self.process().await else {
            tracing::error!(uri, "libvirt hangs, and which process that is cannot be found: restart it");
            return;
        };
        tracing::error!(uri, pid, "libvirt hangs: its daemon is killed, which no guest minds");
        if let Err(error) = kill(Pid::from_raw(pid), Signal::SIGKILL) {
            tracing::error!(uri, pid, %error, "it cannot be killed");
        } else if let Err(error) = ensure_libvirtd(uri).await {
            tracing::error!(uri, %error, "no libvirt has taken its place yet");
        }
    }

    /// The process that serves the socket, or says that it is libvirt's daemon.
    async fn process(&self) -> Option<i32> {
        let connected =
            tokio::time::timeout(ASK_TIMEOUT, UnixStream::connect(libvirt_socket(&self.uri))).await;
        let served_by = connected.ok().and_then(Result::ok).and_then(|it| it.peer_cred().ok()?.pid());
        let noted = PID_FILES.iter().filter_map(|it| std::fs::read_to_string(it).ok()?.trim().parse().ok());
        served_by.into_iter().chain(noted).find(|it| is_libvirt(*it))
    }
}

fn is_libvirt(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| NAMES.contains(&name.trim()))
}
