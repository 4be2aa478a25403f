//! What many do at once, by `psql` or another Sparkle: the database decides one after the other.

use crate::fixture::{PostgresFixture, client, fixture};
use pony_store::conformance::{Fixture, Replica, id, insert, tables};
use pony_store::{Claim, CommitError, DesiredStore, Lead, Outage, PostgresStore};
use serde_json::json;
use std::time::Duration;

/// Clients at once.
const CLIENTS: u32 = 8;

/// Runs SQL in as many sessions at once, each a transaction that takes a moment; says how many succeeded.
async fn at_once(fixture: &PostgresFixture, sql: impl Fn(u32) -> String) -> usize {
    let address = fixture.cluster.address(&fixture.database);
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..CLIENTS {
        let (address, sql) = (address.clone(), sql(number));
        clients.spawn(async move {
            let client = client(&address).await;
            client.batch_execute(&format!("BEGIN; {sql}; SELECT pg_sleep(0.2); COMMIT")).await
        });
    }
    let results = clients.join_all().await;
    for error in results.iter().filter_map(|result| result.as_ref().err()) {
        let said = error.as_db_error().map_or(error.to_string(), |it| it.message().to_owned());
        assert!(said.contains("would be exceeded") || said.contains("outside"), "{said}");
    }
    results.iter().filter(|result| result.is_ok()).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_is_kept_by_many_at_once() {
    let Some(fixture) = fixture(1000).await else { return };
    let scene = vec![
        insert("tenant", json!({"uuid": id(1), "name": "t"})),
        insert("quota", json!({"uuid": id(2), "tenant": id(1), "type": "instances", "limit": 3})),
    ];
    fixture.store().commit(scene).await.unwrap();
    let sql = |number| {
        let (uuid, tenant) = (id(100 + number), id(1));
        format!("INSERT INTO instance (uuid, tenant, name) VALUES ('{uuid}', '{tenant}', 'i{number}')")
    };
    assert_eq!(at_once(&fixture, sql).await, 3);
    let client = fixture.client().await;
    let late = client
        .batch_execute("BEGIN ISOLATION LEVEL SERIALIZABLE; INSERT INTO disk VALUES ('x'); COMMIT")
        .await;
    let late = late.expect_err("its checks would look at what was");
    assert!(late.as_db_error().unwrap().message().contains("READ COMMITTED"), "{late:?}");
    for table in ["disk", "instance"] {
        let error = fixture.raw(&format!("TRUNCATE {table} CASCADE")).await.unwrap_err();
        assert!(error.contains("cannot be truncated"), "{error}");
    }
}

/// An address comes while its network moves away: one of them is refused, whoever is first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_and_its_range_cannot_pass_each_other() {
    let Some(fixture) = fixture(1000).await else { return };
    let network = insert("network", json!({"uuid": id(1), "range": "10.0.0.0/24"}));
    fixture.store().commit(vec![network]).await.unwrap();
    let sql = |number| match number % 2 {
        0 => format!(
            "INSERT INTO address (uuid, network, ip) VALUES ('{}', '{}', '10.0.0.{}')",
            id(100 + number),
            id(1),
            number + 1
        ),
        _ => format!("UPDATE network SET range = '10.0.{number}.0/24' WHERE uuid = '{}'", id(1)),
    };
    let count = at_once(&fixture, sql).await;
    assert!(count > 0 && count < CLIENTS as usize, "{count}");
    let sql =
        "SELECT count(*) FROM address a JOIN network n ON n.uuid = a.network WHERE NOT a.ip <<= n.range";
    assert_eq!(fixture.cluster.psql(&fixture.database, sql).unwrap(), "0");
}

/// Transactions that number their first change early and commit late, beside one that never commits; the sessions of the
/// follower are ended again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_feed_is_in_the_order_of_commits_and_misses_nothing() {
    let Some(fixture) = fixture(100_000).await else { return };
    let idle = fixture.client().await;
    idle.batch_execute("BEGIN; INSERT INTO disk (id) VALUES ('never')").await.unwrap();
    let address = fixture.cluster.address(&fixture.database);
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..CLIENTS {
        let address = address.clone();
        writers.spawn(async move {
            let client = client(&address).await;
            for number in 0..25i32 {
                let wait = f64::from((number * 3) % 5) / 100.0;
                let sql = format!(
                    "BEGIN; INSERT INTO disk (id) VALUES ('{writer}-{number}'); SELECT pg_sleep({wait});
                     INSERT INTO disk (id, parent) VALUES ('{writer}-{number}-b', '{writer}-{number}'); COMMIT;
                     DELETE FROM disk WHERE id = '{writer}-{}'",
                    number - 1
                );
                client.batch_execute(&sql).await.unwrap();
            }
        });
    }
    let store = fixture.store();
    let mut follower = Replica::default();
    let mut rounds = 0;
    while !writers.is_empty() {
        while writers.try_join_next().is_some() {}
        rounds += 1;
        if rounds % 10 == 0 {
            let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                       WHERE application_name = 'sparkle' AND datname = current_database()";
            fixture.raw(sql).await.unwrap();
        }
        // While a session is being replaced there is nothing to be had; the next round has it.
        let _ = follower.follow(store, 7).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut attempts = 0;
    while follower.follow(store, 100).await.is_err() {
        attempts += 1;
        assert!(attempts < 400, "the feed does not come back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(follower, Replica::load(store, &tables()).await);
    assert_eq!(follower.rows.len(), 2 * CLIENTS as usize);
}

/// Who was replaced writes nothing, whatever it believes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_one_leads() {
    let Some(fixture) = fixture(1000).await else { return };
    let first = fixture.store();
    let second = PostgresStore::open(&fixture.config).await.unwrap();
    let claim = |number, ttl_ms| Claim {
        holder: uuid::Uuid::from_u128(number),
        name: format!("sparkle {number}"),
        ttl_ms,
    };
    let Lead::Own { epoch } = first.take_lead(&claim(1, 1_500)).await.unwrap() else {
        panic!("nobody leads yet")
    };
    assert_eq!(second.take_lead(&claim(2, 60_000)).await.unwrap(), Lead::Others { name: "sparkle 1".into() });
    tokio::time::sleep(Duration::from_millis(1_700)).await;
    // Nobody took it meanwhile.
    assert!(first.renew_lead().await.unwrap());
    assert!(matches!(second.take_lead(&claim(2, 60_000)).await.unwrap(), Lead::Others { .. }));
    first.resign().await;
    let taken = second.take_lead(&claim(2, 60_000)).await.unwrap();
    assert_eq!(taken, Lead::Own { epoch: epoch + 1 });
    let disk = |name: &str| vec![insert("disk", json!({"id": name}))];
    second.commit(disk("by the second")).await.unwrap();
    let error = first.commit(disk("by the first")).await.unwrap_err();
    assert!(matches!(&error, CommitError::Unavailable(it) if it.outage == Outage::Fenced), "{error:?}");
    assert!(!error.is_retryable() && !first.renew_lead().await.unwrap());
    assert_eq!(Replica::load(&second, &tables()).await.rows.len(), 1);
}
