//! What the machine is made of, read from `/proc` and `/sys`, and from what udev noted where it runs.
//!
//! It only reads; it asks no daemon, and starts no program but `smartctl`, where that is installed. That something changed is told by the kernel (netlink:
//! uevents, links), and found by looking again every few seconds. Every path is taken below a root that tests may choose.

mod cpu;
mod hbas;
mod kernel;
mod machine;
mod nics;
mod own_address;
mod smart;
mod usage;
mod uuid;
mod watch;

pub use machine::{Machine, MachineOptions, local_address};
pub use uuid::machine_uuid;
