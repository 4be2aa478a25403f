//! The cloud without I/O: tables, JSON document and patches, placement, reconcile engine, Controller and Agent.

pub mod agent;
pub mod channel;
pub mod controller;
pub mod document;
pub mod host;
mod lookup;
pub mod placement;
mod pool;
pub mod reconcile;
pub mod sim;
pub mod tables;

#[cfg(test)]
#[path = "../../pony-state/tests/seeds/mod.rs"]
mod seeds;
