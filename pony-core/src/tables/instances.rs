//! Virtual machines: instances, where they are placed, their disks and cards, affinity, and what happened to them.

use pony_state::{Entity, Enum, Inet, Json, Mac, Part, Text};
use uuid::Uuid;

/// A virtual machine. One without a tenant is a public template.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "instance", unique_nulls_equal("tenant", "name"))]
#[entity(check("\"rcpu\" > 0", "rcpu must be positive"))]
#[entity(check("\"rcpu\" <= \"vcpu\"", "rcpu must not exceed vcpu"))]
#[entity(quota(limits = "quota", kind = "instances", owner = "tenant", by = "cpu_profile"))]
#[entity(quota(limits = "quota", kind = "vcpu", owner = "tenant", amount = "vcpu", by = "cpu_profile"))]
#[entity(quota(limits = "quota", kind = "rcpu", owner = "tenant", amount = "rcpu", by = "cpu_profile"))]
#[entity(quota(limits = "quota", kind = "mem", owner = "tenant", amount = "mem", by = "cpu_profile"))]
#[entity(mount(path = "/tenant/instance", access = "tenant/user"))]
pub struct Instance {
    /// Its identity.
    #[entity(key)]
    pub uuid: Uuid,
    /// What was ordered.
    pub desired: Option<InstanceDesired>,
    /// What is, on whichever host it runs.
    pub current: Option<InstanceCurrent>,
}

/// What is ordered of an [`Instance`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct InstanceDesired {
    /// Whose it is.
    #[part(references = "tenant", on_delete = "cascade")]
    pub tenant: Option<Uuid>,
    /// For people.
    pub name: Text,
    /// What it should be doing.
    #[part(index, default = "stopped")]
    pub state: InstanceState,
    /// Virtual CPUs: at most as many as QEMU's machines have without a remapping of interrupts.
    #[part(range = 1..=255)]
    pub vcpu: i64,
    /// Physical CPUs' worth of computing that it may use at most.
    pub rcpu: f64,
    /// Memory, MiB: at most 16 TiB, the most that servers have and QEMU is made for. (A host gives no more than it has.)
    #[part(range = 1..=16_777_216)]
    pub mem: i64,
    /// Its name servers.
    #[part(default_json = "[]")]
    pub ns: Vec<Inet>,
    /// The least CPU that it needs.
    #[part(references = "cpu_profile", scope = "brings")]
    pub cpu_profile: Option<Uuid>,
    /// What it boots from.
    #[part(default = "disk")]
    pub boot: BootDevice,
    /// The firmware that it boots by.
    #[part(default = "bios")]
    pub firmware: Firmware,
    /// For the software inside (cloud-init).
    pub user_data: Option<Text>,
}

/// What is, of an [`Instance`]; Sparkle composes it from the reports of its host and from placement.
#[derive(Debug, Clone, PartialEq, Part)]
pub struct InstanceCurrent {
    /// What it is doing.
    pub status: InstanceStatus,
    /// Where it is placed.
    #[part(references = "host", soft)]
    pub host: Option<Uuid>,
    /// Why it is not as ordered.
    pub error: Option<Text>,
    /// How often the present order was tried.
    pub attempts: i64,
    /// When it is tried next, Unix time in seconds.
    pub next_retry: Option<i64>,
    /// Where its serial console can be opened on the host.
    pub console: Option<Text>,
    /// What of its order takes effect only when it is stopped and started again.
    pub pending_restart: Option<Text>,
    /// How far it has come on its way to another host, from 0 to 1.
    pub progress: Option<f64>,
}

/// What an instance should be doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Enum)]
pub enum InstanceState {
    /// Run.
    Running,
    /// Stand still, in memory.
    Paused,
    /// Be off.
    Stopped,
}

/// What an instance boots from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Enum)]
pub enum BootDevice {
    /// Its first disk.
    Disk,
    /// Its first card.
    Network,
}

/// The firmware that an instance boots by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Enum)]
pub enum Firmware {
    /// A PC's traditional one.
    Bios,
    /// UEFI, without Secure Boot.
    Uefi,
}

/// An instance on a host. The desired part is the *placement*, which Sparkle decides and the database keeps.
///
/// The row does not go with the instance: until the host has let go (or is known to be dead) it stands for what
/// may still run there, and nothing is placed elsewhere.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "host_instance", read_only, unique("instance"))]
#[entity(
    mount(path = "/host/instance", access = "protected", via = "host"),
    mount(path = "/tenant/instance/host", access = "tenant/user")
)]
#[entity(join("host", "instance"))]
pub struct HostInstance {
    /// The host.
    #[entity(key, references = "host", scope = "follows")]
    pub host: Uuid,
    /// The instance. Not enforced: see above.
    #[entity(key, references = "instance", soft, scope = "brings")]
    pub instance: Uuid,
    /// Where it was placed.
    pub desired: Option<HostInstanceDesired>,
    /// What is.
    pub current: Option<HostInstanceCurrent>,
}

/// A placement.
#[derive(Debug, Clone, PartialEq, Part)]
pub struct HostInstanceDesired {
    /// Whether the host is to let go of it.
    #[part(default = false)]
    pub released: bool,
    /// Which placement it is: never the same twice, so that a host's word about an earlier one is not taken for
    /// a word about this one.
    #[part(default = 0)]
    pub serial: i64,
    /// The host that it moves to while it runs. That one is told of the placement too and lets the guest in; the placement is
    /// handed over to it once this host has let go.
    #[part(references = "host", scope = "follows")]
    pub target: Option<Uuid>,
    /// Whether it is to stay after all: this host ends the move, and says whether the guest is still here.
    #[part(default = false)]
    pub cancelled: bool,
    /// How the target is reached, in its own words; none as long as it is not ready to let the guest in. (What hosts tell of
    /// themselves is for operators, who find it there; this row is shown to tenants, too.)
    #[part(secret)]
    pub way: Option<Text>,
    /// By what the target knows this host when it is reached by it.
    #[part(secret)]
    pub origin: Option<Text>,
}

/// What is, of a [`HostInstance`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct HostInstanceCurrent {
    /// What it is doing.
    pub status: InstanceStatus,
    /// Whether the host has let go of it, as ordered: nothing of it runs there, nor will.
    #[part(default = false)]
    pub released: bool,
    /// Whether it let go of it by sending the guest to where it moves to, where it arrived with all that it had.
    #[part(default = false)]
    pub sent: bool,
    /// The placement that the host speaks of; none where it found the guest without an order.
    pub serial: Option<i64>,
    /// Why it is not as ordered.
    pub error: Option<Text>,
    /// How often the present order was tried.
    pub attempts: i64,
    /// When it is tried next, Unix time in seconds.
    pub next_retry: Option<i64>,
    /// Where its serial console can be opened on the host.
    pub console: Option<Text>,
    /// What of its order takes effect only when it is stopped and started again.
    pub pending_restart: Option<Text>,
    /// How far it has come on its way to another host, from 0 to 1.
    pub progress: Option<f64>,
}

/// The host that an instance is to be on, as long as that host can have it. A guest that runs moves there.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "pin", unique("instance"))]
#[entity(
    mount(path = "/tenant/instance/pin", access = "protected"),
    mount(path = "/host/pin", access = "protected")
)]
pub struct Pin {
    /// Its identity.
    #[entity(key)]
    pub uuid: Uuid,
    /// What was ordered.
    pub desired: Option<PinDesired>,
}

/// What is ordered of a [`Pin`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct PinDesired {
    /// The instance.
    #[part(references = "instance", on_delete = "cascade")]
    pub instance: Uuid,
    /// Where it is to be.
    #[part(references = "host", on_delete = "cascade")]
    pub host: Uuid,
}

/// What an instance is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Enum)]
pub enum InstanceStatus {
    /// It is being started, or waits for what it needs.
    Starting,
    /// It runs.
    Running,
    /// It stands still, in memory.
    Paused,
    /// It was told to shut down.
    Stopping,
    /// It is off.
    Stopped,
    /// It is on its way to another host (or this host is ready to let it in).
    Migrating,
    /// It could not be made to do as ordered; `error` says why.
    Broken,
}

/// A disk of an instance: a volume, or an image to be read only, or (in a template) the wish for a volume.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "vdisk", unique("instance", "index"))]
#[entity(check(
    "(\"volume\" IS NOT NULL AND \"image\" IS NULL AND \"storage_pool\" IS NULL AND \"size\" IS NULL) OR (\"volume\" IS NULL AND \"image\" IS NOT NULL AND \"storage_pool\" IS NULL AND \"size\" IS NULL) OR (\"volume\" IS NULL AND \"image\" IS NULL AND \"storage_pool\" IS NOT NULL AND \"size\" IS NOT NULL)",
    "exactly one of volume and image is needed or, in a template, storage_pool with size"
))]
#[entity(mount(path = "/tenant/instance/vdisk", access = "tenant/user"))]
#[entity(mount(path = "/tenant/volume/vdisk", access = "tenant/user"))]
#[entity(join("instance", "volume"))]
pub struct Vdisk {
    /// Its identity.
    #[entity(key)]
    pub uuid: Uuid,
    /// What was ordered.
    pub desired: Option<VdiskDesired>,
}

/// What is ordered of a [`Vdisk`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct VdiskDesired {
    /// The instance.
    #[part(references = "instance", on_delete = "cascade", scope = "follows")]
    pub instance: Uuid,
    /// Its data.
    #[part(references = "volume", on_delete = "cascade", scope = "brings")]
    pub volume: Option<Uuid>,
    /// The image that it shows, read-only (a CD-ROM).
    #[part(references = "image", on_delete = "cascade", scope = "brings")]
    pub image: Option<Uuid>,
    /// In a template: where to make the volume.
    #[part(references = "storage_pool")]
    pub storage_pool: Option<Uuid>,
    /// In a template: how large to make the volume, MiB: at most 2 PiB, the largest that QEMU reads as qcow2.
    #[part(range = 1..=2_147_483_648)]
    pub size: Option<i64>,
    /// Its place on the bus: more than 256 no machine has slots for.
    #[part(range = 0..=255)]
    pub index: i64,
}

/// A network card of an instance.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "vnic", unique("instance", "index"))]
#[entity(mount(path = "/tenant/instance/vnic", access = "tenant/user"))]
#[entity(
    mount(path = "/tenant/switch/vnic", access = "tenant/user"),
    mount(path = "/switch/vnic", access = "protected")
)]
#[entity(join("instance", "switch"))]
pub struct Vnic {
    /// Its identity.
    #[entity(key)]
    pub uuid: Uuid,
    /// What was ordered.
    pub desired: Option<VnicDesired>,
}

/// What is ordered of a [`Vnic`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct VnicDesired {
    /// The instance.
    #[part(references = "instance", on_delete = "cascade", scope = "follows")]
    pub instance: Uuid,
    /// What it is plugged into.
    #[part(references = "switch", on_delete = "cascade", scope = "brings")]
    pub switch: Uuid,
    /// Its hardware address; generated when left out.
    pub macaddr: Option<Mac>,
    /// Its place on the bus: more than 256 no machine has slots for.
    #[part(range = 0..=255)]
    pub index: i64,
}

/// The hardware address of a card. Sparkle gives one to every card; should one have none, it is always the same.
#[must_use]
pub fn mac_of(vnic: Uuid, order: &VnicDesired) -> Mac {
    let [.., a, b, c] = vnic.into_bytes();
    order.macaddr.unwrap_or(Mac([0x52, 0x54, 0, a, b, c]))
}

/// Instances that should, or should not, share a host.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "affinity_group")]
#[entity(mount(path = "/tenant/affinity-group", access = "tenant/user"))]
pub struct AffinityGroup {
    /// Its identity.
    #[entity(key)]
    pub uuid: Uuid,
    /// What was ordered.
    pub desired: Option<AffinityGroupDesired>,
}

/// What is ordered of an [`AffinityGroup`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct AffinityGroupDesired {
    /// Whose it is.
    #[part(references = "tenant", on_delete = "cascade")]
    pub tenant: Uuid,
    /// For people.
    pub name: Text,
    /// Whether its instances attract or repel each other.
    #[part(name = "type")]
    pub kind: AffinityType,
}

/// Whether instances attract or repel each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Enum)]
pub enum AffinityType {
    /// They belong on one host.
    Affinity,
    /// They belong on different hosts.
    AntiAffinity,
}

/// An instance's place in an affinity group.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "affinity_group_instance", unique("affinity_group", "instance"))]
#[entity(mount(path = "/tenant/affinity-group/instance", access = "tenant/user"))]
#[entity(mount(path = "/tenant/instance/affinity-group", access = "tenant/user"))]
#[entity(join("affinity_group", "instance"))]
pub struct AffinityGroupInstance {
    /// Its identity.
    #[entity(key)]
    pub uuid: Uuid,
    /// What was ordered.
    pub desired: Option<AffinityGroupInstanceDesired>,
}

/// What is ordered of an [`AffinityGroupInstance`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct AffinityGroupInstanceDesired {
    /// The group.
    #[part(references = "affinity_group", on_delete = "cascade")]
    pub affinity_group: Uuid,
    /// The instance.
    #[part(references = "instance", on_delete = "cascade")]
    pub instance: Uuid,
}

/// Something that happened: a log of notifications, equal ones counted in one row.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "event", user_key, read_only)]
#[entity(mount(path = "/event", access = "protected"), mount(path = "/host/event", access = "protected"))]
#[entity(mount(path = "/tenant/instance/event", access = "tenant/user"))]
pub struct Event {
    /// SHA-256, in hexadecimal, of what makes two events equal.
    #[entity(key)]
    pub hash: Text,
    /// What was recorded.
    pub desired: Option<EventDesired>,
}

/// What is recorded in an [`Event`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct EventDesired {
    /// When it first happened, Unix time in seconds.
    pub ctime: i64,
    /// When it last happened, Unix time in seconds.
    #[part(index)]
    pub mtime: i64,
    /// How often it happened.
    #[part(default = 1)]
    pub count: i64,
    /// What happened, a word: `instance-crashed`, `volume-filled`, …
    #[part(name = "type")]
    pub kind: Text,
    /// Where. Not enforced: the log outlives the host.
    #[part(references = "host", soft)]
    pub host: Uuid,
    /// To which instance. Not enforced: news of an instance may arrive after its removal.
    #[part(references = "instance", soft)]
    pub instance: Option<Uuid>,
    /// The rest.
    #[part(default_json = "{}")]
    pub data: Json,
}
