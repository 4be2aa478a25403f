//! The sample for people.

use super::cell::{Cell, TRANSITIONS, Took};
use std::fmt::Write;

const HEAD: &str = "\
# A later order always wins: on a real host

<!-- Written by `make test-matrix`; not to be edited. -->

A sample of [the matrix](later-order-matrix.md) on what the simulation stands for: Sparkle and Twilight as processes, libvirt
and QEMU, the kernel's links, files in a directory. In each cell a step of a transition goes wrong, then a later order is
given. It must come to be within its bound, whatever the step does meanwhile; afterwards everything is deleted, and nothing
may be left: no domain, no link, no file, no row of the host.

Guests have nothing to boot from: they ignore their power button, and their plug is pulled after 1 s. The fault goes on until
the later order has come to be, unless that needs the very step. What hangs, hangs until the driver's own time-out of 60 s: a
call into the hypervisor cannot be taken back, and a host does not say that it let go of a guest while one may still do
something to it. The bound is 60 s, since other tests share the machine; 75 s more for a step that hangs; 45 s more where a
daemon was killed. Times are those of one run.

| transition | at | fault | then | ms | its bound, ms |
|---|---|---|---|---|---|
";

pub(super) fn write(results: &[(usize, Took)]) -> String {
    let mut text = HEAD.to_owned();
    let cells = Cell::all();
    for (number, took) in results {
        let cell = &cells[*number];
        let (name, fault) = (TRANSITIONS[cell.transition].name, cell.fault.name());
        let later = cell.later.name();
        let _ = writeln!(
            text,
            "| {name} | {} | {fault} | {later} | {} | {} |",
            cell.verb, took.ms, took.bound_ms
        );
    }
    let _ = writeln!(text, "\n{} cells, all of them kept.", results.len());
    text
}
