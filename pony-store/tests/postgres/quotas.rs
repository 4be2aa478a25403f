//! Quotas of large transactions, and of those that are checked in several steps.

use crate::fixture::{PostgresFixture, fixture};
use pony_store::conformance::{Fixture, id, insert};
use serde_json::json;

/// A tenant, and how many instances it may have.
async fn limited(limit: u32) -> Option<PostgresFixture> {
    let fixture = fixture(100_000).await?;
    let scene = vec![
        insert("tenant", json!({"uuid": id(1), "name": "t"})),
        insert("quota", json!({"uuid": id(2), "tenant": id(1), "type": "instances", "limit": limit})),
    ];
    fixture.store().commit(scene).await.unwrap();
    Some(fixture)
}

/// Instances by hand: the numbers from the one to the other.
fn instances(first: u32, last: u32) -> String {
    format!(
        "INSERT INTO instance (uuid, tenant, name) SELECT gen_random_uuid(), '{}', 'i' || n FROM generate_series({first}, {last}) AS n;",
        id(1)
    )
}

/// Each row of a transaction once summed up all that its owner had: a thousand rows read a million.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_transaction_sums_up_once() {
    const ROWS: u32 = 1_000;
    let Some(fixture) = limited(ROWS).await else { return };
    let read = "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables WHERE relname = 'instance';";
    let sql = format!("BEGIN; {} SET CONSTRAINTS ALL IMMEDIATE; {read} COMMIT;", instances(1, ROWS));
    let read: u32 = fixture.cluster.psql(&fixture.database, &sql).unwrap().parse().unwrap();
    assert!((ROWS..20 * ROWS).contains(&read), "{read} rows were read to insert {ROWS}");
    let error = fixture.raw(&instances(0, 0)).await.unwrap_err();
    assert!(error.contains("would be exceeded"), "{error}");
}

/// What was summed up before says nothing of rows that come later in the same transaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_step_of_a_transaction_is_checked() {
    let Some(fixture) = limited(4).await else { return };
    let (now, later) = ("SET CONSTRAINTS ALL IMMEDIATE;", "SET CONSTRAINTS ALL DEFERRED;");
    let (two, third, fourth, fifth) = (instances(1, 2), instances(3, 3), instances(4, 4), instances(5, 5));
    let beyond = [
        format!("BEGIN; {two} {now} {later} {third} {now} {fourth} {fifth} COMMIT;"),
        format!("BEGIN; {two} {now} {later} {third} {fourth} {now} {later} {fifth} COMMIT;"),
        format!(
            "BEGIN; {two} {third} {now} {later} SAVEPOINT s; {fourth} {now} ROLLBACK TO s; {fourth} {fifth} COMMIT;"
        ),
        format!("BEGIN; SAVEPOINT s; {two} {third} {fourth} {now} RELEASE s; {later} {fifth} COMMIT;"),
    ];
    for sql in beyond {
        let error = fixture.cluster.psql(&fixture.database, &sql).unwrap_err();
        assert!(error.contains("would be exceeded"), "{sql}: {error}");
    }
    let within = format!("BEGIN; {two} {now} {later} {third} {now} {fourth} COMMIT;");
    fixture.cluster.psql(&fixture.database, &within).unwrap();
    let count = fixture.cluster.psql(&fixture.database, "SELECT count(*) FROM instance").unwrap();
    assert_eq!(count, "4");
}
