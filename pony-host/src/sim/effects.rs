//! Counts of side effects: what really changed, not what was asked for.

use super::op::SimOp;
use std::collections::HashMap;
use uuid::Uuid;

/// Targets counted one by one: far more than any test orders, and a bound on a simulation that runs for ever.
/// What goes beyond is counted in the totals only.
const TARGETS_MAX: usize = 100_000;

/// How often each operation changed something.
#[derive(Debug, Default)]
pub(super) struct Effects {
    total: HashMap<SimOp, u64>,
    by_target: HashMap<(SimOp, Uuid), u64>,
}

impl Effects {
    pub(super) fn record(&mut self, op: SimOp, target: Uuid) {
        *self.total.entry(op).or_default() += 1;
        if self.by_target.len() < TARGETS_MAX || self.by_target.contains_key(&(op, target)) {
            *self.by_target.entry((op, target)).or_default() += 1;
        }
    }

    pub(super) fn total(&self, op: SimOp) -> u64 {
        self.total.get(&op).copied().unwrap_or_default()
    }

    pub(super) fn of(&self, op: SimOp, target: Uuid) -> u64 {
        self.by_target.get(&(op, target)).copied().unwrap_or_default()
    }
}
