//! What can go wrong at a step.

use super::scene::Scene;
use pony_core::sim::{Fate, SimConfig};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// Nothing: the later order comes while all is well.
    None,
    /// The call fails, and would not if it were made again.
    FailsOnce,
    /// The call fails, however often.
    Fails,
    /// The call never ends.
    Hangs,
    /// The call takes ten times as long.
    Slow,
    /// It is done, but the answer is an error.
    AnswerIsError,
    /// It is done, but the call never ends.
    AnswerIsLost,
    /// Twilight is killed as the step begins.
    TwilightKilled,
    SparkleKilled,
    LinkCut,
    DatabaseOut,
    /// The guest does not mind its power button.
    GuestDeaf,
    /// The image's server takes the connection, and says nothing.
    ServerSilent,
}

impl Fault {
    pub(super) const ALL: [Self; 13] = [
        Self::None,
        Self::FailsOnce,
        Self::Fails,
        Self::Hangs,
        Self::Slow,
        Self::AnswerIsError,
        Self::AnswerIsLost,
        Self::TwilightKilled,
        Self::SparkleKilled,
        Self::LinkCut,
        Self::DatabaseOut,
        Self::GuestDeaf,
        Self::ServerSilent,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::FailsOnce => "fails once",
            Self::Fails => "fails for ever",
            Self::Hangs => "hangs for ever",
            Self::Slow => "ten times as slow",
            Self::AnswerIsError => "done, answered with an error",
            Self::AnswerIsLost => "done, never answered",
            Self::TwilightKilled => "Twilight killed",
            Self::SparkleKilled => "Sparkle killed",
            Self::LinkCut => "link cut",
            Self::DatabaseOut => "database out",
            Self::GuestDeaf => "guest ignores ACPI",
            Self::ServerSilent => "server never answers",
        }
    }

    /// Whether it can happen at a step.
    pub(super) fn fits(self, verb: &str) -> bool {
        match self {
            Self::GuestDeaf => verb == "shut down",
            Self::ServerSilent => verb == "fill",
            _ => true,
        }
    }

    const fn fate(self) -> Option<Fate> {
        match self {
            Self::FailsOnce | Self::Fails => Some(Fate::Fail),
            Self::Hangs | Self::ServerSilent => Some(Fate::Hang),
            Self::Slow => Some(Fate::Slow),
            Self::AnswerIsError => Some(Fate::FailAfter),
            Self::AnswerIsLost => Some(Fate::HangAfter),
            _ => None,
        }
    }

    /// Whether it lasts until somebody mends it.
    pub(super) const fn lasts(self) -> bool {
        self.fate().is_some() && !matches!(self, Self::FailsOnce)
    }

    pub(super) fn sim(self) -> SimConfig {
        let deaf_rate = if matches!(self, Self::GuestDeaf) { 1_000 } else { 0 };
        SimConfig { mem_mib: 16_384, deaf_rate, ..SimConfig::default() }
    }

    /// From now on the step goes wrong.
    pub(super) fn prepare(self, scene: &mut Scene, verb: &'static str) {
        let fate = self.fate();
        scene.world.nodes.iter_mut().for_each(|it| it.sim.set_fate(verb, fate));
    }

    pub(super) fn mend(self, scene: &mut Scene, verb: &'static str) {
        scene.world.nodes.iter_mut().for_each(|it| it.sim.set_fate(verb, None));
    }

    /// The step has begun on host `n`.
    pub(super) fn strike(self, scene: &mut Scene, verb: &'static str, n: usize) {
        let now_ms = scene.world.now_ms;
        let world = &mut scene.world;
        match self {
            Self::FailsOnce => self.mend(scene, verb),
            Self::TwilightKilled => world.nodes[n].kill_agent(now_ms, now_ms + RESTART_MS),
            Self::SparkleKilled => world.kill_sparkle(now_ms + RESTART_MS),
            Self::LinkCut => world.nodes[n].cut_until_ms = now_ms + AWAY_MS,
            Self::DatabaseOut => world.store.away_until_ms = now_ms + AWAY_MS,
            _ => {}
        }
    }

    /// How much longer than without it a later order may take.
    pub(super) const fn delay_ms(self) -> u64 {
        match self {
            Self::FailsOnce => AGAIN_MS,
            Self::TwilightKilled => RESTART_MS + LOOK_MS + RESYNC_MS,
            Self::SparkleKilled => RESTART_MS + RESYNC_MS,
            Self::LinkCut => AWAY_MS + RESYNC_MS,
            Self::DatabaseOut => AWAY_MS + RETRY_MS,
            _ => 0,
        }
    }
}

/// What failed once is tried again within this.
const AGAIN_MS: u64 = 1_250;

/// How long a killed daemon takes to be there again.
pub(super) const RESTART_MS: u64 = 1_000;

/// How long the link is cut, or the database out.
pub(super) const AWAY_MS: u64 = 5_000;

/// A new Twilight looks at everything before it speaks.
const LOOK_MS: u64 = 500;

/// What was lost on the way is noticed with the next keep-alive, which comes every 15 s.
const RESYNC_MS: u64 = 16_000;

/// Sparkle tries a write that failed again after this at most.
const RETRY_MS: u64 = 12_000;
