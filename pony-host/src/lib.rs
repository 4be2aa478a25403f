//! Drivers of a host, each behind a small trait ([`Hypervisor`], [`Network`], [`Storage`], [`Discovery`]) and a
//! cargo feature; and `sim`, a simulated host that keeps the same promises and can be told to fail.

#[cfg(any(feature = "discovery", feature = "storage"))]
#[cfg_attr(not(feature = "discovery"), allow(dead_code, reason = "storage looks for disks only"))]
mod block;
mod console;
#[cfg(feature = "discovery")]
mod discovery;
#[cfg(feature = "hypervisor")]
mod hypervisor;
#[cfg(feature = "network")]
mod network;
#[cfg(any(feature = "hypervisor", feature = "storage"))]
mod peers;
#[cfg(any(feature = "hypervisor", feature = "storage"))]
mod secrets;
#[cfg(feature = "sim")]
mod sim;
#[cfg(feature = "storage")]
mod storage;
mod traits;
mod usage;

pub use console::Console;
#[cfg(feature = "discovery")]
pub use discovery::{Machine, MachineOptions, local_address, machine_uuid};
#[cfg(feature = "hypervisor")]
pub use hypervisor::{
    Accel, BOOT_SECTOR_BYTES, DaemonFound, Libvirt, LibvirtOptions, ensure_libvirtd, marker_boot_sector,
    probe_accel,
};
#[cfg(feature = "network")]
pub use network::Netlink;
#[cfg(any(feature = "hypervisor", feature = "storage"))]
pub use peers::Peers;
#[cfg(feature = "sim")]
pub use sim::{SimFabric, SimHost, SimOp, SimOptions, SimStore};
#[cfg(feature = "storage")]
pub use storage::{HostStorage, StorageOptions};
pub use traits::{Discovery, Hypervisor, Network, Progress, Result, Storage};
pub use usage::{CpuTime, DiskUsage, GuestUsage, HostUsage, MemoryUsage, NicUsage, Traffic};
