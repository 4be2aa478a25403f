//! A later order always wins, also on real hosts: libvirt and QEMU, the kernel's links, files; daemons that are processes
//! and die of `kill -9`.
//!
//! A sample of the matrix in `pony-core/tests/cloud/simulation/matrix/`: every step that a host takes, with every fault
//! that can be made here, and one of the later orders. What one host does alone happens on this machine's libvirt; moves happen
//! between two hosts in namespaces of their own (`cells_inside`). `make test` runs some cells, `make test-matrix` all of them, and
//! writes `docs/later-order-real.md`; `PONY_SEED=n` replays the n-th cell. A run of all that was broken off goes on with
//! those cells that `target/later-order-real` does not have.

mod cell;
mod faults;
mod given;
mod notes;
mod orders;
mod scene;
mod seen;
mod table;

use crate::cloud::Cloud;
use crate::ground::Ground;
use crate::host::{Agent, lay_bridge};
use crate::moves::inside_namespaces;
use crate::{images, skip};
use cell::Cell;
use futures::FutureExt as _;
use notes::Notes;
use scene::Scene;
use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Mutex;

const TEST: &str = "a_later_order_wins_on_a_real_host";

/// Cells that `make test` runs of those that take one host, and of those that take two.
const SAMPLES: [usize; 2] = [4, 1];

/// Neighbours are that many cells apart, so that some first ones are a sample of everything. A prime.
const STRIDE: usize = 61;

/// Clouds that take cells of one host beside each other, where all are run.
const LANES: usize = 2;

/// Beyond so many failures it is not the cells that are wrong.
const FAILED_MAX: usize = 10;

const CLUMSY: Agent = Agent { name: "examples/clumsy", stop_grace: 1 };

/// Tells the test inside of namespaces which cells are its own, and where to note what became of them.
const CELLS: &str = "PONY_CELLS";
const NOTES: &str = "PONY_NOTES";

/// The cell to be replayed.
fn seed() -> Option<usize> {
    std::env::var("PONY_SEED").ok().and_then(|it| it.parse().ok())
}

fn is_whole() -> bool {
    std::env::var_os("PONY_MATRIX").is_some() && seed().is_none()
}

/// Which cells are wanted that take so many hosts.
fn wanted(hosts: usize) -> Vec<usize> {
    let all = Cell::all();
    let count = all.len();
    let takes = |n: &usize| all[*n].transition().hosts == hosts;
    let spread = (0..count).map(|n| n * STRIDE % count).filter(takes);
    match seed() {
        Some(seed) => [seed].into_iter().filter(|n| *n < count && takes(n)).collect(),
        None if is_whole() => spread.collect(),
        None => spread.take(SAMPLES[hosts - 1]).collect(),
    }
}

/// Cells that are still to be run.
struct Queue(Mutex<std::vec::IntoIter<usize>>);

impl Queue {
    fn new(cells: Vec<usize>) -> Self {
        Self(Mutex::new(cells.into_iter()))
    }

    fn next(&self) -> Option<usize> {
        self.0.lock().unwrap().next()
    }

    fn is_empty(&self) -> bool {
        self.0.lock().unwrap().len() == 0
    }
}

async fn scene(hosts: usize, guest: &Path) -> Scene {
    let ground = Ground::shaky(TEST);
    let cloud = match hosts {
        1 => Cloud::start_here(CLUMSY, ground).await,
        _ => Cloud::start_apart(CLUMSY, ground).await,
    };
    let images = images::serve_at(cloud.address(), guest.to_owned()).await;
    Scene::new(cloud, &images.url("small.raw")).await
}

/// Runs cells in a cloud, one after the other.
async fn run(mut scene: Scene, queue: &Queue, notes: &Notes) {
    let cells = Cell::all();
    while let Some(number) = queue.next() {
        let cell = &cells[number];
        println!("PONY_SEED={number}: {}", cell.name());
        if cell.is_possible(&scene) {
            let took = cell.run(&mut scene, number).await;
            println!("    {took:?}");
            notes.add(cell, took);
        }
    }
    let known: BTreeSet<String> = cells.iter().map(|it| it.verb.to_owned()).collect();
    let begun = scene.all_begun();
    assert!(begun.is_subset(&known), "steps without a cell: {:?}", begun.difference(&known));
}

/// The same in one cloud after the other: a cell that fails takes its cloud along. Says how many failed.
async fn run_all(hosts: usize, queue: &Queue, notes: &Notes, guest: &Path) -> usize {
    let mut failed = 0;
    while !queue.is_empty() && failed < FAILED_MAX {
        let run = async { run(scene(hosts, guest).await, queue, notes).await };
        failed += usize::from(AssertUnwindSafe(run).catch_unwind().await.is_err());
    }
    failed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_order_wins_on_a_real_host() {
    let Some(guest) = skip::guest(TEST) else { return };
    let notes = Notes::open(is_whole());
    let [alone, across] = [1, 2].map(|hosts| notes.missing(wanted(hosts)));
    let variables = [(CELLS, notes::join(&across)), (NOTES, notes.path().display().to_string())];
    let inside = tokio::task::spawn_blocking(move || {
        if !across.is_empty() {
            inside_namespaces("matrix::cells_inside", &variables);
        }
    });
    let (lanes, queue) = (if is_whole() { LANES } else { 1 }, Queue::new(alone));
    let lanes = (0..lanes).map(|_| run_all(1, &queue, &notes, &guest));
    let failed: usize = futures::future::join_all(lanes).await.into_iter().sum();
    inside.await.unwrap();
    assert_eq!(failed, 0, "cells that failed");
    let table = table::write(&notes.results());
    println!("{table}");
    if is_whole() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/later-order-real.md");
        let before = std::fs::read_to_string(path).unwrap_or_default();
        std::fs::write(path, table::document(&table, &before)).unwrap();
        notes.forget();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "is run by another test, in namespaces of its own"]
async fn cells_inside() {
    let Some(guest) = skip::guest(TEST) else { return };
    let (Ok(cells), Ok(notes)) = (std::env::var(CELLS), std::env::var(NOTES)) else { return };
    lay_bridge();
    let queue = Queue::new(notes::split(&cells));
    let failed = run_all(2, &queue, &Notes::at(notes.into()), &guest).await;
    assert_eq!(failed, 0, "cells that failed");
}
