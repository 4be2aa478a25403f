//! What the agent takes of a host's memory: a Twilight of its own process, with a simulated host of many guests.

use super::cloud::{Client, PATIENCE, await_host, start_sparkle};
use anyhow::Context;
use pony_benches::{Report, Sense};
use pony_core::tables::{HostInstance, InstanceStatus};
use pony_host::{SimHost, SimOptions};
use pony_state::Read;
use serde_json::json;
use sparkle::Sparkle;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout};
use twilight::{Drivers, Twilight};

const GUESTS: usize = 200;

/// What Twilight may take with so many guests, MiB.
const RESIDENT_MIB: f64 = 60.0;

const KIB_PER_MIB: f64 = 1024.0;

/// Says to this program that it is the agent: where its directory is, where Sparkle is, and its key.
const AGENT: &str = "PONY_BENCH_AGENT";

/// How long after the last guest runs it is measured: reports are sent, and looks have been.
const REST: Duration = Duration::from_secs(3);

/// A host that holds them all.
fn host() -> SimOptions {
    SimOptions { cpus: 256, mem_mib: 1 << 20, ..SimOptions::numbered(1, 1) }
}

/// Whether this process is the agent; then it is that until it is killed.
pub(crate) fn be_agent() -> anyhow::Result<bool> {
    let Ok(words) = std::env::var(AGENT) else { return Ok(false) };
    let mut words = words.split('\n');
    let mut word = || words.next().context("a word is missing");
    let (dir, sparkle, key) = (word()?, word()?, word()?);
    Runtime::new()?.block_on(async {
        let host = SimHost::new(host());
        let config = twilight::Config {
            dir: dir.into(),
            host: host.uuid(),
            sparkle: sparkle.parse()?,
            sparkle_key: key.parse()?,
            stop_grace: Duration::from_secs(1),
            prove: twilight::PROVE,
            measuring: twilight::Measuring::default(),
        };
        Twilight::start(&config, Drivers::all(Arc::new(host)))?.stopped().await;
        Ok(true)
    })
}

/// Ends with what uses it.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Agent {
    fn start(dir: &Path, sparkle: &Sparkle) -> anyhow::Result<Self> {
        let words = format!("{}\ntcp://{}\n{}", dir.join("twilight").display(), sparkle.zmq(), sparkle.key());
        Ok(Self(Command::new(std::env::current_exe()?).env(AGENT, words).spawn()?))
    }

    /// Memory that is its own at present, MiB.
    fn resident_mib(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("the kernel does not say")?;
        let kib: f64 = line.split_whitespace().next().context("no number")?.parse()?;
        Ok(kib / KIB_PER_MIB)
    }
}

async fn all_run(sparkle: &Sparkle) {
    let running = || {
        let snapshot = sparkle.state().snapshot();
        let rows = snapshot.table::<HostInstance>();
        let is_up =
            |row: &&HostInstance| row.current.as_ref().is_some_and(|it| it.status == InstanceStatus::Running);
        rows.iter().filter(is_up).count()
    };
    while running() < GUESTS {
        sleep(Duration::from_millis(100)).await;
    }
}

pub(crate) fn measure(report: &mut Report) -> anyhow::Result<()> {
    Runtime::new()?.block_on(async {
        let dir = tempfile::tempdir()?;
        let sparkle = start_sparkle(dir.path()).await?;
        let agent = Agent::start(dir.path(), &sparkle)?;
        await_host(&sparkle, host().uuid).await?;
        sleep(REST).await;
        let before = agent.resident_mib()?;
        let client = Client::new(&sparkle)?;
        let tenant = client.post("tenant", &json!({"name": "bench", "approved": true})).await?;
        client.order_instances(tenant, GUESTS).await?;
        timeout(PATIENCE, all_run(&sparkle)).await.context("the guests do not run")?;
        sleep(REST).await;
        let after = agent.resident_mib()?;
        drop(agent);
        sparkle.shutdown().await;
        report.figures("memory of the agent, MiB", [("no guest", before), ("200 guests", after)]);
        report.target("memory of the agent with 200 guests, MiB".to_owned(), after, RESIDENT_MIB, Sense::Max);
        Ok(())
    })
}
