//! What the controller wants written to the database: one transaction at a time, retried with back-off, and taken
//! apart when it is refused, so that one write that cannot be does not hold up the others.

use super::damage::Damage;
use pony_state::RowOp;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Operations of one transaction of the controller, so that users' writes get their turn.
pub const WRITE_OPS_MAX: usize = 256;
/// The first wait after a refused write, ms.
pub const WRITE_RETRY_MS_MIN: u64 = 1_000;
/// The longest wait after a refused write, ms.
pub const WRITE_RETRY_MS_MAX: u64 = 30_000;

/// A write that was handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WriteId(u64);

/// What a write is about. There is at most one write about each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Subject {
    Host(Uuid),
    Instance(Uuid),
    Volume(Uuid),
    Image(Uuid),
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    wanted: BTreeMap<Subject, RowOp>,
    in_flight: Option<(WriteId, BTreeSet<Subject>)>,
    /// So many of the next transactions have one operation: a larger one was refused.
    one_by_one: usize,
    retries: BTreeMap<Subject, Retry>,
    handed_out: u64,
}

#[derive(Debug, Clone, Copy)]
struct Retry {
    wait_ms: u64,
    /// `None` once it is due and tried again.
    at_ms: Option<u64>,
}

impl Writes {
    /// Wants `op` written about `subject`, in place of what was wanted before; `None`: nothing.
    pub(crate) fn want(&mut self, subject: Subject, op: Option<RowOp>) {
        match op {
            Some(op) => self.wanted.insert(subject, op),
            None => self.wanted.remove(&subject),
        };
    }

    /// Whether a write about it has been handed out and not ended. Nothing is decided meanwhile: what it will
    /// bring is not known yet.
    pub(crate) fn is_in_flight(&self, subject: Subject) -> bool {
        self.in_flight.as_ref().is_some_and(|(_, subjects)| subjects.contains(&subject))
    }

    /// Asks for a host to be taken in, once.
    pub(crate) fn enroll(&mut self, host: Uuid, op: RowOp) {
        if !self.is_in_flight(Subject::Host(host)) {
            self.wanted.insert(Subject::Host(host), op);
        }
    }

    /// The next transaction; `events` gives up to so many operations of the log when nothing else is wanted.
    pub(crate) fn take(&mut self, events: impl FnOnce(usize) -> Vec<RowOp>) -> Option<(WriteId, Vec<RowOp>)> {
        if self.in_flight.is_some() {
            return None;
        }
        let most = if self.one_by_one > 0 { 1 } else { WRITE_OPS_MAX };
        let mut subjects = BTreeSet::new();
        let mut ops = Vec::new();
        while ops.len() < most {
            let Some((subject, op)) = self.wanted.pop_first() else { break };
            subjects.insert(subject);
            ops.push(op);
        }
        if ops.is_empty() {
            ops = events(WRITE_OPS_MAX);
        } else {
            self.one_by_one = self.one_by_one.saturating_sub(1);
        }
        if ops.is_empty() {
            return None;
        }
        self.handed_out += 1;
        let id = WriteId(self.handed_out);
        self.in_flight = Some((id, subjects));
        Some((id, ops))
    }

    /// Notes how a write ended; the answer is to be decided about again.
    pub(crate) fn ended(&mut self, id: WriteId, succeeded: bool, now_ms: u64) -> Damage {
        let Some((_, subjects)) = self.in_flight.take_if(|(in_flight, _)| *in_flight == id) else {
            return Damage::default();
        };
        if succeeded {
            self.retries.retain(|subject, _| !subjects.contains(subject));
            return Damage::of(subjects);
        }
        if subjects.len() > 1 {
            self.one_by_one = subjects.len();
            return Damage::of(subjects);
        }
        for subject in subjects {
            let wait_ms = self.retries.get(&subject).map_or(WRITE_RETRY_MS_MIN, |it| it.wait_ms * 2);
            let wait_ms = wait_ms.min(WRITE_RETRY_MS_MAX);
            self.retries.insert(subject, Retry { wait_ms, at_ms: Some(now_ms.saturating_add(wait_ms)) });
        }
        Damage::default()
    }

    /// What is to be decided about again since its wait is over.
    pub(crate) fn due(&mut self, now_ms: u64) -> Damage {
        let due = |retry: &Retry| retry.at_ms.is_some_and(|at| at <= now_ms);
        let subjects: BTreeSet<_> =
            self.retries.iter().filter(|(_, it)| due(it)).map(|(it, _)| *it).collect();
        for subject in &subjects {
            if let Some(retry) = self.retries.get_mut(subject) {
                retry.at_ms = None;
            }
        }
        Damage::of(subjects)
    }

    /// When [`Self::due`] has something.
    pub(crate) fn poll_timeout(&self) -> Option<u64> {
        self.retries.values().filter_map(|retry| retry.at_ms).min()
    }
}

#[cfg(test)]
mod tests {
    use super::super::ops;
    use super::*;
    use serde_json::json;

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    fn writes(n: u128) -> Writes {
        let mut writes = Writes::default();
        for n in 0..n {
            writes.want(Subject::Volume(id(n)), Some(ops::delete("volume", [("uuid", json!(id(n)))])));
        }
        writes
    }

    #[test]
    fn one_transaction_is_out_at_a_time_and_bounded() {
        let mut writes = writes(WRITE_OPS_MAX as u128 + 1);
        let (first, ops) = writes.take(|_| Vec::new()).unwrap();
        assert_eq!(ops.len(), WRITE_OPS_MAX);
        assert!(writes.is_in_flight(Subject::Volume(id(0))));
        assert!(writes.take(|_| Vec::new()).is_none());
        assert_eq!(writes.ended(first, true, 0).len(), WRITE_OPS_MAX);
        assert_eq!(writes.take(|_| Vec::new()).unwrap().1.len(), 1);
    }

    #[test]
    fn a_refused_transaction_is_taken_apart_and_only_the_bad_write_waits() {
        let mut writes = writes(2);
        let (id_both, _) = writes.take(|_| Vec::new()).unwrap();
        assert_eq!(writes.ended(id_both, false, 0).len(), 2);
        let mut again = self::writes(2);
        std::mem::swap(&mut writes.wanted, &mut again.wanted);
        let (bad, ops) = writes.take(|_| Vec::new()).unwrap();
        assert_eq!(ops.len(), 1);
        assert_eq!(writes.ended(bad, false, 5).len(), 0);
        assert_eq!(writes.poll_timeout(), Some(5 + WRITE_RETRY_MS_MIN));
        let (good, ops) = writes.take(|_| Vec::new()).unwrap();
        assert_eq!(ops.len(), 1);
        assert_eq!(writes.ended(good, true, 6).len(), 1);
        assert_eq!(writes.due(5 + WRITE_RETRY_MS_MIN).len(), 1);
        assert_eq!(writes.poll_timeout(), None);
    }

    #[test]
    fn a_late_answer_to_an_unknown_write_changes_nothing() {
        let mut writes = writes(1);
        let (id, _) = writes.take(|_| Vec::new()).unwrap();
        assert_eq!(writes.ended(WriteId(77), true, 0).len(), 0);
        assert!(writes.take(|_| Vec::new()).is_none());
        assert_eq!(writes.ended(id, true, 0).len(), 1);
    }
}
