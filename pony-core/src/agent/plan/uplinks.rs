//! Bonds, and the segments on them.
//!
//! What is ordered is not always what is made: see [`trial`](crate::agent::trial). A segment that nobody ordered is there
//! as long as a switch of this host needs it. Removal goes in reverse: switch, segment, bond.

use super::{StepRuns, View};
use crate::agent::step::Step;
use crate::host::{BondSpec, SegmentSpec, UplinkFact, UplinkId, UplinkSpec};
use crate::reconcile::{Plan, Stamp, stamp};
use uuid::Uuid;

impl View<'_> {
    /// What is to be made: of a bond with those of its cards that are there.
    pub(in crate::agent) fn uplink_wish(&self, id: UplinkId) -> Option<UplinkSpec> {
        match (self.trial.target().get(&id), id) {
            (Some(UplinkSpec::Bond(spec)), _) => Some(UplinkSpec::Bond(self.with_cards(spec))),
            (Some(spec), _) => Some(spec.clone()),
            (None, UplinkId::Segment { bond, tag }) if self.index.trunks.contains(&id) => {
                Some(UplinkSpec::Segment(SegmentSpec::plain(bond, tag)))
            }
            (None, _) => None,
        }
    }

    fn with_cards(&self, spec: &BondSpec) -> BondSpec {
        let there = |mac: &&String| self.facts.nics.iter().flatten().any(|nic| nic.hwaddr == **mac);
        BondSpec { nics: spec.nics.iter().filter(there).cloned().collect(), ..spec.clone() }
    }

    pub(super) fn uplink_ids(&self) -> impl Iterator<Item = UplinkId> {
        let target = self.trial.target().keys().copied();
        self.facts.uplinks.keys().chain(target).chain(self.index.trunks.iter().copied())
    }

    pub(super) fn uplink_order(&self, id: UplinkId) -> Stamp {
        stamp(&self.uplink_wish(id))
    }

    /// A segment can be made once its bond is there.
    pub(super) fn uplink_circumstances(&self, id: UplinkId) -> Stamp {
        stamp(&self.bond_below(id).map(|bond| bond.link.as_str()))
    }

    fn bond_below(&self, id: UplinkId) -> Option<&UplinkFact> {
        self.facts.uplinks.get(UplinkId::Bond(id.bond()))
    }

    pub(super) fn plan_uplink(&self, id: UplinkId, runs: &StepRuns) -> Plan<Step> {
        if self.facts.uplinks.is_vague(id) || self.facts.nics.is_none() {
            return Plan::wait("looking at the host's links");
        }
        let wish = self.uplink_wish(id);
        match (wish, self.facts.uplinks.get(id)) {
            (Some(spec), Some(fact)) if fact.is_as_ordered(&spec) => Plan::Done,
            (None, None) => Plan::Gone,
            _ if !self.trial.is_saved() => Plan::wait("writing down how to take it back"),
            (Some(UplinkSpec::Segment(spec)), _) if self.bond_below(id).is_none() => {
                Plan::wait(format!("waiting for bond {}", spec.bond))
            }
            (Some(spec), _) => Plan::Step(Step::EnsureUplink(spec)),
            // A switch may need it, which is not known yet.
            (None, Some(fact)) if !self.ordered && fact.is_plain() => {
                Plan::wait("waiting for the first order")
            }
            (None, Some(_)) => match self.user_of_uplink(id, runs) {
                Some(user) => Plan::wait(format!("{user} still uses it")),
                None => Plan::Step(Step::RemoveUplink(id)),
            },
        }
    }

    /// What is, or may be, on an uplink.
    fn user_of_uplink(&self, id: UplinkId, runs: &StepRuns) -> Option<String> {
        let coming = |step: &Step| match (step, id) {
            (Step::EnsureUplink(UplinkSpec::Segment(spec)), UplinkId::Bond(bond)) => spec.bond == bond,
            (Step::EnsureSwitch(spec), UplinkId::Segment { .. }) => spec.kind.segment() == Some(id),
            _ => false,
        };
        if runs.iter().any(|run| coming(&run.step)) {
            return Some("a link that is just made".to_owned());
        }
        match id {
            UplinkId::Bond(bond) => {
                let facts = &self.facts.uplinks;
                let may_be = |it: &UplinkId| facts.get(*it).is_some() || facts.is_vague(*it);
                let segment = |it: &UplinkId| *it != id && it.bond() == bond && may_be(it);
                facts.keys().find(segment).map(|_| "what is on it".to_owned())
            }
            UplinkId::Segment { .. } => {
                let facts = &self.facts.switches;
                let has = |switch: Uuid| facts.get(switch).is_some_and(|fact| fact.segment == Some(id));
                let plugged = facts.keys().find(|switch| has(*switch) || facts.is_vague(*switch));
                plugged.map(|switch| format!("switch {switch}"))
            }
        }
    }

    /// Whether all uplinks are as they are to be made.
    pub(in crate::agent) fn uplinks_done(&self) -> bool {
        let is = |id| match (self.uplink_wish(id), self.facts.uplinks.get(id)) {
            (Some(spec), Some(fact)) => fact.is_as_ordered(&spec),
            (None, None) => true,
            _ => false,
        };
        self.uplink_ids().all(|id| !self.facts.uplinks.is_vague(id) && is(id))
    }
}
