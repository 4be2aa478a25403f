//! When to look at what: periodically, and on a hint. One look of a kind is under way at a time.

use super::config::Config;
use super::step::{Look, LookId};
use crate::host::{CpuSpec, PoolSpec};
use std::collections::BTreeMap;
use uuid::Uuid;

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    Host,
    Nics,
    Disks,
    Cpus,
    Guests,
    Uplinks,
    Switches,
    Taps,
    /// The pool itself; its volumes follow once it could be opened.
    Pool(Uuid),
    Volumes(Uuid),
}

#[derive(Debug, Clone)]
struct UnderWay {
    look: LookId,
    since_ms: u64,
    /// The beliefs' count when it was asked for.
    count: u64,
}

#[derive(Debug, Clone, Default)]
struct Slot {
    under_way: Option<UnderWay>,
    due_ms: Option<u64>,
    /// Something happened since the look under way was asked for.
    again: bool,
    failures: u32,
}

/// The schedule of looks.
#[derive(Debug, Clone, Default)]
pub(super) struct Looks {
    slots: BTreeMap<Subject, Slot>,
    last: u64,
}

impl Looks {
    /// Makes the subject be looked at, from now on and periodically.
    pub(super) fn watch(&mut self, subject: Subject, now_ms: u64) {
        self.slots.entry(subject).or_insert_with(|| Slot { due_ms: Some(now_ms), ..Slot::default() });
    }

    /// Stops looking.
    pub(super) fn forget(&mut self, subject: Subject) {
        self.slots.remove(&subject);
    }

    /// Looks at it soon: something may have changed.
    pub(super) fn hint(&mut self, subject: Subject, now_ms: u64) {
        let Some(slot) = self.slots.get_mut(&subject) else { return };
        match slot.under_way {
            Some(_) => slot.again = true,
            None => slot.due_ms = Some(now_ms),
        }
    }

    /// Looks at it at this time at the latest.
    pub(super) fn bring_forward(&mut self, subject: Subject, at_ms: u64) {
        if let Some(slot) = self.slots.get_mut(&subject).filter(|it| it.under_way.is_none()) {
            slot.due_ms = slot.due_ms.into_iter().chain([at_ms]).min();
        }
    }

    /// A subject that is due, if there is one; [`begin`](Self::begin) takes it up.
    pub(super) fn due(&self, now_ms: u64) -> Option<Subject> {
        self.slots
            .iter()
            .find(|(_, s)| s.due_ms.is_some_and(|due| due <= now_ms))
            .map(|(subject, _)| *subject)
    }

    /// A look begins.
    pub(super) fn begin(&mut self, subject: Subject, now_ms: u64, count: u64) -> LookId {
        self.last += 1;
        let look = LookId(self.last);
        let slot = self.slots.entry(subject).or_default();
        (slot.due_ms, slot.again) = (None, false);
        slot.under_way = Some(UnderWay { look, since_ms: now_ms, count });
        look
    }

    /// A look was answered. Returns what it was at, and the count that it was asked for with; `None` for one
    /// that has been given up.
    pub(super) fn end(
        &mut self,
        look: LookId,
        ok: bool,
        now_ms: u64,
        config: &Config,
    ) -> Option<(Subject, u64)> {
        let is_it = |slot: &Slot| slot.under_way.as_ref().is_some_and(|u| u.look == look);
        let (subject, slot) = self.slots.iter_mut().find(|(_, slot)| is_it(slot))?;
        let under_way = slot.under_way.take()?;
        slot.failures = if ok { 0 } else { slot.failures.saturating_add(1) };
        let wait = if ok { config.look_period(*subject) } else { config.look_retry_ms(slot.failures) };
        slot.due_ms = Some(if slot.again && ok { now_ms } else { now_ms.saturating_add(wait) });
        Some((*subject, under_way.count))
    }

    /// The looks that were not answered in time, given up now.
    pub(super) fn expired(&mut self, now_ms: u64, config: &Config) -> Vec<LookId> {
        let late = |u: &UnderWay| now_ms >= u.since_ms.saturating_add(config.look_timeout_ms);
        self.slots.values().filter_map(|s| s.under_way.as_ref()).filter(|u| late(u)).map(|u| u.look).collect()
    }

    /// When something is due.
    pub(super) fn poll_timeout(&self, config: &Config) -> Option<u64> {
        self.slots
            .values()
            .filter_map(|slot| match &slot.under_way {
                Some(u) => Some(u.since_ms.saturating_add(config.look_timeout_ms)),
                None => slot.due_ms,
            })
            .min()
    }
}

impl Subject {
    /// The look at it. `None` for a pool that is no longer known.
    pub(super) fn look(
        self,
        pool: impl Fn(Uuid) -> Option<PoolSpec>,
        cpus: &BTreeMap<Uuid, CpuSpec>,
    ) -> Option<Look> {
        Some(match self {
            Self::Host => Look::Host,
            Self::Nics => Look::Nics,
            Self::Disks => Look::Disks,
            Self::Cpus => Look::Cpus(cpus.clone()),
            Self::Guests => Look::Guests,
            Self::Uplinks => Look::Uplinks,
            Self::Switches => Look::Switches,
            Self::Taps => Look::Taps,
            Self::Pool(uuid) => Look::Pool(pool(uuid)?),
            Self::Volumes(uuid) => Look::Volumes(pool(uuid)?),
        })
    }
}
