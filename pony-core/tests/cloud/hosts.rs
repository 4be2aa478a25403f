//! Hosts: what they may say, and how they come and go.

use crate::database::{delete, insert, update};
use crate::rig::*;
use pony_core::controller::{ENROLMENTS_MAX, WRITE_RETRY_MS_MAX};
use pony_core::tables::{Bond, Disk, DiskStatus, Host, HostDisk, HostInstance, HostStatus, Nic};
use pony_state::Read;
use serde_json::json;
use std::collections::BTreeMap;
use uuid::Uuid;

#[test]
fn a_host_is_present_missing_and_back() {
    let mut rig = Rig::with_hosts(1);
    assert_eq!(rig.status(0), Some(HostStatus::Present));
    rig.run(10 * MINUTE_MS);
    assert_eq!(rig.status(0), Some(HostStatus::Present), "keep-alives are enough");
    rig.cut(0);
    rig.run(MINUTE_MS);
    assert_eq!(rig.status(0), Some(HostStatus::Missing));
    let mem =
        |rig: &Rig| rig.controller.snapshot().get::<Host>(&host(0)).unwrap().current.clone().unwrap().mem;
    assert_eq!(mem(&rig), Some(16_384), "what it said stays");
    rig.cut.clear();
    let part = json!({ "uuid": host(0), "status": "present", "mem": 8_192 });
    rig.peer(0).tell("host", json!(host(0)), part);
    rig.run(MINUTE_MS);
    assert_eq!((rig.status(0), mem(&rig)), (Some(HostStatus::Present), Some(8_192)));
    let texts: Vec<_> = rig.reports.iter().map(|it| it.text.as_str()).collect();
    assert!(texts.contains(&"is missing") && texts.contains(&"talks again"), "{texts:?}");
}

#[test]
fn whether_a_host_talks_is_not_its_own_to_say() {
    let mut rig = Rig::with_hosts(2);
    rig.order_instance(1);
    let on = if rig.placed_on(1) == Some(host(0)) { 0 } else { 1 };
    rig.peer(on).tell("host", json!(host(on)), json!({ "uuid": host(on), "status": "fenced" }));
    rig.pump();
    assert_eq!(rig.status(on), Some(HostStatus::Present));
    assert_eq!(rig.placed_on(1), Some(host(on)));
    rig.peer(on).untell("host", json!(host(on)));
    rig.pump();
    assert_eq!(rig.status(on), Some(HostStatus::Present));
}

#[test]
fn a_host_tells_of_its_own_rows_only() {
    let mut rig = Rig::with_hosts(2);
    rig.order_instance(1);
    let mac = |n: u8| format!("52:54:00:00:00:{n:02x}");
    let nic = |on: u128, n: u8| json!({ "hwaddr": mac(n), "host": host(on), "status": "ready" });
    rig.peer(0).tell("nic", json!(mac(1)), nic(0, 1));
    rig.pump();
    assert_eq!(rig.refusals(), Vec::<String>::new());
    let told = rig.controller.snapshot().version_of();
    let peer = rig.peer(1);
    peer.tell("host", json!(host(0)), json!({ "uuid": host(0), "status": "present" }));
    peer.tell("nic", json!(mac(1)), nic(1, 1));
    peer.tell("nic", json!(mac(2)), nic(0, 2));
    let part =
        json!({ "host": host(0), "instance": id(1), "status": "stopped", "released": true, "attempts": 0 });
    peer.tell("host_instance", json!([host(0), id(1)]), part);
    peer.tell("instance", json!(id(1)), json!({ "uuid": id(1), "status": "running", "attempts": 0 }));
    peer.tell("tenant", json!(id(0)), json!({ "uuid": id(0) }));
    peer.tell("nonsense", json!("x"), json!({ "y": 1 }));
    peer.tell("bond", json!(id(9)), json!({ "uuid": id(9), "status": "active" }));
    peer.tell("host_disk", json!([host(1), "d"]), json!({ "host": host(1), "disk": "d", "size": "large" }));
    rig.pump();
    let refusals = rig.refusals();
    assert_eq!(refusals.len(), 9, "{refusals:#?}");
    let why = |what: &str| refusals.iter().filter(|it| it.contains(what)).count();
    assert_eq!(why("does not belong to this host"), 5, "{refusals:#?}");
    assert_eq!(why("hosts do not write this table"), 3, "{refusals:#?}");
    assert_eq!(rig.controller.snapshot().version_of(), told, "nothing has changed");
    rig.peer(1).untell("nic", json!(mac(1)));
    rig.pump();
    let snapshot = rig.controller.snapshot();
    assert!(snapshot.get::<Nic>(&mac(1).parse().unwrap()).unwrap().current.is_some());
}

/// Counts commits that changed rows of hosts.
trait Told {
    fn version_of(&self) -> usize;
}

impl Told for pony_state::Snapshot {
    fn version_of(&self) -> usize {
        self.view()
            .tables()
            .map(|it| it.iter().filter(|row| row.has(pony_state::PartKind::Current)).count())
            .sum()
    }
}

#[test]
fn a_full_state_replaces_all_that_the_host_said() {
    let mut rig = Rig::with_hosts(1);
    let disk = |size: i64| json!({ "host": host(0), "disk": "d", "size": size });
    rig.peer(0).tell("host_disk", json!([host(0), "d"]), disk(5));
    rig.pump();
    assert!(rig.controller.snapshot().get::<HostDisk>(&(host(0), "d".into())).is_some());
    rig.connect(0);
    rig.run(1_000);
    assert!(rig.controller.snapshot().get::<HostDisk>(&(host(0), "d".into())).is_none());
}

/// What is told of a bond says whose it is only by where it was distributed. When the bond is deleted, or given
/// to another host, nobody could take that back.
#[test]
fn what_is_told_of_a_row_goes_when_the_row_goes_to_that_host_no_more() {
    let mut rig = Rig::with_hosts(2);
    rig.order(&[insert("bond", json!({ "uuid": id(9), "host": host(0) }))]);
    let part = json!({ "uuid": id(9), "status": "active", "bond_name": "bond0" });
    let told =
        |rig: &Rig| rig.controller.snapshot().get::<Bond>(&id(9)).is_some_and(|it| it.current.is_some());
    rig.peer(0).tell("bond", json!(id(9)), part.clone());
    rig.pump();
    assert!(told(&rig));
    rig.order(&[update("bond", id(9), json!({ "host": host(1) }))]);
    assert!(!told(&rig));
    rig.peer(1).tell("bond", json!(id(9)), part);
    rig.pump();
    rig.peer(0).untell("bond", json!(id(9)));
    rig.pump();
    assert!(told(&rig), "it is not host 0's to take back");
    rig.refusals();
    rig.order(&[delete("bond", id(9))]);
    rig.peer(1).untell("bond", json!(id(9)));
    rig.pump();
    assert!(rig.controller.snapshot().get::<Bond>(&id(9)).is_none());
    assert_eq!(rig.refusals(), Vec::<String>::new());
}

/// Several hosts may see one disk. None of them says how it does: that is put together from what each sees.
#[test]
fn what_hosts_see_of_a_disk_is_put_together() {
    let mut rig = Rig::with_hosts(2);
    let found = |rig: &Rig| {
        let snapshot = rig.controller.snapshot();
        snapshot.get::<Disk>(&"d".into()).and_then(|it| it.current.clone()).map(|it| (it.size, it.status))
    };
    let see = |rig: &mut Rig, n: u128, status: &str| {
        let part = json!({ "host": host(n), "disk": "d", "size": 5, "status": status });
        rig.peer(n).tell("host_disk", json!([host(n), "d"]), part);
        rig.pump();
    };
    let miss = |rig: &mut Rig, n: u128| {
        rig.peer(n).untell("host_disk", json!([host(n), "d"]));
        rig.pump();
    };
    see(&mut rig, 0, "ready");
    assert_eq!(found(&rig), Some((Some(5), DiskStatus::Ready)), "nobody has to order a disk");
    see(&mut rig, 1, "broken");
    assert_eq!(found(&rig), Some((Some(5), DiskStatus::Broken)));
    miss(&mut rig, 1);
    assert_eq!(found(&rig), Some((Some(5), DiskStatus::Ready)));
    rig.order(&[insert("disk", json!({ "id": "d", "type": "local", "host": host(0) }))]);
    miss(&mut rig, 0);
    assert_eq!(found(&rig), Some((None, DiskStatus::Missing)), "it is ordered, and nobody sees it");
    rig.peer(0).tell("disk", json!("d"), json!({ "id": "d", "status": "ready" }));
    rig.pump();
    assert_eq!(rig.refusals().len(), 1, "it is not a host's to say");
}

/// Two instances on different hosts need one switch; the third host has nothing to do with it.
#[test]
fn a_row_goes_to_the_two_hosts_that_need_it_and_to_no_other() {
    const SWITCH: u128 = 50;
    let mut rig = Rig::with_hosts(3);
    let switch = json!({ "uuid": id(SWITCH), "name": "old", "tenant": id(0), "type": "bridge" });
    rig.order(&[insert("switch", switch)]);
    for n in [1, 2] {
        rig.order_instance(n);
        let vnic = json!({ "uuid": id(SWITCH + n), "instance": id(n), "switch": id(SWITCH), "index": 0 });
        rig.order(&[insert("vnic", vnic)]);
    }
    rig.run(1_000);
    let place = |rig: &Rig, n| rig.placed_on(n).expect("there is room");
    let (one, two) = (place(&rig, 1), place(&rig, 2));
    assert_ne!(one, two, "they are spread");
    let names = |rig: &Rig| {
        let peers = rig
            .peers
            .iter()
            .filter_map(|(host, peer)| Some((*host, peer.order("switch", json!(id(SWITCH)))?)));
        peers.map(|(host, row)| (host, row["name"].as_str().unwrap().to_owned())).collect::<BTreeMap<_, _>>()
    };
    let both = |name: &str| BTreeMap::from([(one, name.to_owned()), (two, name.to_owned())]);
    assert_eq!(names(&rig), both("old"));
    rig.order(&[update("switch", id(SWITCH), json!({ "name": "new" }))]);
    assert_eq!(names(&rig), both("new"), "a change reaches either");
    rig.order(&[delete("vnic", id(SWITCH + 2))]);
    rig.run(1_000);
    assert_eq!(names(&rig), BTreeMap::from([(one, "new".to_owned())]), "who needs it no more is told so");
    rig.connect(0);
    rig.connect(1);
    rig.connect(2);
    rig.run(1_000);
    assert_eq!(names(&rig).len(), 1, "a full state holds no more than that");
}

#[test]
fn a_host_that_is_ordered_no_more_is_forgotten() {
    let mut rig = Rig::with_hosts(2);
    rig.order(&[insert("bond", json!({ "uuid": id(9), "host": host(0) }))]);
    rig.peer(0).tell("bond", json!(id(9)), json!({ "uuid": id(9), "status": "active" }));
    rig.peer(0).tell("host_disk", json!([host(0), "d"]), json!({ "host": host(0), "disk": "d" }));
    rig.tell_instance(0, 77, "running", false, 0);
    assert!(rig.controller.snapshot().get::<HostInstance>(&(host(0), id(77))).is_some());
    rig.order(&[delete("host", host(0))]);
    let snapshot = rig.controller.snapshot();
    assert!(snapshot.get::<Host>(&host(0)).is_none());
    assert!(snapshot.get::<Bond>(&id(9)).is_none());
    assert!(snapshot.get::<HostInstance>(&(host(0), id(77))).is_none());
    assert!(snapshot.get::<HostDisk>(&(host(0), "d".into())).is_none());
    let now = rig.now();
    assert!(!rig.controller.handle_frames(host(0), b"{}", b"1700000000", now));
    rig.run(MINUTE_MS);
    rig.order_instance(1);
    assert_eq!(rig.placed_on(1), Some(host(1)));
}

#[test]
fn a_host_with_a_placement_is_not_deleted() {
    let mut rig = Rig::with_hosts(1);
    rig.order_instance(1);
    rig.order(&[delete("instance", id(1))]);
    let refused = rig.try_order(&[delete("host", host(0))]).unwrap_err();
    assert!(refused.contains("still referenced"), "{refused}");
}

#[test]
fn a_link_that_comes_up_is_greeted() {
    let mut rig = Rig::with_hosts(1);
    rig.run(1_000);
    let now = rig.now();
    assert!(rig.controller.poll_transmit(now).is_none());
    rig.controller.handle_connected(host(0), now);
    assert_eq!(rig.controller.poll_transmit(now).map(|(to, _)| to), Some(host(0)));
    rig.controller.handle_connected(host(55), now);
    assert!(rig.controller.poll_transmit(now).is_none());
}

#[test]
fn a_host_is_enrolled_with_its_key_however_often_the_database_refuses() {
    let mut rig = Rig::with_hosts(0);
    rig.refuse = true;
    rig.controller.enroll(host(3), Some("key".to_owned()));
    rig.run(MINUTE_MS);
    assert!(rig.database.get("host", host(3)).is_none());
    rig.refuse = false;
    rig.run(WRITE_RETRY_MS_MAX);
    assert_eq!(rig.database.get("host", host(3)).unwrap()["key"], "key");
    rig.connect(3);
    assert_eq!(rig.status(3), Some(HostStatus::Present));
}

#[test]
fn an_ordered_host_without_a_key_is_given_the_one_that_it_shows() {
    let mut rig = Rig::with_hosts(1);
    rig.controller.enroll(host(0), Some("key".to_owned()));
    rig.pump();
    assert_eq!(rig.database.get("host", host(0)).unwrap()["key"], "key");
    rig.order(&[delete("host", host(0))]);
    rig.run(MINUTE_MS);
    assert!(rig.database.get("host", host(0)).is_none(), "it was enrolled once, and deleted since");
}

#[test]
fn unknown_hosts_cannot_fill_memory() {
    let mut rig = Rig::with_hosts(0);
    rig.hold = Some(Vec::new());
    for n in 0..2 * ENROLMENTS_MAX as u128 {
        rig.controller.enroll(Uuid::from_u128(n), None);
    }
    for _ in 0..100 {
        rig.pump();
        let Some((write, ops)) = rig.hold.as_mut().unwrap().pop() else { break };
        rig.end_write(write, &ops);
    }
    assert_eq!(rig.database.table("host").count(), ENROLMENTS_MAX);
}
