//! Where instances are ordered to run, and when they are ordered elsewhere.

use crate::database::{delete, insert, update};
use crate::rig::*;
use pony_core::tables::{HostStatus, InstanceStatus};
use pony_state::RowOp;
use serde_json::json;

#[test]
fn an_instance_is_placed_durably_and_its_host_is_told() {
    let mut rig = Rig::with_hosts(2);
    rig.order_instance(1);
    let (on, released, serial) = rig.placement(1).unwrap();
    assert!(!released && serial > 0);
    let told = rig.peers[&on].order("instance", json!(id(1))).unwrap();
    assert_eq!(told["state"], "running");
    let told = rig.peers[&on].order("host_instance", json!([on, id(1)])).unwrap();
    assert_eq!(told["serial"], serial);
    let other = if on == host(0) { host(1) } else { host(0) };
    assert_eq!(rig.peers[&other].order("instance", json!(id(1))), None);
}

#[test]
fn nothing_is_told_before_the_placement_is_committed() {
    let mut rig = Rig::with_hosts(1);
    rig.hold = Some(Vec::new());
    rig.order_instance(1);
    rig.run(MINUTE_MS);
    assert_eq!(rig.peer(0).order("instance", json!(id(1))), None);
    let held = rig.hold.take().unwrap();
    assert_eq!(held.len(), 1);
    held.iter().for_each(|(write, ops)| rig.end_write(*write, ops));
    rig.pump();
    assert!(rig.peer(0).order("instance", json!(id(1))).is_some());
}

#[test]
fn a_deleted_instance_keeps_its_placement_until_the_host_says_that_it_let_go_of_this_one() {
    let mut rig = Rig::with_hosts(1);
    rig.order_instance(1);
    let serial = rig.placement(1).unwrap().2;
    rig.tell_instance(0, 1, "running", false, serial);
    rig.order(&[delete("instance", id(1))]);
    assert_eq!(rig.placement(1), Some((host(0), true, serial)));
    assert_eq!(rig.peer(0).order("host_instance", json!([host(0), id(1)])).unwrap()["released"], true);
    rig.tell_instance(0, 1, "stopped", false, serial);
    rig.tell_instance(0, 1, "stopped", true, serial - 1);
    rig.peer(0).untell("host_instance", json!([host(0), id(1)]));
    rig.run(MINUTE_MS);
    assert!(rig.placement(1).is_some(), "neither an old word, nor absence, nor silence is a word");
    rig.let_go(0, 1);
    assert_eq!(rig.placement(1), None);
    assert_eq!(rig.peer(0).order("host_instance", json!([host(0), id(1)])), None);
    assert_eq!(rig.instance(1), None);
}

#[test]
fn a_word_about_an_earlier_placement_on_the_same_host_does_not_count() {
    let mut rig = Rig::with_hosts(1);
    rig.order_instance(1);
    rig.order(&[update("host", host(0), json!({ "state": "evacuated" }))]);
    rig.order(&[update("instance", id(1), json!({ "state": "stopped" }))]);
    let first = rig.placement(1).unwrap().2;
    rig.let_go(0, 1);
    assert_eq!(rig.placement(1), None);
    rig.order(&[update("host", host(0), json!({ "state": "present" }))]);
    rig.order(&[update("instance", id(1), json!({ "state": "running" }))]);
    let second = rig.placement(1).unwrap().2;
    assert_ne!(first, second);
    rig.order(&[delete("instance", id(1))]);
    rig.run(MINUTE_MS);
    assert_eq!(
        rig.placement(1),
        Some((host(0), true, second)),
        "the host still says that it let go of the first"
    );
    rig.let_go(0, 1);
    assert_eq!(rig.placement(1), None);
}

#[test]
fn serial_numbers_differ_across_sparkles() {
    let mut rig = Rig::with_hosts(1);
    rig.order_instance(1);
    let first = rig.placement(1).unwrap().2;
    rig.restart_sparkle();
    rig.run(MINUTE_MS);
    rig.order_instance(2);
    assert!(rig.placement(2).unwrap().2 > first + 1_000_000);
}

#[test]
fn evacuation_moves_an_instance_once_the_host_let_go() {
    let mut rig = Rig::with_hosts(2);
    rig.order_instance(1);
    let from = if rig.placed_on(1) == Some(host(0)) { 0 } else { 1 };
    rig.order(&[update("host", host(from), json!({ "state": "evacuated" }))]);
    assert_eq!(rig.placement(1).map(|(on, released, _)| (on, released)), Some((host(from), true)));
    rig.run(MINUTE_MS);
    assert_eq!(rig.placed_on(1), Some(host(from)));
    rig.let_go(from, 1);
    assert_eq!(rig.placement(1).map(|(on, released, _)| (on, released)), Some((host(1 - from), false)));
}

#[test]
fn an_instance_stays_on_an_evacuated_host_as_long_as_there_is_no_other() {
    let mut rig = Rig::with_hosts(1);
    rig.order_instance(1);
    rig.order(&[update("host", host(0), json!({ "state": "evacuated" }))]);
    assert_eq!(rig.placement(1).map(|(_, released, _)| released), Some(false));
    assert!(rig.error(1).contains("to be evacuated, but no host fits"), "{}", rig.error(1));
    rig.order(&[insert("host", json!({ "uuid": host(1) }))]);
    rig.connect(1);
    assert_eq!(rig.placement(1).map(|(_, released, _)| released), Some(true));
}

#[test]
fn a_silent_host_keeps_its_instances_until_it_is_confirmed_to_be_off() {
    let mut rig = Rig::with_hosts(2);
    rig.order_instance(1);
    let on = if rig.placed_on(1) == Some(host(0)) { 0 } else { 1 };
    let serial = rig.placement(1).unwrap().2;
    rig.tell_instance(on, 1, "running", false, serial);
    rig.cut(on);
    rig.run(MINUTE_MS);
    assert_eq!(rig.status(on), Some(HostStatus::Missing));
    rig.run(60 * MINUTE_MS);
    assert_eq!(rig.placed_on(1), Some(host(on)));
    let shown = rig.instance(1).unwrap();
    assert_eq!((shown.status, shown.host), (InstanceStatus::Running, Some(host(on))));
    assert!(rig.error(1).contains("is silent"), "{}", rig.error(1));
    rig.confirm_fenced(on);
    assert_eq!(rig.status(on), Some(HostStatus::Fenced));
    assert_eq!(rig.placed_on(1), Some(host(1 - on)));
    rig.connect(on);
    rig.run(MINUTE_MS);
    assert_eq!(rig.status(on), Some(HostStatus::Present));
    assert!(!rig.is_confirmed(on));
    assert_eq!(rig.database.get("host", host(on)).unwrap()["fencing"], json!({ "agent": "x" }));
    assert_eq!(rig.peer(on).order("instance", json!(id(1))), None);
    assert_eq!(rig.placed_on(1), Some(host(1 - on)));
}

#[test]
fn a_host_that_is_being_let_go_of_by_a_silent_host_says_so_and_moves_once_it_is_fenced() {
    let mut rig = Rig::with_hosts(2);
    rig.order_instance(1);
    let on = if rig.placed_on(1) == Some(host(0)) { 0 } else { 1 };
    rig.order(&[update("host", host(on), json!({ "state": "evacuated" }))]);
    rig.cut(on);
    rig.run(MINUTE_MS);
    assert!(rig.error(1).contains("is silent"), "{}", rig.error(1));
    rig.confirm_fenced(on);
    assert_eq!(rig.placed_on(1), Some(host(1 - on)));
}

/// The word of an operator is taken back by any sign of life, even if it came first: what follows from it must
/// not happen at some later silence of a host that runs what it was ordered since.
#[test]
fn a_host_that_talks_is_not_fenced_whatever_an_operator_says() {
    let mut rig = Rig::with_hosts(2);
    rig.order_instance(1);
    let on = if rig.placed_on(1) == Some(host(0)) { 0 } else { 1 };
    rig.confirm_fenced(on);
    assert!(rig.is_confirmed(on), "it has not talked since");
    rig.run(MINUTE_MS);
    assert!(!rig.is_confirmed(on));
    rig.cut(on);
    rig.run(MINUTE_MS);
    assert_eq!(rig.status(on), Some(HostStatus::Missing));
    assert_eq!(rig.placed_on(1), Some(host(on)));
}

#[test]
fn a_host_that_rose_is_told_nothing_before_its_fencing_is_taken_back_durably() {
    let mut rig = Rig::with_hosts(1);
    rig.order_instance(1);
    rig.cut(0);
    rig.run(MINUTE_MS);
    rig.refuse = true;
    rig.confirm_fenced(0);
    assert!(rig.placed_on(1).is_some(), "the database refuses to forget it");
    rig.connect(0);
    rig.run(10_000);
    assert_eq!((rig.peer(0).messages, rig.is_confirmed(0)), (0, true));
    rig.cut(0);
    rig.run(MINUTE_MS);
    assert_eq!(rig.status(0), Some(HostStatus::Missing), "that silence was not what was confirmed");
    rig.connect(0);
    rig.refuse = false;
    rig.run(MINUTE_MS);
    assert!(!rig.is_confirmed(0));
    assert!(rig.peer(0).order("instance", json!(id(1))).is_some());
}

#[test]
fn what_was_confirmed_holds_for_the_next_sparkle_too() {
    let mut rig = Rig::with_hosts(2);
    rig.order_instance(1);
    let on = if rig.placed_on(1) == Some(host(0)) { 0 } else { 1 };
    rig.cut(on);
    rig.confirm_fenced(on);
    rig.restart_sparkle();
    rig.run(30_000);
    assert_eq!(rig.placed_on(1), Some(host(on)), "it may be about to talk");
    rig.run(MINUTE_MS);
    assert_eq!(rig.placed_on(1), Some(host(1 - on)));
}

#[test]
fn an_instance_that_is_deleted_while_it_is_being_placed_is_let_go_of() {
    let mut rig = Rig::with_hosts(1);
    rig.hold = Some(Vec::new());
    rig.order_instance(1);
    rig.order(&[delete("instance", id(1))]);
    let held = rig.hold.take().unwrap();
    assert_eq!(held.len(), 1);
    held.iter().for_each(|(write, ops)| rig.end_write(*write, ops));
    rig.pump();
    assert_eq!(rig.placement(1).map(|(_, released, _)| released), Some(true));
    rig.let_go(0, 1);
    assert_eq!(rig.placement(1), None);
}

#[test]
fn a_placement_on_a_host_that_never_connects_waits_for_it_or_for_its_end() {
    let mut rig = Rig::with_hosts(1);
    rig.order(&[insert("host", json!({ "uuid": host(7), "name": "never" }))]);
    let row = json!({ "host": host(7), "instance": id(1), "released": false, "serial": 1 });
    rig.order(&[insert("host_instance", row), instance(1, "running")]);
    assert!(rig.error(1).contains("never has not been heard of yet"), "{}", rig.error(1));
    rig.run(MINUTE_MS);
    assert!(rig.error(1).contains("never is silent"), "{}", rig.error(1));
    rig.confirm_fenced(7);
    assert_eq!(rig.placed_on(1), Some(host(0)));
}

#[test]
fn an_instance_without_a_host_says_why_and_is_placed_when_one_comes() {
    let mut rig = Rig::with_hosts(0);
    rig.order_instance(1);
    rig.order_instance(2);
    assert_eq!(rig.error(1), "no host fits: there is none yet");
    rig.order(&[delete("instance", id(2))]);
    rig.order(&[insert("host", json!({ "uuid": host(0) }))]);
    rig.connect(0);
    assert_eq!((rig.placed_on(1), rig.placed_on(2)), (Some(host(0)), None));
    assert_eq!(rig.error(1), "its host has not answered yet");
}

#[test]
fn what_is_on_its_way_to_the_database_counts() {
    let mut rig = Rig::with_hosts(3);
    rig.hold = Some(Vec::new());
    (1..=40).for_each(|n| rig.order_instance(n));
    while let Some((write, ops)) = rig.hold.as_mut().unwrap().pop() {
        rig.end_write(write, &ops);
        rig.pump();
    }
    for n in 0..3 {
        let placed = (1..=40).filter(|it| rig.placed_on(*it) == Some(host(n))).count();
        assert!((13..=14).contains(&placed), "{placed} instances of 1 GiB on host {n}");
    }
}

#[test]
fn no_host_is_filled_beyond_its_memory() {
    let mut rig = Rig::with_hosts(1);
    rig.hold = Some(Vec::new());
    (1..=20).for_each(|n| rig.order_instance(n));
    let held = rig.hold.take().unwrap();
    held.iter().for_each(|(write, ops)| rig.end_write(*write, ops));
    rig.pump();
    assert_eq!((1..=20).filter(|n| rig.placed_on(*n).is_some()).count(), 15);
    assert!(rig.error(20).contains("too little free memory"), "{}", rig.error(20));
    rig.order(&[delete("instance", id(1))]);
    rig.let_go(0, 1);
    assert_eq!((2..=20).filter(|n| rig.placed_on(*n).is_some()).count(), 15);
}

fn group(n: u128, kind: &str, members: &[u128]) -> Vec<RowOp> {
    let row = json!({ "uuid": id(n), "tenant": id(0), "name": format!("g{n}"), "type": kind });
    let member = |it: &u128| {
        let row = json!({ "uuid": id(n * 100 + it), "affinity_group": id(n), "instance": id(*it) });
        insert("affinity_group_instance", row)
    };
    std::iter::once(insert("affinity_group", row)).chain(members.iter().map(member)).collect()
}

#[test]
fn members_of_an_anti_affinity_group_are_kept_apart_also_when_ordered_at_once() {
    let mut rig = Rig::with_hosts(2);
    let mut ops: Vec<RowOp> = (1..=3).map(|n| instance(n, "running")).collect();
    ops.extend(group(50, "anti-affinity", &[1, 2, 3]));
    rig.order(&ops);
    let placed: Vec<_> = (1..=3).filter_map(|n| rig.placed_on(n)).collect();
    assert_eq!(placed.len(), 2);
    assert_ne!(placed[0], placed[1]);
    let left = (1..=3).find(|n| rig.placed_on(*n).is_none()).unwrap();
    assert!(rig.error(left).contains("anti-affinity"), "{}", rig.error(left));
    rig.order(&[delete("affinity_group", id(50))]);
    assert!(rig.placed_on(left).is_some());
}

#[test]
fn an_affinity_group_moves_off_a_host_one_by_one_and_stays_together() {
    let mut rig = Rig::with_hosts(3);
    let mut ops: Vec<RowOp> = (1..=3).map(|n| instance(n, "running")).collect();
    ops.extend(group(50, "affinity", &[1, 2, 3]));
    rig.order(&ops);
    let on = (0..3).find(|n| rig.placed_on(1) == Some(host(*n))).unwrap();
    assert!((1..=3).all(|n| rig.placed_on(n) == Some(host(on))));
    rig.order(&[update("host", host(on), json!({ "state": "evacuated" }))]);
    (1..=3).for_each(|n| rig.let_go(on, n));
    let to = rig.placed_on(1).unwrap();
    assert!(to != host(on) && (2..=3).all(|n| rig.placed_on(n) == Some(to)));
}

#[test]
fn a_refused_write_is_tried_again_and_holds_up_no_other() {
    let mut rig = Rig::with_hosts(2);
    rig.refuse = true;
    (1..=3).for_each(|n| rig.order_instance(n));
    rig.run(MINUTE_MS);
    assert!((1..=3).all(|n| rig.placed_on(n).is_none()));
    rig.refuse = false;
    rig.run(pony_core::controller::WRITE_RETRY_MS_MAX);
    assert!((1..=3).all(|n| rig.placed_on(n).is_some()));
}

#[test]
fn a_write_that_was_reported_lost_and_is_there_all_the_same_is_gone_on_from() {
    let mut rig = Rig::with_hosts(2);
    rig.hold = Some(Vec::new());
    rig.order_instance(1);
    let (write, ops) = rig.hold.take().unwrap().remove(0);
    let changes = rig.database.commit(&ops).unwrap();
    let now = rig.now();
    rig.controller.handle_written(write, Err("the database did not answer".to_owned()), now);
    rig.run(MINUTE_MS);
    let placed = rig.placement(1);
    assert!(placed.is_some());
    rig.apply(&changes);
    rig.run(MINUTE_MS);
    assert_eq!(rig.placement(1), placed);
    let on = placed.unwrap().0;
    assert!(rig.peers[&on].order("instance", json!(id(1))).is_some());
}

#[test]
fn a_gap_in_the_feed_is_made_up_for_by_a_full_load() {
    let mut rig = Rig::with_hosts(1);
    rig.order_instance(1);
    rig.database.commit(&[delete("instance", id(1)), instance(2, "running")]).unwrap();
    let now = rig.now();
    let all = rig.database.all();
    rig.controller.load(&all, now).unwrap();
    rig.pump();
    assert_eq!(rig.placement(1).map(|(_, released, _)| released), Some(true));
    assert_eq!(rig.placed_on(2), Some(host(0)));
    let before = rig.controller.snapshot().version_of_state();
    rig.controller.load(&rig.database.all(), now).unwrap();
    assert_eq!(rig.controller.snapshot().version_of_state(), before, "the same rows cause no change");
}

/// The version of a snapshot, to see whether anything changed.
trait Version {
    fn version_of_state(&self) -> u64;
}

impl Version for pony_state::Snapshot {
    fn version_of_state(&self) -> u64 {
        pony_state::Read::view(self).version()
    }
}
