//! The deadlines of a session, in one small table.

/// What can fall due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timer {
    /// Nothing was sent for a while: say something.
    KeepAlive,
    /// Nothing was heard for long: the peer is missing.
    Missing,
    /// A resync request may be sent, or is to be repeated.
    Resync,
    /// A full state that was asked for too soon may start.
    Full,
}

impl Timer {
    const ALL: [Self; 4] = [Self::KeepAlive, Self::Missing, Self::Resync, Self::Full];
}

/// When each timer falls due, in milliseconds of the caller's monotonic clock.
#[derive(Debug, Default)]
pub(crate) struct Timers([Option<u64>; Timer::ALL.len()]);

impl Timers {
    pub(crate) fn set(&mut self, timer: Timer, at_ms: u64) {
        self.0[timer as usize] = Some(at_ms);
    }

    pub(crate) fn set_earlier(&mut self, timer: Timer, at_ms: u64) {
        let slot = &mut self.0[timer as usize];
        *slot = Some(slot.map_or(at_ms, |old_ms| old_ms.min(at_ms)));
    }

    pub(crate) fn stop(&mut self, timer: Timer) {
        self.0[timer as usize] = None;
    }

    /// The next deadline.
    pub(crate) fn next(&self) -> Option<u64> {
        self.0.iter().flatten().copied().min()
    }

    /// Takes one timer that has fallen due out of the table.
    pub(crate) fn take_due(&mut self, now_ms: u64) -> Option<Timer> {
        let due =
            Timer::ALL.into_iter().find(|timer| self.0[*timer as usize].is_some_and(|at| at <= now_ms))?;
        self.stop(due);
        Some(due)
    }
}
