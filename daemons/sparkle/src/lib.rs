//! Sparkle, the controller: store, REST API, placement, hosts.
pub mod auth;
