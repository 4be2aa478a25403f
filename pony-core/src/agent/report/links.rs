//! What is told of the links of guests: no row that the owner of an instance sees could tell of them, so the instance does.

use super::{Progress, Reporter, progress};
use crate::agent::orders::NicOrder;
use crate::agent::step::ResourceId;
use crate::host::{SwitchKind, UplinkId};
use crate::reconcile::Phase;
use uuid::Uuid;

impl Reporter<'_> {
    /// What holds up a card that an instance waits for, by `reason`.
    pub(super) fn link_trouble(&self, instance: Uuid, reason: &str) -> Option<Progress> {
        let mut late = self.nics(instance).filter(|it| self.view.tap(it).is_err_and(|why| why == reason));
        let failing = late.next().and_then(|it| self.failing_link(it))?;
        let error = format!("{reason}: {}", failing.error.as_ref()?);
        Some(Progress { error: Some(error), ..failing })
    }

    /// What keeps a switch that cards of an instance are in from being as ordered. They stay plugged in meanwhile, so
    /// that the instance itself waits for nothing.
    pub(super) fn switch_trouble(&self, instance: Uuid) -> Option<Progress> {
        self.nics(instance).find_map(|nic| {
            let late = self.late_switch(nic)?;
            let error = format!("switch {} is not as ordered: {}", nic.switch, late.error.as_ref()?);
            Some(Progress { error: Some(error), ..late })
        })
    }

    fn late_switch(&self, nic: &NicOrder) -> Option<Progress> {
        if let Some(SwitchKind::Unsupported(why)) = self.switch_kind(nic) {
            return Some(Progress { error: Some(why.clone()), ..Progress::default() });
        }
        let status = self.engine.status(ResourceId::Switch(nic.switch))?;
        if status.phase == Phase::Done { None } else { self.failing_link(nic) }
    }

    fn switch_kind(&self, nic: &NicOrder) -> Option<&SwitchKind> {
        self.view.orders.switches.get(&nic.switch).map(|it| &it.kind)
    }

    /// What is not ordered on a bond any more, and cannot be removed: it has no row of its own.
    pub(super) fn left_on(&self, bond: UplinkId) -> Option<String> {
        let on_it = |id: &UplinkId| id.below() == Some(bond) && self.view.uplink_wish(*id).is_none();
        let left = self.view.facts.uplinks.keys().filter(on_it);
        let mut failing = left.filter_map(|id| {
            let UplinkId::Segment { tag, .. } = id else { return None };
            let order = progress(self.engine.status(ResourceId::Uplink(id)));
            let error = order.error.filter(|_| order.attempts > 0)?;
            let what = if tag == 0 { "untagged traffic".to_owned() } else { format!("VLAN {tag}") };
            Some(format!("the link for {what} on it, which is ordered no more, is still there: {error}"))
        });
        failing.next()
    }

    fn nics(&self, instance: Uuid) -> impl Iterator<Item = &NicOrder> {
        self.view.orders.hardware(instance).into_iter().flat_map(|it| &it.nics)
    }

    /// The first of what a card needs that was tried, and failed or gave no sign of life.
    fn failing_link(&self, nic: &NicOrder) -> Option<Progress> {
        let below = self.switch_kind(nic).and_then(SwitchKind::segment).map(ResourceId::Uplink);
        let links = below.into_iter().chain([ResourceId::Switch(nic.switch), ResourceId::Tap(nic.vnic)]);
        links.filter_map(|it| self.engine.status(it)).map(|it| progress(Some(it))).find(|it| it.attempts > 0)
    }
}
