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
}

impl Fault {
    const ALL: [Self; 6] = [
        Self::Fails,
        Self::Hangs,
        Self::AnswersWithAnError,
        Self::NeverAnswers,
        Self::TwilightKilled,
        Self::SparkleKilled,
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
        }
    }

    /// Whether a step of which nothing more is heard is under way.
    const fn is_silent(self) -> bool {
        matches!(self, Self::Hangs | Self::NeverAnswers)
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

use Order::{CopyImage, Create, Delete, DeleteCopy, Grow, Pause, Plug, Start, Stop, Tell, Unplug};

pub(super) const TRANSITIONS: [Transition; 11] = [
    Transition {
        name: "instance: create",
        before: &[],
        order: Create,
        verbs: &["fill", "make the switch", "make the tap", "define", "start"],
        later: &[Delete, Stop, Pause],
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
        later: &[Stop, Delete],
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
        later: &[Stop, Delete],
    },
    Transition {
        name: "instance: unplug",
        before: &[Create],
        order: Unplug,
        // A guest with nothing to boot from lets go of no card: its tap stays.
        verbs: &["change while it runs"],
        later: &[Stop, Delete],
    },
    Transition {
        name: "volume: grow while it is used",
        before: &[Create],
        order: Grow,
        verbs: &["grow while it is used"],
        later: &[Stop, Delete],
    },
    Transition {
        name: "instance: tell it something else",
        before: &[Create],
        order: Tell,
        verbs: &["define", "change while it runs"],
        later: &[Stop, Delete],
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

/// How long anything may take where it is nobody's fault: other tests share the machine.
const SOON: Duration = Duration::from_secs(60);

/// A driver gives up after a minute; what can only be done by the very step is tried again then.
const TIME_OUT: Duration = Duration::from_secs(75);

/// A peer that is gone without a word is missed after this.
const RESYNC: Duration = Duration::from_secs(45);

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
                for fault in Fault::ALL {
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
        let silence = if self.fault.is_silent() { TIME_OUT } else { Duration::ZERO };
        let killed = matches!(self.fault, Fault::TwilightKilled | Fault::SparkleKilled);
        SOON + silence + if killed { RESYNC } else { Duration::ZERO }
    }

    pub(super) async fn run(&self, scene: &mut Scene, number: usize) -> Took {
        let transition = &TRANSITIONS[self.transition];
        for order in transition.before {
            scene.give(*order).await;
            scene.wait_for(&format!("{}: before it, {order:?}", self.name()), SOON, *order).await;
        }
        scene.break_step(self.verb, self.fault.name());
        scene.give(transition.order).await;
        scene.wait_until_begun(self.verb, &self.name(), SOON).await;
        match self.fault {
            Fault::TwilightKilled => scene.restart_twilight(),
            Fault::SparkleKilled => scene.restart_sparkle().await,
            _ => {}
        }
        tokio::time::sleep(Duration::from_millis(STUCK_MS[number % STUCK_MS.len()])).await;

        let start = Instant::now();
        scene.give(self.later).await;
        if self.later.needs(self.verb) {
            scene.mend();
        }
        scene.wait_for(&self.name(), self.bound(), self.later).await;
        let took = Took { ms: start.elapsed().as_millis(), bound_ms: self.bound().as_millis() };
        scene.mend();
        scene.clear(&self.name(), SOON + TIME_OUT).await;
        took
    }
}
