//! A target, and how long one waits for it.

use std::time::Duration;

/// A target, as a host signs in there.
#[derive(Clone)]
pub(in super::super) struct Target {
    /// `host:port`.
    pub(in super::super) portal: String,
    pub(in super::super) name: String,
    /// What this side calls itself.
    pub(in super::super) initiator: String,
    /// A user, and his secret.
    pub(in super::super) login: Option<(String, String)>,
    /// How long all that is done in one session may take.
    pub(in super::super) patience: Duration,
}
