//! The links of the simulated world.

use super::{errors::transient, errors::unsupported, op::SimOp, world::World};
use crate::Result;
use pony_core::host::{SwitchFact, SwitchKind, SwitchSpec, TapFact, TapSpec, USUAL_MTU};
use uuid::Uuid;

/// The host's end of a vnic.
#[derive(Debug, Clone)]
pub(super) struct Tap {
    pub(super) link: String,
    pub(super) switch: Option<Uuid>,
    pub(super) guard: u64,
    pub(super) told: Option<u64>,
}

/// A link's name: a letter for its kind and what fits of the uuid into the kernel's 15 characters.
pub(super) fn link_name(kind: char, uuid: Uuid) -> String {
    let hex = uuid.simple().to_string();
    format!("sim{kind}{}", &hex[hex.len() - 11..])
}

impl World {
    pub(super) fn ensure_switch(&mut self, spec: &SwitchSpec) -> Result<SwitchFact> {
        if let SwitchKind::Unsupported(why) = &spec.kind {
            return Err(unsupported(format!("switch {} cannot be made here: {why}", spec.switch)));
        }
        if spec.kind.segment().is_some_and(|it| !self.is_plain(it)) {
            let switch = spec.switch;
            return Err(transient(format!("the VLAN that is to join switch {switch} is not there")));
        }
        if self.switches.insert(spec.switch, spec.kind.clone()).as_ref() != Some(&spec.kind) {
            self.effect(SimOp::EnsureSwitch, spec.switch);
        }
        Ok(switch_fact(spec.switch, &spec.kind))
    }

    pub(super) fn remove_switch(&mut self, switch: Uuid) {
        if self.switches.remove(&switch).is_none() {
            return;
        }
        for tap in self.taps.values_mut().filter(|tap| tap.switch == Some(switch)) {
            tap.switch = None;
        }
        self.effect(SimOp::RemoveSwitch, switch);
    }

    pub(super) fn ensure_tap(&mut self, spec: &TapSpec) -> Result<TapFact> {
        if !self.switches.contains_key(&spec.switch) {
            let TapSpec { vnic, switch, .. } = spec;
            return Err(transient(format!("vnic {vnic} has no switch to plug into: {switch} is not there")));
        }
        let (wanted, guard) = (Some(spec.switch), spec.guard());
        let told = spec.config.as_ref().map(|config| config.stamp());
        if self
            .taps
            .get(&spec.vnic)
            .is_none_or(|tap| (tap.switch, tap.guard, tap.told) != (wanted, guard, told))
        {
            self.taps.insert(spec.vnic, Tap { link: link_name('t', spec.vnic), switch: wanted, guard, told });
            self.effect(SimOp::EnsureTap, spec.vnic);
        }
        Ok(tap_fact(spec.vnic, &self.taps[&spec.vnic]))
    }

    pub(super) fn remove_tap(&mut self, vnic: Uuid) {
        if self.taps.remove(&vnic).is_some() {
            self.effect(SimOp::RemoveTap, vnic);
        }
    }

    pub(super) fn switch_facts(&self) -> Vec<SwitchFact> {
        self.switches.iter().map(|(switch, kind)| switch_fact(*switch, kind)).collect()
    }

    pub(super) fn tap_facts(&self) -> Vec<TapFact> {
        self.taps.iter().map(|(vnic, tap)| tap_fact(*vnic, tap)).collect()
    }

    pub(super) fn has_tap(&self, link: &str) -> bool {
        self.taps.values().any(|tap| tap.link == link)
    }
}

fn switch_fact(switch: Uuid, kind: &SwitchKind) -> SwitchFact {
    let (overlay, segment) = (kind.overlay().cloned(), kind.segment());
    SwitchFact { switch, bridge: link_name('b', switch), overlay, segment, whole: true }
}

fn tap_fact(vnic: Uuid, tap: &Tap) -> TapFact {
    let bridge = tap.switch.map(|switch| link_name('b', switch));
    let (link, guard, mtu) = (tap.link.clone(), Some(tap.guard), USUAL_MTU);
    TapFact { vnic, link, bridge, mtu, guard, told: tap.told }
}
