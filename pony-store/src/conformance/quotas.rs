//! Quotas: decided in the transaction that would exceed them, whoever makes it.

use super::{Fixture, Replica, delete, id, insert, tables, tenant, update};
use crate::error::{Broken, CommitError};
use pony_state::RowOp;
use serde_json::{Value as Json, json};

fn quota(number: u32, kind: &str, limit: f64, disk: Option<&str>) -> RowOp {
    let row = json!({"uuid": id(number), "tenant": id(1), "type": kind, "limit": limit, "disk": disk});
    insert("quota", row)
}

fn instance(number: u32, changes: &Json) -> RowOp {
    let mut row = super::columns(json!({"uuid": id(number), "tenant": id(1), "name": id(number)}));
    row.extend(super::columns(changes.clone()));
    insert("instance", Json::Object(row))
}

fn extent(number: u32, disk: &str, holder: Option<u32>) -> RowOp {
    let start = i64::from(number) * 10;
    insert(
        "extent",
        json!({"uuid": id(number), "disk": disk, "range": [start, start + 5], "holder": holder.map(id)}),
    )
}

/// A tenant that uses up all that it may have: 3 instances with 6 CPUs, 1 of them running, 1 extent on `sda` of 2.
fn scene() -> Vec<RowOp> {
    vec![
        tenant(1),
        tenant(2),
        insert("disk", json!({"id": "sda"})),
        insert("disk", json!({"id": "sdb"})),
        quota(91, "instances", 3.0, None),
        quota(92, "vcpu", 6.0, None),
        quota(93, "running", 1.0, None),
        quota(94, "extents", 2.0, None),
        quota(95, "extents", 1.0, Some("sda")),
        instance(11, &json!({"vcpu": 2, "state": "running"})),
        instance(12, &json!({"vcpu": 2})),
        instance(13, &json!({"vcpu": 2})),
        instance(21, &json!({"tenant": id(2), "vcpu": 50, "state": "running"})),
        instance(22, &json!({"tenant": null, "vcpu": 50})),
        extent(41, "sda", Some(11)),
        extent(42, "sdb", Some(11)),
        extent(43, "sda", None),
        extent(44, "sdb", Some(21)),
    ]
}

struct Case {
    op: RowOp,
    kind: &'static str,
    /// Limit, use, what was asked for.
    figures: (f64, f64, f64),
}

fn cases() -> Vec<Case> {
    let case = |op, kind, figures| Case { op, kind, figures };
    let change = |number: u32, columns: Json| update("instance", json!({"uuid": id(number)}), columns);
    vec![
        case(instance(14, &json!({"vcpu": 0, "rcpu": 0.0})), "instances", (3.0, 3.0, 1.0)),
        case(change(22, json!({"tenant": id(1), "vcpu": 0, "rcpu": 0.0})), "instances", (3.0, 3.0, 1.0)),
        case(change(12, json!({"vcpu": 5})), "vcpu", (6.0, 6.0, 3.0)),
        case(change(12, json!({"state": "running"})), "running", (1.0, 1.0, 1.0)),
        case(extent(45, "sdb", Some(12)), "extents", (2.0, 2.0, 1.0)),
        case(extent(46, "sda", Some(12)), "extents", (1.0, 1.0, 1.0)),
    ]
}

/// What would exceed a limit is refused, with the limit, the use and what was asked for; so it is by hand.
///
/// # Panics
/// Where it is not.
pub async fn quotas_are_kept(fixture: &mut dyn Fixture) {
    let store = fixture.store();
    store.commit(scene()).await.unwrap();
    let before = Replica::load(store, &tables()).await;
    for case in cases() {
        let harmless = insert("disk", json!({"id": "sdc"}));
        let error = store.commit(vec![harmless, case.op.clone()]).await.expect_err(case.kind);
        assert!(matches!(error, CommitError::Conflict(_)), "{error:?} of {:?}", case.op);
        let violation = error.violation().unwrap();
        let (limit, used, asked) = case.figures;
        // An extent on `sda` exceeds two limits; either may be named.
        let either = matches!(&violation.rule, Broken::Quota { kind, limit, used, .. } if kind == "extents" && limit == used);
        let rule = Broken::Quota { kind: case.kind.to_owned(), limit, used, asked };
        assert!(violation.rule == rule || either, "{violation:?} of {:?}", case.op);
        assert_eq!((violation.op, violation.table.as_str()), (Some(1), case.op.table()));
        assert!(violation.message.contains(case.kind), "{}", violation.message);
    }
    let raw = [
        format!(
            "INSERT INTO instance (uuid, tenant, name, vcpu, rcpu) VALUES ('{}', '{}', 'x', 0, 0)",
            id(14),
            id(1)
        ),
        format!("UPDATE instance SET tenant = '{}' WHERE uuid = '{}'", id(1), id(21)),
        format!("UPDATE instance SET vcpu = vcpu + 1 WHERE tenant = '{}'", id(1)),
        format!("UPDATE instance SET state = 'running' WHERE uuid = '{}'", id(13)),
    ];
    for sql in raw {
        let error = fixture.raw(&sql).await.expect_err(&sql);
        assert!(error.contains("would be exceeded"), "{sql}: {error}");
    }
    assert_eq!(Replica::load(store, &tables()).await, before);
}

/// A limit that is below what there is admits no more, and forbids nothing else. What somebody gave back, others (or the
/// same) may have.
///
/// # Panics
/// Where it is not so.
pub async fn a_low_limit_takes_nothing_away(fixture: &mut dyn Fixture) {
    let store = fixture.store();
    store.commit(scene()).await.unwrap();
    let limit = |limit: f64| vec![update("quota", json!({"uuid": id(92)}), json!({"limit": limit}))];
    let vcpu =
        |number: u32, vcpu: i64| vec![update("instance", json!({"uuid": id(number)}), json!({"vcpu": vcpu}))];
    store.commit(limit(3.0)).await.unwrap();
    store.commit(vcpu(11, 1)).await.unwrap();
    let rename = update("instance", json!({"uuid": id(12)}), json!({"name": "renamed", "state": "paused"}));
    store.commit(vec![rename]).await.unwrap();
    store.commit(vcpu(12, 3)).await.expect_err("it is above its limit already");
    store.commit(vec![delete("instance", json!({"uuid": id(12)}))]).await.unwrap();
    store.commit(vcpu(11, 2)).await.expect_err("3 are used");
    store.commit(vec![delete("instance", json!({"uuid": id(13)})), vcpu(11, 3).remove(0)]).await.unwrap();
    store.commit(vec![delete("quota", json!({"uuid": id(92)}))]).await.unwrap();
    store.commit(vcpu(11, 300)).await.unwrap();
    let held = extent(47, "sdb", Some(11));
    store.commit(vec![delete("extent", json!({"uuid": id(42)})), held]).await.unwrap();
}
