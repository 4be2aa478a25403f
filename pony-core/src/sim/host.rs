//! The simulated host in time: what is under way, what is answered when.

use super::config::{Fate, SimConfig};
use super::job::Job;
use super::lun::SimLun;
use super::moves::Departure;
use super::readings::Reading;
use super::shelf::SimShelf;
use super::world::{Effect, SimWorld, granule_mib, refuse};
use crate::agent::{Command, Found, Hint, Look, LookId, Output, Step, StepOutcome};
use crate::host::{
    DriverError, DriverErrorKind, Export, GuestState, HostFact, PoolBackend, PoolFact, Source,
};
use crate::reconcile::{RunId, SplitMix64};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use uuid::Uuid;

/// Something for the agent, as its input of the same name.
#[derive(Debug, Clone, PartialEq)]
pub enum SimAnswer {
    /// A step ended.
    Outcome(RunId, StepOutcome),
    /// A step has come so far.
    Progress(RunId, f64),
    /// A look was answered.
    Look(LookId, Result<Found, DriverError>),
    /// Something may have changed.
    Hint(Hint),
}

/// How often a fill reports progress, ms.
const PROGRESS_MS: u64 = 250;

#[derive(Debug)]
struct PendingLook {
    look: LookId,
    what: Look,
    /// When the host is looked at.
    seen_ms: u64,
    answer_ms: u64,
    answer: Option<Result<Found, DriverError>>,
}

/// A simulated host. See the module's documentation.
#[derive(Debug)]
pub struct SimHost {
    config: SimConfig,
    faults: bool,
    pub(super) seed: u64,
    random: SplitMix64,
    pub(super) world: SimWorld,
    pub(super) jobs: BTreeMap<RunId, Job>,
    looks: Vec<PendingLook>,
    /// When a guest goes off by itself, and how.
    pub(super) endings: BTreeMap<Uuid, (u64, GuestState)>,
    pub(super) departures: VecDeque<Departure>,
    pub(super) readings: VecDeque<Reading>,
    /// What other hosts may read.
    pub(super) exports: Vec<Export>,
    /// Steps that go a certain way, by [`Step::verb`].
    fates: BTreeMap<&'static str, Fate>,
    dead_uris: BTreeSet<String>,
    pub(super) answers: Vec<SimAnswer>,
    progress_ms: u64,
    boot_ms: u64,
    /// A pool that it shares with others, and what it is called there.
    shelf: Option<(SimShelf, u64)>,
    /// How often the agent was killed.
    pub(super) starts: u64,
}

impl SimHost {
    /// An empty host. Faults are on, as far as `config` has any.
    pub fn new(seed: u64, config: SimConfig) -> Self {
        Self {
            config,
            faults: true,
            seed,
            random: SplitMix64::new(seed),
            world: SimWorld::default(),
            jobs: BTreeMap::new(),
            looks: Vec::new(),
            endings: BTreeMap::new(),
            departures: VecDeque::new(),
            readings: VecDeque::new(),
            exports: Vec::new(),
            fates: BTreeMap::new(),
            dead_uris: BTreeSet::new(),
            answers: Vec::new(),
            progress_ms: 0,
            boot_ms: 0,
            starts: 0,
            shelf: None,
        }
    }

    /// With a pool that it shares with other hosts, among whom `number` is its own.
    #[must_use]
    pub fn sharing(self, shelf: SimShelf, number: u64) -> Self {
        Self { shelf: Some((shelf, number)), ..self }
    }

    /// Seeing a disk that other hosts see as well, among whom `number` is its own.
    #[must_use]
    pub fn seeing(mut self, lun: SimLun, number: u64) -> Self {
        self.world.lun = Some((lun, number));
        self
    }

    /// Takes in what other hosts did in the pool that it shares with them; so does everything that happens here.
    pub fn refresh(&mut self) {
        if let Some((shelf, number)) = &self.shelf {
            self.world.fetch(shelf, *number);
        }
    }

    fn put(&self) {
        let Some((shelf, number)) = &self.shelf else { return };
        let fill = |job: &Job| match &job.step {
            Step::CreateVolume { spec, .. } => (job.cancelled_end_ms.is_none()).then_some(spec.volume),
            _ => None,
        };
        self.world.put(shelf, *number, self.jobs.values().filter_map(fill).collect());
    }

    /// Notes that a volume is begun in the shared pool, where nobody else may be at that.
    fn begin_shared(&mut self, pool: Uuid, volume: Uuid) {
        let Some((shelf, number)) = self.shelf.as_ref().filter(|(shelf, _)| shelf.pool() == pool) else {
            return;
        };
        let mut inside = shelf.inside();
        inside.changes += u64::from(inside.begun.insert(volume));
        let others = inside.hosts.iter().filter(|(host, _)| *host != number);
        if others.into_iter().any(|(_, it)| it.fills.contains(&volume)) {
            self.world.violations.push(format!("volume {volume} is made by two hosts at a time"));
        }
    }

    /// What there is.
    pub fn world(&self) -> &SimWorld {
        &self.world
    }

    /// Changes what there is behind the agent's back.
    pub fn world_mut(&mut self) -> &mut SimWorld {
        &mut self.world
    }

    /// What must never happen and did.
    pub fn violations(&self) -> &[String] {
        &self.world.violations
    }

    /// The steps that are under way, those that hang among them.
    pub fn under_way(&self) -> impl ExactSizeIterator<Item = &Step> {
        self.jobs.values().map(|job| &job.step)
    }

    /// Switches random faults on or off; those that are under way stay.
    pub fn set_faults(&mut self, on: bool) {
        self.faults = on;
    }

    /// Makes all steps of this [`verb`](Step::verb) go this way; `None`: as the rates say.
    pub fn set_fate(&mut self, verb: &'static str, fate: Option<Fate>) {
        match fate {
            Some(fate) => drop(self.fates.insert(verb, fate)),
            None => drop(self.fates.remove(verb)),
        }
    }

    /// How long a step may take to end from now on, once it is cancelled.
    pub fn set_cancel_ms(&mut self, ms: u64) {
        self.config.cancel_ms = ms;
    }

    /// Makes the server behind a URI stop answering, or answer again.
    pub fn set_dead(&mut self, uri: &str, dead: bool) {
        if dead {
            self.dead_uris.insert(uri.to_owned());
        } else {
            self.dead_uris.remove(uri);
        }
    }

    /// Breaks the guest down, if it runs.
    pub fn crash(&mut self, now_ms: u64, instance: Uuid) {
        self.endings.insert(instance, (now_ms, GuestState::Crashed));
    }

    /// The agent's process dies, and all its answers are lost. Fills stop where they are; what a hypervisor or
    /// the kernel was asked for has happened by the time that a new agent is there, or never will.
    pub fn kill_agent(&mut self, now_ms: u64) {
        self.refresh();
        self.looks.clear();
        for (run, job) in std::mem::take(&mut self.jobs) {
            let fills = matches!(job.step, Step::CreateVolume { .. });
            if !fills && job.has_effect() && self.random.below(2) == 0 {
                // Nobody is there any more who could be told.
                let _ = self.take_effect(now_ms, run, &job.step);
            }
        }
        self.answers.clear();
        // Whom it lets in the agent's process knows, and nobody else.
        self.world.guests.retain(|_, it| it.state != GuestState::Incoming);
        self.exports.clear();
        self.starts += 1;
        self.put();
    }

    /// The machine starts anew, and with it the agent.
    pub fn reboot(&mut self, now_ms: u64) {
        self.kill_agent(now_ms);
        self.endings.clear();
        self.world.reboot();
        self.put();
        self.boot_ms = now_ms;
    }

    /// Takes a command of the agent.
    pub fn handle(&mut self, command: Command, now_ms: u64) {
        match command {
            Command::Run { run, step } => self.begin(now_ms, run, step),
            Command::Cancel { run } => {
                let delay = self.random.below(self.config.cancel_ms + 1);
                if let Some(job) = self.jobs.get_mut(&run) {
                    job.cancelled_end_ms.get_or_insert(now_ms + delay);
                }
            }
            Command::Look { look, what } => self.begin_look(now_ms, look, what),
            Command::Export(volumes) => self.exports = volumes,
        }
        self.put();
    }

    fn begin(&mut self, now_ms: u64, run: RunId, step: Step) {
        self.refresh();
        let fate = self.fate(&step);
        let fills = matches!(&step, Step::CreateVolume { source, .. } if *source != Source::Empty);
        let moves = matches!(&step, Step::Migrate { .. });
        let reads = matches!(&step, Step::CreateVolume { source: Source::Remote(_), .. });
        let least = if fills { self.config.fill_ms } else { u64::from(moves) * self.config.move_ms };
        let base = least + self.random.below(self.config.step_ms + 1);
        let takes = if fate == Fate::Slow { base * 10 } else { base };
        if let Step::CreateVolume { spec, source } = &step {
            self.check_fill(spec.volume);
            self.begin_shared(spec.pool.pool, spec.volume);
            if !self.world.volumes.contains_key(&spec.volume) {
                self.world.unfinished.insert(spec.volume);
            }
            if let Source::Volume(from) = source {
                // A missing source fails at the end; a written one is noted here and now.
                let _ = self.world.check_source(from);
            }
        }
        let job = Job {
            step,
            fate,
            started_ms: now_ms,
            effect_ms: if fills || moves { now_ms + takes } else { now_ms + takes / 2 },
            // Who lets a guest go, or be read from the other host, does so before that is answered.
            end_ms: now_ms + takes + u64::from(moves || reads),
            cancelled_end_ms: None,
            effect: None,
        };
        self.jobs.insert(run, job);
    }

    /// Two fills of one volume at a time, neither told to end, would write over each other.
    fn check_fill(&mut self, volume: Uuid) {
        let fills = |job: &Job| matches!(&job.step, Step::CreateVolume { spec, .. } if spec.volume == volume);
        if self.jobs.values().any(|job| fills(job) && job.cancelled_end_ms.is_none()) {
            self.world.violations.push(format!("volume {volume} is filled twice at a time"));
        }
    }

    fn fate(&mut self, step: &Step) -> Fate {
        if let Step::CreateVolume { source: Source::Uri(uri), .. } = step
            && self.dead_uris.contains(uri)
        {
            return Fate::Hang;
        }
        if let Some(fate) = self.fates.get(step.verb()) {
            return *fate;
        }
        let after = self.random.below(2) == 0;
        if self.happens(self.config.fail_rate) {
            return if after { Fate::FailAfter } else { Fate::Fail };
        }
        match self.happens(self.config.hang_rate) {
            true if after => Fate::HangAfter,
            true => Fate::Hang,
            false => Fate::Succeed,
        }
    }

    /// Whether a move ends on both hosts.
    pub(super) fn tears(&mut self) -> bool {
        self.happens(self.config.torn_rate)
    }

    fn happens(&mut self, rate: u64) -> bool {
        self.faults && self.random.below(1_000) < rate
    }

    fn begin_look(&mut self, now_ms: u64, look: LookId, what: Look) {
        let takes = self.random.below(self.config.look_ms + 1);
        let fails = self.happens(self.config.look_fail_rate);
        if fails && self.random.below(4) == 0 {
            return;
        }
        let error = DriverError { kind: DriverErrorKind::Transient, message: "nobody answers".to_owned() };
        let answer = fails.then_some(Err(error));
        let (seen_ms, answer_ms) = (now_ms + takes / 2, now_ms + takes);
        self.looks.push(PendingLook { look, what, seen_ms, answer_ms, answer });
    }

    /// Lets time pass up to `now_ms`, and returns what the agent is to be told.
    pub fn poll(&mut self, now_ms: u64) -> Vec<SimAnswer> {
        while let Some(at) = self.next_ms().filter(|at| *at <= now_ms) {
            self.advance(at);
        }
        self.tell_progress(now_ms);
        std::mem::take(&mut self.answers)
    }

    /// When something happens next.
    pub fn poll_timeout(&self) -> Option<u64> {
        let fills = self.jobs.values().any(|j| j.progress(0).is_some());
        let progress = fills.then_some(self.progress_ms + PROGRESS_MS);
        self.next_ms().into_iter().chain(progress).min()
    }

    fn next_ms(&self) -> Option<u64> {
        let jobs = self.jobs.values().filter_map(Job::next_ms);
        let looks = self.looks.iter().map(|l| if l.answer.is_none() { l.seen_ms } else { l.answer_ms });
        let endings = self.endings.values().map(|(at, _)| *at);
        jobs.chain(looks).chain(endings).min()
    }

    fn tell_progress(&mut self, now_ms: u64) {
        if now_ms < self.progress_ms + PROGRESS_MS {
            return;
        }
        self.progress_ms = now_ms;
        let answers =
            self.jobs.iter().filter_map(|(run, j)| Some(SimAnswer::Progress(*run, j.progress(now_ms)?)));
        self.answers.extend(answers);
    }

    /// Everything that happens at this moment.
    fn advance(&mut self, at: u64) {
        self.refresh();
        let due = self.jobs.iter().filter(|(_, j)| j.next_ms().is_some_and(|next| next <= at));
        for key in due.map(|(key, _)| *key).collect::<Vec<_>>() {
            self.advance_job(at, key);
        }
        let due = self.endings.iter().filter(|(_, (when, _))| *when <= at);
        for (instance, state) in due.map(|(i, (_, s))| (*i, *s)).collect::<Vec<_>>() {
            self.endings.remove(&instance);
            self.end_guest(instance, state);
        }
        self.advance_looks(at);
        self.put();
    }

    fn advance_job(&mut self, at: u64, run: RunId) {
        let Some(job) = self.jobs.get(&run) else { return };
        if job.has_effect() && job.effect_ms <= at {
            let step = job.step.clone();
            let effect = self.take_effect(at, run, &step);
            if let Some(job) = self.jobs.get_mut(&run) {
                job.effect = Some(effect);
            }
            return;
        }
        if let Some(job) = self.jobs.remove(&run) {
            self.answers.push(SimAnswer::Outcome(run, answer(job)));
        }
    }

    fn take_effect(&mut self, at: u64, run: RunId, step: &Step) -> Effect {
        if let Step::Migrate { instance, to, copied } = step {
            let (to, copied) = (to.clone(), copied.clone());
            self.departures.push_back(Departure { run, instance: *instance, to, copied });
            return Err(refuse("nobody let it go".to_owned()));
        }
        if let Step::CreateVolume { spec, source: Source::Remote(from) } = step {
            self.readings.push_back(Reading { run, spec: spec.clone(), from: from.clone() });
            return Err(refuse("nobody let it be read".to_owned()));
        }
        let effect = self.world.apply(step);
        self.follow(at, step, effect.is_ok());
        effect
    }

    /// What a step sets in motion.
    fn follow(&mut self, at: u64, step: &Step, ok: bool) {
        match step {
            Step::Start(instance) if ok => {
                if self.happens(self.config.crash_rate) {
                    let lives = self.random.below(30_000);
                    self.endings.insert(*instance, (at + lives, GuestState::Crashed));
                }
                self.hint(*instance);
            }
            Step::Shutdown(instance) if ok && !self.happens(self.config.deaf_rate) => {
                self.endings.insert(*instance, (at + self.config.shutdown_ms, GuestState::Off));
            }
            Step::Destroy(instance) => {
                self.endings.remove(instance);
                self.hint(*instance);
            }
            _ => {}
        }
    }

    fn end_guest(&mut self, instance: Uuid, state: GuestState) {
        let Some(guest) = self.world.guests.get_mut(&instance) else { return };
        if guest.state == GuestState::Running {
            (guest.state, guest.live) = (state, None);
            self.hint(instance);
        }
    }

    fn hint(&mut self, instance: Uuid) {
        if !self.happens(self.config.hint_loss_rate) {
            self.answers.push(SimAnswer::Hint(Hint::Instance(instance)));
        }
    }

    fn advance_looks(&mut self, at: u64) {
        for i in 0..self.looks.len() {
            if self.looks[i].answer.is_none() && self.looks[i].seen_ms <= at {
                let answer = self.see(&self.looks[i].what);
                self.looks[i].answer = Some(answer);
            }
        }
        let (due, rest) = std::mem::take(&mut self.looks)
            .into_iter()
            .partition(|l: &PendingLook| l.answer.is_some() && l.answer_ms <= at);
        self.looks = rest;
        let answers = due.into_iter().filter_map(|l: PendingLook| Some(SimAnswer::Look(l.look, l.answer?)));
        self.answers.extend(answers);
    }

    fn see(&self, what: &Look) -> Result<Found, DriverError> {
        Ok(match what {
            Look::Host => Found::Host(Box::new(self.host_fact())),
            Look::Nics => Found::Nics(self.world.nics.clone()),
            Look::Cpus(cpus) => Found::Cpus(cpus.keys().map(|profile| (*profile, true)).collect()),
            Look::Disks => Found::Disks(self.world.lun.iter().map(|_| SimLun::fact()).collect()),
            Look::Guests => Found::Guests(self.world.list_guests()),
            Look::Uplinks => Found::Uplinks(self.world.uplinks.values().cloned().collect()),
            Look::Switches => Found::Switches(self.world.switches.values().cloned().collect()),
            Look::Taps => Found::Taps(self.world.taps.values().cloned().collect()),
            Look::Pool(spec) => match &spec.backend {
                PoolBackend::Dir { .. }
                | PoolBackend::Btrfs { .. }
                | PoolBackend::Lvm { .. }
                | PoolBackend::Plvm(_)
                | PoolBackend::Nfs { .. }
                | PoolBackend::Iscsi(_)
                | PoolBackend::Rbd(_) => Found::Pool(PoolFact {
                    pool: spec.pool,
                    capacity_mib: 1 << 20,
                    allocated_mib: 0,
                    granule_mib: granule_mib(&spec.backend),
                }),
                PoolBackend::Unsupported(name) => {
                    let message = format!("there is no driver for {name}");
                    return Err(DriverError { kind: DriverErrorKind::Unsupported, message });
                }
            },
            Look::Volumes(spec) => {
                Found::Volumes(self.world.volumes.values().filter(|v| v.pool == spec.pool).cloned().collect())
            }
        })
    }

    fn host_fact(&self) -> HostFact {
        HostFact {
            hostname: "sim".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            cpus: 16,
            mem_mib: self.config.mem_mib,
            boot_time: i64::try_from(self.boot_ms / 1_000).unwrap_or(0),
            accel: "sim".to_owned(),
            migration: Some(self.way()),
            ..HostFact::default()
        }
    }
}

/// How a job that ends now is answered.
fn answer(job: Job) -> StepOutcome {
    let failed = |message: &str| {
        StepOutcome::Failed(DriverError { kind: DriverErrorKind::Transient, message: message.to_owned() })
    };
    match (job.fate, job.effect) {
        _ if job.cancelled_end_ms.is_some() => StepOutcome::Cancelled,
        (Fate::Fail, _) => failed("it failed, as simulated"),
        (Fate::FailAfter, _) => failed("the answer was lost, as simulated"),
        (_, Some(Ok(output))) => StepOutcome::Done(output),
        (_, Some(Err(error))) => StepOutcome::Failed(error),
        (_, None) => StepOutcome::Done(Output::None),
    }
}
