//! Who uses what at this moment. In doubt, somebody does.

use super::{StepRuns, View};
use crate::agent::memo::Memo;
use crate::agent::step::{ResourceId, Step};
use crate::host::{Place, Source};
use std::collections::BTreeSet;
use uuid::Uuid;

impl View<'_> {
    /// A guest other than `except` that has the volume open, or may have.
    pub(super) fn user_of_volume(&self, volume: Uuid, except: Option<Uuid>, runs: &StepRuns) -> Option<Uuid> {
        let users = self.volume_fact(volume).and_then(|fact| self.usage.disks.get(&fact.place));
        self.find_user(users, except, runs, |memo| memo.volumes.contains(&volume))
    }

    /// The same for one that is known by where it lies.
    pub(super) fn user_of_place(&self, volume: Uuid, place: &Place, runs: &StepRuns) -> Option<Uuid> {
        self.find_user(self.usage.disks.get(place), None, runs, |memo| memo.volumes.contains(&volume))
    }

    /// A guest that has the tap open, or may have.
    pub(super) fn user_of_tap(&self, vnic: Uuid, runs: &StepRuns) -> Option<Uuid> {
        self.find_user(self.usage.cards.get(&vnic), None, runs, |memo| memo.vnics.contains(&vnic))
    }

    /// The first of those that have the thing by their definitions, or of those that `may_have` it: what they run
    /// with cannot be read, something is being done to them, or was and nobody knows how it ended.
    fn find_user(
        &self,
        users: Option<&BTreeSet<Uuid>>,
        except: Option<Uuid>,
        runs: &StepRuns,
        may_have: impl Fn(&Memo) -> bool,
    ) -> Option<Uuid> {
        let other = |instance: &Uuid| Some(*instance) != except;
        let remembered = |instance: &Uuid| self.memos.instances.get(instance).is_some_and(&may_have);
        let starting = runs.iter().filter_map(|run| match (run.id, &run.step) {
            (
                ResourceId::Instance(instance),
                Step::Start(_) | Step::Resume(_) | Step::Adjust(_) | Step::Expect { .. },
            ) => Some(instance),
            _ => None,
        });
        let uncertain = self.usage.uncertain.iter().copied().chain(starting);
        let mut users = users.into_iter().flatten().copied();
        users.find(&other).or_else(|| uncertain.filter(other).find(remembered))
    }

    /// An instance that is ordered to be up with the volume as one of its disks.
    pub(super) fn writer_ordered(&self, volume: Uuid) -> Option<Uuid> {
        self.index.writers.last(volume)
    }
}

/// Whether a step may bring the guest up at any moment, also one that was told to end.
pub(super) fn is_starting(instance: Uuid, runs: &StepRuns) -> bool {
    runs.of(ResourceId::Instance(instance)).any(|r| matches!(r.step, Step::Start(_) | Step::Resume(_)))
}

/// Whether a volume is being copied from this one, also by a step that was told to end.
pub(super) fn copy_of(volume: Uuid, runs: &StepRuns) -> Option<Uuid> {
    runs.iter().find_map(|run| match (&run.step, run.id) {
        (Step::CreateVolume { source: Source::Volume(from), .. }, ResourceId::Volume(to)) => {
            (from.volume == volume).then_some(to)
        }
        _ => None,
    })
}
