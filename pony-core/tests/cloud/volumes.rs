//! The life of volumes and images, as far as the controller writes it.

use crate::database::{delete, insert, update};
use crate::rig::*;
use pony_core::tables::{DataStatus, Volume, VolumeCurrent};
use pony_state::Read;
use serde_json::{Value as Json, json};

const POOL: u128 = 500;
const IMAGE: u128 = 501;

impl Rig {
    fn with_pool() -> Self {
        let mut rig = Self::with_hosts(2);
        let pool = json!({ "uuid": id(POOL), "type": "dir", "name": "p", "host": host(0), "config": { "path": "/p" } });
        rig.order(&[insert("storage_pool", pool)]);
        rig
    }

    fn order_volume(&mut self, n: u128, columns: Json) {
        let mut row = json!({ "uuid": id(n), "size": 10, "storage_pool": id(POOL) });
        row.as_object_mut().unwrap().extend(columns.as_object().unwrap().clone());
        self.order(&[insert("volume", row)]);
    }

    fn tell_volume(&mut self, on: u128, n: u128, status: &str, deleted: bool) {
        let part = json!({ "host": host(on), "volume": id(n), "status": status, "deleted": deleted });
        self.peer(on).tell("host_volume", json!([host(on), id(n)]), part);
        self.pump();
    }

    fn volume(&self, n: u128) -> Option<VolumeCurrent> {
        self.controller.snapshot().get::<Volume>(&id(n))?.current.clone()
    }

    fn column(&self, table: &str, n: u128, column: &str) -> Json {
        self.database.get(table, id(n)).unwrap()[column].clone()
    }
}

#[test]
fn a_filled_volume_becomes_independent_of_what_it_was_filled_from() {
    let mut rig = Rig::with_pool();
    rig.order(&[insert("image", json!({ "uuid": id(IMAGE), "name": "i" }))]);
    rig.order_volume(1, json!({ "base_image": id(IMAGE) }));
    rig.order_volume(2, json!({ "base_volume": id(1) }));
    assert!(rig.peer(0).order("image", json!(id(IMAGE))).is_some());
    assert_eq!(
        rig.volume(1).unwrap().error.as_deref(),
        Some("no host with its storage pool has reported it yet")
    );
    for status in ["absent", "initializing", "broken"] {
        rig.tell_volume(0, 1, status, false);
        assert_eq!(rig.column("volume", 1, "base_image"), json!(id(IMAGE)), "{status}");
    }
    rig.tell_volume(0, 1, "ready", false);
    rig.tell_volume(0, 2, "ready", false);
    assert_eq!(rig.column("volume", 1, "base_image"), Json::Null);
    assert_eq!(rig.column("volume", 2, "base_volume"), Json::Null);
    assert_eq!(rig.volume(1).unwrap().status, DataStatus::Ready);
    assert_eq!(rig.peer(0).order("image", json!(id(IMAGE))), None);
}

#[test]
fn an_image_forgets_its_source_once_all_its_volumes_are_filled() {
    let mut rig = Rig::with_pool();
    rig.order(&[insert("image", json!({ "uuid": id(IMAGE), "name": "i", "source_uri": "http://x/" }))]);
    rig.run(1_000);
    assert_eq!(rig.column("image", IMAGE, "source_uri"), "http://x/", "nothing backs it yet");
    (1..=3).for_each(|n| rig.order_volume(n, json!({ "image": id(IMAGE) })));
    rig.tell_volume(0, 1, "ready", false);
    rig.tell_volume(0, 2, "initializing", false);
    rig.order(&[update("volume", id(3), json!({ "state": "deleted" }))]);
    assert_eq!(rig.column("image", IMAGE, "source_uri"), "http://x/");
    rig.tell_volume(0, 2, "ready", false);
    assert_eq!(rig.column("image", IMAGE, "source_uri"), Json::Null);
    assert_eq!(rig.column("volume", 1, "image"), json!(id(IMAGE)));
}

#[test]
fn a_deleted_volume_goes_once_its_host_says_that_it_deleted_it() {
    let mut rig = Rig::with_pool();
    rig.order_volume(1, json!({ "state": "optional" }));
    rig.tell_volume(0, 1, "absent", false);
    rig.order(&[update("volume", id(1), json!({ "state": "deleted" }))]);
    rig.run(MINUTE_MS);
    assert!(
        rig.database.get("volume", id(1)).is_some(),
        "that it is absent was said before it was ordered deleted"
    );
    rig.tell_volume(1, 1, "absent", true);
    assert!(rig.database.get("volume", id(1)).is_some(), "host 1 has no say");
    rig.tell_volume(0, 1, "absent", true);
    assert!(rig.database.get("volume", id(1)).is_none());
    assert_eq!(rig.volume(1), None);
    assert_eq!(rig.peer(0).order("volume", json!(id(1))), None);
}

#[test]
fn a_deleted_volume_goes_with_a_host_that_is_fenced() {
    let mut rig = Rig::with_pool();
    rig.order_volume(1, json!({}));
    rig.tell_volume(0, 1, "ready", false);
    rig.cut(0);
    rig.run(MINUTE_MS);
    rig.order(&[update("volume", id(1), json!({ "state": "deleted" }))]);
    rig.run(MINUTE_MS);
    assert!(rig.database.get("volume", id(1)).is_some());
    rig.confirm_fenced(0);
    assert!(rig.database.get("volume", id(1)).is_none());
}

#[test]
fn a_deleted_volume_that_no_host_reaches_stays_until_its_pool_goes() {
    let mut rig = Rig::with_hosts(1);
    let pool = json!({ "uuid": id(POOL), "type": "nfs", "name": "p", "shareable": true });
    rig.order(&[insert("storage_pool", pool)]);
    rig.order_volume(1, json!({ "state": "deleted" }));
    rig.run(MINUTE_MS);
    assert!(rig.database.get("volume", id(1)).is_some());
    rig.order(&[delete("volume", id(1)), delete("storage_pool", id(POOL))]);
    assert_eq!(rig.volume(1), None);
}

#[test]
fn what_the_database_refuses_now_is_done_when_it_takes_it() {
    let mut rig = Rig::with_pool();
    rig.order_volume(1, json!({}));
    rig.order_volume(2, json!({ "base_volume": id(1) }));
    rig.order(&[update("volume", id(1), json!({ "state": "deleted" }))]);
    rig.tell_volume(0, 1, "absent", true);
    rig.run(MINUTE_MS);
    assert!(rig.database.get("volume", id(1)).is_some(), "volume 2 refers to it");
    rig.tell_volume(0, 2, "ready", false);
    rig.run(2 * pony_core::controller::WRITE_RETRY_MS_MAX);
    assert!(rig.database.get("volume", id(1)).is_none());
}
