//! Directories that are mounted below one of this host's own: who mounts takes turns, and what nobody has asked for in a
//! while is unmounted, such as that of a pool that is no longer ordered. What is still open there holds it.

use super::layout::is_mount_point;
use super::tool;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// See the module.
pub(super) struct Mounts {
    root: PathBuf,
    keep: Duration,
    since: Instant,
    /// One entry per pool that was ever mounted by this process: there are few.
    known: Mutex<HashMap<PathBuf, Mounted>>,
    is_swept: AtomicBool,
}

struct Mounted {
    turn: Arc<Mutex<()>>,
    used: Instant,
}

impl Mounts {
    /// `root`: where they are. `keep`: how long what nobody asks for stays.
    pub(super) fn new(root: &Path, keep: Duration) -> Arc<Self> {
        let (root, known) = (root.to_owned(), Mutex::default());
        Arc::new(Self { root, keep, since: Instant::now(), known, is_swept: AtomicBool::new(false) })
    }

    /// Notes that the directory is asked for. Whoever mounts on it holds the lock that this gives.
    pub(super) fn used(self: &Arc<Self>, dir: &Path) -> Arc<Mutex<()>> {
        if !self.is_swept.swap(true, Ordering::Relaxed) {
            self.sweep_from_now_on();
        }
        let (mut known, used) = (self.known(), Instant::now());
        let entry = known.entry(dir.to_owned()).or_insert_with(|| Mounted { turn: Arc::default(), used });
        entry.used = used;
        entry.turn.clone()
    }

    fn known(&self) -> MutexGuard<'_, HashMap<PathBuf, Mounted>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sweep_from_now_on(self: &Arc<Self>) {
        let (mounts, period) = (Arc::downgrade(self), self.keep / 2);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(period).await;
                let Some(mounts) = mounts.upgrade() else { return };
                // One that hangs on a server that is away holds up nothing but the next sweep.
                let _ = tokio::task::spawn_blocking(move || mounts.sweep()).await;
            }
        });
    }

    fn sweep(&self) {
        let entries = std::fs::read_dir(&self.root).into_iter().flatten().flatten();
        let of_pools =
            entries.filter(|it| it.file_name().to_str().is_some_and(|it| Uuid::try_parse(it).is_ok()));
        for dir in of_pools.map(|it| it.path()).filter(|it| self.is_forgotten(it)) {
            let turn = self.known().get(&dir).map(|it| it.turn.clone());
            let _turn = turn.as_ref().map(|it| it.lock().unwrap_or_else(PoisonError::into_inner));
            if self.is_forgotten(&dir) && is_mount_point(&dir) {
                match tool::run("umount", "mount", ["-i".as_ref(), dir.as_os_str()]) {
                    Ok(_) => tracing::info!(dir = %dir.display(), "unmounted: nobody asks for it any more"),
                    Err(error) => tracing::debug!(dir = %dir.display(), %error, "stays mounted"),
                }
            }
        }
    }

    /// Whether nobody has asked for it in a while. What an earlier process mounted counts from the start of this one.
    fn is_forgotten(&self, dir: &Path) -> bool {
        let used = self.known().get(dir).map_or(self.since, |it| it.used);
        used.elapsed() >= self.keep
    }
}
