//! From a commit, by somebody else, to the change in the hands of whoever follows; against a bare NOTIFY. The clock starts
//! when the commit is answered: until then it waits for the disk, which a bare NOTIFY does not.

use crate::config;
use anyhow::Context;
use pony_benches::{Report, Sense, median, percentile};
use pony_store::conformance::Cluster;
use pony_store::{DesiredStore, PostgresStore};
use std::future::poll_fn;
use std::time::Instant;
use tokio::sync::mpsc;
use tokio_postgres::{AsyncMessage, NoTls};

/// Of each, in turn: the 99th percentile is the 20th from the top.
const ROUNDS: usize = 2_000;

pub(crate) async fn measure(report: &mut Report, cluster: &Cluster, database: &str) -> anyhow::Result<()> {
    let address = cluster.address(database);
    let store = PostgresStore::open(&config(&address)?).await?;
    let (writer, connection) = tokio_postgres::connect(&address, NoTls).await?;
    tokio::spawn(connection);
    let (listener, mut connection) = tokio_postgres::connect(&address, NoTls).await?;
    let (heard, mut hears) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
            if let AsyncMessage::Notification(_) = message
                && heard.send(Instant::now()).await.is_err()
            {
                return;
            }
        }
    });
    listener.batch_execute("LISTEN bare").await?;
    let mut told = store.subscribe();
    let mut position = *told.borrow();
    let (mut bare, mut seen) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let start = Instant::now();
        writer.batch_execute("NOTIFY bare").await?;
        let at = hears.recv().await.context("the listener is gone")?;
        bare.push(at.duration_since(start).as_secs_f64() * 1e3);

        let sql = format!("BEGIN; INSERT INTO config (key, value) VALUES ('latency-{round}', '1')");
        writer.batch_execute(&sql).await?;
        told.mark_unchanged();
        let commit = async {
            writer.batch_execute("COMMIT").await?;
            anyhow::Ok(Instant::now())
        };
        let sees = async {
            loop {
                told.changed().await?;
                let changes = store.changes_after(position, 100).await?;
                position = changes.position;
                if !changes.changes.is_empty() {
                    return anyhow::Ok(Instant::now());
                }
            }
        };
        let (committed, at) = tokio::join!(commit, sees);
        seen.push(at?.saturating_duration_since(committed?).as_secs_f64() * 1e3);
    }
    report.figures("commit to change seen, median", [("pony", median(&seen)), ("NOTIFY", median(&bare))]);
    let (p99, bare_p99) = (percentile(&seen, 99), percentile(&bare, 99));
    report.figures("commit to change seen, p99", [("pony", p99), ("NOTIFY", bare_p99)]);
    report.target("commit to change seen: p99 against a bare NOTIFY", p99 / bare_p99, 2.0, Sense::Max);
    Ok(())
}
