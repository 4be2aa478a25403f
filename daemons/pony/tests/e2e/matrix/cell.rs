//! One cell: a transition stuck at a step, and a later order.

use super::faults::Fault;
use super::orders::{Order, TRANSITIONS, Transition};
use super::scene::Scene;
use std::time::{Duration, Instant};

/// How long a later order may take, whatever step hangs: hosts let go of a step at once, or with the plug that is pulled.
/// Under emulation, on a machine that runs other tests as well.
const SOON: Duration = Duration::from_secs(30);

/// What can only come to be by the very step that hangs waits until its silence is noticed, and it is tried again.
const TIME_OUT: Duration = Duration::from_secs(75);

/// A peer that is gone without a word is missed after this, and has looked at everything when it is back.
const RESYNC: Duration = Duration::from_secs(45);

/// How long a link is cut.
const AWAY: Duration = Duration::from_secs(3);

/// How long it takes at most until the way to a state that others begin from is through, or what is deleted is gone: a
/// step that hangs is noticed by itself after a minute.
const SETTLE: Duration = Duration::from_secs(135);

/// How long it takes until users are told why: what failed is tried again, and may be another thing than the one awaited.
const TOLD: Duration = Duration::from_secs(30);

/// How long a step is stuck before the later order, ms.
const STUCK_MS: [u64; 3] = [0, 300, 1500];

#[derive(Debug, Clone)]
pub(super) struct Cell {
    /// Which of [`TRANSITIONS`].
    transition: usize,
    pub(super) verb: &'static str,
    pub(super) fault: Fault,
    pub(super) later: Order,
}

/// How long the later order took, and might have taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Took {
    pub(super) ms: u128,
    pub(super) bound_ms: u128,
}

impl Cell {
    pub(super) fn all() -> Vec<Self> {
        let mut cells = Vec::new();
        for (transition, it) in TRANSITIONS.iter().enumerate() {
            for verb in it.verbs {
                for fault in Fault::ALL.into_iter().filter(|fault| fault.fits(it, verb)) {
                    let later = it.later[cells.len() % it.later.len()];
                    cells.push(Self { transition, verb, fault, later });
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
        format!("{transition}; at \"{}\": {fault}; then {:?}", self.verb, self.later)
    }

    fn bound(&self) -> Duration {
        let absence = if self.fault.is_absence() { RESYNC } else { Duration::ZERO };
        let is_awaited = self.fault.is_silent() && self.later.awaits(self.verb);
        SOON + absence + if is_awaited { TIME_OUT } else { Duration::ZERO }
    }

    /// Whether what it takes is here.
    pub(super) fn is_possible(&self, scene: &Scene) -> bool {
        self.fault != Fault::DatabaseKilled || scene.ground().has_database()
    }

    pub(super) async fn run(&self, scene: &mut Scene, number: usize) -> Took {
        let transition = self.transition();
        for order in transition.before {
            scene.give(*order).await;
            scene.wait_for(&format!("{}: before it, {order:?}", self.name()), SETTLE, *order).await;
        }
        self.fault.prepare(scene, self.verb);
        scene.give(transition.order).await;
        let host = scene.wait_until_begun(self.verb, &self.name(), SETTLE).await;
        self.fault.strike(scene, host).await;
        tokio::time::sleep(Duration::from_millis(STUCK_MS[number % STUCK_MS.len()])).await;
        self.tells_why(scene).await;
        if self.fault == Fault::DatabaseKilled {
            scene.ground().mend(true);
        }

        let start = Instant::now();
        scene.give(self.later).await;
        if self.fault == Fault::LinkCut {
            tokio::time::sleep(AWAY).await;
            scene.heal();
        }
        if self.later.needs(self.verb) {
            scene.mend();
        }
        scene.wait_for(&self.name(), self.bound(), self.later).await;
        let took = Took { ms: start.elapsed().as_millis(), bound_ms: self.bound().as_millis() };
        // A machine that stands still looks too late.
        assert!(took.ms <= took.bound_ms, "{}: {took:?}", self.name());
        scene.mend();
        let what = format!("{}: nothing is told of trouble that there is not", self.name());
        scene.wait_until(&what, SETTLE, async |it| it.is_told_well().await).await;
        let what = format!("{}: nothing is left where the instance is not", self.name());
        scene.wait_until(&what, SETTLE, async |it| it.is_tidy()).await;
        scene.clear(&self.name(), SETTLE).await;
        took
    }

    /// What is not as ordered is explained by its cause.
    async fn tells_why(&self, scene: &Scene) {
        let order = self.transition().order;
        let (what, cause) = (format!("{}: users are told why", self.name()), self.fault.cause(self.verb));
        scene.wait_until(&what, TOLD, async |it| it.is_told(order, cause).await).await;
    }
}
