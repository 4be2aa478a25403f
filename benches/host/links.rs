//! How fast links are made as ordered: the agent and the network driver, against a list of commands for `ip`, both in a
//! network namespace of their own.

use anyhow::{Context, bail, ensure};
use nix::sched::{CloneFlags, unshare};
use pony_benches::{Report, Sense};
use pony_core::agent::{
    Command, Config, Found, Hardware, InstanceOrder, Keeper, Look, LookId, NicOrder, Orders, Output,
    Placement, Step, StepOutcome, Target, Update,
};
use pony_core::host::{Boot, DriverError, Firmware, SwitchKind};
use pony_core::reconcile::RunId;
use pony_host::{Netlink, Network as _};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command as Process, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use uuid::Uuid;

const LINKS: u128 = 1_000;
const RUNS: usize = 3;
const CHANGES: u128 = 20;

/// A thousand links take at most so many times as long as with `ip -batch`; one more, ms.
const TIMES_MAX: f64 = 3.0;
const CHANGE_MS_MAX: f64 = 10.0;

/// The group of the links that a run leaves: links of one group go in a single request.
const LEFT: u32 = 7;

/// Answers that wait; a keeper has far fewer steps under way.
const ANSWERS_MAX: usize = 256;

/// What is settled within this never is.
const LIMIT: Duration = Duration::from_secs(120);

pub(crate) fn measure(report: &mut Report) -> anyhow::Result<()> {
    let (mut ours, mut changes, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let (all, mut single) = in_namespace(pony)?;
        ours.push(all);
        changes.append(&mut single);
        theirs.push(in_namespace(ip_batch)?);
    }
    let (ours, theirs, change) = (median(ours), median(theirs), median(changes));
    report.figures("make 1,000 links", [("pony", ours), ("ip -batch", theirs)]);
    report.figures("make one more of 1,000", [("pony", change)]);
    report.target("make 1,000 links: times as long as ip -batch", ours / theirs, TIMES_MAX, Sense::Max);
    report.target("make one more of 1,000, ms", change, CHANGE_MS_MAX, Sense::Max);
    Ok(())
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of.get(of.len() / 2).copied().unwrap_or(f64::NAN)
}

fn in_namespace<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let isolated = move || {
        unshare(CloneFlags::CLONE_NEWNET).context("a network namespace needs root")?;
        let done = work()?;
        remove_links()?;
        Ok(done)
    };
    std::thread::spawn(isolated).join().map_err(|_| anyhow::anyhow!("a run broke down"))?
}

/// The kernel takes many seconds to remove so many links, whoever has made them, and makes few others meanwhile. Left
/// with their namespace they would go while the next run is timed.
fn remove_links() -> anyhow::Result<()> {
    let list = Process::new("ip").args(["-brief", "link", "show", "type", "bridge"]).output()?;
    ensure!(list.status.success(), "ip could not list the links");
    let mut script = String::new();
    for name in String::from_utf8(list.stdout)?.lines().filter_map(|line| line.split_whitespace().next()) {
        writeln!(script, "link set {name} group {LEFT}")?;
    }
    writeln!(script, "link del group {LEFT}")?;
    batch(&script)
}

/// Runs a list of commands for `ip`.
fn batch(script: &str) -> anyhow::Result<()> {
    let mut child = Process::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn()?;
    child.stdin.take().context("ip has no standard input")?.write_all(script.as_bytes())?;
    ensure!(child.wait()?.success(), "ip -batch failed");
    Ok(())
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// The same links: bridges that forward at once, give the host no address, and say what they are.
fn ip_batch() -> anyhow::Result<f64> {
    let mut script = String::new();
    for n in 0..LINKS {
        let uuid = Uuid::from_u128(n);
        writeln!(script, "link add br{n} type bridge stp_state 0 forward_delay 0")?;
        writeln!(script, "link set br{n} addrgenmode none arp off alias pony:{uuid}:{uuid} up")?;
    }
    let began = Instant::now();
    batch(&script)?;
    Ok(ms(began))
}

/// The times until all are there, and until each of some more is.
fn pony() -> anyhow::Result<(f64, Vec<f64>)> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let network = Arc::new(Netlink::new(Uuid::from_u128(1))?);
    runtime.block_on(async {
        let mut host = Host::new(network);
        host.settle(0).await?;
        let began = Instant::now();
        host.order(LINKS);
        host.settle(LINKS).await?;
        let all = ms(began);
        let mut single = Vec::new();
        for n in 1..=CHANGES {
            let began = Instant::now();
            host.order(LINKS + n);
            host.settle(LINKS + n).await?;
            single.push(ms(began));
        }
        Ok((all, single))
    })
}

enum Answer {
    Outcome(RunId, StepOutcome),
    Look(LookId, Result<Found, DriverError>),
}

/// A keeper and its driver; there are no guests.
struct Host {
    keeper: Keeper,
    network: Arc<Netlink>,
    /// The switches that are told to be there.
    ready: BTreeSet<Uuid>,
    began: Instant,
    sender: mpsc::Sender<Answer>,
    answers: mpsc::Receiver<Answer>,
}

impl Host {
    fn new(network: Arc<Netlink>) -> Self {
        let (sender, answers) = mpsc::channel(ANSWERS_MAX);
        let (keeper, ready) = (Keeper::new(Config::default(), 1, 0), BTreeSet::new());
        Self { keeper, network, ready, began: Instant::now(), sender, answers }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Orders an instance that is off, with cards in so many switches.
    fn order(&mut self, count: u128) {
        let switches: Vec<Uuid> = (0..count).map(|n| Uuid::from_u128(1_000_000 + n)).collect();
        let card = |(index, switch): (u32, &Uuid)| NicOrder {
            vnic: Uuid::from_u128(switch.as_u128() + 1_000_000),
            index,
            switch: *switch,
            mac: "52:54:00:00:00:01".to_owned(),
            addresses: None,
            config: None,
        };
        let hardware = Hardware {
            name: "web".to_owned(),
            vcpu: 1,
            cpu_percent: 100,
            mem_mib: 64,
            boot: Boot::Disk,
            firmware: Firmware::default(),
            cpu: None,
            disks: Vec::new(),
            nics: (0..).zip(&switches).map(card).collect(),
            seed: None,
        };
        let placement = Placement { serial: 1, released: false, moving: None };
        let instance = InstanceOrder { target: Target::Stopped, placement, hardware: Some(hardware) };
        let orders = Orders {
            switches: switches.into_iter().map(|it| (it, SwitchKind::Bridge)).collect(),
            instances: [(Uuid::from_u128(1), instance)].into(),
            ..Orders::default()
        };
        self.keeper.set_orders(self.now_ms(), orders);
    }

    /// Works until so many switches are reported as ready.
    async fn settle(&mut self, count: u128) -> anyhow::Result<()> {
        let end = Instant::now() + LIMIT;
        loop {
            let now_ms = self.now_ms();
            self.keeper.poll(now_ms);
            while let Some(command) = self.keeper.poll_command() {
                self.carry_out(command);
            }
            if let Some(update) = self.keeper.poll_report(now_ms) {
                self.hear(update);
            }
            if self.ready.len() as u128 == count && self.keeper.knows_guests() {
                return Ok(());
            }
            match tokio::time::timeout(Duration::from_millis(20), self.answers.recv()).await {
                Ok(Some(answer)) => self.take(answer),
                _ if Instant::now() > end => bail!("{count} switches were not made within {LIMIT:?}"),
                _ => {}
            }
            while let Ok(answer) = self.answers.try_recv() {
                self.take(answer);
            }
        }
    }

    fn hear(&mut self, update: Update) {
        let switches = match update {
            Update::Whole(report) => {
                self.ready.clear();
                report.switches
            }
            Update::Links { switches, .. } => switches,
        };
        let ready = switches.into_iter().filter(|(_, it)| it.ready && it.error.is_none());
        self.ready.extend(ready.map(|(switch, _)| switch));
    }

    fn take(&mut self, answer: Answer) {
        let now_ms = self.now_ms();
        match answer {
            Answer::Outcome(run, outcome) => self.keeper.handle_outcome(now_ms, run, outcome),
            Answer::Look(look, found) => self.keeper.handle_look(now_ms, look, found),
        }
    }

    fn carry_out(&self, command: Command) {
        let (network, sender) = (Arc::clone(&self.network), self.sender.clone());
        tokio::spawn(async move {
            let answer = match command {
                Command::Run { run, step: Step::EnsureSwitch(spec) } => {
                    match network.ensure_switch(&spec).await {
                        Ok(fact) => Answer::Outcome(run, StepOutcome::Done(Output::Switch(fact))),
                        Err(error) => Answer::Outcome(run, StepOutcome::Failed(error)),
                    }
                }
                Command::Run { run, .. } => Answer::Outcome(run, StepOutcome::Cancelled),
                Command::Cancel { .. } | Command::Export(_) => return,
                Command::Look { look, what } => Answer::Look(look, found(&network, &what).await),
            };
            let _ = sender.send(answer).await;
        });
    }
}

async fn found(network: &Netlink, what: &Look) -> Result<Found, DriverError> {
    Ok(match what {
        Look::Guests => Found::Guests(Vec::new()),
        Look::Disks => Found::Disks(Vec::new()),
        Look::Uplinks => Found::Uplinks(network.list_uplinks().await?),
        Look::Switches => Found::Switches(network.list_switches().await?),
        Look::Taps => Found::Taps(network.list_taps().await?),
        // What the machine is made of does not matter here.
        _ => Found::Nics(Vec::new()),
    })
}
