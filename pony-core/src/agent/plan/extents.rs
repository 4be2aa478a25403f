//! Volumes that consist of extents: those of pools of type `plvm`.
//!
//! Whose a part of a disk is, and whether its volume has it (`made`), stands in rows, and nowhere else. So a host maps what
//! a volume has, and only as long as it may have it open: before it says that it let go of the volume its mapping is gone,
//! and so no host has one when the rows go. What was given to a volume and is not `made` yet is overwritten by the host that
//! has the volume for itself: filled, where it is a new one, or made blank, where it grows. No guest gets to see any of
//! that before Sparkle has written it down, since until then another host may have to do it again.

use super::usage::copy_of;
use super::{Obstacle, StepRuns, View, looking};
use crate::agent::orders::{VolumeOrder, VolumeWish};
use crate::agent::step::Step;
use crate::host::{
    Extent, PoolBackend, PoolSpec, Source, VolumeFact, VolumeFormat, VolumeSpec, extents_mib, made_extents,
};
use crate::reconcile::Plan;
use std::collections::BTreeMap;
use uuid::Uuid;

fn unnoted() -> Plan<Step> {
    Plan::wait("waiting for Sparkle to write down that it is made")
}

impl View<'_> {
    /// Whether volumes of the pool consist of extents, which hosts map.
    pub(in crate::agent) fn is_mapped(&self, pool: Uuid) -> bool {
        self.orders.pools.get(&pool).is_some_and(|it| matches!(it.spec.backend, PoolBackend::Plvm(_)))
    }

    /// Why no guest may have the volume yet, where that is so.
    pub(super) fn unmade(&self, volume: Uuid, order: &VolumeOrder) -> Option<String> {
        let is_unmade = self.is_mapped(order.pool) && made_extents(&order.extents).is_empty();
        is_unmade.then(|| self.volume_reason(volume))
    }

    /// Mappings of volumes that this host is told nothing of any more.
    pub(super) fn unordered_mappings(&self) -> impl Iterator<Item = Uuid> {
        let mapped = self.facts.pools.values().filter(|it| matches!(it.spec.backend, PoolBackend::Plvm(_)));
        let volumes = mapped.flat_map(|it| it.volumes.keys());
        volumes.filter(|it| !self.orders.volumes.contains_key(it))
    }

    /// A volume without an order: a mapping that is left of one goes.
    pub(super) fn plan_unordered(&self, volume: Uuid, runs: &StepRuns) -> Plan<Step> {
        let pools = || self.facts.pools.values().filter(|it| matches!(it.spec.backend, PoolBackend::Plvm(_)));
        match pools().find_map(|pool| Some((&pool.spec, pool.volumes.get(volume)?))) {
            Some((pool, fact)) => self.plan_unmapping(pool, fact, runs),
            None => Plan::Gone,
        }
    }

    /// A volume that is not to be deleted, or not by this host.
    pub(super) fn plan_extents(&self, volume: Uuid, order: &VolumeOrder, runs: &StepRuns) -> Plan<Step> {
        let Some(pool) = self.facts.pools.get(&order.pool).filter(|it| !it.volumes.is_vague(volume)) else {
            return looking();
        };
        match pool.volumes.get(volume) {
            Some(fact) if !may_map(order) => self.plan_unmapping(&pool.spec, fact, runs),
            Some(fact) => self.plan_mapped(volume, order, fact, runs),
            None if !may_map(order) => Plan::Done,
            None => self.plan_unmapped(volume, order, runs),
        }
    }

    fn plan_unmapping(&self, pool: &PoolSpec, fact: &VolumeFact, runs: &StepRuns) -> Plan<Step> {
        let volume = fact.volume;
        if !self.facts.guests.looked() {
            return Plan::wait(self.looking_at_guests());
        }
        match self.user_of_place(volume, &fact.place, runs).or_else(|| copy_of(volume, runs)) {
            Some(user) => Plan::wait(format!("its mapping goes once {user} does not use it")),
            None => Plan::Step(Step::DeleteVolume(VolumeSpec {
                volume,
                pool: pool.clone(),
                format: VolumeFormat::Raw,
                size_mib: None,
                extents: Vec::new(),
            })),
        }
    }

    fn plan_unmapped(&self, volume: Uuid, order: &VolumeOrder, runs: &StepRuns) -> Plan<Step> {
        let made = made_extents(&order.extents);
        if !made.is_empty() {
            return self.step_of(volume, order, made, Source::Empty);
        }
        if !order.grant.may_make() {
            return Plan::wait("another host makes it");
        }
        if order.wish == VolumeWish::Optional && !self.is_needed(volume, order) {
            return Plan::Done;
        }
        if order.extents.is_empty() || order.size_mib.is_none_or(|it| it > extents_mib(&order.extents)) {
            return self.without_room(order);
        }
        match self.source(volume, order, Some(runs)) {
            Ok(source) => self.step_of(volume, order, &order.extents, source),
            Err(obstacle) => obstacle.into(),
        }
    }

    fn plan_mapped(
        &self,
        volume: Uuid,
        order: &VolumeOrder,
        fact: &VolumeFact,
        runs: &StepRuns,
    ) -> Plan<Step> {
        let (has, made) = (fact.size_mib, made_extents(&order.extents));
        if has < extents_mib(made) {
            return self.plan_larger(volume, order, fact, runs);
        }
        if !order.grant.may_make() {
            return Plan::Done;
        }
        if made.is_empty() {
            return unnoted();
        }
        if has < extents_mib(&order.extents) {
            let is_blank = |it: &Extent| it.made || self.memos.is_blank(volume, it.extent);
            return match order.extents.iter().all(is_blank) {
                true => unnoted(),
                false => self.step_of(volume, order, &order.extents, Source::Empty),
            };
        }
        match order.size_mib {
            Some(size) if size > has => self.without_room(order),
            // Extents are given by the MiB that are ordered: what is larger was ordered smaller afterwards.
            Some(size) if size < has => {
                Plan::Cannot(format!("it has {has} MiB and does not shrink to {size}: order {has} or more"))
            }
            _ => Plan::Done,
        }
    }

    /// More of it is made than this host has mapped.
    fn plan_larger(
        &self,
        volume: Uuid,
        order: &VolumeOrder,
        fact: &VolumeFact,
        runs: &StepRuns,
    ) -> Plan<Step> {
        let made = made_extents(&order.extents);
        if !self.facts.guests.looked() {
            return Plan::wait(self.looking_at_guests());
        }
        let user = self.user_of_volume(volume, None, runs);
        if let (Some((instance, disk)), Some(spec)) =
            (user.and_then(|user| self.live_disk(user, fact, runs)), self.spec_of(volume, order, made))
        {
            return Plan::Step(Step::GrowDisk { instance, disk, spec });
        }
        match user.or_else(|| copy_of(volume, runs)) {
            Some(user) => {
                Plan::wait(format!("grows to {} MiB once {user} does not use it", extents_mib(made)))
            }
            None => self.step_of(volume, order, made, Source::Empty),
        }
    }

    fn step_of(&self, volume: Uuid, order: &VolumeOrder, extents: &[Extent], source: Source) -> Plan<Step> {
        match self.spec_of(volume, order, extents) {
            Some(spec) => Plan::Step(Step::CreateVolume { spec, source }),
            None => looking(),
        }
    }

    /// The volume as far as it consists of these. A new one may be ordered with less than it was given.
    fn spec_of(&self, volume: Uuid, order: &VolumeOrder, extents: &[Extent]) -> Option<VolumeSpec> {
        let size_mib = Some(extents_mib(extents));
        Some(VolumeSpec { size_mib, extents: extents.to_vec(), ..self.spec(volume, order)? })
    }

    fn without_room(&self, order: &VolumeOrder) -> Plan<Step> {
        Obstacle::wait(format!("waiting for Sparkle to give it room in storage pool {}", order.pool)).into()
    }

    /// Of the extents of volumes that this host has for itself: whether what lay there before is overwritten, as this host
    /// sees it.
    pub(in crate::agent) fn overwritten(&self) -> BTreeMap<Uuid, bool> {
        let held = self.orders.volumes.iter().filter(|(_, order)| order.grant.is_whole());
        held.flat_map(|(volume, order)| self.overwritten_of(*volume, order)).collect()
    }

    fn overwritten_of(&self, volume: Uuid, order: &VolumeOrder) -> impl Iterator<Item = (Uuid, bool)> {
        let pool = self.facts.pools.get(&order.pool).filter(|it| !it.volumes.is_vague(volume));
        let mapped_mib = pool.and_then(|it| it.volumes.get(volume)).map(|it| it.size_mib);
        let mut end_mib = 0;
        order.extents.iter().map(move |extent| {
            end_mib += extent.len_mib;
            let is_here = |has| has >= end_mib || self.memos.is_blank(volume, extent.extent);
            (extent.extent, extent.made || mapped_mib.is_some_and(is_here))
        })
    }
}

/// Whether this host may have the volume open. Copies of images are read by all who are told of them.
pub(super) fn may_map(order: &VolumeOrder) -> bool {
    order.wish != VolumeWish::Deleted && (order.grant.may_open() || order.image.is_some())
}

/// Whether a step is about no more than what the volume consists of still.
pub(super) fn begins_with(order: &VolumeOrder, spec: &VolumeSpec) -> bool {
    let now = order.extents.iter().map(|it| it.extent);
    now.take(spec.extents.len()).eq(spec.extents.iter().map(|it| it.extent))
}

/// Whether a step maps what the volume has, and writes nothing.
pub(super) fn is_taken_up(spec: &VolumeSpec) -> bool {
    !spec.extents.is_empty() && spec.extents.iter().all(|it| it.made)
}
