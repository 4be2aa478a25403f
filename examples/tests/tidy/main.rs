//! What CONTRIBUTING.md and ARCHITECTURE.md promise of the sources and neither compiler nor clippy can check.
#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

mod crates;
mod docs;
mod map;
mod pure;
mod size;
mod sources;
