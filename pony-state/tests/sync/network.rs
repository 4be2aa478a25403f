//! The promise of the state exchange, over seeded random networks: whatever was lost, doubled, reordered, held up
//! or restarted, both sides hold equal states within one keep-alive period once messages flow again.
//!
//! `PONY_SEEDS=10000` tries more seeds; `PONY_SEED=n` replays the one that a failure prints.

use crate::world::{Deeds, Faults, LATENCY_MS, PEER, SPARKLE, STRAGGLE_MS, World};
use pony_state::sync::{FULL_INTERVAL_MS, KEEPALIVE_MS, RESYNC_INTERVAL_MS};

const SEEDS: u64 = 200;

/// A keep-alive, which is refused; the request, which may have to wait; the full state, which may have to wait.
const CONVERGENCE_MS: u64 = KEEPALIVE_MS + RESYNC_INTERVAL_MS + FULL_INTERVAL_MS + 4 * LATENCY_MS;

fn faults(world: &mut World) -> Faults {
    let rng = &mut world.rng;
    Faults {
        drop: [0, 5, 30, 60][rng.below(4) as usize],
        duplicate: [0, 10, 40][rng.below(3) as usize],
        corrupt: [0, 3][rng.below(2) as usize],
        hold: [0, 5, 30][rng.below(3) as usize],
        jitter: [0, 20, 80][rng.below(3) as usize],
        congest: [0, 10, 70][rng.below(3) as usize],
    }
}

/// Two minutes of trouble.
fn disturb(world: &mut World) {
    world.faults = faults(world);
    let restart = [0, 1, 5][world.rng.below(3) as usize];
    let pause_ms = [250, 1_000, 5_000][world.rng.below(3) as usize];
    let end_ms = world.now_ms + 120_000;
    while world.now_ms < end_ms {
        let index = world.rng.below(2) as usize;
        match world.rng.below(100) {
            dice if dice < restart => {
                let keep_mirror = world.rng.percent(50);
                world.restart(index, keep_mirror);
            }
            dice if dice < 8 => world.nodes[index].blocked ^= true,
            10 => {
                for _ in 0..12 {
                    world.write(index);
                }
            }
            11 => world.nodes[index].session.everything_changed(),
            12 => world.reconnect(),
            13 => world.set_clock(index),
            14 => world.leap(index),
            _ => world.write(index),
        }
        let until_ms = world.now_ms + world.rng.below(pause_ms);
        world.run(until_ms);
    }
}

/// From here on the network works. Returns how long the states took to become, and stay, equal.
fn recover(world: &mut World) -> u64 {
    world.heal();
    let stragglers_ms = world.now_ms + STRAGGLE_MS;
    if world.rng.percent(50) {
        for _ in 0..20 {
            let index = world.rng.below(2) as usize;
            world.write(index);
            let until_ms = world.now_ms + world.rng.below(STRAGGLE_MS / 20);
            world.run(until_ms);
        }
    }
    world.run(stragglers_ms);
    let mut last_unequal_ms = 0;
    for passed_ms in (0..CONVERGENCE_MS).step_by(250) {
        world.run(stragglers_ms + passed_ms);
        if !world.is_converged() {
            last_unequal_ms = passed_ms + 250;
        }
    }
    world.run(stragglers_ms + CONVERGENCE_MS);
    assert!(world.is_converged(), "unequal {CONVERGENCE_MS} ms after the network healed");
    last_unequal_ms
}

/// Nothing but keep-alives once both sides agree.
fn stay_quiet(world: &mut World) {
    let before = world.nodes.each_ref().map(|node| (node.session.counters(), node.changes_applied));
    world.run(world.now_ms + 4 * KEEPALIVE_MS);
    for (node, (counters, changes)) in world.nodes.iter().zip(before) {
        let after = node.session.counters();
        assert_eq!(after.resyncs_sent, counters.resyncs_sent, "a resync request without a cause");
        assert_eq!(after.fulls_sent, counters.fulls_sent, "a full state without a cause");
        assert_eq!(node.changes_applied, changes, "a change without a cause");
        assert!((3..=5).contains(&(after.sent - counters.sent)), "a keep-alive each 15 s, nothing else");
        assert!(!node.session.is_missing());
        assert!(node.session.is_synchronized());
    }
    assert!(world.is_converged());
}

fn life(seed: u64) -> (u64, Deeds) {
    let mut world = World::new(seed, Faults::default());
    let lives = (0..2).map(|_| {
        disturb(&mut world);
        let took_ms = recover(&mut world);
        stay_quiet(&mut world);
        took_ms
    });
    let slowest_ms = lives.max().unwrap_or_default();
    (slowest_ms, world.deeds())
}

#[test]
fn both_sides_converge_whatever_the_network_did() {
    let (took_ms, deeds): (Vec<u64>, Vec<Deeds>) = crate::seeds::run(SEEDS, life).into_iter().unzip();
    println!("slowest convergence: {:?} ms after the network healed", took_ms.iter().max());
    let deeds = deeds.into_iter().fold(Deeds::default(), Deeds::add);
    println!("{deeds:#?}");
    if !crate::seeds::is_replay() {
        deeds.assert_everything_happened();
    }
}

/// The first contact takes no keep-alive period: both sides greet, ask and answer at once.
#[test]
fn a_first_contact_takes_three_trips() {
    let mut world = World::new(1, Faults::default());
    for _ in 0..30 {
        world.write(SPARKLE);
        world.write(PEER);
    }
    world.run(4 * LATENCY_MS);
    assert!(world.is_converged());
    assert!(world.nodes.iter().all(|node| node.session.counters().fulls_sent == 1));
}

/// A restarted side is caught up at once as well, in both directions, long before a keep-alive is due.
#[test]
fn a_restart_is_caught_up_at_once() {
    for index in [SPARKLE, PEER] {
        let mut world = World::new(2, Faults::default());
        world.run(5_000);
        for _ in 0..30 {
            world.write(SPARKLE);
            world.write(PEER);
        }
        world.run(12_000);
        world.restart(index, false);
        world.run(12_000 + 4 * LATENCY_MS);
        assert!(world.is_converged(), "after a restart of node {index}");
    }
}
