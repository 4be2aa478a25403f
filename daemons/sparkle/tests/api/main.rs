//! A whole Sparkle over HTTP, on a database of its own; no host is there.

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod client;
mod doors;
mod edges;
mod lists;
mod logs;
mod metering;
mod requests;
mod sign_in;
mod stream;
mod tls;
mod writes;
