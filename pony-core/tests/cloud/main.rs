//! The controller alone, with scripted hosts, and a whole simulated cloud: controller, agents, network, database.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::needless_pass_by_value, reason = "tests")]

mod copies;
mod database;
mod events;
mod extents;
mod hosts;
mod metering;
mod moves;
mod placement;
mod ports;
mod remotes;
mod rig;
#[path = "../../../pony-state/tests/seeds/mod.rs"]
mod seeds;
mod shared;
mod simulation;
mod volumes;
