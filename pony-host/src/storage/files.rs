//! Pools in directories: volumes are files, which appear by one `rename`.

use super::attempt::Attempt;
use super::backend::{Backend, Content};
use super::disk::Disk;
use super::error::StorageError;
use super::fill::Fill;
use super::inspect::Image;
use super::pool::{Found, Pool};
use super::qcow2::Header;
use super::slots::Slot;
use super::stage::{Stage, while_moving};
use super::{copy, image_lock, qemu_img, sweep};
use crate::secrets::Secrets;
use async_trait::async_trait;
use pony_core::host::{Place, PoolFact, VolumeFact, VolumeFormat};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use uuid::Uuid;

/// The share of the whole that bringing an image here takes; the rest is left for converting it.
pub(super) const BRINGING: f64 = 0.9;

#[async_trait]
impl Backend for Pool {
    fn workshop(&self) -> &Pool {
        self
    }

    async fn open(&self) -> Result<PoolFact, StorageError> {
        self.look(|pool| {
            pool.prepare()?;
            sweep::forgotten(pool)?;
            pool.fact()
        })
        .await
    }

    async fn list(&self) -> Result<Vec<VolumeFact>, StorageError> {
        self.look(Pool::listing).await
    }

    async fn find(&self, volume: Uuid) -> Result<Option<Found>, StorageError> {
        self.look(move |pool| {
            pool.check()?;
            pool.found(volume)
        })
        .await
    }

    async fn make(&self, fill: &Fill<'_>, content: Content) -> Result<(), StorageError> {
        let out = fill.attempt.work("out");
        match content {
            Content::Nothing => emptied(fill, &out).await?,
            Content::Own(image) => take(fill, image, &out).await?,
            Content::Of(found) => copied(fill, found, &out).await?,
            Content::Remote(remote) => {
                let to = Disk::Local(out.clone(), fill.spec.format);
                remote.write(fill.attempt, &to, fill.shared.options.copy_stall, &fill.stage).await?;
            }
        }
        if let Some(bytes) = fill.ordered {
            extend(fill.attempt, out.clone(), fill.spec.format, bytes).await?;
        }
        fill.attempt.commit(out, fill.spec.format).await
    }

    async fn grow(&self, attempt: &Attempt, found: Found, bytes: u64) -> Result<(), StorageError> {
        let Some(path) = found.place.path().map(Path::to_owned) else { return Ok(()) };
        extend(attempt, path.clone(), found.format, bytes).await?;
        let sync = move |_: &Attempt| {
            let synced = File::open(&path).and_then(|file| file.sync_all());
            synced.map_err(StorageError::io("sync", &path))
        };
        attempt.blocking(sync).await
    }

    async fn remove(&self, slot: Arc<Slot>) -> Result<(), StorageError> {
        self.look(move |pool| {
            pool.check()?;
            slot.revoke(|| sweep::remove_volume(pool, slot.volume))
        })
        .await
    }
}

async fn emptied(fill: &Fill<'_>, out: &Path) -> Result<(), StorageError> {
    let bytes = fill.ordered.ok_or(StorageError::NoSize)?;
    match fill.spec.format {
        VolumeFormat::Qcow2 => qemu_img::create(fill.attempt, out, bytes).await,
        VolumeFormat::Raw => {
            let path = out.to_owned();
            let make = move |_: &Attempt| File::create_new(&path).map_err(StorageError::io("make", &path));
            fill.attempt.blocking(make).await.map(drop)
        }
    }
}

/// Makes an image that was brought here the content. It is used up where its bytes can be used as they are.
async fn take(fill: &Fill<'_>, image: Image, out: &Path) -> Result<(), StorageError> {
    if (image.format, fill.spec.format) != (VolumeFormat::Raw, VolumeFormat::Raw) {
        let stage = fill.stage.part(BRINGING, 1.0);
        return convert(fill, &Disk::Local(image.path, image.format), out, &stage).await;
    }
    let out = out.to_owned();
    let rename = move |attempt: &Attempt| {
        let synced = File::open(&image.path).and_then(|file| file.sync_all());
        synced.map_err(StorageError::io("sync", &image.path))?;
        attempt.ticket.if_current(|| attempt.pool.take(&image.path, &out))
    };
    fill.attempt.blocking(rename).await
}

async fn copied(fill: &Fill<'_>, found: Found, out: &Path) -> Result<(), StorageError> {
    let source = open_source(fill, found).await?;
    let len = source.len;
    match source.file.filter(|_| source.format == fill.spec.format) {
        Some(file) => copy_file(fill, file, out.to_owned(), len, &fill.stage).await,
        None => convert(fill, &source.disk, out, &fill.stage).await,
    }
}

/// A volume that is read.
pub(super) struct Opened {
    pub(super) disk: Disk,
    format: VolumeFormat,
    /// Bytes of the file.
    len: u64,
    /// Open, where it can be copied as a file.
    file: Option<File>,
    /// Nobody can write to it while this is open, where it is of this host.
    _lock: Option<File>,
}

/// Opens a volume to copy from.
pub(super) async fn open_source(fill: &Fill<'_>, found: Found) -> Result<Opened, StorageError> {
    open_volume(&fill.attempt.pool, &fill.shared.options.secrets, found).await
}

/// Opens a volume to read it. `pool` is where that is waited for.
pub(super) async fn open_volume(pool: &Pool, secrets: &Path, found: Found) -> Result<Opened, StorageError> {
    let disk = Disk::of(&found.place, found.format, &Secrets::at(secrets));
    match found.place.path().map(Path::to_owned) {
        Some(path) => pool.look(move |_| locked(&found, &path, disk)).await,
        // Whoever may use it at all is the only one.
        None => Ok(Opened { disk, format: found.format, len: found.bytes, file: None, _lock: None }),
    }
}

fn locked(found: &Found, path: &Path, disk: Disk) -> Result<Opened, StorageError> {
    let lock = File::open(path).map_err(StorageError::io("open", path))?;
    image_lock::for_reading(&lock, path)?;
    if found.format == VolumeFormat::Qcow2 {
        let header = Header::read(&lock).map_err(StorageError::io("read", path))?;
        if let Some(why) = header.and_then(|header| header.objection()) {
            let origin = path.display().to_string();
            return Err(StorageError::Refused { origin, why: why.into() });
        }
    }
    let file = match &found.place {
        Place::File(_) => Some(lock.try_clone().map_err(StorageError::io("open", path))?),
        _ => None,
    };
    let len = lock.metadata().map_err(StorageError::io("look at", path))?.len();
    Ok(Opened { disk, format: found.format, len, file, _lock: Some(lock) })
}

/// Copies a file of this host.
pub(super) async fn copy_file(
    fill: &Fill<'_>,
    from: File,
    to: PathBuf,
    len: u64,
    stage: &Stage,
) -> Result<(), StorageError> {
    let done = Arc::new(AtomicU64::new(0));
    let what = format!("the copy for volume {}", fill.spec.volume);
    let copied = done.clone();
    let work = fill.attempt.blocking(move |attempt| {
        let made = File::create_new(&to).map_err(StorageError::io("make", &to))?;
        copy::copy(attempt, &from, &made, len, &copied)
    });
    let headway = || {
        let done = done.load(Ordering::Relaxed);
        stage.report_of(done, len);
        done
    };
    while_moving(&what, fill.shared.options.copy_stall, headway, work).await
}

async fn convert(fill: &Fill<'_>, from: &Disk, out: &Path, stage: &Stage) -> Result<(), StorageError> {
    let to = Disk::Local(out.to_owned(), fill.spec.format);
    qemu_img::convert(fill.attempt, (from, &to), fill.shared.options.copy_stall, stage).await
}

/// Extends an image, if it is smaller. Never shrinks it.
async fn extend(
    attempt: &Attempt,
    path: PathBuf,
    format: VolumeFormat,
    bytes: u64,
) -> Result<(), StorageError> {
    let file = path.clone();
    let has = attempt.blocking(move |_| image_bytes(&file, format)).await?;
    match format {
        _ if has >= bytes => Ok(()),
        VolumeFormat::Qcow2 => qemu_img::resize(attempt, &path, bytes).await,
        VolumeFormat::Raw => {
            let extend = move |attempt: &Attempt| {
                attempt.ticket.if_current(|| {
                    let file = File::options().write(true).open(&path);
                    let grown = file.and_then(|file| file.set_len(bytes));
                    grown.map_err(|error| copy::failure(attempt, error, 0))
                })
            };
            attempt.blocking(extend).await
        }
    }
}

fn image_bytes(path: &Path, format: VolumeFormat) -> Result<u64, StorageError> {
    let file = File::open(path).map_err(StorageError::io("open", path))?;
    let header = match format {
        VolumeFormat::Raw => None,
        VolumeFormat::Qcow2 => Header::read(&file).map_err(StorageError::io("read", path))?,
    };
    let len = file.metadata().map_err(StorageError::io("look at", path))?.len();
    Ok(header.map_or(len, |header| header.virtual_size))
}

impl Pool {
    /// Moves a file that was brought here to where the content is made. Between subvolumes its blocks are shared
    /// and it is removed, since nothing can be moved between these.
    fn take(&self, from: &Path, to: &Path) -> Result<(), StorageError> {
        match fs::rename(from, to) {
            Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => {
                fs::copy(from, to).map_err(StorageError::io("take", from))?;
                fs::remove_file(from).map_err(StorageError::io("remove", from))
            }
            moved => moved.map_err(StorageError::io("take", from)),
        }
    }
}
