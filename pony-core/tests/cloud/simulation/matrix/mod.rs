//! A later order always wins: every transition of what hosts realize, stuck at every step in every way, and then every
//! later order.
//!
//! Generated. Which steps a transition takes is found by taking it; `every_step_is_in_the_matrix` sees to it that no step
//! is forgotten. `make test` runs a sample that is spread over all cells, `make test-matrix` runs all and writes
//! `docs/later-order-matrix.md`; `PONY_SEED=n` replays the n-th cell.

mod cell;
mod faults;
mod orders;
mod paths;
mod scene;
mod table;
mod told;
mod transitions;

use crate::seeds;
use cell::Cell;
use paths::Paths;
use pony_core::agent::Step;
use pony_core::host::{Source, UplinkId, UplinkSpec};
use std::collections::BTreeSet;

/// Cells that `make test` runs.
const SAMPLE: u64 = 100;

/// Neighbours among the seeds are that many cells apart, so that any number of first seeds is a sample of everything. A
/// prime.
const STRIDE: usize = 7_919;

/// Which steps there are. A new one does not compile before it has a name here, and [`STEPS`] must have it too.
fn name(step: &Step) -> &'static str {
    match step {
        Step::Define(_) => "define",
        Step::Start(_) => "start",
        Step::Pause(_) => "pause",
        Step::Resume(_) => "resume",
        Step::Shutdown(_) => "shutdown",
        Step::Destroy(_) => "destroy",
        Step::Undefine(_) => "undefine",
        Step::Adjust(_) => "adjust",
        Step::Expect { .. } => "expect",
        Step::Migrate { .. } => "migrate",
        Step::GrowDisk { .. } => "grow disk",
        Step::EnsureUplink(UplinkSpec::Bond(_)) => "ensure bond",
        Step::EnsureUplink(UplinkSpec::Segment(_)) => "ensure segment",
        Step::RemoveUplink(UplinkId::Bond(_)) => "remove bond",
        Step::RemoveUplink(UplinkId::Segment { .. }) => "remove segment",
        Step::EnsureSwitch(_) => "ensure switch",
        Step::RemoveSwitch(_) => "remove switch",
        Step::EnsureTap(_) => "ensure tap",
        Step::RemoveTap(_) => "remove tap",
        Step::CreateVolume { source: Source::Remote(_), .. } => "create volume from another host",
        Step::CreateVolume { .. } => "create volume",
        Step::DeleteVolume(_) => "delete volume",
    }
}

const STEPS: [&str; 22] = [
    "define",
    "start",
    "pause",
    "resume",
    "shutdown",
    "destroy",
    "undefine",
    "adjust",
    "expect",
    "migrate",
    "grow disk",
    "ensure bond",
    "ensure segment",
    "remove bond",
    "remove segment",
    "ensure switch",
    "remove switch",
    "ensure tap",
    "remove tap",
    "create volume",
    "create volume from another host",
    "delete volume",
];

#[test]
fn every_step_is_in_the_matrix() {
    let taken: BTreeSet<&str> = Paths::get().steps().iter().map(name).collect();
    assert_eq!(taken, BTreeSet::from(STEPS), "a step without a transition that takes it");
}

#[test]
fn a_later_order_always_wins() {
    let paths = Paths::get();
    let cells = Cell::all(paths);
    let is_whole = std::env::var_os("PONY_MATRIX").is_some();
    let count = if is_whole { cells.len() as u64 } else { SAMPLE };
    let results = seeds::run(count, |seed| {
        let cell = &cells[seed as usize * STRIDE % cells.len()];
        (cell.clone(), cell::run(cell, paths, seed))
    });
    let table = table::write(&results);
    println!("{table}");
    if is_whole && !seeds::is_replay() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/later-order-matrix.md");
        std::fs::write(path, table).unwrap();
    }
}
