//! A later order always wins, also on the real host: libvirt and QEMU, the kernel's links, files; daemons that are processes
//! and die of `kill -9`.
//!
//! A sample of the matrix in `pony-core/tests/cloud/simulation/matrix/`: every step that a host takes, with every fault
//! that can be made here, and one of the later orders. `make test` runs some cells, `make test-matrix` all of them, and writes
//! `docs/later-order-real.md`; `PONY_SEED=n` replays the n-th cell.

mod cell;
mod scene;
mod table;

use crate::cloud::{Agent, Cloud};
use crate::ground::Ground;
use crate::{images, skip};
use cell::Cell;
use scene::Scene;
use std::collections::BTreeSet;

/// Cells that `make test` runs.
const SAMPLE: usize = 5;

/// Neighbours are that many cells apart, so that some first ones are a sample of everything. A prime.
const STRIDE: usize = 61;

/// Hosts that take cells beside each other, where all are run.
const HOSTS: usize = 3;

const CLUMSY: Agent = Agent { name: "examples/clumsy", stop_grace: 1 };

/// The cell to be replayed.
fn seed() -> Option<usize> {
    std::env::var("PONY_SEED").ok().and_then(|it| it.parse().ok())
}

fn is_whole() -> bool {
    std::env::var_os("PONY_MATRIX").is_some() && seed().is_none()
}

/// Which cells are wanted, of one host.
fn wanted() -> Vec<usize> {
    let count = Cell::all().len();
    match seed() {
        Some(seed) => [seed].into_iter().filter(|it| *it < count).collect(),
        None => (0..if is_whole() { count } else { SAMPLE }).map(|n| n * STRIDE % count).collect(),
    }
}

/// Runs cells on a host of their own, one after the other.
async fn run(numbers: Vec<usize>, guest: std::path::PathBuf) -> (Vec<(usize, cell::Took)>, BTreeSet<String>) {
    let images = images::serve(guest).await;
    let cloud = Cloud::start_with(CLUMSY, Ground::shaky("a_later_order_wins_on_a_real_host")).await;
    let mut scene = Scene::new(cloud, &images.url("small.raw")).await;
    let mut results = Vec::new();
    for number in numbers {
        let cell = &Cell::all()[number];
        println!("PONY_SEED={number}: {}", cell.name());
        if !cell.is_possible(&scene) {
            continue;
        }
        let took = cell.run(&mut scene, number).await;
        println!("    {took:?}");
        results.push((number, took));
    }
    (results, scene.all_begun())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_order_wins_on_a_real_host() {
    let Some(guest) = skip::guest("a_later_order_wins_on_a_real_host") else { return };
    let numbers = wanted();
    let hosts = if numbers.len() > SAMPLE { HOSTS } else { 1 };
    let share = |host: usize| numbers.iter().copied().skip(host).step_by(hosts).collect::<Vec<_>>();
    let hosts = (0..hosts).map(share).filter(|it| !it.is_empty());
    let runs = futures::future::join_all(hosts.map(|it| run(it, guest.clone()))).await;
    let (mut results, mut begun) = (Vec::new(), BTreeSet::new());
    for (took, verbs) in runs {
        results.extend(took);
        begun.extend(verbs);
    }
    let known = Cell::all().into_iter().map(|it| it.verb);
    let known: BTreeSet<String> = known.map(str::to_owned).collect();
    assert!(begun.is_subset(&known), "steps without a cell: {:?}", begun.difference(&known));
    results.sort_by_key(|(number, _)| *number);
    let table = table::write(&results);
    println!("{table}");
    if is_whole() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/later-order-real.md"), table)
            .unwrap();
    }
}
