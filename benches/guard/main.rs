//! Counts instructions instead of time, which says little on a busy machine: one operation of `pony-state` at a time under
//! callgrind, twice and three times as often, so that the difference is the operation alone. Compares with `baseline.json`;
//! `PONY_GUARD=write` writes that file anew. Without valgrind it says so and ends.

use anyhow::{Context, bail, ensure};
use pony_benches::Rng;
use pony_benches::workload::{Cloud, Instance, Vdisk, Volume};
use pony_state::{Read, State, Subscription};
use serde_json::{Map, Value as Json};
use std::path::Path;
use std::process::Command;
use uuid::Uuid;

const SEED: u64 = 7;
const INSTANCES: usize = 2000;

/// How often the operation is done in the two runs that are compared.
const FEW: usize = 1000;
const MANY: usize = 3000;

/// By how much a count may exceed the baseline: compilers and seeds of hashers differ.
const TOLERANCE: f64 = 1.15;

/// The operations.
const OPS: [&str; 7] = ["get", "of_tenant", "volumes_of", "update", "update_shared", "insert", "scan_row"];

struct Rows {
    state: State,
    events: Subscription,
    cloud: Cloud,
}

fn load() -> anyhow::Result<Rows> {
    let cloud = Cloud::generate(INSTANCES, SEED);
    let tables = State::builder().table::<Instance>().table::<Volume>().table::<Vdisk>();
    let mut state = tables.build()?;
    let mut tx = state.transaction();
    for member in &cloud.members {
        tx.put(member.instance.clone());
        for index in 0..member.volumes.len() {
            tx.put(member.volumes[index].clone());
            tx.put(member.vdisks[index].clone());
        }
    }
    tx.commit();
    let events = state.subscribe(16);
    Ok(Rows { state, events, cloud })
}

fn mem(row: &Instance) -> i64 {
    row.desired.as_ref().map_or(0, |desired| desired.mem)
}

impl Rows {
    fn update(&mut self, instance: Uuid, host: Uuid) {
        let mut tx = self.state.transaction();
        tx.update_current::<Instance>(&instance, |current| current.host = host);
        tx.commit();
    }

    fn run(&mut self, op: &str, times: usize) -> anyhow::Result<i64> {
        let mut rng = Rng::new(SEED + 1);
        let mut sum = 0;
        for _ in 0..times {
            let member = &self.cloud.members[rng.below(INSTANCES)];
            let instance = member.instance.uuid;
            let host = self.cloud.hosts[rng.below(self.cloud.hosts.len())];
            let tenant = self.cloud.tenants[rng.below(self.cloud.tenants.len())];
            sum += match op {
                "get" => self.state.get::<Instance>(&instance).map_or(0, mem),
                "of_tenant" => self.state.table::<Instance>().find("tenant", tenant).map(mem).sum(),
                "volumes_of" => self.state.joined::<Vdisk, Volume>("instance", instance).count() as i64,
                "update" => {
                    self.update(instance, host);
                    self.events.try_next()?.map_or(0, |commit| commit.version() as i64)
                }
                "update_shared" => {
                    // Every update has to copy.
                    let snapshot = self.state.snapshot();
                    self.update(instance, host);
                    drop(snapshot);
                    self.events.try_next()?.map_or(0, |commit| commit.version() as i64)
                }
                "insert" => {
                    let row = Instance { uuid: rng.uuid(), ..member.instance.clone() };
                    let mut tx = self.state.transaction();
                    tx.put(row);
                    tx.commit_bulk() as i64
                }
                "scan_row" => self.state.table::<Instance>().iter().take(100).map(mem).sum(),
                _ => bail!("there is no operation {op}"),
            };
        }
        Ok(sum)
    }
}

/// The instructions of this program doing an operation that often.
fn instructions(op: &str, times: usize) -> anyhow::Result<f64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .env("PONY_GUARD_RUN", format!("{op} {times}"))
        .output()
        .context("running valgrind")?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "callgrind: {text}");
    let count = text.lines().find_map(|line| line.split("Collected : ").nth(1));
    Ok(count.context("callgrind says no count")?.trim().parse()?)
}

fn measure() -> anyhow::Result<Map<String, Json>> {
    OPS.iter()
        .map(|op| {
            let per_op = (instructions(op, MANY)? - instructions(op, FEW)?) / (MANY - FEW) as f64;
            Ok(((*op).to_owned(), Json::from(per_op.round())))
        })
        .collect()
}

fn compare(baseline: &Map<String, Json>, found: &Map<String, Json>) -> anyhow::Result<()> {
    let mut worse = Vec::new();
    for (op, count) in found {
        let (count, allowed) = (count.as_f64(), baseline.get(op).and_then(Json::as_f64));
        let (Some(count), Some(allowed)) = (count, allowed) else { bail!("the baseline does not know {op}") };
        println!("{op:16}{count:>10} instructions; baseline {allowed:>10}");
        if count > allowed * TOLERANCE {
            worse.push(op.as_str());
        }
    }
    ensure!(worse.is_empty(), "more instructions than {TOLERANCE} times the baseline: {}", worse.join(", "));
    Ok(())
}

fn main() -> anyhow::Result<()> {
    if let Ok(order) = std::env::var("PONY_GUARD_RUN") {
        let (op, times) = order.split_once(' ').context("OP TIMES")?;
        std::hint::black_box(load()?.run(op, times.parse()?)?);
        return Ok(());
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("skipped: guard: there is no valgrind");
        return Ok(());
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("guard/baseline.json");
    let found = measure()?;
    if std::env::var("PONY_GUARD").is_ok_and(|it| it == "write") {
        println!("{:#}", Json::from(found.clone()));
        return Ok(std::fs::write(path, format!("{:#}\n", Json::from(found)))?);
    }
    let baseline = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
    compare(&baseline, &found)
}
