//! What the machine is made of, read from `/proc` and `/sys`.
//!
//! It only reads; it asks no daemon (no udev, no libvirt) and starts no program. Changes are found by looking
//! again every few seconds. Every path is taken below a root that tests may choose.

mod disks;
mod files;
mod machine;
mod nics;
mod uuid;

pub use machine::{Machine, MachineOptions};
pub use uuid::machine_uuid;
