//! A disk that a kernel plays (`scsi_debug`), and whoever divides it, as Sparkle does for real ones.

#![allow(dead_code, unreachable_pub)]

use super::namespace::run;
use pony_core::host::{EXTENT_START_MIN_MIB, Extent, PlvmPool, PoolBackend, VolumeSpec};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use uuid::Uuid;

/// Room for all that is there at a time, and little enough that what was used is used again.
const SIZE_MIB: i64 = 97;

/// How long a disk may take to come, in tenths of a second.
const LOOKS_MAX: u32 = 300;

/// The disk.
pub struct Lun {
    pub id: String,
    pub device: PathBuf,
    /// How much of it was given away, MiB; from its end it goes on at its start.
    given_mib: AtomicI64,
}

impl Lun {
    /// A disk that is full of what somebody else wrote. The module must not be loaded yet.
    pub async fn plug() -> Self {
        run("modprobe", &["scsi_debug", &format!("dev_size_mb={SIZE_MIB}")]);
        for _ in 0..LOOKS_MAX {
            if let Some((name, id)) = fs::read_dir("/sys/block").unwrap().flatten().find_map(|it| found(&it))
            {
                let device = Path::new("/dev").join(name);
                let disk = File::options().write(true).open(&device).unwrap();
                (0..SIZE_MIB)
                    .for_each(|mib| disk.write_all_at(&[0xa5; 1 << 20], mib.unsigned_abs() << 20).unwrap());
                disk.sync_all().unwrap();
                return Self { id, device, given_mib: AtomicI64::new(0) };
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("scsi_debug has no disk");
    }

    /// Takes it away.
    pub fn unplug(self) {
        run("modprobe", &["-r", "scsi_debug"]);
    }

    pub fn pool(&self) -> PoolBackend {
        PoolBackend::Plvm(PlvmPool { disks: vec![self.id.clone()] })
    }

    /// Room for so many MiB: where it can be, in two pieces, the one that lies behind first.
    pub fn give(&self, mib: i64) -> Vec<Extent> {
        if mib <= 0 {
            return Vec::new();
        }
        let end = SIZE_MIB - EXTENT_START_MIN_MIB;
        let begin = |at: i64| if at + mib > end { 0 } else { at };
        let at =
            self.given_mib.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |at| Some(begin(at) + mib));
        let start = EXTENT_START_MIN_MIB + begin(at.unwrap());
        match mib {
            1 => vec![self.piece(start, 1)],
            _ => vec![self.piece(start + 1, mib - 1), self.piece(start, 1)],
        }
    }

    fn piece(&self, start_mib: i64, len_mib: i64) -> Extent {
        Extent { extent: Uuid::new_v4(), disk: self.id.clone(), start_mib, len_mib, made: false }
    }

    /// The same volume with room for so many MiB.
    pub fn given(&self, spec: VolumeSpec, size_mib: i64) -> VolumeSpec {
        let has = pony_core::host::extents_mib(&spec.extents);
        let extents = [spec.extents.clone(), self.give(size_mib - has)].concat();
        VolumeSpec { extents, size_mib: Some(size_mib), ..spec }
    }
}

/// Name and identity of a disk of `scsi_debug`.
fn found(entry: &fs::DirEntry) -> Option<(String, String)> {
    let model = fs::read_to_string(entry.path().join("device/model")).ok()?;
    let id = fs::read_to_string(entry.path().join("device/wwid")).ok()?;
    let name = entry.file_name().to_string_lossy().into_owned();
    model.contains("scsi_debug").then(|| (name, id.split_whitespace().collect::<Vec<_>>().join("_")))
}

/// The volume as a host is told to let go of it.
pub fn unmapped(spec: &VolumeSpec) -> VolumeSpec {
    VolumeSpec { extents: Vec::new(), ..spec.clone() }
}
