//! Machines, and what they are made of: cards, bonds, VLANs, roles, disks, CPU profiles.

use pony_state::{Entity, Enum, Inet, Json, Mac, Part, Text};
use uuid::Uuid;

/// A machine.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "host", user_key)]
#[entity(mount(path = "/host", access = "protected"))]
pub struct Host {
    /// The machine's own.
    #[entity(key)]
    pub uuid: Uuid,
    /// What was ordered.
    pub desired: Option<HostDesired>,
    /// What is.
    pub current: Option<HostCurrent>,
}

/// What is ordered of a [`Host`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct HostDesired {
    /// Whether it may hold instances.
    #[part(index, default = "present")]
    pub state: HostState,
    /// For people.
    pub name: Option<Text>,
    /// For people.
    pub info: Option<Text>,
    /// How to cut its power: agent and its options. `{"confirmed": true}` is an operator's word that a silent host
    /// is off, and stays off until `status` is `fenced`: its instances are then started elsewhere. Meanwhile the
    /// host is told nothing. The word is taken away when the host talks again.
    #[part(default_json = "{}")]
    pub fencing: Json,
    /// The public key that it proves itself with, in Z85. Messages under another key are refused.
    pub key: Option<Text>,
}

/// Whether a host may hold instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Enum)]
pub enum HostState {
    /// It may.
    Present,
    /// It must not hold any.
    Evacuated,
}

/// What is, of a [`Host`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct HostCurrent {
    /// Whether it is heard of.
    #[part(index)]
    pub status: HostStatus,
    /// Its name.
    pub hostname: Option<Text>,
    /// Version of its agent.
    pub version: Option<Text>,
    /// Release of its kernel.
    pub kernel: Option<Text>,
    /// What runs its guests, with versions.
    pub hypervisor: Option<Text>,
    /// Logical CPUs.
    pub cpus: Option<i64>,
    /// The maker's name of their model.
    pub cpu_model: Option<Text>,
    /// What they can, by the kernel's names.
    pub cpu_features: Option<Vec<Text>>,
    /// Packages of CPUs.
    pub cpu_sockets: Option<i64>,
    /// Cores of all packages together.
    pub cpu_cores: Option<i64>,
    /// Memory, MiB.
    pub mem: Option<i64>,
    /// Which CPUs and memory are near each other: a list of objects with `node`, `cpus` (ranges) and `mem` (MiB).
    pub numa: Option<Json>,
    /// Its ways to disks of storage networks: a list of objects with `type` (`fc`, `iscsi`), `name` (WWPN, IQN) and,
    /// where known, `state` and `speed`.
    pub hbas: Option<Json>,
    /// When it was started, Unix time in seconds.
    pub boot_time: Option<i64>,
    /// What guests run on, probed: `kvm` or `tcg`.
    pub accel: Option<Text>,
    /// Its address on the network on which it reaches Sparkle. Overlays use it where no `virtual` role has one.
    pub address: Option<Inet>,
    /// How guests that run get to it from other hosts, in words that only its driver understands; none: they cannot.
    pub migration: Option<Text>,
}

/// Whether a host is heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Enum)]
pub enum HostStatus {
    /// It is.
    Present,
    /// It was, and has fallen silent.
    Missing,
    /// Its power was confirmed to be cut.
    Fenced,
}

/// An Ethernet card of a host.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "nic", user_key)]
#[entity(
    mount(path = "/host/nic", access = "protected"),
    mount(path = "/host/bond/nic", access = "protected")
)]
pub struct Nic {
    /// Its hardware address.
    #[entity(key)]
    pub hwaddr: Mac,
    /// What was ordered.
    pub desired: Option<NicDesired>,
    /// What is.
    pub current: Option<NicCurrent>,
}

/// What is ordered of a [`Nic`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct NicDesired {
    /// The host that it sits in.
    #[part(references = "host", on_delete = "cascade", scope = "follows")]
    pub host: Uuid,
    /// The bond that uses it.
    #[part(references = "bond", on_delete = "set-null")]
    pub bond: Option<Uuid>,
}

/// What is, of a [`Nic`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct NicCurrent {
    /// The host that it was found in.
    #[part(references = "host", soft)]
    pub host: Uuid,
    /// Name of its link.
    pub link_name: Option<Text>,
    /// Name of the bond's link that it is part of.
    pub bond_name: Option<Text>,
    /// How it does.
    pub status: NicStatus,
    /// Whether it hears the other end of its cable.
    pub carrier: Option<bool>,
    /// Mbit/s, where known.
    pub speed: Option<i64>,
    /// The kernel's driver of it.
    pub driver: Option<Text>,
    /// Virtual functions that it is divided into at present.
    pub vf_count: Option<i64>,
    /// Virtual functions that it can be divided into; none where it cannot.
    pub vf_max: Option<i64>,
    /// Of a virtual function: the name of the link of the card that it is part of.
    pub vf_of: Option<Text>,
}

/// How a network card does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Enum)]
pub enum NicStatus {
    /// It is not there.
    Missing,
    /// It is there and nothing uses it.
    Ready,
    /// It is part of a bond and idle.
    Inactive,
    /// It is part of a bond and carries traffic.
    Active,
    /// It failed.
    Broken,
}

/// Cards used as one. A bond of one card is normal: it is how a card is used.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "bond")]
#[entity(mount(path = "/host/bond", access = "protected"))]
pub struct Bond {
    /// Its identity.
    #[entity(key)]
    pub uuid: Uuid,
    /// What was ordered.
    pub desired: Option<BondDesired>,
    /// What is.
    pub current: Option<BondCurrent>,
}

/// What is ordered of a [`Bond`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct BondDesired {
    /// The host that it is on.
    #[part(references = "host", on_delete = "cascade", scope = "follows")]
    pub host: Uuid,
    /// How its cards share the work.
    #[part(default = "active-backup")]
    pub mode: BondMode,
    /// How often LACP packets are asked for.
    pub lacp_rate: Option<LacpRate>,
    /// By what the card of a packet is chosen.
    pub xmit_hash_policy: Option<XmitHashPolicy>,
}

/// How the cards of a bond share the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Enum)]
pub enum BondMode {
    /// One works, the others wait.
    ActiveBackup,
    /// Link aggregation by LACP.
    #[value = "802.3ad"]
    Lacp,
}

/// How often LACP packets are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Enum)]
pub enum LacpRate {
    /// Every 30 s.
    Slow,
    /// Every second.
    Fast,
}

/// By what the card of a packet is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Enum)]
pub enum XmitHashPolicy {
    /// Hardware addresses.
    #[value = "layer2"]
    Layer2,
    /// Hardware and IP addresses.
    #[value = "layer2+3"]
    Layer23,
    /// IP addresses and ports.
    #[value = "layer3+4"]
    Layer34,
}

/// What is, of a [`Bond`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct BondCurrent {
    /// Name of its link.
    pub bond_name: Option<Text>,
    /// How it does.
    pub status: LinkStatus,
    /// Why it is not as ordered.
    pub error: Option<Text>,
    /// How often the present order was tried.
    pub attempts: Option<i64>,
    /// When it is tried next, Unix time in seconds.
    pub next_retry: Option<i64>,
}

/// How a link that was made by order does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Enum)]
pub enum LinkStatus {
    /// It is not there (yet).
    Missing,
    /// It is there without a working card below it.
    Inactive,
    /// It works.
    Active,
    /// It could not be made.
    Broken,
    /// This host cannot make such links.
    Unsupported,
}

/// A VLAN on a bond.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "vlan", user_key)]
#[entity(check("\"tag\" BETWEEN 1 AND 4094", "tag must be 1 to 4094"))]
#[entity(mount(path = "/host/bond/vlan", access = "protected"))]
pub struct Vlan {
    /// The bond.
    #[entity(key, references = "bond", on_delete = "cascade", scope = "follows")]
    pub bond: Uuid,
    /// Its number.
    #[entity(key)]
    pub tag: i64,
    /// What was ordered.
    pub desired: Option<VlanDesired>,
    /// What is.
    pub current: Option<VlanCurrent>,
}

/// What is ordered of a [`Vlan`]: that it be.
#[derive(Debug, Clone, PartialEq, Part)]
pub struct VlanDesired {}

/// What is, of a [`Vlan`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct VlanCurrent {
    /// Name of its link.
    pub link_name: Option<Text>,
    /// How it does.
    pub status: LinkStatus,
    /// Why it is not as ordered.
    pub error: Option<Text>,
    /// How often the present order was tried.
    pub attempts: Option<i64>,
    /// When it is tried next, Unix time in seconds.
    pub next_retry: Option<i64>,
}

/// What a bond, or a VLAN on it, is used for.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "net_role", unique_nulls_equal("bond", "vlan_id", "role"))]
#[entity(mount(path = "/host/bond/role", access = "protected"))]
pub struct NetRole {
    /// Its identity.
    #[entity(key)]
    pub uuid: Uuid,
    /// What was ordered.
    pub desired: Option<NetRoleDesired>,
    /// What is.
    pub current: Option<NetRoleCurrent>,
}

/// What is ordered of a [`NetRole`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct NetRoleDesired {
    /// The bond.
    #[part(references = "bond", on_delete = "cascade", scope = "follows")]
    pub bond: Uuid,
    /// The VLAN on it; none for untagged traffic.
    #[part(range = 1..=4094)]
    pub vlan_id: Option<i64>,
    /// What it is used for.
    pub role: NetRoleKind,
    /// The host's address there.
    pub address: Option<Inet>,
}

/// What a network is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Enum)]
pub enum NetRoleKind {
    /// Sparkle and Twilight.
    Management,
    /// Bridged switches.
    Core,
    /// Overlays.
    Virtual,
    /// Storage traffic.
    Storage,
    /// The outside world.
    Public,
}

/// What is, of a [`NetRole`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct NetRoleCurrent {
    /// How it does.
    pub status: LinkStatus,
    /// Name of its bridge.
    pub bridge_name: Option<Text>,
    /// Why it is not as ordered.
    pub error: Option<Text>,
    /// How often the present order was tried.
    pub attempts: Option<i64>,
    /// When it is tried next, Unix time in seconds.
    pub next_retry: Option<i64>,
}

/// A disk, of one host or seen by several.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "disk", user_key)]
#[entity(check("\"type\" <> 'local' OR \"targets\" IS NULL", "targets are for fc and iscsi disks only"))]
#[entity(
    mount(path = "/disk", access = "protected"),
    mount(path = "/storage-pool/disk", access = "protected")
)]
pub struct Disk {
    /// WWN, IQN, or the best that there is.
    #[entity(key)]
    pub id: Text,
    /// What was ordered.
    pub desired: Option<DiskDesired>,
    /// What is.
    pub current: Option<DiskCurrent>,
}

/// What is ordered of a [`Disk`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct DiskDesired {
    /// How it is reached.
    #[part(name = "type")]
    pub kind: DiskType,
    /// Where it is reached, for `fc` and `iscsi`.
    pub targets: Option<Vec<Text>>,
    /// The pool that uses it.
    #[part(references = "storage_pool", on_delete = "set-null", scope = "follows-widely")]
    pub storage_pool: Option<Uuid>,
    /// The host that it sits in.
    #[part(references = "host", on_delete = "set-null", scope = "follows")]
    pub host: Option<Uuid>,
    /// MiB.
    #[part(range = 1..=8_796_093_022_207)]
    pub size: Option<i64>,
}

/// How a disk is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Enum)]
pub enum DiskType {
    /// It sits in the host.
    Local,
    /// Fibre Channel.
    Fc,
    /// iSCSI.
    Iscsi,
}

/// What is, of a [`Disk`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct DiskCurrent {
    /// MiB.
    pub size: Option<i64>,
    /// How it does: the worst that any host that sees it says.
    pub status: DiskStatus,
    /// Why it should not be relied on any more.
    pub error: Option<Text>,
}

/// How a disk does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Enum)]
pub enum DiskStatus {
    /// Nobody sees it.
    Missing,
    /// It answers.
    Ready,
    /// It fails.
    Broken,
}

/// A disk as one host sees it.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "host_disk", read_only, stored = "nowhere")]
#[entity(mount(path = "/host/disk", access = "protected"))]
#[entity(join("host", "disk"))]
pub struct HostDisk {
    /// The host.
    #[entity(key, references = "host", soft, scope = "follows")]
    pub host: Uuid,
    /// The disk.
    #[entity(key, references = "disk", soft)]
    pub disk: Text,
    /// What is.
    pub current: Option<HostDiskCurrent>,
}

/// What is, of a [`HostDisk`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct HostDiskCurrent {
    /// MiB.
    pub size: Option<i64>,
    /// Name of its device.
    pub link_name: Option<Text>,
    /// Model, where known.
    pub model: Option<Text>,
    /// Serial number, where known.
    pub serial: Option<Text>,
    /// How it is reached.
    #[part(name = "type")]
    pub kind: Option<DiskType>,
    /// How it does.
    pub status: Option<DiskStatus>,
    /// Why it should not be relied on any more.
    pub error: Option<Text>,
    /// The pool that it says it belongs to.
    #[part(references = "storage_pool", soft)]
    pub storage_pool: Option<Uuid>,
}

/// The least CPU that an instance may ask for.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "cpu_profile", everywhere)]
#[entity(mount(path = "/cpu-profile", access = "shared"))]
pub struct CpuProfile {
    /// Its identity.
    #[entity(key)]
    pub uuid: Uuid,
    /// What was ordered.
    pub desired: Option<CpuProfileDesired>,
}

/// What is ordered of a [`CpuProfile`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct CpuProfileDesired {
    /// For people.
    pub name: Text,
    /// The hypervisor's name of the model.
    pub model: Text,
    /// Features beyond the model's.
    #[part(default_json = "[]")]
    pub features: Vec<Text>,
}

/// Whether a host can offer a CPU profile.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "host_cpu_profile", read_only, stored = "nowhere")]
#[entity(mount(path = "/host/cpu-profile", access = "protected"))]
#[entity(join("host", "cpu_profile"))]
pub struct HostCpuProfile {
    /// The host.
    #[entity(key, references = "host", soft, scope = "follows")]
    pub host: Uuid,
    /// The profile.
    #[entity(key, references = "cpu_profile", soft)]
    pub cpu_profile: Uuid,
    /// What is.
    pub current: Option<HostCpuProfileCurrent>,
}

/// What is, of a [`HostCpuProfile`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct HostCpuProfileCurrent {
    /// Whether the host can offer it.
    pub supported: bool,
}
