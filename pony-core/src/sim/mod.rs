//! A simulated host at the level of the agent's steps, in virtual time: for tests of the agent alone and of whole
//! clouds of agents.
//!
//! Steps take time, fail, hang, and are abandoned; guests crash and ignore their power button; the agent's process
//! dies while the host goes on; the host itself reboots. Everything follows from a seed. What must never
//! happen on a host (a guest that runs without its disks, two writers of one volume, a deletion under a
//! running guest…) is checked at every effect and collected as [`SimHost::violations`].
//!
//! It simulates neither contents nor drivers: those promise to be idempotent, and so is this. For the drivers
//! themselves there is `pony-host::sim`, over the real traits.

mod config;
mod host;
mod job;
mod lun;
mod moves;
mod readings;
mod shelf;
mod uplinks;
mod world;

#[cfg(test)]
mod tests;

pub use config::{Fate, SimConfig};
pub use host::{SimAnswer, SimHost};
pub use lun::SimLun;
pub use moves::Departure;
pub use readings::Reading;
pub use shelf::SimShelf;
pub use world::{SimGuest, SimWorld};
