//! What a machine is made of, as it was found.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The machine itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HostFact {
    /// Its name.
    pub hostname: String,
    /// Version of the agent.
    pub version: String,
    /// Release of its kernel, where known.
    pub kernel: Option<String>,
    /// What runs its guests, with versions, where known.
    pub hypervisor: Option<String>,
    /// Logical CPUs.
    pub cpus: i64,
    /// What these are.
    pub cpu: CpuFact,
    /// Memory, MiB.
    pub mem_mib: i64,
    /// Which CPUs and memory are near each other; empty where the machine does not tell.
    pub numa: Vec<NumaNode>,
    /// Its ways to disks of storage networks.
    pub hbas: Vec<Hba>,
    /// Unix time, seconds.
    pub boot_time: i64,
    /// `kvm` or `tcg`: what guests really run on, probed.
    pub accel: String,
    /// Its address on the network on which it reaches Sparkle, where known.
    pub address: Option<IpAddr>,
    /// How other hosts send guests here that run, and whom they then speak with, in words that only drivers
    /// understand; `None`: they cannot.
    pub migration: Option<String>,
}

/// The CPUs of a machine: of one kind, as the first says it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuFact {
    /// The maker's name of the model, where known.
    pub model: Option<String>,
    /// What they can, by the kernel's names, sorted.
    pub features: Vec<String>,
    /// Packages, where known.
    pub sockets: Option<i64>,
    /// Cores of all packages together, where known.
    pub cores: Option<i64>,
}

/// CPUs and the memory that is near them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumaNode {
    /// Its number.
    pub node: i64,
    /// Its logical CPUs, as ranges: `0-3,8`.
    pub cpus: String,
    /// Its memory, MiB.
    pub mem: i64,
}

/// A way to disks of a storage network.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Hba {
    /// The network.
    #[serde(rename = "type")]
    pub transport: DiskTransport,
    /// What it is called there: a WWPN (`0x…`), an IQN.
    pub name: String,
    /// Whether it can be used, in the kernel's words: `Online`, `Linkdown`…; `None` where there is no such thing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Its speed in the kernel's words, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed: Option<String>,
}

/// A network card of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NicFact {
    /// `nic.hwaddr`: the card's own, whatever its link shows at the moment.
    pub hwaddr: String,
    /// Its link's name.
    pub link_name: String,
    /// Whether it is up.
    pub up: bool,
    /// Whether it has a carrier.
    pub carrier: bool,
    /// Mbit/s where known.
    pub speed_mbit: Option<i64>,
    /// The kernel's driver, where known.
    pub driver: Option<String>,
    /// The cards that it can divide itself into, where it can.
    pub functions: Option<VirtualFunctions>,
    /// The link of the card that it is a virtual function of.
    pub part_of: Option<String>,
    /// The bond that it is part of.
    pub bond: Option<NicBond>,
}

/// What a card is to its bond.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NicBond {
    /// The name of the bond's link.
    pub name: String,
    /// Whether the card carries its traffic.
    pub active: bool,
}

/// The virtual functions of a network card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VirtualFunctions {
    /// As many as there are.
    pub count: i64,
    /// As many as there can be.
    pub max: i64,
}

/// A disk of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiskFact {
    /// `disk.id`: WWN, serial, or the best that there is.
    pub id: String,
    /// How it is reached.
    pub transport: DiskTransport,
    /// Device name.
    pub link_name: String,
    /// MiB.
    pub size_mib: i64,
    /// Model, where known.
    pub model: Option<String>,
    /// Serial number, where known.
    pub serial: Option<String>,
    /// Why it should not be relied on any more.
    pub fault: Option<String>,
    /// Commands that it did not carry out as it should, since it is there, where the kernel counts them.
    pub errors: Option<u64>,
}

/// How a disk is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskTransport {
    /// It sits in the machine, or in a box beside it.
    #[default]
    Local,
    /// Fibre Channel.
    Fc,
    /// iSCSI, by the kernel.
    Iscsi,
}
