//! Which resources are to be looked at: those that something happened to, those whose time has come, and those whose
//! turn it is. Knows nothing of steps.

use std::collections::BTreeSet;

/// The resources to look at. A resource is in it at most once for each reason.
#[derive(Debug, Clone)]
pub(super) struct Agenda<I> {
    /// Something happened to them.
    touched: BTreeSet<I>,
    /// By the time at which they are to be looked at.
    wakes: BTreeSet<(u64, I)>,
    /// Those that wait for a slot of a lane, by the lane and by the time since when: first come, first served.
    queues: BTreeSet<(usize, u64, I)>,
}

impl<I> Default for Agenda<I> {
    fn default() -> Self {
        Self { touched: BTreeSet::new(), wakes: BTreeSet::new(), queues: BTreeSet::new() }
    }
}

impl<I: Copy + Ord> Agenda<I> {
    pub(super) fn touch(&mut self, id: I) {
        self.touched.insert(id);
    }

    pub(super) fn touched(&self) -> &BTreeSet<I> {
        &self.touched
    }

    /// Those that something happened to, until now, and those whose time has come.
    pub(super) fn take_due(&mut self, now_ms: u64) -> BTreeSet<I> {
        let due = self.wakes.iter().take_while(|(at, _)| *at <= now_ms).map(|(_, id)| *id);
        std::mem::take(&mut self.touched).into_iter().chain(due).collect()
    }

    /// Moves the time at which a resource is to be looked at.
    pub(super) fn wake(&mut self, id: I, before_ms: Option<u64>, at_ms: Option<u64>) {
        if before_ms == at_ms {
            return;
        }
        if let Some(before) = before_ms {
            self.wakes.remove(&(before, id));
        }
        self.wakes.extend(at_ms.map(|at| (at, id)));
    }

    /// The first time at which one is to be looked at.
    pub(super) fn first_wake(&self) -> Option<u64> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// Moves a resource from one queue to another.
    pub(super) fn queue(&mut self, id: I, before: Option<(usize, u64)>, now: Option<(usize, u64)>) {
        if let Some((lane, since)) = before {
            self.queues.remove(&(lane, since, id));
        }
        self.queues.extend(now.map(|(lane, since)| (lane, since, id)));
    }

    /// Those that have waited longest for the lane.
    pub(super) fn waiting_for(&self, lane: usize) -> impl Iterator<Item = I> {
        let queue = self.queues.iter().skip_while(move |(it, _, _)| *it < lane);
        queue.take_while(move |(it, _, _)| *it == lane).map(|(_, _, id)| *id)
    }
}
