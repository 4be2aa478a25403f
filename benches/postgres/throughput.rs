//! Transactions of one row by many clients, each answered when whoever follows has the change; against `pgbench` doing the
//! same insertion, answered when it is committed.

use crate::config;
use anyhow::{Context, ensure};
use pony_benches::{Report, Sense, median};
use pony_state::RowOp;
use pony_store::conformance::Cluster;
use pony_store::{DesiredStore, Position, PostgresStore};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;

const CLIENTS: usize = 16;
const RUNS: usize = 3;
const SECONDS: u64 = 4;

/// Names rows, so that none is there twice.
static NEXT: AtomicU64 = AtomicU64::new(0);

pub(crate) async fn measure(report: &mut Report, cluster: &Cluster, database: &str) -> anyhow::Result<()> {
    let store = Arc::new(PostgresStore::open(&config(&cluster.address(database))?).await?);
    let (applied, seen) = watch::channel(*store.subscribe().borrow());
    let follower = tokio::spawn(follow(Arc::clone(&store), applied));
    let script = cluster.dir().join("insert.sql");
    let sql = "\\set key random(1, 9000000000000000000)\nINSERT INTO config (key, value) VALUES ('b-' || :key, '1');\n";
    std::fs::write(&script, sql)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        theirs.push(pgbench(cluster, database, &script.to_string_lossy())?);
        ours.push(pony(&store, &seen).await?);
    }
    follower.abort();
    let per_transaction = |tps: &[f64]| 1e3 / median(tps);
    report.figures(
        "transaction of one row, 16 clients",
        [("pony", per_transaction(&ours)), ("pgbench", per_transaction(&theirs))],
    );
    let ratios: Vec<f64> = ours.iter().zip(&theirs).map(|(our, their)| our / their).collect();
    report.target("transactions per second against pgbench", median(&ratios), 0.7, Sense::Min);
    Ok(())
}

/// Has read all that is told.
async fn follow(store: Arc<PostgresStore>, applied: watch::Sender<Position>) -> anyhow::Result<()> {
    let mut told = store.subscribe();
    let mut position = *applied.borrow();
    loop {
        told.mark_unchanged();
        let changes = store.changes_after(position, 4096).await?;
        if changes.position == position {
            told.changed().await?;
            continue;
        }
        position = changes.position;
        applied.send_replace(position);
    }
}

/// Transactions per second.
async fn pony(store: &Arc<PostgresStore>, seen: &watch::Receiver<Position>) -> anyhow::Result<f64> {
    let end = Instant::now() + Duration::from_secs(SECONDS);
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (store, mut seen) = (Arc::clone(store), seen.clone());
        clients.spawn(async move {
            let mut count = 0u32;
            while Instant::now() < end {
                let key = format!("a-{}", NEXT.fetch_add(1, Ordering::Relaxed));
                let Json::Object(row) = json!({"key": key, "value": 1}) else { continue };
                let committed = store.commit(vec![RowOp::Insert { table: "config".to_owned(), row }]).await?;
                seen.wait_for(|position| *position >= committed.position).await?;
                count += 1;
            }
            anyhow::Ok(count)
        });
    }
    let mut total = 0;
    while let Some(count) = clients.join_next().await {
        total += count??;
    }
    Ok(f64::from(total) / SECONDS as f64)
}

fn pgbench(cluster: &Cluster, database: &str, script: &str) -> anyhow::Result<f64> {
    let (dir, port) = (cluster.dir().to_string_lossy().into_owned(), cluster.port().to_string());
    let (clients, seconds) = (CLIENTS.to_string(), SECONDS.to_string());
    let server = ["-h", &dir, "-p", &port, "-U", pony_store::conformance::USER];
    let work = ["-n", "-M", "prepared", "-c", &clients, "-j", "2", "-T", &seconds, "-f", script, database];
    let output = cluster.run("pgbench", &[&server[..], &work[..]].concat());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "pgbench: {said}{}", String::from_utf8_lossy(&output.stderr));
    let line = said.lines().find(|line| line.starts_with("tps = ")).context("pgbench says no tps")?;
    Ok(line.split_whitespace().nth(2).context("pgbench says no tps")?.parse()?)
}
