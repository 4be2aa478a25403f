//! One cell: a transition stuck at a step, and a later order.

use super::scene::{Order, Scene};
use std::time::{Duration, Instant};

/// What goes wrong at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Fails,
    Hangs,
    AnswersWithAnError,
    NeverAnswers,
    TwilightKilled,
    SparkleKilled,
    LinkCut,
    DatabaseKilled,
    DiskFull,
}

impl Fault {
    const ALL: [Self; 9] = [
        Self::Fails,
        Self::Hangs,
        Self::AnswersWithAnError,
        Self::NeverAnswers,
        Self::TwilightKilled,
        Self::SparkleKilled,
        Self::LinkCut,
        Self::DatabaseKilled,
        Self::DiskFull,
    ];

    /// What the clumsy agent is told.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Fails => "fails",
            Self::Hangs => "hangs",
            Self::AnswersWithAnError => "answers with an error",
            Self::NeverAnswers => "never answers",
            Self::TwilightKilled => "Twilight killed",
            Self::SparkleKilled => "Sparkle killed",
            Self::LinkCut => "link cut",
            Self::DatabaseKilled => "database killed",
            Self::DiskFull => "disk full",
        }
    }

    /// Whether it can happen at a step.
    fn fits(self, verb: &str) -> bool {
        self != Self::DiskFull || verb == "fill"
    }

    /// Whether a step of which nothing more is heard is under way.
    const fn is_silent(self) -> bool {
        matches!(self, Self::Hangs | Self::NeverAnswers)
    }

    /// Whether somebody is away for a while, and comes back by itself.
    const fn is_absence(self) -> bool {
        matches!(self, Self::TwilightKilled | Self::SparkleKilled | Self::LinkCut | Self::DatabaseKilled)
    }

    /// What users are told of it, for as long as it lasts.
    const fn cause(self) -> &'static str {
        match self {
            Self::Fails => "made to fail",
            Self::DiskFull => "full",
            _ => "",
        }
    }
}

/// A change of what is, made by an order.
pub(super) struct Transition {
    pub(super) name: &'static str,
    before: &'static [Order],
    order: Order,
    /// The steps that it takes.
    verbs: &'static [&'static str],
    /// What may be ordered then: each step is tried with one of them in turn.
    later: &'static [Order],
}

use Order::{CopyImage, Create, Delete, DeleteCopy, Grow, Pause, Plug, Replug, Start, Stop, Tell, Unplug};

pub(super) const TRANSITIONS: [Transition; 12] = [
    Transition {
        name: "instance: create",
        before: &[],
        order: Create,
        verbs: &["fill", "make the switch", "make the tap", "define", "start"],
        later: &[Delete, Stop, Pause, Tell],
    },
    Transition {
        name: "instance: stop",
        before: &[Create],
        order: Stop,
        verbs: &["shut down", "switch off"],
        later: &[Start, Delete],
    },
    Transition {
        name: "instance: start",
        before: &[Create, Stop],
        order: Start,
        verbs: &["start"],
        later: &[Stop, Tell, Delete],
    },
    Transition {
        name: "instance: pause",
        before: &[Create],
        order: Pause,
        verbs: &["pause"],
        later: &[Start, Delete],
    },
    Transition {
        name: "instance: resume",
        before: &[Create, Pause],
        order: Start,
        verbs: &["resume"],
        later: &[Pause, Stop, Delete],
    },
    Transition {
        name: "instance: plug in",
        before: &[Create],
        order: Plug,
        verbs: &["make", "make the tap", "change while it runs"],
        later: &[Stop, Delete, Unplug, Tell],
    },
    Transition {
        name: "instance: unplug",
        before: &[Create],
        order: Unplug,
        // A guest with nothing to boot from lets go of no card: its tap stays.
        verbs: &["change while it runs"],
        later: &[Stop, Delete, Tell],
    },
    Transition {
        name: "card: plug into another switch",
        before: &[Create],
        order: Replug,
        verbs: &["make the switch", "make the tap", "remove the switch"],
        later: &[Stop, Tell, Delete, Replug],
    },
    Transition {
        name: "volume: grow while it is used",
        before: &[Create],
        order: Grow,
        verbs: &["grow while it is used"],
        later: &[Stop, Tell, Delete],
    },
    Transition {
        name: "instance: tell it something else",
        before: &[Create],
        order: Tell,
        verbs: &["define", "change while it runs"],
        later: &[Stop, Delete, Tell],
    },
    Transition {
        name: "instance: delete",
        before: &[Create],
        order: Delete,
        verbs: &["switch off", "undefine", "remove the tap", "remove the switch", "delete"],
        later: &[Create],
    },
    Transition { name: "image: copy", before: &[], order: CopyImage, verbs: &["fill"], later: &[DeleteCopy] },
];

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
    pub(super) transition: usize,
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
                for fault in Fault::ALL.into_iter().filter(|it| it.fits(verb)) {
                    let later = it.later[cells.len() % it.later.len()];
                    cells.push(Self { transition, verb, fault, later });
                }
            }
        }
        cells
    }

    pub(super) fn name(&self) -> String {
        let (transition, fault) = (TRANSITIONS[self.transition].name, self.fault.name());
        format!("{transition}; at \"{}\": {fault}; then {:?}", self.verb, self.later)
    }

    fn bound(&self) -> Duration {
        let absence = if self.fault.is_absence() { RESYNC } else { Duration::ZERO };
        let is_awaited = self.fault.is_silent() && self.later.makes() && self.later.needs(self.verb);
        SOON + absence + if is_awaited { TIME_OUT } else { Duration::ZERO }
    }

    /// Whether what it takes is here.
    pub(super) fn is_possible(&self, scene: &Scene) -> bool {
        self.fault != Fault::DatabaseKilled || scene.ground().has_database()
    }

    pub(super) async fn run(&self, scene: &mut Scene, number: usize) -> Took {
        let transition = &TRANSITIONS[self.transition];
        for order in transition.before {
            scene.give(*order).await;
            scene.wait_for(&format!("{}: before it, {order:?}", self.name()), SETTLE, *order).await;
        }
        scene.break_step(self.verb, self.fault.name());
        if self.fault == Fault::DiskFull {
            scene.ground().fill_disk();
        }
        scene.give(transition.order).await;
        scene.wait_until_begun(self.verb, &self.name(), SETTLE).await;
        self.strike(scene).await;
        tokio::time::sleep(Duration::from_millis(STUCK_MS[number % STUCK_MS.len()])).await;
        self.tells_why(scene).await;
        if self.fault == Fault::DatabaseKilled {
            scene.ground().mend(true);
        }

        let start = Instant::now();
        scene.give(self.later).await;
        if self.fault == Fault::LinkCut {
            tokio::time::sleep(AWAY).await;
            scene.ground().mend(false);
        }
        if self.later.needs(self.verb) {
            scene.mend();
        }
        scene.wait_for(&self.name(), self.bound(), self.later).await;
        let took = Took { ms: start.elapsed().as_millis(), bound_ms: self.bound().as_millis() };
        scene.mend();
        let what = format!("{}: nothing is told of trouble that there is not", self.name());
        scene.wait_until(&what, SETTLE, async |it| it.is_told_well().await).await;
        scene.clear(&self.name(), SETTLE).await;
        took
    }

    /// The step has begun.
    async fn strike(&self, scene: &mut Scene) {
        match self.fault {
            Fault::TwilightKilled => scene.restart_twilight(),
            Fault::SparkleKilled => scene.restart_sparkle().await,
            Fault::LinkCut => scene.ground().cut(),
            Fault::DatabaseKilled => scene.ground().kill_database(),
            _ => {}
        }
    }

    /// What is not as ordered is explained by its cause.
    async fn tells_why(&self, scene: &Scene) {
        let order = TRANSITIONS[self.transition].order;
        let (what, cause) = (format!("{}: users are told why", self.name()), self.fault.cause());
        scene.wait_until(&what, TOLD, async |it| it.is_told(order, cause).await).await;
    }
}
