//! Who uses what at this moment. In doubt, somebody does.

use super::{StepRuns, View};
use crate::agent::facts::{is_up, same_link};
use crate::agent::memo::Memo;
use crate::agent::step::{ResourceId, Step};
use crate::host::{InstanceSpec, Source};
use uuid::Uuid;

impl View<'_> {
    /// A guest other than `except` that has the volume open, or may have.
    pub(super) fn user_of_volume(&self, volume: Uuid, except: Option<Uuid>, runs: &StepRuns) -> Option<Uuid> {
        let path = self.volume_fact(volume).map(|f| &f.path);
        let has = |spec: &InstanceSpec| spec.disks.iter().any(|d| Some(&d.path) == path);
        self.find_user(except, runs, has, |memo| memo.volumes.contains(&volume))
    }

    /// A guest that has the tap open, or may have.
    pub(super) fn user_of_tap(&self, vnic: Uuid, runs: &StepRuns) -> Option<Uuid> {
        let has = |spec: &InstanceSpec| spec.nics.iter().any(|n| same_link(n.vnic, vnic));
        self.find_user(None, runs, has, |memo| memo.vnics.contains(&vnic))
    }

    /// The first guest that is up and has the thing by its definition, or that may have it: what it runs with
    /// cannot be read, something is being done to it, or was and nobody knows how it ended.
    fn find_user(
        &self,
        except: Option<Uuid>,
        runs: &StepRuns,
        has: impl Fn(&InstanceSpec) -> bool,
        may_have: impl Fn(&Memo) -> bool,
    ) -> Option<Uuid> {
        let uses = |(instance, memo): &(&Uuid, &Memo)| {
            let fact = self.facts.guest(**instance).filter(|f| is_up(f.state));
            let defined = fact.is_some_and(|f| f.live.iter().chain(&f.spec).any(&has));
            let unreadable = fact.is_some_and(|f| f.live.is_none());
            let uncertain = self.facts.guests.is_vague(**instance) || is_starting(**instance, runs);
            defined || (unreadable || uncertain) && may_have(memo)
        };
        let others = self.memos.instances.iter().filter(|(instance, _)| Some(**instance) != except);
        others.into_iter().find(uses).map(|(instance, _)| *instance)
    }

    /// An instance that is ordered to be up with the volume as one of its disks.
    pub(super) fn writer_ordered(&self, volume: Uuid) -> Option<Uuid> {
        let mut up = self.orders.placed().filter(|(_, target, _)| target.is_up());
        up.find(|(_, _, h)| h.volumes().any(|v| v == volume)).map(|(instance, ..)| instance)
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
