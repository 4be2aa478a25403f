//! From changes of rows to the orders that they concern, and to no other.

use super::rig::id;
use crate::agent::orders::{Order, OrderId, Orders};
use crate::agent::rows::{Sources, orders};
use crate::reconcile::SplitMix64;
use crate::seeds;
use crate::tables;
use pony_state::{PartKind, Read, State};
use serde_json::{Value as Json, json};

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

/// A few rows that refer to each other, or to what is not there.
#[allow(clippy::too_many_lines)]
fn row(random: &mut SplitMix64) -> (&'static str, Json) {
    let table = random.below(19);
    let mut one = |kind: u8| id(kind + u8::try_from(random.below(3)).unwrap());
    let (host, pool, image, volume, switch) = (one(98), one(10), one(20), one(30), one(40));
    let (instance, card, network, bond, cpu) = (one(50), one(60), one(70), one(80), one(90));
    let (n, m) = (random.below(3), random.below(2) == 0);
    let mac = format!("02:00:00:00:00:0{n}");
    let pick = |of: [&'static str; 3]| of[usize::try_from(n).unwrap()];
    match table {
        0 => {
            let host = Some(host).filter(|_| m);
            let kind = pick(["dir", "nfs", "rbd"]);
            (
                "storage_pool",
                json!({ "uuid": pool, "type": kind, "name": "p", "host": host, "config": {"path": "/p"} }),
            )
        }
        1 => {
            let state = pick(["present", "optional", "deleted"]);
            let image = Some(image).filter(|_| m);
            (
                "volume",
                json!({ "uuid": volume, "size": 9, "storage_pool": pool, "state": state, "image": image }),
            )
        }
        2 => {
            let hold = pick(["whole", "incoming", "released"]);
            let copy = Some(pool).filter(|_| m);
            let given =
                json!({ "host": host, "volume": volume, "hold": hold, "serial": n, "storage_pool": copy });
            ("host_volume", given)
        }
        3 => ("image", json!({ "uuid": image, "name": "i", "source_uri": pick(["a", "b", "c"]) })),
        4 => {
            let source = id(98 + u8::try_from(n).unwrap());
            let read = json!({ "host": host, "image": image, "volume": volume, "source": source, "way": "w", "origin": "o" });
            ("host_image", read)
        }
        5 | 6 => {
            let tag = Some(n).filter(|_| m);
            let kind = if table == 5 { "bridge" } else { "vxlan" };
            ("switch", json!({ "uuid": switch, "name": "s", "type": kind, "tag": tag }))
        }
        7 => {
            let address = pick(["10.0.0.1", "10.0.0.2", "fd00::1"]);
            let port = json!({ "vnic": card, "switch": switch, "host": host, "address": address, "macaddr": mac, "ips": [] });
            ("switch_port", port)
        }
        8 => {
            let tag = Some(n).filter(|_| m);
            ("network", json!({ "uuid": network, "switch": switch, "vlan_tag": tag, "range": "10.1.0.0/24" }))
        }
        9 => {
            let via = format!("10.1.0.{n}");
            ("route", json!({ "uuid": one_of(100, n), "network": network, "route": "0.0.0.0/0", "via": via }))
        }
        10 => {
            let ip = format!("10.1.0.1{n}");
            ("address", json!({ "uuid": one_of(110, n), "network": network, "vnic": card, "ip": ip }))
        }
        11 => ("vnic", json!({ "uuid": card, "instance": instance, "switch": switch, "index": n })),
        12 => {
            ("vdisk", json!({ "uuid": one_of(120, n), "instance": instance, "volume": volume, "index": n }))
        }
        13 => {
            let state = pick(["running", "paused", "stopped"]);
            let profile = Some(cpu).filter(|_| m);
            let order = json!({ "uuid": instance, "name": "i", "state": state, "vcpu": 1, "rcpu": 1.0, "mem": 9, "cpu_profile": profile });
            ("instance", order)
        }
        14 => {
            let target = Some(id(98 + u8::try_from(n).unwrap())).filter(|_| m);
            let placed = json!({ "host": host, "instance": instance, "released": false, "serial": n, "target": target, "origin": "o" });
            ("host_instance", placed)
        }
        15 => (
            "cpu_profile",
            json!({ "uuid": cpu, "name": "c", "model": pick(["a", "b", "c"]), "features": [] }),
        ),
        16 => (
            "bond",
            json!({ "uuid": bond, "host": host, "mode": pick(["active-backup", "802.3ad", "802.3ad"]) }),
        ),
        17 => ("nic", json!({ "hwaddr": mac, "host": host, "bond": Some(bond).filter(|_| m) })),
        _ if m => ("vlan", json!({ "bond": bond, "tag": n + 1 })),
        _ => {
            let role = pick(["core", "virtual", "storage"]);
            let address = format!("10.2.0.{n}/24");
            let vlan = Some(n + 1).filter(|n| n % 2 == 0);
            (
                "net_role",
                json!({ "uuid": one_of(130, n), "bond": bond, "role": role, "vlan_id": vlan, "address": address }),
            )
        }
    }
}

fn one_of(kind: u8, n: u64) -> uuid::Uuid {
    id(kind + u8::try_from(n).unwrap())
}

#[test]
fn orders_that_are_kept_are_those_that_would_be_made_at_once() {
    seeds::run(40, |seed| {
        let (mut random, mut rows) = (SplitMix64::new(seed), Rows::new());
        for _ in 0..400 {
            match random.below(12) {
                0 => {
                    rows.tell(["10.0.0.9", "10.0.0.8", "fd00::9"][usize::try_from(random.below(3)).unwrap()])
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
