//! What the agent remembers between reviews and neither orders nor facts tell. All of it may be lost at any
//! time (the agent restarts) without harm: it only ever makes the agent more careful, or words better.

use super::facts::{Facts, is_up};
use super::orders::{Orders, Target, VolumeWish};
use super::step::{ResourceId, Step};
use crate::host::{GuestState, VolumeSpec};
use crate::reconcile::Runs;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// What is remembered of an instance.
#[derive(Debug, Clone, Default)]
pub(super) struct Memo {
    /// Since when it is to be off and is not.
    pub(super) stopping_since_ms: Option<u64>,
    /// Whether its power button was pressed since then.
    pub(super) pressed: bool,
    /// The cards that it has or may have: their taps stay until it is off.
    pub(super) vnics: BTreeSet<Uuid>,
    /// The volumes that it has or may have open.
    pub(super) volumes: BTreeSet<Uuid>,
    /// Whether it was sent to where it moves to, and arrived.
    pub(super) sent: bool,
}

/// What is remembered.
#[derive(Debug, Clone, Default)]
pub(super) struct Memos {
    pub(super) instances: BTreeMap<Uuid, Memo>,
    /// Volumes ordered deleted whose every trace was removed.
    pub(super) deleted: BTreeSet<Uuid>,
    /// Volumes that were seen finished. Should their data vanish, nothing empty is put in their place.
    pub(super) had_data: BTreeSet<Uuid>,
    /// Volumes of extents that this host has overwritten, by the grant under which it did, and Sparkle has perhaps not
    /// written down yet.
    blank: BTreeMap<Uuid, (Option<i64>, BTreeSet<Uuid>)>,
}

impl Memos {
    /// Brings the memory up to date with orders and facts.
    pub(super) fn update(
        &mut self,
        now_ms: u64,
        orders: &Orders,
        facts: &Facts,
        runs: &Runs<ResourceId, Step>,
    ) {
        let known = facts.guests.keys().chain(orders.instances.keys().copied());
        for instance in known {
            self.instances.entry(instance).or_default();
        }
        self.instances.retain(|instance, memo| memo.bring_up(*instance, now_ms, orders, facts, runs));
        self.update_volumes(orders, facts);
    }

    /// The same for one instance whose order changed, or whose links came or went.
    pub(super) fn update_one(
        &mut self,
        instance: Uuid,
        now_ms: u64,
        orders: &Orders,
        facts: &Facts,
        runs: &Runs<ResourceId, Step>,
    ) {
        let memo = self.instances.entry(instance).or_default();
        if !memo.bring_up(instance, now_ms, orders, facts, runs) {
            self.instances.remove(&instance);
        }
    }

    /// The instance that remembers a card.
    pub(super) fn owner(&self, vnic: Uuid) -> Option<Uuid> {
        self.instances.iter().find(|(_, memo)| memo.vnics.contains(&vnic)).map(|(instance, _)| *instance)
    }

    /// Whether this host has overwritten an extent of the volume, which it has had for itself since.
    pub(super) fn is_blank(&self, volume: Uuid, extent: Uuid) -> bool {
        self.blank.get(&volume).is_some_and(|(_, extents)| extents.contains(&extent))
    }

    /// A volume was made, or made larger.
    pub(super) fn note_made(&mut self, spec: &VolumeSpec, orders: &Orders) {
        let Some(order) = orders.volumes.get(&spec.volume).filter(|_| !spec.extents.is_empty()) else {
            return;
        };
        let extents = spec.extents.iter().map(|it| it.extent).collect();
        self.blank.insert(spec.volume, (order.grant.serial(), extents));
    }

    fn update_volumes(&mut self, orders: &Orders, facts: &Facts) {
        let wish = |volume: &Uuid| orders.volumes.get(volume).map(|o| o.wish);
        self.deleted.retain(|volume| wish(volume) == Some(VolumeWish::Deleted));
        for (volume, order) in &orders.volumes {
            if facts.volume(*volume, order.pool).is_some() {
                self.had_data.insert(*volume);
                self.deleted.remove(volume);
            }
        }
        let holds = |volume: &Uuid, serial: Option<i64>| {
            let grant = orders.volumes.get(volume).map(|it| it.grant);
            grant.is_some_and(|it| it.is_whole() && it.serial() == serial)
        };
        self.blank.retain(|volume, (serial, _)| holds(volume, *serial));
        self.had_data.retain(|volume| wish(volume).is_some_and(|w| w != VolumeWish::Deleted));
    }
}

impl Memo {
    /// Brings it up to date. Returns whether there is still something to remember.
    fn bring_up(
        &mut self,
        instance: Uuid,
        now_ms: u64,
        orders: &Orders,
        facts: &Facts,
        runs: &Runs<ResourceId, Step>,
    ) -> bool {
        let busy = runs.of(ResourceId::Instance(instance)).next().is_some();
        self.update(instance, now_ms, orders, facts, busy);
        let gone = facts.is_surely_off(instance) && facts.guest(instance).is_none() && !busy;
        !gone || orders.instances.contains_key(&instance) || !self.vnics.is_empty()
    }

    fn update(&mut self, instance: Uuid, now_ms: u64, orders: &Orders, facts: &Facts, busy: bool) {
        let target = orders.target(instance);
        let state = facts.guest(instance).map(|g| g.state);
        let goes_off =
            state.is_some_and(|it| is_up(it) && it != GuestState::Incoming) && target == Target::Stopped;
        if goes_off || state == Some(GuestState::ShuttingDown) {
            self.stopping_since_ms.get_or_insert(now_ms);
        } else {
            (self.stopping_since_ms, self.pressed) = (None, false);
        }
        let is_back = facts.guest(instance).is_some() && !facts.guests.is_vague(instance);
        self.sent &= orders.placement(instance).is_leaving() && !is_back;
        let off = facts.is_surely_off(instance) && !busy;
        if off {
            self.volumes.clear();
            let released = target == Target::Released;
            self.vnics.retain(|vnic| released && facts.taps.get(*vnic).is_some());
        }
        if let Some(hardware) = orders.hardware(instance).filter(|_| target.is_up() || !off) {
            self.volumes.extend(hardware.volumes());
            self.vnics.extend(hardware.nics.iter().map(|n| n.vnic));
        }
        self.learn_cards(instance, facts);
    }

    /// The guest's definitions tell which taps it has, also after an agent's restart.
    fn learn_cards(&mut self, instance: Uuid, facts: &Facts) {
        let Some(guest) = facts.guest(instance) else { return };
        let cards = guest.spec.iter().chain(&guest.live).flat_map(|spec| &spec.nics);
        self.vnics.extend(cards.map(|nic| nic.vnic).filter(|vnic| facts.taps.get(*vnic).is_some()));
    }
}
