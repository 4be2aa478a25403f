//! Decides what becomes of an operation: by the seed, or as it was told.

use super::{op::SimOp, options::SimOptions, random::Random};
use pony_core::host::DriverErrorKind;
use std::collections::{HashMap, HashSet, VecDeque};

/// What becomes of one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It does what it is meant to.
    Well,
    /// It fails and changes nothing.
    FailsBefore(DriverErrorKind),
    /// It takes effect, and then the answer is lost.
    FailsAfter,
    /// It never answers and changes nothing.
    Hangs,
}

/// The faults of one host.
#[derive(Debug)]
pub(super) struct Faults {
    random: Random,
    failure_rate: f64,
    hang_rate: f64,
    crash_rate: f64,
    ordered: HashMap<SimOp, VecDeque<DriverErrorKind>>,
    hung: HashSet<SimOp>,
}

impl Faults {
    pub(super) fn new(options: &SimOptions) -> Self {
        Self {
            random: Random::new(options.seed),
            failure_rate: options.failure_rate,
            hang_rate: options.hang_rate,
            crash_rate: options.crash_rate,
            ordered: HashMap::new(),
            hung: HashSet::new(),
        }
    }

    pub(super) fn set_rates(&mut self, failure: f64, hang: f64, crash: f64) {
        (self.failure_rate, self.hang_rate, self.crash_rate) = (failure, hang, crash);
    }

    pub(super) fn fail_next(&mut self, op: SimOp, kind: DriverErrorKind) {
        self.ordered.entry(op).or_default().push_back(kind);
    }

    pub(super) fn hang(&mut self, op: SimOp) {
        self.hung.insert(op);
    }

    pub(super) fn release(&mut self, op: SimOp) {
        self.hung.remove(&op);
    }

    pub(super) fn is_hung(&self, op: SimOp) -> bool {
        self.hung.contains(&op)
    }

    /// Draws the fate of an operation that begins now.
    pub(super) fn fate(&mut self, op: SimOp) -> Fate {
        if let Some(kind) = self.ordered.get_mut(&op).and_then(VecDeque::pop_front) {
            return Fate::FailsBefore(kind);
        }
        if self.random.happens(self.hang_rate) {
            return Fate::Hangs;
        }
        if !self.random.happens(self.failure_rate) {
            return Fate::Well;
        }
        match self.random.happens(0.5) {
            true => Fate::FailsBefore(DriverErrorKind::Transient),
            false => Fate::FailsAfter,
        }
    }

    /// After what fraction of its time a guest that starts now will crash, if it will.
    pub(super) fn crash_after(&mut self) -> Option<f64> {
        self.random.happens(self.crash_rate).then(|| self.random.fraction())
    }
}
