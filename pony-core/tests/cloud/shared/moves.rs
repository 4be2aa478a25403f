//! Volumes that go along with an instance that moves while it runs: who may write, and when.

use super::*;
use crate::database::pin;

const GUEST: u128 = 2;

/// All hosts say by which ways guests come to them.
fn exchange_guests(rig: &mut Rig) {
    for n in 0..3 {
        let way = format!("way {n}");
        let part =
            json!({ "uuid": host(n), "status": "present", "mem": 16_384, "hostname": "h", "migration": way });
        rig.peer(n).tell("host", json!(host(n)), part);
    }
    rig.pump();
}

/// An instance that runs with the volume, where it is, and where it is to go; that one is not ready for it yet.
fn moving() -> (Rig, u128, u128) {
    let mut rig = Rig::with_shared_pool(false);
    rig.made(json!({}));
    exchange_guests(&mut rig);
    rig.order_user(GUEST);
    let from = placed(&rig, GUEST);
    if rig.grant() != (from, "whole".to_owned()) {
        let (looks, _) = rig.grant();
        rig.tell_shared(looks, json!({ "status": "ready", "released": true }));
    }
    assert_eq!(rig.grant(), (from, "whole".to_owned()));
    rig.tell_shared(from, json!({ "status": "ready" }));
    say(&mut rig, from, "running", false);
    let to = (from + 1) % 3;
    rig.order(&[pin(id(GUEST), host(to))]);
    assert_eq!(holds(&rig), [(from, "whole".to_owned()), (to, "incoming".to_owned())]);
    (rig, from, to)
}

/// The same, and the target is ready.
fn parting() -> (Rig, u128, u128) {
    let (mut rig, from, to) = moving();
    say(&mut rig, to, "migrating", false);
    assert_eq!(holds(&rig), [(from, "released".to_owned()), (to, "incoming".to_owned())]);
    assert_eq!(column(&rig, "way"), json!(format!("way {to}")), "the way comes after that");
    (rig, from, to)
}

/// All grants, that of the source first.
fn holds(rig: &Rig) -> Vec<(u128, String)> {
    let mut holds: Vec<_> = rig.grants().into_iter().map(|it| (number(it.host), it.hold)).collect();
    let source: Uuid = column(rig, "host").as_str().unwrap().parse().unwrap();
    holds.sort_by_key(|(host, _)| *host != number(source));
    holds
}

fn column(rig: &Rig, name: &str) -> Json {
    rig.database.table("host_instance").next().unwrap()[name].clone()
}

/// A host's word about the present placement.
fn say(rig: &mut Rig, on: u128, status: &str, released: bool) {
    let serial = rig.placement(GUEST).unwrap().2;
    rig.tell_instance(on, GUEST, status, released, serial);
}

fn let_volume_go(rig: &mut Rig, on: u128) {
    rig.tell_shared(on, json!({ "status": "ready", "released": true }));
}

#[test]
fn the_source_is_told_to_let_go_before_it_is_told_the_way() {
    let (mut rig, from, to) = moving();
    say(&mut rig, to, "starting", false);
    rig.run(MINUTE_MS);
    assert_eq!(holds(&rig), [(from, "whole".to_owned()), (to, "incoming".to_owned())]);
    assert_eq!(column(&rig, "way"), Json::Null);
    parting();
}

#[test]
fn placement_and_volumes_are_the_targets_when_the_source_let_go_of_both() {
    for volume_first in [false, true] {
        let (mut rig, from, to) = parting();
        let other = (to, "incoming".to_owned());
        if volume_first {
            let_volume_go(&mut rig, from);
            assert_eq!(holds(&rig), [(to, "whole".to_owned())], "nobody else can write any more");
            assert_eq!(rig.placed_on(GUEST), Some(host(from)));
            say(&mut rig, from, "migrating", true);
        } else {
            say(&mut rig, from, "migrating", true);
            assert_eq!(rig.placed_on(GUEST), Some(host(to)));
            assert!(
                holds(&rig).contains(&other),
                "it stands still until it has its volume: {:?}",
                holds(&rig)
            );
            let_volume_go(&mut rig, from);
        }
        assert_eq!((rig.placed_on(GUEST), rig.grant()), (Some(host(to)), (to, "whole".to_owned())));
        assert_eq!(column(&rig, "target"), Json::Null);
    }
}

#[test]
fn one_transaction_does_both_where_both_are_said_at_once() {
    let (mut rig, from, to) = parting();
    let serial = rig.placement(GUEST).unwrap().2;
    let grant = rig.grants().into_iter().find(|it| it.host == host(from)).unwrap().serial;
    let instance = json!({
        "host": host(from), "instance": id(GUEST), "status": "migrating", "released": true, "serial": serial,
        "attempts": 0,
    });
    let volume = json!({
        "host": host(from), "volume": id(VOLUME), "status": "ready", "released": true, "serial": grant,
    });
    rig.peer(from).tell("host_instance", json!([host(from), id(GUEST)]), instance);
    rig.peer(from).tell("host_volume", json!([host(from), id(VOLUME)]), volume);
    rig.hold = Some(Vec::new());
    rig.pump();
    let (write, ops) = rig.hold.take().unwrap().remove(0);
    rig.end_write(write, &ops);
    assert_eq!((rig.placed_on(GUEST), rig.grant()), (Some(host(to)), (to, "whole".to_owned())));
}

#[test]
fn a_move_that_is_called_off_leaves_the_volume_where_it_was() {
    let (mut rig, from, to) = parting();
    rig.order(&[delete("pin", id(GUEST)), pin(id(GUEST), host(from))]);
    assert_eq!(column(&rig, "cancelled"), json!(true));
    assert_eq!(holds(&rig)[0], (from, "whole".to_owned()), "it has not let go of it");
    say(&mut rig, from, "running", false);
    assert_eq!((rig.placed_on(GUEST), rig.grant()), (Some(host(from)), (from, "whole".to_owned())));
    assert!(rig.peer(to).order("host_volume", json!([host(to), id(VOLUME)])).is_none());
}

#[test]
fn a_source_that_died_keeps_its_volumes_until_it_is_fenced() {
    let (mut rig, from, to) = parting();
    rig.cut(from);
    rig.run(60 * MINUTE_MS);
    assert_eq!(holds(&rig), [(from, "released".to_owned()), (to, "incoming".to_owned())]);
    assert!(rig.error_of_shared().contains("is silent"), "{}", rig.error_of_shared());
    rig.confirm_fenced(from);
    assert_eq!((rig.placed_on(GUEST), rig.grant()), (Some(host(to)), (to, "whole".to_owned())));
}

#[test]
fn a_target_that_died_gets_nothing() {
    let (mut rig, from, to) = parting();
    rig.cut(to);
    rig.run(60 * MINUTE_MS);
    assert_eq!(column(&rig, "cancelled"), json!(true));
    say(&mut rig, from, "running", false);
    assert_eq!((rig.placed_on(GUEST), rig.grant()), (Some(host(from)), (from, "whole".to_owned())));
}

#[test]
fn a_sparkle_that_starts_anew_takes_nothing_back() {
    let (mut rig, from, to) = parting();
    rig.restart_sparkle();
    rig.run(MINUTE_MS);
    assert_eq!(holds(&rig), [(from, "released".to_owned()), (to, "incoming".to_owned())]);
    assert_eq!(column(&rig, "way"), json!(format!("way {to}")));
}

#[test]
fn a_volume_that_instances_share_is_used_by_both_hosts() {
    let mut rig = Rig::with_shared_pool(true);
    rig.made(json!({ "format": "raw" }));
    rig.order_user(GUEST);
    let from = placed(&rig, GUEST);
    exchange_guests(&mut rig);
    say(&mut rig, from, "running", false);
    let to = (from + 1) % 3;
    rig.order(&[pin(id(GUEST), host(to))]);
    assert!(holds(&rig).contains(&(from, "use".to_owned())) && holds(&rig).contains(&(to, "use".to_owned())));
    say(&mut rig, to, "migrating", false);
    assert_eq!(column(&rig, "way"), json!(format!("way {to}")));
}

#[test]
fn an_instance_with_a_volume_of_its_host_alone_says_why_it_stays() {
    let (mut rig, from, to) = moving();
    rig.order(&[delete("pin", id(GUEST))]);
    say(&mut rig, from, "running", false);
    let pool = json!({ "uuid": id(501), "type": "dir", "name": "own", "host": host(from), "config": { "path": "/p" } });
    let volume = json!({ "uuid": id(9), "size": 10, "storage_pool": id(501) });
    let disk = json!({ "uuid": id(109), "instance": id(GUEST), "volume": id(9), "index": 1 });
    rig.order(&[insert("storage_pool", pool), insert("volume", volume), insert("vdisk", disk)]);
    rig.order(&[pin(id(GUEST), host(to))]);
    assert_eq!(column(&rig, "target"), Json::Null);
}
