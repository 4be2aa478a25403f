//! `pony-state` against what somebody would take instead, and against the least that the same work can cost (`limit`).
//!
//! `PONY_BENCH_INSTANCES` sets the size of the cloud; `PONY_BENCH_ONLY` names the only part to measure: `speed`,
//! `beside`, `growth` or `memory`; `PONY_BENCH_PEERS` the only peers of `speed` (`pony,limit`).

mod beside;
mod embedded;
mod growth;
mod limit;
mod memdb;
mod multi_index;
mod peer;
mod persistent;
mod pony;
mod resident;
mod side;
mod sqlite;
mod targets;

use embedded::Embedded;
use limit::Limit;
use memdb::Memdb;
use multi_index::MultiIndex;
use peer::{Driver, Local, Peer, Work};
use persistent::Persistent;
use pony::Pony;
use pony_benches::workload::Cloud;
use pony_benches::{Op, Report, Rng, compare};
use pony_state::Read;
use sqlite::Sqlite;
use uuid::Uuid;

/// Sparkle's allocator, for all peers alike. With the system's a reader that gives up a snapshot waits for the writer:
/// memory that another thread allocated is freed under a lock there.
#[global_allocator]
static HEAP: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SEED: u64 = 7;
const INSTANCES: usize = 100_000;
const RUNS: usize = 11;
const LOADS: usize = 3;

/// Rows that are asked for, or updated, again and again: what they cost is the peer's work, not the memory's. What they
/// cost where every one is far away is measured in `growth`.
const KEYS: usize = 100;

/// How often each is asked for in one run.
const ROUNDS: usize = 20;

/// Look-ups of many rows in one run.
const LISTS: usize = 20;

/// Snapshots in one run; taking one costs some nanoseconds.
const SNAPSHOTS: usize = 10_000;

/// Scans of each peer beside its writer.
const SCANS: usize = 20;

type Drivers<'a> = Vec<Box<dyn Driver + 'a>>;

/// The peers that are wanted, all of them loaded.
fn drivers<'a>(cloud: &'a Cloud, dir: &std::path::Path) -> anyhow::Result<Drivers<'a>> {
    let wanted = std::env::var("PONY_BENCH_PEERS").ok();
    let mut drivers: Drivers<'a> = Vec::new();
    let mut add = |name: &str, load: &dyn Fn() -> anyhow::Result<Option<Box<dyn Driver + 'a>>>| {
        if wanted.as_deref().is_none_or(|it| it.split(',').any(|it| it == name)) {
            drivers.extend(load()?);
        }
        anyhow::Ok(())
    };
    add(Pony::NAME, &|| local::<Pony>(cloud))?;
    add(Limit::NAME, &|| local::<Limit>(cloud))?;
    add(Sqlite::NAME, &|| local::<Sqlite>(cloud))?;
    add(MultiIndex::NAME, &|| local::<MultiIndex>(cloud))?;
    add(Persistent::NAME, &|| local::<Persistent>(cloud))?;
    add(Embedded::NAME, &|| local::<Embedded>(cloud))?;
    add(Memdb::NAME, &|| Ok(Memdb::load(dir, cloud)?.map(|it| Box::new(it) as Box<dyn Driver>)))?;
    Ok(drivers)
}

fn local<'a, P: Peer + 'a>(cloud: &'a Cloud) -> anyhow::Result<Option<Box<dyn Driver + 'a>>> {
    Ok(Some(Box::new(Local::<P>::load(cloud)?)))
}

/// Measures one operation on all peers. A peer that fails finds what no other does.
fn measure(
    report: &mut Report,
    drivers: &mut Drivers<'_>,
    name: &str,
    runs: usize,
    units: usize,
    work: Work<'_>,
) {
    let mut ops: Vec<Op<'_>> = drivers
        .iter_mut()
        .map(|driver| {
            let peer = driver.name();
            Op::timed(peer, move || {
                driver.run(work).map(|outcome| (outcome.found, outcome.ns)).unwrap_or_else(|error| {
                    eprintln!("{peer} failed: {error:#}");
                    (i64::MIN, 0.0)
                })
            })
        })
        .collect();
    report.figures(name, compare(runs, units, &mut ops));
}

fn pick(rng: &mut Rng, of: &[Uuid], count: usize) -> Vec<Uuid> {
    (0..count).filter_map(|_| rng.pick(of).copied()).collect()
}

/// Instances and where they go: all of them to one host, then each to another one, so that every step of every run
/// changes something.
fn moves(instances: &[Uuid], hosts: &[Uuid], count: usize, rng: &mut Rng) -> Vec<(Uuid, Uuid)> {
    let mut there = Vec::new();
    let mut back = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..count / 2 {
        let Some(&instance) = rng.pick(instances) else { continue };
        let place = rng.below(hosts.len());
        let next = (place + 1) % hosts.len();
        if seen.insert(instance) {
            there.push((instance, hosts[place]));
            back.push((instance, hosts[next]));
        }
    }
    there.extend(back);
    there
}

fn speed(report: &mut Report, cloud: &Cloud) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let mut all = drivers(cloud, dir.path())?;
    let mut rng = Rng::new(SEED + 1);
    let keys: Vec<Uuid> = cloud.members.iter().map(|member| member.instance.uuid).collect();
    let instances = pick(&mut rng, &keys, KEYS).repeat(ROUNDS);
    let mut lists = |of: &[Uuid]| pick(&mut rng, of, LISTS).repeat(ROUNDS);
    let (tenants, hosts) = (lists(&cloud.tenants), lists(&cloud.hosts));
    let moves = moves(&keys, &cloud.hosts, KEYS, &mut rng).repeat(ROUNDS);
    let works = [
        (targets::GET, Work::Get(&instances)),
        (targets::TENANT, Work::OfTenant(&tenants)),
        (targets::HOST, Work::OnHost(&hosts)),
        (targets::VOLUMES, Work::VolumesOf(&instances)),
        (targets::SCAN, Work::Scan),
        (targets::UPDATE, Work::Update(&moves)),
    ];
    measure(report, &mut all, targets::LOAD, LOADS, cloud.members.len(), Work::Load);
    for (name, work) in works {
        measure(report, &mut all, name, RUNS, work.units(), work);
    }
    let (mut scans, mut updates) = (Vec::new(), Vec::new());
    for driver in &mut all {
        if let Some(both) = driver.beside(&moves, SCANS)? {
            scans.push((driver.name(), both.scan_ns));
            updates.push((driver.name(), both.update_ns));
        }
    }
    report.figures(targets::SCAN_BESIDE, scans);
    report.figures(targets::UPDATE_BESIDE, updates);
    snapshots(report)?;
    targets::speed(report);
    Ok(())
}

fn snapshots(report: &mut Report) -> anyhow::Result<()> {
    let pony = Pony::create()?;
    let take = || (0..SNAPSHOTS).map(|_| pony.snapshot().version() as i64).max().unwrap_or_default();
    report.figures(targets::SNAPSHOT, compare(RUNS, SNAPSHOTS, &mut [Op::new("pony", take)]));
    Ok(())
}

fn main() -> anyhow::Result<()> {
    if resident::serve()? {
        return Ok(());
    }
    let size = std::env::var("PONY_BENCH_INSTANCES").map_or(Ok(INSTANCES), |text| text.parse())?;
    let only = std::env::var("PONY_BENCH_ONLY").ok();
    let wanted = |part: &str| only.as_deref().is_none_or(|only| only == part);
    let mut report = Report::new("state", "ns");
    if wanted("speed") || wanted("beside") {
        let cloud = Cloud::generate(size, SEED);
        if wanted("speed") {
            speed(&mut report, &cloud)?;
        }
        if wanted("beside") {
            side::measure(&mut report, &cloud)?;
        }
    }
    if wanted("growth") {
        growth::measure(&mut report)?;
    }
    if wanted("memory") {
        targets::memory(&mut report, size)?;
    }
    Ok(report.finish()?)
}
