//! What can go wrong with a volume or a pool, and what to make of it.

use super::size::VOLUME_MAX_MIB;
use pony_core::host::{DriverError, DriverErrorKind, RemoteVolume};
use std::io;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Longest message, characters: the user sees it in a table.
const MESSAGE_MAX: usize = 500;

/// Why a step on a pool or a volume failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum StorageError {
    #[error(
        "storage pools of type `{kind}` have no driver in this agent; `dir`, `btrfs`, `lvm`, `plvm`, `nfs`, `iscsi` and `rbd` have one"
    )]
    Backend { kind: String },
    #[error("pool directory {path} {why}")]
    Pool { path: PathBuf, why: &'static str },
    #[error("pool directory {path} {why}")]
    Unmounted { path: PathBuf, why: &'static str },
    #[error("pool directory {path} cannot be used: {why}")]
    DiskLost { path: PathBuf, why: String },
    #[error("{what} {server} {why}")]
    Server { what: &'static str, server: String, why: String },
    #[error("{why}")]
    Secret { why: String },
    #[error(
        "no LUN of the pool is free that has {need_mib} MiB (the largest free one has {largest_mib}): add one to its `luns`, or delete volumes"
    )]
    NoLun { need_mib: u64, largest_mib: u64 },
    #[error(
        "LUN {lun} has room for {room_mib} MiB, and {need_mib} are ordered: make the LUN larger by 1 MiB more than that, or copy the volume to a larger one"
    )]
    SmallLun { lun: u8, need_mib: u64, room_mib: u64 },
    #[error("this host does not see disk {disk}: connect it, or take it off its storage pool")]
    NoDisk { disk: String },
    #[error("disk {disk} cannot be used: {why}")]
    LostDisk { disk: String, why: String },
    #[error(
        "the volume was given {given_mib} MiB of disks, and needs {need_mib}: it has to be given more extents"
    )]
    NotGiven { given_mib: u64, need_mib: u64 },
    #[error("pool directory {path} cannot be used: {source}")]
    PoolUnusable { path: PathBuf, source: io::Error },
    #[error("pool directory {path} has not answered for {seconds} s: is its file system hung?")]
    PoolSilent { path: PathBuf, seconds: u64 },
    #[error("pool directory {path} has more than {max} volumes; spread them over several pools")]
    TooMany { path: PathBuf, max: usize },
    #[error("cannot {step} {path}: {source}")]
    Io { step: &'static str, path: PathBuf, source: io::Error },
    #[error("the file system of {path} is full: {need_mib} MiB more are needed, {free_mib} MiB are free")]
    NoSpace { path: PathBuf, need_mib: u64, free_mib: u64 },
    #[error("the file system of {path} is full: {free_mib} MiB are free, after {done_mib} MiB were written")]
    Full { path: PathBuf, done_mib: u64, free_mib: u64 },
    #[error("a volume of {size_mib} MiB cannot be made: 1 to {VOLUME_MAX_MIB} MiB can")]
    Size { size_mib: i64 },
    #[error("an empty volume needs a size")]
    NoSize,
    #[error(
        "the source has {source_mib} MiB, the volume is ordered with {ordered_mib} MiB: order at least that"
    )]
    TooLarge { source_mib: u64, ordered_mib: u64 },
    #[error(
        "the source says that it has {source_mib} MiB, more than the {VOLUME_MAX_MIB} MiB that are believed"
    )]
    Absurd { source_mib: u64 },
    #[error("{origin} is not a disk image: {found}; raw and qcow2 images are understood")]
    NotAnImage { origin: String, found: String },
    #[error("{origin} is refused: it is a qcow2 image {why}")]
    Refused { origin: String, why: String },
    #[error("{origin} is not what was ordered: its {algorithm} is {found}")]
    Checksum { origin: String, algorithm: &'static str, found: String },
    #[error("`{uri}` cannot be a source: {why}")]
    Uri { uri: String, why: String },
    #[error("{uri} was answered with {status}{hint}")]
    Status { uri: String, status: u16, hint: &'static str },
    #[error("{uri} cannot be read: {why}")]
    Http { uri: String, why: String },
    #[error("{uri} redirects to where it may not: {why}")]
    Redirect { uri: String, why: String },
    #[error("{what} has not moved for {seconds} s")]
    Stalled { what: String, seconds: u64 },
    #[error("{uri} was cut off after {got} bytes{of}; it will be resumed")]
    CutOff { uri: String, got: u64, of: String },
    #[error("{uri} does not say how long it is, so that nobody could tell whether it is complete")]
    NoLength { uri: String },
    #[error("{uri} goes on beyond {max_mib} MiB, more than the volume can hold")]
    Endless { uri: String, max_mib: u64 },
    #[error("volume {volume} to copy from is not (or not yet) on this host")]
    NoSource { volume: Uuid },
    #[error("volume {} of host {} cannot be read: {why}", from.volume, from.host)]
    Remote { from: RemoteVolume, why: String },
    #[error("volume {volume} cannot be copied onto itself")]
    Itself { volume: Uuid },
    #[error("{path} is open for writing, by a running guest most likely: this waits until it is not")]
    InUse { path: PathBuf },
    #[error("a later order for volume {volume} overtook this one")]
    Overtaken { volume: Uuid },
    #[error("{path} is damaged: {why}; delete the volume, or repair the file by hand")]
    Damaged { path: PathBuf, why: &'static str },
    #[error("{tool} failed: {why}")]
    Tool { tool: &'static str, why: String },
    #[error("{what} {name} {why}")]
    Device { what: &'static str, name: String, why: &'static str },
    #[error("volumes of this storage pool are devices, whose format is raw: order raw, or leave format out")]
    RawOnly,
    #[error("{tool} is not installed on this host: it comes with Debian's package {package}")]
    NoTool { tool: &'static str, package: &'static str },
    #[error("qemu-img {verb} was killed by somebody else (signal {signal}), for want of memory perhaps")]
    Killed { verb: &'static str, signal: i32 },
    #[error("qemu-img {verb} failed on {origin}: {why}")]
    QemuImg { verb: &'static str, origin: String, why: String },
    /// At least one of them is on a server or a device, whose fault it may be.
    #[error("copying {from} to {to} failed: {why}")]
    NetworkCopy { from: PathBuf, to: PathBuf, why: String },
}

impl StorageError {
    /// For `map_err` on file operations.
    pub(super) fn io(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { step, path, source }
    }

    /// What to make of it.
    pub(super) fn kind(&self) -> DriverErrorKind {
        match self {
            Self::Backend { .. } | Self::NoTool { .. } => DriverErrorKind::Unsupported,
            Self::Status { status, .. } if is_passing(*status) => DriverErrorKind::Transient,
            Self::Io { source, .. } if source.kind() == io::ErrorKind::FileTooLarge => DriverErrorKind::Order,
            Self::PoolSilent { .. }
            | Self::DiskLost { .. }
            | Self::Io { .. }
            | Self::NoSpace { .. }
            | Self::Full { .. }
            | Self::Http { .. }
            | Self::Stalled { .. }
            | Self::CutOff { .. }
            | Self::NoSource { .. }
            | Self::Remote { .. }
            | Self::InUse { .. }
            | Self::Killed { .. }
            | Self::Tool { .. }
            | Self::Device { .. }
            | Self::Unmounted { .. }
            | Self::Server { .. }
            | Self::Secret { .. }
            | Self::NoLun { .. }
            | Self::SmallLun { .. }
            | Self::NetworkCopy { .. }
            | Self::NoDisk { .. }
            | Self::LostDisk { .. }
            | Self::NotGiven { .. }
            | Self::Overtaken { .. } => DriverErrorKind::Transient,
            _ => DriverErrorKind::Order,
        }
    }

    /// Whether the disk is full. What was written so far is in the way then, and goes.
    pub(super) fn is_full(&self) -> bool {
        match self {
            Self::NoSpace { .. } | Self::Full { .. } => true,
            Self::Io { source, .. } => is_full(source),
            _ => false,
        }
    }
}

/// Whether an I/O error means that there is no room (or no quota) left.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// HTTP statuses that may change by themselves.
fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500..)
}

impl From<StorageError> for DriverError {
    fn from(error: StorageError) -> Self {
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let message = error.to_string().chars().map(plain).take(MESSAGE_MAX).collect();
        Self { kind: error.kind(), message }
    }
}
