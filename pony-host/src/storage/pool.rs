//! A pool's directory: where things lie in it, how full it is, and which finished volumes there are.

use super::beneath;
use super::error::StorageError;
use super::layout::Layout;
use super::qcow2::Header;
use super::size::fact_mib;
use super::slots::Slots;
use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access};
use pony_core::host::{Place, PoolFact, VolumeFact, VolumeFormat};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use uuid::Uuid;

/// Volumes in one pool. A look at each takes some microseconds, so that a list stays well below a second.
pub(super) const VOLUMES_MAX: usize = 65_536;

/// Looks at one pool at a time. A hung file system holds these up and no more; other pools have their own.
pub(super) const LOOKS_MAX: usize = 8;

pub(super) const FORMATS_OF_VOLUMES: [VolumeFormat; 2] = [VolumeFormat::Raw, VolumeFormat::Qcow2];

/// A pool's directory.
#[derive(Clone)]
pub(super) struct Pool {
    pub(super) uuid: Uuid,
    pub(super) path: PathBuf,
    /// How finished volumes lie in it.
    pub(super) layout: Layout,
    /// How long a look may take.
    pub(super) patience: Duration,
    /// How long unfinished work is kept that nobody asks for.
    pub(super) keep: Duration,
    pub(super) looks: Arc<Semaphore>,
    /// Who is at work.
    pub(super) slots: Arc<Slots>,
}

/// A finished volume.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) place: Place,
    pub(super) format: VolumeFormat,
    /// Virtual size, bytes.
    pub(super) bytes: u64,
}

impl Pool {
    /// Finished volumes.
    pub(super) fn volumes(&self) -> PathBuf {
        self.path.join("volumes")
    }

    /// Unfinished ones.
    pub(super) fn partial(&self) -> PathBuf {
        self.path.join("partial")
    }

    pub(super) fn file(&self, volume: Uuid, format: VolumeFormat) -> PathBuf {
        self.layout.file(&self.volumes(), volume, format)
    }

    /// What was downloaded of a volume's source so far.
    pub(super) fn download(&self, volume: Uuid) -> PathBuf {
        self.partial().join(format!("{volume}.download"))
    }

    /// What that is a part of.
    pub(super) fn note(&self, volume: Uuid) -> PathBuf {
        self.partial().join(format!("{volume}.json"))
    }

    /// Does something brief on the pool's file system, which may hang: bounded in time and number.
    pub(super) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Self) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let pool = self.clone();
        let looking = async move {
            let turn = pool.looks.clone().acquire_owned().await;
            blocking(move || {
                let _turn = turn;
                look(&pool)
            })
            .await
        };
        let silent =
            |_| StorageError::PoolSilent { path: self.path.clone(), seconds: self.patience.as_secs() };
        tokio::time::timeout(self.patience, looking).await.map_err(silent)?
    }

    /// Whether the directory is there. It is never made: it may be a mount point that is not mounted.
    pub(super) fn check(&self) -> Result<(), StorageError> {
        let wrong = |why| Err(StorageError::Pool { path: self.path.clone(), why });
        if !self.path.is_absolute() {
            return wrong("is not an absolute path");
        }
        match fs::metadata(&self.path) {
            Ok(meta) if meta.is_dir() => self.layout.check(&self.path),
            Ok(_) => wrong("is not a directory"),
            Err(error) if is_missing(&error) => wrong("does not exist: make it, or mount what belongs there"),
            Err(source) => Err(StorageError::PoolUnusable { path: self.path.clone(), source }),
        }
    }

    /// Checks the directory and makes what belongs into it.
    pub(super) fn prepare(&self) -> Result<(), StorageError> {
        if self.layout == Layout::Workshop {
            let made = DirBuilder::new().mode(0o700).recursive(true).create(&self.path);
            made.map_err(StorageError::io("make", &self.path))?;
        }
        self.check()?;
        if let Some(why) = beneath::lost(&self.path) {
            return Err(StorageError::DiskLost { path: self.path.clone(), why });
        }
        let unusable = |source| StorageError::PoolUnusable { path: self.path.clone(), source };
        access(&self.path, AccessFlags::W_OK | AccessFlags::X_OK).map_err(|errno| unusable(errno.into()))?;
        // The emulator, an unprivileged user, must get through to a volume; nobody needs to see the rest.
        if self.layout != Layout::Workshop {
            make_dir(&self.volumes(), 0o711).map_err(unusable)?;
        }
        make_dir(&self.partial(), 0o700).map_err(unusable)
    }

    /// How large and how full it is.
    pub(super) fn fact(&self) -> Result<PoolFact, StorageError> {
        let found = statvfs(&self.path);
        let stat = found.map_err(|errno| StorageError::io("look at", &self.path)(errno.into()))?;
        let (blocks, free) = (stat.blocks(), stat.blocks_free());
        Ok(PoolFact {
            pool: self.uuid,
            capacity_mib: fact_mib(blocks * stat.fragment_size()),
            allocated_mib: fact_mib(blocks.saturating_sub(free) * stat.fragment_size()),
            granule_mib: 1,
        })
    }

    /// The finished volume, in whichever format it is.
    pub(super) fn found(&self, volume: Uuid) -> Result<Option<Found>, StorageError> {
        for format in FORMATS_OF_VOLUMES {
            if let Some(found) = found(self.file(volume, format), format)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// All finished volumes. What has another name was not made here; what is damaged is not finished.
    pub(super) fn listing(&self) -> Result<Vec<VolumeFact>, StorageError> {
        self.check()?;
        let dir = self.volumes();
        let listing = match fs::read_dir(&dir) {
            Err(error) if is_missing(&error) => return Ok(Vec::new()),
            listing => listing.map_err(StorageError::io("list", &dir))?,
        };
        let mut facts = Vec::new();
        for entry in listing {
            let path = entry.map_err(StorageError::io("list", &dir))?.path();
            facts.extend(self.listed(&path));
            if facts.len() > VOLUMES_MAX {
                return Err(StorageError::TooMany { path: self.path.clone(), max: VOLUMES_MAX });
            }
        }
        Ok(facts)
    }

    fn listed(&self, path: &Path) -> Option<VolumeFact> {
        let (volume, file, format) = self.layout.parse(path)?;
        match found(file, format) {
            Ok(found) => Some(self.fact_of(volume, &found?)),
            Err(error) => {
                tracing::warn!(%volume, %error, "a volume is passed over");
                None
            }
        }
    }

    pub(super) fn fact_of(&self, volume: Uuid, found: &Found) -> VolumeFact {
        let (place, format) = (found.place.clone(), found.format);
        VolumeFact { volume, pool: self.uuid, size_mib: fact_mib(found.bytes), format, place }
    }
}

/// Runs something that blocks on a thread made for it.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    let died = |error| StorageError::Io {
        step: "finish work in",
        path: PathBuf::from("a thread"),
        source: io::Error::other(error),
    };
    tokio::task::spawn_blocking(work).await.map_err(died)?
}

/// Makes the entries of a directory durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), StorageError> {
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(StorageError::io("sync", dir))
}

/// Space for whoever writes next, bytes.
pub(super) fn free_bytes(path: &Path) -> Result<u64, StorageError> {
    let stat = statvfs(path).map_err(|errno| StorageError::io("look at", path)(errno.into()))?;
    Ok(stat.blocks_available() * stat.fragment_size())
}

/// Whether a file or directory is not there.
pub(super) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn make_dir(path: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made,
    }
}

pub(super) fn extension(format: VolumeFormat) -> &'static str {
    match format {
        VolumeFormat::Raw => "raw",
        VolumeFormat::Qcow2 => "qcow2",
    }
}

/// What lies at a path, if it is a volume. Only a header is read: no process per file.
fn found(path: PathBuf, format: VolumeFormat) -> Result<Option<Found>, StorageError> {
    let meta = match fs::symlink_metadata(&path) {
        Err(error) if is_missing(&error) => return Ok(None),
        meta => meta.map_err(StorageError::io("look at", &path))?,
    };
    if !meta.is_file() {
        return Err(StorageError::Damaged { path, why: "it is no regular file" });
    }
    let bytes = match format {
        VolumeFormat::Raw => meta.len(),
        VolumeFormat::Qcow2 => {
            let header = File::open(&path).and_then(|file| Header::read(&file));
            match header.map_err(StorageError::io("read", &path))? {
                Some(header) => header.virtual_size,
                None => return Err(StorageError::Damaged { path, why: "it has no qcow2 header" }),
            }
        }
    };
    Ok(Some(Found { place: Place::File(path), format, bytes }))
}
