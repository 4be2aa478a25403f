//! The uplinks of the simulated world.

use super::{errors::transient, links::link_name, op::SimOp, world::World};
use crate::Result;
use pony_core::host::{BondSpec, NicBond, NicFact, SegmentSpec, UplinkFact, UplinkId, UplinkSpec};
use std::collections::BTreeSet;
use uuid::Uuid;

/// A name for what is on a bond under a tag.
fn segment_name(kind: char, spec: &SegmentSpec) -> String {
    let tags = u128::from(spec.within) << 16 | u128::from(spec.tag);
    link_name(kind, Uuid::from_u128(spec.bond.as_u128() ^ tags))
}

fn fact(spec: &UplinkSpec, carrier: bool) -> UplinkFact {
    let (below, link) = match spec {
        UplinkSpec::Bond(spec) => (link_name('o', spec.bond), link_name('o', spec.bond)),
        UplinkSpec::Segment(spec) => {
            let below = if spec.tag == 0 { link_name('o', spec.bond) } else { segment_name('l', spec) };
            let link = if spec.bridged { segment_name('r', spec) } else { below.clone() };
            (below, link)
        }
    };
    UplinkFact { spec: spec.clone(), carried: BTreeSet::new(), below, link, carrier, whole: true }
}

impl World {
    pub(super) fn ensure_uplink(&mut self, spec: &UplinkSpec) -> Result<UplinkFact> {
        let carrier = match spec {
            UplinkSpec::Bond(bond) => self.take_cards(bond)?,
            UplinkSpec::Segment(segment) => match spec.id().below().and_then(|it| self.uplinks.get(&it)) {
                Some(below) => below.carrier,
                None => {
                    let SegmentSpec { bond, within, .. } = segment;
                    return Err(transient(format!("bond {bond}, or VLAN {within} of it, is not there")));
                }
            },
        };
        let fact = fact(spec, carrier);
        if self.uplinks.insert(spec.id(), fact.clone()).as_ref() != Some(&fact) {
            self.effect(SimOp::EnsureUplink, spec.id().bond());
            self.notify_machine();
        }
        Ok(fact)
    }

    /// Takes cards away from other bonds. Returns whether one of them hears anything.
    fn take_cards(&mut self, order: &BondSpec) -> Result<bool> {
        let cards = &self.options.nics;
        let is_card = |mac: &&String| cards.iter().any(|card| card.hwaddr == **mac);
        if let Some(mac) = order.nics.iter().find(|mac| !is_card(mac)) {
            return Err(transient(format!("card {mac} of bond {} is not in this host", order.bond)));
        }
        for other in self.uplinks.values_mut() {
            if let UplinkSpec::Bond(other) = &mut other.spec
                && other.bond != order.bond
            {
                other.nics.retain(|mac| !order.nics.contains(mac));
            }
        }
        Ok(cards.iter().any(|card| card.carrier && order.nics.contains(&card.hwaddr)))
    }

    pub(super) fn remove_uplink(&mut self, id: UplinkId) -> Result<()> {
        if self.uplinks.keys().any(|it| it.below() == Some(id)) {
            return Err(transient(format!("there is something on {id:?}")));
        }
        if self.uplinks.remove(&id).is_some() {
            self.effect(SimOp::RemoveUplink, id.bond());
            self.notify_machine();
        }
        Ok(())
    }

    /// Whether a segment is there that can be plugged into a switch.
    pub(super) fn is_plain(&self, id: UplinkId) -> bool {
        self.uplinks.get(&id).is_some_and(UplinkFact::is_plain)
    }

    /// The cards, and what bonds use them.
    pub(super) fn nic_facts(&self) -> Vec<NicFact> {
        let bond_of = |mac: &String| {
            self.uplinks.values().find_map(|fact| match &fact.spec {
                UplinkSpec::Bond(spec) if spec.nics.contains(mac) => {
                    let active = spec.nics.first() == Some(mac);
                    Some(NicBond { name: fact.link.clone(), active })
                }
                _ => None,
            })
        };
        let card = |card: &NicFact| NicFact { bond: bond_of(&card.hwaddr), ..card.clone() };
        self.options.nics.iter().map(card).collect()
    }
}
