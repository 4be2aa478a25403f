//! One cell: a transition of a host's links during which something goes wrong, and a later order.

use super::agent::{FAILS, FAILS_LATE, HANGS, LIES, SILENCE, STANDS};
use super::ground::Ground;
use super::states::{MAKE, NOTHING, State, TRANSITIONS, Transition};
use std::time::{Duration, Instant};

/// How long a later order may take, whatever step goes wrong: under emulation, on a machine that runs other tests as well.
const SOON: Duration = Duration::from_secs(30);

/// Who is gone without a word is missed after this, and has looked at everything when he is back.
const AWAY: Duration = Duration::from_secs(45);

/// How long it may take until an order is taken.
const TAKEN: Duration = Duration::from_secs(10);

/// How long cables are pulled out.
const CUT: Duration = Duration::from_secs(3);

/// How long all that is no part of the measurement may take.
const SETTLE: Duration = Duration::from_secs(120);

/// How long a step goes wrong before the later order, ms.
const STUCK_MS: [u64; 3] = [0, 300, 1500];

/// After how many turns of its work a step goes wrong in the middle: each is tried in turn. Beyond all of them it is done.
const TURNS: [usize; 8] = [1, 3, 5, 8, 12, 17, 24, 36];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Fails,
    FailsLate,
    Hangs,
    Lies,
    TwilightKilled,
    SparkleKilled,
    LinkCut,
}

use Fault::{Fails, FailsLate, Hangs, Lies, LinkCut, SparkleKilled, TwilightKilled};

impl Fault {
    const ALL: [Self; 7] = [Fails, FailsLate, Hangs, Lies, TwilightKilled, SparkleKilled, LinkCut];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Fails => FAILS,
            FailsLate => "a call of it fails",
            Hangs => HANGS,
            Lies => LIES,
            TwilightKilled => "Twilight killed",
            SparkleKilled => "Sparkle killed",
            LinkCut => "link cut",
        }
    }

    /// What the agent is told.
    const fn how(self) -> &'static str {
        match self {
            Fails => FAILS,
            FailsLate => FAILS_LATE,
            Hangs => HANGS,
            Lies => LIES,
            TwilightKilled | SparkleKilled | LinkCut => STANDS,
        }
    }

    const fn is_absence(self) -> bool {
        matches!(self, TwilightKilled | SparkleKilled | LinkCut)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Later {
    Reverse,
    Delete,
    Replace,
    Again,
}

impl Later {
    const ALL: [Self; 4] = [Self::Reverse, Self::Delete, Self::Replace, Self::Again];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Reverse => "reverse",
            Self::Delete => "delete",
            Self::Replace => "replace",
            Self::Again => "order again",
        }
    }

    fn state(self, transition: &Transition) -> State {
        match self {
            Self::Reverse => transition.before,
            Self::Delete => NOTHING,
            Self::Replace => transition.other,
            Self::Again => transition.order,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    number: usize,
    transition: usize,
    fault: Fault,
    later: Later,
}

impl Cell {
    /// Each transition with each fault, and the later orders in turn.
    pub(super) fn all() -> Vec<Self> {
        let pairs =
            (0..TRANSITIONS.len()).flat_map(|it| Fault::ALL.into_iter().map(move |fault| (it, fault)));
        let cell = |(number, (transition, fault)): (usize, (usize, Fault))| {
            // Neighbours differ, and so do the same faults of different transitions.
            let later = Later::ALL[number % Later::ALL.len()];
            Self { number, transition, fault, later }
        };
        pairs.enumerate().map(cell).collect()
    }

    fn transition(&self) -> &'static Transition {
        &TRANSITIONS[self.transition]
    }

    /// The columns by which it is known.
    pub(super) fn name(&self) -> [&'static str; 4] {
        let Transition { name, verb, .. } = self.transition();
        [name, verb, self.fault.name(), self.later.name()]
    }

    fn bound(&self) -> Duration {
        let absence = if self.fault.is_absence() { AWAY } else { Duration::ZERO };
        SOON + absence + if self.fault == Hangs { SILENCE } else { Duration::ZERO }
    }

    /// Whether the step that goes wrong may be needed for the later order as well.
    fn needs_the_step(&self) -> bool {
        let (transition, state) = (self.transition(), self.later.state(self.transition()));
        match transition.verb {
            MAKE => state != NOTHING,
            _ => state != transition.before || !transition.only_takes_roles(),
        }
    }

    /// Returns how long the later order took, and might have taken, ms.
    pub(super) async fn run(&self, ground: &mut Ground) -> [u128; 2] {
        let (transition, what) = (self.transition(), self.name().join("; "));
        ground.give(transition.before).await;
        ground.wait(&format!("{what}: before it"), SETTLE, async |it| it.is_so().await).await;
        ground.break_step(transition.verb, self.fault.how(), TURNS[self.number % TURNS.len()]);
        ground.give(transition.order).await;
        ground.wait(&format!("{what}: the step begins"), SETTLE, async |it| it.is_begun()).await;
        self.strike(ground).await;
        tokio::time::sleep(Duration::from_millis(STUCK_MS[self.number % STUCK_MS.len()])).await;

        let began = Instant::now();
        ground.give(self.later.state(transition)).await;
        assert!(began.elapsed() < TAKEN, "{what}: taken after {:?}", began.elapsed());
        if self.fault == LinkCut {
            tokio::time::sleep(CUT).await;
        }
        if self.fault.is_absence() || self.needs_the_step() {
            ground.mend();
        }
        ground.wait(&what, self.bound(), async |it| it.is_so().await).await;
        let took = began.elapsed();
        assert!(took <= self.bound(), "{what}: {took:?}");
        ground.mend();
        self.leaves_all_well(ground, &what).await;
        [took.as_millis(), self.bound().as_millis()]
    }

    async fn strike(&self, ground: &mut Ground) {
        match self.fault {
            TwilightKilled => {
                ground.restart_twilight();
                ground.mend();
            }
            SparkleKilled => ground.restart_sparkle().await,
            LinkCut => ground.cut(true),
            Fails | FailsLate | Hangs | Lies => {}
        }
    }

    /// The host is reached, which proves the order; others' links are as they were; and once nothing is ordered nothing is left.
    async fn leaves_all_well(&self, ground: &mut Ground, what: &str) {
        let proven = async |it: &Ground| it.record().contains("\"trial\":null") && it.is_present().await;
        ground.wait(&format!("{what}: it is proven"), SETTLE, proven).await;
        assert!(!ground.record().contains("\"refused\":{"), "{what}: {}", ground.record());
        ground.give(NOTHING).await;
        ground.wait(&format!("{what}: nothing is left"), SETTLE, async |it| it.is_so().await).await;
        ground.wait(&format!("{what}: that is proven"), SETTLE, proven).await;
        assert!(ground.others_are_untouched(), "{what}: somebody else's links");
    }
}
