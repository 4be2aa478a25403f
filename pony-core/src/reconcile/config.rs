//! The engine's bounds, each with its unit and its reason.

/// A class of steps with a bound of its own, so that a crowd of slow ones never delays the quick ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneConfig {
    /// Steps under way at the same time.
    pub slots: usize,
    /// A step that neither ends nor reports progress for this long is cancelled and counts as failed, so that
    /// a driver that hangs in spite of its own time-outs holds neither its resource nor its slot for ever.
    pub stall_ms: u64,
}

/// The engine's bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The lanes; a step that names none of them runs in the last one.
    pub lanes: Vec<LaneConfig>,
    /// The wait after a first failure, before jitter. Doubles with each further one.
    pub backoff_first_ms: u64,
    /// The longest wait between two tries, before jitter. Orders that cannot be met are tried at this period.
    pub backoff_cap_ms: u64,
    /// A cancelled step that has not ended after this long no longer holds up its successor: drivers are
    /// idempotent, and a person's later order must win in bounded time.
    pub cancel_grace_ms: u64,
    /// Executions of one resource that may be on their way out at the same time. A driver that does not end
    /// what it is told to end must not be given ever more of it.
    pub leftover_max: usize,
    /// A resource that stayed as ordered for this long has recovered: its attempts count from one again. Must
    /// exceed `backoff_cap_ms`, or what breaks down after each repair would never back off that far.
    pub settle_ms: u64,
    /// Everything is reviewed at least this often, signal or not.
    pub period_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lanes: vec![LaneConfig { slots: 8, stall_ms: 60_000 }],
            backoff_first_ms: 1_000,
            backoff_cap_ms: 60_000,
            cancel_grace_ms: 500,
            leftover_max: 4,
            settle_ms: 90_000,
            period_ms: 30_000,
        }
    }
}

impl Config {
    /// The lane that index stands for.
    pub(super) fn lane(&self, index: usize) -> LaneConfig {
        self.lanes
            .get(index)
            .or(self.lanes.last())
            .copied()
            .unwrap_or(LaneConfig { slots: 1, stall_ms: self.backoff_cap_ms })
    }

    /// The index that an index really stands for.
    pub(super) fn lane_index(&self, index: usize) -> usize {
        index.min(self.lanes.len().saturating_sub(1))
    }
}
