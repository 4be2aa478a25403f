//! What can go wrong at a step.

use super::orders::Transition;
use super::scene::Scene;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Fails,
    Hangs,
    AnswersWithAnError,
    NeverAnswers,
    TwilightKilled,
    /// That of the host that the step is not on.
    OtherTwilightKilled,
    SparkleKilled,
    LinkCut,
    DatabaseKilled,
    DiskFull,
}

impl Fault {
    pub(super) const ALL: [Self; 10] = [
        Self::Fails,
        Self::Hangs,
        Self::AnswersWithAnError,
        Self::NeverAnswers,
        Self::TwilightKilled,
        Self::OtherTwilightKilled,
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
            Self::OtherTwilightKilled => "the other Twilight killed",
            Self::SparkleKilled => "Sparkle killed",
            Self::LinkCut => "link cut",
            Self::DatabaseKilled => "database killed",
            Self::DiskFull => "disk full",
        }
    }

    /// Whether it can happen at a step.
    pub(super) fn fits(self, transition: &Transition, verb: &str) -> bool {
        match self {
            Self::OtherTwilightKilled => transition.hosts > 1,
            // Where data come in.
            Self::DiskFull => {
                verb == "fill" || verb == "send to another host" && transition.verbs.contains(&"make")
            }
            _ => true,
        }
    }

    /// Whether a step of which nothing more is heard is under way.
    pub(super) const fn is_silent(self) -> bool {
        matches!(self, Self::Hangs | Self::NeverAnswers)
    }

    /// Whether somebody is away for a while, and comes back by itself.
    pub(super) const fn is_absence(self) -> bool {
        use Fault::{DatabaseKilled, LinkCut, OtherTwilightKilled, SparkleKilled, TwilightKilled};
        matches!(self, TwilightKilled | OtherTwilightKilled | SparkleKilled | LinkCut | DatabaseKilled)
    }

    /// What users are told of it, for as long as it lasts.
    pub(super) fn cause(self, verb: &str) -> &'static str {
        match self {
            Self::Fails => "made to fail",
            Self::DiskFull if verb == "fill" => "full",
            // By the emulator that writes there.
            Self::DiskFull => "No space left",
            _ => "",
        }
    }

    /// From now on the step goes wrong.
    pub(super) fn prepare(self, scene: &mut Scene, verb: &str) {
        scene.break_step(verb, self.name());
        // A move does not begin at all where there is no room.
        if self == Self::DiskFull && verb == "fill" {
            scene.ground().fill_disk();
        }
    }

    /// The step has begun on host `n`.
    pub(super) async fn strike(self, scene: &mut Scene, n: usize) {
        match self {
            Self::TwilightKilled => scene.restart_twilight(n),
            Self::OtherTwilightKilled => scene.restart_twilight(1 - n),
            Self::SparkleKilled => scene.restart_sparkle().await,
            Self::LinkCut => scene.cut(n),
            Self::DatabaseKilled => scene.ground().kill_database(),
            Self::DiskFull => scene.ground().fill_disk(),
            _ => {}
        }
    }
}
