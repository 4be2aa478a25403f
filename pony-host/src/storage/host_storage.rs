//! `Storage` over the pools of this host.

use super::exports::Exports;
use super::http::Http;
use super::idle::Idle;
use super::mounts::Mounts;
use super::open_iscsi::Sessions;
use super::options::StorageOptions;
use super::pool::LOOKS_MAX;
use super::slots::Slots;
use crate::peers::Room;
use crate::{Progress, Result, Storage};
use async_trait::async_trait;
use pony_core::host::{Export, PoolFact, PoolSpec, Source, VolumeFact, VolumeSpec};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// Keeps volumes in pools of this host: directories (`dir`), Btrfs file systems (`btrfs`),
/// directories of NFS servers (`nfs`), volume groups (`lvm`), parts of disks that several hosts see (`plvm`), LUNs of iSCSI targets (`iscsi`), images of Ceph clusters
/// (`rbd`).
///
/// # Who may order what
///
/// A `file:` source reads any regular file of this host that [`StorageOptions::file_roots`] allows, with the
/// agent's rights, other tenants' volumes among them: **only operators may order one**. This driver does not know
/// who ordered; whoever takes orders must refuse `file:` from anybody else. Likewise, an `http:` source is fetched
/// from where this host stands in the network: not from this very host, nor from its link, unless
/// [`StorageOptions::near_sources`] says so, but from whatever else it reaches.
///
/// ```
/// use pony_core::host::{PoolBackend, PoolSpec};
/// use pony_host::{HostStorage, Storage, StorageOptions};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let storage = HostStorage::new(StorageOptions::default());
/// let backend = PoolBackend::Dir { path: "/no/such/directory".into() };
/// let error = storage.open_pool(&PoolSpec { pool: uuid::Uuid::nil(), backend }).await.unwrap_err();
/// assert!(error.message.contains("does not exist"));
/// # });
/// ```
#[derive(Clone)]
pub struct HostStorage {
    shared: Arc<Shared>,
}

/// What all calls share.
pub(super) struct Shared {
    pub(super) options: StorageOptions,
    pub(super) http: Http,
    pub(super) slots: Arc<Slots>,
    pub(super) mounts: Arc<Idle<Mounts>>,
    /// Of the kernel's initiator.
    pub(super) sessions: Arc<Idle<Sessions>>,
    pub(super) exports: Exports,
    /// How many looks at each directory may go on. One entry per pool of this host: there are few.
    looks: Mutex<HashMap<PathBuf, Arc<Semaphore>>>,
}

impl HostStorage {
    /// A storage that goes about its work as `options` say.
    #[must_use]
    pub fn new(options: StorageOptions) -> Self {
        let shared = Shared {
            mounts: Idle::new(Mounts::below(&options.mounts), options.mount_keep),
            sessions: Idle::new(Sessions::of(&options.open_iscsi), options.mount_keep),
            options,
            http: Http::default(),
            slots: Arc::new(Slots::default()),
            exports: Exports::default(),
            looks: Mutex::default(),
        };
        let shared = Arc::new(shared);
        if let Some(peers) = &shared.options.peers {
            let room: Arc<dyn Room> = shared.clone();
            peers.admit_to(Arc::downgrade(&room));
        }
        Self { shared }
    }
}

impl Default for HostStorage {
    fn default() -> Self {
        Self::new(StorageOptions::default())
    }
}

impl Shared {
    pub(super) fn looks(&self, path: &Path) -> Arc<Semaphore> {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        looks.entry(path.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(LOOKS_MAX))).clone()
    }
}

#[async_trait]
impl Storage for HostStorage {
    async fn open_pool(&self, pool: &PoolSpec) -> Result<PoolFact> {
        Ok(self.shared.backend(pool)?.open().await?)
    }

    async fn list_volumes(&self, pool: &PoolSpec) -> Result<Vec<VolumeFact>> {
        Ok(self.shared.backend(pool)?.list().await?)
    }

    async fn create_volume(
        &self,
        spec: &VolumeSpec,
        source: &Source,
        progress: Progress,
    ) -> Result<VolumeFact> {
        Ok(self.shared.create(spec, source, progress).await?)
    }

    /// Wins over a fill that runs, over what is left of one that was abandoned, and over hosts that read it.
    async fn delete_volume(&self, spec: &VolumeSpec) -> Result<()> {
        self.shared.exports.end(spec.volume).await;
        let slot = self.shared.slots.slot(spec.volume);
        Ok(self.shared.backend(&spec.pool)?.remove(slot).await?)
    }

    fn export(&self, volumes: Vec<Export>) {
        self.shared.exports.set(volumes);
    }
}
