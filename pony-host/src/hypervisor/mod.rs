//! The hypervisor driver: guests as libvirt domains under QEMU, with KVM or without.
//!
//! What it does: turns an [`InstanceSpec`](pony_core::host::InstanceSpec) into a domain and back, carries out one
//! step at a time, tells what changes, finds out whether KVM really runs guests ([`probe_accel`]) and starts the
//! daemon where nobody else does ([`ensure_libvirtd`]). What it does not do: decide anything, touch disks or links,
//! or look at domains of anybody else: a domain belongs to this agent if its metadata name this host's uuid.
//!
//! Neighbours: `libvirt` (the driver) asks `link` (the connection) to run the blocking steps of `domain` and
//! `adjust` (which changes guests that run), which speak the texts of `xml`, `live` and `metadata`; `ffi` is the only unsafe code, `hub` spreads what it hears.
//! Calls cannot be taken back: `turns` lets one be done after the other, `held` sees to it that one that hangs is in
//! nobody's way for long, and `flights` remembers what may still come of it. A daemon that hangs itself is ended by `hung`.
//!
//! What a guest is told of itself is a disc in a drive of its own (`seeds`, in the format of `iso9660`), for cloud-init.
//!
//! Guests move between hosts by libvirt itself (`depart`), through sockets (`rooms`) which two of these drivers join by an
//! encrypted connection (`crate::peers`): `passage` at the host that a guest leaves, `gate` at the one that it comes to.

mod accel;
mod adjust;
mod boot_sector;
mod console;
mod cpus;
mod daemon;
mod depart;
mod disks;
mod domain;
mod elements;
mod error;
mod facts;
#[allow(unsafe_code)]
mod ffi;
mod flights;
mod gate;
mod held;
mod hub;
mod hung;
mod iso9660;
mod kvm;
mod libvirt;
mod link;
mod live;
mod metadata;
mod passage;
mod probe;
mod rooms;
mod secrets;
mod seeds;
mod turns;
mod usage;
mod xml;

pub use accel::Accel;
pub use boot_sector::{BOOT_SECTOR_BYTES, marker_boot_sector};
pub use daemon::{DaemonFound, ensure_libvirtd};
pub use libvirt::{Libvirt, LibvirtOptions};
pub use probe::probe_accel;
