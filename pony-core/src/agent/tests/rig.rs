//! A keeper, a simulated host, and a clock.

use crate::agent::*;
use crate::host::*;
use crate::reconcile::RunId;
use crate::sim::{SimAnswer, SimConfig, SimHost};
use std::collections::BTreeMap;
use uuid::Uuid;

pub(super) fn id(n: u8) -> Uuid {
    Uuid::from_u128(u128::from(n))
}

pub(super) const POOL: u8 = 1;
pub(super) const IMAGE: u8 = 2;
/// Backs the image.
pub(super) const COPY: u8 = 3;
pub(super) const SWITCH: u8 = 4;
/// The instance, its volume, its disk and its card.
pub(super) const INST: u8 = 10;
pub(super) const ROOT: u8 = 11;
pub(super) const VDISK: u8 = 12;
pub(super) const VNIC: u8 = 13;
/// Whether something was overlooked is found out after so many events, as it costs a look at everything.
const OVERLOOKED_EVERY: u64 = 127;
pub(super) const URI: &str = "http://images.example/a.qcow2";

pub(super) fn volume() -> VolumeOrder {
    VolumeOrder {
        wish: VolumeWish::Present,
        pool: id(POOL),
        format: None,
        size_mib: Some(200),
        base_image: None,
        base_volume: None,
        image: None,
        grant: Grant::Own,
        extents: Vec::new(),
    }
}

/// A pool, an image with a copy, a switch, and an instance with a volume made from the image.
pub(super) fn orders(target: Target) -> Orders {
    let mut orders = Orders::default();
    let backend = PoolBackend::Dir { path: "/sim".into() };
    let spec = PoolSpec { pool: id(POOL), backend };
    orders.pools.insert(id(POOL), PoolOrder { spec, shareable: false, fault: None });
    orders.images.insert(id(IMAGE), ImageOrder { source_uri: Some(URI.to_owned()), remote: None });
    let copy = VolumeOrder { size_mib: None, image: Some(id(IMAGE)), ..volume() };
    orders.volumes.insert(id(COPY), copy);
    orders.switches.insert(id(SWITCH), SwitchKind::Bridge.into());
    let root = VolumeOrder { base_image: Some(id(IMAGE)), ..volume() };
    orders.volumes.insert(id(ROOT), root);
    orders
        .instances
        .insert(id(INST), InstanceOrder { target, placement: placed(target), hardware: Some(hardware()) });
    orders
}

pub(super) fn placed(target: Target) -> Placement {
    Placement { serial: 0, released: target == Target::Released, moving: None }
}

pub(super) fn hardware() -> Hardware {
    let mac = "52:54:00:00:00:01".to_owned();
    Hardware {
        name: "web".to_owned(),
        vcpu: 2,
        cpu_percent: 200,
        mem_mib: 512,
        boot: Boot::Disk,
        firmware: Firmware::default(),
        cpu: None,
        disks: vec![DiskOrder { vdisk: id(VDISK), index: 0, data: DiskData::Volume(id(ROOT)) }],
        nics: vec![NicOrder {
            vnic: id(VNIC),
            index: 0,
            switch: id(SWITCH),
            mac,
            addresses: None,
            config: None,
        }],
        seed: Some(Seed::from(1)),
    }
}

pub(super) struct Rig {
    pub(super) keeper: Keeper,
    pub(super) sim: SimHost,
    pub(super) now_ms: u64,
    pub(super) news: Vec<Notification>,
    /// Steps asked for since the last look at it.
    pub(super) steps: Vec<(RunId, Step)>,
    /// Whether Sparkle answers.
    pub(super) answers: bool,
    /// Whether nothing can be written down.
    pub(super) disk_full: bool,
    checks: u64,
    /// What was told of the host, put together.
    told: Report,
    record: UplinkRecord,
    unsaved: Option<(u64, UplinkRecord)>,
    asked: bool,
    config: Config,
}

impl Rig {
    pub(super) fn new(seed: u64, sim: SimConfig) -> Self {
        Self::with_config(seed, sim, Config::default())
    }

    pub(super) fn with_config(seed: u64, sim: SimConfig, config: Config) -> Self {
        let sim = SimHost::new(seed, sim);
        let keeper = Keeper::new(config.clone(), seed, 0);
        Self {
            keeper,
            sim,
            now_ms: 0,
            news: Vec::new(),
            steps: Vec::new(),
            answers: false,
            disk_full: false,
            checks: 0,
            told: Report::default(),
            record: UplinkRecord::default(),
            unsaved: None,
            asked: false,
            config,
        }
    }

    pub(super) fn order(&mut self, orders: &Orders) {
        self.keeper.set_orders(self.now_ms, orders);
        assert_eq!(self.keeper.orders(), orders);
        self.exchange();
        self.check_all();
    }

    /// The agent's process dies and starts anew. It knows nothing until it is given orders again.
    pub(super) fn restart_agent(&mut self) {
        self.sim.kill_agent(self.now_ms);
        self.keeper = Keeper::new(self.config.clone(), self.now_ms, self.now_ms);
        self.keeper.resume_uplinks(self.now_ms, &self.record);
        (self.unsaved, self.asked) = (None, false);
    }

    /// Everything that happens at this moment.
    fn exchange(&mut self) {
        loop {
            let answers = self.sim.poll(self.now_ms);
            let quiet = answers.is_empty();
            for answer in answers {
                self.deliver(answer);
            }
            self.keeper.poll(self.now_ms);
            let mut idle = !self.mind_uplinks() && quiet;
            while let Some(command) = self.keeper.poll_command() {
                if let Command::Run { run, step } = &command {
                    self.steps.push((*run, step.clone()));
                }
                self.sim.handle(command, self.now_ms);
                idle = false;
            }
            self.news.extend(std::iter::from_fn(|| self.keeper.poll_notification()));
            while let Some(update) = self.keeper.poll_report(self.now_ms) {
                self.hear(update);
            }
            self.checks += 1;
            self.check();
            if idle {
                return;
            }
        }
    }

    /// Writes down what is to be, and lets Sparkle answer. Returns whether the keeper has something to think about.
    fn mind_uplinks(&mut self) -> bool {
        self.unsaved = self.keeper.poll_uplinks().or(self.unsaved.take());
        let saved = self.unsaved.take_if(|_| !self.disk_full);
        if let Some((serial, record)) = &saved {
            self.record = record.clone();
            self.keeper.uplinks_saved(*serial);
        }
        self.asked |= self.keeper.poll_question(self.now_ms);
        let answered = self.asked && self.answers;
        if answered {
            self.asked = false;
            self.keeper.hear_answer();
        }
        answered || saved.is_some()
    }

    pub(super) fn record(&self) -> &UplinkRecord {
        &self.record
    }

    fn deliver(&mut self, answer: SimAnswer) {
        match answer {
            SimAnswer::Outcome(run, outcome) => self.keeper.handle_outcome(self.now_ms, run, outcome),
            SimAnswer::Progress(run, fraction) => self.keeper.handle_progress(self.now_ms, run, fraction),
            SimAnswer::Look(look, found) => self.keeper.handle_look(self.now_ms, look, found),
            SimAnswer::Hint(hint) => self.keeper.handle_hint(self.now_ms, hint),
        }
    }

    fn hear(&mut self, update: Update) {
        match update {
            Update::Whole(report) => self.told = *report,
            Update::Links { switches, instances } => {
                self.told.switches.extend(switches);
                for (uuid, instance) in instances {
                    match instance {
                        Some(instance) => self.told.instances.insert(uuid, instance),
                        None => self.told.instances.remove(&uuid),
                    };
                }
            }
        }
    }

    /// What must hold after every event.
    fn check(&self) {
        assert!(self.sim.violations().is_empty(), "at {}: {:#?}", self.now_ms, self.sim.violations());
        let report = self.report();
        assert!(self.told == report, "at {}: not told: {}", self.now_ms, difference(&self.told, &report));
        if self.checks.is_multiple_of(OVERLOOKED_EVERY) {
            self.check_all();
        }
        if !self.keeper.knows_guests() {
            return;
        }
        for instance in self.sim.world().guests.keys() {
            let told = report.instances.get(instance).is_some_and(|told| !told.released);
            assert!(told, "at {}: {instance} is there, and told as gone", self.now_ms);
        }
    }

    fn check_all(&self) {
        let overlooked = self.keeper.overlooked(self.now_ms);
        assert!(overlooked.is_empty(), "at {}: overlooked: {overlooked:#?}", self.now_ms);
    }

    pub(super) fn report(&self) -> Report {
        self.keeper.report(self.now_ms)
    }

    pub(super) fn instance(&self) -> Option<InstanceReport> {
        self.report().instances.get(&id(INST)).cloned()
    }

    pub(super) fn guest(&self) -> Option<GuestState> {
        self.sim.world().guests.get(&id(INST)).map(|g| g.state)
    }

    /// Lets time pass.
    pub(super) fn run_for(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        self.run_until(ms, |rig| rig.now_ms >= end);
        self.now_ms = end;
        self.exchange();
    }

    /// Lets time pass until something holds, at most so long. Returns how long it took.
    pub(super) fn run_until(&mut self, ms: u64, holds: impl Fn(&Self) -> bool) -> Option<u64> {
        let (start, end) = (self.now_ms, self.now_ms + ms);
        loop {
            self.exchange();
            if holds(self) {
                return Some(self.now_ms - start);
            }
            let next = self.keeper.poll_timeout().into_iter().chain(self.sim.poll_timeout()).min();
            match next.map(|n| n.max(self.now_ms + 1)).filter(|n| *n <= end) {
                Some(next) => self.now_ms = next,
                None => return None,
            }
        }
    }

    /// As [`run_until`](Self::run_until), and it must come to hold.
    #[track_caller]
    pub(super) fn expect(&mut self, ms: u64, holds: impl Fn(&Self) -> bool) -> u64 {
        match self.run_until(ms, holds) {
            Some(took) => took,
            None => panic!("not within {ms} ms: {:#?}\n{:#?}", self.report(), self.sim.world()),
        }
    }

    /// The verbs of the steps asked for since the last call.
    pub(super) fn verbs(&mut self) -> Vec<&'static str> {
        std::mem::take(&mut self.steps).iter().map(|(_, step)| step.verb()).collect()
    }

    pub(super) fn effects(&self) -> BTreeMap<(&'static str, Uuid), u32> {
        self.sim.world().effects.clone()
    }
}

/// The lines of two reports that differ.
fn difference(told: &Report, is: &Report) -> String {
    let (told, is) = (format!("{told:#?}"), format!("{is:#?}"));
    let pairs = told.lines().zip(is.lines()).filter(|(told, is)| told != is);
    pairs.map(|(told, is)| format!("{told} -> {is}\n")).collect()
}

/// Whether the instance does as ordered, on the host and in the report.
pub(super) fn is(rig: &Rig, target: Target) -> bool {
    let health = rig.instance().map(|i| i.status);
    match target {
        Target::Running => {
            rig.guest() == Some(GuestState::Running) && health == Some(InstanceHealth::Running)
        }
        Target::Paused => rig.guest() == Some(GuestState::Paused) && health == Some(InstanceHealth::Paused),
        Target::Incoming => {
            rig.guest() == Some(GuestState::Incoming) && health == Some(InstanceHealth::Migrating)
        }
        Target::Stopped => {
            !rig.sim.world().up().any(|i| i == id(INST)) && health == Some(InstanceHealth::Stopped)
        }
        Target::Released => {
            let let_go = rig.instance().is_none_or(|told| told.released);
            rig.guest().is_none() && let_go && rig.sim.world().taps.is_empty()
        }
    }
}
