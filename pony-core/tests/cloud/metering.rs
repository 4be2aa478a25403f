//! What tenants are billed for: rows of `metering` begin and end with what is used.

use crate::database::{delete, insert, update};
use crate::rig::*;
use serde_json::{Value as Json, json};

const OTHER: u128 = 700;

/// One row, as far as an invoice reads it.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    resource: String,
    amount: f64,
    start: i64,
    end: Option<i64>,
    tenant: Json,
    kind: Json,
}

impl Rig {
    /// What is metered of a row, by the beginning and the type.
    fn metered(&self, target: u128) -> Vec<Row> {
        let rows = self.database.table("metering").filter(|row| row["target"] == json!(id(target)));
        let mut rows: Vec<Row> = rows
            .map(|row| Row {
                resource: row["type"].as_str().unwrap().to_owned(),
                amount: row["amount"].as_f64().unwrap(),
                start: row["start"].as_i64().unwrap(),
                end: row["end"].as_i64(),
                tenant: row["tenant"].clone(),
                kind: row["kind"].clone(),
            })
            .collect();
        rows.sort_by(|a, b| (a.start, &a.resource).cmp(&(b.start, &b.resource)));
        rows
    }

    /// The amounts that are used now, by type.
    fn used(&self, target: u128) -> Vec<(String, f64)> {
        let open = self.metered(target).into_iter().filter(|row| row.end.is_none());
        open.map(|row| (row.resource, row.amount)).collect()
    }

    fn unix_s(&self) -> i64 {
        i64::try_from(self.now().unix_s).unwrap()
    }
}

fn amounts(list: &[(&str, f64)]) -> Vec<(String, f64)> {
    list.iter().map(|(resource, amount)| ((*resource).to_owned(), *amount)).collect()
}

#[test]
fn an_instance_is_metered_from_its_order_to_its_end() {
    let mut rig = Rig::with_hosts(1);
    let begin = rig.unix_s();
    rig.order_instance(1);
    let all = amounts(&[("instances", 1.0), ("mem", 1_024.0), ("rcpu", 1.0), ("vcpu", 1.0)]);
    assert_eq!(rig.used(1), all);
    assert!(rig.metered(1).iter().all(|row| row.start == begin && row.tenant == json!(id(0))));
    assert_eq!(rig.metered(1)[0].kind, json!({"name": "i1", "cpu_profile": null}));
    // What happens to it changes nothing, nor does another name, nor another Sparkle.
    rig.run(60_000);
    rig.order(&[update("instance", id(1), json!({ "state": "stopped", "name": "renamed" }))]);
    rig.restart_sparkle();
    assert_eq!((rig.used(1), rig.metered(1).len()), (all, 4));
    // Where it grows, one row ends as another begins.
    rig.run(60_000);
    let grown = rig.unix_s();
    rig.order(&[update("instance", id(1), json!({ "mem": 2_048 }))]);
    let mem: Vec<Row> = rig.metered(1).into_iter().filter(|row| row.resource == "mem").collect();
    assert_eq!((mem[0].amount, mem[0].start, mem[0].end), (1_024.0, begin, Some(grown)));
    assert_eq!((mem[1].amount, mem[1].start, mem[1].end), (2_048.0, grown, None));
    assert_eq!(rig.metered(1).len(), 5);
    // And back again within the same second.
    rig.order(&[update("instance", id(1), json!({ "mem": 1_024 }))]);
    rig.order(&[update("instance", id(1), json!({ "mem": 2_048 }))]);
    assert_eq!(rig.metered(1).len(), 7);
    rig.run(60_000);
    let end = rig.unix_s();
    rig.order(&[delete("instance", id(1))]);
    assert_eq!(rig.used(1), []);
    assert!(rig.metered(1).iter().all(|row| row.end.is_some_and(|it| it >= row.start && it <= end)));
}

#[test]
fn whoever_takes_over_pays_from_then_on_also_for_addresses() {
    let mut rig = Rig::with_hosts(1);
    rig.order(&[insert("tenant", json!({ "uuid": id(OTHER), "name": "o", "approved": true }))]);
    rig.order(&[
        instance(1, "stopped"),
        insert("switch", json!({ "uuid": id(2), "name": "s", "tenant": id(0), "type": "bridge" })),
        insert("network", json!({ "uuid": id(3), "switch": id(2), "range": "10.0.0.0/24" })),
        insert("vnic", json!({ "uuid": id(4), "instance": id(1), "switch": id(2), "index": 0 })),
        insert("address", json!({ "uuid": id(5), "network": id(3), "vnic": id(4), "ip": "10.0.0.5" })),
        insert("address", json!({ "uuid": id(6), "network": id(3), "ip": "10.0.0.6" })),
    ]);
    assert_eq!((rig.used(2), rig.used(5)), (amounts(&[("switches", 1.0)]), amounts(&[("ips", 1.0)])));
    assert_eq!(rig.metered(5)[0].kind, json!({"name": "10.0.0.5", "network": "10.0.0.0/24"}));
    assert_eq!(rig.used(6), [], "nobody has it");
    rig.run(10_000);
    rig.order(&[update("instance", id(1), json!({ "tenant": id(OTHER) }))]);
    for target in [1, 5] {
        let owners = rig.metered(target).into_iter().map(|row| (row.tenant, row.end.is_some()));
        assert!(owners.into_iter().all(|(tenant, ended)| ended == (tenant == json!(id(0)))), "{target}");
    }
    assert_eq!(rig.used(1).len(), 4);
    rig.order(&[delete("vnic", id(4))]);
    assert_eq!(rig.used(5), []);
}

#[test]
fn a_volume_is_metered_while_it_is_to_be_present() {
    let mut rig = Rig::with_hosts(1);
    let pool =
        json!({ "uuid": id(8), "type": "dir", "name": "p", "host": host(0), "config": { "path": "/p" } });
    let volume = json!({ "uuid": id(9), "tenant": id(0), "size": 10, "storage_pool": id(8) });
    rig.order(&[insert("storage_pool", pool), insert("volume", volume)]);
    assert_eq!(rig.used(9), amounts(&[("storage", 10.0)]));
    assert_eq!(rig.metered(9)[0].kind, json!({"name": null, "storage_pool": "p"}));
    for (change, used) in [
        (json!({ "state": "optional" }), vec![]),
        (json!({ "state": "present", "size": 20 }), amounts(&[("storage", 20.0)])),
        (json!({ "state": "deleted" }), vec![]),
    ] {
        rig.order(&[update("volume", id(9), change)]);
        assert_eq!(rig.used(9), used);
    }
}

#[test]
fn what_was_ordered_while_nothing_could_be_written_is_metered_afterwards() {
    let mut rig = Rig::with_hosts(1);
    rig.refuse = true;
    rig.order_instance(1);
    rig.run(30_000);
    assert_eq!(rig.metered(1), []);
    rig.refuse = false;
    rig.run(30_000);
    assert_eq!(rig.used(1).len(), 4);
    // A row that somebody ends by hand is begun again: it is in use.
    let open = rig.database.table("metering").find(|row| row["type"] == "mem").unwrap()["uuid"].clone();
    rig.order(&[update(
        "metering",
        open.as_str().unwrap().parse::<uuid::Uuid>().unwrap(),
        json!({ "end": rig.unix_s() }),
    )]);
    assert_eq!((rig.used(1).len(), rig.metered(1).len()), (4, 5));
}
