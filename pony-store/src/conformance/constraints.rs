//! Each constraint, broken through the store: which error, on what, in which words.

use super::{Fixture, Replica, delete, id, insert, tables, tenant, update};
use crate::error::{Broken, CommitError, Referrer};
use pony_state::RowOp;
use serde_json::{Value as Json, json};

/// Rows that the cases below collide with.
pub(super) fn scene() -> Vec<RowOp> {
    vec![
        tenant(1),
        tenant(2),
        insert("instance", json!({"uuid": id(11), "tenant": id(1), "name": "web", "origin": "here"})),
        insert("instance", json!({"uuid": id(12), "name": "template"})),
        insert("instance", json!({"uuid": id(13), "tenant": id(1), "name": "db", "vcpu": 4, "rcpu": 2.0})),
        insert("member", json!({"tenant": id(1), "instance": id(11)})),
        insert("network", json!({"uuid": id(21), "range": "10.0.0.0/24"})),
        insert("network", json!({"uuid": id(22), "range": "fd00::/62"})),
        insert("address", json!({"uuid": id(31), "network": id(21), "ip": "10.0.0.1"})),
        insert("address", json!({"uuid": id(32), "network": id(22), "ip": "fd00:0:0:3::1"})),
        insert("disk", json!({"id": "sda"})),
        insert("disk", json!({"id": "sdb"})),
        insert("extent", json!({"uuid": id(41), "disk": "sda", "range": [0, 10], "holder": id(13)})),
        insert("extent", json!({"uuid": id(42), "disk": "sda", "range": [20, 30]})),
        insert("part", json!({"mac": "52:54:00:00:00:01", "size": 0.1, "any": {"a": [1, "2"]}})),
    ]
}

/// What is expected of an error.
struct Case {
    op: RowOp,
    /// A `Conflict`, or else an `Invalid`.
    conflict: bool,
    rule: Broken,
    columns: &'static [&'static str],
    words: &'static str,
}

fn invalid(op: RowOp, rule: Broken, columns: &'static [&'static str], words: &'static str) -> Case {
    Case { op, conflict: false, rule, columns, words }
}

fn conflict(op: RowOp, rule: Broken, columns: &'static [&'static str], words: &'static str) -> Case {
    Case { op, conflict: true, rule, columns, words }
}

fn instance(number: u32, changes: Json) -> RowOp {
    let mut row = super::columns(json!({"uuid": id(number), "tenant": id(1), "name": "new"}));
    row.extend(super::columns(changes));
    insert("instance", Json::Object(row))
}

fn key(number: u32) -> Json {
    json!({ "uuid": id(number) })
}

fn types() -> Vec<Case> {
    let part = |columns: Json| update("part", json!({"mac": "52:54:00:00:00:01"}), columns);
    let host_bits = update("network", key(21), json!({"range": "10.0.0.1/24"}));
    vec![
        invalid(
            instance(99, json!({"vcpu": "two"})),
            Broken::Type,
            &["vcpu"],
            "instance.vcpu: `\"two\"` is not",
        ),
        invalid(instance(99, json!({"vcpu": 1.5})), Broken::Type, &["vcpu"], "a whole number"),
        invalid(
            instance(99, json!({"state": "gone"})),
            Broken::Type,
            &["state"],
            "one of `running`, `paused`",
        ),
        invalid(instance(99, json!({"tenant": "x"})), Broken::Type, &["tenant"], "a UUID"),
        invalid(instance(99, json!({"ns": ["10.0.0.1", "10.0.0"]})), Broken::Type, &["ns"], "item 1"),
        invalid(instance(99, json!({"name": "a\u{0}b"})), Broken::Type, &["name"], "U+0000"),
        invalid(instance(99, json!({"name": 5})), Broken::Type, &["name"], "is not text"),
        invalid(host_bits, Broken::Type, &["range"], "`10.0.0.0/24`"),
        invalid(update("extent", key(41), json!({"range": [5, 5]})), Broken::Type, &["range"], "empty"),
        invalid(insert("part", json!({"mac": "52:54"})), Broken::Type, &["mac"], "MAC address"),
        invalid(part(json!({"words": ["up", "side"]})), Broken::Type, &["words"], "item 1"),
        invalid(part(json!({"size": "big"})), Broken::Type, &["size"], "is not a number"),
        invalid(
            update("tenant", key(1), json!({"approved": 1})),
            Broken::Type,
            &["approved"],
            "`true` or `false`",
        ),
    ]
}

fn nulls() -> Vec<Case> {
    let nameless = insert("instance", json!({"uuid": id(99), "tenant": id(1)}));
    vec![
        invalid(
            instance(99, json!({"name": null})),
            Broken::NotNull,
            &["name"],
            "instance.name: must have a value",
        ),
        invalid(
            update("instance", key(11), json!({"vcpu": null})),
            Broken::NotNull,
            &["vcpu"],
            "instance.vcpu",
        ),
        invalid(nameless, Broken::NotNull, &["name"], "instance.name: must have a value: text"),
        invalid(insert("instance", json!({"name": "x"})), Broken::NotNull, &["uuid"], "instance.uuid"),
        invalid(
            delete("member", json!({"tenant": id(1)})),
            Broken::NotNull,
            &["instance"],
            "member.instance",
        ),
    ]
}

fn conditions() -> Vec<Case> {
    let address = |ip: &str| insert("address", json!({"uuid": id(99), "network": id(21), "ip": ip}));
    let origin = update("instance", key(11), json!({"origin": "there"}));
    vec![
        invalid(
            instance(99, json!({"rcpu": 1.5})),
            Broken::Check,
            &[],
            "instance: rcpu must not exceed vcpu",
        ),
        invalid(update("instance", key(13), json!({"vcpu": 1})), Broken::Check, &[], "must not exceed"),
        invalid(
            instance(99, json!({"vcpu": -1, "rcpu": -1.0})),
            Broken::Check,
            &[],
            "instance: vcpu must be 0 to 9223372036854775807",
        ),
        invalid(origin, Broken::Immutable, &["origin"], "instance.origin: cannot be changed"),
        invalid(
            update("instance", key(11), json!({"uuid": id(99)})),
            Broken::Immutable,
            &["uuid"],
            "instance.uuid",
        ),
        invalid(
            update("extent", key(41), json!({"holder": null})),
            Broken::Immutable,
            &["holder"],
            "extent.holder",
        ),
        invalid(
            address("10.0.1.1"),
            Broken::Inside,
            &["ip"],
            "address.ip: `10.0.1.1` lies outside of the range of its network",
        ),
        invalid(
            update("address", key(32), json!({"ip": "fd00:0:0:4::1"})),
            Broken::Inside,
            &["ip"],
            "fd00:0:0:4::1",
        ),
        invalid(update("address", key(31), json!({"network": id(22)})), Broken::Inside, &["ip"], "10.0.0.1"),
        invalid(
            update("network", key(21), json!({"range": "10.0.1.0/24"})),
            Broken::Inside,
            &["range"],
            "address.ip",
        ),
    ]
}

fn overlaps() -> Vec<Case> {
    let extent = |start: i64, end: i64| {
        insert("extent", json!({"uuid": id(99), "disk": "sda", "range": [start, end]}))
    };
    let words = "extent.range: `[9,20]` overlaps another range of the same disk";
    vec![
        conflict(extent(9, 20), Broken::Overlap, &["range"], words),
        conflict(extent(-5, 100), Broken::Overlap, &["range"], "overlaps"),
        conflict(extent(29, 31), Broken::Overlap, &["range"], "overlaps"),
        conflict(
            update("extent", key(42), json!({"range": [5, 30]})),
            Broken::Overlap,
            &["range"],
            "overlaps",
        ),
    ]
}

fn uniqueness() -> Vec<Case> {
    let tenant = insert("tenant", json!({"uuid": id(99), "name": "tenant-1"}));
    let address = insert("address", json!({"uuid": id(99), "network": id(21), "ip": "10.0.0.1"}));
    let web = "instance.name: `web` exists already in this tenant";
    let unique = &["tenant", "name"];
    let nobodys = instance(99, json!({"tenant": null, "name": "template"}));
    let given_away = update("instance", key(12), json!({"tenant": id(1), "name": "db"}));
    vec![
        conflict(instance(11, json!({})), Broken::Key, &["uuid"], "exists already"),
        conflict(tenant, Broken::Unique, &["name"], "tenant.name: `tenant-1` exists already"),
        conflict(instance(99, json!({"name": "web"})), Broken::Unique, unique, web),
        conflict(nobodys, Broken::Unique, unique, "`template` exists already"),
        conflict(update("instance", key(13), json!({"name": "web"})), Broken::Unique, unique, web),
        conflict(given_away, Broken::Unique, unique, "`db` exists already"),
        conflict(
            address,
            Broken::Unique,
            &["network", "ip"],
            "address.ip: `10.0.0.1` exists already in this network",
        ),
    ]
}

fn references() -> Vec<Case> {
    let nobody = |to: &str, value: Json| Broken::Reference { to: to.to_owned(), value };
    let user = |number: u32| Referrer {
        table: "instance".to_owned(),
        column: "tenant".to_owned(),
        key: vec![json!(id(number))],
    };
    let member = insert("member", json!({"tenant": id(2), "instance": id(78)}));
    vec![
        invalid(
            instance(99, json!({"tenant": id(77)})),
            nobody("tenant", json!(id(77))),
            &["tenant"],
            "instance.tenant: there is no tenant `00000000-0000-4000-8000-00000000004d`",
        ),
        invalid(
            update("extent", key(42), json!({"disk": "sdz"})),
            nobody("disk", json!("sdz")),
            &["disk"],
            "extent.disk: there is no disk `sdz`",
        ),
        invalid(member, nobody("instance", json!(id(78))), &["instance"], "member.instance"),
        conflict(
            delete("tenant", key(1)),
            Broken::InUse { referrers: vec![user(11), user(13)] },
            &[],
            "is still in use by instance `00000000-0000-4000-8000-00000000000b`",
        ),
    ]
}

/// Each constraint has its error, which names operation, table, key, columns and values; nothing of it is done.
///
/// # Panics
/// Where that is not so.
pub async fn broken_constraints_are_named(fixture: &mut dyn Fixture) {
    let store = fixture.store();
    store.commit(scene()).await.unwrap();
    let before = Replica::load(store, &tables()).await;
    let cases = [types(), nulls(), conditions(), overlaps(), uniqueness(), references()];
    for case in cases.into_iter().flatten() {
        let harmless = insert("disk", json!({"id": "sdc"}));
        let error = store.commit(vec![harmless, case.op.clone()]).await.expect_err(case.words);
        assert_eq!(matches!(error, CommitError::Conflict(_)), case.conflict, "{error:?} of {:?}", case.op);
        let violation = error.violation().unwrap_or_else(|| panic!("{error:?} of {:?}", case.op));
        assert_eq!(violation.rule, case.rule, "{:?}", case.op);
        assert_eq!(violation.op, Some(1), "{:?}", case.op);
        assert_eq!(violation.table, case.op.table());
        assert_eq!(violation.columns, case.columns, "{:?}", case.op);
        assert!(violation.message.contains(case.words), "{}", violation.message);
        assert!(!error.is_retryable());
    }
    assert_eq!(Replica::load(store, &tables()).await, before);
}

/// Tables, columns and rows that are not there.
///
/// # Panics
/// Where they are accepted.
pub async fn unknown_names_are_refused(fixture: &mut dyn Fixture) {
    let store = fixture.store();
    for table in ["nothing", "unstored", "_meta", "tenant\"; --"] {
        let error = store.commit(vec![insert(table, key(1))]).await.unwrap_err();
        assert_eq!(error.violation().unwrap().rule, Broken::Table, "{error}");
    }
    store.commit(vec![tenant(1)]).await.unwrap();
    for op in [
        insert("tenant", json!({"uuid": id(2), "name": "b", "colour": 1})),
        update("tenant", key(1), json!({"colour": null})),
        update("tenant", json!({"uuid": id(1), "name": "tenant-1"}), json!({})),
        delete("tenant", json!({"uuid": id(1), "colour": 1})),
    ] {
        let error = store.commit(vec![op]).await.unwrap_err();
        assert_eq!(error.violation().unwrap().rule, Broken::Column, "{error}");
    }
    for op in [update("tenant", key(7), json!({})), delete("tenant", key(7))] {
        let error = store.commit(vec![tenant(2), op]).await.unwrap_err();
        let missing = CommitError::Missing { op: 1, table: "tenant".into(), key: vec![json!(id(7))] };
        assert_eq!(error, missing);
        assert_eq!(error.to_string(), format!("tenant: there is no row `{}`", id(7)));
    }
    assert_eq!(Replica::load(store, &tables()).await.rows.len(), 1);
}
