//! The one place where Twilight reads clocks; the agent is told the time.

use pony_state::sync::Now;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A monotonic clock that starts at 0, and Unix time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now(self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { ms: u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX), unix_s: unix.as_secs() }
    }

    /// The moment of an agent's time-out; far away when there is none.
    pub(crate) fn at(self, ms: Option<u64>) -> tokio::time::Instant {
        let far = Duration::from_secs(3_600);
        let at = ms.map_or_else(|| self.0.elapsed() + far, Duration::from_millis);
        tokio::time::Instant::from_std(self.0 + at)
    }
}
