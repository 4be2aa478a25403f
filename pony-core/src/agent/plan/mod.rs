//! What is to be done: pure functions from orders, facts and memory to the next step of each resource.
//!
//! [`View`] is the engine's `World`. One file per kind of resource; nothing here is changed or remembered.

mod extents;
mod instance;
mod links;
mod text;
mod uplinks;
mod usage;
mod volume;

use super::config::{Config, Lane};
use super::facts::Facts;
use super::index::{Index, Usage};
use super::memo::Memos;
use super::orders::Orders;
use super::step::{ResourceId, Step};
use super::trial::Trial;
use crate::reconcile::{Plan, Run, Runs, Stamp, World, stamp};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

pub(super) use text::live_differences;
use volume::looking;

/// The steps under way.
pub(super) type StepRuns = Runs<ResourceId, Step>;

/// Why something cannot be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// Something else has to happen first; in words.
    Wait(String),
    /// Only another order helps; in words.
    Cannot(String),
}

impl Obstacle {
    fn wait(reason: impl Into<String>) -> Self {
        Self::Wait(reason.into())
    }

    fn reason(self) -> String {
        match self {
            Self::Wait(reason) | Self::Cannot(reason) => reason,
        }
    }
}

impl From<Obstacle> for Plan<Step> {
    fn from(obstacle: Obstacle) -> Self {
        match obstacle {
            Obstacle::Wait(reason) => Self::wait(reason),
            Obstacle::Cannot(reason) => Self::Cannot(reason),
        }
    }
}

/// Orders, facts and memory at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) now_ms: u64,
    pub(super) config: &'a Config,
    /// Whether there has been any order. Before that only uplinks are minded, as they were last proven.
    pub(super) ordered: bool,
    pub(super) trial: &'a Trial,
    pub(super) orders: &'a Orders,
    pub(super) index: &'a Index,
    pub(super) usage: &'a Usage,
    pub(super) facts: &'a Facts,
    pub(super) memos: &'a Memos,
    /// Volumes whose last try failed: nobody should wait for them.
    pub(super) failing: &'a BTreeSet<Uuid>,
    /// How far fills and moves have come, as last reported.
    pub(super) progress: &'a BTreeMap<Uuid, f64>,
}

impl World for View<'_> {
    type Id = ResourceId;
    type Step = Step;

    fn ids(&self) -> Vec<ResourceId> {
        let uplinks = self.uplink_ids().map(ResourceId::Uplink);
        if !self.ordered {
            return uplinks.collect();
        }
        let volumes = self.orders.volumes.keys().copied().chain(self.unordered_mappings());
        let volumes = volumes.map(ResourceId::Volume);
        let switches = self.facts.switches.keys().chain(self.index.switches.keys()).map(ResourceId::Switch);
        let taps = self.facts.taps.keys().chain(self.index.cards.keys()).map(ResourceId::Tap);
        let placed = self.orders.instances.keys().copied();
        let instances = self.facts.guests.keys().chain(placed).map(ResourceId::Instance);
        volumes.chain(uplinks).chain(switches).chain(taps).chain(instances).collect()
    }

    fn order(&self, id: ResourceId) -> Stamp {
        match id {
            ResourceId::Volume(volume) => self.volume_order(volume),
            ResourceId::Uplink(uplink) => self.uplink_order(uplink),
            ResourceId::Switch(switch) => self.switch_order(switch),
            ResourceId::Tap(vnic) => stamp(&self.tap_wish(vnic)),
            ResourceId::Instance(instance) => self.instance_order(instance),
        }
    }

    fn circumstances(&self, id: ResourceId) -> Stamp {
        match id {
            ResourceId::Volume(volume) => self.volume_circumstances(volume),
            ResourceId::Uplink(uplink) => self.uplink_circumstances(uplink),
            ResourceId::Switch(switch) => self.switch_circumstances(switch),
            ResourceId::Tap(vnic) => self.tap_circumstances(vnic),
            ResourceId::Instance(instance) => self.instance_circumstances(instance),
        }
    }

    fn plan(&self, id: ResourceId, runs: &StepRuns) -> Plan<Step> {
        match id {
            ResourceId::Volume(volume) => self.plan_volume(volume, runs),
            ResourceId::Uplink(uplink) => self.plan_uplink(uplink, runs),
            ResourceId::Switch(switch) => self.plan_switch(switch, runs),
            ResourceId::Tap(vnic) => self.plan_tap(vnic, runs),
            ResourceId::Instance(instance) => self.plan_instance(instance, runs),
        }
    }

    fn due(&self, id: ResourceId) -> Option<u64> {
        match id {
            ResourceId::Instance(instance) => self.grace_ends_ms(instance),
            ResourceId::Volume(_) | ResourceId::Uplink(_) | ResourceId::Switch(_) | ResourceId::Tap(_) => {
                None
            }
        }
    }

    fn serves(&self, run: &Run<ResourceId, Step>) -> bool {
        match (&run.step, run.id) {
            (Step::CreateVolume { spec, source }, ResourceId::Volume(v)) => self.fill_serves(v, spec, source),
            (Step::DeleteVolume(_), ResourceId::Volume(v)) => self.delete_serves(v),
            // A guest that is to go off is brought to see its power button only as long as it has time for that.
            (Step::Shutdown(instance) | Step::Resume(instance), _) => {
                let is_late = !self.orders.target(*instance).is_up() && self.is_grace_over(*instance);
                run.order == self.order(run.id) && !is_late
            }
            _ => run.order == self.order(run.id),
        }
    }

    fn lane(&self, step: &Step) -> usize {
        let lane = match step {
            Step::CreateVolume { .. } => Lane::Fill,
            Step::Migrate { .. } => Lane::Move,
            Step::Define(_)
            | Step::Start(_)
            | Step::Pause(_)
            | Step::Resume(_)
            | Step::Adjust(_)
            | Step::Expect { .. }
            | Step::GrowDisk { .. } => Lane::Guest,
            Step::Shutdown(_)
            | Step::Destroy(_)
            | Step::Undefine(_)
            | Step::EnsureUplink(_)
            | Step::RemoveUplink(_)
            | Step::EnsureSwitch(_)
            | Step::RemoveSwitch(_)
            | Step::EnsureTap(_)
            | Step::RemoveTap(_)
            | Step::DeleteVolume(_) => Lane::Quick,
        };
        lane as usize
    }
}
