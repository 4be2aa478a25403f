//! Look-ups over orders, kept with each order that changes, and over guests, made once per review: so that what is done
//! takes time in proportion to what it concerns. Decides nothing.

use super::facts::{Facts, is_up};
use super::orders::{DiskData, OrderId, Orders, Target, VolumeWish};
use crate::host::{Place, UplinkId};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Several values for each key, each value once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Many<K, V>(BTreeMap<K, BTreeSet<V>>);

impl<K, V> Default for Many<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord + Copy, V: Ord + Copy> Many<K, V> {
    /// The values of a key, in their order.
    pub(super) fn of(&self, key: K) -> impl DoubleEndedIterator<Item = V> {
        self.0.get(&key).into_iter().flatten().copied()
    }

    /// Of several, always the same.
    pub(super) fn last(&self, key: K) -> Option<V> {
        self.of(key).next_back()
    }

    pub(super) fn has(&self, key: K) -> bool {
        self.0.contains_key(&key)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = K> {
        self.0.keys().copied()
    }

    fn set(&mut self, key: K, value: V, is_there: bool) {
        if is_there {
            self.0.entry(key).or_default().insert(value);
            return;
        }
        let Some(values) = self.0.get_mut(&key) else { return };
        values.remove(&value);
        if values.is_empty() {
            self.0.remove(&key);
        }
    }
}

/// Look-ups over orders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Index {
    /// Cards of instances that are placed here: the instance, and the card's place in its list.
    pub(super) cards: Many<Uuid, (Uuid, usize)>,
    /// Switches that those are plugged into, each with the cards.
    pub(super) switches: Many<Uuid, Uuid>,
    /// The switches that a segment is plugged into, whether they are needed or not.
    trunks: Many<UplinkId, Uuid>,
    /// The volumes that back an image and are not on their way out.
    pub(super) backing: Many<Uuid, Uuid>,
    /// Instances that are ordered to be up, by the volumes that they write to.
    pub(super) writers: Many<Uuid, Uuid>,
    /// Instances that are placed here, by what their disks show.
    pub(super) shown: Many<DiskData, Uuid>,
    /// Volumes that are to be there, by the image that they are filled from.
    pub(super) filled_from: Many<Uuid, Uuid>,
}

impl Index {
    /// Of all orders: what it is to be at any time.
    #[cfg(test)]
    pub(super) fn of(orders: &Orders) -> Self {
        let mut index = Self::default();
        orders.ids().into_iter().for_each(|id| index.add(orders, id));
        index
    }

    /// Looks an order up from now on.
    pub(super) fn add(&mut self, orders: &Orders, id: OrderId) {
        self.set(orders, id, true);
    }

    /// Forgets an order, which must be as it was when it was added. Before those that change are added, all of them are
    /// forgotten: what one had may be another's then.
    pub(super) fn forget(&mut self, orders: &Orders, id: OrderId) {
        self.set(orders, id, false);
    }

    fn set(&mut self, orders: &Orders, id: OrderId, is_there: bool) {
        match id {
            OrderId::Instance(instance) => self.set_instance(orders, instance, is_there),
            OrderId::Volume(volume) => self.set_volume(orders, volume, is_there),
            OrderId::Switch(switch) => {
                let segment = orders.switches.get(&switch).and_then(|it| it.kind.segment());
                segment.into_iter().for_each(|it| self.trunks.set(it, switch, is_there));
            }
            OrderId::Links | OrderId::Exports | OrderId::Pool(_) | OrderId::Image(_) | OrderId::Cpu(_) => {}
        }
    }

    fn set_instance(&mut self, orders: &Orders, instance: Uuid, is_there: bool) {
        let target = orders.target(instance);
        let Some(hardware) = orders.hardware(instance).filter(|_| target != Target::Released) else { return };
        for (place, nic) in hardware.nics.iter().enumerate() {
            self.cards.set(nic.vnic, (instance, place), is_there);
            self.switches.set(nic.switch, nic.vnic, is_there);
        }
        for disk in &hardware.disks {
            self.shown.set(disk.data, instance, is_there);
        }
        for volume in hardware.volumes().filter(|_| target.is_up()) {
            self.writers.set(volume, instance, is_there);
        }
    }

    fn set_volume(&mut self, orders: &Orders, volume: Uuid, is_there: bool) {
        let Some(order) = orders.volumes.get(&volume) else { return };
        if let Some(image) = order.image.filter(|_| order.wish != VolumeWish::Deleted) {
            self.backing.set(image, volume, is_there);
        }
        if let Some(image) = order.base_image.filter(|_| order.wish == VolumeWish::Present) {
            self.filled_from.set(image, volume, is_there);
        }
    }

    /// The instance that a card belongs to.
    pub(super) fn owner(&self, vnic: Uuid) -> Option<Uuid> {
        self.cards.last(vnic).map(|(instance, _)| instance)
    }

    /// The card, and the instance that it belongs to.
    pub(super) fn card<'a>(&self, orders: &'a Orders, vnic: Uuid) -> Option<Card<'a>> {
        let (instance, place) = self.cards.last(vnic)?;
        let nic = orders.hardware(instance)?.nics.get(place)?;
        Some(Card { instance, target: orders.target(instance), nic })
    }

    /// Whether cards are plugged into a switch that the segment is plugged into.
    pub(super) fn is_trunk(&self, segment: UplinkId) -> bool {
        self.trunks.of(segment).any(|switch| self.switches.has(switch))
    }

    /// The segments of which that holds.
    pub(super) fn trunks(&self) -> impl Iterator<Item = UplinkId> {
        self.trunks.keys().filter(|segment| self.is_trunk(*segment))
    }
}

/// A card of an instance that is placed here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Card<'a> {
    pub(super) instance: Uuid,
    pub(super) target: Target,
    pub(super) nic: &'a super::orders::NicOrder,
}

/// Look-ups over guests.
#[derive(Debug, Clone, Default)]
pub(super) struct Usage {
    /// Guests that are up, by what they have open as far as their definitions tell.
    pub(super) disks: BTreeMap<Place, BTreeSet<Uuid>>,
    /// As `disks`, by card.
    pub(super) cards: BTreeMap<Uuid, BTreeSet<Uuid>>,
    /// Guests of which it is not known what they have open: what they run with cannot be read, or a step ended
    /// without telling.
    pub(super) uncertain: BTreeSet<Uuid>,
}

impl Usage {
    /// Whether no guest has anything open, for sure.
    pub(super) fn is_idle(&self) -> bool {
        self.disks.is_empty() && self.uncertain.is_empty()
    }

    pub(super) fn of(facts: &Facts) -> Self {
        let mut usage = Self::default();
        usage.uncertain.extend(facts.guests.keys().filter(|instance| facts.guests.is_vague(*instance)));
        for (instance, guest) in facts.guests.iter().filter(|(_, guest)| is_up(guest.state)) {
            for spec in guest.live.iter().chain(&guest.spec) {
                for disk in &spec.disks {
                    usage.disks.entry(disk.place.clone()).or_default().insert(instance);
                }
                for nic in &spec.nics {
                    usage.cards.entry(nic.vnic).or_default().insert(instance);
                }
            }
            if guest.live.is_none() {
                usage.uncertain.insert(instance);
            }
        }
        usage
    }
}
