//! What the engine tells about a resource.

/// Where a resource stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// It is as ordered.
    Done,
    /// A step is under way.
    Working,
    /// A step was told to end and has not.
    Cancelling,
    /// A step could run, but its lane is full.
    Queued,
    /// Something else must happen first; what, in words.
    Waiting(String),
    /// The last try failed; the next one is due at `next_retry_ms`.
    Retrying,
    /// The order cannot be met; why, in words.
    Cannot(String),
}

impl Phase {
    /// Whether a try is due or under way, which may fail as the last one did.
    pub(super) const fn tries(&self) -> bool {
        matches!(self, Self::Working | Self::Queued | Self::Retrying)
    }
}

/// What the engine tells about a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Where it stands.
    pub phase: Phase,
    /// Why the last try failed, until one succeeds.
    pub error: Option<crate::host::DriverError>,
    /// Failures since the last recovery.
    pub attempts: u32,
    /// When the try after the one that failed is due; in the past while that is under way.
    pub next_retry_ms: Option<u64>,
}

impl Status {
    /// Why it is not as ordered, in words; the most telling reason there is.
    pub fn reason(&self) -> Option<&str> {
        match &self.phase {
            Phase::Cannot(reason) | Phase::Waiting(reason) => Some(reason),
            Phase::Done => None,
            _ => self.error.as_ref().map(|e| e.message.as_str()),
        }
    }
}
