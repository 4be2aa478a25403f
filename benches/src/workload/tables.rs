//! The tables of the workload.

use pony_state::{Entity, Enum, Inet, Mac, Part, Text};
use uuid::Uuid;

/// A virtual machine.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "instance")]
pub struct Instance {
    /// Its identity.
    #[entity(key)]
    pub uuid: Uuid,
    /// What is ordered.
    pub desired: Option<InstanceDesired>,
    /// What is.
    pub current: Option<InstanceCurrent>,
}

/// What is ordered of an [`Instance`].
#[derive(Debug, Clone, PartialEq, Part)]
#[allow(missing_docs, reason = "columns of a workload")]
pub struct InstanceDesired {
    #[part(index)]
    pub tenant: Uuid,
    /// Where it should be.
    #[part(index)]
    pub host: Uuid,
    pub name: Text,
    pub state: Activity,
    pub vcpu: i64,
    pub rcpu: f64,
    pub mem: i64,
    pub ns: Option<Inet>,
    pub cpu_profile: Option<Uuid>,
    pub boot: Text,
    pub user_data: Option<Text>,
    pub priority: i64,
}

/// What is, of an [`Instance`].
#[derive(Debug, Clone, PartialEq, Part)]
#[allow(missing_docs, reason = "columns of a workload")]
pub struct InstanceCurrent {
    pub status: Activity,
    /// Where it is.
    #[part(index)]
    pub host: Uuid,
    pub error: Option<Text>,
    pub attempts: i64,
    pub next_retry: Option<i64>,
    pub console: Option<Text>,
}

/// What an instance does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[allow(missing_docs, reason = "columns of a workload")]
pub enum Activity {
    Running,
    Paused,
    Stopped,
}

/// How the data of a volume lie in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[allow(missing_docs, reason = "columns of a workload")]
pub enum Format {
    Raw,
    Qcow2,
}

/// A block device.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "volume")]
pub struct Volume {
    /// Its identity.
    #[entity(key)]
    pub uuid: Uuid,
    /// What is ordered.
    pub desired: Option<VolumeDesired>,
}

/// What is ordered of a [`Volume`].
#[derive(Debug, Clone, PartialEq, Part)]
#[allow(missing_docs, reason = "columns of a workload")]
pub struct VolumeDesired {
    pub name: Text,
    pub size_mib: i64,
    pub format: Format,
    #[part(index)]
    pub storage_pool: Uuid,
}

/// A volume in an instance.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "vdisk", join("instance", "volume"))]
pub struct Vdisk {
    /// Its identity.
    #[entity(key)]
    pub uuid: Uuid,
    /// What is ordered.
    pub desired: Option<VdiskDesired>,
}

/// What is ordered of a [`Vdisk`].
#[derive(Debug, Clone, PartialEq, Part)]
#[allow(missing_docs, reason = "columns of a workload")]
pub struct VdiskDesired {
    #[part(references = "instance")]
    pub instance: Uuid,
    #[part(references = "volume")]
    pub volume: Uuid,
    pub index: i64,
}

/// A network card of an instance.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "vnic")]
pub struct Vnic {
    /// Its identity.
    #[entity(key)]
    pub uuid: Uuid,
    /// What is ordered.
    pub desired: Option<VnicDesired>,
}

/// What is ordered of a [`Vnic`].
#[derive(Debug, Clone, PartialEq, Part)]
#[allow(missing_docs, reason = "columns of a workload")]
pub struct VnicDesired {
    #[part(references = "instance")]
    pub instance: Uuid,
    #[part(index)]
    pub switch: Uuid,
    pub macaddr: Mac,
    pub index: i64,
}

/// Where an instance is ordered to run.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "host_instance")]
pub struct Placement {
    /// The host.
    #[entity(key)]
    pub host: Uuid,
    /// The instance.
    #[entity(key, references = "instance")]
    pub instance: Uuid,
    /// What is ordered.
    pub desired: Option<PlacementDesired>,
    /// What is.
    pub current: Option<PlacementCurrent>,
}

/// What is ordered of a [`Placement`].
#[derive(Debug, Clone, PartialEq, Part)]
#[allow(missing_docs, reason = "columns of a workload")]
pub struct PlacementDesired {
    pub serial: i64,
    pub released: bool,
}

/// What is, of a [`Placement`].
#[derive(Debug, Clone, PartialEq, Part)]
#[allow(missing_docs, reason = "columns of a workload")]
pub struct PlacementCurrent {
    pub status: Activity,
    pub attempts: i64,
    pub error: Option<Text>,
}
