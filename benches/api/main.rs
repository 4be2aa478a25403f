//! The REST API of a whole Sparkle on loopback, client and server on one machine: an entity, a list, a stream of changes.
//!
//! `PONY_BENCH_ONLY` names the only part to measure: `get`, `list` or `stream`.

mod client;
mod cloud;
mod get;
mod list;
mod stream;

use cloud::Cloud;
use pony_benches::Report;

// As in the daemon.
#[global_allocator]
static HEAP: sparkle::Heap = sparkle::Heap;

fn main() -> anyhow::Result<()> {
    let only = std::env::var("PONY_BENCH_ONLY").ok();
    let wanted = |part: &str| only.as_deref().is_none_or(|only| only == part);
    let mut report = Report::new("api", "us");
    // The server has threads of its own, as it would have a process of its own.
    let server = tokio::runtime::Runtime::new()?;
    let cloud = server.block_on(Cloud::start())?;
    let clients = tokio::runtime::Runtime::new()?;
    if wanted("get") {
        clients.block_on(get::measure(&mut report, &cloud, server.handle()))?;
    }
    if wanted("list") {
        clients.block_on(list::measure(&mut report, &cloud))?;
    }
    if wanted("stream") {
        clients.block_on(stream::measure(&mut report, &cloud))?;
    }
    server.block_on(cloud.stop());
    Ok(report.finish()?)
}
