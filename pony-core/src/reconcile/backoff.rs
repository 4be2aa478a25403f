//! When a failed step is tried again. Knows nothing of what the step does.

use super::Config;
use crate::host::{DriverError, DriverErrorKind};

/// A small generator of random numbers, good enough to keep many hosts from retrying in step.
#[derive(Debug, Clone)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// A generator that gives the same numbers for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 where that is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next_u64() % bound }
    }
}

/// A failure that has not been made up for.
#[derive(Debug, Clone)]
pub(super) struct Failure<S> {
    /// What failed. Another step for the same resource does not wait for this one's next try.
    pub(super) step: S,
    pub(super) error: DriverError,
    at_ms: u64,
    pub(super) next_ms: u64,
}

/// The memory of failures of one resource.
#[derive(Debug, Clone)]
pub(super) struct Retry<S> {
    /// Failures since the last recovery.
    pub(super) attempts: u32,
    pub(super) failure: Option<Failure<S>>,
    /// The step that succeeded last, and when: the same step being needed again soon means that it did not
    /// bring about what it promised, and must not be repeated in a tight loop.
    success: Option<(S, u64)>,
}

impl<S> Default for Retry<S> {
    fn default() -> Self {
        Self { attempts: 0, failure: None, success: None }
    }
}

impl<S: PartialEq> Retry<S> {
    /// Counts a failure and sets the time of the next try.
    pub(super) fn fail(
        &mut self,
        now_ms: u64,
        step: S,
        error: DriverError,
        config: &Config,
        random: &mut SplitMix64,
    ) {
        self.attempts = self.attempts.saturating_add(1);
        let delay = jittered(delay_ms(self.attempts, error.kind, config), random);
        self.success = None;
        self.failure = Some(Failure { step, error, at_ms: now_ms, next_ms: now_ms.saturating_add(delay) });
    }

    /// A step succeeded: what failed before, if it was this one, no longer needs to be explained.
    pub(super) fn succeed(&mut self, now_ms: u64, step: S) {
        if self.failure.as_ref().is_some_and(|f| f.step == step) {
            self.failure = None;
        }
        self.success = Some((step, now_ms));
    }

    /// The order is another one.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Something it depends on changed: brings the next try forward, but keeps the shortest distance between
    /// two tries, so that circumstances which a failing step changes by itself do not make it spin.
    pub(super) fn hurry(&mut self, now_ms: u64, config: &Config) {
        if let Some(failure) = &mut self.failure {
            let earliest = failure.at_ms.saturating_add(config.backoff_first_ms).max(now_ms);
            failure.next_ms = failure.next_ms.min(earliest);
        }
    }

    /// When the step may be tried, if that is not now.
    pub(super) fn blocked_until(&self, step: &S, now_ms: u64) -> Option<u64> {
        let failure = self.failure.as_ref()?;
        (failure.step == *step && failure.next_ms > now_ms).then_some(failure.next_ms)
    }

    /// Whether the step succeeded so recently that needing it again is a failure.
    pub(super) fn repeats(&self, step: &S, now_ms: u64, config: &Config) -> bool {
        self.success.as_ref().is_some_and(|(s, at)| s == step && now_ms < at.saturating_add(config.settle_ms))
    }
}

/// The wait before the next try, before jitter.
fn delay_ms(attempts: u32, kind: DriverErrorKind, config: &Config) -> u64 {
    match kind {
        DriverErrorKind::Order | DriverErrorKind::Unsupported => config.backoff_cap_ms,
        DriverErrorKind::Transient => {
            let doublings = attempts.saturating_sub(1).min(32);
            config.backoff_first_ms.saturating_mul(1 << doublings).min(config.backoff_cap_ms)
        }
    }
}

/// Between three and five quarters of `delay`.
fn jittered(delay: u64, random: &mut SplitMix64) -> u64 {
    (delay - delay / 4).saturating_add(random.below(delay / 2 + 1))
}
