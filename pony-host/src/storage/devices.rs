//! Pools whose volumes are devices: each appears by one change of its name. Their format is raw.
//!
//! A finished volume is called `pony-<uuid>`; one that is being made has the host and the name of its attempt behind that. What
//! comes from elsewhere is kept in a directory of its own until it is written to the device.

use super::attempt::Attempt;
use super::backend::{Backend, Content};
use super::disk::Disk;
use super::error::StorageError;
use super::files::{BRINGING, open_source};
use super::fill::Fill;
use super::options::StorageOptions;
use super::pool::{Found, Pool, blocking};
use super::size::{MIB, fact_mib};
use super::slots::Slot;
use super::stage::Stage;
use super::{qemu_img, sweep};
use crate::secrets::Secrets;
use async_trait::async_trait;
use nix::fcntl::{FallocateFlags, fallocate};
use pony_core::host::{NetworkDisk, Place, PoolFact, Slice, VolumeFact, VolumeFormat};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// What the devices of volumes are called, before the volume's uuid.
const PREFIX: &str = "pony-";

/// Bytes zeroed between two looks at whether that is still wanted: within 100 ms on a disk of 640 MB/s.
const ZERO_CHUNK: u64 = 64 * MIB;

/// A device of this pool, finished or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Device {
    pub(super) name: String,
    /// Bytes that can be used: those behind may hold somebody else's data still.
    pub(super) bytes: u64,
    /// Where it is opened.
    pub(super) place: Place,
}

/// How large and how full it is, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) capacity: u64,
    pub(super) allocated: u64,
    /// What sizes are rounded up to.
    pub(super) granule: u64,
}

/// Makes and removes devices. Everything is brief and blocks.
pub(super) trait Devices: Send + Sync + 'static {
    /// How large and how full it is; fails where it cannot be used.
    fn usage(&self) -> Result<Usage, StorageError>;
    /// The devices whose names begin so, ready to be opened.
    fn list(&self, prefix: &str) -> Result<Vec<Device>, StorageError>;
    /// One of these, ready to be opened.
    fn open(&self, name: &str) -> Result<Option<Device>, StorageError> {
        Ok(self.list(name)?.into_iter().find(|it| it.name == name))
    }
    /// Makes one of at least so many bytes.
    fn create(&self, name: &str, bytes: u64) -> Result<Device, StorageError>;
    /// Renames one, at one moment and durably. Fails where there is one of the new name.
    fn rename(&self, from: &str, to: &str) -> Result<(), StorageError>;
    /// Makes one larger, and gives all of it. What was added cannot be used before it is told to be
    /// [settled](Self::settle).
    fn extend(&self, device: &Device, bytes: u64) -> Result<Device, StorageError>;
    /// All of the device can be used.
    fn settle(&self, device: &Device) -> Result<(), StorageError>;
    /// Removes one.
    fn remove(&self, name: &str) -> Result<(), StorageError>;
    /// Whether what was never written reads as zeroes.
    fn are_blank(&self) -> bool;
    /// Whether a server that is away holds up whoever has one open, so that this must be a process that can be left behind.
    fn may_hang(&self) -> bool {
        false
    }
}

/// A pool of devices.
pub(super) struct DevicePool {
    workshop: Pool,
    devices: Arc<dyn Devices>,
    secrets: Secrets,
    /// How long writing to one may make no headway.
    stall: Duration,
    /// This host: it clears away no unfinished ones of others.
    host: Uuid,
}

impl DevicePool {
    pub(super) fn new(workshop: Pool, devices: impl Devices, options: &StorageOptions) -> Self {
        let secrets = Secrets::at(&options.secrets);
        let (stall, host) = (options.copy_stall, options.host);
        Self { workshop, devices: Arc::new(devices), secrets, stall, host }
    }

    /// Bounded in number, and in time by each tool.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Devices) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let devices = self.devices.clone();
        let turn = self.workshop.looks.clone().acquire_owned().await;
        blocking(move || {
            let _turn = turn;
            work(&*devices)
        })
        .await
    }

    fn found(&self, device: &Device) -> Found {
        Found { place: device.place.clone(), format: VolumeFormat::Raw, bytes: device.bytes }
    }

    fn disk(&self, place: &Place) -> Disk {
        Disk::of(place, VolumeFormat::Raw, &self.secrets)
    }

    /// Writes the content onto a device, and zeroes where it does not reach.
    async fn write(&self, fill: &Fill<'_>, content: Content, device: &Device) -> Result<(), StorageError> {
        let written = content.bytes();
        let to = self.disk(&device.place);
        match content {
            Content::Nothing => {}
            Content::Own(image) => {
                let (from, stage) = (Disk::Local(image.path, image.format), fill.stage.part(BRINGING, 1.0));
                qemu_img::convert(fill.attempt, (&from, &to), self.stall, &stage).await?;
            }
            Content::Remote(remote) => remote.write(fill.attempt, &to, self.stall, &fill.stage).await?,
            Content::Of(found) => {
                let source = open_source(fill, found).await?;
                qemu_img::convert(fill.attempt, (&source.disk, &to), self.stall, &fill.stage).await?;
            }
        }
        self.blank(fill.attempt, device, written).await
    }

    /// Sees to it that a device reads as zeroes from an offset on, and that all of it is durable.
    async fn blank(&self, attempt: &Attempt, device: &Device, from: u64) -> Result<(), StorageError> {
        let blank = self.devices.are_blank();
        let rest = Slice { offset: from, len: device.bytes.saturating_sub(from) };
        match device.place.clone() {
            Place::File(path) | Place::Block(path) if self.devices.may_hang() => match blank || rest.len == 0
            {
                // Whoever wrote to it made it durable.
                true => Ok(()),
                false => self.zero(attempt, rest.len, &Disk::Part(path, rest)).await,
            },
            Place::File(path) | Place::Block(path) => {
                attempt.blocking(move |attempt| settle(attempt, &path, (!blank).then_some(from))).await
            }
            Place::Network(disk) if !blank && rest.len > 0 => {
                let slice = disk.slice.map(|it| Slice { offset: it.offset + from, ..rest });
                self.zero(attempt, rest.len, &self.disk(&NetworkDisk { slice, ..*disk }.into())).await
            }
            Place::Network(_) => Ok(()),
        }
    }

    /// Zeroes so many bytes, durably, by a process.
    async fn zero(&self, attempt: &Attempt, bytes: u64, disk: &Disk) -> Result<(), StorageError> {
        let nobody = Stage::whole(Arc::new(|_| {}));
        qemu_img::convert(attempt, (&Disk::Zeroes(bytes), disk), self.stall, &nobody).await
    }
}

/// Zeroes a device from an offset to its end, if that is asked for, and makes all of it durable.
fn settle(attempt: &Attempt, path: &Path, zero_from: Option<u64>) -> Result<(), StorageError> {
    let failed = |error: std::io::Error| StorageError::io("write to", path)(error);
    let device = File::options().write(true).open(path).map_err(failed)?;
    if let Some(from) = zero_from {
        let end = nix::unistd::lseek64(&device, 0, nix::unistd::Whence::SeekEnd)
            .map_err(|errno| failed(errno.into()))?;
        let mut at = from;
        while at < end.unsigned_abs() {
            attempt.ticket.check()?;
            let len = ZERO_CHUNK.min(end.unsigned_abs() - at);
            let (offset, length) = (at.cast_signed(), len.cast_signed());
            fallocate(&device, FallocateFlags::FALLOC_FL_ZERO_RANGE, offset, length)
                .map_err(|errno| failed(errno.into()))?;
            at += len;
        }
    }
    device.sync_all().map_err(failed)
}

/// A name of ours: the volume that a device belongs to and, where it is not finished, the host that is at it.
#[derive(Debug, PartialEq, Eq)]
struct Name {
    volume: Uuid,
    maker: Option<Uuid>,
}

impl Name {
    fn parse(name: &str) -> Option<Self> {
        let rest = name.strip_prefix(PREFIX)?;
        let (uuid, attempt) = rest.split_once('.').map_or((rest, None), |(uuid, of)| (uuid, Some(of)));
        let volume = Uuid::try_parse(uuid).ok().filter(|it| it.to_string() == uuid)?;
        let maker = match attempt {
            Some(of) => Some(Uuid::try_parse(of.split_once('.')?.0).ok()?),
            None => None,
        };
        Some(Self { volume, maker })
    }

    fn is_finished(&self) -> bool {
        self.maker.is_none()
    }

    /// Whether this host began with it and did not finish it.
    fn is_left_by(&self, own: Uuid) -> bool {
        self.maker == Some(own)
    }
}

/// Whether a device of that name is a finished volume.
pub(super) fn is_finished(name: &str) -> bool {
    Name::parse(name).is_some_and(|it| it.is_finished())
}

fn name_of(volume: Uuid) -> String {
    format!("{PREFIX}{volume}")
}

/// Whether there is a device of that name.
fn has(devices: &dyn Devices, name: &str) -> Result<bool, StorageError> {
    Ok(devices.list(name)?.iter().any(|it| it.name == name))
}

/// Removes a device; all is well where somebody else was faster. Of an unfinished one there may be several who clear it
/// away: whoever abandoned it, and whoever comes next.
fn discard(devices: &dyn Devices, name: &str) -> Result<(), StorageError> {
    devices.remove(name).or_else(|error| if has(devices, name)? { Err(error) } else { Ok(()) })
}

/// A device that is being made; it goes where it was not finished.
struct Unfinished {
    devices: Arc<dyn Devices>,
    /// Empty once it has another name.
    name: String,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let (devices, name) = (self.devices.clone(), std::mem::take(&mut self.name));
        if name.is_empty() {
            return;
        }
        // What is left even so is cleared away when the pool is looked at.
        let remove = move || {
            let is_left = has(&*devices, &name).unwrap_or_default();
            if let Some(error) = is_left.then(|| discard(&*devices, &name)).and_then(Result::err) {
                tracing::warn!(%error, name, "an unfinished volume is left");
            }
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            drop(runtime.spawn_blocking(remove));
        }
    }
}

#[async_trait]
impl Backend for DevicePool {
    fn workshop(&self) -> &Pool {
        &self.workshop
    }

    async fn open(&self) -> Result<PoolFact, StorageError> {
        let prepare = |pool: &Pool| {
            pool.prepare()?;
            sweep::forgotten(pool)
        };
        self.workshop.look(prepare).await?;
        let (slots, host) = (self.workshop.slots.clone(), self.host);
        let look = move |devices: &dyn Devices| {
            let usage = devices.usage()?;
            for device in devices.list(PREFIX)? {
                let is_forgotten = |it: Name| it.is_left_by(host) && !slots.is_busy(it.volume);
                if Name::parse(&device.name).is_some_and(is_forgotten) {
                    tracing::info!(
                        name = device.name,
                        "an unfinished volume that nobody asks for is removed"
                    );
                    discard(devices, &device.name)?;
                }
            }
            Ok(usage)
        };
        let usage = self.run(look).await?;
        Ok(PoolFact {
            pool: self.workshop.uuid,
            capacity_mib: fact_mib(usage.capacity),
            allocated_mib: fact_mib(usage.allocated),
            granule_mib: fact_mib(usage.granule),
        })
    }

    async fn list(&self) -> Result<Vec<VolumeFact>, StorageError> {
        let devices = self.run(|devices| devices.list(PREFIX)).await?;
        let finished =
            |device: &Device| Name::parse(&device.name).filter(Name::is_finished).map(|it| it.volume);
        let fact = |it: &Device| Some(self.workshop.fact_of(finished(it)?, &self.found(it)));
        Ok(devices.iter().filter_map(fact).collect())
    }

    async fn find(&self, volume: Uuid) -> Result<Option<Found>, StorageError> {
        let device = self.run(move |devices| devices.open(&name_of(volume))).await?;
        Ok(device.map(|it| self.found(&it)))
    }

    async fn make(&self, fill: &Fill<'_>, content: Content) -> Result<(), StorageError> {
        if fill.spec.format != VolumeFormat::Raw {
            return Err(StorageError::RawOnly);
        }
        let bytes = fill.ordered.unwrap_or_default().max(content.bytes());
        if bytes == 0 {
            return Err(StorageError::NoSize);
        }
        // The attempt's own name begins with the volume's.
        let (volume, attempt) = (fill.spec.volume, fill.attempt.name());
        let of = attempt.split_once('.').map_or(&*attempt, |(_, of)| of);
        let name = format!("{}.{}.{of}", name_of(volume), self.host);
        let mut guard = Unfinished { devices: self.devices.clone(), name: name.clone() };
        let made = name.clone();
        let is_left = |name: &str| Name::parse(name).is_some_and(|it| !it.is_finished());
        let create = move |devices: &dyn Devices| {
            // Whoever may make it is the only one: what is left is of somebody who was, and makes no more of it.
            for left in devices.list(&name_of(volume))?.iter().filter(|it| is_left(&it.name)) {
                discard(devices, &left.name)?;
            }
            devices.create(&made, bytes)
        };
        let device = self.run(create).await?;
        self.write(fill, content, &device).await?;
        let devices = self.devices.clone();
        let commit = move |attempt: &Attempt| {
            attempt.ticket.if_current(|| {
                let volume = attempt.volume();
                // One that was abandoned may have finished a moment before: a volume is never replaced.
                let renamed = !has(&*devices, &name_of(volume))?;
                if renamed {
                    devices.rename(&name, &name_of(volume))?;
                }
                sweep::remove_download(&attempt.pool, volume)?;
                Ok(renamed)
            })
        };
        if fill.attempt.blocking(commit).await? {
            guard.name.clear();
        }
        Ok(())
    }

    async fn grow(&self, attempt: &Attempt, found: Found, bytes: u64) -> Result<(), StorageError> {
        let (name, place) = (name_of(attempt.volume()), found.place);
        let device = Device { name, bytes: found.bytes, place };
        let (devices, before) = (self.devices.clone(), device.clone());
        let extend = move |attempt: &Attempt| attempt.ticket.if_current(|| devices.extend(&before, bytes));
        let extended = attempt.blocking(extend).await?;
        self.blank(attempt, &extended, device.bytes).await?;
        let devices = self.devices.clone();
        attempt.blocking(move |attempt| attempt.ticket.if_current(|| devices.settle(&device))).await
    }

    async fn remove(&self, slot: Arc<Slot>) -> Result<(), StorageError> {
        let held = slot.clone();
        let remove = move |devices: &dyn Devices| {
            held.revoke(|| {
                for device in devices.list(&name_of(held.volume))? {
                    discard(devices, &device.name)?;
                }
                Ok(())
            })
        };
        self.run(remove).await?;
        self.workshop
            .look(move |pool| {
                pool.prepare()?;
                sweep::remove_volume(pool, slot.volume)
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_is_finished_and_what_is_ours() {
        let (volume, host) = (Uuid::from_u128(5), Uuid::from_u128(6));
        let parse = |name: &str| Name::parse(name).map(|it| (it.is_finished(), it.is_left_by(host)));
        assert_eq!(parse(&name_of(volume)), Some((true, false)));
        // Nobody here makes such names.
        assert_eq!(parse(&format!("{}.77-3", name_of(volume))), None);
        assert_eq!(parse(&format!("{}.{host}.77-3", name_of(volume))), Some((false, true)));
        assert_eq!(parse(&format!("{}.{volume}.77-3", name_of(volume))), Some((false, false)));
        for other in ["root", "pony-", "pony-root", "pony-00000000000000000000000000000005"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
