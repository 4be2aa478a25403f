//! Volumes.
//!
//! Data are deleted by the order `deleted` alone; that a row is absent means nothing. What a volume is filled
//! from is decided anew at each try, by what is there then. Where a guest and a copy want the same volume, the
//! guest has it: it is the order that somebody waits for, and a copy can start afresh.

use super::extents;
use super::text::percent;
use super::usage::copy_of;
use super::{Obstacle, StepRuns, View};
use crate::agent::facts::PoolState;
use crate::agent::orders::{DiskData, Hardware, VolumeOrder, VolumeWish};
use crate::agent::step::{ResourceId, Step};
use crate::host::{DiskSpec, GuestState, Place, PoolBackend, Source, VolumeFact, VolumeFormat, VolumeSpec};
use crate::reconcile::{Plan, Stamp, stamp};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Says in place of a URI that an image is made from a volume of the same host.
const VOLUME_SCHEME: &str = "volume:";

/// As large as the pool makes it.
fn rounded_up(size_mib: i64, granule_mib: i64) -> i64 {
    let granule = granule_mib.max(1);
    let over = size_mib % granule;
    if over == 0 { size_mib } else { size_mib.saturating_add(granule - over) }
}

pub(super) fn looking() -> Plan<Step> {
    Plan::wait("looking at the storage pool")
}

fn awaited(volume: Uuid) -> String {
    format!("waiting for other hosts to let go of volume {volume}")
}

/// Data that were there once are not made up for by something empty.
fn data_gone(order: &VolumeOrder) -> Plan<Step> {
    Plan::Cannot(format!(
        "its data are gone from storage pool {}, and nothing empty is put in their place: \
         bring them back, or order it deleted",
        order.pool
    ))
}

impl View<'_> {
    pub(super) fn volume_order(&self, volume: Uuid) -> Stamp {
        let order = self.orders.volumes.get(&volume);
        let image = order.and_then(|o| o.image.or(o.base_image)).and_then(|i| self.orders.images.get(&i));
        let pool = order.and_then(|o| self.orders.pools.get(&o.pool));
        stamp(&(order, image, pool))
    }

    pub(super) fn volume_circumstances(&self, volume: Uuid) -> Stamp {
        let Some(order) = self.orders.volumes.get(&volume) else { return 0 };
        let usable = self.facts.ready_pool(order.pool).is_some();
        stamp(&(usable, self.source(volume, order, None).ok()))
    }

    /// The finished volume.
    pub(in crate::agent) fn volume_fact(&self, volume: Uuid) -> Option<&VolumeFact> {
        self.facts.volume(volume, self.orders.volumes.get(&volume)?.pool)
    }

    pub(super) fn plan_volume(&self, volume: Uuid, runs: &StepRuns) -> Plan<Step> {
        let Some(order) = self.orders.volumes.get(&volume) else {
            return self.plan_unordered(volume, runs);
        };
        if order.wish == VolumeWish::Deleted && self.is_beyond(order.pool) {
            return Plan::Done;
        }
        let pool = match self.usable_pool(order.pool) {
            Ok(pool) => pool,
            Err(obstacle) => return obstacle.into(),
        };
        if self.is_mapped(order.pool) && !(order.wish == VolumeWish::Deleted && order.grant.may_make()) {
            return self.plan_extents(volume, order, runs);
        }
        if !order.grant.may_make() {
            let is_vague = pool.volumes.is_vague(volume);
            return if is_vague { looking() } else { self.plan_elsewhere(volume, order) };
        }
        if order.wish == VolumeWish::Deleted {
            return self.plan_deletion(volume, order, runs);
        }
        if pool.volumes.is_vague(volume) {
            return looking();
        }
        match pool.volumes.get(volume) {
            Some(fact) => self.plan_existing(volume, order, fact, runs),
            None if order.grant.is_made() || self.memos.had_data.contains(&volume) => data_gone(order),
            None if order.wish == VolumeWish::Optional && !self.is_needed(volume, order) => Plan::Done,
            None => match (self.source(volume, order, Some(runs)), self.spec(volume, order)) {
                (Ok(source), Some(spec)) => Plan::Step(Step::CreateVolume { spec, source }),
                (Err(obstacle), _) => obstacle.into(),
                (_, None) => looking(),
            },
        }
    }

    /// A volume that this host may not touch, but for its instances.
    fn plan_elsewhere(&self, volume: Uuid, order: &VolumeOrder) -> Plan<Step> {
        match self.volume_fact(volume) {
            Some(fact) if order.size_mib.is_some_and(|size| size > fact.size_mib) => {
                Plan::wait("grows once no instance has it open that shares it with others")
            }
            Some(_) => Plan::Done,
            None if order.wish != VolumeWish::Present => Plan::Done,
            None if order.grant.is_made() => data_gone(order),
            None => Plan::wait("another host makes it"),
        }
    }

    /// Whether nothing on this host has the volume open, nor will as long as it is ordered to let go of it.
    pub(in crate::agent) fn lets_go(&self, volume: Uuid, order: &VolumeOrder, runs: &StepRuns) -> bool {
        let idle = runs.of(ResourceId::Volume(volume)).next().is_none() && copy_of(volume, runs).is_none();
        let pool = self.facts.pools.get(&order.pool);
        // Which guest has it open is told by where it is; without guests that question does not come up.
        let known = pool.is_some_and(|it| it.volumes.looked() && !it.volumes.is_vague(volume));
        let clear = self.facts.guests.looked() && (known || self.usage.is_idle());
        let mapped = self.is_mapped(order.pool) && !pool.is_some_and(|it| it.is_surely_without(volume));
        order.grant.is_released()
            && idle
            && clear
            && !mapped
            && self.user_of_volume(volume, None, runs).is_none()
    }

    /// Whether this host never had a driver for the pool, so that nothing of the pool can be on it. (The type of
    /// a pool does not change.)
    pub(in crate::agent) fn is_beyond(&self, pool: Uuid) -> bool {
        let order = self.orders.pools.get(&pool);
        order.is_some_and(|o| matches!(o.spec.backend, PoolBackend::Unsupported(_)))
    }

    fn usable_pool(&self, pool: Uuid) -> Result<&PoolState, Obstacle> {
        let order = self.orders.pools.get(&pool);
        let order = order
            .ok_or_else(|| Obstacle::wait(format!("storage pool {pool} is not known on this host yet")))?;
        if let Some(fault) = &order.fault {
            return Err(Obstacle::Cannot(format!("storage pool {pool}: {fault}")));
        }
        if let Some(error) = self.facts.pool_trouble(pool) {
            return Err(Obstacle::wait(format!("storage pool {pool} cannot be used: {error}")));
        }
        let looking = || Obstacle::wait(format!("looking at storage pool {pool}"));
        self.facts.ready_pool(pool).ok_or_else(looking)
    }

    fn plan_deletion(&self, volume: Uuid, order: &VolumeOrder, runs: &StepRuns) -> Plan<Step> {
        if let Some(guest) = self.user_of_volume(volume, None, runs) {
            return Plan::wait(format!(
                "instance {guest} still uses it: it goes once it is unplugged, or the instance off"
            ));
        }
        if !self.facts.guests.looked() {
            return Plan::wait(self.looking_at_guests());
        }
        match self.spec(volume, order) {
            _ if self.memos.deleted.contains(&volume) => Plan::Done,
            Some(spec) => Plan::Step(Step::DeleteVolume(VolumeSpec { extents: Vec::new(), ..spec })),
            None => looking(),
        }
    }

    /// A finished volume is left as it is, but for its size.
    fn plan_existing(
        &self,
        volume: Uuid,
        order: &VolumeOrder,
        fact: &VolumeFact,
        runs: &StepRuns,
    ) -> Plan<Step> {
        if let Some(format) = order.format.filter(|f| *f != fact.format) {
            return Plan::Cannot(format!(
                "it is {:?}, and {format:?} is ordered: make a new one",
                fact.format
            ));
        }
        let (Some(size_mib), Some(spec)) = (order.size_mib, self.spec(volume, order)) else {
            return Plan::Done;
        };
        let granule =
            self.facts.ready_pool(order.pool).and_then(|it| it.fact.as_ref()).map_or(1, |it| it.granule_mib);
        let size_mib = rounded_up(size_mib, granule);
        if size_mib < fact.size_mib {
            let has = fact.size_mib;
            return Plan::Cannot(format!(
                "it has {has} MiB and does not shrink to {size_mib}: order {has} or more"
            ));
        }
        if size_mib == fact.size_mib {
            return Plan::Done;
        }
        if !self.facts.guests.looked() {
            return Plan::wait(self.looking_at_guests());
        }
        let user = self.user_of_volume(volume, None, runs);
        if let Some((instance, disk)) = user.and_then(|user| self.live_disk(user, fact, runs)) {
            let spec = VolumeSpec { size_mib: Some(size_mib), ..spec };
            return Plan::Step(Step::GrowDisk { instance, disk, spec });
        }
        match user.or(copy_of(volume, runs)) {
            Some(user) => Plan::wait(format!("grows to {size_mib} MiB once {user} does not use it")),
            None => Plan::Step(Step::CreateVolume { spec, source: Source::Empty }),
        }
    }

    /// The disk of a guest that is up which shows the volume: it can be grown meanwhile, where it is on this host.
    pub(super) fn live_disk(
        &self,
        instance: Uuid,
        fact: &VolumeFact,
        runs: &StepRuns,
    ) -> Option<(Uuid, DiskSpec)> {
        if self.facts.guests.is_vague(instance) || runs.of(ResourceId::Instance(instance)).next().is_some() {
            return None;
        }
        let guest = self.facts.guest(instance).filter(|_| !matches!(fact.place, Place::Network(_)));
        let guest = guest.filter(|it| matches!(it.state, GuestState::Running | GuestState::Paused))?;
        let disk =
            guest.live.as_ref()?.disks.iter().find(|disk| disk.place == fact.place && !disk.read_only)?;
        Some((instance, disk.clone()))
    }

    /// The volume for a driver. `None` where its pool is not known.
    pub(super) fn spec(&self, volume: Uuid, order: &VolumeOrder) -> Option<VolumeSpec> {
        let pool = self.orders.pools.get(&order.pool)?.spec.clone();
        let found = self.facts.volume(volume, order.pool).map(|f| f.format);
        let format = order.format.or(found).unwrap_or_else(|| pool.backend.usual_format());
        let (size_mib, extents) = (order.size_mib, order.extents.clone());
        Some(VolumeSpec { volume, pool, format, size_mib, extents })
    }

    /// What the volume is to be filled from now, or why that is not possible yet. Without `runs`, only orders
    /// count.
    pub(super) fn source(
        &self,
        volume: Uuid,
        order: &VolumeOrder,
        runs: Option<&StepRuns>,
    ) -> Result<Source, Obstacle> {
        if let Some(base) = order.base_volume {
            return self.copy_source(base, runs);
        }
        let Some(image) = order.base_image.or(order.image) else { return Ok(Source::Empty) };
        if let Some(ready) = self.ready_copy(image, Some(order.pool)).filter(|v| *v != volume) {
            return self.copy_source(ready, None);
        }
        let order_of = self.orders.images.get(&image);
        let uri = order_of.and_then(|i| i.source_uri.as_deref());
        let remote = order_of.and_then(|i| i.remote.as_ref());
        let pending = order.base_image.and_then(|_| self.pending_copy(image)).filter(|copy| *copy != volume);
        match (pending, uri, remote) {
            (Some(copy), ..) => Err(Obstacle::wait(self.volume_reason(copy))),
            (None, Some(uri), _) => self.uri_source(uri, runs),
            (None, None, Some(remote)) => Ok(Source::Remote(remote.clone())),
            (None, None, None) => Err(Obstacle::wait(format!(
                "image {image} has no data that this host can reach: no finished copy here, no source_uri, and no other \
                 host that it is to be read from"
            ))),
        }
    }

    fn uri_source(&self, uri: &str, runs: Option<&StepRuns>) -> Result<Source, Obstacle> {
        match uri.strip_prefix(VOLUME_SCHEME) {
            None => Ok(Source::Uri(uri.to_owned())),
            Some(name) => match Uuid::try_parse(name) {
                Ok(base) => self.copy_source(base, runs),
                Err(_) => Err(Obstacle::Cannot(format!("{uri} names no volume: write volume:UUID"))),
            },
        }
    }

    /// A volume of this host as the source of a copy: finished, and written to by nobody.
    fn copy_source(&self, base: Uuid, runs: Option<&StepRuns>) -> Result<Source, Obstacle> {
        let Some(order) = self.orders.volumes.get(&base) else {
            return Err(Obstacle::wait(format!("volume {base} is not on this host")));
        };
        if order.wish == VolumeWish::Deleted {
            return Err(Obstacle::Cannot(format!(
                "volume {base}, which it is to be filled from, is deleted"
            )));
        }
        if order.image.is_none() && !order.grant.is_whole() {
            return Err(Obstacle::Wait(awaited(base)));
        }
        if !self.facts.guests.looked() {
            return Err(Obstacle::Wait(self.looking_at_guests()));
        }
        let user = self.writer_ordered(base).or_else(|| self.user_of_volume(base, None, runs?));
        if let Some(user) = user.filter(|_| order.image.is_none()) {
            return Err(Obstacle::wait(format!(
                "instance {user} writes to volume {base}: it is copied once that is off"
            )));
        }
        let vague = self.facts.pools.get(&order.pool).is_none_or(|p| p.volumes.is_vague(base));
        match (self.volume_fact(base), self.spec(base, order)) {
            (Some(_), Some(spec)) if !vague => Ok(Source::Volume(spec)),
            _ => Err(Obstacle::wait(self.volume_reason(base))),
        }
    }

    /// The volumes that back an image and are not on their way out.
    pub(in crate::agent) fn backing(&self, image: Uuid) -> impl Iterator<Item = (Uuid, &VolumeOrder)> {
        let volumes = self.index.backing.of(image);
        volumes.filter_map(|volume| Some((volume, self.orders.volumes.get(&volume)?)))
    }

    /// The nearest finished copy of the image on this host: in the same pool, where blocks may be shared, or any.
    pub(super) fn ready_copy(&self, image: Uuid, near: Option<Uuid>) -> Option<Uuid> {
        let ready = |(uuid, order): &(Uuid, &VolumeOrder)| {
            let pool = self.facts.pools.get(&order.pool);
            pool.is_some_and(|p| !p.volumes.is_vague(*uuid) && p.volumes.get(*uuid).is_some())
        };
        let nearest = self.backing(image).filter(ready).min_by_key(|(_, order)| Some(order.pool) != near);
        nearest.map(|(uuid, _)| uuid)
    }

    /// A copy of the image that is on its way to this host and in no trouble.
    pub(super) fn pending_copy(&self, image: Uuid) -> Option<Uuid> {
        let coming = |(uuid, order): &(Uuid, &VolumeOrder)| {
            let made = order.wish == VolumeWish::Present || self.is_needed(*uuid, order);
            let broken = self.facts.pool_trouble(order.pool).is_some();
            made && !broken && !self.failing.contains(uuid)
        };
        self.backing(image).find(coming).map(|(uuid, _)| uuid)
    }

    /// Whether something on this host would use an optional volume: a disk of an instance that is placed here,
    /// or a volume here that is still to be filled from the image that it backs.
    pub(in crate::agent) fn is_needed(&self, volume: Uuid, order: &VolumeOrder) -> bool {
        let shown = |data: DiskData| self.index.shown.has(data);
        let fills = |image: Uuid| {
            let mut volumes = self.index.filled_from.of(image);
            volumes.any(|other| self.volume_fact(other).is_none())
        };
        shown(DiskData::Volume(volume)) || order.image.is_some_and(|i| shown(DiskData::Image(i)) || fills(i))
    }

    /// Whether a fill under way still is what is ordered, and needed. What it is filled from may be nulled behind its
    /// back (somebody else finished first), and the volume may be ordered larger: it grows afterwards.
    pub(super) fn fill_serves(&self, volume: Uuid, spec: &VolumeSpec, source: &Source) -> bool {
        let Some(order) = self.orders.volumes.get(&volume) else { return false };
        let same_place =
            self.orders.pools.get(&order.pool).is_some_and(|p| p.spec == spec.pool && p.fault.is_none());
        let is_ours = order.grant.may_make();
        // What a volume of extents was given is what it has, also where less is ordered afterwards.
        let same_size = order.size_mib >= spec.size_mib || self.is_mapped(order.pool);
        let same_shape = order.format.is_none_or(|f| f == spec.format) && same_size;
        let is_wanted = match order.wish {
            VolumeWish::Present => true,
            VolumeWish::Optional => self.is_needed(volume, order),
            VolumeWish::Deleted => false,
        };
        let same_extents = extents::begins_with(order, spec);
        let is_meant = is_wanted && same_place && same_shape && same_extents;
        match extents::is_taken_up(spec) {
            true => is_meant && extents::may_map(order),
            false => is_meant && is_ours && self.source_serves(order, source),
        }
    }

    fn source_serves(&self, order: &VolumeOrder, source: &Source) -> bool {
        let image = order.base_image.or(order.image).and_then(|i| self.orders.images.get(&i));
        match source {
            Source::Empty => true,
            Source::Uri(uri) => {
                let now = image.and_then(|i| i.source_uri.as_ref());
                order.base_volume.is_none() && now.is_none_or(|now| now == uri)
            }
            // The other host lets it be read no longer than it is told to.
            Source::Remote(from) => {
                let now = image.map(|i| i.remote.as_ref());
                order.base_volume.is_none() && now.is_none_or(|now| now == Some(from))
            }
            Source::Volume(from) => {
                let backs = self.orders.volumes.get(&from.volume).filter(|o| o.wish != VolumeWish::Deleted);
                let free =
                    backs.is_some_and(|o| o.image.is_some()) || self.writer_ordered(from.volume).is_none();
                backs.is_some() && free
            }
        }
    }

    /// A deletion under way goes on when the row is gone: nothing else can have been meant. Of a mapping it is the end as
    /// long as this host may not have the volume open.
    pub(super) fn delete_serves(&self, volume: Uuid) -> bool {
        let is_unmapped = |o: &VolumeOrder| self.is_mapped(o.pool) && !extents::may_map(o);
        self.orders.volumes.get(&volume).is_none_or(|o| o.wish == VolumeWish::Deleted || is_unmapped(o))
    }

    /// The path and format of a finished volume that a guest may have now, or why it may not.
    pub(super) fn usable_volume(
        &self,
        volume: Uuid,
        for_guest: Uuid,
        runs: &StepRuns,
    ) -> Result<&VolumeFact, String> {
        let Some(order) = self.orders.volumes.get(&volume) else {
            return Err(format!("volume {volume} is not on this host"));
        };
        if order.wish == VolumeWish::Deleted {
            return Err(format!(
                "volume {volume} is deleted: take it out of the instance, or order it present"
            ));
        }
        if let Err(obstacle) = self.usable_pool(order.pool) {
            return Err(format!("volume {volume}: {}", obstacle.reason()));
        }
        if let Some(why) = self.unmade(volume, order) {
            return Err(why);
        }
        let busy = runs.of(ResourceId::Volume(volume)).next().is_some();
        let vague = self.facts.pools.get(&order.pool).is_none_or(|p| p.volumes.is_vague(volume));
        let Some(fact) = self.volume_fact(volume).filter(|_| !busy && !vague) else {
            return Err(self.volume_reason(volume));
        };
        if let Some(copy) = copy_of(volume, runs) {
            return Err(format!("waiting for the copy of volume {volume} into {copy} to let go of it"));
        }
        let shared = self.is_shared(order.pool, fact);
        let comes_along = order.grant.may_arrive() && self.orders.placement(for_guest).is_coming();
        if !order.grant.may_use(shared) && !comes_along {
            return Err(awaited(volume));
        }
        match self.user_of_volume(volume, Some(for_guest), runs).filter(|_| !shared) {
            Some(user) => Err(format!(
                "volume {volume} is in use by instance {user}: only raw volumes of a pool that is `shareable` are shared"
            )),
            None => Ok(fact),
        }
    }

    /// Why a guest that stands still must go on doing so: another host may still write to what it has open.
    pub(super) fn held_elsewhere(&self, instance: Uuid) -> Option<String> {
        let ordered = self.orders.hardware(instance).into_iter().flat_map(Hardware::volumes);
        let remembered = self.memos.instances.get(&instance).into_iter().flat_map(|it| &it.volumes).copied();
        let live = self.facts.guest(instance).and_then(|it| it.live.as_ref());
        let opened: BTreeSet<&Place> =
            live.into_iter().flat_map(|it| &it.disks).map(|it| &it.place).collect();
        let shown = self.orders.volumes.keys().copied();
        let shown = shown.filter(|it| self.volume_fact(*it).is_some_and(|it| opened.contains(&it.place)));
        let may_go_on = |it: &Uuid| {
            let order = self.orders.volumes.get(it);
            order.is_none_or(|it| it.image.is_some() || it.grant.may_go_on())
        };
        ordered.chain(remembered).chain(shown).find(|it| !may_go_on(it)).map(awaited)
    }

    /// Whether several instances may have the volume open at once: one that is raw, in a pool that lets them.
    pub(super) fn is_shared(&self, pool: Uuid, fact: &VolumeFact) -> bool {
        fact.format == VolumeFormat::Raw && self.orders.pools.get(&pool).is_some_and(|it| it.shareable)
    }

    /// Why the volume is not ready.
    pub(super) fn volume_reason(&self, volume: Uuid) -> String {
        match self.progress.get(&volume) {
            Some(fraction) => format!("waiting for volume {volume}: {} filled", percent(*fraction)),
            None => format!("waiting for volume {volume}"),
        }
    }
}
