//! What depends on what, as far as events are many: links that come and go. So an event costs what it concerns, and not
//! what there is. Everything else that happens may concern anything.

use super::facts::Facts;
use super::index::Index;
use super::memo::Memos;
use super::step::ResourceId;
use super::trial::Trial;
use crate::host::UplinkId;
use std::collections::BTreeSet;
use uuid::Uuid;

/// What is there and nobody wants: it goes as soon as the last that uses it has gone.
#[derive(Debug, Clone, Default)]
pub(super) struct Leftover {
    switches: Vec<Uuid>,
    uplinks: Vec<UplinkId>,
}

impl Leftover {
    pub(super) fn of(facts: &Facts, index: &Index, trial: &Trial) -> Self {
        let is_wanted = |it: &UplinkId| trial.target().contains_key(it) || index.trunks.contains(it);
        Self {
            switches: facts.switches.keys().filter(|it| !index.switches.contains_key(it)).collect(),
            uplinks: facts.uplinks.keys().filter(|it| !is_wanted(it)).collect(),
        }
    }
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
            for vnic in index.switches.get(&switch).into_iter().flatten() {
                ids.insert(ResourceId::Tap(*vnic));
                ids.extend(index.cards.get(vnic).map(|(instance, _)| ResourceId::Instance(*instance)));
            }
            ids.extend(leftover.uplinks.iter().copied().map(ResourceId::Uplink));
        }
        ResourceId::Tap(vnic) => {
            let owner = index.cards.get(&vnic).map(|(instance, _)| *instance).or_else(|| memos.owner(vnic));
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
        let owner = |vnic: &Uuid| index.cards.get(vnic).map(|(instance, _)| *instance);
        for id in ids {
            match id {
                ResourceId::Switch(switch) => {
                    self.switches.insert(switch);
                    self.instances
                        .extend(index.switches.get(&switch).into_iter().flatten().filter_map(owner));
                }
                ResourceId::Instance(instance) => drop(self.instances.insert(instance)),
                ResourceId::Tap(vnic) => self.instances.extend(owner(&vnic)),
                ResourceId::Volume(_) | ResourceId::Uplink(_) => {}
            }
        }
    }
}
