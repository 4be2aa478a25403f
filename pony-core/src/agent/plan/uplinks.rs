//! Bonds, and the segments on them.
//!
//! What is ordered is not always what is made: see [`trial`](crate::agent::trial). A segment that nobody ordered is there
//! as long as a switch of this host needs it. Removal goes in reverse: switch, segment, bond.

use super::{StepRuns, View};
use crate::agent::step::Step;
use crate::host::{BondSpec, SegmentSpec, UplinkId, UplinkSpec};
use crate::reconcile::{Plan, Stamp, stamp};
use uuid::Uuid;

impl View<'_> {
    /// What is to be made: of a bond with those of its cards that are there.
    pub(in crate::agent) fn uplink_wish(&self, id: UplinkId) -> Option<UplinkSpec> {
        match (self.trial.target().get(&id), id) {
            (Some(UplinkSpec::Bond(spec)), _) => Some(UplinkSpec::Bond(self.with_cards(spec))),
            (Some(spec), _) => Some(spec.clone()),
            (None, UplinkId::Segment { bond, within, tag }) if self.index.is_trunk(id) => {
                Some(UplinkSpec::Segment(SegmentSpec::plain(bond, within, tag)))
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
        self.facts.uplinks.keys().chain(target).chain(self.index.trunks())
    }

    pub(super) fn uplink_order(&self, id: UplinkId) -> Stamp {
        stamp(&self.uplink_wish(id))
    }

    /// A segment can be made once what it is made on is there.
    pub(super) fn uplink_circumstances(&self, id: UplinkId) -> Stamp {
        stamp(&id.below().and_then(|below| self.facts.uplinks.get(below)).map(|below| below.below.as_str()))
    }

    /// What has to be there first, in words.
    fn lacks(&self, id: UplinkId) -> Option<String> {
        let below = id.below().filter(|it| self.facts.uplinks.get(*it).is_none())?;
        Some(match below {
            UplinkId::Bond(bond) => format!("bond {bond}"),
            UplinkId::Segment { bond, tag, .. } => format!("VLAN {tag} of bond {bond}"),
        })
    }

    pub(super) fn plan_uplink(&self, id: UplinkId, runs: &StepRuns) -> Plan<Step> {
        if self.facts.uplinks.is_vague(id) || self.facts.nics.is_none() {
            return Plan::wait("looking at the host's links");
        }
        let (wish, lacks) = (self.uplink_wish(id), self.lacks(id));
        match (wish, self.facts.uplinks.get(id)) {
            (Some(spec), Some(fact)) if fact.is_as_ordered(&spec) => Plan::Done,
            (None, None) => Plan::Gone,
            _ if !self.trial.is_saved() => Plan::wait("writing down how to take it back"),
            (Some(spec), _) => match lacks {
                Some(below) => Plan::wait(format!("waiting for {below}")),
                None => Plan::Step(Step::EnsureUplink(spec)),
            },
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
        let coming = |step: &Step| match step {
            Step::EnsureUplink(spec) => is_on(spec.id(), id),
            Step::EnsureSwitch(spec) => spec.kind.segment() == Some(id),
            _ => false,
        };
        if runs.iter().any(|run| coming(&run.step)) {
            return Some("a link that is just made".to_owned());
        }
        let facts = &self.facts.uplinks;
        let may_be = |it: &UplinkId| facts.get(*it).is_some() || facts.is_vague(*it);
        if facts.keys().any(|it| is_on(it, id) && may_be(&it)) {
            return Some("what is on it".to_owned());
        }
        match id {
            UplinkId::Bond(_) => None,
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

/// Whether an uplink is made on another, if not directly.
fn is_on(uplink: UplinkId, other: UplinkId) -> bool {
    uplink.below().is_some_and(|below| below == other || is_on(below, other))
}
