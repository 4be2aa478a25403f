//! Resident memory of a peer that holds the cloud. Each is measured in a process of its own, which this bench starts from
//! itself, so that nobody fills what another left.

use crate::embedded::Embedded;
use crate::limit::Limit;
use crate::multi_index::MultiIndex;
use crate::peer::Peer;
use crate::persistent::Persistent;
use crate::pony::Pony;
use crate::sqlite::Sqlite;
use anyhow::{Context, bail, ensure};
use pony_benches::workload::Members;
use std::process::Command;

/// Set in such a process: `PEER INSTANCES`.
const VARIABLE: &str = "PONY_BENCH_RESIDENT";

/// Rows are made, and handed over, for so many instances at a time: what the making leaves behind is little.
const BATCH: usize = 1000;

/// What this process holds in memory, in bytes, but for the pages of its files.
fn resident() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status").context("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).context("no RssAnon")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024.0)
}

fn measure<P: Peer>(instances: usize) -> anyhow::Result<f64> {
    let mut members = Members::new(instances, crate::SEED);
    let mut peer = P::create()?;
    let mut batch: Vec<_> = members.by_ref().take(BATCH).collect();
    let before = resident()?;
    while !batch.is_empty() {
        peer.add(&batch)?;
        batch.clear();
        batch.extend(members.by_ref().take(BATCH));
    }
    let held = resident()? - before;
    ensure!(peer.read(&mut |reads| reads.scan())? > 0, "{} holds nothing", P::NAME);
    Ok(held)
}

/// Where this process was started to measure one peer: does that. Says whether it was.
pub(crate) fn serve() -> anyhow::Result<bool> {
    let Ok(order) = std::env::var(VARIABLE) else { return Ok(false) };
    let (peer, instances) = order.split_once(' ').context("PEER INSTANCES")?;
    let instances = instances.parse()?;
    let bytes = match peer {
        Pony::NAME => measure::<Pony>(instances)?,
        Limit::NAME => measure::<Limit>(instances)?,
        Sqlite::NAME => measure::<Sqlite>(instances)?,
        MultiIndex::NAME => measure::<MultiIndex>(instances)?,
        Persistent::NAME => measure::<Persistent>(instances)?,
        Embedded::NAME => measure::<Embedded>(instances)?,
        _ => bail!("no peer {peer}"),
    };
    println!("{bytes}");
    Ok(true)
}

/// The peers that are measured.
pub(crate) const PEERS: [&str; 6] =
    [Pony::NAME, Limit::NAME, Sqlite::NAME, MultiIndex::NAME, Persistent::NAME, Embedded::NAME];

/// The bytes that a peer holds for a cloud of that size.
pub(crate) fn of(peer: &str, instances: usize) -> anyhow::Result<f64> {
    let output = Command::new(std::env::current_exe()?)
        .env(VARIABLE, format!("{peer} {instances}"))
        .output()
        .context("starting a process to measure")?;
    ensure!(output.status.success(), "measuring {peer}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}
