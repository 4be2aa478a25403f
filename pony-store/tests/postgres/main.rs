//! The PostgreSQL store: the conformance suite, and what only a server can be tested for. All on private servers that
//! the tests start; without the package they say so and skip.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod backup;
mod chaos;
mod doubt;
mod fixture;
mod quotas;
mod races;
mod tls;

pony_store::conformance_suite!(fixture::fixture);
