//! How fast links are made as ordered, from the rows in Sparkle's hands until it is told that they are there: the agent and
//! the network driver, against a list of commands for `ip`, both in a network namespace of their own.

use anyhow::{Context, bail, ensure};
use nix::sched::{CloneFlags, unshare};
use pony_benches::{Report, Sense};
use pony_core::agent::{
    Agent, AgentEvent, AgentOptions, Command, Config, Found, Look, LookId, Output, Step, StepOutcome,
    UplinkRecord,
};
use pony_core::host::DriverError;
use pony_core::reconcile::RunId;
use pony_host::{Netlink, Network as _};
use pony_state::sync::{Limits, Now, Session};
use serde_json::{Value as Json, json};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command as Process, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::sparkle::Orders;

const LINKS: u128 = 1_000;
const RUNS: usize = 3;
const CHANGES: u128 = 20;

/// Each instance has cards in so many of the switches.
const CARDS: u128 = 4;

const HOST: Uuid = Uuid::from_u128(1);

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
    let network = Arc::new(Netlink::new(HOST)?);
    runtime.block_on(async {
        let mut host = Host::new(network)?;
        host.settle(0).await?;
        let began = Instant::now();
        host.order(0..LINKS)?;
        host.settle(LINKS).await?;
        let all = ms(began);
        let mut single = Vec::new();
        for n in 1..=CHANGES {
            let began = Instant::now();
            host.order(LINKS + n - 1..LINKS + n)?;
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

/// An agent, what is ordered of it, and its driver; there are no guests.
struct Host {
    orders: Orders,
    agent: Agent,
    network: Arc<Netlink>,
    began: Instant,
    sender: mpsc::Sender<Answer>,
    answers: mpsc::Receiver<Answer>,
}

impl Host {
    fn new(network: Arc<Netlink>) -> anyhow::Result<Self> {
        let (sender, answers) = mpsc::channel(ANSWERS_MAX);
        let start = Now { ms: 0, unix_s: 0 };
        let options = AgentOptions {
            uuid: HOST,
            incarnation: Uuid::from_u128(3),
            epoch_highest: 0,
            seed: 1,
            uplinks: UplinkRecord::default(),
            config: Config::default(),
            limits: Limits::default(),
        };
        let (agent, orders) = (Agent::new(options, start)?, Orders::of(HOST, start)?);
        Ok(Self { orders, agent, network, began: Instant::now(), sender, answers })
    }

    fn now(&self) -> Now {
        let passed = self.began.elapsed();
        Now { ms: u64::try_from(passed.as_millis()).unwrap_or(u64::MAX), unix_s: passed.as_secs() }
    }

    /// Orders these switches, each with a card of an instance that is off.
    fn order(&mut self, numbers: std::ops::Range<u128>) -> anyhow::Result<()> {
        let rows: Vec<(&'static str, Json)> = numbers.flat_map(rows).collect();
        self.orders.write(&rows)
    }

    /// Works until so many switches are told to be ready.
    async fn settle(&mut self, count: u128) -> anyhow::Result<()> {
        let end = Instant::now() + LIMIT;
        loop {
            let now = self.now();
            while let Some(frames) = self.orders.poll_transmit(now) {
                self.agent.handle_message(frames.body.as_bytes(), frames.sent_unix_s, now);
            }
            self.agent.handle_timeout(now);
            while let Some(event) = self.agent.poll_event() {
                match event {
                    AgentEvent::EpochRaised(epoch) => self.agent.epoch_saved(epoch),
                    AgentEvent::UplinksChanged { serial, .. } => self.agent.uplinks_saved(serial, now),
                    _ => {}
                }
            }
            while let Some(command) = self.agent.poll_command() {
                self.carry_out(command);
            }
            while let Some(frames) = self.agent.poll_transmit(now) {
                self.orders.hear(&frames, now)?;
            }
            let synchronized = self.agent.session().is_some_and(Session::is_synchronized);
            if self.orders.ready.len() as u128 == count && synchronized {
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

    fn take(&mut self, answer: Answer) {
        let now = self.now();
        match answer {
            Answer::Outcome(run, outcome) => self.agent.handle_outcome(run, outcome, now),
            Answer::Look(look, found) => self.agent.handle_look(look, found, now),
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

/// A switch and a card in it, and its instance before the first of its cards.
fn rows(number: u128) -> Vec<(&'static str, Json)> {
    let uuid = |kind: u128, number: u128| Uuid::from_u128(kind * 1_000_000 + number);
    let (switch, instance) = (uuid(1, number), uuid(2, number / CARDS));
    let card = json!({
        "uuid": uuid(3, number), "instance": instance, "switch": switch, "index": number % CARDS,
        "macaddr": "52:54:00:00:00:01",
    });
    let switch = json!({ "uuid": switch, "name": format!("switch-{number}"), "type": "bridge" });
    let mut rows = vec![("switch", switch), ("vnic", card)];
    if number.is_multiple_of(CARDS) {
        let name = format!("instance-{number}");
        let order =
            json!({ "uuid": instance, "name": name, "state": "stopped", "vcpu": 1, "rcpu": 1.0, "mem": 64 });
        let placed = json!({ "host": HOST, "instance": instance, "released": false });
        rows.extend([("instance", order), ("host_instance", placed)]);
    }
    rows
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
