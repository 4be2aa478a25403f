//! How the controller moves instances that run, seen from the two hosts.

use crate::database::{delete, pin, update};
use crate::rig::*;
use pony_core::tables::InstanceStatus;
use serde_json::{Value as Json, json};

/// A cloud of two hosts that send guests to each other, with an instance that runs; and which of them has it.
fn running() -> (Rig, u128) {
    let mut rig = Rig::with_hosts(2);
    [0, 1].into_iter().for_each(|n| say_way(&mut rig, n, &format!("way {n}")));
    rig.order_instance(1);
    let from = u128::from(rig.placed_on(1) == Some(host(1)));
    say(&mut rig, from, "running", false);
    (rig, from)
}

fn say_way(rig: &mut Rig, n: u128, way: &str) {
    let part =
        json!({ "uuid": host(n), "status": "present", "mem": 16_384, "hostname": "h", "migration": way });
    rig.peer(n).tell("host", json!(host(n)), part);
    rig.pump();
}

/// A host's word about the present placement.
fn say(rig: &mut Rig, on: u128, status: &str, released: bool) {
    let serial = rig.placement(1).unwrap().2;
    rig.tell_instance(on, 1, status, released, serial);
}

fn column(rig: &Rig, name: &str) -> Json {
    rig.database.table("host_instance").next().unwrap()[name].clone()
}

fn evacuate(rig: &mut Rig, n: u128, state: &str) {
    rig.order(&[update("host", host(n), json!({ "state": state }))]);
}

/// What the host is told of the placement.
fn told(rig: &mut Rig, n: u128, from: u128) -> Option<Json> {
    rig.peer(n).order("host_instance", json!([host(from), id(1)])).map(|it| json!(it))
}

#[test]
fn an_instance_that_runs_is_handed_over_when_its_host_let_go() {
    let (mut rig, from) = running();
    let to = 1 - from;
    evacuate(&mut rig, from, "evacuated");
    assert_eq!(
        (column(&rig, "target"), column(&rig, "origin")),
        (json!(host(to)), json!(format!("way {from}")))
    );
    assert_eq!(told(&mut rig, to, from).unwrap()["origin"], format!("way {from}"), "it has to let it in");
    assert!(rig.peer(to).order("instance", json!(id(1))).is_some());
    assert_eq!(told(&mut rig, from, from).unwrap()["way"], Json::Null, "nobody lets it in yet");
    say(&mut rig, from, "running", false);
    say(&mut rig, to, "starting", false);
    assert_eq!(column(&rig, "way"), Json::Null);
    say(&mut rig, to, "migrating", false);
    assert_eq!(told(&mut rig, from, from).unwrap()["way"], format!("way {to}"));
    say(&mut rig, from, "migrating", false);
    assert_eq!(rig.instance(1).unwrap().status, InstanceStatus::Migrating);
    say(&mut rig, to, "paused", false);
    assert_eq!(rig.placed_on(1), Some(host(from)), "what the target says is no word of the source");
    let before = rig.placement(1).unwrap().2;
    say(&mut rig, from, "migrating", true);
    let (on, released, serial) = rig.placement(1).unwrap();
    assert!(on == host(to) && !released && serial > before);
    assert_eq!((column(&rig, "target"), column(&rig, "way")), (Json::Null, Json::Null));
    assert_eq!(told(&mut rig, from, from), None);
}

#[test]
fn a_move_that_is_not_wanted_any_more_ends_once_the_source_says_that_the_guest_stays() {
    let (mut rig, from) = running();
    evacuate(&mut rig, from, "evacuated");
    let first = rig.placement(1).unwrap().2;
    evacuate(&mut rig, from, "present");
    assert_eq!(column(&rig, "cancelled"), true);
    rig.tell_instance(from, 1, "running", false, first);
    assert_eq!(column(&rig, "target"), json!(host(1 - from)), "that was said before it knew");
    say(&mut rig, from, "migrating", false);
    assert_eq!(column(&rig, "target"), json!(host(1 - from)), "it may still go");
    say(&mut rig, from, "running", false);
    assert_eq!((column(&rig, "target"), column(&rig, "cancelled")), (Json::Null, json!(false)));
    assert_eq!((rig.placed_on(1), told(&mut rig, 1 - from, from)), (Some(host(from)), None));
}

#[test]
fn a_move_that_was_too_far_to_be_cancelled_is_handed_over() {
    let (mut rig, from) = running();
    evacuate(&mut rig, from, "evacuated");
    evacuate(&mut rig, from, "present");
    say(&mut rig, from, "migrating", true);
    assert_eq!(rig.placed_on(1), Some(host(1 - from)));
}

#[test]
fn a_deleted_instance_is_held_until_both_hosts_let_go() {
    let (mut rig, from) = running();
    evacuate(&mut rig, from, "evacuated");
    rig.order(&[delete("instance", id(1))]);
    assert_eq!(column(&rig, "released"), true);
    say(&mut rig, from, "stopped", true);
    assert!(rig.placement(1).is_some(), "it may be on the other one");
    say(&mut rig, 1 - from, "stopped", true);
    assert_eq!(rig.placement(1), None);
}

#[test]
fn what_was_on_its_way_from_a_host_that_died_is_the_targets() {
    let (mut rig, from) = running();
    evacuate(&mut rig, from, "evacuated");
    rig.cut(from);
    rig.run(60 * MINUTE_MS);
    assert_eq!(rig.placed_on(1), Some(host(from)));
    assert!(rig.error(1).contains("is silent"), "{}", rig.error(1));
    rig.confirm_fenced(from);
    assert_eq!(rig.placed_on(1), Some(host(1 - from)));
}

#[test]
fn a_new_way_of_either_host_is_told_before_it_is_used() {
    let (mut rig, from) = running();
    let to = 1 - from;
    evacuate(&mut rig, from, "evacuated");
    say(&mut rig, to, "migrating", false);
    assert_eq!(column(&rig, "way"), format!("way {to}"));
    say_way(&mut rig, to, "another");
    // It is ready all the same, by its own word.
    assert_eq!(column(&rig, "way"), "another");
    say_way(&mut rig, from, "elsewhere");
    assert_eq!(column(&rig, "origin"), "elsewhere");
}

#[test]
fn a_guest_that_seems_to_be_on_both_hosts_stays_where_it_was() {
    let (mut rig, from) = running();
    let to = 1 - from;
    evacuate(&mut rig, from, "evacuated");
    say(&mut rig, to, "migrating", false);
    say(&mut rig, to, "paused", false);
    assert_eq!(column(&rig, "cancelled"), false);
    let part = json!({
        "host": host(from), "instance": id(1), "status": "running", "released": false,
        "serial": rig.placement(1).unwrap().2, "attempts": 1, "error": "the connection was lost",
    });
    rig.peer(from).tell("host_instance", json!([host(from), id(1)]), part);
    rig.pump();
    assert_eq!(column(&rig, "cancelled"), true);
}

/// Its host was about to try again, and forgot that it failed once, when the other host's Twilight was started anew.
#[test]
fn a_guest_that_is_on_both_hosts_stays_where_it_was_also_where_there_is_no_way_any_more() {
    let (mut rig, from) = running();
    let to = 1 - from;
    evacuate(&mut rig, from, "evacuated");
    say(&mut rig, to, "migrating", false);
    say(&mut rig, to, "paused", false);
    say(&mut rig, from, "running", false);
    assert_eq!(column(&rig, "cancelled"), false);
    say_way(&mut rig, to, "another");
    assert_eq!((column(&rig, "way"), column(&rig, "cancelled")), (Json::Null, json!(true)));
}

#[test]
fn a_pinned_instance_goes_where_it_is_wished_and_stays_where_that_cannot_be() {
    let (mut rig, from) = running();
    let to = 1 - from;
    evacuate(&mut rig, to, "evacuated");
    rig.order(&[pin(id(1), host(to))]);
    assert_eq!(column(&rig, "target"), Json::Null);
    assert!(rig.error(1).contains("it is to be on host"), "{}", rig.error(1));
    evacuate(&mut rig, to, "present");
    assert_eq!(column(&rig, "target"), json!(host(to)));
    rig.order(&[delete("pin", id(1)), pin(id(1), host(from))]);
    assert_eq!(column(&rig, "cancelled"), true);
    say(&mut rig, from, "running", false);
    assert_eq!((column(&rig, "target"), rig.placed_on(1)), (Json::Null, Some(host(from))));
}

#[test]
fn a_guest_is_not_stopped_for_a_wish_where_it_cannot_move_while_it_runs() {
    let (mut rig, from) = running();
    let part = json!({ "uuid": host(1 - from), "status": "present", "mem": 16_384, "hostname": "h" });
    rig.peer(1 - from).tell("host", json!(host(1 - from)), part);
    rig.pump();
    rig.order(&[pin(id(1), host(1 - from))]);
    assert_eq!((column(&rig, "target"), column(&rig, "released")), (Json::Null, json!(false)));
    assert!(rig.error(1).contains("stop it, and start it again"), "{}", rig.error(1));
    evacuate(&mut rig, from, "evacuated");
    assert_eq!(column(&rig, "released"), true, "but it is where its host has to be empty");
}
