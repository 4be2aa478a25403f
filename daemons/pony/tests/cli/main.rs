//! The real `pony` against the real document.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "clippy does not know helpers of tests as such")]
#![allow(clippy::needless_pass_by_value, unreachable_pub, reason = "helpers of tests")]

mod account;
mod apply;
mod cloud;
mod delete;
mod explain;
mod get;
mod order;
