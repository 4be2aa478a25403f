//! What depends on what, as far as events are many: links that come and go. So an event costs what it concerns, and not
//! what there is. Everything else that happens may concern anything.

use super::facts::Facts;
use super::index::Index;
use super::memo::Memos;
use super::orders::{DiskOrder, InstanceOrder, Order, Orders, Placement, Target};
use super::step::ResourceId;
use super::trial::Trial;
use crate::host::UplinkId;
use std::collections::BTreeSet;
use uuid::Uuid;

/// What is there and nobody wants: it goes as soon as the last that uses it has gone.
#[derive(Debug, Clone, Default)]
pub(super) struct Leftover {
    switches: BTreeSet<Uuid>,
    uplinks: Vec<UplinkId>,
}

impl Leftover {
    pub(super) fn of(facts: &Facts, index: &Index, trial: &Trial) -> Self {
        let is_wanted = |it: &UplinkId| trial.target().contains_key(it) || index.is_trunk(*it);
        Self {
            switches: facts.switches.keys().filter(|it| !index.switches.has(*it)).collect(),
            uplinks: facts.uplinks.keys().filter(|it| !is_wanted(it)).collect(),
        }
    }

    /// Something happened to a resource, or to what is ordered of it.
    pub(super) fn mind(&mut self, id: ResourceId, facts: &Facts, index: &Index) {
        let ResourceId::Switch(switch) = id else { return };
        if facts.switches.has(switch) && !index.switches.has(switch) {
            self.switches.insert(switch);
        } else {
            self.switches.remove(&switch);
        }
    }
}

/// The resources whose plan depends on an order that was this one `before`. `None`: any may. What cards are plugged into
/// concerns these cards alone, as long as no segment comes or goes with it.
pub(super) fn concerned(before: &Order, orders: &Orders, index: &Index) -> Option<BTreeSet<ResourceId>> {
    match before {
        // One that is ordered no more is told of no more.
        Order::Switch(switch, before) => {
            let mut kinds = before.iter().chain([orders.switches.get(switch)?]).map(|it| &it.kind);
            kinds.all(|it| it.segment().is_none()).then(|| with_plugged(*switch, index))
        }
        Order::Instance(instance, before) => {
            let now = orders.instances.get(instance);
            let is_same = shows(before.as_ref()) == shows(now);
            let links = is_same.then(|| links_of(before.iter().chain(now), orders))??;
            Some(links.into_iter().chain([ResourceId::Instance(*instance)]).collect())
        }
        Order::Links(_)
        | Order::Exports(_)
        | Order::Pool(..)
        | Order::Volume(..)
        | Order::Image(..)
        | Order::Cpu(..) => None,
    }
}

/// A switch, and what is plugged into it.
fn with_plugged(switch: Uuid, index: &Index) -> BTreeSet<ResourceId> {
    let cards = index.switches.of(switch);
    let plugged = cards.flat_map(|vnic| {
        [Some(ResourceId::Tap(vnic)), index.owner(vnic).map(ResourceId::Instance)].into_iter().flatten()
    });
    plugged.chain([ResourceId::Switch(switch)]).collect()
}

/// What matters to volumes of an instance's order; `None` where it has no disks.
fn shows(order: Option<&InstanceOrder>) -> Option<(&[DiskOrder], Target, &Placement)> {
    let order = order?;
    let disks = order.hardware.as_ref()?.disks.as_slice();
    (!disks.is_empty()).then_some((disks, order.target, &order.placement))
}

/// The taps of these orders, and the switches that they are plugged into. `None` where one is joined to others by a
/// segment, which may come or go with them.
fn links_of<'a>(
    of: impl Iterator<Item = &'a InstanceOrder>,
    orders: &Orders,
) -> Option<BTreeSet<ResourceId>> {
    let mut ids = BTreeSet::new();
    for nic in of.filter_map(|it| it.hardware.as_ref()).flat_map(|it| &it.nics) {
        let segment = orders.switches.get(&nic.switch).and_then(|it| it.kind.segment());
        if segment.is_some() {
            return None;
        }
        ids.extend([ResourceId::Tap(nic.vnic), ResourceId::Switch(nic.switch)]);
    }
    Some(ids)
}

/// The resources whose plan depends on what happened to one, itself included. `None`: any may.
pub(super) fn reached(
    id: ResourceId,
    index: &Index,
    memos: &Memos,
    leftover: &Leftover,
) -> Option<BTreeSet<ResourceId>> {
    let mut ids = BTreeSet::from([id]);
    match id {
        ResourceId::Switch(switch) => {
            ids.extend(with_plugged(switch, index));
            ids.extend(leftover.uplinks.iter().copied().map(ResourceId::Uplink));
        }
        ResourceId::Tap(vnic) => {
            let owner = index.owner(vnic).or_else(|| memos.owner(vnic));
            ids.extend(owner.map(ResourceId::Instance));
            ids.extend(leftover.switches.iter().copied().map(ResourceId::Switch));
        }
        ResourceId::Volume(_) | ResourceId::Uplink(_) | ResourceId::Instance(_) => return None,
    }
    Some(ids)
}

/// Whether looking at the resource can concern no other: a link's, or an instance of which only links were `touched`.
pub(super) fn is_light(id: ResourceId, touched: &BTreeSet<ResourceId>) -> bool {
    match id {
        ResourceId::Switch(_) | ResourceId::Tap(_) => true,
        ResourceId::Instance(_) => touched.contains(&id),
        ResourceId::Volume(_) | ResourceId::Uplink(_) => false,
    }
}

/// What is to be told anew.
#[derive(Debug, Clone, Default)]
pub(super) struct Changed {
    everything: bool,
    pub(super) switches: BTreeSet<Uuid>,
    pub(super) instances: BTreeSet<Uuid>,
}

impl Changed {
    pub(super) fn everything() -> Self {
        Self { everything: true, ..Self::default() }
    }

    pub(super) fn is_everything(&self) -> bool {
        self.everything
    }

    pub(super) fn is_nothing(&self) -> bool {
        !self.everything && self.switches.is_empty() && self.instances.is_empty()
    }

    /// These resources were looked at. What holds up a link is told of by the instances that wait for it.
    pub(super) fn add(&mut self, ids: BTreeSet<ResourceId>, index: &Index) {
        for id in ids {
            match id {
                ResourceId::Switch(switch) => {
                    self.switches.insert(switch);
                    self.instances.extend(index.switches.of(switch).filter_map(|vnic| index.owner(vnic)));
                }
                ResourceId::Instance(instance) => drop(self.instances.insert(instance)),
                ResourceId::Tap(vnic) => self.instances.extend(index.owner(vnic)),
                ResourceId::Volume(_) | ResourceId::Uplink(_) => {}
            }
        }
    }
}
