//! The same constraints against somebody who writes SQL by hand.

use super::constraints::scene;
use super::{Fixture, Replica, id, insert, tables, update};
use serde_json::{Value as Json, json};

/// Statements that must fail.
fn statements(fixture: &dyn Fixture) -> Vec<String> {
    let extent = |number: u32, start, end| {
        let range = fixture.range(start, end);
        format!("INSERT INTO extent (uuid, disk, range) VALUES ('{}', 'sda', {range})", id(number))
    };
    let instance = |columns: &str, values: &str| {
        format!("INSERT INTO instance (uuid, {columns}) VALUES ('{}', {values})", id(99))
    };
    let address = |ip: &str| {
        format!("INSERT INTO address (uuid, network, ip) VALUES ('{}', '{}', '{ip}')", id(99), id(21))
    };
    let mut all = vec![
        extent(99, 5, 6),
        extent(99, 29, 35),
        extent(99, -1, 100),
        extent(99, 7, 7),
        format!("UPDATE extent SET range = {} WHERE uuid = '{}'", fixture.range(9, 21), id(42)),
        format!("UPDATE extent SET holder = NULL WHERE uuid = '{}'", id(41)),
        format!("INSERT INTO tenant (uuid, name) VALUES ('{}', 'tenant-1')", id(99)),
        format!("INSERT INTO tenant (uuid, name) VALUES ('{}', 'other')", id(1)),
        format!("INSERT INTO tenant (uuid, name) VALUES ('{}', NULL)", id(99)),
        "INSERT INTO tenant (uuid, name) VALUES ('1', 'x')".to_owned(),
        "INSERT INTO tenant (uuid, name) VALUES (NULL, 'x')".to_owned(),
        format!("UPDATE tenant SET uuid = '{}' WHERE uuid = '{}'", id(99), id(1)),
        format!("DELETE FROM tenant WHERE uuid = '{}'", id(1)),
        format!("UPDATE tenant SET data = '{{' WHERE uuid = '{}'", id(1)),
        format!("UPDATE tenant SET data = 'null' WHERE uuid = '{}'", id(1)),
        instance("name, tenant", &format!("'web', '{}'", id(1))),
        instance("name", "'template'"),
        instance("name, state", "'x', 'gone'"),
        instance("name, rcpu, vcpu", "'x', 3, 2"),
        instance("name, vcpu", "'x', 'many'"),
        instance("name, tenant", &format!("'x', '{}'", id(77))),
        format!("UPDATE instance SET origin = 'there' WHERE uuid = '{}'", id(11)),
        format!("UPDATE instance SET name = 'db' WHERE uuid = '{}'", id(11)),
        address("10.0.1.1"),
        address("10.0.0.1"),
        address("10.0.0.256"),
        address("fd00::1"),
        format!("UPDATE network SET range = '10.0.0.128/25' WHERE uuid = '{}'", id(21)),
        format!("UPDATE network SET range = '10.0.0.1/24' WHERE uuid = '{}'", id(21)),
        "INSERT INTO part (mac) VALUES ('52:54')".to_owned(),
    ];
    all.extend(fixture.no_lists().iter().map(|ns| instance("name, ns", &format!("'x', '{ns}'"))));
    all
}

/// No statement by hand breaks what the schema promises.
///
/// # Panics
/// Where one does.
pub async fn constraints_hold_against_raw_sql(fixture: &mut dyn Fixture) {
    fixture.store().commit(scene()).await.unwrap();
    let before = Replica::load(fixture.store(), &tables()).await;
    for sql in statements(fixture) {
        let error = fixture.raw(&sql).await.expect_err(&sql);
        assert!(!error.contains("syntax error") && !error.contains("no such"), "{sql}: {error}");
    }
    let after = Replica::load(fixture.store(), &tables()).await;
    assert_eq!(after, before, "a statement that failed has changed something");
}

/// However a value was written, it is read in its one form.
///
/// # Panics
/// Where it is not.
pub async fn values_have_one_form(fixture: &mut dyn Fixture) {
    let store = fixture.store();
    let key = json!({"mac": "52-54-00-AB-CD-EF"});
    let (uuid, upper) = (id(0xabc), id(0xabc).to_uppercase());
    let text = "it's \"ü\" \\ \u{1f984}\n";
    let ops = vec![
        insert("tenant", json!({"uuid": upper, "name": text})),
        insert(
            "instance",
            json!({"uuid": id(1), "tenant": upper, "name": "", "vcpu": i64::MAX, "rcpu": 1,
                   "ns": ["10.0.0.1/32", "FD00:0:0::1", "::FFFF:10.0.0.1"]}),
        ),
        insert("network", json!({"uuid": id(2), "range": "2001:0DB8::/32"})),
        insert("part", key.clone()),
        update(
            "part",
            key,
            json!({"size": 1e-300, "any": {"b": 2.5, "a": [null, {"c": "\u{1}"}]}, "numbers": [i64::MIN],
                   "words": ["it's down"], "uuids": [upper], "tags": []}),
        ),
    ];
    let committed = store.commit(ops).await.unwrap();
    let mut fed = Replica::default();
    fed.follow(store, 100).await.unwrap();
    let loaded = Replica::load(store, &tables()).await;
    assert_eq!(fed, loaded);
    assert_eq!(loaded.position, committed.position);
    let row = |table: &str, key: &str| Json::Object(loaded.row(table, &[json!(key)]).unwrap().clone());
    assert_eq!(
        row("tenant", &uuid),
        json!({"uuid": uuid, "name": text, "approved": false, "data": {"it's": [1, null]}})
    );
    assert_eq!(
        row("instance", &id(1)),
        json!({"uuid": id(1), "tenant": uuid, "name": "", "state": "stopped", "vcpu": i64::MAX, "rcpu": 1.0,
               "ns": ["10.0.0.1", "fd00::1", "::ffff:10.0.0.1"]})
    );
    assert_eq!(row("network", &id(2)), json!({"uuid": id(2), "range": "2001:db8::/32"}));
    assert_eq!(
        row("part", "52:54:00:ab:cd:ef"),
        json!({"mac": "52:54:00:ab:cd:ef", "size": 1e-300, "any": {"b": 2.5, "a": [null, {"c": "\u{1}"}]},
               "numbers": [i64::MIN], "words": ["it's down"], "uuids": [uuid], "tags": []})
    );
}
