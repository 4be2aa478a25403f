//! Bonds, and what is on them, in the simulated world.

use super::world::{Effect, SimWorld, refuse};
use crate::agent::Output;
use crate::host::{BondSpec, UplinkFact, UplinkId, UplinkSpec};
use std::collections::BTreeSet;

fn fact(spec: &UplinkSpec, carrier: bool) -> UplinkFact {
    let link = match spec {
        UplinkSpec::Bond(spec) => format!("bond-{}", spec.bond),
        UplinkSpec::Segment(spec) => format!("segment-{}-{}-{}", spec.bond, spec.within, spec.tag),
    };
    UplinkFact {
        spec: spec.clone(),
        carried: BTreeSet::new(),
        below: link.clone(),
        link,
        carrier,
        whole: true,
    }
}

impl SimWorld {
    pub(super) fn ensure_uplink(&mut self, spec: &UplinkSpec) -> Effect {
        let carrier = match spec {
            UplinkSpec::Bond(bond) => self.take_cards(bond),
            UplinkSpec::Segment(_) => match spec.id().below().map(|below| self.uplinks.get(&below)) {
                Some(Some(below)) => below.carrier,
                below => {
                    return Err(refuse(format!("what {:?} is made on is not there: {below:?}", spec.id())));
                }
            },
        };
        let fact = fact(spec, carrier);
        if self.uplinks.get(&spec.id()) == Some(&fact) {
            return self.redundant(Output::Uplink(fact));
        }
        self.uplinks.insert(spec.id(), fact.clone());
        self.count("uplink", spec.id().bond());
        Ok(Output::Uplink(fact))
    }

    /// Takes cards away from other bonds. Returns whether there is any.
    fn take_cards(&mut self, order: &BondSpec) -> bool {
        for other in self.uplinks.values_mut() {
            if let UplinkSpec::Bond(other) = &mut other.spec
                && other.bond != order.bond
            {
                other.nics.retain(|mac| !order.nics.contains(mac));
            }
        }
        !order.nics.is_empty()
    }

    pub(super) fn remove_uplink(&mut self, id: UplinkId) -> Effect {
        if self.uplinks.remove(&id).is_none() {
            return self.redundant(Output::None);
        }
        let on_it = |it: &UplinkId| it.below() == Some(id);
        if self.uplinks.keys().any(on_it) || self.switches.values().any(|it| it.segment == Some(id)) {
            self.violation(format!("{id:?} is removed under what is on it"));
        }
        self.count("remove-uplink", id.bond());
        Ok(Output::None)
    }

    /// Whether a segment is there that can be plugged into a switch.
    pub(super) fn is_plain(&self, id: UplinkId) -> bool {
        self.uplinks.get(&id).is_some_and(UplinkFact::is_plain)
    }
}
