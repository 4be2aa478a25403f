//! Transactions of one row over the API by many clients, each answered when whoever reads sees it; against `pgbench` doing
//! the same insertion, answered when it is committed.

use anyhow::{Context, bail, ensure};
use pony_benches::{Client, Report, Sense, median};
use pony_store::conformance::Cluster;
use serde_json::json;
use sparkle::{Config, DatabaseArgs, HttpArgs, Sparkle};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const CLIENTS: usize = 16;
const RUNS: usize = 5;
const SECONDS: u64 = 3;

/// Names rows, so that none is there twice.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Transactions that the database did not take in time.
static REFUSED: AtomicU64 = AtomicU64::new(0);

pub(crate) async fn measure(report: &mut Report, cluster: &Cluster, database: &str) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let address = DatabaseArgs { database: Some(cluster.address(database)), ..DatabaseArgs::default() };
    let any = "127.0.0.1:0".parse()?;
    let http = HttpArgs::default();
    let dir_of_it = dir.path().to_owned();
    let config = Config { dir: dir_of_it, listen: any, zmq: any, enroll: false, database: address, http };
    let sparkle = Sparkle::start(config).await?;
    let script = cluster.dir().join("insert.sql");
    let sql = "\\set key random(1, 9000000000000000000)\nINSERT INTO config (key, value) VALUES ('b-' || :key, '1');\n";
    std::fs::write(&script, sql)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for run in 0..=RUNS {
        let (their, our) = (pgbench(cluster, database, &script.to_string_lossy())?, pony(&sparkle).await?);
        if run > 0 {
            theirs.push(their);
            ours.push(our);
        }
    }
    sparkle.shutdown().await;
    match REFUSED.load(Ordering::Relaxed) {
        0 => {}
        refused => println!("{refused} transactions were refused: the disk stood still for 900 ms"),
    }
    let per_transaction = |tps: &[f64]| 1e3 / median(tps);
    report.figures(
        "transaction of one row, 16 clients, over HTTP",
        [("pony", per_transaction(&ours)), ("pgbench", per_transaction(&theirs))],
    );
    let ratios: Vec<f64> = ours.iter().zip(&theirs).map(|(our, their)| our / their).collect();
    report.target("API transactions per second against pgbench", median(&ratios), 0.7, Sense::Min);
    Ok(())
}

/// Transactions per second.
async fn pony(sparkle: &Sparkle) -> anyhow::Result<f64> {
    let credentials = std::fs::read_to_string(sparkle.credentials())?;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(Client::connect(sparkle.api(), &credentials).await?);
    }
    let start = Instant::now();
    let end = start + Duration::from_secs(SECONDS);
    let mut running = JoinSet::new();
    for mut client in clients {
        running.spawn(async move {
            let mut count = 0u32;
            while Instant::now() < end {
                let key = format!("a-{}", NEXT.fetch_add(1, Ordering::Relaxed));
                let row = json!({"desired": {"key": key, "value": 1}});
                match client.ask("POST", "/v1/config/", &row.to_string()).await? {
                    (200, _) => count += 1,
                    // The disk stood still for so long; `pgbench` waits then.
                    (503, _) => drop(REFUSED.fetch_add(1, Ordering::Relaxed)),
                    (status, body) => bail!("{status}: {body}"),
                }
            }
            anyhow::Ok(count)
        });
    }
    let mut total = 0;
    while let Some(count) = running.join_next().await {
        total += count??;
    }
    Ok(f64::from(total) / start.elapsed().as_secs_f64())
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
