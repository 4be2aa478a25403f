//! Lets other hosts read volumes of this one.
//!
//! Each reader has a `qemu-nbd` of its own, which opens the volume for nothing but reading, sees one connection, and ends with
//! it. It says first how large the volume is, or why it cannot be read.

use super::disk::{Disk, Role};
use super::error::StorageError;
use super::files::open_volume;
use super::host_storage::Shared;
use super::pool::blocking;
use super::qemu_img;
use crate::peers::{Head, Kind, PATIENCE, Room, Stream, Way, splice};
use async_trait::async_trait;
use pony_core::host::Export;
use std::collections::HashMap;
use std::fs::DirBuilder;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};
use tokio::sync::{OwnedRwLockReadGuard, RwLock, Semaphore};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Volumes that are read at once: each takes a process, and a share of the disk that guests want, too. Who comes later
/// tries again.
const READERS_MAX: usize = 8;

/// Tells the sockets of one process apart; they are gone as soon as both ends are known.
static SOCKETS: AtomicU64 = AtomicU64::new(0);

/// Has the listening socket that is the standard input taken for the server's own, as systemd hands over sockets
/// (`sd_listen_fds(3)`).
const TAKE_SOCKET: &str =
    "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$; export LISTEN_FDS LISTEN_PID; exec qemu-nbd \"$@\"";

/// What may be read, by whom.
pub(super) struct Exports {
    open: Mutex<Vec<Open>>,
    /// Held by all who read a volume.
    in_use: Mutex<HashMap<Uuid, Weak<RwLock<()>>>>,
    readers: Semaphore,
}

struct Open {
    export: Export,
    /// Of the host that may read.
    key: String,
    /// Ends its reading.
    closed: CancellationToken,
}

/// A volume that somebody reads.
struct Reading {
    export: Export,
    closed: CancellationToken,
    _in_use: OwnedRwLockReadGuard<()>,
}

impl Default for Exports {
    fn default() -> Self {
        Self { open: Mutex::default(), in_use: Mutex::default(), readers: Semaphore::new(READERS_MAX) }
    }
}

impl Exports {
    /// Lets just these be read from now on.
    pub(super) fn set(&self, exports: Vec<Export>) {
        let mut open = lock(&self.open);
        open.retain(|it| {
            let stays = exports.contains(&it.export);
            if !stays {
                it.closed.cancel();
            }
            stays
        });
        for export in exports {
            match Way::parse(&export.to) {
                _ if open.iter().any(|it| it.export == export) => {}
                Ok(way) => open.push(Open { export, key: way.key, closed: CancellationToken::new() }),
                Err(error) => tracing::warn!(volume = %export.volume, %error, "cannot let it be read"),
            }
        }
    }

    /// Ends all reading of a volume, and waits until nothing has it open any more.
    pub(super) async fn end(&self, volume: Uuid) {
        lock(&self.open).retain(|it| {
            let stays = it.export.volume != volume;
            if !stays {
                it.closed.cancel();
            }
            stays
        });
        // It takes the time of a process to die; if not, what needs the volume unused says so.
        let _ = tokio::time::timeout(PATIENCE, self.in_use(volume).write_owned()).await;
    }

    fn in_use(&self, volume: Uuid) -> Arc<RwLock<()>> {
        let mut in_use = lock(&self.in_use);
        in_use.retain(|_, it| it.strong_count() > 0);
        let known = in_use.get(&volume).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let new = Arc::default();
            in_use.insert(volume, Arc::downgrade(&new));
            new
        })
    }

    fn begin(&self, volume: Uuid, key: &str) -> Option<Reading> {
        let open = lock(&self.open);
        let it = open.iter().find(|it| it.export.volume == volume && it.key == key)?;
        let _in_use = self.in_use(volume).try_read_owned().ok()?;
        Some(Reading { export: it.export.clone(), closed: it.closed.clone(), _in_use })
    }
}

#[async_trait]
impl Room for Shared {
    fn knows(&self, key: &str) -> bool {
        lock(&self.exports.open).iter().any(|it| it.key == key)
    }

    async fn enter(&self, head: Head, key: &str, stream: &mut Stream) -> Option<Result<(), String>> {
        if head.kind != Kind::Volume {
            return None;
        }
        let ended = match self.serve(head.of, key, stream).await {
            Ok(()) => Ok(()),
            Err(why) => refuse(stream, &why).await.map_err(|error| error.to_string()).and(Err(why)),
        };
        Some(ended)
    }
}

impl Shared {
    /// Lets it be read until whoever does has enough, or may no longer.
    async fn serve(&self, volume: Uuid, key: &str, stream: &mut Stream) -> Result<(), String> {
        let reading = self.exports.begin(volume, key);
        let reading = reading.ok_or_else(|| format!("volume {volume} is not to be read from there"))?;
        let Ok(_place) = self.exports.readers.try_acquire() else {
            return Err(format!("{READERS_MAX} volumes are read from there already: it will be tried again"));
        };
        let Export { volume, pool, .. } = reading.export.clone();
        let opening = async {
            let backend = self.backend(&pool)?;
            let found = backend.find(volume).await?.ok_or(StorageError::NoSource { volume })?;
            let bytes = found.bytes;
            let opened = open_volume(backend.workshop(), &self.options.secrets, found).await?;
            let (server, inside) = self.serve_by_nbd(&opened.disk).await?;
            Ok::<_, StorageError>((bytes, opened, server, inside))
        };
        let (bytes, _opened, mut server, mut inside) = tokio::select! {
            opened = opening => opened.map_err(|error| error.to_string())?,
            () = reading.closed.cancelled() => return Err("it may be read no longer".to_owned()),
        };
        if stream.write_u64(bytes).await.is_ok() {
            splice(stream, &mut inside, &reading.closed).await;
        }
        drop(inside);
        // Whoever waits for the end of the reading wants the volume unused.
        server.kill().await.map_err(|error| error.to_string())
    }

    /// A server that has the disk, and the way to it. It ends when that is dropped.
    async fn serve_by_nbd(&self, disk: &Disk) -> Result<(Child, tokio::net::UnixStream), StorageError> {
        let dir = self.options.scratch.clone();
        let (listening, inside) = blocking(move || sockets(&dir)).await?;
        let mut command = qemu_img::limited(qemu_img::CONVERT_MEMORY, None);
        command.args(["sh", "-c", TAKE_SOCKET, "qemu-nbd", "--read-only"]).args(disk.flags(Role::From));
        command.arg(disk.name(Role::From)).stdin(Stdio::from(listening)).stdout(Stdio::null());
        command.stderr(Stdio::null());
        let cannot = StorageError::io("run", Path::new("qemu-nbd"));
        let (server, inside) = spawn(command, inside).map_err(cannot)?;
        Ok((server, inside))
    }
}

fn spawn(mut command: Command, inside: UnixStream) -> io::Result<(Child, tokio::net::UnixStream)> {
    let server = command.spawn()?;
    Ok((server, tokio::net::UnixStream::from_std(inside)?))
}

/// A socket that listens, and the only connection that there will ever be to it.
fn sockets(dir: &Path) -> Result<(OwnedFd, UnixStream), StorageError> {
    let number = SOCKETS.fetch_add(1, Ordering::Relaxed);
    let path: PathBuf = dir.join(format!("{}-{number}", std::process::id()));
    let make = || {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let listener = UnixListener::bind(&path)?;
        let connected = UnixStream::connect(&path);
        std::fs::remove_file(&path)?;
        let inside = connected?;
        inside.set_nonblocking(true)?;
        Ok((OwnedFd::from(listener), inside))
    };
    make().map_err(StorageError::io("make a socket at", &path))
}

/// Says why it is not read.
async fn refuse(stream: &mut Stream, why: &str) -> io::Result<()> {
    let saying = async {
        stream.write_u64(0).await?;
        stream.write_all(why.as_bytes()).await?;
        stream.shutdown().await
    };
    tokio::time::timeout(PATIENCE, saying).await?
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
