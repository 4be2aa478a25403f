//! Directories of NFS servers (version 4): mounted by this host's kernel, then pools like any other directory. No
//! helper is needed: the kernel is told the server's address.

use super::attempt::Attempt;
use super::backend::{Backend, Content};
use super::error::StorageError;
use super::fill::Fill;
use super::layout::is_mount_point;
use super::pool::{Found, Pool};
use super::slots::Slot;
use super::tool;
use async_trait::async_trait;
use pony_core::host::{PoolFact, VolumeFact};
use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::net::ToSocketAddrs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use uuid::Uuid;

/// NFS's port; where another one is meant, it is among the mount options.
const PORT: u16 = 2049;

/// The version, unless the pool's options name another one.
const VERSION: &str = "vers=4.2";

/// Options of every mount, after the pool's own, as the last word counts. What a server has is data: no programs, no
/// devices. `hard`: a write is done or waited for, never lost because a server was slow; waiting is bounded by those
/// who look. Directories are asked for anew each time: another host may have made or removed a volume a moment ago.
const OPTIONS: &str = "hard,nosuid,nodev,noexec,lookupcache=positive,acdirmin=0,acdirmax=0";

/// A directory of a server, and where it is mounted.
pub(super) struct Nfs {
    pool: Pool,
    mount: Mount,
}

#[derive(Clone)]
struct Mount {
    server: String,
    export: PathBuf,
    options: Option<String>,
    turn: Arc<Mutex<()>>,
}

impl Nfs {
    /// `pool` is the directory that is mounted on; `turn` is held by whoever mounts.
    pub(super) fn new(pool: Pool, of: (&str, &Path, Option<&str>), turn: Arc<Mutex<()>>) -> Self {
        let (server, export, options) = (of.0.to_owned(), of.1.to_owned(), of.2.map(str::to_owned));
        Self { pool, mount: Mount { server, export, options, turn } }
    }

    /// The directory, with what belongs there mounted on it.
    async fn mounted(&self) -> Result<&Pool, StorageError> {
        let mount = self.mount.clone();
        self.pool.look(move |pool| mount.ensure(&pool.path)).await?;
        Ok(&self.pool)
    }
}

impl Mount {
    fn ensure(&self, dir: &Path) -> Result<(), StorageError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if is_mount_point(dir) {
            return Ok(());
        }
        // The emulator, an unprivileged user, must get through.
        let made = DirBuilder::new().mode(0o711).recursive(true).create(dir);
        made.map_err(StorageError::io("make", dir))?;
        let options = self.all_options()?;
        let source = format!("{}:{}", self.server, self.export.display());
        let args = ["-i", "-t", "nfs4", "-o", &options, &source].map(OsStr::new);
        let mounted = tool::run("mount", "mount", args.into_iter().chain([dir.as_os_str()]));
        mounted.map(drop).map_err(|error| match error {
            StorageError::Tool { why, .. } => self.wrong(format!("does not let {source} be mounted: {why}")),
            other => other,
        })
    }

    /// With the server's address, which the kernel does not find out by itself.
    fn all_options(&self) -> Result<String, StorageError> {
        let name = self.server.trim_start_matches('[').trim_end_matches(']');
        let mut found = (name, PORT).to_socket_addrs().map_err(|error| self.wrong(error.to_string()))?;
        let address = found.next().ok_or_else(|| self.wrong("has no address".to_owned()))?.ip();
        let more = self.options.as_ref().map_or_else(String::new, |options| format!(",{options}"));
        Ok(format!("{VERSION}{more},{OPTIONS},addr={address}"))
    }

    fn wrong(&self, why: String) -> StorageError {
        StorageError::Server { what: "NFS server", server: self.server.clone(), why }
    }
}

#[async_trait]
impl Backend for Nfs {
    fn workshop(&self) -> &Pool {
        &self.pool
    }

    async fn open(&self) -> Result<PoolFact, StorageError> {
        self.mounted().await?.open().await
    }

    async fn list(&self) -> Result<Vec<VolumeFact>, StorageError> {
        self.mounted().await?.list().await
    }

    async fn find(&self, volume: Uuid) -> Result<Option<Found>, StorageError> {
        self.mounted().await?.find(volume).await
    }

    async fn make(&self, fill: &Fill<'_>, content: Content) -> Result<(), StorageError> {
        self.mounted().await?.make(fill, content).await
    }

    async fn grow(&self, attempt: &Attempt, found: Found, bytes: u64) -> Result<(), StorageError> {
        self.mounted().await?.grow(attempt, found, bytes).await
    }

    async fn remove(&self, slot: Arc<Slot>) -> Result<(), StorageError> {
        self.mounted().await?.remove(slot).await
    }
}
