//! A thousand writes a second, while the server's sessions are ended, the server is stopped, killed and started again:
//! nothing that was acknowledged is missing, nothing that was refused is there, and whoever followed has what somebody
//! loads.

use crate::fixture::{config, skip};
use pony_store::conformance::{Cluster, Replica, Stop, insert, tables};
use pony_store::{CommitError, DesiredStore, FeedError, PostgresStore};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

/// Writes that begin in one tick, and how long that is: a thousand a second.
const EACH_TICK: usize = 10;
const TICK: Duration = Duration::from_millis(10);
/// Ticks between two FAULTS.
const FAULT_EVERY: usize = 250;

#[derive(Debug, Default)]
struct Told {
    done: Vec<String>,
    refused: Vec<String>,
    unknown: usize,
}

async fn write(store: Arc<PostgresStore>, name: String) -> (String, Result<(), CommitError>) {
    let pair = vec![
        insert("disk", json!({"id": format!("{name}-b"), "parent": name})),
        insert("disk", json!({"id": name})),
    ];
    let result = store.commit(pair).await.map(|_| ());
    (name, result)
}

/// Follows until told that nothing more comes.
async fn follow(store: Arc<PostgresStore>, ended: Arc<AtomicBool>) -> Replica {
    let mut replica = Replica::default();
    let mut woken = store.subscribe();
    loop {
        let last = ended.load(Ordering::Relaxed);
        match replica.follow(&*store, 500).await {
            Ok(_) if last => return replica,
            Ok(_) => drop(tokio::time::timeout(Duration::from_millis(100), woken.changed()).await),
            Err(FeedError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(gap) => panic!("the same server has no gap: {gap}"),
        }
    }
}

/// What happens to the server, one after the other.
const FAULTS: [fn(&Cluster); 4] = [
    |cluster| {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sparkle'";
        cluster.psql("chaos", sql).unwrap();
    },
    |cluster| {
        cluster.stop(Stop::Fast);
        std::thread::sleep(Duration::from_millis(500));
        cluster.restart();
    },
    |cluster| {
        cluster.stop(Stop::Kill);
        cluster.restart();
    },
    |cluster| {
        cluster.stop(Stop::Fast);
        cluster.restart();
    },
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_missing() {
    let cluster = match Cluster::start(&[]) {
        Ok(cluster) => Arc::new(cluster),
        Err(why) => return skip(&why),
    };
    cluster.create("chaos");
    let config = config(&cluster.address("chaos"));
    PostgresStore::migrate(&config).await.unwrap();
    let store = Arc::new(PostgresStore::open(&config).await.unwrap());
    let ended = Arc::new(AtomicBool::new(false));
    let follower = tokio::spawn(follow(Arc::clone(&store), Arc::clone(&ended)));

    let (mut writes, mut fault) = (JoinSet::new(), None);
    let mut tick = tokio::time::interval(TICK);
    for number in 0..FAULT_EVERY * (FAULTS.len() + 1) {
        tick.tick().await;
        for each in 0..EACH_TICK {
            writes.spawn(write(Arc::clone(&store), format!("{number}-{each}")));
        }
        if number % FAULT_EVERY == FAULT_EVERY / 2
            && let Some(next) = FAULTS.get(number / FAULT_EVERY)
        {
            if let Some(running) = fault.take() {
                let running: tokio::task::JoinHandle<()> = running;
                running.await.unwrap();
            }
            let (cluster, next) = (Arc::clone(&cluster), *next);
            fault = Some(tokio::task::spawn_blocking(move || next(&cluster)));
        }
    }
    if let Some(running) = fault.take() {
        running.await.unwrap();
    }
    let mut told = Told::default();
    while let Some(ended) = writes.join_next().await {
        match ended.unwrap() {
            (name, Ok(())) => told.done.push(name),
            (name, Err(CommitError::Unavailable(_))) => told.refused.push(name),
            (_, Err(CommitError::Unknown { .. })) => told.unknown += 1,
            (name, Err(error)) => panic!("{name}: {error:?}"),
        }
    }
    // It comes back by itself.
    let mut attempt = 0;
    while let (_, Err(error)) = write(Arc::clone(&store), format!("last-{attempt}")).await {
        attempt += 1;
        assert!(attempt < 600, "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    ended.store(true, Ordering::Relaxed);
    let followed = follower.await.unwrap();
    let loaded = Replica::load(&*store, &tables()).await;
    assert_eq!(followed.rows, loaded.rows, "who followed has something else than who loads");
    let has = |name: &str| loaded.row("disk", &[json!(name)]).is_some();
    let missing: Vec<&String> =
        told.done.iter().filter(|name| !has(name) || !has(&format!("{name}-b"))).collect();
    assert!(missing.is_empty(), "acknowledged, and not there: {missing:?}");
    let there: Vec<&String> = told.refused.iter().filter(|name| has(name)).collect();
    assert!(there.is_empty(), "refused, and there: {there:?}");
    assert_eq!(loaded.rows.len() % 2, 0, "half a transaction");
    println!("{} done, {} refused, {} unknown", told.done.len(), told.refused.len(), told.unknown);
    assert!(told.done.len() > 1000 && !told.refused.is_empty(), "{} done", told.done.len());
    assert_eq!(told.unknown, 0, "the server was always back in time to say how a commit ended");
}
