//! Look-ups over orders and facts, made once per change of orders and once per review, so that a review takes time
//! in proportion to what there is. Decides nothing.

use super::facts::{Facts, is_up};
use super::orders::{DiskData, Orders, Target, VolumeWish};
use crate::host::{Place, SwitchKind, UplinkId};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Look-ups over orders.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    /// Cards of instances that are placed here: the instance, and the card's place in its list.
    pub(super) cards: BTreeMap<Uuid, (Uuid, usize)>,
    /// Switches that those are plugged into, each with the cards.
    pub(super) switches: BTreeMap<Uuid, Vec<Uuid>>,
    /// Segments that are plugged into those.
    pub(super) trunks: BTreeSet<UplinkId>,
    /// The volumes that back an image and are not on their way out.
    pub(super) backing: BTreeMap<Uuid, Vec<Uuid>>,
    /// Instances that are ordered to be up, by the volumes that they write to.
    pub(super) writers: BTreeMap<Uuid, Uuid>,
    /// What disks of instances that are placed here show.
    pub(super) shown: BTreeSet<DiskData>,
    /// Volumes that are to be there, by the image that they are filled from.
    pub(super) filled_from: BTreeMap<Uuid, Vec<Uuid>>,
}

impl Index {
    pub(super) fn of(orders: &Orders) -> Self {
        let mut index = Self::default();
        for (instance, target, hardware) in orders.placed() {
            for nic in &hardware.nics {
                index.switches.entry(nic.switch).or_default().push(nic.vnic);
            }
            index.shown.extend(hardware.disks.iter().map(|disk| disk.data));
            let cards = hardware.nics.iter().enumerate();
            index.cards.extend(cards.map(|(place, nic)| (nic.vnic, (instance, place))));
            if target.is_up() {
                index.writers.extend(hardware.volumes().map(|volume| (volume, instance)));
            }
        }
        let kinds = index.switches.keys().filter_map(|switch| orders.switches.get(switch));
        index.trunks = kinds.filter_map(SwitchKind::segment).collect();
        for (volume, order) in &orders.volumes {
            if let Some(image) = order.image.filter(|_| order.wish != VolumeWish::Deleted) {
                index.backing.entry(image).or_default().push(*volume);
            }
            if let Some(image) = order.base_image.filter(|_| order.wish == VolumeWish::Present) {
                index.filled_from.entry(image).or_default().push(*volume);
            }
        }
        index
    }

    /// The card, and the instance that it belongs to.
    pub(super) fn card<'a>(&self, orders: &'a Orders, vnic: Uuid) -> Option<Card<'a>> {
        let (instance, place) = self.cards.get(&vnic)?;
        let nic = orders.hardware(*instance)?.nics.get(*place)?;
        Some(Card { instance: *instance, target: orders.target(*instance), nic })
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
