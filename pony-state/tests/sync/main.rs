//! The state exchange: single sessions fed by hand, and two of them on networks that fail.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test's helper fails the test")]

mod admission;
mod bounds;
mod network;
mod rows;
#[path = "../seeds/mod.rs"]
mod seeds;
mod session;
mod side;
mod wire;
mod world;
