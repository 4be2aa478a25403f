//! A simulated cloud in virtual time: a controller, agents on simulated hosts, a network and a database that fail
//! as a seed tells them, and users who order at random. What the design promises is asserted after every event.
//!
//! `PONY_SEEDS=n` runs n seeds, `PONY_SEED=n` replays one.

mod faults;
mod net;
mod node;
mod promises;
mod store;
mod users;
mod world;

use crate::simulation::world::World;

/// Seeds that run by default, in so many threads as there are processors.
const SEEDS: u64 = 30;

fn seeds() -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|it| it.parse().expect("a number"));
    match (number("PONY_SEED"), number("PONY_SEEDS")) {
        (Some(seed), _) => vec![seed],
        (None, count) => (0..count.unwrap_or(SEEDS)).collect(),
    }
}

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
    let seeds = seeds();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(seeds.len());
    let failed = std::sync::Mutex::new(Vec::new());
    let did = std::sync::Mutex::new(world::Deeds::default());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    match std::panic::catch_unwind(|| life(*seed).deeds) {
                        Ok(deeds) => did.lock().unwrap().add(deeds),
                        Err(_) => failed.lock().unwrap().push(*seed),
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "seeds {failed:?} broke a promise; replay with PONY_SEED={}", failed[0]);
    let did = did.into_inner().unwrap();
    println!("{did:#?}");
    did.assert_something_happened(seeds.len() as u64);
}
