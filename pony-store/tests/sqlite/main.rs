//! The SQLite store: the conformance suite, and what only a file can be tested for.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod addresses;
mod crash;
mod faults;
mod files;
mod fixture;
mod migrations;
mod random;
mod shell;

pony_store::conformance_suite!(fixture::some);
