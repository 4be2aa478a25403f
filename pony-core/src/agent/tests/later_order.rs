//! A later order wins in bounded time, from any point of any earlier one.
//!
//! Generated: the earlier order is stuck at each of its steps in each way, and then each later order is given.

use super::rig::*;
use crate::agent::*;
use crate::sim::{Fate, SimConfig};

/// How long a later order may take whatever the earlier one is stuck in, ms of virtual time. What it needs of
/// its own (filling a volume from the start, twice at most) comes on top.
const BOUND_MS: u64 = 2_000;
const OWN_MS: u64 = 2 * 2_000 + 1_000;

/// What an earlier order can be stuck in.
const STEPS: [&str; 12] = [
    "make the switch",
    "make the tap",
    "fill",
    "define",
    "start",
    "pause",
    "resume",
    "shut down",
    "switch off",
    "undefine",
    "remove the tap",
    "remove the switch",
];

const FATES: [Fate; 5] = [Fate::Hang, Fate::HangAfter, Fate::Fail, Fate::FailAfter, Fate::Slow];

/// The later orders.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Later {
    Start,
    Stop,
    Pause,
    /// Let go of it, and delete its volume.
    Delete,
    /// Run with other memory.
    Change,
}

const LATER: [Later; 5] = [Later::Start, Later::Stop, Later::Pause, Later::Delete, Later::Change];

impl Later {
    fn orders(self) -> Orders {
        match self {
            Self::Start => orders(Target::Running),
            Self::Stop => orders(Target::Stopped),
            Self::Pause => orders(Target::Paused),
            Self::Delete => {
                let mut orders = orders(Target::Released);
                orders.instances.get_mut(&id(INST)).unwrap().hardware = None;
                orders.volumes.get_mut(&id(ROOT)).unwrap().wish = VolumeWish::Deleted;
                orders
            }
            Self::Change => {
                let hardware = Hardware { mem_mib: 1024, ..hardware() };
                let mut orders = orders(Target::Running);
                let order = InstanceOrder {
                    target: Target::Running,
                    placement: placed(Target::Running),
                    hardware: Some(hardware),
                };
                orders.instances.insert(id(INST), order);
                orders
            }
        }
    }

    fn is_done(self, rig: &Rig) -> bool {
        match self {
            Self::Start => is(rig, Target::Running),
            Self::Stop => is(rig, Target::Stopped),
            Self::Pause => is(rig, Target::Paused),
            Self::Delete => {
                let volume = rig.report().volumes.get(&id(ROOT)).map(|v| v.status);
                is(rig, Target::Released) && volume == Some(DataHealth::Absent)
            }
            Self::Change => {
                is(rig, Target::Running) && rig.sim.world().guests[&id(INST)].spec.mem_mib == 1024
            }
        }
    }
}

/// Brings a host to a point from which an order for `target` takes `step`, and gets it stuck there.
fn stuck(step: &'static str, fate: Fate, seed: u64) -> Rig {
    let config = Config { shutdown_grace_ms: 1_000, ..Config::default() };
    let mut rig = Rig::with_config(seed, SimConfig::default(), config);
    let (before, target) = match step {
        "pause" => (Some(Target::Running), Target::Paused),
        "resume" => (Some(Target::Paused), Target::Running),
        "shut down" => (Some(Target::Running), Target::Stopped),
        "switch off" | "undefine" | "remove the tap" | "remove the switch" => {
            (Some(Target::Running), Target::Released)
        }
        _ => (None, Target::Running),
    };
    if let Some(before) = before {
        rig.order(&orders(before));
        rig.expect(20_000, |r| is(r, before));
    }
    rig.sim.set_fate(step, Some(fate));
    rig.order(&orders(target));
    rig.run_for(8_000 + seed * 777 % 5_000);
    assert!(rig.steps.iter().any(|(_, s)| s.verb() == step), "{step} was never reached");
    rig
}

/// Whether the later order asks for the very thing that is stuck: then it is no later order for that, and a
/// step that hangs is given up when it has been silent for too long, one that fails is tried again in its time.
fn asks_for_the_same(step: &str, later: Later) -> bool {
    let up = matches!(later, Later::Start | Later::Pause | Later::Change);
    match step {
        // A switch stays as long as an instance is placed here.
        "make the switch" => later != Later::Delete,
        "make the tap" | "fill" => up,
        "define" | "start" | "resume" => later == Later::Start,
        "pause" => later == Later::Pause,
        "shut down" => later == Later::Stop,
        _ => later == Later::Delete,
    }
}

/// How long that may take: its silence, and the longest wait between two tries.
fn patience_ms(step: &str) -> u64 {
    let config = Config::default().engine;
    let lane = match step {
        "fill" => Lane::Fill,
        "define" | "start" | "pause" | "resume" => Lane::Guest,
        _ => Lane::Quick,
    };
    config.lanes[lane as usize].stall_ms + config.backoff_cap_ms * 5 / 4
}

#[test]
fn a_later_order_wins_from_wherever_an_earlier_one_is_stuck() {
    for (n, step) in STEPS.into_iter().enumerate() {
        for fate in FATES {
            for later in LATER {
                let mut rig = stuck(step, fate, n as u64);
                rig.sim.set_fate(step, None);
                rig.order(&later.orders());
                let same = asks_for_the_same(step, later);
                let bound = BOUND_MS + OWN_MS + if same { patience_ms(step) } else { 0 };
                let took = rig.run_until(bound, |r| later.is_done(r));
                assert!(
                    took.is_some(),
                    "{step} {fate:?}, then {later:?}: {:#?}\n{:#?}",
                    rig.report(),
                    rig.sim.world()
                );
            }
        }
    }
}

/// Stopping and deleting need nothing that an earlier order may be stuck in: they obey even while it stays
/// impossible.
#[test]
fn stopping_and_deleting_obey_while_the_obstacle_stays() {
    for step in ["make the switch", "make the tap", "fill", "define", "start", "pause"] {
        for fate in FATES {
            for later in [Later::Stop, Later::Delete] {
                let mut rig = stuck(step, fate, 3);
                rig.order(&later.orders());
                let took = rig.run_until(BOUND_MS + 1_500, |r| later.is_done(r));
                assert!(took.is_some(), "{step} {fate:?}, then {later:?}: {:#?}", rig.report());
                if later == Later::Stop {
                    rig.sim.set_fate(step, None);
                    rig.order(&Later::Start.orders());
                    let back =
                        rig.run_until(BOUND_MS + OWN_MS + patience_ms(step), |r| Later::Start.is_done(r));
                    assert!(back.is_some(), "{step} {fate:?}, and back: {:#?}", rig.report());
                }
            }
        }
    }
}

/// Drivers that do not end what they are told to end only delay what must wait for them.
#[test]
fn a_later_order_wins_over_drivers_that_end_late() {
    for step in STEPS {
        for later in LATER {
            let mut rig = stuck(step, Fate::Hang, 5);
            rig.sim.set_cancel_ms(1_500);
            rig.sim.set_fate(step, None);
            rig.order(&later.orders());
            let same = asks_for_the_same(step, later);
            let bound = BOUND_MS + OWN_MS + 2 * 1_500 + if same { patience_ms(step) } else { 0 };
            let took = rig.run_until(bound, |r| later.is_done(r));
            assert!(took.is_some(), "{step}, then {later:?}: {:#?}\n{:#?}", rig.report(), rig.sim.world());
        }
    }
}

/// Found by the matrix: a paused guest is woken to see its power button. One that could not be woken kept its plug until
/// that step was given up for its silence, two minutes later.
#[test]
fn a_paused_guest_that_cannot_be_woken_is_switched_off_in_time() {
    let config = Config { shutdown_grace_ms: 1_000, ..Config::default() };
    let mut rig = Rig::with_config(7, SimConfig::default(), config);
    rig.order(&orders(Target::Paused));
    rig.expect(20_000, |r| is(r, Target::Paused));
    rig.sim.set_fate("resume", Some(Fate::Hang));
    rig.order(&orders(Target::Stopped));
    let took = rig.expect(BOUND_MS, |r| is(r, Target::Stopped));
    assert!(took >= 1_000, "it had {took} ms of its second");
}
