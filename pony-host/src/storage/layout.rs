//! How finished volumes lie in a pool's directory.

use super::error::StorageError;
use super::pool::{FORMATS_OF_VOLUMES, extension, is_missing, sync_dir};
use super::tool;
use nix::sys::statfs::{BTRFS_SUPER_MAGIC, statfs};
use nix::unistd::syncfs;
use pony_core::host::VolumeFormat;
use std::fs::{self, DirBuilder, File, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// How finished volumes lie in a pool's directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// `volumes/<uuid>.raw`, on any file system.
    Files,
    /// `volumes/<uuid>/disk.raw`, each in a subvolume of its own, so that it can be snapshotted and sent: Btrfs.
    Subvolumes,
    /// The same, where something must be mounted.
    Mounted,
    /// Not at all: volumes are elsewhere, and the directory, which is made, is for work on them.
    Workshop,
}

impl Layout {
    /// Where a volume lies, below the directory of finished ones.
    pub(super) fn file(self, volumes: &Path, volume: Uuid, format: VolumeFormat) -> PathBuf {
        let extension = extension(format);
        match self {
            Self::Files | Self::Mounted | Self::Workshop => volumes.join(format!("{volume}.{extension}")),
            Self::Subvolumes => volumes.join(volume.to_string()).join(format!("disk.{extension}")),
        }
    }

    /// The volume that an entry of that directory is. What has another name was not made here.
    pub(super) fn parse(self, path: &Path) -> Option<(Uuid, PathBuf, VolumeFormat)> {
        let stem = path.file_stem()?.to_str()?;
        let volume = Uuid::try_parse(stem).ok().filter(|uuid| uuid.to_string() == stem)?;
        let file = |format: &VolumeFormat| self.file(path.parent().unwrap_or(path), volume, *format);
        let is_it = |format: &VolumeFormat| match self {
            Self::Files | Self::Mounted | Self::Workshop => file(format) == path,
            Self::Subvolumes => path.extension().is_none() && fs::symlink_metadata(file(format)).is_ok(),
        };
        let format = FORMATS_OF_VOLUMES.into_iter().find(is_it)?;
        Some((volume, file(&format), format))
    }

    /// Whether the file system is one on which volumes can lie so.
    pub(super) fn check(self, path: &Path) -> Result<(), StorageError> {
        let is_btrfs = || statfs(path).is_ok_and(|fs| fs.filesystem_type() == BTRFS_SUPER_MAGIC);
        match self {
            Self::Subvolumes if !is_btrfs() => {
                let why = "is not on a Btrfs file system: mount one there, or order a pool of type dir";
                Err(StorageError::Pool { path: path.to_owned(), why })
            }
            Self::Mounted if !is_mount_point(path) => {
                let why =
                    "has nothing mounted on it any more: it is mounted again when the pool is looked at";
                Err(StorageError::Unmounted { path: path.to_owned(), why })
            }
            _ => Ok(()),
        }
    }

    /// Makes the directory that an attempt works in.
    pub(super) fn make_work_dir(self, dir: &Path) -> Result<(), StorageError> {
        if self != Self::Subvolumes {
            return DirBuilder::new().mode(0o700).create(dir).map_err(StorageError::io("make", dir));
        }
        tool::run("btrfs", "btrfs-progs", ["subvolume".as_ref(), "create".as_ref(), dir.as_os_str()])?;
        fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(StorageError::io("make", dir))
    }

    /// Puts a finished file of a work directory into place, durably. The directory is used up where it becomes the
    /// subvolume.
    pub(super) fn put(self, work: &Path, volumes: &Path, to: &Path) -> Result<(), StorageError> {
        if self == Self::Mounted {
            // Another host that was taken to be off may have finished it: a volume is never replaced.
            return match fs::hard_link(work, to) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
                linked => {
                    linked.map_err(StorageError::io("put into place", to)).and_then(|()| sync_dir(volumes))
                }
            };
        }
        if self != Self::Subvolumes {
            fs::rename(work, to).map_err(StorageError::io("put into place", to))?;
            return sync_dir(volumes);
        }
        let (Some(dir), Some(home), Some(name)) = (work.parent(), to.parent(), to.file_name()) else {
            return Err(StorageError::io("put into place", to)(std::io::ErrorKind::InvalidInput.into()));
        };
        let others = fs::read_dir(dir).map_err(StorageError::io("list", dir))?;
        for other in others.flatten().filter(|entry| entry.path() != work) {
            fs::remove_file(other.path()).map_err(StorageError::io("remove", &other.path()))?;
        }
        let placed = fs::rename(work, dir.join(name))
            .and_then(|()| fs::set_permissions(dir, Permissions::from_mode(0o711)))
            .and_then(|()| fs::rename(dir, home));
        placed.map_err(StorageError::io("put into place", home))?;
        // What is under a new subvolume is durable with the file system as a whole.
        let synced = File::open(volumes).and_then(|dir| Ok(syncfs(&dir)?));
        synced.map_err(StorageError::io("sync", volumes))
    }

    /// Removes a finished volume; says whether there was one.
    pub(super) fn remove(self, volumes: &Path, volume: Uuid) -> Result<bool, StorageError> {
        if self == Self::Subvolumes {
            // The kernel removes an empty subvolume like a directory.
            return removed(&volumes.join(volume.to_string()), |dir| fs::remove_dir_all(dir));
        }
        let mut any = false;
        for format in FORMATS_OF_VOLUMES {
            any |= removed(&self.file(volumes, volume, format), |file| fs::remove_file(file))?;
        }
        Ok(any)
    }
}

/// Whether a file system begins there.
pub(super) fn is_mount_point(path: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).map(|meta| meta.dev()).ok();
    let (here, above) = (device(path), path.parent().and_then(device));
    here.is_some() && here != above
}

fn removed(path: &Path, remove: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<bool, StorageError> {
    match remove(path) {
        Ok(()) => Ok(true),
        Err(error) if is_missing(&error) => Ok(false),
        Err(source) => Err(StorageError::Io { step: "remove", path: path.to_owned(), source }),
    }
}
