//! From changes of rows to the orders that they concern, and to no other.

use super::rig::id;
use crate::agent::orders::{Order, OrderId, Orders};
use crate::agent::rows::{Sources, orders};
use crate::reconcile::SplitMix64;
use crate::seeds;
use crate::tables;
use pony_state::{PartKind, Read, State};
use serde_json::{Value as Json, json};
use uuid::Uuid;

const HOST: u8 = 99;

/// Rows, and the orders that they came to bit by bit.
struct Rows {
    state: State,
    sources: Sources,
    orders: Orders,
}

impl Rows {
    fn new() -> Self {
        let (state, sources) = (tables::new_state().unwrap(), Sources::new(id(HOST)));
        let mut rows = Self { state, sources, orders: Orders::default() };
        rows.renew();
        rows
    }

    fn set(&mut self, table: &str, part: &Json) {
        let key = self.state.any(table).unwrap().def().key_of_part(PartKind::Desired, part).unwrap();
        let mut tx = self.state.transaction();
        tx.set_json(table, &key, PartKind::Desired, part).unwrap();
        self.sources.note(&tx.commit());
    }

    fn remove(&mut self, table: &str, part: &Json) {
        let key = self.state.any(table).unwrap().def().key_of_part(PartKind::Desired, part).unwrap();
        let mut tx = self.state.transaction();
        tx.remove_part(table, &key, PartKind::Desired).unwrap();
        self.sources.note(&tx.commit());
    }

    /// What the host says of its own address.
    fn tell(&mut self, address: &str) {
        let told = json!({ "status": "present", "address": address });
        let def = self.state.any("host").unwrap().def().clone();
        let key = def.key_of_part(PartKind::Desired, &json!({ "uuid": id(HOST) })).unwrap();
        let mut tx = self.state.transaction();
        tx.set_json("host", &key, PartKind::Current, &told).unwrap();
        self.sources.note(&tx.commit());
    }

    /// The names of the orders that are made again.
    fn renew(&mut self) -> Vec<OrderId> {
        let renewed = self.sources.renew(&self.state);
        let ids = renewed.iter().map(Order::id).collect();
        renewed.into_iter().for_each(|order| drop(self.orders.put(order)));
        ids
    }

    fn check(&self) {
        assert_eq!(self.orders, orders(&self.state, id(HOST)));
    }
}

/// What a random row is made of: a few that refer to each other, or to what is not there.
struct Dice<'a>(&'a mut SplitMix64);

impl Dice<'_> {
    fn n(&mut self) -> u64 {
        self.0.below(3)
    }

    fn one(&mut self, kind: u8) -> Uuid {
        one_of(kind, self.n())
    }

    fn pick<T: Clone>(&mut self, of: &[T; 3]) -> T {
        of[usize::try_from(self.n()).unwrap()].clone()
    }

    fn maybe<T>(&mut self, it: T) -> Option<T> {
        (self.0.below(2) == 0).then_some(it)
    }

    fn mac(&mut self) -> String {
        format!("02:00:00:00:00:0{}", self.n())
    }
}

const HOSTS: u8 = 98;
const POOLS: u8 = 10;
const IMAGES: u8 = 20;
const VOLUMES: u8 = 30;
const SWITCHES: u8 = 40;
const INSTANCES: u8 = 50;
const CARDS: u8 = 60;
const NETWORKS: u8 = 70;
const BONDS: u8 = 80;
const CPUS: u8 = 90;

fn row(random: &mut SplitMix64) -> (&'static str, Json) {
    let kind = [storage, networks, instances, links][usize::try_from(random.below(4)).unwrap()];
    kind(&mut Dice(random))
}

fn storage(dice: &mut Dice<'_>) -> (&'static str, Json) {
    let (host, pool, image, volume) = (dice.one(HOSTS), dice.one(POOLS), dice.one(IMAGES), dice.one(VOLUMES));
    match dice.0.below(5) {
        0 => {
            let (kind, host) = (dice.pick(&["dir", "nfs", "rbd"]), dice.maybe(host));
            (
                "storage_pool",
                json!({"uuid": pool, "type": kind, "name": "p", "host": host, "config": {"path": "/p"}}),
            )
        }
        1 => {
            let (state, image) = (dice.pick(&["present", "optional", "deleted"]), dice.maybe(image));
            (
                "volume",
                json!({"uuid": volume, "size": 9, "storage_pool": pool, "state": state, "image": image}),
            )
        }
        2 => {
            let (hold, copy, n) = (dice.pick(&["whole", "incoming", "released"]), dice.maybe(pool), dice.n());
            let given =
                json!({"host": host, "volume": volume, "hold": hold, "serial": n, "storage_pool": copy});
            ("host_volume", given)
        }
        3 => ("image", json!({"uuid": image, "name": "i", "source_uri": dice.pick(&["a", "b", "c"])})),
        _ => {
            let source = dice.one(HOSTS);
            let read = json!({"host": host, "image": image, "volume": volume, "source": source, "way": "w", "origin": "o"});
            ("host_image", read)
        }
    }
}

fn networks(dice: &mut Dice<'_>) -> (&'static str, Json) {
    let (switch, network, card, n) = (dice.one(SWITCHES), dice.one(NETWORKS), dice.one(CARDS), dice.n());
    match dice.0.below(5) {
        0 => {
            let (kind, tag) = (dice.pick(&["bridge", "vxlan", "vxlan"]), dice.maybe(n + 1));
            ("switch", json!({"uuid": switch, "name": "s", "type": kind, "tag": tag}))
        }
        1 => {
            let (host, mac) = (dice.one(HOSTS), dice.mac());
            let address = dice.pick(&["10.0.0.1", "10.0.0.2", "fd00::1"]);
            let port = json!({"vnic": card, "switch": switch, "host": host, "address": address, "macaddr": mac, "ips": []});
            ("switch_port", port)
        }
        2 => {
            let tag = dice.maybe(n + 1);
            ("network", json!({"uuid": network, "switch": switch, "vlan_tag": tag, "range": "10.1.0.0/24"}))
        }
        3 => {
            let via = format!("10.1.0.{n}");
            ("route", json!({"uuid": dice.one(100), "network": network, "route": "0.0.0.0/0", "via": via}))
        }
        _ => {
            let ip = format!("10.1.0.1{n}");
            ("address", json!({"uuid": dice.one(110), "network": network, "vnic": card, "ip": ip}))
        }
    }
}

fn instances(dice: &mut Dice<'_>) -> (&'static str, Json) {
    let (instance, cpu, n) = (dice.one(INSTANCES), dice.one(CPUS), dice.n());
    match dice.0.below(5) {
        0 => {
            let switch = dice.one(SWITCHES);
            ("vnic", json!({"uuid": dice.one(CARDS), "instance": instance, "switch": switch, "index": n}))
        }
        1 => {
            let volume = dice.one(VOLUMES);
            ("vdisk", json!({"uuid": dice.one(120), "instance": instance, "volume": volume, "index": n}))
        }
        2 => {
            let (state, profile) = (dice.pick(&["running", "paused", "stopped"]), dice.maybe(cpu));
            let order = json!({
                "uuid": instance, "name": "i", "state": state, "vcpu": 1, "rcpu": 1.0, "mem": 9, "cpu_profile": profile,
            });
            ("instance", order)
        }
        3 => {
            let (host, target) = (dice.one(HOSTS), dice.one(HOSTS));
            let placed = json!({
                "host": host, "instance": instance, "released": false, "serial": n, "target": dice.maybe(target),
                "origin": "o",
            });
            ("host_instance", placed)
        }
        _ => (
            "cpu_profile",
            json!({"uuid": cpu, "name": "c", "model": dice.pick(&["a", "b", "c"]), "features": []}),
        ),
    }
}

fn links(dice: &mut Dice<'_>) -> (&'static str, Json) {
    let (host, bond, n) = (dice.one(HOSTS), dice.one(BONDS), dice.n());
    match dice.0.below(4) {
        0 => (
            "bond",
            json!({"uuid": bond, "host": host, "mode": dice.pick(&["active-backup", "802.3ad", "802.3ad"])}),
        ),
        1 => ("nic", json!({"hwaddr": dice.mac(), "host": host, "bond": dice.maybe(bond)})),
        2 => ("vlan", json!({"bond": bond, "tag": n + 1})),
        _ => {
            let (role, vlan) = (dice.pick(&["core", "virtual", "storage"]), dice.maybe(n + 1));
            let address = format!("10.2.0.{n}/24");
            let role = json!({"uuid": dice.one(130), "bond": bond, "role": role, "vlan_id": vlan, "address": address});
            ("net_role", role)
        }
    }
}

fn one_of(kind: u8, n: u64) -> Uuid {
    id(kind + u8::try_from(n).unwrap())
}

#[test]
fn orders_that_are_kept_are_those_that_would_be_made_at_once() {
    seeds::run(40, |seed| {
        let (mut random, mut rows) = (SplitMix64::new(seed), Rows::new());
        for _ in 0..400 {
            match random.below(12) {
                0 => {
                    rows.tell(["10.0.0.9", "10.0.0.8", "fd00::9"][usize::try_from(random.below(3)).unwrap()]);
                }
                1..4 => {
                    let (table, part) = row(&mut random);
                    rows.remove(table, &part);
                }
                _ => {
                    let (table, part) = row(&mut random);
                    rows.set(table, &part);
                }
            }
            if random.below(3) > 0 {
                rows.renew();
                rows.check();
            }
        }
    });
}

#[test]
fn a_row_concerns_the_orders_that_were_made_from_it_and_no_other() {
    let mut rows = Rows::new();
    for n in 0..3 {
        rows.set("switch", &json!({ "uuid": one_of(40, n), "name": "s", "type": "bridge" }));
        rows.set(
            "network",
            &json!({ "uuid": one_of(70, n), "switch": one_of(40, n), "range": "10.1.0.0/24" }),
        );
        let order = json!({ "uuid": one_of(50, n), "name": "i", "state": "running", "vcpu": 1, "rcpu": 1.0, "mem": 9 });
        rows.set("instance", &order);
        rows.set("host_instance", &json!({ "host": id(HOST), "instance": one_of(50, n), "released": false }));
        rows.set(
            "vnic",
            &json!({ "uuid": one_of(60, n), "instance": one_of(50, n), "switch": one_of(40, n), "index": 0 }),
        );
    }
    rows.renew();
    let address =
        |vnic| json!({ "uuid": one_of(110, 0), "network": one_of(70, 1), "vnic": vnic, "ip": "10.1.0.7" });
    rows.set("address", &address(one_of(60, 1)));
    assert_eq!(rows.renew(), [OrderId::Instance(one_of(50, 1))]);
    // It goes from one card to another.
    rows.set("address", &address(one_of(60, 2)));
    assert_eq!(rows.renew(), [OrderId::Instance(one_of(50, 1)), OrderId::Instance(one_of(50, 2))]);
    rows.set(
        "route",
        &json!({ "uuid": id(100), "network": one_of(70, 1), "route": "0.0.0.0/0", "via": "10.1.0.1" }),
    );
    assert_eq!(rows.renew(), [OrderId::Instance(one_of(50, 2))]);
    rows.set(
        "vnic",
        &json!({ "uuid": id(68), "instance": one_of(50, 0), "switch": one_of(40, 1), "index": 1 }),
    );
    assert_eq!(rows.renew(), [OrderId::Instance(one_of(50, 0))]);
    // What nobody asked for concerns nobody.
    rows.set("vdisk", &json!({ "uuid": id(120), "instance": id(59), "index": 0 }));
    rows.tell("10.0.0.9");
    assert_eq!(rows.renew(), []);
    rows.check();
}

#[test]
fn what_was_ordered_and_is_gone_is_remembered_no_more() {
    let mut rows = Rows::new();
    let before = rows.sources.len();
    let volume = json!({ "uuid": id(30), "size": 9, "storage_pool": id(10) });
    rows.set("volume", &volume);
    rows.renew();
    assert!(rows.sources.len() > before);
    rows.remove("volume", &volume);
    rows.renew();
    assert_eq!(rows.sources.len(), before);
    rows.check();
}
