//! A step under way on the simulated host.

use super::config::Fate;
use crate::agent::Step;

#[derive(Debug)]
pub(super) struct Job {
    pub(super) step: Step,
    pub(super) fate: Fate,
    pub(super) started_ms: u64,
    /// When it has its effect.
    pub(super) effect_ms: u64,
    /// When it ends, unless it hangs.
    pub(super) end_ms: u64,
    /// When it ends since it was cancelled.
    pub(super) cancelled_end_ms: Option<u64>,
    pub(super) effect: Option<super::world::Effect>,
}

impl Job {
    /// Whether it will have an effect.
    pub(super) fn has_effect(&self) -> bool {
        let effective = !matches!(self.fate, Fate::Fail | Fate::Hang);
        effective && self.effect.is_none() && self.cancelled_end_ms.is_none()
    }

    pub(super) fn hangs(&self) -> bool {
        matches!(self.fate, Fate::Hang | Fate::HangAfter)
    }

    /// When something happens to it next.
    pub(super) fn next_ms(&self) -> Option<u64> {
        let end = self.cancelled_end_ms.or((!self.hangs()).then_some(self.end_ms));
        let effect = self.has_effect().then_some(self.effect_ms);
        effect.into_iter().chain(end).min()
    }

    /// How far a fill or a move has come.
    pub(super) fn progress(&self, now_ms: u64) -> Option<f64> {
        let fills = matches!(self.step, Step::CreateVolume { .. } | Step::Migrate { .. });
        let moves = !self.hangs() && self.cancelled_end_ms.is_none();
        let took = u32::try_from(now_ms.saturating_sub(self.started_ms)).ok()?;
        let takes = u32::try_from(self.end_ms.saturating_sub(self.started_ms).max(1)).ok()?;
        (fills && moves).then(|| (f64::from(took) / f64::from(takes)).min(1.0))
    }
}
