//! What reader and writer cost each other in `pony-state`.

use crate::limit::Limit;
use crate::peer::{Local, Peer, Work};
use crate::pony::Pony;
use crate::{SEED, beside, moves};
use anyhow::Context;
use pony_benches::workload::Cloud;
use pony_benches::{Report, Rng, Sense, median};
use std::time::Instant;
use uuid::Uuid;

/// In each round every measurement has its turn.
const ROUNDS: usize = 9;

/// Scans of one measurement.
const SCANS: usize = 100;

/// How often the system took the processor away from this thread.
fn preemptions() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("nonvoluntary_ctxt_switches:"));
    line.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

/// The longest update while a reader scans one snapshot after the other, in milliseconds, waits for locks included. An
/// update in which the system took the processor away does not count: that is no stall of the engine.
fn longest_stall_ms(pony: &mut Pony, moves: &[(Uuid, Uuid)]) -> anyhow::Result<f64> {
    let mut longest_ns = 0;
    let scanner = pony.scanner().context("pony has snapshots")?;
    beside::measure(scanner, SCANS, || {
        let mut before = preemptions();
        for (instance, host) in moves {
            let start = Instant::now();
            pony.update(*instance, *host)?;
            let took_ns = start.elapsed().as_nanos();
            if took_ns > longest_ns {
                let now = preemptions();
                longest_ns = if now == before { took_ns } else { longest_ns };
                before = now;
            }
        }
        Ok(moves.len())
    })?;
    Ok(longest_ns as f64 / 1e6)
}

/// How long a scan takes on a thread of its own, with nobody beside it.
fn alone_ns(pony: &Pony) -> anyhow::Result<f64> {
    let scanner = pony.scanner().context("pony has snapshots")?;
    let scans = std::thread::scope(|scope| scope.spawn(|| beside::scan(scanner, SCANS)).join());
    Ok(median(&scans.map_err(|_| anyhow::anyhow!("the reader panicked"))??))
}

pub(crate) fn measure(report: &mut Report, cloud: &Cloud) -> anyhow::Result<()> {
    let mut rng = Rng::new(SEED + 3);
    let keys: Vec<Uuid> = cloud.members.iter().map(|member| member.instance.uuid).collect();
    let moves = moves(&keys, &cloud.hosts, 2000, &mut rng);
    let (mut pony, mut limit) = (Pony::create()?, Local::<Limit>::load(cloud)?);
    pony.add(&cloud.members)?;
    let (mut slowed, mut update, mut stalls) = (Vec::new(), Vec::new(), Vec::new());
    let (mut alone, mut beside_another, mut beside_ours) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let least_ns = crate::peer::Driver::run(&mut limit, Work::Update(&moves))?.ns / moves.len() as f64;
        let alone_ns = alone_ns(&pony)?;
        // What two busy threads cost each other on this machine anyway.
        let scanner = pony.scanner().context("pony has snapshots")?;
        let another = beside::measure(scanner, SCANS, || {
            crate::peer::Driver::run(&mut limit, Work::Update(&moves)).map(|_| moves.len())
        })?;
        let scanner = pony.scanner().context("pony has snapshots")?;
        let both = beside::measure(scanner, SCANS, || {
            moves.iter().try_for_each(|(instance, host)| pony.update(*instance, *host).map(drop))?;
            Ok(moves.len())
        })?;
        slowed.push(both.scan_ns / alone_ns);
        alone.push(alone_ns);
        beside_another.push(another.scan_ns);
        beside_ours.push(both.scan_ns);
        update.push(least_ns / both.update_ns);
        stalls.push(longest_stall_ms(&mut pony, &moves)?);
    }
    let scans = [("alone", alone), ("beside limit's", beside_another), ("beside its own", beside_ours)];
    report.figures("scan and a writer", scans.iter().map(|(name, ns)| (*name, median(ns))));
    report.target("update beside a scanning reader: speed against limit", median(&update), 0.25, Sense::Min);
    report.target("scan beside a committing writer: time against alone", median(&slowed), 1.2, Sense::Max);
    let longest = stalls.iter().copied().fold(0.0, f64::max);
    report.target("longest writer stall beside a scanning reader, ms", longest, 10.0, Sense::Max);
    Ok(())
}
