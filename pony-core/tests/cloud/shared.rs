//! Volumes of pools that several hosts reach: who may touch them, and when that changes.

use crate::database::{delete, insert, update};
use crate::rig::*;
use pony_core::tables::{DataStatus, Volume, VolumeCurrent};
use pony_state::Read;
use serde_json::{Value as Json, json};
use uuid::Uuid;

mod moves;

const POOL: u128 = 500;
const VOLUME: u128 = 1;

/// A row of `host_volume`.
#[derive(Debug, Clone, PartialEq)]
struct Grant {
    host: Uuid,
    hold: String,
    serial: i64,
}

impl Rig {
    /// Three hosts, and a pool that all of them reach.
    fn with_shared_pool(shareable: bool) -> Self {
        let mut rig = Self::with_hosts(3);
        let config = json!({ "server": "s", "export": "/e" });
        let row = json!({
            "uuid": id(POOL), "type": "nfs", "name": "p", "config": config, "shareable": shareable,
        });
        rig.order(&[insert("storage_pool", row)]);
        (0..3).for_each(|n| rig.tell_pool(n, "ready"));
        rig
    }

    fn tell_pool(&mut self, on: u128, status: &str) {
        let part = json!({ "host": host(on), "storage_pool": id(POOL), "status": status });
        self.peer(on).tell("host_storage_pool", json!([host(on), id(POOL)]), part);
        self.pump();
    }

    fn order_shared(&mut self, columns: Json) {
        let mut row = json!({ "uuid": id(VOLUME), "size": 10, "storage_pool": id(POOL) });
        row.as_object_mut().unwrap().extend(columns.as_object().unwrap().clone());
        self.order(&[insert("volume", row)]);
    }

    fn grants(&self) -> Vec<Grant> {
        let rows = self.database.table("host_volume");
        let grant = |row: &pony_state::Columns| Grant {
            host: row["host"].as_str().unwrap().parse().unwrap(),
            hold: row["hold"].as_str().unwrap().to_owned(),
            serial: row["serial"].as_i64().unwrap(),
        };
        rows.map(grant).collect()
    }

    /// The only grant: which host has it, and what it says.
    #[track_caller]
    fn grant(&self) -> (u128, String) {
        let grants = self.grants();
        assert_eq!(grants.len(), 1, "{grants:?}");
        (number(grants[0].host), grants[0].hold.clone())
    }

    /// A host's word about the volume.
    fn tell_shared(&mut self, on: u128, columns: Json) {
        let serial = self.grants().iter().find(|it| it.host == host(on)).map(|it| it.serial);
        let mut part = json!({ "host": host(on), "volume": id(VOLUME), "size": 10, "serial": serial });
        part.as_object_mut().unwrap().extend(columns.as_object().unwrap().clone());
        self.peer(on).tell("host_volume", json!([host(on), id(VOLUME)]), part);
        self.pump();
    }

    fn told(&mut self, n: u128) -> bool {
        self.peer(n).order("volume", json!(id(VOLUME))).is_some()
    }

    fn shared(&self) -> VolumeCurrent {
        self.controller.snapshot().get::<Volume>(&id(VOLUME)).unwrap().current.clone().unwrap()
    }

    fn error_of_shared(&self) -> String {
        self.shared().error.map(|it| it.to_string()).unwrap_or_default()
    }

    /// An instance that runs with the volume.
    fn order_user(&mut self, n: u128) {
        let disk = json!({ "uuid": id(100 + n), "instance": id(n), "volume": id(VOLUME), "index": 0 });
        self.order(&[instance(n, "running"), insert("vdisk", disk)]);
    }

    /// A volume that is whole, and looked after by the host that it gives.
    fn made(&mut self, columns: Json) -> u128 {
        self.order_shared(columns);
        let maker = self.grant().0;
        self.tell_shared(maker, json!({ "status": "ready" }));
        assert_eq!(self.grant(), (maker, "released".to_owned()));
        self.tell_shared(maker, json!({ "status": "ready", "released": true }));
        assert_eq!(self.grant(), (maker, "look".to_owned()));
        maker
    }
}

fn placed(rig: &Rig, n: u128) -> u128 {
    number(rig.placed_on(n).unwrap())
}

#[test]
fn all_hosts_know_the_pool_and_one_makes_the_volume() {
    let mut rig = Rig::with_shared_pool(false);
    rig.order_shared(json!({}));
    let (maker, hold) = rig.grant();
    assert_eq!(hold, "whole");
    for n in 0..3 {
        assert!(rig.peer(n).order("storage_pool", json!(id(POOL))).is_some());
        assert_eq!(rig.told(n), n == maker);
    }
    rig.tell_shared(maker, json!({ "status": "initializing", "progress": 0.5 }));
    assert_eq!(rig.shared().progress, Some(0.5));
    rig.tell_shared(maker, json!({ "status": "ready" }));
    assert_eq!(rig.shared().status, DataStatus::Ready);
}

#[test]
fn what_lies_there_is_looked_after_by_whichever_host_is_there() {
    let mut rig = Rig::with_shared_pool(false);
    let maker = rig.made(json!({}));
    rig.cut(maker);
    rig.run(MINUTE_MS);
    let (other, hold) = rig.grant();
    assert!(other != maker && hold == "look", "no fence is needed for that");
    rig.tell_shared(other, json!({ "status": "ready" }));
    rig.tell_pool(other, "broken");
    let (third, hold) = rig.grant();
    assert!(third != maker && third != other && hold == "look");
    rig.tell_shared(third, json!({ "status": "absent" }));
    assert_eq!(rig.grant(), (third, "look".to_owned()), "nothing is made in place of data that vanished");
}

#[test]
fn a_silent_host_keeps_what_it_was_making_until_it_is_fenced() {
    let mut rig = Rig::with_shared_pool(false);
    rig.order_shared(json!({}));
    let maker = rig.grant().0;
    rig.tell_shared(maker, json!({ "status": "initializing" }));
    rig.cut(maker);
    rig.run(MINUTE_MS);
    assert_eq!(rig.grant(), (maker, "whole".to_owned()));
    assert!(rig.error_of_shared().contains("is silent"), "{}", rig.error_of_shared());
    rig.confirm_fenced(maker);
    let (other, hold) = rig.grant();
    assert!(other != maker && hold == "whole");
}

#[test]
fn a_volume_goes_to_the_host_of_its_instance_once_the_other_let_go() {
    let mut rig = Rig::with_shared_pool(false);
    rig.order_shared(json!({}));
    let maker = rig.grant().0;
    // It is being made there when the instance is placed elsewhere.
    rig.tell_shared(maker, json!({ "status": "initializing" }));
    rig.order(&[update("host", host(maker), json!({ "state": "evacuated" }))]);
    rig.order_user(2);
    let user = placed(&rig, 2);
    assert_ne!(user, maker);
    assert_eq!(rig.grant(), (maker, "whole".to_owned()), "it is made to its end first");
    rig.tell_shared(maker, json!({ "status": "ready" }));
    assert_eq!(rig.grant(), (maker, "released".to_owned()));
    rig.run(MINUTE_MS);
    assert_eq!(rig.grant(), (maker, "released".to_owned()), "silence is no word");
    rig.tell_shared(maker, json!({ "status": "ready", "released": true, "serial": 0 }));
    assert_eq!(rig.grant(), (maker, "released".to_owned()), "nor is one about an earlier grant");
    rig.tell_shared(maker, json!({ "status": "ready", "released": true }));
    assert_eq!(rig.grant(), (user, "whole".to_owned()));
    assert!(rig.told(user));
}

#[test]
fn of_two_instances_one_has_it_where_it_is_not_shared() {
    let mut rig = Rig::with_shared_pool(false);
    rig.made(json!({ "format": "raw" }));
    rig.order_user(2);
    rig.order_user(3);
    let (first, second) = (placed(&rig, 2), placed(&rig, 3));
    assert_ne!(first, second);
    let (has, hold) = rig.grant();
    assert_eq!(hold, "whole");
    let (other, stopped) = if has == first { (second, 2) } else { (first, 3) };
    rig.order(&[update("instance", id(stopped), json!({ "state": "stopped" }))]);
    assert_eq!(rig.grant(), (has, "released".to_owned()));
    // The order changes back, and then again.
    rig.order(&[update("instance", id(if stopped == 2 { 3 } else { 2 }), json!({ "state": "stopped" }))]);
    rig.order(&[update("instance", id(stopped), json!({ "state": "running" }))]);
    assert_eq!(rig.grant(), (has, "whole".to_owned()), "its own host has it back at once");
    rig.order(&[update("instance", id(stopped), json!({ "state": "stopped" }))]);
    rig.order(&[update("instance", id(if stopped == 2 { 3 } else { 2 }), json!({ "state": "running" }))]);
    rig.tell_shared(has, json!({ "status": "ready", "released": true }));
    assert_eq!(rig.grant(), (other, "whole".to_owned()));
}

#[test]
fn several_instances_share_a_raw_volume_where_the_pool_lets_them() {
    let mut rig = Rig::with_shared_pool(true);
    let maker = rig.made(json!({ "format": "raw" }));
    rig.order_user(2);
    rig.order_user(3);
    let users = [placed(&rig, 2), placed(&rig, 3)];
    let of = |rig: &Rig, n: u128| rig.grants().into_iter().find(|it| it.host == host(n)).map(|it| it.hold);
    assert!(users.iter().all(|it| of(&rig, *it).as_deref() == Some("use")), "{:?}", rig.grants());
    assert!(users.contains(&maker) || of(&rig, maker).is_none());
    // One that is deleted waits for all of them.
    let ops = [
        update("volume", id(VOLUME), json!({ "state": "deleted" })),
        delete("vdisk", id(102)),
        delete("vdisk", id(103)),
    ];
    rig.order(&ops);
    assert!(rig.grants().iter().all(|it| it.hold != "whole"), "{:?}", rig.grants());
    let released = |it: &u128| of(&rig, *it).as_deref() == Some("released");
    let released: Vec<u128> = users.into_iter().filter(released).collect();
    for n in released {
        rig.tell_shared(n, json!({ "status": "ready", "released": true }));
    }
    let whole: Vec<Grant> = rig.grants().into_iter().filter(|it| it.hold == "whole").collect();
    assert_eq!(whole.len(), 1, "{:?}", rig.grants());
    rig.tell_shared(number(whole[0].host), json!({ "status": "absent", "deleted": true }));
    assert_eq!(rig.database.get("volume", id(VOLUME)), None);
    assert_eq!(rig.grants(), []);
}

#[test]
fn a_deleted_volume_goes_by_the_word_of_the_host_that_has_it_whatever_others_are_away() {
    let mut rig = Rig::with_shared_pool(false);
    let maker = rig.made(json!({}));
    let away = (maker + 1) % 3;
    rig.cut(away);
    rig.run(MINUTE_MS);
    rig.order(&[update("volume", id(VOLUME), json!({ "state": "deleted" }))]);
    assert_eq!(rig.grant(), (maker, "whole".to_owned()));
    let part =
        json!({ "host": host((maker + 2) % 3), "volume": id(VOLUME), "status": "absent", "deleted": true });
    let other = (maker + 2) % 3;
    rig.peer(other).tell("host_volume", json!([host(other), id(VOLUME)]), part);
    rig.pump();
    assert!(rig.database.get("volume", id(VOLUME)).is_some(), "another one has no say");
    rig.tell_shared(maker, json!({ "status": "absent", "deleted": true }));
    assert_eq!(rig.database.get("volume", id(VOLUME)), None);
    assert_eq!(rig.grants(), []);
}

#[test]
fn a_host_that_cannot_reach_the_pool_is_asked_for_nothing() {
    let mut rig = Rig::with_shared_pool(false);
    (0..3).for_each(|n| rig.tell_pool(n, "broken"));
    rig.order_shared(json!({}));
    assert_eq!(rig.grants(), []);
    assert!(rig.error_of_shared().contains("no host"), "{}", rig.error_of_shared());
    rig.tell_pool(1, "ready");
    assert_eq!(rig.grant(), (1, "whole".to_owned()));
}

#[test]
fn an_image_in_a_shared_pool_is_known_to_all_and_made_when_somebody_has_use_of_it() {
    let mut rig = Rig::with_shared_pool(false);
    let image = json!({ "uuid": id(7), "name": "i", "source_uri": "http://x/" });
    rig.order(&[insert("image", image)]);
    rig.order_shared(json!({ "image": id(7), "state": "optional", "size": Json::Null }));
    assert!((0..3).all(|n| rig.told(n)));
    let (watcher, hold) = rig.grant();
    assert_eq!(hold, "look");
    let row = json!({ "uuid": id(8), "size": 10, "storage_pool": id(POOL), "base_image": id(7) });
    rig.order(&[insert("volume", row)]);
    rig.tell_shared(watcher, json!({ "status": "absent" }));
    let grants: Vec<_> = rig.grants().into_iter().map(|it| it.hold).collect();
    assert_eq!(grants, ["whole", "whole"], "that of the copy, and that of the volume");
}

#[test]
fn a_sparkle_that_has_just_started_takes_nothing_for_lost() {
    let mut rig = Rig::with_shared_pool(false);
    let maker = rig.made(json!({}));
    rig.restart_sparkle();
    assert_eq!(rig.grant(), (maker, "look".to_owned()));
    rig.run(MINUTE_MS);
    assert_eq!(rig.grant(), (maker, "look".to_owned()));
    assert_eq!(rig.shared().status, DataStatus::Ready);
}
