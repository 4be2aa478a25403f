//! The document over the real tables: what reads show, what writes come to, what is refused and how.

#![allow(clippy::unwrap_used, clippy::needless_pass_by_value, unreachable_pub, missing_docs)]

mod cloud;
mod errors;
mod given;
mod reading;
mod schema;
mod semantics;
mod sweep;
mod watching;
mod writing;
