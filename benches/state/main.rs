//! `pony-state`'s basic operations against the least that they can cost (`limit`) and against SQLite in memory.
//!
//! `PONY_BENCH_INSTANCES` sets the size of the cloud.

mod limit;
mod peer;
mod pony;
mod sqlite;

use limit::Limit;
use peer::Peer;
use pony::Pony;
use pony_benches::workload::Cloud;
use pony_benches::{Op, Report, Rng, Sense, compare};
use pony_state::Read;
use sqlite::Sqlite;
use std::cell::RefCell;
use uuid::Uuid;

const SEED: u64 = 7;
const INSTANCES: usize = 10_000;
const RUNS: usize = 15;
const LOADS: usize = 5;

/// Look-ups or updates in one run: enough for the clock, few enough for the cache to stay as it is.
const BATCH: usize = 100;

/// Snapshots in one run; taking one costs some nanoseconds.
const SNAPSHOTS: usize = 10_000;

/// The peers, each full of the same rows.
struct Peers {
    pony: RefCell<Pony>,
    limit: RefCell<Limit>,
    sqlite: RefCell<Sqlite>,
}

/// A sum over what `one` gives for each key. A peer that fails gives a sum that no other has.
fn sum<K: Copy>(keys: &[K], mut one: impl FnMut(K) -> anyhow::Result<i64>) -> i64 {
    keys.iter().try_fold(0, |sum, key| one(*key).map(|value| sum + value)).unwrap_or_else(|error| {
        eprintln!("a peer failed: {error:#}");
        i64::MIN
    })
}

impl Peers {
    fn load(cloud: &Cloud) -> anyhow::Result<Self> {
        let (pony, limit) = (Pony::load(cloud)?.into(), Limit::load(cloud)?.into());
        Ok(Self { pony, limit, sqlite: Sqlite::load(cloud)?.into() })
    }

    /// Measures one operation on all peers, over all keys.
    fn compare<K: Copy>(
        &self,
        keys: &[K],
        one: fn(&mut dyn Peer, K) -> anyhow::Result<i64>,
    ) -> Vec<(&'static str, f64)> {
        let mut ops = [
            Op::new("pony", || sum(keys, |key| one(&mut *self.pony.borrow_mut(), key))),
            Op::new("limit", || sum(keys, |key| one(&mut *self.limit.borrow_mut(), key))),
            Op::new("sqlite", || sum(keys, |key| one(&mut *self.sqlite.borrow_mut(), key))),
        ];
        compare(RUNS, keys.len(), &mut ops)
    }
}

fn measure_load(report: &mut Report, cloud: &Cloud) {
    fn op<'a, P: Peer>(peer: &'static str, cloud: &'a Cloud) -> Op<'a> {
        Op::new(peer, move || sum(&[()], |()| P::load(cloud)?.scan()))
    }
    let mut ops = [op::<Pony>("pony", cloud), op::<Limit>("limit", cloud), op::<Sqlite>("sqlite", cloud)];
    report.figures("load, per instance", compare(LOADS, cloud.instances.len(), &mut ops));
}

fn measure_reads(report: &mut Report, peers: &Peers, cloud: &Cloud, rng: &mut Rng) {
    let mut some = |all: &[Uuid]| (0..BATCH).filter_map(|_| rng.pick(all).copied()).collect::<Vec<_>>();
    let instances = some(&cloud.instances.iter().map(|row| row.uuid).collect::<Vec<_>>());
    let (tenants, hosts) = (some(&cloud.tenants), some(&cloud.hosts));
    report.figures("get by key", peers.compare(&instances, |peer, key| peer.get(key)));
    report.figures("all of a tenant (100)", peers.compare(&tenants, |peer, key| peer.of_tenant(key)));
    report.figures("all on a host, both parts (500)", peers.compare(&hosts, |peer, key| peer.on_host(key)));
    report.figures("volumes of an instance", peers.compare(&instances, |peer, key| peer.volumes_of(key)));
    report.figures("scan of all", peers.compare(&[()], |peer, ()| peer.scan()));
}

/// Instances and where they go: all of them to one host, then each to another one, so that every step of every run
/// changes something.
fn moves(cloud: &Cloud, rng: &mut Rng) -> Vec<(Uuid, Uuid)> {
    let mut there = Vec::new();
    let mut back = Vec::new();
    for _ in 0..BATCH / 2 {
        let Some(instance) = rng.pick(&cloud.instances) else { continue };
        let place = rng.below(cloud.hosts.len());
        let next = (place + 1) % cloud.hosts.len();
        if there.iter().all(|(uuid, _)| *uuid != instance.uuid) {
            there.push((instance.uuid, cloud.hosts[place]));
            back.push((instance.uuid, cloud.hosts[next]));
        }
    }
    there.extend(back);
    there
}

fn measure_updates(report: &mut Report, peers: &Peers, cloud: &Cloud, rng: &mut Rng) {
    let moves = moves(cloud, rng);
    report.figures("update of a row", peers.compare(&moves, |peer, (uuid, host)| peer.update(uuid, host)));
    let beside = |(uuid, host)| {
        let snapshot = peers.pony.borrow().snapshot();
        let result = peers.pony.borrow_mut().update(uuid, host);
        std::hint::black_box(snapshot);
        result
    };
    let mut ops = [Op::new("pony", || sum(&moves, beside))];
    report.figures("update, a new snapshot each time", compare(RUNS, moves.len(), &mut ops));
}

fn measure_snapshots(report: &mut Report, peers: &Peers) {
    let pony = peers.pony.borrow();
    let take = || (0..SNAPSHOTS).map(|_| pony.snapshot().version() as i64).max().unwrap_or_default();
    report.figures("snapshot", compare(RUNS, SNAPSHOTS, &mut [Op::new("pony", take)]));
}

fn targets(report: &mut Report) {
    let reads = [
        "get by key",
        "all of a tenant (100)",
        "all on a host, both parts (500)",
        "volumes of an instance",
        "scan of all",
    ];
    for op in reads {
        report.at_least_as_fast(op, "pony", "limit", 0.5);
    }
    report.at_least_as_fast("update of a row", "pony", "limit", 0.5);
    for op in reads.into_iter().chain(["load, per instance"]) {
        report.at_least_as_fast(op, "pony", "sqlite", 5.0);
    }
    report.at_least_as_fast("update of a row", "pony", "sqlite", 1.5);
    if let Some(ns) = report.figure("snapshot", "pony") {
        report.target("snapshot, ns", ns, 1000.0, Sense::Max);
    }
}

fn main() -> anyhow::Result<()> {
    let size = std::env::var("PONY_BENCH_INSTANCES").map_or(Ok(INSTANCES), |text| text.parse())?;
    let (cloud, mut rng) = (Cloud::generate(size, SEED), Rng::new(SEED + 1));
    let mut report = Report::new("state", "ns");
    measure_load(&mut report, &cloud);
    let peers = Peers::load(&cloud)?;
    measure_reads(&mut report, &peers, &cloud, &mut rng);
    measure_updates(&mut report, &peers, &cloud, &mut rng);
    measure_snapshots(&mut report, &peers);
    targets(&mut report);
    Ok(report.finish()?)
}
