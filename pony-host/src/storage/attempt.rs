//! One attempt at making a volume: its right to finish, and a directory of its own to work in.

use super::error::StorageError;
use super::pool::{Pool, blocking};
use super::slots::{Slot, Ticket};
use super::sweep;
use pony_core::host::VolumeFormat;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

/// Tells the attempts of one process apart. Those of a process that is gone are cleared away before a new one.
static ATTEMPTS: AtomicU64 = AtomicU64::new(0);

/// How often a directory is emptied again, when something appeared in it meanwhile (a dying process's last file).
const REMOVALS_MAX: usize = 5;

/// One attempt at making a volume. Clones are handed to threads; the directory goes when the last one does, so a
/// thread that was abandoned never finds it gone or replaced.
#[derive(Clone)]
pub(super) struct Attempt {
    pub(super) pool: Pool,
    pub(super) ticket: Ticket,
    dir: Arc<WorkDir>,
}

struct WorkDir(PathBuf);

impl Attempt {
    /// Begins an attempt: voids all earlier ones, and clears away what they left, but for a download.
    /// Dropping the guard ends it.
    pub(super) async fn begin(pool: &Pool, slot: Arc<Slot>) -> Result<(Self, DropGuard), StorageError> {
        let revoked = CancellationToken::new();
        let guard = revoked.clone().drop_guard();
        let attempt = pool.look(move |pool| {
            pool.prepare()?;
            let ticket = slot.ticket(revoked)?;
            sweep::clear_attempts(pool, slot.volume)?;
            let number = ATTEMPTS.fetch_add(1, Ordering::Relaxed);
            let dir = pool.partial().join(format!("{}.{}-{number}", slot.volume, std::process::id()));
            pool.layout.make_work_dir(&dir)?;
            Ok(Self { pool: pool.clone(), ticket, dir: Arc::new(WorkDir(dir)) })
        });
        Ok((attempt.await?, guard))
    }

    pub(super) fn volume(&self) -> Uuid {
        self.ticket.slot.volume
    }

    /// A name that no other attempt has.
    pub(super) fn name(&self) -> String {
        self.dir.0.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// A file to work on.
    pub(super) fn work(&self, name: &str) -> PathBuf {
        self.dir.0.join(name)
    }

    /// Runs something that blocks for long. It must ask [`Ticket::check`] again and again: nobody can stop it.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let attempt = self.clone();
        blocking(move || work(&attempt)).await
    }

    /// Makes the finished work the volume: durable first, then in place, unless something overtook it.
    pub(super) async fn commit(&self, work: PathBuf, format: VolumeFormat) -> Result<(), StorageError> {
        self.blocking(move |attempt| {
            let file = File::open(&work).map_err(StorageError::io("open", &work))?;
            let settled = file.set_permissions(Permissions::from_mode(0o600)).and_then(|()| file.sync_all());
            settled.map_err(StorageError::io("sync", &work))?;
            let (pool, volume) = (&attempt.pool, attempt.volume());
            attempt.ticket.if_current(|| {
                // One that was abandoned may have finished a moment before: a volume is never replaced.
                if pool.found(volume)?.is_none() {
                    pool.layout.put(&work, &pool.volumes(), &pool.file(volume, format))?;
                    sweep::remove_download(pool, volume)?;
                }
                Ok(())
            })
        })
        .await
    }
}

impl Drop for WorkDir {
    /// Removing a large file takes a while: on a thread for such work, where there is one.
    fn drop(&mut self) {
        let dir = std::mem::take(&mut self.0);
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || remove_all(&dir))),
            Err(_) => remove_all(&dir),
        }
    }
}

fn remove_all(dir: &Path) {
    for _ in 0..REMOVALS_MAX {
        match fs::remove_dir_all(dir) {
            Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty => {}
            _ => return,
        }
    }
    tracing::warn!(dir = %dir.display(), "unfinished work could not be removed; it will be later");
}
