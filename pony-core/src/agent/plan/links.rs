//! Switches and taps.
//!
//! A switch is there as long as a card of an instance that is placed here is plugged into it. A tap is made
//! when its instance is to be up, and stays until the card is gone or the instance is let go of. Removal goes
//! in reverse: guest, tap, switch.

use super::{StepRuns, View};
use crate::agent::facts::is_up;
use crate::agent::index::Card;
use crate::agent::orders::NicOrder;
use crate::agent::step::Step;
use crate::host::{SwitchFact, SwitchKind, SwitchSpec, TapFact, TapSpec, UplinkFact};
use crate::reconcile::{Plan, Stamp, stamp};
use uuid::Uuid;

/// What is wished of a tap.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum TapWish {
    /// That it be there.
    Wanted(TapSpec),
    /// Nothing: its instance is off, and will be back where it was.
    Allowed,
    /// That it be gone.
    Unwanted,
}

impl View<'_> {
    fn switch_kind(&self, switch: Uuid) -> Option<&SwitchKind> {
        self.orders.switches.get(&switch).map(|order| &order.kind)
    }

    fn switch_wish(&self, switch: Uuid) -> Option<Option<&SwitchKind>> {
        self.index.switches.has(switch).then(|| self.switch_kind(switch))
    }

    pub(super) fn switch_order(&self, switch: Uuid) -> Stamp {
        stamp(&self.switch_wish(switch))
    }

    pub(super) fn plan_switch(&self, switch: Uuid, runs: &StepRuns) -> Plan<Step> {
        let fact = self.facts.switches.get(switch);
        if self.facts.switches.is_vague(switch) {
            return Plan::wait("looking at the host's links");
        }
        match (self.switch_wish(switch), fact) {
            (Some(None), _) => Plan::wait(format!("switch {switch} is not known on this host yet")),
            (Some(Some(SwitchKind::Unsupported(why))), None) => Plan::Cannot(why.clone()),
            (Some(Some(SwitchKind::Unsupported(_))), Some(_)) => Plan::Done,
            (Some(Some(kind)), Some(fact)) if fact.is_joined(kind) => Plan::Done,
            (Some(Some(kind)), _) if !self.has_segment(kind) => {
                Plan::wait("waiting for its VLAN on the core network")
            }
            (Some(Some(kind)), _) => {
                Plan::Step(Step::EnsureSwitch(SwitchSpec { switch, kind: kind.clone() }))
            }
            (None, None) => Plan::Gone,
            (None, Some(fact)) => match self.plugged_into(switch, &fact.bridge, runs) {
                Some(vnic) => Plan::wait(format!("the tap of vnic {vnic} is or may be plugged into it")),
                None if !self.facts.taps.looked() => Plan::wait("looking at the host's links"),
                None => Plan::Step(Step::RemoveSwitch(switch)),
            },
        }
    }

    /// Whether what is to be plugged into a switch is there, and nobody else's.
    fn has_segment(&self, kind: &SwitchKind) -> bool {
        kind.segment().is_none_or(|it| self.facts.uplinks.get(it).is_some_and(UplinkFact::is_plain))
    }

    pub(super) fn switch_circumstances(&self, switch: Uuid) -> Stamp {
        let kind = self.switch_kind(switch);
        stamp(&kind.map(|kind| self.has_segment(kind)))
    }

    /// A tap that is plugged into the switch, or may be.
    fn plugged_into(&self, switch: Uuid, bridge: &str, runs: &StepRuns) -> Option<Uuid> {
        let found = self.facts.taps.iter().find(|(_, tap)| tap.bridge.as_deref() == Some(bridge));
        let doubtful = || self.facts.taps.keys().find(|vnic| self.facts.taps.is_vague(*vnic));
        let coming = || {
            runs.iter().find_map(|run| match &run.step {
                Step::EnsureTap(spec) if spec.switch == switch => Some(spec.vnic),
                _ => None,
            })
        };
        found.map(|(vnic, _)| vnic).or_else(doubtful).or_else(coming)
    }

    pub(super) fn tap_wish(&self, vnic: Uuid) -> TapWish {
        let Some(Card { instance, target, nic }) = self.index.card(self.orders, vnic) else {
            return TapWish::Unwanted;
        };
        let up = self.facts.guest(instance).is_some_and(|g| is_up(g.state));
        match target.is_up() || up {
            true => TapWish::Wanted(tap_spec(nic)),
            false if self.is_elsewhere(nic) => TapWish::Unwanted,
            false => TapWish::Allowed,
        }
    }

    /// Whether the tap is plugged into another switch than is ordered by now: it would keep that one from going.
    fn is_elsewhere(&self, nic: &NicOrder) -> bool {
        let bridge = self.facts.taps.get(nic.vnic).and_then(|tap| tap.bridge.as_ref());
        let ordered = self.facts.switches.get(nic.switch).map(|switch| &switch.bridge);
        self.facts.switches.looked() && bridge.is_some() && bridge != ordered
    }

    pub(super) fn tap_circumstances(&self, vnic: Uuid) -> Stamp {
        let nic = self.index.card(self.orders, vnic).map(|card| card.nic);
        stamp(&nic.and_then(|n| self.facts.switches.get(n.switch)).map(|s| s.bridge.as_str()))
    }

    pub(super) fn plan_tap(&self, vnic: Uuid, runs: &StepRuns) -> Plan<Step> {
        if self.facts.taps.is_vague(vnic) {
            return Plan::wait("looking at the host's links");
        }
        match (self.tap_wish(vnic), self.facts.taps.get(vnic)) {
            (TapWish::Wanted(spec), fact) => match self.facts.switches.get(spec.switch) {
                _ if self.facts.switches.is_vague(spec.switch) => {
                    Plan::wait(format!("waiting for switch {}", spec.switch))
                }
                None => Plan::wait(self.switch_reason(spec.switch)),
                Some(switch) if fact.is_some_and(|it| is_as_ordered(it, &spec, switch)) => Plan::Done,
                Some(_) => Plan::Step(Step::EnsureTap(spec)),
            },
            (TapWish::Allowed, Some(_)) => Plan::Done,
            (_, None) => Plan::Gone,
            (TapWish::Unwanted, Some(_)) => match self.user_of_tap(vnic, runs) {
                Some(guest) => Plan::wait(format!("instance {guest} still uses it")),
                None if !self.facts.guests.looked() => Plan::wait(self.looking_at_guests()),
                None => Plan::Step(Step::RemoveTap(vnic)),
            },
        }
    }

    /// The tap, or why it cannot be used yet.
    pub(in crate::agent) fn tap(&self, nic: &NicOrder) -> Result<&TapFact, String> {
        let switch = self.facts.switches.get(nic.switch).ok_or_else(|| self.switch_reason(nic.switch))?;
        let tap = self.facts.taps.get(nic.vnic).filter(|it| is_as_ordered(it, &tap_spec(nic), switch));
        match tap {
            Some(tap) if !self.facts.taps.is_vague(nic.vnic) => Ok(tap),
            _ => Err(format!("waiting for the tap of vnic {}", nic.vnic)),
        }
    }

    fn switch_reason(&self, switch: Uuid) -> String {
        match self.switch_kind(switch) {
            Some(SwitchKind::Unsupported(why)) => format!("switch {switch} cannot be made here: {why}"),
            Some(_) => format!("waiting for switch {switch}"),
            None => format!("switch {switch} is not known on this host yet"),
        }
    }
}

fn tap_spec(nic: &NicOrder) -> TapSpec {
    TapSpec {
        vnic: nic.vnic,
        switch: nic.switch,
        mac: nic.mac.clone(),
        addresses: nic.addresses.clone(),
        config: nic.config.clone(),
    }
}

fn is_as_ordered(tap: &TapFact, spec: &TapSpec, switch: &SwitchFact) -> bool {
    let told = spec.config.as_ref().map(|config| config.stamp());
    tap.bridge.as_ref() == Some(&switch.bridge) && tap.guard == Some(spec.guard()) && tap.told == told
}
