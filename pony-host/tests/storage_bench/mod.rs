//! A pool in a directory of its own, images, and looks at what lies in them.

#![allow(dead_code, unreachable_pub)]

use pony_core::host::{
    DriverError, Place, PoolBackend, PoolSpec, Source, VolumeFact, VolumeFormat, VolumeSpec,
};
use pony_host::{HostStorage, Storage, StorageOptions};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use uuid::Uuid;

pub const MIB: usize = 1 << 20;

/// A storage and a pool for it.
pub struct Bench {
    pub storage: HostStorage,
    pub pool: PoolSpec,
    pub dir: PathBuf,
    _dir: Option<TempDir>,
}

/// Impatient: what stalls is given up after a second.
pub fn options() -> StorageOptions {
    StorageOptions { http_stall: Duration::from_secs(1), near_sources: true, ..StorageOptions::default() }
}

impl Bench {
    pub fn new() -> Self {
        Self::with(options())
    }

    pub fn with(options: StorageOptions) -> Self {
        let dir = TempDir::new().unwrap();
        let path = dir.path().to_owned();
        Self { _dir: Some(dir), ..Self::at(path, options) }
    }

    pub fn at(dir: PathBuf, options: StorageOptions) -> Self {
        Self::of(PoolBackend::Dir { path: dir.clone() }, dir, options)
    }

    /// A pool of another kind, whose directory, if it has one, is `dir`.
    pub fn of(backend: PoolBackend, dir: PathBuf, options: StorageOptions) -> Self {
        let pool = PoolSpec { pool: Uuid::new_v4(), backend };
        Self { storage: HostStorage::new(options), pool, dir, _dir: None }
    }

    pub fn raw(&self, size_mib: impl Into<Option<i64>>) -> VolumeSpec {
        self.spec(VolumeFormat::Raw, size_mib)
    }

    pub fn qcow2(&self, size_mib: impl Into<Option<i64>>) -> VolumeSpec {
        self.spec(VolumeFormat::Qcow2, size_mib)
    }

    pub fn spec(&self, format: VolumeFormat, size_mib: impl Into<Option<i64>>) -> VolumeSpec {
        VolumeSpec {
            volume: Uuid::new_v4(),
            pool: self.pool.clone(),
            format,
            size_mib: size_mib.into(),
            extents: Vec::new(),
        }
    }

    pub async fn make(&self, spec: &VolumeSpec, source: &Source) -> Result<VolumeFact, DriverError> {
        self.storage.create_volume(spec, source, std::sync::Arc::new(|_| {})).await
    }

    pub async fn fetch(&self, spec: &VolumeSpec, uri: &str) -> Result<VolumeFact, DriverError> {
        self.make(spec, &Source::Uri(uri.to_owned())).await
    }

    /// Names of what is unfinished.
    pub fn unfinished(&self) -> Vec<String> {
        names(&self.dir.join("partial"))
    }

    /// Names of what is finished.
    pub fn finished(&self) -> Vec<String> {
        names(&self.dir.join("volumes"))
    }

    /// Processes that work on something in this pool.
    pub fn processes(&self) -> Vec<String> {
        let dir = self.dir.to_string_lossy().into_owned();
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok());
        let lines = pids.filter_map(|pid| std::fs::read(pid.path().join("cmdline")).ok());
        lines
            .map(|line| String::from_utf8_lossy(&line).into_owned())
            .filter(|line| line.contains(&dir))
            .collect()
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Bytes like those of a disk: no two sectors alike, some stretches of zeroes.
pub fn disk(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut word = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state ^ (state >> 29)
    };
    let mut bytes = Vec::with_capacity(size);
    while bytes.len() < size {
        let stretch = (size - bytes.len()).min(64 << 10);
        if bytes.len() % (256 << 10) == 128 << 10 {
            bytes.resize(bytes.len() + stretch, 0);
        } else {
            (0..stretch / 8).for_each(|_| bytes.extend_from_slice(&word().to_le_bytes()));
        }
    }
    bytes
}

pub fn qemu_img(args: &[&str]) {
    let output = Command::new("qemu-img").args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A qcow2 image of these bytes.
pub fn qcow2_of(bytes: &[u8]) -> Vec<u8> {
    let dir = TempDir::new().unwrap();
    let (raw, qcow2) = (dir.path().join("raw"), dir.path().join("qcow2"));
    std::fs::write(&raw, bytes).unwrap();
    qemu_img(&["convert", "-f", "raw", "-O", "qcow2", raw.to_str().unwrap(), qcow2.to_str().unwrap()]);
    std::fs::read(qcow2).unwrap()
}

/// What a guest would read from a volume.
pub fn content(fact: &VolumeFact) -> Vec<u8> {
    let path = fact.place.path().unwrap();
    if fact.format == VolumeFormat::Raw {
        return std::fs::read(path).unwrap();
    }
    let dir = TempDir::new().unwrap();
    let raw = dir.path().join("raw");
    qemu_img(&["convert", "-f", "qcow2", "-O", "raw", path.to_str().unwrap(), raw.to_str().unwrap()]);
    std::fs::read(raw).unwrap()
}

/// The volume reads as `disk`, then as zeroes.
pub fn assert_holds(fact: &VolumeFact, disk: &[u8]) {
    let content = content(fact);
    assert!(content.starts_with(disk), "{fact:?} does not hold what it was filled from");
    assert!(are_zeroes(&content[disk.len()..]), "{fact:?} goes on with something");
}

/// All that a volume of a pool of devices holds.
pub fn read_block(fact: &VolumeFact) -> Vec<u8> {
    assert!(matches!(fact.place, Place::Block(_)), "{fact:?}");
    std::fs::read(fact.place.path().unwrap()).unwrap()
}

/// It reads as these bytes, then as zeroes: nothing of what lay there before.
#[track_caller]
pub fn assert_reads(fact: &VolumeFact, bytes: &[u8]) {
    let found = read_block(fact);
    assert_eq!(found.len() >> 20, usize::try_from(fact.size_mib).unwrap());
    assert!(found.starts_with(bytes), "{fact:?} does not hold what it was filled from");
    assert!(are_zeroes(&found[bytes.len()..]), "{fact:?} shows what lay there before");
}

/// By one comparison: byte by byte takes seconds in an emulated guest.
pub fn are_zeroes(bytes: &[u8]) -> bool {
    *bytes == *vec![0; bytes.len()]
}
