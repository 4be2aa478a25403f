//! The sample for people.

use super::cell::{Cell, TRANSITIONS, Took};
use std::fmt::Write;

const HEAD: &str = "\
# A later order always wins: on a real host

<!-- Written by `make test-matrix`; not to be edited. -->

A sample of [the matrix](later-order-matrix.md) on what the simulation stands for: Sparkle and Twilight as processes, PostgreSQL,
libvirt and QEMU, the kernel's links, files on a small file system. In each cell a step of a transition goes wrong, then a
later order is given. It must come to be within its bound, whatever the step does meanwhile; afterwards everything is deleted,
and nothing may be left: no domain, no link, no file, no row of the host.

Guests have nothing to boot from: they ignore their power button, and their plug is pulled after 1 s. A step that fails or
hangs goes on doing so until the later order has come to be, unless that needs the very step. What hangs in a call into the
hypervisor or the kernel is let go of at once, whoever still works on it; only what may bring a guest up is waited for, which
ends when its plug is pulled. A link is cut for 3 s after the order; a database that was killed is started again before it.
While it is stuck, `pony explain` says why, by the words of what fails; once all is well, it says nothing.

The bound is 30 s, under emulation on a machine that runs other things as well; 45 s more where somebody is away; 75 s more for
what can only come to be by the very step that hangs, whose silence is noticed after a minute. (An emulator that hangs itself
is killed by libvirt 10 s after its plug is pulled: `an_emulator_that_hangs_holds_up_neither_a_later_order_nor_others`.) Times
are those of one run, from the order's acceptance.

| transition | at | fault | then | ms | its bound, ms |
|---|---|---|---|---|---|
";

pub(super) fn write(results: &[(usize, Took)]) -> String {
    let mut text = HEAD.to_owned();
    let cells = Cell::all();
    let columns =
        |cell: &Cell| [TRANSITIONS[cell.transition].name, cell.verb, cell.fault.name(), cell.later.name()];
    let rows = results.iter().map(|(number, took)| (columns(&cells[*number]), took));
    for (columns, took) in rows {
        let _ = writeln!(text, "| {} | {} | {} |", columns.join(" | "), took.ms, took.bound_ms);
    }
    let _ = writeln!(text, "\n{} cells, all of them kept.", results.len());
    text
}
