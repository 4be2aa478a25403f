//! One cell: a transition stuck at a step, and a later order.

use super::faults::Fault;
use super::orders::Order;
use super::paths::Paths;
use super::scene::Scene;
use super::transitions::{TRANSITIONS, Transition};
use pony_core::agent::Lane;

#[derive(Debug, Clone)]
pub(super) struct Cell {
    /// Which of [`TRANSITIONS`].
    pub(super) transition: usize,
    /// Where it is stuck.
    pub(super) verb: &'static str,
    pub(super) fault: Fault,
    pub(super) later: Order,
}

/// How long the later order took, and might have taken, ms.
#[derive(Debug, Clone, Copy)]
pub(super) struct Took {
    pub(super) ms: u64,
    pub(super) bound_ms: u64,
}

impl Fault {
    /// What a user is told of it, and within how long, ms.
    fn cause(self, lane: Lane) -> Option<(&'static str, u64)> {
        match self {
            Self::Fails => Some(("it failed, as simulated", TOLD_MS)),
            Self::Hangs | Self::ServerSilent => Some(("no sign of life", stall_ms(lane) + TOLD_MS)),
            _ => None,
        }
    }
}

impl Cell {
    pub(super) fn all(paths: &Paths) -> Vec<Self> {
        let mut cells = Vec::new();
        for (n, transition) in TRANSITIONS.iter().enumerate() {
            let steps = paths.taken(n).iter();
            for verb in steps.copied().chain(paths.taken(n).contains("shut down").then_some("switch off")) {
                for fault in Fault::ALL.into_iter().filter(|it| it.fits(verb)) {
                    let later = transition.later.iter();
                    cells.extend(later.map(|later| Self { transition: n, verb, fault, later: *later }));
                }
            }
        }
        cells
    }

    pub(super) fn transition(&self) -> &'static Transition {
        &TRANSITIONS[self.transition]
    }

    pub(super) fn name(&self) -> String {
        let (transition, fault) = (self.transition().name, self.fault.name());
        format!("{transition}; at \"{}\": {fault}; then {}", self.verb, self.later.name())
    }
}

/// The message to the host and its answer, two database commits, and the time that a cancelled step is given to end.
const REACH_MS: u64 = 1_500;

/// A guest is given this long to shut down before its plug is pulled, in this simulation; then it is taken apart.
const DOWN_MS: u64 = 3_000 + 1_000;

/// Filling a volume from an image that has to be fetched first, 2 s each, and starting; or moving, 1 s, there and back.
const UP_MS: u64 = 2 * 2_100 + 800;

/// What is slow takes ten times as long.
const SLOW: u64 = 10;

/// Steps are found to be silent, and failed ones are tried again, after this at most.
const fn patience_ms(lane: Lane) -> u64 {
    stall_ms(lane) + 10_000 * 5 / 4
}

/// Steps are found to be silent after this.
const fn stall_ms(lane: Lane) -> u64 {
    match lane {
        Lane::Quick => 8_000,
        Lane::Guest | Lane::Move => 12_000,
        Lane::Fill => 15_000,
    }
}

fn lane(verb: &str) -> Lane {
    match verb {
        "fill" => Lane::Fill,
        "send to another host" => Lane::Move,
        "define"
        | "let in"
        | "start"
        | "pause"
        | "resume"
        | "change while it runs"
        | "grow while it is used" => Lane::Guest,
        _ => Lane::Quick,
    }
}

/// How long the later order may take from its acceptance.
fn bound_ms(cell: &Cell, is_needed: bool) -> u64 {
    let own = DOWN_MS + if cell.later.makes() { UP_MS } else { 0 };
    let own = if is_needed && cell.fault == Fault::Slow { own * SLOW } else { own };
    let again = if is_needed && cell.fault.lasts() { patience_ms(lane(cell.verb)) } else { 0 };
    REACH_MS + own + again + cell.fault.delay_ms()
}

/// How long a step may be on its way, ms: a guest that is deaf is given its time first.
const BEGIN_MS_MAX: u64 = 20_000;

/// What fails is told within this, ms: it may take the 2 s of a fill to fail, and those of another one that is tried
/// instead.
const TOLD_MS: u64 = 4_500;

/// A host tells what became of a step within this, ms.
const REPORT_MS: u64 = 1_000;

/// What was stuck for so long is waited for until its reason is told, ms.
const LONG_MS: u64 = 4_500;

/// How long nothing may be done once all is done.
const QUIET_MS: u64 = 20_000;

pub(super) fn run(cell: &Cell, paths: &Paths, seed: u64) -> Took {
    let transition = cell.transition();
    // A guest is switched off where it ignores the power button.
    let sim = if cell.verb == "switch off" { Fault::GuestDeaf.sim() } else { cell.fault.sim() };
    let mut scene = Scene::new(seed, sim);
    scene.before(transition);
    scene.forget_begun();
    cell.fault.prepare(&mut scene, cell.verb);
    assert!(scene.order(transition.order));
    let begun = |it: &Scene| it.begun().find(|(_, step)| step.verb() == cell.verb).map(|(n, _)| n);
    if scene.until(BEGIN_MS_MAX, |it| begun(it).is_some()).is_none() {
        scene.world.fail(&format!("{}: the step is never begun", cell.name()));
    }
    let n = begun(&scene).unwrap_or_default();
    cell.fault.strike(&mut scene, cell.verb, n);
    let pause_ms = [0, 150, 7_000][seed as usize % 3];
    let pause_ms = scene.world.random.below(pause_ms + 1);
    scene.world.run(pause_ms);
    tells_why(&mut scene, cell, pause_ms);

    accept(&mut scene, cell);
    let is_needed = paths.needs(cell.transition, cell.later, cell.verb);
    if is_needed {
        cell.fault.mend(&mut scene, cell.verb);
    }
    let bound_ms = bound_ms(cell, is_needed);
    let Some(ms) = scene.until(bound_ms, |it| it.is_heard() && cell.later.difference(it).is_none()) else {
        let what = cell.later.difference(&scene).unwrap_or_default();
        scene.world.fail(&format!("{}: not within {bound_ms} ms: {what}", cell.name()));
    };
    cell.fault.mend(&mut scene, cell.verb);
    stay(&mut scene, cell);
    Took { ms, bound_ms }
}

/// While it is stuck, users are told that it is, and what fails or hangs long enough to be known is told with its reason.
fn tells_why(scene: &mut Scene, cell: &Cell, stuck_ms: u64) {
    let of = cell.transition().name;
    // What a host said a moment ago may have changed since.
    if scene.lie(of).is_some() && scene.until(REPORT_MS, |it| it.lie(of).is_none()).is_none() {
        let what = scene.lie(of).unwrap_or_default();
        scene.world.fail(&format!("{}: said to be as ordered: {what}", cell.name()));
    }
    let Some((cause, after_ms)) = cell.fault.cause(lane(cell.verb)) else { return };
    if stuck_ms < LONG_MS {
        return;
    }
    if scene.until(after_ms, |it| it.tells(of, cause)).is_none() {
        let what = scene.told(of);
        scene.world.fail(&format!("{}: nobody says \"{cause}\", but {what:?}", cell.name()));
    }
}

/// Gives the later order, as soon as somebody is there to take it.
fn accept(scene: &mut Scene, cell: &Cell) {
    let taken = |it: &mut Scene| {
        let (volume, instance, bond, role) = (it.volume, it.instance, it.bond, it.role);
        let taken = it.order(cell.later);
        if !taken {
            (it.volume, it.instance, it.bond, it.role) = (volume, instance, bond, role);
        }
        taken
    };
    for _ in 0..200 {
        if taken(scene) {
            return;
        }
        scene.world.run(100);
    }
    scene.world.fail(&format!("{}: nobody takes the later order", cell.name()));
}

/// All else that the fault held up is made up for as well, then nothing more is done.
fn stay(scene: &mut Scene, cell: &Cell) {
    // What was set in motion ends: a guest whose button was pressed goes off, say.
    scene.world.run(DOWN_MS);
    let rest_ms = patience_ms(lane(cell.verb)) + DOWN_MS + UP_MS;
    if scene.until(rest_ms, |it| it.whole_difference().is_none()).is_none() {
        let what = scene.whole_difference().unwrap_or_default();
        scene.world.fail(&format!("{}: left over after {rest_ms} ms: {what}", cell.name()));
    }
    scene.forget_begun();
    scene.world.run(QUIET_MS);
    if let Some(what) = scene.whole_difference() {
        scene.world.fail(&format!("{}: did not stay as ordered: {what}", cell.name()));
    }
    if let Some(what) = scene.trouble() {
        scene.world.fail(&format!("{}: trouble is told where there is none: {what}", cell.name()));
    }
    let again: Vec<_> = scene.begun().map(|(_, step)| step.verb()).collect();
    if !again.is_empty() {
        scene.world.fail(&format!("{}: still done afterwards: {again:?}", cell.name()));
    }
}
