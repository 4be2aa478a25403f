//! What a driver of a host is asked for, and what it answers: plain values, no table, no I/O.
//!
//! The agent turns desired rows into these and facts back into current parts; `pony-host` implements drivers
//! over them, for real hosts and for the simulated one. A *spec* is self-contained (a driver looks nothing up)
//! and every step over it is idempotent: it may be abandoned at any point and asked for again.

mod adjust;
mod checksum;
mod extent;
mod guest;
mod links;
mod machine;
mod place;
mod source_uri;
mod uplinks;

pub use adjust::adjusted;
pub use checksum::{Checksum, ChecksumAlgorithm, ChecksumError};
pub use extent::{EXTENT_START_MIN_MIB, Extent, PlvmPool, extents_mib, grown_mib, made_extents};
pub use guest::{
    GuestAddress, GuestCard, GuestConfig, GuestRoute, METADATA_ADDRESS, METADATA_GUEST, NOCLOUD_DOCUMENTS,
    Seed,
};
pub use links::{CardAddress, Overlay, SwitchFact, SwitchKind, SwitchSpec, TapFact, TapSpec};
pub use machine::{
    CpuFact, DiskFact, DiskTransport, Hba, HostFact, NicBond, NicFact, NumaNode, VirtualFunctions,
};
pub use place::{Login, NetworkDisk, Place, Protocol, Slice};
pub use source_uri::{SourceScheme, SourceUri, SourceUriError};
pub use uplinks::{
    BondMode, BondSpec, HostAddress, SegmentSpec, UplinkFact, UplinkId, UplinkSpec, Uplinks, XmitHash,
};

use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use uuid::Uuid;

/// A storage pool as a driver needs it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PoolSpec {
    /// `storage_pool.uuid`.
    pub pool: Uuid,
    /// What it is made of.
    pub backend: PoolBackend,
}

/// The kinds of pool that drivers exist for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PoolBackend {
    /// A directory of the host. It must exist: an unmounted mount point must not silently become a pool.
    Dir {
        /// Absolute path.
        path: PathBuf,
    },
    /// A directory on a Btrfs file system of the host, with a subvolume for each volume.
    Btrfs {
        /// Absolute path.
        path: PathBuf,
    },
    /// A volume group of the host, with a logical volume for each volume.
    Lvm {
        /// The volume group. It must exist.
        vg: String,
        /// The thin pool in it that volumes are made in; `None`: they take all their space at once.
        thin_pool: Option<String>,
    },
    /// Parts of disks that several hosts see: the host maps those of a volume behind each other.
    Plvm(PlvmPool),
    /// A directory of an NFS server, which the host mounts.
    Nfs {
        /// Name or address of the server.
        server: String,
        /// The directory there, absolute.
        export: PathBuf,
        /// Mount options beyond the usual ones.
        options: Option<String>,
    },
    /// Disks (LUNs) of an iSCSI target, each of which is one volume at most.
    Iscsi(Box<IscsiPool>),
    /// A pool of a Ceph cluster, with an image (RBD) for each volume.
    Rbd(Box<RbdPool>),
    /// Declared in the model, but no driver for it is built in; the name of the type.
    Unsupported(String),
}

/// A pool of a Ceph cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RbdPool {
    /// Its monitors, `host:port` each.
    pub monitors: Vec<String>,
    /// What it is called there.
    pub pool: String,
    /// As whom hosts and guests sign in (cephx). `None`: the cluster does not ask.
    pub login: Option<Login>,
}

/// LUNs of an iSCSI target that make up a pool.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IscsiPool {
    /// Where the target is, `host:port`.
    pub portal: String,
    /// What it is called, `iqn.…`.
    pub target: String,
    /// Those of its LUNs that belong to the pool: no other one is looked at.
    pub luns: Vec<u8>,
    /// As whom hosts sign in (CHAP). `None`: the target does not ask.
    pub login: Option<Login>,
    /// What hosts call themselves, `iqn.…`, where the target asks for that.
    pub initiator: Option<String>,
    /// Whose initiator carries the data.
    pub mode: IscsiMode,
}

/// Whose initiator carries the data of volumes on LUNs; libvirt calls it so, too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum IscsiMode {
    /// The emulator's own, in each guest.
    #[default]
    Direct,
    /// That of the host's kernel: volumes are devices of the host.
    Host,
}

impl PoolBackend {
    /// Whether several hosts could use it at once.
    #[must_use]
    pub const fn can_be_shared(&self) -> bool {
        match self {
            Self::Dir { .. } | Self::Btrfs { .. } | Self::Lvm { .. } => false,
            Self::Plvm(_) | Self::Nfs { .. } | Self::Iscsi(_) | Self::Rbd(_) | Self::Unsupported(_) => true,
        }
    }

    /// How bytes lie there when nobody cares.
    #[must_use]
    pub const fn usual_format(&self) -> VolumeFormat {
        match self {
            Self::Dir { .. } | Self::Nfs { .. } | Self::Unsupported(_) => VolumeFormat::Qcow2,
            // The file system shares blocks by itself, or there is none.
            Self::Btrfs { .. } | Self::Lvm { .. } | Self::Plvm(_) | Self::Iscsi(_) | Self::Rbd(_) => {
                VolumeFormat::Raw
            }
        }
    }
}

impl From<IscsiPool> for PoolBackend {
    fn from(pool: IscsiPool) -> Self {
        Self::Iscsi(Box::new(pool))
    }
}

impl From<RbdPool> for PoolBackend {
    fn from(pool: RbdPool) -> Self {
        Self::Rbd(Box::new(pool))
    }
}

impl IscsiPool {
    /// A part of one of its LUNs.
    #[must_use]
    pub fn disk(&self, lun: u8, slice: Slice) -> NetworkDisk {
        NetworkDisk {
            protocol: Protocol::Iscsi,
            name: format!("{}/{lun}", self.target),
            servers: vec![self.portal.clone()],
            slice: Some(slice),
            login: self.login.clone(),
            initiator: self.initiator.clone(),
        }
    }
}

impl RbdPool {
    /// One of its images.
    #[must_use]
    pub fn disk(&self, image: &str) -> NetworkDisk {
        NetworkDisk {
            protocol: Protocol::Rbd,
            name: format!("{}/{image}", self.pool),
            servers: self.monitors.clone(),
            slice: None,
            login: self.login.clone(),
            initiator: None,
        }
    }
}

/// A pool as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolFact {
    /// `storage_pool.uuid`.
    pub pool: Uuid,
    /// Size of what volumes lie on, MiB.
    pub capacity_mib: i64,
    /// Used of that, MiB.
    pub allocated_mib: i64,
    /// What sizes are rounded up to, MiB: a volume may be larger than ordered by less than that.
    pub granule_mib: i64,
}

/// How the bytes of a volume lie in its pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VolumeFormat {
    /// Byte for byte.
    Raw,
    /// QEMU's copy-on-write format, version 3, never with a backing file.
    Qcow2,
}

/// A volume as a driver needs it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VolumeSpec {
    /// `volume.uuid`.
    pub volume: Uuid,
    /// Where it lies.
    pub pool: PoolSpec,
    /// Its format.
    pub format: VolumeFormat,
    /// Its virtual size, MiB. A source that is larger is refused, a smaller one is grown.
    /// `None` for a volume that backs an image: as large as the source.
    pub size_mib: Option<i64>,
    /// What it consists of, in this order, in a pool of type `plvm`; of a deletion, which takes the host's mapping away and
    /// nothing else, none.
    pub extents: Vec<Extent>,
}

/// What a new volume is filled from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// Nothing: it reads as zeroes.
    Empty,
    /// `http:`, `https:` or `file:`; raw or qcow2, told apart by content and never trusted (no backing files). A fragment
    /// is the [`Checksum`] of what is there.
    Uri(String),
    /// Another volume on this host.
    Volume(VolumeSpec),
    /// A volume of another host, which exports it to this one.
    Remote(RemoteVolume),
}

/// A volume of another host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RemoteVolume {
    /// The host.
    pub host: Uuid,
    /// `volume.uuid`.
    pub volume: Uuid,
    /// How it is reached: its own [way](HostFact::migration).
    pub way: String,
}

/// A volume of this host that another one may read: a finished one that nobody writes to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Export {
    /// `volume.uuid`.
    pub volume: Uuid,
    /// Where it lies.
    pub pool: PoolSpec,
    /// Who may read it: that host by its own [way](HostFact::migration).
    pub to: String,
}

/// A volume as it was found. Only finished volumes are facts; unfinished data are the driver's own affair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeFact {
    /// `volume.uuid`.
    pub volume: Uuid,
    /// `storage_pool.uuid`.
    pub pool: Uuid,
    /// Its virtual size, MiB (rounded up).
    pub size_mib: i64,
    /// Its format.
    pub format: VolumeFormat,
    /// Where a hypervisor opens it.
    pub place: Place,
}

/// An instance as a hypervisor needs it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct InstanceSpec {
    /// `instance.uuid`.
    pub instance: Uuid,
    /// For people.
    pub name: String,
    /// Virtual CPUs.
    pub vcpu: u32,
    /// CPU share: hundredths of a physical CPU that it may use at most.
    pub cpu_percent: u32,
    /// Memory, MiB.
    pub mem_mib: i64,
    /// What it boots from.
    pub boot: Boot,
    /// The firmware that it boots by.
    #[serde(default)]
    pub firmware: Firmware,
    /// The CPU that it is shown; `None`: whichever the host has for all.
    #[serde(default)]
    pub cpu: Option<CpuSpec>,
    /// In `vdisk.index` order.
    pub disks: Vec<DiskSpec>,
    /// In `vnic.index` order.
    pub nics: Vec<NicSpec>,
    /// The CD-ROM that tells it about itself.
    #[serde(default)]
    pub seed: Option<Seed>,
}

/// The firmware that an instance boots by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Firmware {
    /// A PC's traditional one.
    #[default]
    Bios,
    /// UEFI, without Secure Boot.
    Uefi,
}

/// A CPU by the hypervisor's names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CpuSpec {
    /// The model.
    pub model: String,
    /// Features beyond the model's.
    pub features: Vec<String>,
}

/// What an instance boots from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Boot {
    /// Its first disk.
    Disk,
    /// Its first vnic.
    Network,
}

/// A disk of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DiskSpec {
    /// `vdisk.uuid`.
    pub vdisk: Uuid,
    /// `vdisk.index`: its place on the bus.
    pub index: u32,
    /// From the volume's fact.
    pub place: Place,
    /// From the volume's fact.
    pub format: VolumeFormat,
    /// A CD-ROM of an image.
    pub read_only: bool,
    /// Other guests may write to it at the same time: whoever is inside sees to it that this makes sense.
    #[serde(default)]
    pub shared: bool,
}

/// A network card of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NicSpec {
    /// `vnic.uuid`.
    pub vnic: Uuid,
    /// `vnic.index`.
    pub index: u32,
    /// `52:54:00:…`.
    pub mac: String,
    /// The tap's link name.
    pub tap: String,
    /// The largest frame that the guest is to send, bytes, where that is not what all cards carry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
}

/// The largest frame that guests send unless they are told otherwise, bytes.
pub const USUAL_MTU: u32 = 1_500;

/// What a guest is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GuestState {
    /// Defined, not running.
    Off,
    /// Not running since it broke down (a guest panic, a killed emulator).
    Crashed,
    /// Running.
    Running,
    /// Its CPUs stand still.
    Paused,
    /// It was told to shut itself down and has not finished.
    ShuttingDown,
    /// It is let in from another host, on its way here or not yet: nothing of it runs on this host, and all that it
    /// needs is held for it.
    Incoming,
}

/// Where a guest is sent that moves to another host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Destination {
    /// `host.uuid`.
    pub host: Uuid,
    /// How that host is reached, in the words of its own driver ([`HostFact::migration`]).
    pub way: String,
}

/// A guest as it was found. Only guests that this agent made are ever facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceFact {
    /// `instance.uuid`.
    pub instance: Uuid,
    /// What it is doing.
    pub state: GuestState,
    /// The definition that the next start uses, when it is readable: equal to the ordered one or outdated.
    pub spec: Option<InstanceSpec>,
    /// What a guest that is not off was started with, when that is readable.
    pub live: Option<InstanceSpec>,
    /// How far it can be changed while it is up, when that is known.
    pub room: Option<Room>,
    /// How its last run ended, for one that is off, as far as is known.
    pub ending: Option<Ending>,
    /// Where its serial console can be opened (a pty or socket path).
    pub console: Option<String>,
    /// By what this host knows the one that a guest comes from, for one that is let in.
    pub origin: Option<String>,
}

/// A way to use a guest by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConsoleKind {
    /// Its first serial port. Whoever opens it is shown what it said last; several may have it open.
    Serial,
    /// Its screen, keyboard and pointer: the RFB protocol (RFC 6143), without a password.
    Vnc,
}

/// How far a guest that is up can be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Room {
    /// The fewest virtual CPUs: those that it was started with cannot be taken away.
    pub vcpu_min: u32,
    /// The most virtual CPUs.
    pub vcpu_max: u32,
    /// The most memory, MiB.
    pub mem_max_mib: i64,
}

/// How the run of a guest ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// The guest switched itself off.
    ShutDown,
    /// Somebody pulled its plug.
    Destroyed,
    /// The software inside broke down, and said so.
    Panicked,
    /// Its emulator was killed, or broke down.
    Killed,
}

/// Why a step failed, in words for the person who ordered it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DriverError {
    /// What to make of it.
    pub kind: DriverErrorKind,
    /// What was wrong, where, and what would be right. One line.
    pub message: String,
}

/// What to make of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DriverErrorKind {
    /// May go away by itself (a server that does not answer, a full disk): retried with back-off.
    Transient,
    /// The order cannot be met as it stands (not an image, no such directory): retried at the longest period only.
    Order,
    /// This host cannot do that at all.
    Unsupported,
}
