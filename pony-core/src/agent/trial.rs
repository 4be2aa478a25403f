//! Changes of uplinks are on trial until Sparkle was reached under them, and are rolled back when it is not.
//!
//! A host reaches Sparkle over links that its orders change. So an order of uplinks is *proven* only once everything is
//! as it says and Sparkle has answered a question that was asked after the last step. Where there is no answer in time,
//! the order is *refused*: the last proven one holds again, the rows say why, and the refused one is tried again after a
//! long time, or at once when it changes. What is proven, on trial and refused is written down before anything is done
//! ([`UplinkRecord`]), so that a restart in the middle ends in the same way; and so that a machine that was just
//! switched on makes its proven uplinks before it can reach anybody.
//!
//! It makes nothing: it only says which uplinks are to be made.

use super::config::Config;
use crate::host::{UplinkId, UplinkSpec, Uplinks};
use serde::{Deserialize, Serialize};

/// Sparkle is asked this long after the last step, ms: what was under way before is not taken for an answer.
const ASK_AFTER_MS: u64 = 1_000;

/// What is to be written down durably, see [`super::AgentEvent::UplinksChanged`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UplinkRecord {
    /// The uplinks under which Sparkle was last reached.
    pub proven: Vec<UplinkSpec>,
    /// Those that are being made, and not proven.
    pub trial: Option<Vec<UplinkSpec>>,
    /// Those that were rolled back.
    pub refused: Option<RefusedUplinks>,
}

/// Uplinks that were rolled back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedUplinks {
    /// Which.
    pub order: Vec<UplinkSpec>,
    /// How often.
    pub attempts: u32,
}

/// A refused order, as it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) attempts: u32,
    pub(super) next_ms: u64,
}

#[derive(Debug, Clone)]
struct Refused {
    order: Uplinks,
    refusal: Refusal,
}

/// Which uplinks are to be made. See the module's documentation.
#[derive(Debug, Clone, Default)]
pub(super) struct Trial {
    proven: Uplinks,
    /// What is to be made, where it is not what is proven.
    trial: Option<Uplinks>,
    refused: Option<Refused>,
    /// Of the present record, and of the last that was handed out, and that was written down.
    serial: u64,
    polled: u64,
    saved: u64,
    /// When the trial ends, unless Sparkle answers.
    deadline_ms: Option<u64>,
    /// When a step on an uplink last began or ended.
    touched_ms: Option<u64>,
    /// Whether Sparkle was asked, and whether it has answered, since.
    asked: bool,
    answered: bool,
}

impl Trial {
    /// Goes on from what was written down. What was on trial gets its whole time again.
    pub(super) fn resume(record: &UplinkRecord, now_ms: u64, config: &Config) -> Self {
        let refused = record.refused.as_ref().map(|it| {
            let next_ms = now_ms.saturating_add(wait_ms(it.attempts, config));
            Refused { order: by_id(&it.order), refusal: Refusal { attempts: it.attempts, next_ms } }
        });
        let trial = record.trial.as_deref().map(by_id);
        let deadline_ms = trial.as_ref().map(|_| now_ms.saturating_add(config.prove_ms));
        Self { proven: by_id(&record.proven), trial, refused, deadline_ms, ..Self::default() }
    }

    /// What is to be made.
    pub(super) fn target(&self) -> &Uplinks {
        self.trial.as_ref().unwrap_or(&self.proven)
    }

    /// Whether what is to be made is not proven.
    pub(super) fn is_on(&self) -> bool {
        self.trial.is_some()
    }

    /// Whether anything may be made before there is an order.
    pub(super) fn is_known(&self) -> bool {
        self.trial.is_some() || self.refused.is_some() || !self.proven.is_empty()
    }

    /// Whether all is written down that must be before a step.
    pub(super) fn is_saved(&self) -> bool {
        self.saved == self.serial
    }

    /// What is ordered from now on.
    pub(super) fn order(&mut self, now_ms: u64, wanted: &Uplinks) {
        let refused = self.refused.as_ref().is_some_and(|it| it.order == *wanted);
        if wanted == self.target() && (self.refused.is_none() || self.trial.is_some()) || refused {
            return;
        }
        self.refused = None;
        self.begin(now_ms, wanted.clone());
    }

    fn begin(&mut self, now_ms: u64, order: Uplinks) {
        self.trial = Some(order).filter(|it| *it != self.proven);
        // Its time begins with the first step.
        (self.deadline_ms, self.touched_ms) = (None, Some(now_ms));
        (self.asked, self.answered) = (false, false);
        self.serial += 1;
    }

    /// A step on an uplink begins or ends.
    pub(super) fn touch(&mut self, now_ms: u64, config: &Config) {
        self.touched_ms = Some(now_ms);
        (self.asked, self.answered) = (false, false);
        if self.trial.is_some() {
            self.deadline_ms.get_or_insert(now_ms.saturating_add(config.prove_ms));
        }
    }

    /// Whether Sparkle is to be asked now. `idle`: no step on an uplink is under way.
    pub(super) fn poll_question(&mut self, now_ms: u64, idle: bool) -> bool {
        let due = idle && self.question_ms().is_some_and(|at| at <= now_ms);
        self.asked |= due;
        due
    }

    fn question_ms(&self) -> Option<u64> {
        (self.trial.is_some() && !self.asked)
            .then(|| self.touched_ms.map_or(0, |at| at.saturating_add(ASK_AFTER_MS)))
    }

    /// Sparkle has answered, to whatever question. Returns whether that is news.
    pub(super) fn hear(&mut self) -> bool {
        let news = self.asked && !self.answered;
        if news {
            (self.answered, self.deadline_ms) = (true, None);
        }
        news
    }

    /// Another number whenever something else is to be made, or is held to be proven.
    pub(super) fn serial(&self) -> u64 {
        self.serial
    }

    /// Does what is due. `done`: everything is as it is to be made. Returns the order that was rolled back now.
    pub(super) fn poll(&mut self, now_ms: u64, done: bool, config: &Config) -> Option<Uplinks> {
        if self.answered && done {
            self.prove();
        }
        if self.deadline_ms.is_some_and(|at| at <= now_ms) {
            return self.roll_back(now_ms, config);
        }
        if self.trial.is_none() && self.refused.as_ref().is_some_and(|it| it.refusal.next_ms <= now_ms) {
            let order = self.refused.as_ref().map(|it| it.order.clone()).unwrap_or_default();
            self.begin(now_ms, order);
        }
        None
    }

    fn prove(&mut self) {
        let Some(trial) = self.trial.take() else { return };
        (self.proven, self.refused) = (trial, None);
        self.serial += 1;
    }

    fn roll_back(&mut self, now_ms: u64, config: &Config) -> Option<Uplinks> {
        self.deadline_ms = None;
        let order = self.trial.take()?;
        let before = self.refused.take().filter(|it| it.order == order);
        let attempts = before.map_or(0, |it| it.refusal.attempts).saturating_add(1);
        let next_ms = now_ms.saturating_add(wait_ms(attempts, config));
        self.refused = Some(Refused { order: order.clone(), refusal: Refusal { attempts, next_ms } });
        self.serial += 1;
        Some(order)
    }

    /// Whether an uplink is not as ordered because its order was refused.
    pub(super) fn refusal(&self, id: UplinkId) -> Option<Refusal> {
        let refused = self.refused.as_ref().filter(|_| self.trial.is_none())?;
        (refused.order.get(&id) != self.proven.get(&id)).then_some(refused.refusal)
    }

    /// What is to be written down, and its number for [`saved`](Self::saved); once.
    pub(super) fn poll_record(&mut self) -> Option<(u64, UplinkRecord)> {
        if self.polled == self.serial {
            return None;
        }
        self.polled = self.serial;
        let refused = self.refused.as_ref();
        let refused =
            refused.map(|it| RefusedUplinks { order: specs(&it.order), attempts: it.refusal.attempts });
        let trial = self.trial.as_ref().map(specs);
        Some((self.serial, UplinkRecord { proven: specs(&self.proven), trial, refused }))
    }

    /// It was written down.
    pub(super) fn saved(&mut self, serial: u64) {
        self.saved = self.saved.max(serial);
    }

    /// When to [`poll`](Self::poll), or to ask, at the latest.
    pub(super) fn poll_timeout(&self, idle: bool) -> Option<u64> {
        let again = self.refused.as_ref().filter(|_| self.trial.is_none()).map(|it| it.refusal.next_ms);
        [self.deadline_ms, self.question_ms().filter(|_| idle), again].into_iter().flatten().min()
    }
}

fn by_id(specs: &[UplinkSpec]) -> Uplinks {
    specs.iter().map(|spec| (spec.id(), spec.clone())).collect()
}

fn specs(uplinks: &Uplinks) -> Vec<UplinkSpec> {
    uplinks.values().cloned().collect()
}

fn wait_ms(attempts: u32, config: &Config) -> u64 {
    let doublings = attempts.saturating_sub(1).min(32);
    config.refused_first_ms.saturating_mul(1 << doublings).min(config.refused_cap_ms)
}
