//! Parts of disks that several hosts see as devices, by the device mapper's own command: a device is a mapping of the
//! extents of one volume behind each other. Nothing about it is written to the disks: which extents are whose is known to
//! whoever orders, and a host that starts anew has no mapping.
//!
//! What a volume *has* is mapped under its name, and what it was merely given is not, however far this host has come with
//! it: that is overwritten by way of a mapping of its own first, and counts once it is ordered as `made`. As long as a
//! process writes through such a mapping it cannot be removed, nor made again: so nothing that was abandoned writes to what
//! another one has made since.

use super::devices::{Device, Devices, Usage};
use super::error::StorageError;
use super::mapper::{self, Mapper, SECTOR};
use super::size::MIB;
use crate::block;
use pony_core::host::{DiskFact, EXTENT_START_MIN_MIB, Extent, extents_mib, made_extents};
use std::path::Path;
use uuid::Uuid;

/// Disks, and what of them is one volume's.
pub(super) struct Plvm {
    mapper: Mapper,
    /// Tells this host's unfinished work from that of others.
    host: Uuid,
    disks: Vec<String>,
    /// Those of the volume that this is about.
    extents: Vec<Extent>,
}

impl Plvm {
    pub(super) fn new(pool: Uuid, host: Uuid, disks: &[String], extents: &[Extent]) -> Self {
        Self { mapper: Mapper::of(pool), host, disks: disks.to_vec(), extents: extents.to_vec() }
    }

    /// The disks that this host sees.
    fn seen(&self) -> Result<Vec<DiskFact>, StorageError> {
        // Those that only their place in this machine tells apart are nobody's to share.
        block::disks(Path::new("/"), Uuid::nil()).map_err(StorageError::io("list", "/sys/block".as_ref()))
    }

    /// As the device mapper takes it, and tells it again.
    fn table(&self, extents: &[Extent]) -> Result<String, StorageError> {
        let seen = self.seen()?;
        let (mut table, mut at) = (String::new(), 0);
        for extent in extents {
            let disk = usable(&seen, &extent.disk)?;
            let number = Path::new("/sys/block").join(&disk.link_name).join("dev");
            let number = block::files::read(&number).map_err(StorageError::io("read", &number))?;
            let (start, len) = (sectors(extent.start_mib), sectors(extent.len_mib));
            table += &mapper::linear(at, len, &number, start);
            at += len;
        }
        Ok(table)
    }

    fn map(&self, name: &str, extents: &[Extent]) -> Result<(), StorageError> {
        self.mapper.create(name, &self.table(extents)?)
    }

    fn mappings(&self) -> Result<Vec<Device>, StorageError> {
        Ok(self.mapper.list()?.iter().map(|it| device(&it.name, it.bytes)).collect())
    }

    /// All that the volume was given, where that is enough.
    fn given(&self, bytes: u64) -> Result<&[Extent], StorageError> {
        let given_mib = extents_mib(&self.extents).unsigned_abs();
        match given_mib * MIB >= bytes && given_mib > 0 {
            true => Ok(&self.extents),
            false => Err(StorageError::NotGiven { given_mib, need_mib: bytes.div_ceil(MIB) }),
        }
    }

    /// By which what is added to a device is overwritten.
    fn addition(&self, name: &str) -> String {
        format!("{name}.{}.grow", self.host)
    }
}

fn device(name: &str, bytes: u64) -> Device {
    Device { name: name.to_owned(), bytes, place: mapper::place(name) }
}

fn sectors(mib: i64) -> u64 {
    mib.unsigned_abs() * (MIB / SECTOR)
}

fn usable<'a>(seen: &'a [DiskFact], id: &str) -> Result<&'a DiskFact, StorageError> {
    let found = seen.iter().find(|disk| disk.id == id);
    let disk = found.ok_or_else(|| StorageError::NoDisk { disk: id.to_owned() })?;
    match &disk.fault {
        Some(why) => Err(StorageError::LostDisk { disk: id.to_owned(), why: why.clone() }),
        None => Ok(disk),
    }
}

impl Devices for Plvm {
    /// What is used is what this host has mapped: of the rest it is not told.
    fn usage(&self) -> Result<Usage, StorageError> {
        self.mapper.prepare()?;
        let seen = self.seen()?;
        let mut capacity = 0;
        for id in &self.disks {
            capacity += usable(&seen, id)?.size_mib.saturating_sub(EXTENT_START_MIN_MIB).unsigned_abs() * MIB;
        }
        let allocated = self.mappings()?.iter().map(|it| it.bytes).sum();
        Ok(Usage { capacity, allocated, granule: MIB })
    }

    fn list(&self, prefix: &str) -> Result<Vec<Device>, StorageError> {
        Ok(self.mappings()?.into_iter().filter(|it| it.name.starts_with(prefix)).collect())
    }

    /// Maps all that it has. Of one that is mapped already only the end moves.
    fn open(&self, name: &str) -> Result<Option<Device>, StorageError> {
        let found = self.mappings()?.into_iter().find(|it| it.name == name);
        let made = made_extents(&self.extents);
        if made.is_empty() {
            return Ok(found);
        }
        let now = found.as_ref().map(|_| self.mapper.table(name)).transpose()?;
        let table = self.table(made)?;
        match now {
            Some(now) if now.starts_with(&table) => return Ok(found),
            Some(now) if table.starts_with(&now) => self.mapper.change(name, &table)?,
            // Of a disk that came back as another device; what has it open keeps it from being removed.
            Some(_) => {
                self.mapper.remove(name)?;
                self.map(name, made)?;
            }
            None => self.map(name, made)?,
        }
        Ok(Some(device(name, extents_mib(made).unsigned_abs() * MIB)))
    }

    fn create(&self, name: &str, bytes: u64) -> Result<Device, StorageError> {
        let extents = self.given(bytes)?;
        self.map(name, extents)?;
        Ok(device(name, extents_mib(extents).unsigned_abs() * MIB))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), StorageError> {
        self.mapper.rename(from, to)
    }

    fn extend(&self, device: &Device, bytes: u64) -> Result<Device, StorageError> {
        let (extents, name) = (self.given(bytes)?, self.addition(&device.name));
        self.mapper.remove_if_there(&name)?;
        self.map(&name, extents)?;
        Ok(self::device(&name, extents_mib(extents).unsigned_abs() * MIB))
    }

    /// What was added is blank. The device has it once it is ordered as made.
    fn settle(&self, device: &Device) -> Result<(), StorageError> {
        self.mapper.remove(&self.addition(&device.name))
    }

    fn remove(&self, name: &str) -> Result<(), StorageError> {
        self.mapper.remove(name)
    }

    fn are_blank(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(id: &str, fault: Option<&str>) -> DiskFact {
        DiskFact {
            id: id.to_owned(),
            transport: Default::default(),
            link_name: "sda".to_owned(),
            size_mib: 8,
            model: None,
            serial: None,
            fault: fault.map(str::to_owned),
            errors: None,
        }
    }

    #[test]
    fn a_disk_that_is_not_there_or_fails_is_named() {
        let seen = [fact("a", None), fact("b", Some("it is offline"))];
        assert_eq!(usable(&seen, "a").unwrap().id, "a");
        assert!(usable(&seen, "b").unwrap_err().to_string().contains("disk b cannot be used: it is offline"));
        assert!(usable(&seen, "c").unwrap_err().to_string().contains("does not see disk c"));
    }

    #[test]
    fn no_more_is_mapped_than_was_given() {
        let extent = Extent { extent: Uuid::nil(), disk: "a".into(), start_mib: 1, len_mib: 8, made: false };
        let plvm = |extents: &[Extent]| Plvm::new(Uuid::nil(), Uuid::nil(), &[], extents);
        assert!(plvm(std::slice::from_ref(&extent)).given(8 * MIB).is_ok());
        assert!(plvm(&[extent]).given(8 * MIB + 1).is_err());
        assert!(plvm(&[]).given(0).is_err());
    }
}
