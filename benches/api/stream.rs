//! A thousand watchers of a thousand changes a second.
//!
//! Changes are reports of hosts, written to memory as the controller does; a report carries the time at which it was
//! written. Every watcher reads every event.

use crate::cloud::Cloud;
use anyhow::Context;
use memchr::memmem::Finder;
use pony_benches::{Report, Sense, percentile};
use pony_core::tables::{Instance, InstanceCurrent, InstanceStatus};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Barrier;

const WATCHERS: usize = 1_000;
const CHANGES_PER_S: u32 = 1_000;
const SECONDS: u32 = 10;
/// The first of them find caches cold and are not counted.
const WARM_UP_S: u32 = 2;
/// How long the last events may take; beyond it something is broken.
const PATIENCE: Duration = Duration::from_secs(60);
const P99_MS: f64 = 50.0;
/// What the process may gain while events flow: what the log keeps, and as much again for all else, MiB.
const GROWTH_MIB: f64 = 128.0;
const READ_BYTES: usize = 64 << 10;

pub(crate) async fn measure(report: &mut Report, cloud: &Cloud) -> anyhow::Result<()> {
    let (epoch, ready) = (Instant::now(), Arc::new(Barrier::new(WATCHERS + 1)));
    let mut watchers = tokio::task::JoinSet::new();
    for _ in 0..WATCHERS {
        let stream = open(cloud).await?;
        watchers.spawn(watch(stream, Arc::clone(&ready), epoch));
    }
    tokio::time::timeout(PATIENCE, ready.wait()).await.context("not all streams began")?;
    let before = resident_mib();
    let (state, instances) = (cloud.sparkle.state().clone(), cloud.instances.clone());
    let writer = std::thread::spawn(move || write(&state, &instances, epoch));
    let all = tokio::time::timeout(PATIENCE, watchers.join_all()).await.context("not all events came")?;
    writer.join().ok().context("the writer ended badly")?;
    let growth = resident_mib() - before;
    let mut us = Vec::new();
    let mut delivered = 0;
    for told in all {
        let told = told?;
        delivered += told.len();
        us.extend(told.iter().skip((CHANGES_PER_S * WARM_UP_S) as usize).map(|us| f64::from(*us)));
    }
    let expected = WATCHERS * (CHANGES_PER_S * SECONDS) as usize;
    let (p50, p99) = (percentile(&us, 50), percentile(&us, 99));
    report.figures("change to watcher, 1,000 watchers, 1,000 changes/s", [("median", p50), ("p99", p99)]);
    report.target("events that were delivered, of all", delivered as f64 / expected as f64, 1.0, Sense::Min);
    report.target("change to watcher, p99, ms", p99 / 1e3, P99_MS, Sense::Max);
    report.target("memory gained meanwhile, client included, MiB", growth, GROWTH_MIB, Sense::Max);
    Ok(())
}

async fn open(cloud: &Cloud) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(cloud.sparkle.api()).await?;
    let auth = &cloud.auth;
    let request = format!(
        "GET /v1/event-stream?table=instance HTTP/1.1\r\nHost: bench\r\nAuthorization: {auth}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    Ok(stream)
}

/// Reads all events; how long each took, microseconds.
async fn watch(mut stream: TcpStream, ready: Arc<Barrier>, epoch: Instant) -> anyhow::Result<Vec<u32>> {
    let (mut buffer, mut us) = (Vec::with_capacity(READ_BYTES), Vec::new());
    let (event, time) = (Finder::new(b"\ndata: "), Finder::new(b"\"error\":\"t"));
    let expected = (CHANGES_PER_S * SECONDS) as usize;
    // The greeting says that the stream has begun.
    while Finder::new(b"id: ").find(&buffer).is_none() {
        anyhow::ensure!(stream.read_buf(&mut buffer).await? > 0, "the stream ended");
    }
    ready.wait().await;
    buffer.clear();
    while us.len() < expected {
        anyhow::ensure!(stream.read_buf(&mut buffer).await? > 0, "the stream ended");
        let now = epoch.elapsed().as_micros() as u64;
        let end = memchr::memrchr(b'\n', &buffer).map_or(0, |at| at + 1);
        let mut rest = &buffer[..end];
        while let Some(at) = event.find(rest) {
            rest = &rest[at + 7..];
            let line = &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())];
            let at = time.find(line).context("an event of something else")? + 10;
            let digits = line[at..].iter().take_while(|byte| byte.is_ascii_digit());
            let sent = digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
            us.push(u32::try_from(now.saturating_sub(sent)).unwrap_or(u32::MAX));
        }
        // A line break may belong to the event of which the rest is still to come.
        buffer.drain(..end.saturating_sub(1));
    }
    Ok(us)
}

/// Writes the changes, evenly spread over the time.
fn write(state: &pony_state::SharedState, instances: &[uuid::Uuid], epoch: Instant) {
    let begun = Instant::now();
    for number in 0..CHANGES_PER_S * SECONDS {
        let due = begun + Duration::from_secs(1) * number / CHANGES_PER_S;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let Some(instance) = instances.get(number as usize % instances.len()) else { continue };
        let current = InstanceCurrent {
            status: InstanceStatus::Running,
            host: None,
            error: Some(format!("t{}", epoch.elapsed().as_micros()).into()),
            attempts: i64::from(number),
            next_retry: None,
            console: None,
            pending_restart: None,
            progress: None,
        };
        let written = state.write(|tx| {
            tx.set_current::<Instance>(instance, current);
            Ok::<_, Infallible>(())
        });
        let Ok(_) = written;
    }
}

/// What the process has in memory, MiB.
fn resident_mib() -> f64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = pages.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok()).unwrap_or_default();
    pages * 4096.0 / f64::from(1 << 20)
}
