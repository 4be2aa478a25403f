//! The agent's side of the drivers: steps, which map one to one on their methods, and looks.

use crate::host::{
    CpuSpec, Destination, DiskFact, DiskSpec, DriverError, Export, HostFact, InstanceFact, InstanceSpec,
    NicFact, PoolFact, PoolSpec, Source, SwitchFact, SwitchSpec, TapFact, TapSpec, UplinkFact, UplinkId,
    UplinkSpec, VolumeFact, VolumeSpec,
};
use crate::reconcile::RunId;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Names a resource of the host.
///
/// The order is that in which a review goes through them: what others need comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ResourceId {
    /// `volume.uuid`.
    Volume(Uuid),
    /// A bond, or the traffic on it under one tag.
    Uplink(UplinkId),
    /// `switch.uuid`.
    Switch(Uuid),
    /// `vnic.uuid` of the tap's card.
    Tap(Uuid),
    /// `instance.uuid`.
    Instance(Uuid),
}

/// Something for a driver to do: one call of the method of the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// `Hypervisor::define`.
    Define(InstanceSpec),
    /// `Hypervisor::start`.
    Start(Uuid),
    /// `Hypervisor::pause`.
    Pause(Uuid),
    /// `Hypervisor::resume`.
    Resume(Uuid),
    /// `Hypervisor::shutdown`.
    Shutdown(Uuid),
    /// `Hypervisor::destroy`.
    Destroy(Uuid),
    /// `Hypervisor::undefine`.
    Undefine(Uuid),
    /// `Hypervisor::adjust`.
    Adjust(InstanceSpec),
    /// `Hypervisor::expect`.
    Expect {
        /// What it is on this host.
        spec: InstanceSpec,
        /// By what this host knows the one that sends it.
        origin: String,
    },
    /// `Hypervisor::migrate`.
    Migrate {
        /// The instance.
        instance: Uuid,
        /// Where to.
        to: Destination,
        /// Those of its disks, by `vdisk.uuid`, that are copied there: the other host does not reach what they show here.
        copied: BTreeSet<Uuid>,
    },
    /// `Hypervisor::grow_disk`.
    GrowDisk {
        /// The instance that has the volume open.
        instance: Uuid,
        /// The disk that shows it.
        disk: DiskSpec,
        /// The volume, with the size that it is to have.
        spec: VolumeSpec,
    },
    /// `Network::ensure_uplink`.
    EnsureUplink(UplinkSpec),
    /// `Network::remove_uplink`.
    RemoveUplink(UplinkId),
    /// `Network::ensure_switch`.
    EnsureSwitch(SwitchSpec),
    /// `Network::remove_switch`.
    RemoveSwitch(Uuid),
    /// `Network::ensure_tap`.
    EnsureTap(TapSpec),
    /// `Network::remove_tap`.
    RemoveTap(Uuid),
    /// `Storage::create_volume`.
    CreateVolume {
        /// The volume.
        spec: VolumeSpec,
        /// What it is filled from.
        source: Source,
    },
    /// `Storage::delete_volume`.
    DeleteVolume(VolumeSpec),
}

impl Step {
    /// The uplink that is made or removed.
    pub fn uplink(&self) -> Option<UplinkId> {
        match self {
            Self::EnsureUplink(spec) => Some(spec.id()),
            Self::RemoveUplink(id) => Some(*id),
            _ => None,
        }
    }

    /// What is done, for people.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Define(_) => "define",
            Self::Start(_) => "start",
            Self::Pause(_) => "pause",
            Self::Resume(_) => "resume",
            Self::Shutdown(_) => "shut down",
            Self::Destroy(_) => "switch off",
            Self::Undefine(_) => "undefine",
            Self::Adjust(_) => "change while it runs",
            Self::Expect { .. } => "let in",
            Self::Migrate { .. } => "send to another host",
            Self::GrowDisk { .. } => "grow while it is used",
            Self::EnsureUplink(UplinkSpec::Bond(_)) => "make the bond",
            Self::EnsureUplink(UplinkSpec::Segment(_)) => "make the uplink",
            Self::RemoveUplink(UplinkId::Bond(_)) => "remove the bond",
            Self::RemoveUplink(UplinkId::Segment { .. }) => "remove the uplink",
            Self::EnsureSwitch(_) => "make the switch",
            Self::RemoveSwitch(_) => "remove the switch",
            Self::EnsureTap(_) => "make the tap",
            Self::RemoveTap(_) => "remove the tap",
            Self::CreateVolume { source: Source::Empty, .. } => "make",
            Self::CreateVolume { .. } => "fill",
            Self::DeleteVolume(_) => "delete",
        }
    }
}

/// Something for a driver to tell: a complete list, or one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// `Discovery::host`.
    Host,
    /// `Discovery::nics`.
    Nics,
    /// `Discovery::disks`.
    Disks,
    /// `Hypervisor::offers`.
    Cpus(BTreeMap<Uuid, CpuSpec>),
    /// `Hypervisor::list`.
    Guests,
    /// `Network::list_uplinks`.
    Uplinks,
    /// `Network::list_switches`.
    Switches,
    /// `Network::list_taps`.
    Taps,
    /// `Storage::open_pool`.
    Pool(PoolSpec),
    /// `Storage::list_volumes`.
    Volumes(PoolSpec),
}

/// What a [`Look`] found.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// For [`Look::Host`].
    Host(Box<HostFact>),
    /// For [`Look::Nics`].
    Nics(Vec<NicFact>),
    /// For [`Look::Disks`].
    Disks(Vec<DiskFact>),
    /// For [`Look::Cpus`].
    Cpus(BTreeMap<Uuid, bool>),
    /// For [`Look::Guests`].
    Guests(Vec<InstanceFact>),
    /// For [`Look::Uplinks`].
    Uplinks(Vec<UplinkFact>),
    /// For [`Look::Switches`].
    Switches(Vec<SwitchFact>),
    /// For [`Look::Taps`].
    Taps(Vec<TapFact>),
    /// For [`Look::Pool`].
    Pool(PoolFact),
    /// For [`Look::Volumes`].
    Volumes(Vec<VolumeFact>),
}

/// Names one look; never used twice by one agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LookId(pub u64);

/// What the one who drives the agent has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "they are handed over one at a time, and mostly steps")]
pub enum Command {
    /// Carry out a step; answer with [`StepOutcome`].
    Run {
        /// Names this execution.
        run: RunId,
        /// What to do.
        step: Step,
    },
    /// End an execution as soon as possible. Answer once nothing of it goes on any more; a success that came
    /// first may be reported as one.
    Cancel {
        /// Names the execution.
        run: RunId,
    },
    /// Look at the host; answer with [`Found`] of the same name or with the error.
    Look {
        /// Names this look.
        look: LookId,
        /// At what.
        what: Look,
    },
    /// Let other hosts read just these volumes from now on: `Storage::export`. There is no answer, since this cannot fail;
    /// in a new process nothing may be read before it is given.
    Export(Vec<Export>),
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepOutcome {
    /// It did what it promises.
    Done(Output),
    /// It failed.
    Failed(DriverError),
    /// It was given up as told, and nothing of it goes on any more.
    Cancelled,
}

/// What a successful step returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Nothing.
    None,
    /// Of [`Step::EnsureUplink`].
    Uplink(UplinkFact),
    /// Of [`Step::EnsureSwitch`].
    Switch(SwitchFact),
    /// Of [`Step::EnsureTap`].
    Tap(TapFact),
    /// Of [`Step::CreateVolume`].
    Volume(VolumeFact),
}

/// A word from a driver that something may have changed; lossy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// `Hypervisor::events`: something about an instance.
    Instance(Uuid),
    /// `Discovery::events`: something about cards or disks.
    Machine,
    /// Something about uplinks, bridges or taps.
    Links,
}
