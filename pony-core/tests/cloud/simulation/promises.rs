//! What must hold after every event, what must hold in the end, and how soon.

use super::node::Node;
use super::users::uuid_of;
use super::world::{Shared, World};
use crate::database::update;
use pony_core::agent::Agent;
use pony_core::controller::{EVENT_ROWS_MAX, WRITE_OPS_MAX};
use pony_core::host::GuestState;
use pony_core::sim::Fate;
use pony_core::tables::{
    DataStatus, Host, HostInstance, HostStatus, HostVolume, Instance, InstanceStatus, Volume,
};
use pony_state::sync::PENDING_ROWS_MAX;
use pony_state::{Columns, Read, RowOp};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use uuid::Uuid;

/// How long a cloud in which everything works again may take: a host's silence is noticed, hanging steps are given
/// up, failing ones have backed off, and some of that happens twice in a row.
pub(super) const CONVERGE_MS_MAX: u64 = 180_000;
/// Messages under way at a time, for each host.
const FLIGHTS_MAX: usize = 500;

fn is_up(state: GuestState) -> bool {
    !matches!(state, GuestState::Off | GuestState::Crashed | GuestState::Incoming)
}

impl World {
    #[track_caller]
    pub(super) fn fail(&self, what: &str) -> ! {
        panic!("PONY_SEED={} at {} ms: {what}", self.seed, self.now_ms)
    }

    /// After every event.
    #[track_caller]
    pub(super) fn check_promises(&mut self) {
        self.deeds.events += 1;
        let (mut running, mut open) = (BTreeMap::new(), BTreeMap::new());
        for (n, node) in self.nodes.iter().enumerate() {
            let world = node.sim.world();
            if let Some(what) = node.sim.violations().first() {
                self.fail(&format!("host {n}: {what}"));
            }
            for (instance, guest) in world.guests.iter().filter(|(_, it)| it.may_write()) {
                if let Some(other) = running.insert(*instance, n) {
                    self.fail(&format!("instance {instance} runs on hosts {other} and {n}"));
                }
                let disks = guest.live.iter().flat_map(|it| &it.disks).filter(|it| !it.read_only);
                for disk in disks {
                    if let Some(other) = open.insert(disk.place.clone(), instance) {
                        self.fail(&format!("{} is written by {other} and {instance}", disk.place));
                    }
                }
            }
            let pending = node
                .agent
                .as_ref()
                .and_then(Agent::session)
                .map_or(0, pony_state::sync::Session::pending_rows);
            assert!(pending <= PENDING_ROWS_MAX, "host {n} has {pending} rows to send");
        }
        assert!(
            self.net.under_way() <= FLIGHTS_MAX * self.nodes.len(),
            "{} messages are under way",
            self.net.under_way()
        );
    }

    /// Before a write of the controller is committed: it touches nothing that users order.
    pub(super) fn check_write(&mut self, ops: &[RowOp]) {
        assert!(ops.len() <= 2 * WRITE_OPS_MAX);
        for op in ops {
            let fine = match op {
                RowOp::Insert { table, row } => {
                    self.note_placement(table, row);
                    self.deeds.granted += u64::from(table == "host_volume");
                    let tables =
                        ["host_instance", "host_volume", "event", "metering", "extent", "switch_port"];
                    let fine = tables.contains(&table.as_str());
                    fine || (table == "host_image" && self.may_be_read(row))
                }
                RowOp::Update { table, columns, .. } => {
                    let may: &[&str] = match &**table {
                        "host_instance" => &["released", "serial", "target", "cancelled", "way", "origin"],
                        "host_volume" => &["hold", "sharer", "made", "serial"],
                        "host_image" if self.may_be_read(columns) => &["volume", "source", "way", "origin"],
                        "volume" if columns.contains_key("storage_pool") => self.is_copied(op),
                        "volume" => &["base_image", "base_volume"],
                        "image" => &["source_uri"],
                        "extent" => &["made"],
                        "host" => &["fencing"],
                        "event" => &["mtime", "count"],
                        "metering" => &["end"],
                        "switch_port" => &["switch", "host", "address", "macaddr", "ips"],
                        _ => &[],
                    };
                    columns.keys().all(|it| may.contains(&it.as_str()))
                }
                RowOp::Delete { table, key } => match &**table {
                    "host_instance" => self.has_let_go(key),
                    "host_volume" => self.lets_volume_go(key),
                    "volume" => self.is_deleted(key),
                    "event" | "host_image" | "switch_port" => true,
                    _ => false,
                },
            };
            if !fine {
                self.fail(&format!("the controller writes {op:?}"));
            }
        }
    }

    /// Other hosts read what backs an image, and nothing else: nobody writes to that.
    fn may_be_read(&self, row: &Columns) -> bool {
        let volume = self.store.database.get("volume", &row["volume"]);
        volume.is_none_or(|it| !it["image"].is_null())
    }

    /// A volume lies elsewhere only once all that its instance wrote is there.
    fn is_copied(&mut self, op: &RowOp) -> &'static [&'static str] {
        let RowOp::Update { key, columns, .. } = op else { return &[] };
        let there = self.nodes.iter().find(|it| json!(it.pool) == columns["storage_pool"]);
        let uuid = uuid_of(key, "uuid").unwrap();
        self.deeds.copied += 1;
        match there.is_some_and(|it| it.sim.world().whole_copies.contains(&uuid)) {
            true => &["storage_pool"],
            false => &[],
        }
    }

    fn note_placement(&mut self, table: &str, row: &Columns) {
        if table == "host_instance" {
            let is_placed = self.store.database.table(table).any(|it| it["instance"] == row["instance"]);
            self.deeds.handovers += u64::from(is_placed);
            let mut disks = self.store.database.table("vdisk");
            let has_disk = is_placed && disks.any(|it| it["instance"] == row["instance"]);
            self.deeds.handovers_with_disks += u64::from(has_disk);
            self.deeds.placements += u64::from(!is_placed);
        }
    }

    fn node(&self, host: Option<Uuid>) -> &Node {
        self.nodes.iter().find(|it| Some(it.uuid) == host).unwrap()
    }

    fn has_let_go(&mut self, key: &Columns) -> bool {
        self.deeds.moves += 1;
        let guest =
            self.node(uuid_of(key, "host")).sim.world().guests.get(&uuid_of(key, "instance").unwrap());
        guest.is_none_or(|it| !it.may_write())
    }

    /// A grant ends once nothing of its host touches the volume. One that ended by a write whose answer was lost cannot do so
    /// again: the database refuses that.
    fn lets_volume_go(&self, key: &Columns) -> bool {
        let is_same = |it: &Columns| it["host"] == key["host"] && it["volume"] == key["volume"];
        if !self.store.database.table("host_volume").any(is_same) {
            return true;
        }
        let (there, volume) = (self.node(uuid_of(key, "host")).sim.world(), uuid_of(key, "volume").unwrap());
        let Some(fact) = there.volumes.get(&volume) else { return true };
        let guests = there.guests.values().filter(|it| it.may_write()).filter_map(|it| it.live.as_ref());
        !guests.flat_map(|it| &it.disks).any(|it| it.place == fact.place)
    }

    fn is_deleted(&mut self, key: &Columns) -> bool {
        self.deeds.volumes_deleted += 1;
        let row = self.store.database.get("volume", uuid_of(key, "uuid"));
        row.is_none_or(|row| row["state"] == "deleted")
    }

    /// Lets the cloud do what is ordered.
    pub(super) fn converge(&mut self) {
        let took = self.expect(CONVERGE_MS_MAX, Self::difference);
        self.deeds.converged_ms = took;
        self.deeds.steps = self.nodes.iter().map(|it| it.steps).sum();
        self.deeds.messages = self.net.sent();
        self.check_memory();
    }

    /// Lets time pass until there is no difference any more, at most so long. Returns how long it took.
    #[track_caller]
    fn expect(&mut self, ms: u64, difference: impl Fn(&Self) -> Option<String>) -> u64 {
        let start = self.now_ms;
        loop {
            let Some(what) = difference(self) else { return self.now_ms - start };
            if self.now_ms >= start + ms {
                self.fail(&format!("not within {ms} ms: {what}"));
            }
            self.run(500);
        }
    }

    /// What the controller has in memory is what the database has.
    fn check_memory(&mut self) {
        let (all, now) = (self.store.database.all(), self.now());
        let controller = self.controller.as_mut().unwrap();
        controller.check_invariants().unwrap();
        let before = controller.snapshot().view().version();
        controller.load(&all, now).unwrap();
        assert_eq!(controller.snapshot().view().version(), before, "memory differs from the database");
        assert!(self.store.database.table("event").count() <= EVENT_ROWS_MAX);
    }

    /// The first difference between what is ordered and what is, on hosts and in what users are shown.
    pub(super) fn difference(&self) -> Option<String> {
        if self.controller.is_none() || self.store.next_ms().is_some() {
            return Some("Sparkle is busy".to_owned());
        }
        let hosts = || (0..self.nodes.len()).find_map(|n| self.host_difference(n));
        let instances = || self.store.database.table("instance").find_map(|it| self.instance_difference(it));
        let volumes = || self.store.database.table("volume").find_map(|it| self.volume_difference(it));
        let volumes = || volumes().or_else(|| self.base_difference());
        hosts().or_else(instances).or_else(volumes).or_else(|| self.image_difference())
    }

    fn host_difference(&self, n: usize) -> Option<String> {
        let node = &self.nodes[n];
        let Some(agent) = &node.agent else { return Some(format!("host {n} is down")) };
        let snapshot = self.controller.as_ref()?.snapshot();
        let shown = snapshot.get::<Host>(&node.uuid)?.current.as_ref().map(|it| it.status);
        if shown != Some(HostStatus::Present) {
            return Some(format!("host {n} is shown as {shown:?}"));
        }
        let database = &self.store.database;
        let placed = |instance: &Uuid| {
            let mut rows = database.table("host_instance");
            rows.any(|it| it["instance"] == json!(instance) && it["host"] == json!(node.uuid))
        };
        if let Some((instance, guest)) = node.sim.world().guests.iter().find(|(it, _)| !placed(it)) {
            let row = database.table("host_instance").find(|it| it["instance"] == json!(instance));
            let told = |host: Uuid| Some(snapshot.get::<HostInstance>(&(host, *instance))?.current.clone());
            let told = [Some(node.uuid), row.and_then(|it| uuid_of(it, "host"))].map(|it| it.and_then(told));
            let what = format!("that is not placed there: {:?}, arrived: {}", guest.state, guest.arrived);
            return Some(format!("host {n} has a guest {instance} {what}; {row:?}, told {told:?}"));
        }
        if let Some(tap) = node.sim.world().taps.keys().find(|it| database.get("vnic", it).is_none()) {
            return Some(format!("host {n} has a tap {tap} that nobody ordered"));
        }
        let told = agent.state();
        for row in told.table::<HostInstance>().iter().filter(|it| it.current.is_some()) {
            let key = (row.host, row.instance);
            if snapshot.get::<HostInstance>(&key).and_then(|it| it.current.as_ref()) != row.current.as_ref() {
                return Some(format!("host {n}: {row:?} is not what is shown"));
            }
        }
        for row in snapshot.table::<HostVolume>().find("host", node.uuid) {
            let key = (row.host, row.volume);
            if told.get::<HostVolume>(&key).and_then(|it| it.current.as_ref()) != row.current.as_ref() {
                return Some(format!("host {n}: {row:?} is not what it tells"));
            }
        }
        None
    }

    fn is_on_disk(&self, volume: &Columns) -> bool {
        self.shared == Shared::Disk && volume["storage_pool"] == json!(self.shelf.pool())
    }

    /// What a volume lacks of what it was given, or was not given.
    fn disk_difference(&self, volume: &Columns) -> Option<String> {
        let extents: Vec<_> =
            self.store.database.table("extent").filter(|it| it["volume"] == volume["uuid"]).collect();
        let len =
            |it: &&Columns| it["range"][1].as_i64().zip(it["range"][0].as_i64()).map(|(to, from)| to - from);
        let has: i64 = extents.iter().filter(|it| it["made"] == true).filter_map(len).sum();
        (volume["size"].as_i64().is_some_and(|size| has < size))
            .then(|| format!("has {has} MiB of it: {extents:?}"))
    }

    /// The hosts that an instance can run on.
    fn fitting(&self, instance: &Columns) -> Vec<Uuid> {
        let database = &self.store.database;
        let disks = database.table("vdisk").filter(|it| it["instance"] == instance["uuid"]);
        let pools: Vec<&Json> = disks
            .filter_map(|it| database.get("volume", &it["volume"]))
            .map(|volume| &volume["storage_pool"])
            .collect();
        let fits = |node: &&Node| {
            let present = database.get("host", node.uuid).is_some_and(|it| it["state"] == "present");
            present && pools.iter().all(|it| **it == json!(node.pool) || **it == json!(self.shelf.pool()))
        };
        self.nodes.iter().filter(fits).map(|it| it.uuid).collect()
    }

    /// Whether the host is to be empty, and another one takes instances, whose volumes are copied then.
    fn can_leave(&self, host: Uuid) -> bool {
        let state = |it: Uuid| self.store.database.get("host", it).map(|row| row["state"] == "evacuated");
        let takes = |it: &Node| it.uuid != host && state(it.uuid) == Some(false);
        state(host) == Some(true) && self.nodes.iter().any(takes)
    }

    pub(super) fn instance_difference(&self, order: &Columns) -> Option<String> {
        let uuid = uuid_of(order, "uuid").unwrap();
        let placement = self.store.database.table("host_instance").find(|it| it["instance"] == json!(uuid));
        let host = placement.and_then(|it| uuid_of(it, "host"));
        let guest = host.and_then(|_| self.node(host).sim.world().guests.get(&uuid)).map(|it| it.state);
        let snapshot = self.controller.as_ref()?.snapshot();
        let shown = snapshot.get::<Instance>(&uuid)?.current.clone();
        let status = shown.as_ref().map(|it| it.status);
        let say = |what: &str| {
            Some(format!(
                "instance {uuid} {what}: order {order:?}, placed {placement:?}, guest {guest:?}, shown {shown:?}"
            ))
        };
        if order["state"] == "stopped" {
            let off = guest.is_none_or(|it| !is_up(it)) && status == Some(InstanceStatus::Stopped);
            return if off { None } else { say("is not off") };
        }
        let fitting = self.fitting(order);
        let (state, wanted) = match order["state"].as_str() {
            Some("paused") => (GuestState::Paused, InstanceStatus::Paused),
            _ => (GuestState::Running, InstanceStatus::Running),
        };
        match host {
            None if fitting.is_empty() => shown
                .as_ref()
                .is_none_or(|it| it.error.is_none())
                .then(|| format!("{uuid}: no word why it does not run")),
            None => say("is not placed"),
            Some(on) if !fitting.is_empty() && !fitting.contains(&on) => say("is on the wrong host"),
            Some(on) if fitting.is_empty() && self.can_leave(on) => say("is on a host that is to be empty"),
            Some(_) if guest == Some(state) && status == Some(wanted) => {
                self.hardware_difference(order).and_then(|what| say(&format!("has {what}")))
            }
            Some(_) => say("is not up"),
        }
    }

    pub(super) fn volume_difference(&self, order: &Columns) -> Option<String> {
        let uuid = uuid_of(order, "uuid").unwrap();
        let snapshot = self.controller.as_ref()?.snapshot();
        let shown = snapshot.get::<Volume>(&uuid)?.current.clone();
        let status = shown.as_ref().map(|it| it.status);
        let say = |what: &str| Some(format!("volume {uuid} {what}: order {order:?}, shown {shown:?}"));
        match order["state"].as_str() {
            Some("deleted") => say("is not gone"),
            Some("optional") => None,
            _ if status != Some(DataStatus::Ready) => say("is not ready"),
            _ => {
                let node = self.nodes.iter().find(|it| json!(it.pool) == order["storage_pool"]);
                let node = node.unwrap_or(&self.nodes[0]);
                let lies = |it: &Node| it.sim.world().volumes.get(&uuid).map(|it| it.pool);
                let left = |it: &&Node| lies(it).is_some_and(|pool| json!(pool) != order["storage_pool"]);
                match (lies(node), self.nodes.iter().find(left)) {
                    (None, _) if self.is_on_disk(order) => {
                        self.disk_difference(order).and_then(|it| say(&it))
                    }
                    (None, _) => say("is not there"),
                    (_, Some(node)) => {
                        let rows = self.store.database.table("host_volume");
                        let rows: Vec<_> = rows.filter(|it| it["volume"] == json!(uuid)).collect();
                        say(&format!("has a copy that is left on host {}: {rows:?}", node.uuid))
                    }
                    (Some(_), None) => None,
                }
            }
        }
    }

    /// What is whole needs no longer what it was filled from.
    fn base_difference(&self) -> Option<String> {
        let has_base = |it: &&Columns| !it["base_image"].is_null() || !it["base_volume"].is_null();
        let is_there = |it: &&Columns| it["state"] == "present";
        let mut volumes = self.store.database.table("volume").filter(is_there);
        volumes.find(has_base).map(|it| format!("{it:?} still has its base"))
    }

    fn image_difference(&self) -> Option<String> {
        let rare = self.store.database.get("image", self.users.rare_image)?;
        (!rare["source_uri"].is_null())
            .then(|| "an image with all its copies still has its source".to_owned())
    }

    /// Where all is as ordered nothing is done, and little is said.
    pub(super) fn stay_as_is(&mut self) {
        // What was left behind by earlier steps and looks ends.
        self.run(30_000);
        let steps = |world: &Self| world.nodes.iter().map(|it| it.steps).sum::<u64>();
        let effects = |world: &Self| {
            world
                .nodes
                .iter()
                .flat_map(|it| it.sim.world().effects.values())
                .map(|it| u64::from(*it))
                .sum::<u64>()
        };
        let (steps_before, effects_before, sent) = (steps(self), effects(self), self.net.sent());
        self.run(60_000);
        assert_eq!(self.difference(), None, "PONY_SEED={}", self.seed);
        assert_eq!(effects(self), effects_before, "PONY_SEED={}: something is done over and over", self.seed);
        assert_eq!(steps(self), steps_before, "PONY_SEED={}: something is tried over and over", self.seed);
        let (sent, most) = (self.net.sent() - sent, self.nodes.len() as u64 * 2 * 6);
        assert!(sent <= most, "PONY_SEED={}: {sent} messages in a quiet minute", self.seed);
    }

    /// Whatever an order is stuck in, a later one wins.
    pub(super) fn orders_win(&mut self) {
        for verb in ["define", "start", "fill", "make the tap"] {
            for fate in [Fate::Hang, Fate::HangAfter, Fate::Fail] {
                self.order_wins(verb, fate);
            }
        }
        self.expect(CONVERGE_MS_MAX, Self::difference);
    }

    fn order_wins(&mut self, verb: &'static str, fate: Fate) {
        self.nodes.iter_mut().for_each(|it| it.sim.set_fate(verb, Some(fate)));
        let (instance, ops) = self.instance("running", Some(self.users.image));
        assert!(self.order(&ops));
        let wait = self.random.below(4_000);
        self.run(wait);
        assert!(self.order(&[update("instance", instance, json!({ "state": "stopped" }))]));
        self.expect(5_000, |it| it.instance_difference(it.store.database.get("instance", instance)?));
        let wait = self.random.below(2_000);
        self.run(wait);
        assert!(self.order(&self.removal(instance, true)));
        let gone = |it: &Self| {
            let placed =
                it.store.database.table("host_instance").any(|row| row["instance"] == json!(instance));
            placed.then(|| format!("{verb} {fate:?}: the deleted instance {instance} is not gone"))
        };
        self.expect(8_000, gone);
        self.nodes.iter_mut().for_each(|it| it.sim.set_fate(verb, None));
    }
}
