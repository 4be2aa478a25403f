//! What is promised of the figures.

use crate::limit::Limit;
use crate::peer::Peer;
use crate::resident;
use pony_benches::{Report, Sense};

pub(crate) const LOAD: &str = "load all, per instance";
pub(crate) const GET: &str = "get by key";
pub(crate) const TENANT: &str = "all of a tenant (100)";
pub(crate) const HOST: &str = "all on a host, both parts (500)";
pub(crate) const VOLUMES: &str = "volumes of an instance";
pub(crate) const SCAN: &str = "scan of all";
pub(crate) const UPDATE: &str = "update of a row";
pub(crate) const SCAN_BESIDE: &str = "scan beside a writer";
pub(crate) const UPDATE_BESIDE: &str = "update beside a reader";
pub(crate) const SNAPSHOT: &str = "snapshot";

const READS: [&str; 5] = [GET, TENANT, HOST, VOLUMES, SCAN];

/// The size of the cloud that must fit into [`RESIDENT_MIB`].
const LARGE: usize = 1_000_000;
const RESIDENT_MIB: f64 = 2048.0;

pub(crate) fn speed(report: &mut Report) {
    for op in READS {
        report.at_least_as_fast(op, "pony", "limit", 0.5);
    }
    report.at_least_as_fast(UPDATE, "pony", "limit", 0.5);
    for peer in ["memdb", "redb"] {
        for op in READS.into_iter().chain([LOAD, UPDATE, SCAN_BESIDE, UPDATE_BESIDE]) {
            report.at_least_as_fast(op, "pony", peer, 10.0);
        }
    }
    for op in READS.into_iter().chain([LOAD]) {
        report.at_least_as_fast(op, "pony", "sqlite", 5.0);
    }
    report.at_least_as_fast(UPDATE, "pony", "sqlite", 1.5);
    if let Some(ns) = report.figure(SNAPSHOT, "pony") {
        report.target("snapshot, ns", ns, 1000.0, Sense::Max);
    }
}

pub(crate) fn memory(report: &mut Report, instances: usize) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    for peer in resident::PEERS {
        bytes.push((peer, resident::of(peer, instances)? / instances as f64));
    }
    report.figures("resident bytes per instance", bytes);
    let of = |peer| report.figure("resident bytes per instance", peer).unwrap_or(f64::NAN);
    let ratio = of("pony") / of(Limit::NAME);
    report.target("resident bytes against limit", ratio, 1.4, Sense::Max);
    let mib = resident::of("pony", LARGE)? / f64::from(1 << 20);
    report.target("1,000,000 instances with all that is theirs, MiB", mib, RESIDENT_MIB, Sense::Max);
    Ok(())
}
