//! Pools of type `plvm`: what volumes are given of disks, and when they have it.

use crate::database::{delete, insert, update};
use crate::rig::*;
use pony_core::tables::{Volume, VolumeCurrent};
use pony_state::Read;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use uuid::Uuid;

const POOL: u128 = 500;
const DISK: &str = "naa.1";

/// What a row of `extent` says.
#[derive(Debug, Clone, PartialEq)]
struct Piece {
    uuid: Uuid,
    volume: Uuid,
    disk: String,
    range: (i64, i64),
    made: bool,
}

impl Rig {
    /// Two hosts that see a disk of 100 MiB, which is a pool.
    fn with_luns() -> Self {
        let mut rig = Self::with_hosts(2);
        let pool = json!({ "uuid": id(POOL), "type": "plvm", "name": "san", "config": {} });
        rig.order(&[insert("storage_pool", pool)]);
        rig.order(&[insert("disk", json!({ "id": DISK, "type": "fc", "storage_pool": id(POOL) }))]);
        for n in 0..2 {
            rig.see_disk(n, DISK, 101);
            let part = json!({ "host": host(n), "storage_pool": id(POOL), "status": "ready" });
            rig.peer(n).tell("host_storage_pool", json!([host(n), id(POOL)]), part);
        }
        rig.pump();
        rig
    }

    fn see_disk(&mut self, on: u128, disk: &str, size_mib: i64) {
        let part = json!({ "host": host(on), "disk": disk, "size": size_mib, "status": "ready" });
        self.peer(on).tell("host_disk", json!([host(on), disk]), part);
        self.pump();
    }

    fn volume_row(n: u128, size: Json) -> pony_state::RowOp {
        insert("volume", json!({ "uuid": id(n), "size": size, "storage_pool": id(POOL) }))
    }

    fn pieces(&self) -> Vec<Piece> {
        let piece = |row: &pony_state::Columns| Piece {
            uuid: row["uuid"].as_str().unwrap().parse().unwrap(),
            volume: row["volume"].as_str().unwrap().parse().unwrap(),
            disk: row["disk"].as_str().unwrap().to_owned(),
            range: (row["range"][0].as_i64().unwrap(), row["range"][1].as_i64().unwrap()),
            made: row["made"].as_bool().unwrap(),
        };
        let mut pieces: Vec<_> = self.database.table("extent").map(piece).collect();
        pieces.sort_by_key(|it| (it.volume, self.database.get("extent", it.uuid).unwrap()["order"].as_i64()));
        pieces
    }

    fn pieces_of(&self, n: u128) -> Vec<Piece> {
        self.pieces().into_iter().filter(|it| it.volume == id(n)).collect()
    }

    fn size_of(&self, n: u128) -> i64 {
        self.pieces_of(n).iter().map(|it| it.range.1 - it.range.0).sum()
    }

    /// No MiB is given twice, and none of the first.
    #[track_caller]
    fn assert_apart(&self) {
        let mut given = BTreeSet::new();
        for piece in self.pieces() {
            let mut mib = piece.range.0..piece.range.1;
            assert!(mib.all(|at| at > 0 && given.insert((piece.disk.clone(), at))), "{:?}", self.pieces());
        }
    }

    /// The database answers to what was held up.
    fn let_through(&mut self) {
        for (write, ops) in self.hold.take().into_iter().flatten() {
            self.end_write(write, &ops);
        }
        self.pump();
    }

    fn holder_of(&self, n: u128) -> (u128, i64) {
        let volume = json!(id(n));
        let mut rows = self.database.table("host_volume").filter(|row| row["volume"] == volume);
        let row = rows.find(|row| row["hold"] == "whole").expect("somebody has it for himself");
        (number(row["host"].as_str().unwrap().parse().unwrap()), row["serial"].as_i64().unwrap())
    }

    /// A host says what it has overwritten.
    fn tell_overwritten(&mut self, on: u128, n: u128, serial: i64) {
        let pieces = self.pieces_of(n);
        let part = json!({ "host": host(on), "volume": id(n), "status": "initializing", "serial": serial });
        self.peer(on).tell("host_volume", json!([host(on), id(n)]), part);
        for piece in pieces {
            let part = json!({ "host": host(on), "extent": piece.uuid, "status": "ready" });
            self.peer(on).tell("host_extent", json!([host(on), piece.uuid]), part);
        }
        self.pump();
    }

    fn current(&self, n: u128) -> VolumeCurrent {
        self.controller.snapshot().get::<Volume>(&id(n)).unwrap().current.clone().unwrap()
    }
}

#[test]
fn volumes_are_given_room_and_no_two_the_same() {
    let mut rig = Rig::with_luns();
    rig.order(&(1..=5).map(|n| Rig::volume_row(n, json!(10))).collect::<Vec<_>>());
    assert_eq!((1..=5).map(|n| rig.size_of(n)).collect::<Vec<_>>(), [10; 5]);
    rig.assert_apart();
    // What is on its way to the database is minded, too.
    rig.hold = Some(Vec::new());
    rig.order(&[Rig::volume_row(6, json!(20))]);
    rig.order(&[Rig::volume_row(7, json!(20))]);
    rig.let_through();
    assert_eq!((rig.size_of(6), rig.size_of(7)), (20, 20));
    rig.assert_apart();
    // As few pieces as it takes, and more where it grows.
    rig.order(&[delete("volume", id(2)), delete("volume", id(4))]);
    rig.order(&[Rig::volume_row(8, json!(25))]);
    assert_eq!(rig.pieces_of(8).len(), 3, "{:?}", rig.pieces());
    rig.assert_apart();
    rig.order(&[delete("volume", id(6))]);
    rig.order(&[update("volume", id(1), json!({ "size": 15 }))]);
    assert_eq!((rig.size_of(1), rig.pieces_of(1).len()), (15, 2));
    rig.assert_apart();
}

#[test]
fn a_volume_without_room_says_so_until_there_is_some() {
    let mut rig = Rig::with_luns();
    rig.order(&[Rig::volume_row(1, json!(120))]);
    assert!(rig.pieces().is_empty());
    let error = rig.current(1).error.unwrap();
    assert!(error.contains("no room for 120 MiB more (100 MiB are free)"), "{error}");
    rig.order(&[insert("disk", json!({ "id": "naa.2", "type": "fc", "storage_pool": id(POOL) }))]);
    assert!(rig.pieces().is_empty(), "nobody sees it");
    rig.see_disk(1, "naa.2", 51);
    assert_eq!(rig.size_of(1), 120);
    rig.assert_apart();
    let image = json!({ "uuid": id(50), "name": "i" });
    let copy = json!({ "uuid": id(2), "storage_pool": id(POOL), "image": id(50) });
    rig.order(&[insert("image", image), insert("volume", copy)]);
    let error = rig.current(2).error.unwrap();
    assert!(error.contains("needs a size"), "{error}");
}

#[test]
fn what_was_overwritten_counts_by_the_word_of_whoever_has_the_volume() {
    let mut rig = Rig::with_luns();
    rig.order(&[Rig::volume_row(1, json!(10))]);
    let (holder, serial) = rig.holder_of(1);
    let made = |rig: &Rig| rig.pieces_of(1).iter().map(|it| it.made).collect::<Vec<_>>();
    rig.tell_overwritten(1 - holder, 1, serial);
    assert_eq!(made(&rig), [false], "another host says so");
    rig.tell_overwritten(holder, 1, serial - 1);
    assert_eq!(made(&rig), [false], "of an earlier grant");
    rig.tell_overwritten(holder, 1, serial);
    assert_eq!(made(&rig), [true]);
    rig.order(&[update("volume", id(1), json!({ "size": 12 }))]);
    assert_eq!(made(&rig), [true, false]);
    rig.tell_overwritten(holder, 1, serial);
    assert_eq!(made(&rig), [true, true]);
}

/// A host that reads a copy of an image shows it to its guests until it has taken its mapping away.
#[test]
fn extents_go_once_no_host_has_them_mapped() {
    let mut rig = Rig::with_luns();
    rig.order(&[Rig::volume_row(1, json!(10))]);
    let (holder, _) = rig.holder_of(1);
    let tell = |rig: &mut Rig, on: u128, columns: Json| {
        let mut part = json!({ "host": host(on), "volume": id(1), "status": "absent" });
        part.as_object_mut().unwrap().extend(columns.as_object().unwrap().clone());
        rig.peer(on).tell("host_volume", json!([host(on), id(1)]), part);
        rig.pump();
    };
    rig.order(&[update("volume", id(1), json!({ "state": "deleted" }))]);
    tell(&mut rig, 1 - holder, json!({ "path": "/dev/mapper/a" }));
    let (holder, serial) = rig.holder_of(1);
    tell(&mut rig, holder, json!({ "deleted": true, "serial": serial }));
    assert_eq!(rig.pieces_of(1).len(), 1);
    tell(&mut rig, 1 - holder, json!({}));
    assert!(rig.pieces().is_empty() && rig.database.get("volume", id(1)).is_none());
}

#[test]
fn hosts_are_told_of_all_disks_and_of_the_extents_of_their_volumes() {
    let mut rig = Rig::with_luns();
    rig.order(&[Rig::volume_row(1, json!(10))]);
    let (holder, _) = rig.holder_of(1);
    let extent = rig.pieces_of(1)[0].uuid;
    let told = |rig: &mut Rig, on: u128, table: &str, key: Json| rig.peer(on).order(table, key).is_some();
    for n in 0..2 {
        assert!(told(&mut rig, n, "disk", json!(DISK)));
        assert_eq!(told(&mut rig, n, "extent", json!(extent)), n == holder);
    }
}
