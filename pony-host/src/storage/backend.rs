//! What all kinds of pool can do, each in its own way.

use super::attempt::Attempt;
use super::devices::DevicePool;
use super::error::StorageError;
use super::fill::Fill;
use super::host_storage::Shared;
use super::inspect::Image;
use super::layout::Layout;
use super::luns::{INITIATOR, Luns};
use super::lvm::Lvm;
use super::mapped_luns::MappedLuns;
use super::nfs::Nfs;
use super::plvm::Plvm;
use super::pool::{Found, Pool};
use super::rbd::Rbd;
use super::remote::Remote;
use super::slots::Slot;
use crate::secrets::Secrets;
use async_trait::async_trait;
use pony_core::host::{
    Extent, IscsiMode, IscsiPool, PlvmPool, PoolBackend, PoolFact, PoolSpec, VolumeFact, VolumeSpec,
};
use std::path::Path;
use std::sync::Arc;
use uuid::Uuid;

/// What becomes a volume.
pub(super) enum Content {
    /// Zeroes, as many as were ordered.
    Nothing,
    /// A file that was brought here for this: it may be used up.
    Own(Image),
    /// Another finished volume, which is only read.
    Of(Found),
    /// One of another host.
    Remote(Box<Remote>),
}

impl Content {
    /// Virtual size, bytes.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Own(image) => image.bytes,
            Self::Of(found) => found.bytes,
            Self::Remote(remote) => remote.bytes,
        }
    }
}

/// A kind of pool. Whoever calls sees to it that work on one volume takes turns.
#[async_trait]
pub(super) trait Backend: Send + Sync {
    /// The directory in which attempts work.
    fn workshop(&self) -> &Pool;
    /// Looks whether it can be used, clears away what nobody asks for any more, and says how full it is.
    async fn open(&self) -> Result<PoolFact, StorageError>;
    /// All finished volumes.
    async fn list(&self) -> Result<Vec<VolumeFact>, StorageError>;
    /// One finished volume.
    async fn find(&self, volume: Uuid) -> Result<Option<Found>, StorageError>;
    /// Makes a volume of the content, and puts it into place where the attempt is still the current one: whole and
    /// durable, or not at all.
    async fn make(&self, fill: &Fill<'_>, content: Content) -> Result<(), StorageError>;
    /// Grows a finished volume, also one that is in use: only its end moves.
    async fn grow(&self, attempt: &Attempt, found: Found, bytes: u64) -> Result<(), StorageError>;
    /// Removes a volume, finished or not, after all work on it was revoked.
    async fn remove(&self, slot: Arc<Slot>) -> Result<(), StorageError>;
}

impl Shared {
    /// The pool of a volume, as it is for that volume.
    pub(super) fn backend_of(&self, spec: &VolumeSpec) -> Result<Box<dyn Backend>, StorageError> {
        match &spec.pool.backend {
            PoolBackend::Plvm(pool) => Ok(self.plvm(spec.pool.pool, pool, &spec.extents)),
            _ => self.backend(&spec.pool),
        }
    }

    fn plvm(&self, pool: Uuid, at: &PlvmPool, extents: &[Extent]) -> Box<dyn Backend> {
        let plvm = Plvm::new(pool, self.options.host, &at.disks, extents);
        Box::new(DevicePool::new(self.workshop(pool), plvm, &self.options))
    }

    fn iscsi(&self, pool: Uuid, at: &IscsiPool) -> Result<Box<dyn Backend>, StorageError> {
        let (patience, secrets) = (self.options.pool_patience, Secrets::at(&self.options.secrets));
        let initiator = match at.mode {
            IscsiMode::Direct => at.initiator.clone().unwrap_or_else(|| INITIATOR.to_owned()),
            IscsiMode::Host => self.sessions.setup.own_name()?,
        };
        let luns = Luns { pool, at: at.clone(), initiator, secrets, patience };
        let workshop = self.workshop(pool);
        Ok(match at.mode {
            IscsiMode::Direct => Box::new(DevicePool::new(workshop, luns, &self.options)),
            IscsiMode::Host => {
                let mapped = MappedLuns::new(luns, self.options.host, self.sessions.clone());
                Box::new(DevicePool::new(workshop, mapped, &self.options))
            }
        })
    }

    fn directory(&self, pool: Uuid, path: &Path, layout: Layout) -> Pool {
        Pool {
            uuid: pool,
            path: path.to_owned(),
            layout,
            patience: self.options.pool_patience,
            keep: self.options.partial_keep,
            looks: self.looks(path),
            slots: self.slots.clone(),
        }
    }

    fn workshop(&self, pool: Uuid) -> Pool {
        self.directory(pool, &self.options.scratch.join(pool.to_string()), Layout::Workshop)
    }

    /// The pool that is meant.
    pub(super) fn backend(&self, spec: &PoolSpec) -> Result<Box<dyn Backend>, StorageError> {
        let directory = |path: &Path, layout| self.directory(spec.pool, path, layout);
        let workshop = || self.workshop(spec.pool);
        Ok(match &spec.backend {
            PoolBackend::Dir { path } => Box::new(directory(path, Layout::Files)),
            PoolBackend::Btrfs { path } => Box::new(directory(path, Layout::Subvolumes)),
            PoolBackend::Lvm { vg, thin_pool } => {
                let lvm = Lvm::new(vg, thin_pool.as_deref());
                Box::new(DevicePool::new(workshop(), lvm, &self.options))
            }
            PoolBackend::Plvm(at) => self.plvm(spec.pool, at, &[]),
            PoolBackend::Iscsi(at) => self.iscsi(spec.pool, at)?,
            PoolBackend::Nfs { server, export, options } => {
                let pool = directory(&self.mounts.setup.of(spec.pool), Layout::Mounted);
                Box::new(Nfs::new(pool, (server, export, options.as_deref()), self.mounts.used(spec.pool)))
            }
            PoolBackend::Rbd(at) => {
                let rbd = Rbd { at: (**at).clone(), secrets: Secrets::at(&self.options.secrets) };
                Box::new(DevicePool::new(workshop(), rbd, &self.options))
            }
            PoolBackend::Unsupported(kind) => return Err(StorageError::Backend { kind: kind.clone() }),
        })
    }
}
