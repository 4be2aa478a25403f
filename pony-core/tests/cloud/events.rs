//! The log of what hosts notify.

use crate::rig::*;
use pony_core::controller::{EVENT_ROWS_MAX, EVENTS_WAITING_MAX, StoredRow};
use pony_core::tables::Event;
use pony_state::{Columns, Read};
use serde_json::json;

#[test]
fn equal_notifications_are_one_row_that_counts_them() {
    let mut rig = Rig::with_hosts(2);
    for _ in 0..3 {
        rig.peer(0).notify("instance-crashed", json!({ "why": "panic" }));
    }
    rig.pump();
    rig.run(5_000);
    rig.peer(0).notify("instance-crashed", json!({ "why": "panic" }));
    rig.peer(0).notify("instance-crashed", json!({ "why": "killed" }));
    rig.peer(1).notify("instance-crashed", json!({ "why": "panic" }));
    rig.pump();
    let mut rows: Vec<_> = rig.database.table("event").collect();
    rows.sort_by_key(|row| row["count"].as_i64());
    assert_eq!(rows.iter().map(|row| row["count"].as_i64().unwrap()).collect::<Vec<_>>(), [1, 1, 4]);
    let counted = rows[2];
    assert_eq!(counted["mtime"].as_i64().unwrap() - counted["ctime"].as_i64().unwrap(), 5);
    assert_eq!((&counted["host"], &counted["type"]), (&json!(host(0)), &json!("instance-crashed")));
}

#[test]
fn the_log_keeps_the_most_recent_rows() {
    let mut rig = Rig::with_hosts(1);
    let row = |n: usize| {
        let hash = json!(format!("{n:064x}"));
        let row = json!({
            "hash": hash, "ctime": n, "mtime": n, "count": 1, "type": "x", "host": host(0), "instance": null, "data": {},
        });
        StoredRow {
            table: "event".to_owned(),
            key: Columns::from_iter([("hash".to_owned(), hash)]),
            row: Some(row.as_object().unwrap().clone()),
        }
    };
    let rows: Vec<_> = (0..EVENT_ROWS_MAX + 700).map(row).collect();
    let now = rig.now();
    rig.controller.apply(&rows, now).unwrap();
    rig.peer(0).notify("new", json!({}));
    rig.hold = Some(Vec::new());
    let mut largest = 0;
    for _ in 0..20 {
        rig.pump();
        let Some((write, ops)) = rig.hold.as_mut().unwrap().pop() else { break };
        largest = largest.max(ops.len());
        let removed = ops.iter().filter_map(|op| match op {
            pony_state::RowOp::Delete { key, .. } => Some(key.clone()),
            _ => None,
        });
        let removed: Vec<_> =
            removed.map(|key| StoredRow { table: "event".to_owned(), key, row: None }).collect();
        rig.controller.apply(&removed, now).unwrap();
        rig.controller.handle_written(write, Ok(()), now);
    }
    let snapshot = rig.controller.snapshot();
    let left = snapshot.table::<Event>().len();
    assert!((EVENT_ROWS_MAX - 1..=EVENT_ROWS_MAX).contains(&left), "{left}");
    assert!(largest <= 600, "{largest} operations in one transaction");
    let oldest =
        snapshot.table::<Event>().iter().filter_map(|it| it.desired.as_ref().map(|it| it.mtime)).min();
    assert!(oldest >= Some(700), "{oldest:?}");
}

#[test]
fn notifications_that_cannot_be_written_are_bounded() {
    let mut rig = Rig::with_hosts(1);
    rig.hold = Some(Vec::new());
    rig.order_instance(1);
    for batch in 0..2 * EVENTS_WAITING_MAX / 100 {
        for n in 0..100 {
            rig.peer(0).notify("x", json!({ "n": batch * 100 + n }));
        }
        rig.pump();
    }
    rig.hold.as_ref().unwrap().iter().for_each(|(_, ops)| assert!(ops.len() <= 256));
    while let Some((write, ops)) = rig.hold.as_mut().unwrap().pop() {
        rig.end_write(write, &ops);
        rig.pump();
    }
    assert_eq!(rig.database.table("event").count(), EVENTS_WAITING_MAX);
    assert!(rig.reports.iter().any(|it| it.text.contains("dropped")), "the loss is told");
}
