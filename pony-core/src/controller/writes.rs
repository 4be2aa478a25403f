//! What the controller wants written to the database: one transaction at a time, retried with back-off, and taken
//! apart when it is refused, so that one write that cannot be does not hold up the others.

use super::damage::Damage;
use super::extents::{Claims, claim};
use pony_state::RowOp;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Operations of one transaction of the controller, so that users' writes get their turn.
pub const WRITE_OPS_MAX: usize = 256;
/// The first wait after a refused write, ms.
pub const WRITE_RETRY_MS_MIN: u64 = 1_000;
/// The longest wait after a refused write, ms: after the database was away, all goes on this soon.
pub const WRITE_RETRY_MS_MAX: u64 = 5_000;

/// A write that was handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WriteId(u64);

/// What a write is about. There is at most one write about each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Subject {
    Host(Uuid),
    Instance(Uuid),
    Volume(Uuid),
    /// Which hosts may touch a volume.
    Hold(Uuid),
    Image(Uuid),
    /// Where a card is plugged in.
    Port(Uuid),
    /// What a row uses, for `metering`.
    Metered(Uuid),
}

impl Subject {
    /// The volume that it is about.
    pub(crate) fn volume(&self) -> Option<Uuid> {
        match self {
            Self::Volume(uuid) | Self::Hold(uuid) => Some(*uuid),
            _ => None,
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    wanted: BTreeMap<Subject, Vec<RowOp>>,
    /// What may be metered otherwise than before, and since when, unix time, s.
    metered: BTreeMap<Uuid, i64>,
    in_flight: Option<(WriteId, BTreeMap<Subject, Vec<RowOp>>)>,
    placements: Placements,
    claims: Claims,
    /// So many of the next transactions have one operation: a larger one was refused.
    one_by_one: usize,
    retries: BTreeMap<Subject, Retry>,
    handed_out: u64,
}

/// Hosts by instance, of the placements that are wanted or on their way: kept in step, since very many other writes may
/// wait while a few instances are decided about.
pub(crate) type Placements = BTreeMap<Uuid, Uuid>;

#[derive(Debug, Clone, Copy)]
struct Retry {
    wait_ms: u64,
    /// `None` once it is due and tried again.
    at_ms: Option<u64>,
}

impl Retry {
    const fn waits(&self) -> bool {
        self.at_ms.is_some()
    }
}

impl Writes {
    /// Wants `ops` written about `subject`, in place of what was wanted before; perhaps nothing.
    pub(crate) fn want(&mut self, subject: Subject, ops: impl IntoIterator<Item = RowOp>) {
        let ops: Vec<RowOp> = ops.into_iter().collect();
        let before = self.wanted.remove(&subject);
        for (instance, _) in before.iter().flatten().filter_map(placement) {
            self.placements.remove(&instance);
        }
        self.unclaim(before.iter().flatten());
        if !ops.is_empty() {
            self.placements.extend(ops.iter().filter_map(placement));
            self.claims.extend(ops.iter().filter_map(claim));
            self.wanted.insert(subject, ops);
        }
    }

    /// Wants a target's metering looked at. What that makes to be written is found out when there is room for it: at a start
    /// that is very much.
    pub(crate) fn meter(&mut self, target: Uuid, since_unix_s: i64) {
        self.metered.insert(target, since_unix_s);
    }

    /// Whether a write about it has been handed out and not ended. Nothing is decided meanwhile: what it will
    /// bring is not known yet.
    pub(crate) fn is_in_flight(&self, subject: Subject) -> bool {
        self.in_flight.as_ref().is_some_and(|(_, ops)| ops.contains_key(&subject))
    }

    /// The placements that are wanted or on their way.
    pub(crate) const fn placements(&self) -> &Placements {
        &self.placements
    }

    /// The parts of disks that are wanted for volumes or on their way.
    pub(crate) const fn claims(&self) -> &Claims {
        &self.claims
    }

    fn unclaim<'a>(&mut self, ops: impl Iterator<Item = &'a RowOp>) {
        for (extent, _) in ops.filter_map(claim) {
            self.claims.remove(&extent);
        }
    }

    fn waits(&self, subject: &Subject) -> bool {
        self.retries.get(subject).is_some_and(Retry::waits)
    }

    /// What may be written now, of no more than `most` operations, but of one subject at least.
    fn ready(&self, most: usize) -> Vec<Subject> {
        let mut room = most;
        let ready = self.wanted.iter().filter(|(subject, _)| !self.waits(subject));
        let fitting = ready.take_while(|(_, ops)| {
            let fits = room == most || ops.len() <= room;
            room = room.saturating_sub(ops.len());
            fits
        });
        fitting.map(|(subject, _)| *subject).collect()
    }

    /// Adds what is to be written about the metering of targets, as long as all comes to no more than `most` operations, but
    /// one target where there is nothing else. Those about which there is nothing to write are done with.
    fn take_metered(
        &mut self,
        taken: &mut BTreeMap<Subject, Vec<RowOp>>,
        most: usize,
        meter: impl Fn(Uuid, i64) -> Vec<RowOp>,
    ) {
        let mut room = most.saturating_sub(taken.values().map(Vec::len).sum());
        let Self { metered, retries, .. } = self;
        let waits = |subject| retries.get(&subject).is_some_and(Retry::waits);
        metered.retain(|target, since| {
            let subject = Subject::Metered(*target);
            if room == 0 || waits(subject) {
                return true;
            }
            let ops = meter(*target, *since);
            if ops.len() > room && !taken.is_empty() {
                room = 0;
                return true;
            }
            room = room.saturating_sub(ops.len());
            if !ops.is_empty() {
                taken.insert(subject, ops);
            }
            false
        });
    }

    /// The next transaction. `meter` says what is to be written about the metering of a target, as of a time; `events` gives up
    /// to so many operations of the log when nothing else is wanted.
    pub(crate) fn take(
        &mut self,
        meter: impl Fn(Uuid, i64) -> Vec<RowOp>,
        events: impl FnOnce(usize) -> Vec<RowOp>,
    ) -> Option<(WriteId, Vec<RowOp>)> {
        if self.in_flight.is_some() {
            return None;
        }
        let most = if self.one_by_one > 0 { 1 } else { WRITE_OPS_MAX };
        let ready = self.ready(most);
        let mut own: BTreeMap<Subject, Vec<RowOp>> =
            ready.into_iter().filter_map(|subject| self.wanted.remove_entry(&subject)).collect();
        self.take_metered(&mut own, most, meter);
        let ops =
            if own.is_empty() { events(WRITE_OPS_MAX) } else { own.values().flatten().cloned().collect() };
        if ops.is_empty() {
            return None;
        }
        if !own.is_empty() {
            self.one_by_one = self.one_by_one.saturating_sub(1);
        }
        self.handed_out += 1;
        let id = WriteId(self.handed_out);
        self.in_flight = Some((id, own));
        Some((id, ops))
    }

    /// Notes how a write ended; the answer is to be decided about again.
    pub(crate) fn ended(&mut self, id: WriteId, succeeded: bool, now_ms: u64) -> Damage {
        let Some((_, ops)) = self.in_flight.take_if(|(in_flight, _)| *in_flight == id) else {
            return Damage::default();
        };
        for (instance, _) in ops.values().flatten().filter_map(placement) {
            self.placements.remove(&instance);
        }
        self.unclaim(ops.values().flatten());
        let subjects: BTreeSet<Subject> = ops.into_keys().collect();
        if succeeded {
            self.retries.retain(|subject, _| !subjects.contains(subject));
        } else if subjects.len() > 1 {
            self.one_by_one = subjects.len();
        } else {
            subjects.iter().for_each(|subject| self.put_off(*subject, now_ms));
        }
        Damage::of(subjects)
    }

    fn put_off(&mut self, subject: Subject, now_ms: u64) {
        let wait_ms = self.retries.get(&subject).map_or(WRITE_RETRY_MS_MIN, |it| it.wait_ms * 2);
        let wait_ms = wait_ms.min(WRITE_RETRY_MS_MAX);
        self.retries.insert(subject, Retry { wait_ms, at_ms: Some(now_ms.saturating_add(wait_ms)) });
    }

    /// Lets go on what has waited long enough. What is not wanted any more is forgotten.
    pub(crate) fn handle_timeout(&mut self, now_ms: u64) {
        let Self { retries, wanted, metered, in_flight, .. } = self;
        retries.retain(|subject, retry| {
            if retry.at_ms.is_some_and(|at| at <= now_ms) {
                retry.at_ms = None;
            }
            let flies = in_flight.as_ref().is_some_and(|(_, ops)| ops.contains_key(subject));
            let is_metered = matches!(subject, Subject::Metered(target) if metered.contains_key(target));
            retry.waits() || flies || is_metered || wanted.contains_key(subject)
        });
    }

    /// When [`Self::handle_timeout`] is due.
    pub(crate) fn poll_timeout(&self) -> Option<u64> {
        self.retries.values().filter_map(|retry| retry.at_ms).min()
    }
}

/// (instance, host), if that is a placement, or the beginning of a move.
fn placement(op: &RowOp) -> Option<(Uuid, Uuid)> {
    let uuid = |of: Option<&Json>| of.and_then(Json::as_str)?.parse().ok();
    let (host, instance) = match op {
        RowOp::Insert { table, row } if table == "host_instance" => (row.get("host"), row.get("instance")),
        RowOp::Update { table, key, columns } if table == "host_instance" => {
            (columns.get("target"), key.get("instance"))
        }
        _ => return None,
    };
    Some((uuid(instance)?, uuid(host)?))
}

#[cfg(test)]
mod tests {
    use super::super::ops;
    use super::*;
    use serde_json::json;

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    fn nothing(_: Uuid, _: i64) -> Vec<RowOp> {
        Vec::new()
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
        let (first, ops) = writes.take(nothing, |_| Vec::new()).unwrap();
        assert_eq!(ops.len(), WRITE_OPS_MAX);
        assert!(writes.is_in_flight(Subject::Volume(id(0))));
        assert!(writes.take(nothing, |_| Vec::new()).is_none());
        assert_eq!(writes.ended(first, true, 0).len(), WRITE_OPS_MAX);
        assert_eq!(writes.take(nothing, |_| Vec::new()).unwrap().1.len(), 1);
    }

    #[test]
    fn a_refused_transaction_is_taken_apart_and_only_the_bad_write_waits() {
        let mut writes = writes(2);
        let (both, _) = writes.take(nothing, |_| Vec::new()).unwrap();
        assert_eq!(writes.ended(both, false, 0).len(), 2);
        writes.wanted = self::writes(2).wanted;
        let (bad, ops) = writes.take(nothing, |_| Vec::new()).unwrap();
        assert_eq!(ops.len(), 1);
        assert_eq!(writes.ended(bad, false, 5).len(), 1);
        writes.want(Subject::Volume(id(0)), Some(ops[0].clone()));
        assert_eq!(writes.poll_timeout(), Some(5 + WRITE_RETRY_MS_MIN));
        let (good, ops) = writes.take(nothing, |_| Vec::new()).unwrap();
        assert_eq!(ops, [ops::delete("volume", [("uuid", json!(id(1)))])]);
        assert_eq!(writes.ended(good, true, 6).len(), 1);
        assert_eq!(writes.take(nothing, |_| Vec::new()), None);
        writes.handle_timeout(5 + WRITE_RETRY_MS_MIN);
        assert_eq!(writes.poll_timeout(), None);
        let (again, ops) = writes.take(nothing, |_| Vec::new()).unwrap();
        assert_eq!(ops, [ops::delete("volume", [("uuid", json!(id(0)))])]);
        writes.ended(again, false, 2_000);
        assert_eq!(writes.poll_timeout(), Some(2_000 + 2 * WRITE_RETRY_MS_MIN));
    }

    #[test]
    fn placements_are_known_from_when_they_are_wanted_until_their_write_ended() {
        let place = |host: u128| {
            let row = [("host", json!(id(host))), ("instance", json!(id(1)))];
            Some(ops::insert("host_instance", row))
        };
        let (mut writes, instance) = (Writes::default(), Subject::Instance(id(1)));
        let known = |writes: &Writes| writes.placements().get(&id(1)).copied();
        writes.want(instance, place(7));
        writes.want(instance, place(8));
        assert_eq!(known(&writes), Some(id(8)));
        let (write, _) = writes.take(nothing, |_| Vec::new()).unwrap();
        assert_eq!(known(&writes), Some(id(8)));
        writes.ended(write, true, 0);
        assert_eq!(known(&writes), None);
        writes.want(instance, place(7));
        writes.want(instance, None);
        assert_eq!(writes.placements().len(), 0);
    }

    /// Targets 0, 3, 6, … have nothing to be written, the others two operations each.
    fn of_target(target: Uuid, since: i64) -> Vec<RowOp> {
        let count = if target.as_u128().is_multiple_of(3) { 0 } else { 2 };
        let op =
            |n| ops::delete("metering", [("uuid", json!(target)), ("n", json!(n)), ("since", json!(since))]);
        (0..count).map(op).collect()
    }

    #[test]
    fn metering_is_found_out_when_there_is_room_for_it() {
        let mut writes = writes(WRITE_OPS_MAX as u128 - 1);
        (0..600).for_each(|n| writes.meter(id(n), 1));
        writes.meter(id(1), 5);
        let (first, ops) = writes.take(of_target, |_| Vec::new()).unwrap();
        assert_eq!(ops.len(), WRITE_OPS_MAX - 1, "two more do not fit");
        writes.ended(first, true, 0);
        let mut seen = BTreeSet::new();
        while let Some((write, ops)) = writes.take(of_target, |_| Vec::new()) {
            assert!(ops.len() <= WRITE_OPS_MAX);
            assert!(seen.is_empty() || ops.iter().all(|op| !seen.contains(&format!("{op:?}"))));
            seen.extend(ops.iter().map(|op| format!("{op:?}")));
            writes.ended(write, true, 0);
        }
        assert_eq!((seen.len(), writes.metered.len()), (800, 0));
        assert_eq!(seen.iter().filter(|op| op.contains("5)")).count(), 2, "the time of the last word counts");
    }

    #[test]
    fn metering_that_is_refused_waits_alone() {
        let mut writes = Writes::default();
        [1, 2].into_iter().for_each(|n| writes.meter(id(n), 1));
        let (both, _) = writes.take(of_target, |_| Vec::new()).unwrap();
        assert_eq!(writes.ended(both, false, 0).len(), 2);
        [1, 2].into_iter().for_each(|n| writes.meter(id(n), 1));
        let (bad, ops) = writes.take(of_target, |_| Vec::new()).unwrap();
        assert_eq!(ops, of_target(id(1), 1), "one target, whatever it takes");
        writes.ended(bad, false, 5);
        writes.meter(id(1), 2);
        let (good, ops) = writes.take(of_target, |_| Vec::new()).unwrap();
        assert_eq!(ops, of_target(id(2), 1));
        writes.ended(good, true, 6);
        assert_eq!(writes.take(of_target, |_| Vec::new()), None);
        writes.handle_timeout(5 + WRITE_RETRY_MS_MIN);
        assert_eq!(writes.take(of_target, |_| Vec::new()).unwrap().1, of_target(id(1), 2));
    }

    #[test]
    fn what_is_not_wanted_any_more_is_forgotten() {
        let mut writes = writes(1);
        let (write, _) = writes.take(nothing, |_| Vec::new()).unwrap();
        writes.ended(write, false, 0);
        writes.handle_timeout(WRITE_RETRY_MS_MIN);
        assert!(writes.retries.is_empty());
    }

    #[test]
    fn a_late_answer_to_an_unknown_write_changes_nothing() {
        let mut writes = writes(1);
        let (id, _) = writes.take(nothing, |_| Vec::new()).unwrap();
        assert_eq!(writes.ended(WriteId(77), true, 0).len(), 0);
        assert!(writes.take(nothing, |_| Vec::new()).is_none());
        assert_eq!(writes.ended(id, true, 0).len(), 1);
    }
}
