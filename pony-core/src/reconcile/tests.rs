//! The engine over a toy world: counters that are ordered to reach a number, with a fake clock.

use super::*;
use crate::host::{DriverError, DriverErrorKind};
use std::collections::BTreeMap;

type Cmd = Command<u32, Step>;

#[derive(Debug, Clone, PartialEq)]
struct Step {
    to: i64,
    lane: usize,
}

/// What is ordered of each resource, what is there, and what each depends on.
#[derive(Default)]
struct Toy {
    orders: BTreeMap<u32, i64>,
    facts: BTreeMap<u32, i64>,
    needs: BTreeMap<u32, u32>,
    lanes: BTreeMap<u32, usize>,
}

impl Toy {
    fn as_ordered(&self, id: u32) -> bool {
        self.orders.get(&id) == self.facts.get(&id)
    }
}

impl World for Toy {
    type Id = u32;
    type Step = Step;

    fn ids(&self) -> Vec<u32> {
        self.orders.keys().chain(self.facts.keys()).copied().collect()
    }

    fn order(&self, id: u32) -> Stamp {
        stamp(&self.orders.get(&id))
    }

    fn circumstances(&self, id: u32) -> Stamp {
        stamp(&self.needs.get(&id).map(|n| self.as_ordered(*n)))
    }

    fn plan(&self, id: u32, _runs: &Runs<u32, Step>) -> Plan<Step> {
        let (order, fact) = (self.orders.get(&id), self.facts.get(&id));
        let lane = self.lanes.get(&id).copied().unwrap_or(0);
        let dependants = self.needs.iter().filter(|(_, needed)| **needed == id);
        match (order, fact) {
            (None, None) => Plan::Gone,
            (order, fact) if order == fact => Plan::Done,
            (Some(-1), _) => Plan::Cannot("negative".to_owned()),
            (None, Some(_)) if dependants.into_iter().any(|(d, _)| self.facts.contains_key(d)) => {
                Plan::wait("something still uses it")
            }
            (Some(to), _) => match self.needs.get(&id) {
                Some(n) if self.orders.contains_key(n) && !self.as_ordered(*n) => {
                    Plan::wait(format!("waiting for {n}"))
                }
                _ => Plan::Step(Step { to: *to, lane }),
            },
            (None, Some(_)) => Plan::Step(Step { to: 0, lane }),
        }
    }

    fn lane(&self, step: &Step) -> usize {
        step.lane
    }
}

fn config() -> Config {
    let lane = LaneConfig { slots: 2, stall_ms: 10_000 };
    Config { lanes: vec![lane, lane], ..Config::default() }
}

fn engine() -> Engine<u32, Step> {
    Engine::new(config(), 7)
}

fn ordered(orders: &[(u32, i64)]) -> Toy {
    Toy { orders: orders.iter().copied().collect(), ..Toy::default() }
}

fn commands(engine: &mut Engine<u32, Step>) -> Vec<Cmd> {
    std::iter::from_fn(|| engine.poll_command()).collect()
}

/// Reviews and returns the executions that this started, by resource.
fn started(engine: &mut Engine<u32, Step>, now_ms: u64, world: &Toy) -> BTreeMap<u32, RunId> {
    engine.review(now_ms, world);
    commands(engine)
        .into_iter()
        .filter_map(|c| match c {
            Command::Run { run, id, .. } => Some((id, run)),
            Command::Cancel { .. } => None,
        })
        .collect()
}

fn failed(kind: DriverErrorKind) -> Outcome {
    Outcome::Failed(DriverError { kind, message: "no".to_owned() })
}

const TRANSIENT: DriverErrorKind = DriverErrorKind::Transient;

#[test]
fn one_step_per_resource_until_it_is_as_ordered() {
    let (mut engine, mut world) = (engine(), ordered(&[(1, 5)]));
    let runs = started(&mut engine, 0, &world);
    assert_eq!(runs.len(), 1);
    assert!(started(&mut engine, 1, &world).is_empty(), "the step is under way");
    assert_eq!(engine.status(1).unwrap().phase, Phase::Working);
    world.facts.insert(1, 5);
    let ended = engine.handle_outcome(2, runs[&1], &Outcome::Done).unwrap();
    assert_eq!(ended.step, Step { to: 5, lane: 0 });
    assert!(started(&mut engine, 2, &world).is_empty());
    assert_eq!(
        engine.status(1).unwrap(),
        Status { phase: Phase::Done, error: None, attempts: 0, next_retry_ms: None }
    );
    assert!(engine.handle_outcome(3, runs[&1], &Outcome::Done).is_none(), "an execution ends once");
}

#[test]
fn while_it_is_tried_again_the_past_failure_is_told_with_the_time_of_this_try() {
    let (mut engine, world) = (engine(), ordered(&[(1, 5)]));
    let runs = started(&mut engine, 0, &world);
    engine.handle_outcome(0, runs[&1], &failed(TRANSIENT));
    let due = engine.status(1).unwrap().next_retry_ms.unwrap();
    started(&mut engine, due, &world);
    let status = engine.status(1).unwrap();
    assert_eq!((status.phase, status.next_retry_ms), (Phase::Working, Some(due)));
}

#[test]
fn failures_back_off_up_to_a_cap_and_never_give_up() {
    let (mut engine, world) = (engine(), ordered(&[(1, 5)]));
    let (mut now, mut waits) = (0, Vec::new());
    for attempt in 1..=12 {
        let runs = started(&mut engine, now, &world);
        engine.handle_outcome(now, runs[&1], &failed(TRANSIENT));
        assert!(started(&mut engine, now, &world).is_empty(), "it waits for its time");
        let status = engine.status(1).unwrap();
        assert_eq!((status.attempts, status.phase), (attempt, Phase::Retrying));
        let next = status.next_retry_ms.unwrap();
        assert_eq!(engine.poll_timeout(), Some(next.min(now + config().period_ms)));
        waits.push(next - now);
        now = next;
    }
    for (n, wait) in waits.iter().enumerate() {
        let nominal = (1_000 << n).min(60_000);
        assert!((nominal * 3 / 4..=nominal * 5 / 4).contains(wait), "wait {n} was {wait}");
    }
}

#[test]
fn jitter_differs_by_seed_and_repeats_by_seed() {
    let wait = |seed| {
        let (mut engine, world) = (Engine::new(config(), seed), ordered(&[(1, 5)]));
        let runs = started(&mut engine, 0, &world);
        engine.handle_outcome(0, runs[&1], &failed(TRANSIENT));
        engine.review(0, &world);
        engine.status(1).unwrap().next_retry_ms.unwrap()
    };
    assert_eq!(wait(1), wait(1));
    assert!((0..8).map(wait).collect::<std::collections::BTreeSet<_>>().len() > 4);
}

#[test]
fn what_cannot_be_is_tried_at_the_longest_period_only() {
    for kind in [DriverErrorKind::Order, DriverErrorKind::Unsupported] {
        let (mut engine, world) = (engine(), ordered(&[(1, 5)]));
        let runs = started(&mut engine, 0, &world);
        engine.handle_outcome(0, runs[&1], &failed(kind));
        engine.review(0, &world);
        assert!(engine.status(1).unwrap().next_retry_ms.unwrap() >= 45_000);
    }
}

#[test]
fn a_changed_order_cancels_at_once_and_its_successor_waits_for_the_end() {
    let (mut engine, mut world) = (engine(), ordered(&[(1, 5)]));
    let old = started(&mut engine, 0, &world)[&1];
    world.orders.insert(1, 6);
    engine.review(10, &world);
    assert_eq!(commands(&mut engine), [Command::Cancel { run: old }]);
    assert_eq!(engine.status(1).unwrap().phase, Phase::Cancelling);
    assert!(started(&mut engine, 20, &world).is_empty());
    engine.handle_outcome(30, old, &Outcome::Cancelled);
    assert_eq!(started(&mut engine, 30, &world).len(), 1);
    assert_eq!(engine.status(1).unwrap().attempts, 0, "giving up as told is no failure");
}

#[test]
fn a_step_that_does_not_end_is_left_behind_after_the_grace() {
    let (mut engine, mut world) = (engine(), ordered(&[(1, 5)]));
    let old = started(&mut engine, 0, &world)[&1];
    world.orders.insert(1, 6);
    engine.review(10, &world);
    commands(&mut engine);
    assert_eq!(engine.poll_timeout(), Some(510));
    let new = started(&mut engine, 510, &world)[&1];
    assert_eq!(engine.runs().of(1).count(), 2, "it is known until it says that it ended");
    assert_eq!(engine.handle_outcome(600, old, &failed(TRANSIENT)).unwrap().step.to, 5);
    assert_eq!(engine.status(1).unwrap().attempts, 0, "the end of a step left behind changes nothing");
    assert_eq!(engine.runs().of(1).count(), 1);
    assert!(engine.handle_outcome(700, new, &Outcome::Done).is_some());
}

#[test]
fn a_driver_that_ends_nothing_is_not_given_ever_more() {
    let (mut engine, mut world) = (engine(), ordered(&[(1, 0)]));
    for n in 0..20 {
        world.orders.insert(1, n);
        engine.review(n.unsigned_abs() * 1_000, &world);
        engine.review(n.unsigned_abs() * 1_000 + 600, &world);
    }
    assert_eq!(engine.runs().of(1).count(), config().leftover_max);
}

#[test]
fn a_changed_order_forgets_the_back_off() {
    let (mut engine, mut world) = (engine(), ordered(&[(1, 5)]));
    let runs = started(&mut engine, 0, &world);
    engine.handle_outcome(0, runs[&1], &failed(DriverErrorKind::Order));
    engine.review(0, &world);
    world.orders.insert(1, 6);
    assert_eq!(started(&mut engine, 1, &world).len(), 1);
    assert_eq!(engine.status(1).unwrap().attempts, 0);
}

#[test]
fn changed_circumstances_bring_the_next_try_forward_but_do_not_spin() {
    let (mut engine, mut world) = (engine(), ordered(&[(1, 5), (2, 5)]));
    world.needs.insert(2, 1);
    world.facts.insert(1, 5);
    let runs = started(&mut engine, 0, &world);
    engine.handle_outcome(0, runs[&2], &failed(DriverErrorKind::Order));
    engine.review(0, &world);
    for (now, fact) in [(1, 4), (2, 5)] {
        world.facts.insert(1, fact);
        engine.review(now, &world);
    }
    assert!(!commands(&mut engine).iter().any(|c| matches!(c, Command::Run { id: 2, .. })));
    assert_eq!(engine.status(2).unwrap().next_retry_ms, Some(1_000));
    assert_eq!(started(&mut engine, 1_000, &world).len(), 1);
}

#[test]
fn a_crowd_in_one_lane_does_not_delay_another() {
    let mut world = ordered(&(0..10).map(|n| (n, 1)).collect::<Vec<_>>());
    world.orders.insert(50, 1);
    world.lanes.insert(50, 1);
    let mut engine = engine();
    let runs = started(&mut engine, 0, &world);
    assert_eq!(runs.keys().copied().collect::<Vec<_>>(), [0, 1, 50]);
    assert_eq!(engine.status(5).unwrap().phase, Phase::Queued);
}

#[test]
fn slots_are_given_in_the_order_of_asking() {
    let mut world = ordered(&[(10, 1), (11, 1), (12, 1)]);
    let mut engine = engine();
    let runs = started(&mut engine, 0, &world);
    world.orders.insert(1, 1);
    engine.review(5, &world);
    world.facts.insert(10, 1);
    engine.handle_outcome(6, runs[&10], &Outcome::Done);
    assert_eq!(started(&mut engine, 6, &world).into_keys().collect::<Vec<_>>(), [12]);
}

#[test]
fn an_abandoned_step_frees_its_slot() {
    let mut world = ordered(&[(1, 1), (2, 1), (3, 1)]);
    let mut engine = engine();
    started(&mut engine, 0, &world);
    world.orders.remove(&1);
    engine.review(1, &world);
    assert_eq!(started(&mut engine, 501, &world).into_keys().collect::<Vec<_>>(), [3]);
}

#[test]
fn a_silent_step_is_cancelled_and_counts_as_failed_unless_it_reports_progress() {
    let (mut engine, world) = (engine(), ordered(&[(1, 5)]));
    let run = started(&mut engine, 0, &world)[&1];
    assert_eq!(engine.handle_progress(9_000, run, 0.5), Some(1));
    assert_eq!(engine.runs().progress(1), Some(0.5));
    engine.review(10_000, &world);
    assert!(commands(&mut engine).is_empty());
    assert_eq!(engine.poll_timeout(), Some(19_000));
    engine.review(19_000, &world);
    assert_eq!(commands(&mut engine), [Command::Cancel { run }]);
    engine.handle_outcome(19_001, run, &Outcome::Cancelled);
    engine.review(19_001, &world);
    let status = engine.status(1).unwrap();
    assert_eq!((status.phase, status.attempts), (Phase::Retrying, 1));
    assert!(status.error.unwrap().message.contains("10 s"));
}

#[test]
fn waits_are_told_and_removals_go_in_reverse() {
    let (mut engine, mut world) = (engine(), ordered(&[(1, 5), (2, 5)]));
    world.needs.insert(2, 1);
    let run = started(&mut engine, 0, &world)[&1];
    assert_eq!(engine.status(2).unwrap().reason(), Some("waiting for 1"));
    world.facts.insert(1, 5);
    engine.handle_outcome(1, run, &Outcome::Done);
    let run = started(&mut engine, 1, &world)[&2];
    world.facts.insert(2, 5);
    engine.handle_outcome(2, run, &Outcome::Done);
    world.orders.clear();
    let removal = started(&mut engine, 3, &world);
    assert_eq!(removal.keys().copied().collect::<Vec<_>>(), [2]);
    assert_eq!(engine.status(1).unwrap().reason(), Some("something still uses it"));
    world.facts.remove(&2);
    engine.handle_outcome(4, removal[&2], &Outcome::Done);
    assert_eq!(started(&mut engine, 4, &world).into_keys().collect::<Vec<_>>(), [1]);
    assert!(engine.status(2).is_none(), "what is neither ordered nor there is forgotten");
}

#[test]
fn a_step_that_succeeds_without_effect_does_not_spin() {
    let (mut engine, world) = (engine(), ordered(&[(1, 5)]));
    let run = started(&mut engine, 0, &world)[&1];
    engine.handle_outcome(0, run, &Outcome::Done);
    assert!(started(&mut engine, 0, &world).is_empty());
    let status = engine.status(1).unwrap();
    assert_eq!((status.phase, status.attempts), (Phase::Retrying, 1));
}

#[test]
fn failures_are_forgotten_once_it_stayed_as_ordered() {
    let (mut engine, mut world) = (engine(), ordered(&[(1, 5)]));
    let run = started(&mut engine, 0, &world)[&1];
    engine.handle_outcome(0, run, &Outcome::Done);
    world.facts.insert(1, 5);
    engine.review(0, &world);
    world.facts.insert(1, 0);
    engine.penalize(
        10,
        1,
        Step { to: 5, lane: 0 },
        DriverError { kind: TRANSIENT, message: "it broke".to_owned() },
    );
    engine.review(10, &world);
    let next = engine.status(1).unwrap().next_retry_ms.unwrap();
    assert_eq!(started(&mut engine, next, &world).len(), 1);
    world.facts.insert(1, 5);
    let run = engine.runs().0.keys().next().copied().unwrap();
    engine.handle_outcome(next, run, &Outcome::Done);
    engine.review(next, &world);
    assert_eq!(engine.status(1).unwrap().attempts, 1, "it has only just recovered");
    let settled = next + config().settle_ms;
    assert!(engine.poll_timeout().unwrap() <= settled);
    engine.review(settled, &world);
    assert_eq!(engine.status(1).unwrap().attempts, 0);
}

#[test]
fn what_cannot_be_says_so() {
    let (mut engine, world) = (engine(), ordered(&[(1, -1)]));
    assert!(started(&mut engine, 0, &world).is_empty());
    assert_eq!(engine.status(1).unwrap().phase, Phase::Cannot("negative".to_owned()));
}

/// Random orders, outcomes, silences and times: the engine's promises hold after every event, and once the
/// drivers behave, everything becomes as ordered.
#[test]
fn random_histories_keep_the_bounds_and_converge() {
    crate::seeds::run(200, random_history);
}

fn random_history(seed: u64) {
    let mut random = SplitMix64::new(seed);
    let mut world = Toy::default();
    world.needs.extend([(5, 4), (4, 3)]);
    world.lanes.extend([(0, 1), (1, 1)]);
    let (mut engine, mut now, mut open) = (Engine::new(config(), seed), 0, BTreeMap::new());
    for event in 0..400 {
        let faults = event < 300;
        let id = u32::try_from(random.below(6)).unwrap();
        if event == 300 {
            world.orders.extend([(3, 1), (4, 1), (5, 1)]);
        }
        now += if faults { random.below(2_000) } else { 30_000 };
        match random.below(4) {
            0 if faults => drop(world.orders.insert(id, i64::try_from(random.below(5)).unwrap())),
            1 if faults => drop(world.orders.remove(&id)),
            _ => finish_one(&mut engine, &mut world, &mut open, now, &mut random, faults),
        }
        mind(&mut engine, now, id, &world, seed);
        for command in commands(&mut engine) {
            if let Command::Run { run, id, step } = command {
                open.insert(run, (id, step));
            }
        }
        check(&engine, &open, seed);
    }
    for id in world.ids() {
        assert!(world.as_ordered(id), "seed {seed}: {id} is {:?}", engine.status(id));
    }
}

/// Looks at everything in every other history; in the rest at what `id` and what just ended concern, which must make no
/// difference.
fn mind(engine: &mut Engine<u32, Step>, now: u64, id: u32, world: &Toy, seed: u64) {
    if seed.is_multiple_of(2) {
        return engine.review(now, world);
    }
    let happened: Vec<u32> = engine.touched().iter().copied().chain([id]).collect();
    for id in happened {
        let dependants = world.needs.iter().filter(|(_, needed)| **needed == id).map(|(it, _)| *it);
        let concerned = dependants.chain(world.needs.get(&id).copied()).chain([id]);
        concerned.for_each(|it| engine.touch(it));
    }
    let concerned = engine.attend(now, world);
    let mut other = engine.clone();
    commands(&mut other);
    other.review(now, world);
    let overlooked = commands(&mut other);
    assert!(overlooked.is_empty(), "seed {seed}: {concerned:?} were looked at, but not {overlooked:?}");
    assert!((0..6).all(|id| engine.status(id) == other.status(id)), "seed {seed}");
}

#[test]
fn what_was_touched_is_looked_at_alone() {
    let orders: Vec<(u32, i64)> = (0..1_000).map(|id| (id, 1)).collect();
    let (mut engine, mut world) = (engine(), ordered(&orders));
    let mut open: Vec<RunId> = started(&mut engine, 0, &world).into_values().collect();
    let mut looked = 0;
    while let Some(run) = open.pop() {
        world.facts.insert(engine.runs().get(run).unwrap().id, 1);
        engine.handle_outcome(1, run, &Outcome::Done);
        looked += engine.attend(1, &world).map_or(1_000, |it| it.len());
        open.extend(commands(&mut engine).iter().filter_map(|command| match command {
            Command::Run { run, .. } => Some(*run),
            Command::Cancel { .. } => None,
        }));
    }
    assert!(orders.iter().all(|(id, _)| world.as_ordered(*id)));
    assert!(looked < 3 * orders.len(), "looked {looked} times to do {} things", orders.len());
}

fn finish_one(
    engine: &mut Engine<u32, Step>,
    world: &mut Toy,
    open: &mut BTreeMap<RunId, (u32, Step)>,
    now: u64,
    random: &mut SplitMix64,
    faults: bool,
) {
    let all = if faults { 1 } else { open.len() };
    for _ in 0..all {
        let Some((run, (id, step))) = open.pop_first() else { return };
        let cancelled = engine.runs().0[&run].is_cancelled();
        let outcome = match random.below(4) {
            0 if faults => failed(TRANSIENT),
            _ if cancelled => Outcome::Cancelled,
            _ => Outcome::Done,
        };
        match (outcome == Outcome::Done, step.to) {
            (true, 0) if !world.orders.contains_key(&id) => drop(world.facts.remove(&id)),
            (true, to) => drop(world.facts.insert(id, to)),
            (false, _) => {}
        }
        engine.handle_outcome(now, run, &outcome);
    }
}

fn check(engine: &Engine<u32, Step>, open: &BTreeMap<RunId, (u32, Step)>, seed: u64) {
    assert!(engine.runs().0.keys().eq(open.keys()), "seed {seed}: executions are accounted for");
    for id in 0..6 {
        assert!(engine.runs().of(id).filter(|r| !r.is_cancelled()).count() <= 1, "seed {seed}");
        assert!(engine.runs().of(id).count() <= config().leftover_max, "seed {seed}");
    }
    for lane in 0..2 {
        assert!(engine.runs().in_lane(lane) <= 2, "seed {seed}: lane {lane} is too full");
    }
}
