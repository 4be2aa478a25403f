//! A small cloud with the few things that orders are about.

use super::super::users::uuid_of;
use super::super::world::World;
use super::orders::Order;
use pony_core::agent::Step;
use pony_core::host::{BondMode, UplinkSpec};
use pony_core::sim::SimConfig;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use uuid::Uuid;

const HOSTS: usize = 2;

/// How finely times are measured, ms.
pub(super) const RESOLUTION_MS: u64 = 20;

/// Between two orders that are given one after the other, ms.
const MOMENT_MS: u64 = 30;

/// Without any fault everything is done within this, ms.
const SETTLE_MS_MAX: u64 = 30_000;

pub(super) struct Scene {
    pub(super) world: World,
    pub(super) instance: Uuid,
    pub(super) volume: Uuid,
    pub(super) evacuated: Uuid,
    pub(super) bond: Uuid,
    pub(super) role: Uuid,
    pub(super) pool: Uuid,
    /// Volumes that went with their pool: what is left of them there, nobody removes.
    pub(super) given_up: BTreeSet<Uuid>,
}

impl Scene {
    /// A cloud that does what it was told at its beginning, with nothing of its users in it but images and switches.
    pub(super) fn new(seed: u64, sim: SimConfig) -> Self {
        let mut world = World::with(seed, HOSTS, sim);
        world.nodes.iter_mut().for_each(|it| it.begun = Some(Vec::new()));
        let nil = Uuid::nil();
        let mut scene = Self {
            world,
            instance: nil,
            volume: nil,
            evacuated: nil,
            bond: nil,
            role: nil,
            pool: nil,
            given_up: BTreeSet::new(),
        };
        scene.settle();
        scene
    }

    /// Orders; says whether somebody was there to take it.
    pub(super) fn order(&mut self, order: Order) -> bool {
        if order == Order::Restart {
            if !self.order(Order::Stop) {
                return false;
            }
            self.world.run(MOMENT_MS);
        }
        let ops = order.ops(self);
        self.world.order(&ops)
    }

    /// Lets everything be done.
    #[track_caller]
    pub(super) fn settle(&mut self) {
        if self.until(SETTLE_MS_MAX, |it| it.whole_difference().is_none()).is_none() {
            let what = self.whole_difference().unwrap_or_default();
            self.world.fail(&format!("without a fault: not within {SETTLE_MS_MAX} ms: {what}"));
        }
    }

    /// Lets time pass until something holds, at most so long. Says how long it took.
    pub(super) fn until(&mut self, ms: u64, holds: impl Fn(&Self) -> bool) -> Option<u64> {
        let start = self.world.now_ms;
        loop {
            if holds(self) {
                return Some(self.world.now_ms - start);
            }
            if self.world.now_ms >= start + ms {
                return None;
            }
            self.world.run(RESOLUTION_MS);
        }
    }

    /// The steps that hosts have begun since the last call, with the host's number.
    pub(super) fn begun(&self) -> impl Iterator<Item = (usize, &Step)> {
        let nodes = self.world.nodes.iter().enumerate();
        nodes.flat_map(|(n, node)| node.begun.iter().flatten().map(move |step| (n, step)))
    }

    pub(super) fn forget_begun(&mut self) {
        self.world.nodes.iter_mut().for_each(|it| it.begun = Some(Vec::new()));
    }

    /// The first difference between what is ordered and what is, and what is left of something that nobody orders any more.
    pub(super) fn whole_difference(&self) -> Option<String> {
        let busy = |n: usize| {
            let steps = self.world.nodes[n].sim.under_way();
            (steps.len() > 0).then(|| format!("host {n} is still at {} steps", steps.len()))
        };
        self.left_of_deleted().or_else(|| self.copied()).or_else(|| (0..HOSTS).find_map(busy))
    }

    /// The same after a deletion: what else is ordered may go on, as the copy of an image that a deleted volume was made from.
    pub(super) fn left_of_deleted(&self) -> Option<String> {
        let hosts = || (0..HOSTS).find_map(|n| self.left_over(n));
        let ours = || self.instance_difference().or_else(|| self.volume_difference());
        let ours = || ours().or_else(|| self.uplink_difference());
        self.world.difference().or_else(ours).or_else(|| self.held()).or_else(hosts)
    }

    pub(super) fn instance_difference(&self) -> Option<String> {
        let order = self.world.store.database.get("instance", self.instance)?;
        self.world.instance_difference(order)
    }

    pub(super) fn volume_difference(&self) -> Option<String> {
        let order = self.world.store.database.get("volume", self.volume)?;
        let fact = self.world.nodes.iter().find_map(|it| it.sim.world().volumes.get(&self.volume));
        let unlike = || {
            let (size, is) = (order["size"].as_i64()?, fact?.size_mib);
            (is < size).then(|| format!("the volume has {is} MiB, {size} are ordered"))
        };
        self.world.volume_difference(order).or_else(unlike)
    }

    pub(super) fn uplink_difference(&self) -> Option<String> {
        let database = &self.world.store.database;
        let there = &self.world.nodes[0].sim.world().uplinks;
        let (bond, role) = (database.get("bond", self.bond), database.get("net_role", self.role));
        // What guests' VLANs are made of comes and goes with their switches.
        let of_hosts = there.values().filter(|it| !it.is_plain());
        let ours: Vec<_> = of_hosts.filter(|it| it.spec.id().bond() == self.bond).collect();
        let is = |spec: &UplinkSpec| match spec {
            UplinkSpec::Bond(spec) => bond.is_some_and(|bond| {
                (spec.mode == BondMode::ActiveBackup) == (bond["mode"] == "active-backup")
            }),
            UplinkSpec::Segment(spec) => role.is_some_and(|role| {
                let tag = role["vlan_id"].as_u64().unwrap_or(0);
                u64::from(spec.tag) == tag && spec.bridged && spec.addresses.len() == 1
            }),
        };
        let ordered = usize::from(bond.is_some()) + usize::from(role.is_some());
        (ours.len() != ordered || !ours.iter().all(|it| is(&it.spec)))
            .then(|| format!("{ours:?} are there, {bond:?} and {role:?} are ordered"))
    }

    /// Whether Sparkle is there, and has heard of all orders.
    pub(super) fn is_heard(&self) -> bool {
        self.world.controller.is_some() && self.world.store.next_ms().is_none()
    }

    /// Where the instance still runs.
    pub(super) fn running(&self) -> Option<String> {
        let hosts = self.world.nodes.iter().enumerate();
        let mut up = hosts.filter(|(_, it)| it.sim.world().up().any(|it| it == self.instance));
        up.next().map(|(n, _)| format!("the guest is up on host {n}"))
    }

    /// A host that has not let go of what was deleted.
    fn held(&self) -> Option<String> {
        let database = &self.world.store.database;
        let mut placed = database.table("host_instance");
        let gone = placed.find(|it| database.get("instance", &it["instance"]).is_none());
        gone.map(|it| format!("a deleted instance is still held: {it:?}"))
    }

    /// A copy of a volume that is not known to be gone: its host has to say so, if need be for a second time.
    fn copied(&self) -> Option<String> {
        let mut grants = self.world.store.database.table("host_volume");
        let copy = grants.find(|it| !it["storage_pool"].is_null());
        copy.map(|it| format!("a copy is still to be made or removed: {it:?}"))
    }

    fn left_over(&self, n: usize) -> Option<String> {
        let (node, database) = (&self.world.nodes[n], &self.world.store.database);
        let (there, is_ordered) = (node.sim.world(), |it: &&Uuid| {
            self.given_up.contains(it) || database.get("volume", it).is_some()
        });
        if let Some(volume) = there.unfinished.iter().find(|it| !is_ordered(it)) {
            return Some(format!("host {n} has pieces of volume {volume}, which nobody orders"));
        }
        if let Some(volume) = there.volumes.keys().find(|it| !is_ordered(it)) {
            return Some(format!("host {n} has volume {volume}, which nobody orders"));
        }
        let placed = |instance: &Json| {
            let mut rows = database.table("host_instance");
            rows.any(|it| it["instance"] == *instance && it["host"] == json!(node.uuid))
        };
        let cards = database.table("vnic").filter(|it| placed(&it["instance"]));
        let wanted: BTreeSet<Uuid> = cards.filter_map(|it| uuid_of(it, "switch")).collect();
        let is_bond = |it: &Uuid| database.get("bond", it).is_some();
        if let Some(id) = there.uplinks.keys().find(|it| !is_bond(&it.bond())) {
            return Some(format!("host {n} has {id:?}, which nobody orders"));
        }
        let joined: BTreeSet<_> = there.switches.values().filter_map(|it| it.segment).collect();
        let plain = there.uplinks.values().filter(|it| it.is_plain()).map(|it| it.spec.id());
        if let Some(id) = plain.into_iter().find(|it| !joined.contains(it)) {
            return Some(format!("host {n} has {id:?}, which no switch is joined by"));
        }
        let switches: BTreeSet<Uuid> = there.switches.keys().copied().collect();
        if wanted != switches {
            return Some(format!("host {n} has switches {switches:?}, it needs {wanted:?}"));
        }
        let mut facts = there.switches.values();
        if let Some(fact) = facts.find(|it| !self.world.is_joined(it)) {
            return Some(format!("host {n} has {fact:?}, which is not as ordered"));
        }
        let others = |step: &&Step| match step {
            Step::CreateVolume { spec, .. } => {
                !is_ordered(&&spec.volume) || self.given_up.contains(&spec.volume)
            }
            _ => true,
        };
        let left = node.sim.under_way().find(others);
        left.map(|step| format!("host {n} is still at \"{}\" for what nobody orders", step.verb()))
    }
}
