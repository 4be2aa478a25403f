//! A simulated cloud in virtual time: a controller, agents on simulated hosts, a network and a database that fail
//! as a seed tells them, and users who order at random. What the design promises is asserted after every event.
//!
//! `PONY_SEEDS=n` runs n seeds, `PONY_SEED=n` replays one.

mod convergence;
mod faults;
mod hardware;
mod matrix;
mod moves;
mod net;
mod node;
mod promises;
mod store;
mod users;
mod world;

use crate::seeds;
use crate::simulation::world::World;

/// Seeds that run by default.
const SEEDS: u64 = world::SMALL;

/// One life of a cloud: trouble, then an end of all trouble, then orders in peace.
fn life(seed: u64) -> World {
    let mut world = World::new(seed);
    world.trouble(90_000);
    world.heal();
    world.converge();
    world.stay_as_is();
    world.orders_win();
    world
}

#[test]
fn the_cloud_keeps_its_promises() {
    let deeds = seeds::run(SEEDS, |seed| life(seed).deeds);
    let (seeds, mut did) = (deeds.len() as u64, world::Deeds::default());
    deeds.iter().for_each(|deeds| did.add(*deeds));
    println!("{did:#?}");
    let told = convergence::write(&deeds.iter().map(|it| it.converged_ms).collect::<Vec<_>>());
    println!("{told}");
    if seeds >= convergence::WHOLE {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/convergence.md");
        std::fs::write(path, told).unwrap();
    }
    did.assert_something_happened(seeds);
}
