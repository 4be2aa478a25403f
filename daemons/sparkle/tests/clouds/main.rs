//! Sparkle with what makes a cloud of it: database servers, hosts, networks.

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../api/client.rs"]
mod client;
mod consoles;
mod database;
mod disks;
mod hosts;
#[path = "../../../../pony-host/tests/lab/mod.rs"]
mod lab;
mod link_matrix;
#[path = "../../../../pony-host/tests/namespace/mod.rs"]
mod namespace;
mod servers;
mod shared_pools;
mod tenant_networks;
mod uplinks;

/// What [`namespace`] says where there is no guest.
mod suite {
    pub(crate) fn skipped(why: impl std::fmt::Display) {
        println!("skipped: {}: {why}", std::thread::current().name().unwrap_or("?"));
    }
}
