//! The PostgreSQL store against what the server itself can do: loading everything against draining the same COPY, a
//! commit being seen against a bare NOTIFY, single-row transactions against `pgbench`. On a private server of its own.
//!
//! `PONY_BENCH_ROWS` sets how many rows there are to load.

mod latency;
mod load;
mod throughput;

use anyhow::Context;
use pony_benches::Report;
use pony_core::tables::table_schemas;
use pony_store::conformance::Cluster;
use pony_store::{PostgresConfig, PostgresStore, Server, cloud_migrations};

/// Rows to load: a cloud of a hundred thousand instances.
const ROWS: usize = 700_000;

/// The store of a database.
fn config(address: &str) -> anyhow::Result<PostgresConfig> {
    Ok(PostgresConfig::new(Server::new(address, None)?, table_schemas(), cloud_migrations()))
}

// As in the daemon.
#[global_allocator]
static HEAP: sparkle::Heap = sparkle::Heap;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let rows = std::env::var("PONY_BENCH_ROWS").map_or(Ok(ROWS), |text| text.parse())?;
    let cluster = match Cluster::start(&["shared_buffers = '512MB'", "max_wal_size = '4GB'"]) {
        Ok(cluster) => cluster,
        Err(why) => {
            println!("skipped: postgres: {why}");
            return Ok(());
        }
    };
    let mut report = Report::new("postgres", "ms");
    for database in ["full", "small"] {
        cluster.create(database);
        PostgresStore::migrate(&config(&cluster.address(database))?).await.context("migrating")?;
    }
    load::fill(&cluster, "full", rows)?;
    load::measure(&mut report, &cluster, "full", rows).await?;
    // What the load left for the disk to do is nobody's share of what comes.
    cluster.psql("full", "CHECKPOINT").map_err(anyhow::Error::msg)?;
    latency::measure(&mut report, &cluster, "small").await?;
    throughput::measure(&mut report, &cluster, "small").await?;
    Ok(report.finish()?)
}
