//! When to ask the peer for everything: once per loss of sequence, repeated while unanswered, never often.

use super::bounds::{RESYNC_INTERVAL_MS, RESYNC_RETRY_MS, RESYNC_RETRY_MS_MAX};
use super::timer::{Timer, Timers};

/// The state of our request for the peer's full state.
#[derive(Debug, Default)]
pub(crate) struct Resync {
    /// A request is wanted or under way; ends when a full state is accepted.
    wanted: bool,
    /// A request may be sent now.
    due: bool,
    /// How often this request was sent.
    attempts: u32,
    /// When the last request of all was sent.
    sent_ms: Option<u64>,
}

impl Resync {
    /// The peer's sequence is lost: ask, unless that is under way.
    pub(crate) fn want(&mut self, now_ms: u64, timers: &mut Timers) {
        if self.wanted {
            return;
        }
        self.wanted = true;
        match self.sent_ms.map(|sent_ms| sent_ms.saturating_add(RESYNC_INTERVAL_MS)) {
            Some(earliest_ms) if now_ms < earliest_ms => timers.set(Timer::Resync, earliest_ms),
            _ => self.due = true,
        }
    }

    /// The answer is coming in piece by piece: do not repeat the request in the middle of it.
    pub(crate) fn progress(&mut self, now_ms: u64, timers: &mut Timers) {
        if self.wanted && self.attempts > 0 {
            self.due = false;
            timers.set(Timer::Resync, now_ms.saturating_add(RESYNC_RETRY_MS));
        }
    }

    /// A full state was accepted.
    pub(crate) fn answered(&mut self, timers: &mut Timers) {
        timers.stop(Timer::Resync);
        *self = Self { sent_ms: self.sent_ms, ..Self::default() };
    }

    /// [`Timer::Resync`] fell due.
    pub(crate) fn expired(&mut self) {
        self.due = self.wanted;
    }

    /// Whether to send a request now; if so, it counts as sent.
    pub(crate) fn take(&mut self, now_ms: u64, timers: &mut Timers) -> bool {
        if !self.due {
            return false;
        }
        self.due = false;
        self.sent_ms = Some(now_ms);
        let wait_ms = RESYNC_RETRY_MS.saturating_mul(1 << self.attempts.min(8)).min(RESYNC_RETRY_MS_MAX);
        self.attempts = self.attempts.saturating_add(1);
        timers.set(Timer::Resync, now_ms.saturating_add(wait_ms));
        true
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted
    }
}
