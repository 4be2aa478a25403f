//! The clocks of whoever drives a sans-IO session over a link: the one place where a daemon reads them.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::time::Instant as Moment;

/// What "never" is for a timer, so that a wait needs no special case.
const FAR: Duration = Duration::from_secs(3_600);

/// A monotonic clock in milliseconds since its start, and Unix time.
///
/// ```
/// let clock = pony_net::Clock::start();
/// assert!(clock.ms() < 60_000 && clock.unix_s() > 1_700_000_000);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Clock(Instant);

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Milliseconds since the start.
    #[must_use]
    pub fn ms(self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Unix time in whole seconds; 0 where the system's clock is before 1970.
    #[must_use]
    pub fn unix_s(self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
    }

    /// The moment at which this clock shows `ms`, to sleep until; an hour from now for `None`.
    #[must_use]
    pub fn moment(self, ms: Option<u64>) -> Moment {
        let at = ms.map_or_else(|| self.0.elapsed() + FAR, Duration::from_millis);
        Moment::from_std(self.0 + at)
    }
}
