//! Whether guests that are up have what is ordered: memory, and cards in switches.

use super::users::uuid_of;
use super::world::World;
use pony_core::host::SwitchFact;
use pony_core::sim::SimWorld;
use pony_state::Columns;
use serde_json::json;
use uuid::Uuid;

impl World {
    /// What a guest that is up has otherwise than ordered. More memory than it was started with it has from its next start
    /// on: what it is to have then is looked at.
    pub(super) fn hardware_difference(&self, order: &Columns) -> Option<String> {
        let instance = uuid_of(order, "uuid")?;
        let is_there = |it: &&SimWorld| it.up().any(|guest| guest == instance);
        let there = self.nodes.iter().map(|it| it.sim.world()).find(is_there)?;
        let guest = there.guests.get(&instance)?;
        let mem = guest.spec.mem_mib;
        if order["mem"] != json!(mem) {
            return Some(format!("{mem} MiB of memory"));
        }
        let cards = || self.store.database.table("vnic").filter(|it| it["instance"] == json!(instance));
        let has = guest.live.as_ref().map_or(0, |it| it.nics.len());
        if has != cards().count() {
            return Some(format!("{has} cards"));
        }
        cards().find_map(|card| self.card_difference(there, card))
    }

    /// How a card is not plugged in as ordered, or its switch is not as ordered.
    fn card_difference(&self, there: &SimWorld, card: &Columns) -> Option<String> {
        let (vnic, switch): (Uuid, Uuid) = (uuid_of(card, "uuid")?, uuid_of(card, "switch")?);
        let (tap, fact) = (there.taps.get(&vnic), there.switches.get(&switch));
        let is_plugged = tap.zip(fact).is_some_and(|(tap, it)| tap.bridge.as_ref() == Some(&it.bridge));
        let is_joined = fact.is_some_and(|it| self.is_joined(it));
        (!is_plugged || !is_joined).then(|| format!("{card:?} as {tap:?} and {fact:?}"))
    }

    /// Whether a switch joins hosts as is ordered.
    pub(super) fn is_joined(&self, fact: &SwitchFact) -> bool {
        let Some(order) = self.store.database.get("switch", fact.switch) else { return false };
        let (is_vxlan, is_tagged) = (order["type"] == "vxlan", !order["tag"].is_null());
        fact.overlay.is_some() == is_vxlan && fact.segment.is_some() == (is_tagged && !is_vxlan)
    }
}
