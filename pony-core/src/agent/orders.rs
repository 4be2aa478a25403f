//! What is ordered of this host, in plain values: the desired rows that were replicated here, put together.
//!
//! Nothing is decided here. `rows` makes these out of tables; `plan` compares them with the facts.

mod one;

pub use one::{Order, OrderId};

use crate::host::{
    Boot, CardAddress, CpuSpec, Destination, Export, Extent, Firmware, GuestConfig, PoolSpec, RemoteVolume,
    Seed, SwitchKind, UplinkId, Uplinks, VolumeFormat,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use uuid::Uuid;

/// Everything that is ordered of this host. Keys are the rows' own.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Orders {
    /// Storage pools that this host is to use.
    pub pools: BTreeMap<Uuid, PoolOrder>,
    /// Volumes in them, and those that its instances refer to.
    pub volumes: BTreeMap<Uuid, VolumeOrder>,
    /// Images that those refer to.
    pub images: BTreeMap<Uuid, ImageOrder>,
    /// Volumes of this host that others may read.
    pub exports: Vec<Export>,
    /// The host's own links.
    pub links: LinkOrders,
    /// Switches that its instances are plugged into.
    pub switches: BTreeMap<Uuid, SwitchOrder>,
    /// Instances that are placed here, and those that it is to let go of.
    pub instances: BTreeMap<Uuid, InstanceOrder>,
    /// CPUs that instances may ask for: whether this host can offer them is to be told.
    pub cpus: BTreeMap<Uuid, CpuSpec>,
}

/// The host's own links.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkOrders {
    /// The host's cards that somebody ordered something of, by `nic.hwaddr`.
    pub nics: BTreeSet<String>,
    /// Bonds and what is on them.
    pub uplinks: Uplinks,
    /// `vlan` rows: bond and tag.
    pub vlans: BTreeSet<(Uuid, u16)>,
    /// `net_role` rows, by what they are made of.
    pub roles: BTreeMap<Uuid, UplinkId>,
}

/// A switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwitchOrder {
    /// What it is.
    pub kind: SwitchKind,
    /// Why not all of it can be reached from here, in words.
    pub left_out: Option<String>,
}

impl From<SwitchKind> for SwitchOrder {
    fn from(kind: SwitchKind) -> Self {
        Self { kind, left_out: None }
    }
}

/// A storage pool.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PoolOrder {
    /// For the driver.
    pub spec: PoolSpec,
    /// Whether several guests may write to one of its raw volumes.
    pub shareable: bool,
    /// Why this host cannot even try, in words.
    pub fault: Option<String>,
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VolumeOrder {
    /// Whether there should be data.
    pub wish: VolumeWish,
    /// Where it lies.
    pub pool: Uuid,
    /// Its format, where somebody cared.
    pub format: Option<VolumeFormat>,
    /// Its size; `None`: that of what it is filled from.
    pub size_mib: Option<i64>,
    /// The image that it is to be filled from.
    pub base_image: Option<Uuid>,
    /// The volume that it is to be filled from.
    pub base_volume: Option<Uuid>,
    /// The image that it backs.
    pub image: Option<Uuid>,
    /// What this host may do with it.
    pub grant: Grant,
    /// What it consists of, in a pool of type `plvm`. None in any other, and as long as Sparkle has given it no room.
    pub extents: Vec<Extent>,
}

/// What a host may do with a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Grant {
    /// Everything: it is in a pool of this host.
    Own,
    /// What Sparkle says: it is in a pool of several hosts.
    Given {
        /// What it may do.
        hold: Hold,
        /// `host_volume.serial`.
        serial: i64,
        /// Whether the volume was whole once.
        made: bool,
    },
    /// Nothing: it is in a pool of several hosts, and not with this one.
    None,
}

/// What a host may do with a volume that other hosts reach, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hold {
    /// Make, fill, grow and delete it; its instances may use it.
    Whole,
    /// Its instances may use it, as those of other hosts do.
    Use,
    /// An instance that comes with it may have it open, standing still: another host has it.
    Incoming,
    /// Make it, empty: an instance that comes fills it with what it has elsewhere.
    Copy,
    /// It is to let go of it.
    Released,
    /// Say what it sees.
    Look,
}

impl Grant {
    /// Whether nobody else touches the volume: this host may make, grow, delete and copy it.
    #[must_use]
    pub fn is_whole(self) -> bool {
        matches!(self, Self::Own | Self::Given { hold: Hold::Whole, .. })
    }

    /// Whether this host makes what there is of it here.
    #[must_use]
    pub fn may_make(self) -> bool {
        self.is_whole() || matches!(self, Self::Given { hold: Hold::Copy, .. })
    }

    /// Whether instances of this host may have it open. `shared`: those of other hosts may, too, so that one host has it
    /// for itself only to make it.
    #[must_use]
    pub fn may_use(self, shared: bool) -> bool {
        match self {
            Self::Own => true,
            Self::Given { hold, .. } => hold == if shared { Hold::Use } else { Hold::Whole },
            Self::None => false,
        }
    }

    /// Whether something of this host may have it open, or will.
    #[must_use]
    pub fn may_open(self) -> bool {
        match self {
            Self::Own => true,
            Self::Given { hold, .. } => matches!(hold, Hold::Whole | Hold::Use | Hold::Incoming),
            Self::None => false,
        }
    }

    /// Whether an instance may come with it, which stands still until the other host has let go of it.
    #[must_use]
    pub fn may_arrive(self) -> bool {
        matches!(self, Self::Given { hold: Hold::Incoming | Hold::Copy, .. })
    }

    /// Whether what has it open may go on: this host has it, or has not let go of it yet.
    #[must_use]
    pub fn may_go_on(self) -> bool {
        match self {
            Self::Own => true,
            Self::Given { hold, .. } => matches!(hold, Hold::Whole | Hold::Use | Hold::Released),
            Self::None => false,
        }
    }

    /// Whether this host was told to let go of it.
    #[must_use]
    pub fn is_released(self) -> bool {
        matches!(self, Self::Given { hold: Hold::Released, .. })
    }

    /// Which grant it is.
    #[must_use]
    pub fn serial(self) -> Option<i64> {
        match self {
            Self::Given { serial, .. } => Some(serial),
            Self::Own | Self::None => None,
        }
    }

    /// Whether the volume is known to have been whole.
    #[must_use]
    pub fn is_made(self) -> bool {
        matches!(self, Self::Given { made: true, .. })
    }
}

/// Whether there should be data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VolumeWish {
    /// There should.
    Present,
    /// There should as soon as something on this host needs them: see [`crate::agent`].
    Optional,
    /// There should not.
    Deleted,
}

/// An image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct ImageOrder {
    /// Where it can be had, as long as it is had nowhere else.
    pub source_uri: Option<String>,
    /// Where this host is to read it, as no pool that it reaches has it.
    pub remote: Option<RemoteVolume>,
}

/// An instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InstanceOrder {
    /// What it should be doing.
    pub target: Target,
    /// How it was placed here.
    pub placement: Placement,
    /// What it is made of. `None` where its row is gone, which only a released one may be.
    pub hardware: Option<Hardware>,
}

/// How an instance was placed on this host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Placement {
    /// `host_instance.serial`.
    pub serial: i64,
    /// Whether the host was told to let go of it. An instance may have to go without that, when the rest of its
    /// order is not there; but then the host does not say that it let go: the rest may still be on its way.
    pub released: bool,
    /// Whether it moves between this host and another one.
    pub moving: Option<Moving>,
}

/// How an instance moves, as seen by one of the two hosts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Moving {
    /// This host has it, until it has let go: it starts it no more, and sends it away while it runs.
    Away {
        /// Where to; `None`: the other host is not ready, or is not to get it after all.
        to: Option<Destination>,
        /// Whether the move is off, and the guest stays if it is still here.
        stays: bool,
    },
    /// Another host has it: this one lets it in, and does nothing else to it before the placement is its own.
    Here {
        /// By what this host knows the other one.
        origin: String,
    },
}

impl Placement {
    /// Whether the host has the instance and is to have it no more, whichever way it goes.
    pub fn is_leaving(&self) -> bool {
        matches!(self.moving, Some(Moving::Away { .. }))
    }

    /// Whether another host still has the instance.
    pub fn is_coming(&self) -> bool {
        matches!(self.moving, Some(Moving::Here { .. }))
    }
}

/// What an instance should be doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// Run.
    Running,
    /// Stand still, in memory.
    Paused,
    /// Be off.
    Stopped,
    /// Come from another host, which has it still.
    Incoming,
    /// Be off, and forgotten by this host.
    Released,
}

impl Target {
    /// Whether it needs its disks and links.
    pub fn is_up(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::Incoming)
    }
}

/// What an instance is made of, without what only facts can tell (paths, link names).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Hardware {
    /// For people.
    pub name: String,
    /// Virtual CPUs.
    pub vcpu: u32,
    /// Hundredths of a physical CPU that it may use at most.
    pub cpu_percent: u32,
    /// Memory, MiB.
    pub mem_mib: i64,
    /// What it boots from.
    pub boot: Boot,
    /// The firmware that it boots by.
    pub firmware: Firmware,
    /// The CPU that it asks for.
    pub cpu: Option<CpuSpec>,
    /// In `vdisk.index` order.
    pub disks: Vec<DiskOrder>,
    /// In `vnic.index` order.
    pub nics: Vec<NicOrder>,
    /// The CD-ROM that tells it about itself.
    pub seed: Option<Seed>,
}

/// A disk of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DiskOrder {
    /// `vdisk.uuid`.
    pub vdisk: Uuid,
    /// Its place on the bus.
    pub index: u32,
    /// What it shows.
    pub data: DiskData,
}

/// What a disk of an instance shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DiskData {
    /// A volume, to read and write.
    Volume(Uuid),
    /// An image, read-only: a CD-ROM.
    Image(Uuid),
    /// Nothing yet: it is a template's.
    Template,
}

/// A network card of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NicOrder {
    /// `vnic.uuid`.
    pub vnic: Uuid,
    /// Its place on the bus.
    pub index: u32,
    /// What it is plugged into.
    pub switch: Uuid,
    /// The guest's address.
    pub mac: String,
    /// The addresses that it may send from; `None` where its switch has no networks.
    pub addresses: Option<BTreeSet<CardAddress>>,
    /// What the guest is told through it.
    pub config: Option<Arc<GuestConfig>>,
}

impl Orders {
    /// What the instance should be doing. One without an order is to be let go of: it was placed elsewhere or
    /// removed while this host was not listening.
    pub fn target(&self, instance: Uuid) -> Target {
        self.instances.get(&instance).map_or(Target::Released, |o| o.target)
    }

    /// How the instance was placed; as if never, where it was not.
    pub fn placement(&self, instance: Uuid) -> Placement {
        self.instances.get(&instance).map(|o| o.placement.clone()).unwrap_or_default()
    }

    /// What the instance is made of.
    pub fn hardware(&self, instance: Uuid) -> Option<&Hardware> {
        self.instances.get(&instance)?.hardware.as_ref()
    }

    /// The instances that are placed here, with what they are made of.
    pub fn placed(&self) -> impl Iterator<Item = (Uuid, Target, &Hardware)> {
        self.instances.iter().filter(|(_, o)| o.target != Target::Released).filter_map(|(uuid, o)| {
            let hardware = o.hardware.as_ref()?;
            Some((*uuid, o.target, hardware))
        })
    }
}

impl Hardware {
    /// The volumes that the instance writes to.
    pub fn volumes(&self) -> impl Iterator<Item = Uuid> {
        self.disks.iter().filter_map(|d| match d.data {
            DiskData::Volume(volume) => Some(volume),
            DiskData::Image(_) | DiskData::Template => None,
        })
    }
}
