//! The matrix for people.

use super::cell::{Cell, Took};
use std::collections::BTreeMap;
use std::fmt::Write;

const HEAD: &str = "\
# A later order always wins: the matrix

<!-- Written by `make test-matrix`; not to be edited. -->

A cell is a transition of something that hosts realize, at one of its steps, with one fault from there on, and then a later
order. Each is a whole simulated cloud: the real controller and two real agents, in virtual time, over a simulated database,
network and hosts. Which steps a transition takes is found by taking it, so that a new step comes in by itself; one that no
transition takes fails a test.

In each cell:

- Sparkle takes the later order at once (a killed one, or one without its database, as soon as it is there again).
- What it orders is so within the bound. A fault that lasts goes on lasting, unless the later order has need of the very
  step: that is mended when the order is given.
- Afterwards all the rest comes to be as ordered by itself; nothing of the abandoned order is left (guests, taps, switches,
  volumes, pieces of fills, placements, steps under way); then nothing is done any more.
- After every event: no instance runs twice, no volume is written by two, no disk is taken from under a guest.
- What fails for ever says so where a user looks (`error` of the instance or the volume).

The bound counts from the acceptance. It is 1.5 s (commits, messages, the time that a cancelled step is given to end); and
4 s for guests to go off (3 s of grace, then the plug is pulled); and, for what makes something, 5 s (an image is fetched
and copied, 2 s each, and a guest started), ten times as much where the step is slow. A lasting fault of a step that the
later order needs: the time after which its silence is noticed (8 to 15 s) and the longest wait between two tries (12.5 s).
Faults of Twilight, Sparkle, link and database last 1 to 5 s, and 16 s until a keep-alive shows what was lost, or 12 s until
a write is tried again. Times are those of the simulation; a real guest has 10 s of grace.

What fails once is tried again within 1.25 s.

Pools are made by no step: hosts look at them. What is in them is made; so a pool comes with a volume here, and goes with one that was
given up, whose data then stay where they are, and whose removal, if it is under way, goes on to its end.

Not in it: faults of real drivers (a full disk, say, is a step that fails here). What a real host makes of the same orders is in
[its own table](later-order-real.md).

";

/// The worst of some cells.
struct Worst {
    cells: usize,
    ms: u64,
    bound_ms: u64,
    later: &'static str,
    verb: &'static str,
}

pub(super) fn write(results: &[(Cell, Took)]) -> String {
    let mut worst: BTreeMap<_, Worst> = BTreeMap::new();
    for (cell, took) in results {
        let entry = worst.entry((cell.transition, cell.fault)).or_insert(Worst {
            cells: 0,
            ms: 0,
            bound_ms: 0,
            later: "",
            verb: "",
        });
        entry.cells += 1;
        if took.ms >= entry.ms {
            (entry.ms, entry.bound_ms) = (took.ms, took.bound_ms);
            (entry.later, entry.verb) = (cell.later.name(), cell.verb);
        }
    }
    let mut text = HEAD.to_owned();
    let (took, bound) =
        results.iter().fold(
            (0, 0),
            |(took, bound), (_, it)| {
                if it.ms > took { (it.ms, it.bound_ms) } else { (took, bound) }
            },
        );
    let _ = writeln!(
        text,
        "{} cells, all of them kept. The slowest took {took} ms of the {bound} that it had.\n",
        results.len()
    );
    text.push_str("| transition | fault | cells | worst, ms | its bound, ms | stuck at | then |\n");
    text.push_str("|---|---|---|---|---|---|---|\n");
    for ((transition, fault), it) in worst {
        let name = super::transitions::TRANSITIONS[transition].name;
        let (fault, ms, bound) = (fault.name(), it.ms, it.bound_ms);
        let _ = writeln!(
            text,
            "| {name} | {fault} | {} | {ms} | {bound} | {} | {} |",
            it.cells, it.verb, it.later
        );
    }
    text
}
