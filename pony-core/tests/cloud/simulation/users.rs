//! What users order.

use super::world::World;
use crate::database::{delete, insert, pin, update};
use pony_state::{Columns, RowOp};
use serde_json::{Value as Json, json};
use uuid::Uuid;

/// Instances at a time.
const INSTANCES: usize = 40;

pub(super) const URI: &str = "http://images.example/a.qcow2";

pub(super) struct Users {
    tenant: Uuid,
    /// An image that has an optional copy in every pool.
    pub(super) image: Uuid,
    /// An image that has one copy.
    pub(super) rare_image: Uuid,
    switches: [Uuid; 2],
    named: u64,
    /// Every so many volumes are in the pool of all hosts.
    shared_each: u64,
}

/// The value of a column that holds a UUID.
pub(super) fn uuid_of(row: &Columns, column: &str) -> Option<Uuid> {
    row.get(column)?.as_str()?.parse().ok()
}

/// Size of the images.
const IMAGE_MIB: i64 = 100;

impl Users {
    pub(super) fn new(uuid: &mut impl FnMut() -> Uuid) -> Self {
        let (tenant, image, rare_image, switches) = (uuid(), uuid(), uuid(), [uuid(), uuid()]);
        Self { tenant, image, rare_image, switches, named: 0, shared_each: 3 }
    }

    pub(super) fn tenant(&self) -> Uuid {
        self.tenant
    }

    /// From now on every so many volumes are in the pool of all hosts.
    pub(super) fn share_each(&mut self, shared_each: u64) {
        self.shared_each = shared_each;
    }

    pub(super) fn switch(&self) -> Uuid {
        self.switches[0]
    }

    pub(super) fn other_switch(&self) -> Uuid {
        self.switches[1]
    }

    pub(super) fn first_orders(&self) -> Vec<RowOp> {
        let image = |uuid: Uuid, name: &str| {
            insert("image", json!({ "uuid": uuid, "name": name, "source_uri": URI }))
        };
        let mut ops = vec![
            insert("tenant", json!({ "uuid": self.tenant, "name": "t", "approved": true })),
            image(self.image, "common"),
            image(self.rare_image, "rare"),
        ];
        ops.extend((0..self.switches.len()).map(|n| self.first_switch(n)));
        ops
    }

    /// The n-th switch as it is ordered first.
    pub(super) fn first_switch(&self, n: usize) -> RowOp {
        insert("switch", json!({ "uuid": self.switches[n], "name": format!("s{n}"), "type": "bridge" }))
    }

    pub(super) fn first_copies(&self, pools: &[Uuid]) -> Vec<RowOp> {
        let copy = |image: Uuid, pool: &Uuid, state: &str| {
            let uuid = Uuid::from_u128(pool.as_u128() ^ image.as_u128());
            let row = json!({ "uuid": uuid, "state": state, "storage_pool": pool, "image": image, "size": IMAGE_MIB });
            insert("volume", row)
        };
        let mut ops: Vec<RowOp> = pools.iter().map(|it| copy(self.image, it, "optional")).collect();
        ops.push(copy(self.rare_image, &pools[0], "present"));
        ops
    }
}

impl World {
    /// A user's order. It takes Sparkle and the database to accept it.
    pub(super) fn order(&mut self, ops: &[RowOp]) -> bool {
        let lag = self.lag_ms();
        let taken = self.controller.is_some() && self.store.commit(self.now_ms, lag, ops).is_ok();
        self.deeds.orders += u64::from(taken);
        taken
    }

    pub(super) fn something(&mut self) -> Vec<RowOp> {
        match self.random.below(29) {
            0..=5 => self.create_instance(),
            6..=11 => self.switch_instance(),
            12..=14 => self.delete_instance(),
            15 | 16 => self.create_volume(),
            17 => self.delete_volume(),
            18..=20 => self.pin(),
            21 | 22 => self.evacuate(),
            23 => self.grow_volume(),
            24 => self.plug(),
            25 => self.unplug(),
            26 => self.replug(),
            27 => self.change_instance(json!({ "user_data": "#cloud-config" })),
            _ => {
                let mem = 256 << self.random.below(3);
                self.change_instance(json!({ "mem": mem }))
            }
        }
    }

    fn change_instance(&mut self, columns: Json) -> Vec<RowOp> {
        let instance = self.pick("instance", |_| true);
        instance.into_iter().map(|it| update("instance", it, columns.clone())).collect()
    }

    fn some_switch(&mut self) -> Uuid {
        let n = self.random.below(self.users.switches.len() as u64);
        self.users.switches[usize::try_from(n).unwrap()]
    }

    /// One more card.
    fn plug(&mut self) -> Vec<RowOp> {
        let Some(instance) = self.pick("instance", |_| true) else { return Vec::new() };
        let cards = self.store.database.table("vnic").filter(|it| it["instance"] == json!(instance));
        let index = cards.filter_map(|it| it["index"].as_u64()).max().map_or(0, |it| it + 1);
        let (uuid, switch) = (self.uuid(), self.some_switch());
        let card = json!({ "uuid": uuid, "instance": instance, "switch": switch, "index": index });
        vec![insert("vnic", card)]
    }

    fn unplug(&mut self) -> Vec<RowOp> {
        self.pick("vnic", |_| true).into_iter().map(|it| delete("vnic", it)).collect()
    }

    /// A card goes into a switch, perhaps another one.
    fn replug(&mut self) -> Vec<RowOp> {
        let (card, switch) = (self.pick("vnic", |_| true), self.some_switch());
        card.into_iter().map(|it| update("vnic", it, json!({ "switch": switch }))).collect()
    }

    /// A volume is to be larger.
    pub(super) fn grow_volume(&mut self) -> Vec<RowOp> {
        let volume = self.pick("volume", |row| row["image"].is_null());
        let size = |it: Uuid| self.store.database.get("volume", it)?["size"].as_i64();
        let larger = volume.and_then(|it| Some((it, size(it)? + 10)));
        larger.into_iter().map(|(it, size)| update("volume", it, json!({ "size": size }))).collect()
    }

    fn pick(&mut self, table: &str, fits: impl Fn(&Columns) -> bool) -> Option<Uuid> {
        let rows = self.store.database.table(table).filter(|row| fits(row));
        let all: Vec<Uuid> = rows.filter_map(|row| uuid_of(row, "uuid")).collect();
        let at = self.random.below(all.len() as u64);
        all.get(usize::try_from(at).unwrap()).copied()
    }

    fn create_instance(&mut self) -> Vec<RowOp> {
        if self.store.database.table("instance").count() >= INSTANCES {
            return Vec::new();
        }
        let state = ["running", "running", "running", "paused", "stopped"];
        let state = state[usize::try_from(self.random.below(5)).unwrap()];
        let disk = (self.random.below(2) == 0).then_some(self.users.image);
        self.instance(state, disk).1
    }

    /// A new instance, perhaps with a disk that is made from an image, and its rows.
    pub(super) fn instance(&mut self, state: &str, image: Option<Uuid>) -> (Uuid, Vec<RowOp>) {
        self.users.named += 1;
        let (instance, name) = (self.uuid(), format!("i{}", self.users.named));
        let row = json!({
            "uuid": instance, "tenant": self.users.tenant, "name": name, "state": state, "vcpu": 1, "rcpu": 1.0, "mem": 512,
        });
        let mut ops = vec![insert("instance", row)];
        if let Some(image) = image {
            let (volume, vdisk) = (self.uuid(), self.uuid());
            ops.push(self.volume(volume, image));
            let row = json!({ "uuid": vdisk, "instance": instance, "volume": volume, "index": 0 });
            ops.push(insert("vdisk", row));
        }
        if self.random.below(2) == 0 {
            let switch = self.some_switch();
            let row = json!({ "uuid": self.uuid(), "instance": instance, "switch": switch, "index": 0 });
            ops.push(insert("vnic", row));
        }
        (instance, ops)
    }

    fn volume(&mut self, volume: Uuid, image: Uuid) -> RowOp {
        let n = self.some_host();
        let shared = self.random.below(self.users.shared_each) == 0;
        let pool = if shared { self.shelf.pool() } else { self.nodes[n].pool };
        insert("volume", json!({ "uuid": volume, "size": 200, "storage_pool": pool, "base_image": image }))
    }

    pub(super) fn switch_instance(&mut self) -> Vec<RowOp> {
        let state = ["running", "running", "paused", "stopped"];
        let state = state[usize::try_from(self.random.below(4)).unwrap()];
        let instance = self.pick("instance", |_| true);
        instance.into_iter().map(|it| update("instance", it, json!({ "state": state }))).collect()
    }

    /// An instance goes, and mostly its disks with it.
    fn delete_instance(&mut self) -> Vec<RowOp> {
        let Some(instance) = self.pick("instance", |_| true) else { return Vec::new() };
        let with_disks = self.random.below(3) > 0;
        self.removal(instance, with_disks)
    }

    pub(super) fn removal(&self, instance: Uuid, with_disks: bool) -> Vec<RowOp> {
        let disks = self.store.database.table("vdisk").filter(|row| row["instance"] == json!(instance));
        let disks = disks.filter_map(|row| uuid_of(row, "volume")).filter(|_| with_disks);
        let mut ops = vec![delete("instance", instance)];
        ops.extend(disks.map(|it| update("volume", it, json!({ "state": "deleted" }))));
        ops
    }

    fn create_volume(&mut self) -> Vec<RowOp> {
        let volume = self.uuid();
        // Every third one from an image that lies on one host alone.
        let image = if self.random.below(3) == 0 { self.users.rare_image } else { self.users.image };
        vec![self.volume(volume, image)]
    }

    /// A volume that nothing uses goes.
    fn delete_volume(&mut self) -> Vec<RowOp> {
        let used: Vec<Json> = self.store.database.table("vdisk").map(|row| row["volume"].clone()).collect();
        let volume = self.pick("volume", |row| row["image"].is_null() && !used.contains(&row["uuid"]));
        volume.into_iter().map(|it| update("volume", it, json!({ "state": "deleted" }))).collect()
    }

    /// An instance is wished on a host, or no longer.
    pub(super) fn pin(&mut self) -> Vec<RowOp> {
        let Some(instance) = self.pick("instance", |_| true) else { return Vec::new() };
        let host = self.some_host();
        let pin = pin(instance, self.nodes[host].uuid);
        let is_pinned = self.store.database.table("pin").any(|it| it["instance"] == json!(instance));
        match (is_pinned, self.random.below(3)) {
            (false, _) => vec![pin],
            (true, 0) => vec![delete("pin", instance)],
            (true, _) => vec![delete("pin", instance), pin],
        }
    }

    pub(super) fn evacuate(&mut self) -> Vec<RowOp> {
        let n = self.some_host();
        let state = if self.random.below(3) == 0 { "evacuated" } else { "present" };
        vec![update("host", self.nodes[n].uuid, json!({ "state": state }))]
    }
}
