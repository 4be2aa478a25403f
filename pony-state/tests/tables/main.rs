//! Tables: their doors, their declarations, their readers and writers.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test's helper fails the test")]

mod bounds;
mod bulks;
#[path = "../cloud/mod.rs"]
mod cloud;
mod doors;
mod feed;
mod foreign;
mod schema;
mod shared;
