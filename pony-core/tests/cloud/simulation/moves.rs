//! Clouds in which instances, with volumes that all hosts reach or only their own, go from host to host all the time, while
//! hosts, links, Sparkle and the database fail, and moves end on both hosts: nobody writes twice, nothing is lost, and all comes
//! to rest.

use super::world::{Deeds, Shared, World};
use crate::seeds;
use pony_core::sim::SimConfig;
use pony_state::RowOp;

/// Seeds that run by default.
const SEEDS: u64 = 12;

const HOSTS: usize = 3;
const INSTANCES: usize = 6;
const TROUBLE_MS: u64 = 60_000;

fn life(seed: u64, shared_each: u64, shared: Shared) -> Deeds {
    let sim = SimConfig { mem_mib: 16_384, torn_rate: 300, fail_rate: 80, ..SimConfig::troubled() };
    let mut world = World::of(seed, HOSTS, sim, shared);
    world.users.share_each(shared_each);
    world.nodes.iter_mut().for_each(|it| it.sim.set_faults(false));
    // Somebody has to be there who takes orders.
    world.run(1_000);
    for _ in 0..INSTANCES {
        let image = world.users.image;
        let ops = world.instance("running", Some(image)).1;
        assert!(world.order(&ops));
    }
    world.converge();
    world.nodes.iter_mut().for_each(|it| it.sim.set_faults(true));
    world.trouble_by(TROUBLE_MS, move_something);
    world.heal();
    world.converge();
    world.stay_as_is();
    world.deeds
}

fn move_something(world: &mut World) -> Vec<RowOp> {
    match world.random.below(12) {
        0..=6 => world.pin(),
        7 | 8 => world.evacuate(),
        9 => world.grow_volume(),
        _ => world.switch_instance(),
    }
}

#[test]
fn what_moves_is_written_by_one_and_lost_by_none() {
    let did = lives(1, Shared::Server);
    assert!(did.0 < 10 || did.1.handovers_with_disks > 2 * did.0, "hardly anything moved: {did:?}");
}

#[test]
fn what_is_copied_is_whole_and_nothing_is_left_of_what_was_copied() {
    let did = lives(4, Shared::Server);
    assert!(did.0 < 10 || did.1.copied > did.0, "hardly anything was copied: {did:?}");
}

#[test]
fn what_lies_on_a_shared_disk_is_one_volumes_and_overwritten_once() {
    let did = lives(1, Shared::Disk);
    assert!(did.0 < 10 || did.1.handovers_with_disks > 2 * did.0, "hardly anything moved: {did:?}");
}

/// Every so many volumes are in the pool of all hosts.
fn lives(shared_each: u64, shared: Shared) -> (u64, Deeds) {
    let deeds = seeds::run(SEEDS, |seed| life(seed, shared_each, shared));
    let (lives, mut did) = (deeds.len() as u64, Deeds::default());
    deeds.into_iter().for_each(|it| did.add(it));
    println!("{did:#?}");
    (lives, did)
}
