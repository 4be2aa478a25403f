//! Where the cards of vxlan switches are: hosts are told of the ports of their own switches, and of no others.

use crate::database::{delete, insert, update};
use crate::rig::*;
use serde_json::{Value as Json, json};

const SWITCH: u128 = 500;
const OTHER_SWITCH: u128 = 501;
const NETWORK: u128 = 510;

fn vnic(n: u128, instance: u128, switch: u128) -> pony_state::RowOp {
    let macaddr = format!("52:54:00:00:00:{n:02x}");
    let row = json!({"uuid": id(n), "instance": id(instance), "switch": id(switch), "macaddr": macaddr, "index": n});
    insert("vnic", row)
}

/// Hosts with addresses, two switches, and an instance on each of two hosts.
fn rig() -> Rig {
    let mut rig = Rig::with_hosts(3);
    for (n, uuid) in [(0_u32, SWITCH), (1, OTHER_SWITCH)] {
        let switch = json!({"uuid": id(uuid), "name": format!("s{n}"), "tenant": id(0), "type": "vxlan", "tag": 7 + n});
        rig.order(&[insert("switch", switch)]);
    }
    rig.order(&[insert(
        "network",
        json!({"uuid": id(NETWORK), "switch": id(SWITCH), "range": "10.0.0.0/24"}),
    )]);
    for n in 0..3 {
        address(&mut rig, n, &format!("192.0.2.{n}"));
    }
    rig
}

fn address(rig: &mut Rig, n: u128, address: &str) {
    let part =
        json!({"uuid": host(n), "status": "present", "mem": 16_384, "hostname": "h", "address": address});
    rig.peer(n).tell("host", json!(host(n)), part);
    rig.pump();
}

/// Two instances, kept apart.
fn two(rig: &mut Rig) -> (usize, usize) {
    let group = json!({"uuid": id(600), "tenant": id(0), "name": "g", "type": "anti-affinity"});
    rig.order(&[insert("affinity_group", group)]);
    for n in [1, 2] {
        rig.order(&[
            instance(n, "running"),
            insert(
                "affinity_group_instance",
                json!({"uuid": id(600 + n), "affinity_group": id(600), "instance": id(n)}),
            ),
        ]);
    }
    let place = |rig: &Rig, n| {
        let on = rig.placed_on(n).unwrap();
        (0..3).position(|at| host(at) == on).unwrap()
    };
    let places = (place(rig, 1), place(rig, 2));
    assert_ne!(places.0, places.1);
    places
}

fn port(rig: &Rig, n: u128) -> Option<(Json, Json, Json)> {
    let row = rig.database.get("switch_port", id(n))?;
    Some((row["host"].clone(), row["address"].clone(), row["ips"].clone()))
}

fn told(rig: &mut Rig, on: usize, n: u128) -> bool {
    rig.peer(on as u128).order("switch_port", json!(id(n))).is_some()
}

#[test]
fn a_host_is_told_of_the_ports_of_its_own_switches_only() {
    let mut rig = rig();
    let (one, two) = two(&mut rig);
    let third = 3 - one - two;
    rig.order(&[vnic(11, 1, SWITCH), vnic(12, 2, SWITCH), vnic(13, 2, OTHER_SWITCH)]);
    let at = |n: usize| (json!(host(n as u128)), json!(format!("192.0.2.{n}")), json!([]));
    assert_eq!(
        (port(&rig, 11), port(&rig, 12), port(&rig, 13)),
        (Some(at(one)), Some(at(two)), Some(at(two)))
    );
    assert!(told(&mut rig, one, 11) && told(&mut rig, one, 12) && !told(&mut rig, one, 13));
    assert!(told(&mut rig, two, 11) && told(&mut rig, two, 12) && told(&mut rig, two, 13));
    assert!(!told(&mut rig, third, 11) && !told(&mut rig, third, 12) && !told(&mut rig, third, 13));
    // What is as it should be is not written again, by another Sparkle either.
    let held = port(&rig, 11);
    rig.restart_sparkle();
    assert_eq!(port(&rig, 11), held);
}

#[test]
fn a_port_follows_what_it_is_made_of() {
    let mut rig = rig();
    let (one, _) = two(&mut rig);
    rig.order(&[vnic(11, 1, SWITCH)]);
    let ip = |n: u128, ip: &str| {
        insert("address", json!({"uuid": id(n), "network": id(NETWORK), "vnic": id(11), "ip": ip}))
    };
    rig.order(&[ip(20, "10.0.0.9"), ip(21, "10.0.0.3")]);
    assert_eq!(port(&rig, 11).unwrap().2, json!(["10.0.0.3", "10.0.0.9"]));
    rig.order(&[delete("address", id(21))]);
    assert_eq!(port(&rig, 11).unwrap().2, json!(["10.0.0.9"]));
    // Nobody is answered for under a tag.
    rig.order(&[update("network", id(NETWORK), json!({"vlan_tag": 5}))]);
    assert_eq!(port(&rig, 11).unwrap().2, json!([]));
    rig.order(&[update("network", id(NETWORK), json!({"vlan_tag": null}))]);
    assert_eq!(port(&rig, 11).unwrap().2, json!(["10.0.0.9"]));
    // The host gets another address; and then one of its own for overlays, which comes first.
    address(&mut rig, one as u128, "192.0.2.77");
    assert_eq!(port(&rig, 11).unwrap().1, json!("192.0.2.77"));
    let role = json!({"uuid": id(701), "bond": id(700), "role": "virtual", "address": "198.51.100.1/24"});
    rig.order(&[
        insert("bond", json!({"uuid": id(700), "host": host(one as u128)})),
        insert("net_role", role),
    ]);
    assert_eq!(port(&rig, 11).unwrap().1, json!("198.51.100.1"));
    rig.order(&[update("net_role", id(701), json!({"role": "storage"}))]);
    assert_eq!(port(&rig, 11).unwrap().1, json!("192.0.2.77"));
    // It goes with the instance's placement, and with the card.
    let host = host(one as u128);
    rig.order(&[update("host", host, json!({"state": "evacuated"}))]);
    assert_eq!(port(&rig, 11), None, "the host was told to let go of it");
    rig.let_go(one as u128, 1);
    assert!(port(&rig, 11).is_some_and(|it| it.0 != json!(host)), "it is elsewhere now");
    rig.order(&[delete("vnic", id(11))]);
    assert_eq!(port(&rig, 11), None);
}
