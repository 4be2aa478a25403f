//! Images that lie in pools of other hosts only, and are read from there.

use crate::database::{delete, insert, update};
use crate::rig::*;
use pony_core::tables::Volume;
use pony_state::{Columns, Read};
use serde_json::{Value as Json, json};

const POOLS: u128 = 500;
const SHARED: u128 = 510;
const IMAGE: u128 = 520;
/// The copy of the image on the first host, and the volume on the second.
const COPY: u128 = 10;
const VOLUME: u128 = 20;

/// Hosts with a pool each, that exchange something; the first has a copy of an image.
fn cloud(hosts: u128) -> Rig {
    let mut rig = Rig::with_hosts(hosts);
    for n in 0..hosts {
        let config = json!({ "path": "/p" });
        let pool = json!({ "uuid": id(POOLS + n), "type": "dir", "name": format!("p{n}"), "host": host(n), "config": config });
        rig.order(&[insert("storage_pool", pool)]);
        tell_way(&mut rig, n, json!(format!("way {n}")));
    }
    rig.order(&[insert("image", json!({ "uuid": id(IMAGE), "name": "i" }))]);
    order(&mut rig, COPY, 0, json!({ "image": id(IMAGE) }));
    tell(&mut rig, 0, COPY, "ready");
    rig
}

/// A volume of the second host is to be filled from the image.
fn reading(hosts: u128) -> Rig {
    let mut rig = cloud(hosts);
    order(&mut rig, VOLUME, 1, json!({ "base_image": id(IMAGE) }));
    rig
}

fn tell_way(rig: &mut Rig, n: u128, way: Json) {
    let part =
        json!({ "uuid": host(n), "status": "present", "mem": 16_384, "hostname": "h", "migration": way });
    rig.peer(n).tell("host", json!(host(n)), part);
    rig.pump();
}

fn order(rig: &mut Rig, n: u128, on: u128, columns: Json) {
    let mut row = json!({ "uuid": id(n), "size": 10, "storage_pool": id(POOLS + on) });
    row.as_object_mut().unwrap().extend(columns.as_object().unwrap().clone());
    rig.order(&[insert("volume", row)]);
}

fn tell(rig: &mut Rig, on: u128, n: u128, status: &str) {
    let part = json!({ "host": host(on), "volume": id(n), "status": status });
    rig.peer(on).tell("host_volume", json!([host(on), id(n)]), part);
    rig.pump();
}

fn rows(rig: &Rig) -> Vec<Columns> {
    rig.database.table("host_image").cloned().collect()
}

/// Reader, copy, source, way and origin of the only row.
fn row(rig: &Rig) -> [Json; 5] {
    let [row] = &rows(rig)[..] else { panic!("{:?}", rows(rig)) };
    ["host", "volume", "source", "way", "origin"].map(|it| row[it].clone())
}

fn reads(reader: u128, copy: u128, source: u128) -> [Json; 5] {
    let way = |n: u128| json!(format!("way {n}"));
    [json!(host(reader)), json!(id(copy)), json!(host(source)), way(source), way(reader)]
}

fn error(rig: &Rig) -> String {
    let current = rig.controller.snapshot().get::<Volume>(&id(VOLUME)).and_then(|it| it.current.clone());
    current.and_then(|it| it.error).map(|it| it.to_string()).unwrap_or_default()
}

#[test]
fn a_host_without_a_copy_reads_one_of_another_host_until_it_has_what_it_needs() {
    let mut rig = reading(3);
    assert_eq!(row(&rig), reads(1, COPY, 0));
    let key = json!([host(1), id(IMAGE)]);
    let told = [0, 1, 2].map(|n| rig.peer(n).order("host_image", key.clone()).is_some());
    assert_eq!(told, [true, true, false], "nobody else is told");
    tell(&mut rig, 1, VOLUME, "initializing");
    assert_eq!(row(&rig), reads(1, COPY, 0));
    tell(&mut rig, 1, VOLUME, "ready");
    assert_eq!((rows(&rig), rig.peer(0).order("host_image", key)), (vec![], None));
    assert_eq!(rig.database.get("volume", id(VOLUME)).unwrap()["base_image"], Json::Null);
}

#[test]
fn nothing_is_read_elsewhere_that_is_nearer() {
    let mut rig = cloud(2);
    let copy = json!({ "uuid": id(30), "storage_pool": id(POOLS + 1), "image": id(IMAGE) });
    let downloads = update("image", id(IMAGE), json!({ "source_uri": "http://x/y" }));
    rig.order(&[downloads, insert("volume", copy)]);
    assert_eq!(rows(&rig), [], "it downloads it");
    rig.order(&[update("image", id(IMAGE), json!({ "source_uri": null }))]);
    assert_eq!(row(&rig), reads(1, COPY, 0));
    tell(&mut rig, 1, 30, "ready");
    assert_eq!(rows(&rig), []);
    order(&mut rig, VOLUME, 1, json!({ "base_image": id(IMAGE) }));
    assert_eq!(rows(&rig), [], "there is a copy in its pool");
}

#[test]
fn a_copy_in_a_pool_that_the_host_reaches_is_nearer() {
    let mut rig = cloud(2);
    let config = json!({ "server": "s", "export": "/e" });
    rig.order(&[insert(
        "storage_pool",
        json!({ "uuid": id(SHARED), "type": "nfs", "name": "s", "config": config }),
    )]);
    for n in [0, 1] {
        let part = json!({ "host": host(n), "storage_pool": id(SHARED), "status": "ready" });
        rig.peer(n).tell("host_storage_pool", json!([host(n), id(SHARED)]), part);
        rig.pump();
    }
    order(&mut rig, 30, 0, json!({ "image": id(IMAGE), "storage_pool": id(SHARED) }));
    tell(&mut rig, 0, 30, "ready");
    order(&mut rig, VOLUME, 1, json!({ "base_image": id(IMAGE) }));
    assert_eq!(rows(&rig), []);
}

#[test]
fn an_optional_copy_is_read_once_somebody_has_use_of_it() {
    let mut rig = cloud(2);
    order(&mut rig, 30, 1, json!({ "image": id(IMAGE), "state": "optional" }));
    assert_eq!(rows(&rig), []);
    rig.order(&[
        instance(1, "stopped"),
        insert("vdisk", json!({ "uuid": id(31), "instance": id(1), "image": id(IMAGE), "index": 0 })),
    ]);
    assert_eq!(row(&rig), reads(1, COPY, 0));
    rig.order(&[delete("vdisk", id(31))]);
    assert_eq!(rows(&rig), []);
}

#[test]
fn the_right_to_read_ends_with_the_volume_the_copy_and_the_image() {
    let deleted = |it| update("volume", it, json!({ "state": "deleted" }));
    for ops in [
        vec![deleted(id(VOLUME))],
        vec![deleted(id(COPY))],
        vec![delete("volume", id(VOLUME))],
        vec![update("volume", id(COPY), json!({ "image": null }))],
    ] {
        let mut rig = reading(2);
        assert_eq!(rows(&rig).len(), 1);
        rig.order(&ops);
        assert_eq!(rows(&rig), [], "{ops:?}");
    }
}

#[test]
fn who_starts_anew_is_told_anew() {
    let mut rig = reading(2);
    tell_way(&mut rig, 0, json!("another"));
    assert_eq!((row(&rig)[3].clone(), row(&rig)[4].clone()), (json!("another"), json!("way 1")));
    tell_way(&mut rig, 1, json!("its own"));
    assert_eq!((row(&rig)[3].clone(), row(&rig)[4].clone()), (json!("another"), json!("its own")));
    rig.restart_sparkle();
    rig.run(MINUTE_MS);
    assert_eq!(rows(&rig).len(), 1);
}

#[test]
fn a_source_that_is_silent_is_waited_for_or_made_up_for_by_another() {
    let mut rig = reading(3);
    rig.cut(0);
    rig.run(60 * MINUTE_MS);
    assert_eq!(row(&rig), reads(1, COPY, 0));
    assert!(error(&rig).contains("h0 only, which is silent"), "{}", error(&rig));
    order(&mut rig, 30, 2, json!({ "image": id(IMAGE) }));
    tell(&mut rig, 2, 30, "ready");
    assert_eq!(
        (row(&rig), &*error(&rig)),
        (reads(1, 30, 2), "no host with its storage pool has reported it yet")
    );
}

#[test]
fn a_silent_source_that_is_back_is_heard_of() {
    let mut rig = cloud(2);
    rig.cut(0);
    rig.run(60 * MINUTE_MS);
    order(&mut rig, VOLUME, 1, json!({ "base_image": id(IMAGE) }));
    assert_eq!(rows(&rig), []);
    assert!(error(&rig).contains("h0 only, which is silent"), "{}", error(&rig));
    rig.connect(0);
    tell(&mut rig, 0, COPY, "ready");
    assert!(error(&rig).contains("h0 only, which exchanges nothing with others"), "{}", error(&rig));
    tell_way(&mut rig, 0, json!("way 0"));
    assert_eq!(row(&rig), reads(1, COPY, 0));
}

#[test]
fn a_reader_that_exchanges_nothing_is_told_so() {
    let mut rig = reading(2);
    tell_way(&mut rig, 1, Json::Null);
    assert!(error(&rig).contains("host h1 exchanges nothing with them"), "{}", error(&rig));
}

/// Where no host of the pool has the copy, one of them reads it.
#[test]
fn a_volume_in_a_pool_of_several_hosts_is_made_by_one_that_can_read_its_image() {
    let mut rig = cloud(2);
    let config = json!({ "server": "s", "export": "/e" });
    rig.order(&[insert(
        "storage_pool",
        json!({ "uuid": id(SHARED), "type": "nfs", "name": "s", "config": config }),
    )]);
    let part = json!({ "host": host(1), "storage_pool": id(SHARED), "status": "ready" });
    rig.peer(1).tell("host_storage_pool", json!([host(1), id(SHARED)]), part);
    rig.pump();
    order(&mut rig, VOLUME, 1, json!({ "base_image": id(IMAGE), "storage_pool": id(SHARED) }));
    let holds: Vec<_> =
        rig.database.table("host_volume").map(|it| (it["host"].clone(), it["hold"].clone())).collect();
    assert_eq!(holds, [(json!(host(1)), json!("whole"))]);
    assert_eq!(row(&rig), reads(1, COPY, 0));
}
