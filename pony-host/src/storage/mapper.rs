//! Mappings of parts of disks, by the device mapper's own command: each is a device `/dev/mapper/NAME`. Nothing about them is
//! written to the disks; a host that starts anew has none. As long as a process has one open it cannot be removed.

use super::error::StorageError;
use super::tool;
use crate::block::files;
use pony_core::host::Place;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use uuid::Uuid;

/// Bytes that the device mapper, and the kernel's size of a disk, count by.
pub(super) const SECTOR: u64 = 512;

/// Held by who makes a mapping, which is one of nothing for a moment, and by who looks for such.
static TURN: Mutex<()> = Mutex::new(());

/// Where the kernel tells of its block devices.
const BLOCKS: &str = "/sys/block";

/// Where the device mapper's devices are opened.
const MAPPER: &str = "/dev/mapper";

/// The mappings of one pool.
#[derive(Debug, Clone)]
pub(super) struct Mapper {
    pool: Uuid,
}

/// A mapping that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) name: String,
    pub(super) bytes: u64,
    /// The disks that it is made of, `major:minor`, as far as they are there.
    pub(super) disks: Vec<String>,
}

/// Where a mapping is opened.
pub(super) fn place(name: &str) -> Place {
    Place::Block(Path::new(MAPPER).join(name))
}

/// One line of a table: sectors of the mapping from `at` on are those of a disk (`major:minor`) from `start` on.
pub(super) fn linear(at: u64, sectors: u64, disk: &str, start: u64) -> String {
    format!("{at} {sectors} linear {disk} {start}\n")
}

impl Mapper {
    pub(super) fn of(pool: Uuid) -> Self {
        Self { pool }
    }

    fn run(&self, args: &[&str]) -> Result<String, StorageError> {
        self.feed(args, "")
    }

    fn feed(&self, args: &[&str], table: &str) -> Result<String, StorageError> {
        // Where no udev makes nodes in /dev/mapper, the tool does.
        let args = [args, &["--verifyudev"]].concat();
        let said = tool::feed("dmsetup", "dmsetup", args.into_iter().map(OsStr::new), table.as_bytes())?;
        Ok(String::from_utf8_lossy(&said).into_owned())
    }

    /// What the mappings of this pool are known by, whatever they are called.
    fn mark(&self) -> String {
        format!("pony-{}-", self.pool.simple())
    }

    /// Fails where there cannot be any on this host. Those go that a tool which was killed has begun: they are made of nothing,
    /// `/sys` does not know them, and their names would be taken.
    pub(super) fn prepare(&self) -> Result<(), StorageError> {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let fields = ["info", "-c", "--noheadings", "--separator", " ", "-o", "name,uuid"];
        let (listing, mark) = (self.run(&fields)?, self.mark());
        let whole = self.list()?;
        let names = listing.lines().filter_map(|line| line.split_once(' '));
        let ours = names.filter(|(_, uuid)| uuid.starts_with(&mark)).map(|(name, _)| name);
        for name in ours.filter(|name| whole.iter().all(|it| it.name != *name)) {
            tracing::info!(name, "a mapping that is made of nothing is removed");
            self.remove(name)?;
        }
        Ok(())
    }

    /// All of the pool, as the kernel tells: no process is needed for that.
    pub(super) fn list(&self) -> Result<Vec<Mapping>, StorageError> {
        let blocks = Path::new(BLOCKS);
        let all = files::entries(blocks).map_err(StorageError::io("list", blocks))?;
        let mark = self.mark();
        Ok(all.iter().filter_map(|(_, block)| mapping(block, &mark)).collect())
    }

    pub(super) fn find(&self, name: &str) -> Result<Option<Mapping>, StorageError> {
        Ok(self.list()?.into_iter().find(|it| it.name == name))
    }

    /// What it is made of, as it was told.
    pub(super) fn table(&self, name: &str) -> Result<String, StorageError> {
        self.run(&["table", name])
    }

    pub(super) fn create(&self, name: &str, table: &str) -> Result<(), StorageError> {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let uuid = format!("{}{}", self.mark(), Uuid::new_v4().simple());
        self.feed(&["create", name, "--uuid", &uuid], table).map(drop)
    }

    /// Makes it of something else, also while it is open.
    pub(super) fn change(&self, name: &str, table: &str) -> Result<(), StorageError> {
        self.feed(&["load", name], table)?;
        self.run(&["resume", name]).map(drop)
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> Result<(), StorageError> {
        self.run(&["rename", from, to]).map(drop)
    }

    pub(super) fn remove(&self, name: &str) -> Result<(), StorageError> {
        // Others look into a device for a moment when it appears.
        self.run(&["remove", "--retry", name]).map(drop)
    }

    /// The same; all is well where there is none, or somebody else is faster.
    pub(super) fn remove_if_there(&self, name: &str) -> Result<(), StorageError> {
        match self.find(name)? {
            Some(_) => self.remove(name).or_else(|error| match self.find(name)? {
                Some(_) => Err(error),
                None => Ok(()),
            }),
            None => Ok(()),
        }
    }
}

/// A mapping whose identity begins so.
fn mapping(block: &Path, mark: &str) -> Option<Mapping> {
    files::known(&block.join("dm/uuid")).filter(|it| it.starts_with(mark))?;
    let name = files::known(&block.join("dm/name"))?;
    let bytes = files::number(&block.join("size"))?.unsigned_abs() * SECTOR;
    let below = files::entries(&block.join("slaves")).unwrap_or_default();
    let disks = below.iter().filter_map(|(_, disk)| files::known(&disk.join("dev"))).collect();
    Some(Mapping { name, bytes, disks })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_mapping_is_told_by_its_identity() {
        let root = tempfile::tempdir().unwrap();
        let block = root.path().join("dm-0");
        for (file, text) in [
            ("dm/uuid", "pony-00000000000000000000000000000005-1"),
            ("dm/name", "pony-x"),
            ("size", "2048"),
            ("slaves/sda/dev", "8:0"),
        ] {
            let path = block.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{text}\n")).unwrap();
        }
        let of = |pool: u128| mapping(&block, &Mapper::of(Uuid::from_u128(pool)).mark());
        let expected = Mapping { name: "pony-x".into(), bytes: 1 << 20, disks: vec!["8:0".into()] };
        assert_eq!((of(5), of(6)), (Some(expected), None));
        assert_eq!(mapping(&root.path().join("sda"), "pony-"), None);
    }
}
