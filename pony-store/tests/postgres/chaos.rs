//! A thousand writes a second, or as many of them as the machine takes, while the server's sessions are ended, the server
//! is stopped, killed and started again: nothing that was acknowledged is missing, nothing that was refused is there,
//! and whoever followed has what somebody loads.

use crate::fixture::{config, skip};
use pony_state::RowOp;
use pony_store::conformance::{Cluster, Replica, Stop, insert, tables};
use pony_store::{CommitError, DesiredStore, FeedError, PostgresStore};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::MissedTickBehavior;

/// Writes that begin in one tick, and how long that is: a thousand a second.
const EACH_TICK: usize = 10;
const TICK: Duration = Duration::from_millis(10);
/// Writes that are acknowledged before, between and after the faults.
const DONE_BETWEEN: usize = 1_000;
/// Groups under way at once; while there are more, nothing new is begun: the machine gives no more.
const UNDER_WAY_MAX: usize = 200;
/// How long a busy machine may take for the writes between two faults, a restart included.
const PATIENCE: Duration = Duration::from_secs(120);

/// A write, and how it ended.
type Ended = (String, Result<(), CommitError>);

#[derive(Debug, Default)]
struct Told {
    done: Vec<String>,
    refused: Vec<String>,
    unknown: Vec<String>,
}

impl Told {
    fn note(&mut self, (name, result): Ended) {
        match result {
            Ok(()) => self.done.push(name),
            Err(CommitError::Unavailable(_)) => self.refused.push(name),
            Err(CommitError::Unknown { .. }) => self.unknown.push(name),
            Err(error) => panic!("{name}: {error:?}"),
        }
    }

    /// Writes until so many more are done.
    async fn write(&mut self, store: &Arc<PostgresStore>, phase: usize) {
        let enough = self.done.len() + DONE_BETWEEN;
        self.write_while(store, &format!("{phase}"), |told| told.done.len() < enough).await;
    }

    /// Writes until the fault is over.
    async fn write_during(&mut self, store: &Arc<PostgresStore>, phase: usize, fault: JoinHandle<()>) {
        self.write_while(store, &format!("{phase}-fault"), |_| !fault.is_finished()).await;
        fault.await.unwrap();
    }

    async fn write_while(&mut self, store: &Arc<PostgresStore>, name: &str, goes_on: impl Fn(&Self) -> bool) {
        let (start, mut writes, mut number) = (Instant::now(), JoinSet::new(), 0);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while goes_on(self) {
            assert!(start.elapsed() < PATIENCE, "{name}: {} done", self.done.len());
            tokio::select! {
                Some(ended) = writes.join_next() => self.note_all(ended),
                _ = tick.tick(), if writes.len() < UNDER_WAY_MAX => {
                    let names = (0..EACH_TICK).map(|each| format!("{name}-{number}-{each}")).collect();
                    writes.spawn(write(Arc::clone(store), names));
                    number += 1;
                }
            }
        }
        while let Some(ended) = writes.join_next().await {
            self.note_all(ended);
        }
    }

    fn note_all(&mut self, ended: Result<Vec<Ended>, JoinError>) {
        for ended in ended.unwrap() {
            self.note(ended);
        }
    }
}

fn pair(name: &str) -> Vec<RowOp> {
    vec![
        insert("disk", json!({"id": format!("{name}-b"), "parent": name})),
        insert("disk", json!({"id": name})),
    ]
}

/// Writes that came together, each with how it ended.
async fn write(store: Arc<PostgresStore>, names: Vec<String>) -> Vec<Ended> {
    let results = store.commit_all(names.iter().map(|name| pair(name)).collect()).await;
    assert_eq!(results.len(), names.len(), "none of them is refused by itself");
    names.into_iter().zip(results).map(|(name, result)| (name, result.map(|_| ()))).collect()
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

    let start = Instant::now();
    let mut told = Told::default();
    for (number, fault) in FAULTS.iter().map(Some).chain([None]).enumerate() {
        told.write(&store, number).await;
        if let Some(fault) = fault {
            let (cluster, store, fault) = (Arc::clone(&cluster), Arc::clone(&store), *fault);
            let fault = tokio::task::spawn_blocking(move || fault(&cluster));
            told.write_during(&store, number, fault).await;
        }
    }
    let rate = told.done.len() as f64 / start.elapsed().as_secs_f64();
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
    let halves: Vec<&String> =
        told.unknown.iter().filter(|name| has(name) != has(&format!("{name}-b"))).collect();
    assert!(halves.is_empty(), "half done: {halves:?}");
    let (done, refused, unknown) = (told.done.len(), told.refused.len(), told.unknown.len());
    println!("{done} done, {rate:.0} a second, outages included; {refused} refused, {unknown} unknown");
    assert!(refused > 0, "no write met a fault");
}
