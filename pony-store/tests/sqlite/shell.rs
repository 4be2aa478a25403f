//! What somebody does with the `sqlite3` shell: another version of SQLite, with none of this program in it, and
//! its own idea of what is on by default. Without the shell there is nothing to test, and the tests say so.

use crate::fixture::{SqliteFixture, fixture};
use pony_store::conformance::{Fixture, Replica, id, insert, tables};
use serde_json::json;
use std::process::Command;
use std::time::Duration;

/// Runs it; the error is what it prints.
fn shell(fixture: &SqliteFixture, sql: &str) -> Result<(), String> {
    let output = Command::new("sqlite3").arg("-bail").arg(&fixture.config.path).arg(sql).output().unwrap();
    if output.status.success() && output.stderr.is_empty() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn there_is_none() -> bool {
    let none = Command::new("sqlite3").arg("-version").output().is_err();
    if none {
        let test = std::thread::current();
        println!("skipped: {}: the sqlite3 shell is not installed", test.name().unwrap_or("?"));
    }
    none
}

#[tokio::test]
async fn a_shell_is_followed_and_bound_by_the_rules() {
    if there_is_none() {
        return;
    }
    let fixture = fixture(1000).await;
    let store = fixture.store();
    let mut positions = store.subscribe();
    let mut follower = Replica::load(store, &tables()).await;
    let tenant =
        |number: u32| format!("INSERT INTO tenant (uuid, name) VALUES ('{}', 'n{number}');", id(number));
    let error = shell(&fixture, &tenant(1)).expect_err("references are off in a shell");
    assert!(error.contains("PRAGMA foreign_keys = ON"), "{error}");
    let on = "PRAGMA foreign_keys = ON;";
    let network = format!(
        "INSERT INTO network (uuid, range) VALUES ('{}', 'fd00::/64');
         INSERT INTO address (uuid, network, ip) VALUES ('{}', '{}', 'fd00::1');
         INSERT INTO part (mac, size, any) VALUES ('52:54:00:00:00:01', 0.1 + 0.2, json_array('1', 2.5));",
        id(5),
        id(6),
        id(5)
    );
    shell(&fixture, &format!("{on} BEGIN; {} {network} COMMIT;", tenant(1))).unwrap();
    tokio::time::timeout(Duration::from_secs(20), positions.changed()).await.unwrap().unwrap();
    assert_eq!(follower.follow(store, 10).await.unwrap().len(), 4);
    assert_eq!(follower, Replica::load(store, &tables()).await);
    let part = follower.row("part", &[json!("52:54:00:00:00:01")]).unwrap();
    assert_eq!((&part["size"], &part["any"]), (&json!(0.1 + 0.2), &json!(["1", 2.5])));
    let refused = [
        format!("UPDATE address SET ip = 'fd00:0:0:1::1' WHERE uuid = '{}'", id(6)),
        format!("UPDATE address SET ip = 'fd00::01' WHERE uuid = '{}'", id(6)),
        format!("INSERT INTO tenant (uuid, name) VALUES ('{}', 'n1')", id(2)),
        format!("INSERT INTO instance (uuid, name, tenant) VALUES ('{}', 'x', '{}')", id(3), id(9)),
    ];
    for sql in refused {
        let error = shell(&fixture, &format!("{on} {sql};")).expect_err(&sql);
        assert!(!error.contains("no such"), "{sql}: {error}");
    }
    assert_eq!(store.changes_after(follower.position, 1).await.unwrap().changes, []);
}

/// SQLite removes the rows in the way of an `INSERT OR REPLACE` without telling triggers: the feed would miss
/// that.
#[tokio::test]
async fn nothing_is_replaced_behind_the_feeds_back() {
    let fixture = fixture(1000).await;
    let store = fixture.store();
    let ops = vec![
        insert("tenant", json!({"uuid": id(1), "name": "one"})),
        insert("tenant", json!({"uuid": id(2), "name": "two"})),
        insert("instance", json!({"uuid": id(3), "name": "i", "origin": "here"})),
    ];
    store.commit(ops).await.unwrap();
    let mut follower = Replica::load(store, &tables()).await;
    let statements = [
        format!("INSERT OR REPLACE INTO tenant (uuid, name) VALUES ('{}', 'one')", id(7)),
        format!("INSERT OR REPLACE INTO tenant (uuid, name) VALUES ('{}', 'x')", id(1)),
        format!("UPDATE OR REPLACE tenant SET name = 'one' WHERE uuid = '{}'", id(2)),
        format!("UPDATE OR REPLACE tenant SET uuid = '{}' WHERE uuid = '{}'", id(1), id(2)),
        format!("REPLACE INTO instance (uuid, name, origin) VALUES ('{}', 'i', 'there')", id(3)),
    ];
    for sql in statements {
        fixture.raw(&sql).await.expect_err(&sql);
    }
    fixture.raw("UPDATE OR IGNORE tenant SET name = 'one'").await.expect_err("it is no way around either");
    assert_eq!(follower.follow(store, 100).await.unwrap(), []);
    assert_eq!(follower, Replica::load(store, &tables()).await);
}

/// Somebody may turn the checks off and write what no type allows. Nobody can prevent that; but readers go on.
#[tokio::test]
async fn nonsense_does_not_stop_readers() {
    let fixture = fixture(1000).await;
    let store = fixture.store();
    let mut follower = Replica::load(store, &tables()).await;
    let connection = fixture.shell();
    connection.pragma_update(None, "ignore_check_constraints", true).unwrap();
    let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
    let sql = format!(
        "INSERT INTO tenant (uuid, name, approved, data) VALUES ('?', CAST(x'61ff62' AS TEXT), 7, '{deep}')"
    );
    connection.execute_batch(&sql).unwrap();
    let changes = follower.follow(store, 10).await.unwrap();
    assert_eq!(changes.len(), 1);
    let row = changes[0].row.as_ref().unwrap();
    assert_eq!(
        (&row["name"], &row["approved"], &row["data"]),
        (&json!("a\u{fffd}b"), &json!(7), &json!(deep))
    );
    assert_eq!(follower, Replica::load(store, &tables()).await);
}
