//! Volumes that only one host reaches, and that go along with an instance which moves.

use crate::database::{delete, insert, update};
use crate::rig::*;
use pony_core::tables::Instance;
use pony_state::Read;
use serde_json::{Value as Json, json};

const POOLS: [u128; 2] = [500, 501];
const VOLUME: u128 = 10;
const VDISK: u128 = 11;

/// Two hosts with a pool each, that exchange guests, and an instance that runs on the first with a volume.
fn running() -> Rig {
    let mut rig = Rig::with_hosts(2);
    for n in [0, 1] {
        let config = json!({ "path": "/p" });
        let pool = json!({ "uuid": id(POOLS[n as usize]), "type": "dir", "name": format!("p{n}"), "host": host(n), "config": config });
        rig.order(&[insert("storage_pool", pool)]);
        let part = json!({ "uuid": host(n), "status": "present", "mem": 16_384, "hostname": "h", "migration": format!("way {n}") });
        rig.peer(n).tell("host", json!(host(n)), part);
        tell_pool(&mut rig, n, 100);
    }
    rig.order(&[
        insert("volume", json!({ "uuid": id(VOLUME), "size": 10, "storage_pool": id(POOLS[0]) })),
        instance(1, "running"),
        insert("vdisk", json!({ "uuid": id(VDISK), "instance": id(1), "volume": id(VOLUME), "index": 0 })),
    ]);
    assert_eq!(rig.placed_on(1), Some(host(0)));
    tell_volume(&mut rig, 0, json!({ "status": "ready", "size": 10 }));
    say(&mut rig, 0, "running", json!({}));
    rig
}

fn tell_pool(rig: &mut Rig, n: u128, capacity: i64) {
    let pool = id(POOLS[n as usize]);
    let part = json!({ "host": host(n), "storage_pool": pool, "status": "ready", "capacity": capacity, "allocated": 0 });
    rig.peer(n).tell("host_storage_pool", json!([host(n), pool]), part);
    rig.pump();
}

/// A host's word about the volume, and the present grant.
fn tell_volume(rig: &mut Rig, n: u128, columns: Json) {
    let serial =
        copies(rig).into_iter().find(|it| it["host"] == json!(host(n))).map(|it| it["serial"].clone());
    let mut part = json!({ "host": host(n), "volume": id(VOLUME), "serial": serial });
    part.as_object_mut().unwrap().extend(columns.as_object().unwrap().clone());
    rig.peer(n).tell("host_volume", json!([host(n), id(VOLUME)]), part);
    rig.pump();
}

/// A host's word about the present placement.
fn say(rig: &mut Rig, n: u128, status: &str, columns: Json) {
    let serial = rig.placement(1).unwrap().2;
    let mut part =
        json!({ "host": host(n), "instance": id(1), "status": status, "serial": serial, "attempts": 0 });
    part.as_object_mut().unwrap().extend(columns.as_object().unwrap().clone());
    rig.peer(n).tell("host_instance", json!([host(n), id(1)]), part);
    rig.pump();
}

fn copies(rig: &Rig) -> Vec<Json> {
    rig.database.table("host_volume").map(|it| json!(it)).collect()
}

/// Host, hold and pool of the only copy.
fn copy(rig: &Rig) -> [Json; 3] {
    let [copy] = &copies(rig)[..] else { panic!("{:?}", copies(rig)) };
    ["host", "hold", "storage_pool"].map(|it| copy[it].clone())
}

fn is_copy(n: u128, hold: &str) -> [Json; 3] {
    [json!(host(n)), json!(hold), json!(id(POOLS[n as usize]))]
}

fn column(rig: &Rig, name: &str) -> Json {
    rig.database.table("host_instance").next().unwrap()[name].clone()
}

fn lies_in(rig: &Rig) -> Json {
    rig.database.get("volume", id(VOLUME)).unwrap()["storage_pool"].clone()
}

fn evacuate(rig: &mut Rig, n: u128, state: &str) {
    rig.order(&[update("host", host(n), json!({ "state": state }))]);
}

/// It is being sent.
fn sending() -> Rig {
    let mut rig = running();
    evacuate(&mut rig, 0, "evacuated");
    assert_eq!((column(&rig, "target"), copy(&rig)), (json!(host(1)), is_copy(1, "incoming")));
    assert!(rig.peer(1).order("volume", json!(id(VOLUME))).is_some(), "it has to make the copy");
    tell_volume(&mut rig, 1, json!({ "status": "ready", "size": 10 }));
    say(&mut rig, 1, "migrating", json!({}));
    assert_eq!(column(&rig, "way"), "way 1");
    say(&mut rig, 0, "migrating", json!({}));
    assert_eq!(lies_in(&rig), json!(id(POOLS[0])));
    rig
}

#[test]
fn a_copy_is_the_volume_once_its_instance_was_sent_and_what_was_copied_is_removed() {
    let mut rig = sending();
    say(&mut rig, 1, "paused", json!({}));
    assert_eq!(lies_in(&rig), json!(id(POOLS[0])), "what the target says is no word of the source");
    say(&mut rig, 0, "migrating", json!({ "released": true, "sent": true }));
    assert_eq!((rig.placed_on(1), lies_in(&rig)), (Some(host(1)), json!(id(POOLS[1]))));
    assert_eq!(copy(&rig), is_copy(0, "released"));
    tell_volume(&mut rig, 0, json!({ "status": "ready", "size": 10 }));
    assert_eq!(copy(&rig), is_copy(0, "released"), "it has to say that it did it");
    tell_volume(&mut rig, 0, json!({ "status": "absent", "deleted": true }));
    assert_eq!((copies(&rig), rig.peer(0).order("volume", json!(id(VOLUME)))), (vec![], None));
    assert!(rig.peer(1).order("volume", json!(id(VOLUME))).is_some());
}

/// Its volume is told of as its own host has it, where nothing is wrong: nobody said what was.
#[test]
fn a_copy_that_cannot_be_made_is_told_with_its_reason() {
    let mut rig = running();
    evacuate(&mut rig, 0, "evacuated");
    say(&mut rig, 1, "starting", json!({ "error": "waiting for its volume" }));
    let told = |rig: &Rig| {
        let current = rig.controller.snapshot().get::<Instance>(&id(1)).and_then(|it| it.current.clone());
        current.and_then(|it| it.error).map(|it| it.to_string()).unwrap_or_default()
    };
    assert_eq!(told(&rig), "host h1 cannot have it yet: waiting for its volume");
    tell_volume(&mut rig, 1, json!({ "status": "initializing", "error": "the disk is full" }));
    let why = format!(
        "host h1 cannot have it yet: waiting for its volume; volume {} there: the disk is full",
        id(VOLUME)
    );
    assert_eq!(told(&rig), why);
    tell_volume(&mut rig, 1, json!({ "status": "initializing" }));
    assert_eq!(told(&rig), "host h1 cannot have it yet: waiting for its volume");
}

#[test]
fn a_guest_that_went_off_on_its_way_has_its_volume_where_it_was() {
    let mut rig = sending();
    say(&mut rig, 0, "migrating", json!({ "released": true, "sent": false }));
    assert_eq!((rig.placed_on(1), lies_in(&rig)), (Some(host(0)), json!(id(POOLS[0]))));
    assert_eq!((column(&rig, "target"), copy(&rig)), (Json::Null, is_copy(1, "released")));
    say(&mut rig, 0, "running", json!({}));
    assert_eq!((column(&rig, "target"), column(&rig, "released")), (Json::Null, json!(false)), "not yet");
    tell_volume(&mut rig, 1, json!({ "status": "absent", "deleted": true }));
    assert_eq!((column(&rig, "target"), copy(&rig)), (json!(host(1)), is_copy(1, "incoming")), "and again");
}

#[test]
fn a_move_that_is_cancelled_leaves_no_copy() {
    let mut rig = sending();
    evacuate(&mut rig, 0, "present");
    assert_eq!((column(&rig, "cancelled"), copy(&rig)), (json!(true), is_copy(1, "incoming")));
    say(&mut rig, 0, "running", json!({}));
    assert_eq!((column(&rig, "target"), copy(&rig)), (Json::Null, is_copy(1, "released")));
    tell_volume(&mut rig, 1, json!({ "status": "absent", "deleted": true }));
    assert_eq!((copies(&rig), lies_in(&rig)), (vec![], json!(id(POOLS[0]))));
}

/// Where its last word is that it was sending it, nobody knows whether the copy is whole.
#[test]
fn a_source_that_died_has_the_volume() {
    let mut rig = sending();
    say(&mut rig, 1, "paused", json!({}));
    rig.cut(0);
    rig.run(60 * MINUTE_MS);
    rig.confirm_fenced(0);
    assert_eq!((rig.placed_on(1), lies_in(&rig)), (Some(host(0)), json!(id(POOLS[0]))));
    assert!(rig.error(1).contains("it is there that they are whole"), "{}", rig.error(1));
}

#[test]
fn a_target_that_died_gets_nothing() {
    let mut rig = sending();
    rig.cut(1);
    rig.run(60 * MINUTE_MS);
    rig.confirm_fenced(1);
    say(&mut rig, 0, "migrating", json!({ "released": true, "sent": true }));
    assert_eq!((rig.placed_on(1), lies_in(&rig)), (Some(host(0)), json!(id(POOLS[0]))));
}

#[test]
fn a_disk_that_comes_meanwhile_begins_the_move_anew() {
    let mut rig = sending();
    rig.order(&[
        insert("volume", json!({ "uuid": id(20), "size": 10, "storage_pool": id(POOLS[0]) })),
        insert("vdisk", json!({ "uuid": id(21), "instance": id(1), "volume": id(20), "index": 1 })),
    ]);
    assert_eq!(column(&rig, "cancelled"), true);
}

#[test]
fn what_cannot_be_copied_is_said() {
    let says = |change: &dyn Fn(&mut Rig), what: &str| {
        let mut rig = running();
        change(&mut rig);
        evacuate(&mut rig, 0, "evacuated");
        assert_eq!((column(&rig, "target"), column(&rig, "released")), (Json::Null, json!(false)), "{what}");
        assert!(rig.error(1).contains(what), "{}", rig.error(1));
    };
    let full = |rig: &mut Rig| tell_pool(rig, 1, 9);
    says(&full, "does not reach all pools");
    let grows = |rig: &mut Rig| rig.order(&[update("volume", id(VOLUME), json!({ "size": 20 }))]);
    says(&grows, "does not reach all pools");
    let other = |rig: &mut Rig| {
        rig.order(&[
            instance(2, "stopped"),
            insert("vdisk", json!({ "uuid": id(12), "instance": id(2), "volume": id(VOLUME), "index": 0 })),
        ]);
    };
    says(&other, "does not reach all pools");
    let starts = |rig: &mut Rig| say(rig, 0, "starting", json!({}));
    says(&starts, "copied while it runs");
}

#[test]
fn it_moves_once_its_volume_has_its_size() {
    let mut rig = running();
    rig.order(&[update("volume", id(VOLUME), json!({ "size": 20 }))]);
    evacuate(&mut rig, 0, "evacuated");
    assert_eq!(column(&rig, "target"), Json::Null);
    tell_volume(&mut rig, 0, json!({ "status": "ready", "size": 20 }));
    assert_eq!(column(&rig, "target"), json!(host(1)));
}

#[test]
fn a_pool_that_goes_takes_the_copy_and_ends_the_move() {
    let mut rig = sending();
    rig.order(&[delete("storage_pool", id(POOLS[1]))]);
    assert_eq!((copies(&rig), column(&rig, "cancelled")), (vec![], json!(true)));
}
