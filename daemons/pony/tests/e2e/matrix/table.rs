//! The sample for people.

use super::cell::{Cell, Took};
use std::fmt::Write;

const HEAD: &str = "\
# A later order always wins: on real hosts

<!-- Written by `make test-matrix`; not to be edited. -->

A sample of [the matrix](later-order-matrix.md) on what the simulation stands for: Sparkle and Twilight as processes, PostgreSQL,
libvirt and QEMU, the kernel's links, files on a small file system. In each cell a step of a transition goes wrong, then a
later order is given. It must come to be within its bound, whatever the step does meanwhile; then no host may have anything
of an instance that another one has; afterwards everything is deleted, and nothing may be left: no domain, no link, no file,
no row of a host.

What one host does alone happens on the machine's own libvirt. Moves happen between two Twilights with a libvirtd each, in
namespaces of their own that a bridge joins: of a guest whose disk is in a pool that both reach, and of one whose disk is copied into the
other host's pool. The step goes wrong on the host that it is on, and the killed Twilight is that host's, or the other's.

Guests have nothing to boot from: they ignore their power button, and their plug is pulled after 1 s. A step that fails or
hangs goes on doing so until the later order has come to be, unless that needs the very step. What hangs in a call into the
hypervisor or the kernel is let go of at once, whoever still works on it; only what may bring a guest up, here or elsewhere, is
waited for, which ends when its plug is pulled or the move is called off. A link is cut for 3 s after the order (that of a host in
namespaces leads to Sparkle and to the other host); a database that was killed is started again before it.
While it is stuck, `pony explain` says why, by the words of what fails; once all is well, it says nothing. (An instance that is
on its way goes on running as ordered: there only what fails is told.)

The bound is 30 s, under emulation on a machine that runs other things as well; 45 s more where somebody is away; 75 s more for
what can only come to be by the very step that hangs, whose silence is noticed after a minute. (An emulator that hangs itself
is killed by libvirt 10 s after its plug is pulled: `an_emulator_that_hangs_holds_up_neither_a_later_order_nor_others`. A libvirtd that
hangs is killed after 70 s: `a_libvirtd_that_stands_still_in_a_start_is_ended_and_a_later_order_wins`.) Times are those of one
run, from the order's acceptance.

Bonds and what is on them are a part of their own, at the end: not every kernel has them. That hosts undo by themselves what cuts
them off is tried apart (`a_change_that_cuts_the_management_link_is_rolled_back`), and in every cell of the simulation.

| transition | at | fault | then | ms | its bound, ms |
|---|---|---|---|---|---|
";

/// Where the part begins that another test writes: `daemons/sparkle/tests/clouds/link_matrix/table.rs`.
const OTHERS: &str = "\n## Bonds and roles\n";

/// The document with this table, where it was `before`.
pub(super) fn document(table: &str, before: &str) -> String {
    before.find(OTHERS).map_or_else(|| table.to_owned(), |at| format!("{table}{}", &before[at..]))
}

pub(super) fn write(results: &[(Cell, Took)]) -> String {
    let mut text = HEAD.to_owned();
    for (cell, took) in results {
        let columns = [cell.transition().name, cell.verb, cell.fault.name(), cell.later.name()];
        let _ = writeln!(text, "| {} | {} | {} |", columns.join(" | "), took.ms, took.bound_ms);
    }
    let _ = writeln!(text, "\n{} cells, all of them kept.", results.len());
    text
}
