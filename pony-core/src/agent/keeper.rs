//! Keeps the host as ordered: orders and facts in, steps and looks out. Knows no tables and no messages; the
//! agent around it brings the orders and takes the reports away.

use super::alarms::{self, Alarm};
use super::belief::Again;
use super::config::Config;
use super::facts::{Facts, guest_of, is_up};
use super::index::{Index, Usage};
use super::looks::{Looks, Subject};
use super::memo::Memos;
use super::news::{News, Notification};
use super::orders::Orders;
use super::plan::View;
use super::reach::{Changed, Leftover, reached};
use super::report::{Report, Update, report, update};
use super::step::{Command, Found, Hint, LookId, Output, ResourceId, Step, StepOutcome};
use super::trial::{Trial, UplinkRecord};
use crate::host::{DriverError, DriverErrorKind, Ending, GuestState, InstanceFact, Source};
use crate::reconcile::{self, Engine, Outcome, RunId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use uuid::Uuid;

mod ordered;
mod review;

/// How far a fill or a move has come, as told.
#[derive(Debug, Clone, Copy)]
struct Shown {
    told_ms: u64,
    /// What has come since and is told in time.
    pending: Option<f64>,
}

/// Keeps the host as ordered. See the module's documentation.
#[derive(Debug, Clone)]
pub struct Keeper {
    config: Config,
    orders: Orders,
    index: Index,
    /// Whether there has been any order: without one nothing is done.
    ordered: bool,
    trial: Trial,
    facts: Facts,
    memos: Memos,
    looks: Looks,
    engine: Engine<ResourceId, Step>,
    news: News,
    /// Bounded: one look per subject, one step per resource, and each step is cancelled once.
    commands: VecDeque<Command>,
    /// By volume and by instance.
    progress: BTreeMap<Uuid, f64>,
    shown: BTreeMap<Uuid, Shown>,
    /// Whether there is anything to think about, and whether it may concern everything.
    dirty: bool,
    all: bool,
    /// What is to be told anew.
    changed: Changed,
    /// Of the last review of everything; what it was made of does not change without another one.
    usage: Usage,
    failing: BTreeSet<Uuid>,
    leftover: Leftover,
}

impl Keeper {
    /// One that has neither orders nor facts. `seed` sets its retries apart from other hosts'.
    pub fn new(config: Config, seed: u64, now_ms: u64) -> Self {
        let mut looks = Looks::default();
        let machine = [Subject::Host, Subject::Nics, Subject::Disks, Subject::Cpus];
        let links = [Subject::Guests, Subject::Uplinks, Subject::Switches, Subject::Taps];
        let subjects = machine.into_iter().chain(links);
        for subject in subjects {
            looks.watch(subject, now_ms);
        }
        Self {
            engine: Engine::new(config.engine.clone(), seed),
            config,
            orders: Orders::default(),
            index: Index::default(),
            ordered: false,
            trial: Trial::default(),
            facts: Facts::default(),
            memos: Memos::default(),
            looks,
            news: News::default(),
            commands: VecDeque::new(),
            progress: BTreeMap::new(),
            shown: BTreeMap::new(),
            dirty: true,
            all: true,
            changed: Changed::everything(),
            usage: Usage::default(),
            failing: BTreeSet::new(),
            leftover: Leftover::default(),
        }
    }

    /// Goes on with uplinks where a process before this one was. To be called before anything else.
    pub fn resume_uplinks(&mut self, now_ms: u64, record: &UplinkRecord) {
        self.trial = Trial::resume(record, now_ms, &self.config);
    }

    /// A step ended.
    pub fn handle_outcome(&mut self, now_ms: u64, run: RunId, outcome: StepOutcome) {
        let cancelled = self.engine.runs().get(run).is_none_or(reconcile::Run::is_cancelled);
        let (ending, output) = match outcome {
            StepOutcome::Done(output) => (Outcome::Done, Some(output)),
            StepOutcome::Failed(error) => (Outcome::Failed(error), None),
            StepOutcome::Cancelled => (Outcome::Cancelled, None),
        };
        let Some(ended) = self.engine.handle_outcome(now_ms, run, &ending) else { return };
        if ended.step.uplink().is_some() {
            self.trial.touch(now_ms, &self.config);
            self.looks.hint(Subject::Nics, now_ms);
        }
        if let (Step::Migrate { instance, .. }, Some(_)) = (&ended.step, &output) {
            // Also where it was to stay after all: that it went is what decides where its data are.
            self.memos.instances.entry(*instance).or_default().sent = true;
        }
        match output.filter(|_| !cancelled) {
            Some(output) => self.note_success(now_ms, &ended.step, output),
            None => {
                self.facts.doubt(&ended.step);
                self.look_after(now_ms, &ended.step);
            }
        }
        if let ResourceId::Volume(uuid) | ResourceId::Instance(uuid) = ended.id {
            self.progress.remove(&uuid);
            self.shown.remove(&uuid);
        }
        self.touch(ended.id);
    }

    /// Anything may have to be done, and told.
    fn doubt_everything(&mut self) {
        (self.dirty, self.all) = (true, true);
    }

    /// Something happened to a resource, and so to those that depend on it.
    fn touch(&mut self, id: ResourceId) {
        self.dirty = true;
        self.leftover.mind(id, &self.facts, &self.index);
        match reached(id, &self.index, &self.memos, &self.leftover) {
            Some(ids) => ids.into_iter().for_each(|it| self.engine.touch(it)),
            None => self.all = true,
        }
    }

    fn note_success(&mut self, now_ms: u64, step: &Step, output: Output) {
        match step {
            Step::Shutdown(instance) => {
                self.memos.instances.entry(*instance).or_default().pressed = true;
            }
            Step::DeleteVolume(spec) => {
                self.memos.deleted.insert(spec.volume);
                self.memos.had_data.remove(&spec.volume);
            }
            Step::CreateVolume { spec, source } => {
                self.memos.note_made(spec, &self.orders);
                if let (Output::Volume(fact), true) = (&output, *source != Source::Empty) {
                    self.news.volume_filled(now_ms, spec.volume, fact.size_mib, &self.config);
                }
            }
            _ => {}
        }
        self.facts.promise(step, output);
        if guest_of(step).is_some() {
            self.looks.hint(Subject::Guests, now_ms);
        }
    }

    /// What a step that did not succeed brought about must be looked for.
    fn look_after(&mut self, now_ms: u64, step: &Step) {
        let subject = match step {
            Step::EnsureUplink(_) | Step::RemoveUplink(_) => Subject::Uplinks,
            Step::EnsureSwitch(_) | Step::RemoveSwitch(_) => Subject::Switches,
            Step::EnsureTap(_) | Step::RemoveTap(_) => Subject::Taps,
            Step::CreateVolume { spec, .. } | Step::DeleteVolume(spec) | Step::GrowDisk { spec, .. } => {
                Subject::Volumes(spec.pool.pool)
            }
            _ => Subject::Guests,
        };
        self.looks.hint(subject, now_ms);
    }

    /// A step has come so far, from 0 to 1. Cheap.
    pub fn handle_progress(&mut self, now_ms: u64, run: RunId, fraction: f64) {
        let id = self.engine.handle_progress(now_ms, run, fraction);
        let Some(id @ (ResourceId::Volume(uuid) | ResourceId::Instance(uuid))) = id else { return };
        let Some(fraction) = self.engine.runs().progress(id) else { return };
        let shown = self.shown.entry(uuid).or_insert(Shown { told_ms: now_ms, pending: None });
        let first = !self.progress.contains_key(&uuid);
        shown.pending = Some(fraction);
        if first {
            shown.told_ms = now_ms.saturating_sub(self.config.progress_ms);
        }
    }

    /// A look was answered.
    pub fn handle_look(&mut self, now_ms: u64, look: LookId, found: Result<Found, DriverError>) {
        let Some((subject, count)) = self.looks.end(look, found.is_ok(), now_ms, &self.config) else {
            return;
        };
        self.doubt_everything();
        match found {
            Ok(found) => {
                let recovered = self.facts.trouble.remove(&subject).is_some();
                self.accept(now_ms, subject, count, found, recovered);
            }
            Err(error) => {
                let before = self.facts.trouble.insert(subject, error.message.clone());
                if let (Subject::Pool(pool), None) = (subject, before) {
                    self.alarm(now_ms, [alarms::broken(pool, &error.message)]);
                }
            }
        }
    }

    fn accept(&mut self, now_ms: u64, subject: Subject, count: u64, found: Found, recovered: bool) {
        let again = match (subject, found) {
            (Subject::Host, Found::Host(host)) => return self.facts.host = Some(*host),
            (Subject::Nics, Found::Nics(nics)) => {
                self.alarm(now_ms, alarms::nics(self.facts.nics.as_deref().unwrap_or_default(), &nics));
                return self.facts.nics = Some(nics);
            }
            (Subject::Disks, Found::Disks(disks)) => {
                self.alarm(now_ms, alarms::disks(&self.facts.disks, &disks));
                return self.facts.disks = disks;
            }
            (Subject::Cpus, Found::Cpus(cpus)) => return self.facts.cpus = cpus,
            (Subject::Guests, Found::Guests(guests)) => self.accept_guests(now_ms, count, guests),
            (Subject::Uplinks, Found::Uplinks(found)) => {
                self.facts.uplinks.accept(count, found.into_iter().map(|it| (it.spec.id(), it))).again
            }
            (Subject::Switches, Found::Switches(found)) => {
                self.facts.switches.accept(count, found.into_iter().map(|s| (s.switch, s))).again
            }
            (Subject::Taps, Found::Taps(found)) => {
                self.facts.taps.accept(count, found.into_iter().map(|t| (t.vnic, t))).again
            }
            (Subject::Pool(pool), Found::Pool(fact)) => {
                let Some(state) = self.facts.pools.get_mut(&pool) else { return };
                let filling = alarms::filling(&mut state.told_percent, &fact);
                state.fact = Some(fact);
                self.alarm(now_ms, filling);
                self.looks.watch(Subject::Volumes(pool), now_ms);
                if recovered {
                    self.looks.hint(Subject::Volumes(pool), now_ms);
                }
                None
            }
            (Subject::Volumes(pool), Found::Volumes(volumes)) => {
                let Some(state) = self.facts.pools.get_mut(&pool) else { return };
                state.volumes.accept(count, volumes.into_iter().map(|v| (v.volume, v))).again
            }
            _ => return,
        };
        match again {
            Some(Again::AtOnce) => self.looks.hint(subject, now_ms),
            Some(Again::InTime) => self.looks.bring_forward(subject, now_ms + self.config.look_promised_ms),
            None => {}
        }
    }

    fn alarm(&mut self, now_ms: u64, alarms: impl IntoIterator<Item = Alarm>) {
        for (thing, news) in alarms {
            self.news.tell(now_ms, thing, news, &self.config);
        }
    }

    fn accept_guests(&mut self, now_ms: u64, count: u64, guests: Vec<InstanceFact>) -> Option<Again> {
        let accepted = self.facts.guests.accept(count, guests.into_iter().map(|g| (g.instance, g)));
        for (instance, before) in accepted.replaced {
            let now = self.facts.guest(instance).map(|g| g.state);
            let ending = self.facts.guest(instance).and_then(|g| g.ending);
            let was_up = before.is_some_and(|b| matches!(b.state, GuestState::Running | GuestState::Paused));
            let busy = self.engine.runs().of(ResourceId::Instance(instance)).next().is_some();
            let is_gone = now.is_none() && self.orders.placement(instance).is_leaving();
            let went_off = was_up && !now.is_some_and(is_up) && !is_gone;
            if went_off && !busy && self.orders.target(instance).is_up() {
                self.note_incident(now_ms, instance, now == Some(GuestState::Crashed), ending);
            }
        }
        accepted.again
    }

    /// A guest went off that was ordered to be up.
    fn note_incident(&mut self, now_ms: u64, instance: Uuid, crashed: bool, ending: Option<Ending>) {
        let (kind, what) = incident(crashed, ending);
        self.news.guest_went_off(now_ms, instance, kind, &self.config);
        let message = format!("{what}: it is started again");
        let error = DriverError { kind: DriverErrorKind::Transient, message };
        self.engine.penalize(now_ms, ResourceId::Instance(instance), Step::Start(instance), error);
    }

    /// Something may have changed.
    pub fn handle_hint(&mut self, now_ms: u64, hint: Hint) {
        let subjects: &[Subject] = match hint {
            Hint::Instance(_) => &[Subject::Guests],
            Hint::Machine => &[Subject::Host, Subject::Nics, Subject::Disks],
            Hint::Links => &[Subject::Nics, Subject::Uplinks, Subject::Switches, Subject::Taps],
        };
        // A disk that is gone takes its pool along.
        let pools =
            self.facts.pools.keys().filter(|_| hint == Hint::Machine).map(|pool| Subject::Pool(*pool));
        for subject in subjects.iter().copied().chain(pools) {
            self.looks.hint(subject, now_ms);
        }
    }

    /// Does what is due: to be called after input, and when [`poll_timeout`](Self::poll_timeout) says so.
    pub fn poll(&mut self, now_ms: u64) {
        self.look_around(now_ms);
        self.show_progress(now_ms);
        self.mind_uplinks(now_ms);
        let due = self.engine.poll_timeout().is_none_or(|at| at <= now_ms);
        if self.acts() && (self.dirty || due) {
            self.review(now_ms);
        } else if self.dirty {
            self.changed = Changed::everything();
        }
        self.dirty = false;
    }

    /// Whether there is anything that may be done.
    fn acts(&self) -> bool {
        self.ordered || self.trial.is_known()
    }

    fn mind_uplinks(&mut self, now_ms: u64) {
        let idle = self.are_uplinks_idle();
        let done = self.trial.is_on()
            && self.with_view(now_ms, &Usage::default(), |view| idle && view.uplinks_done());
        let before = self.trial.serial();
        let refused = self.trial.poll(now_ms, done, &self.config);
        if self.trial.serial() != before {
            self.doubt_everything();
        }
        let Some(refused) = refused else { return };
        for id in refused.keys() {
            if let Some(refusal) = self.trial.refusal(*id) {
                return self.news.rolled_back(now_ms, *id, refusal.attempts, &self.config);
            }
        }
    }

    fn are_uplinks_idle(&self) -> bool {
        self.engine.runs().iter().all(|run| run.step.uplink().is_none())
    }

    /// Whether Sparkle is to be asked whether it can be reached; [`hear_answer`](Self::hear_answer) tells of its answer.
    pub fn poll_question(&mut self, now_ms: u64) -> bool {
        let idle = self.are_uplinks_idle();
        self.trial.poll_question(now_ms, idle)
    }

    /// Sparkle has answered a question. Earlier ones do not count by themselves: see [`UplinkRecord`].
    pub fn hear_answer(&mut self) {
        if self.trial.hear() {
            self.doubt_everything();
        }
    }

    /// What is to be written down about uplinks, with a number for [`uplinks_saved`](Self::uplinks_saved).
    pub fn poll_uplinks(&mut self) -> Option<(u64, UplinkRecord)> {
        self.trial.poll_record()
    }

    /// It was written down durably; before that no uplink is touched.
    pub fn uplinks_saved(&mut self, serial: u64) {
        self.trial.saved(serial);
        self.doubt_everything();
    }

    fn look_around(&mut self, now_ms: u64) {
        let seconds = self.config.look_timeout_ms / 1_000;
        for look in self.looks.expired(now_ms, &self.config) {
            let message = format!("no answer within {seconds} s");
            let error = DriverError { kind: DriverErrorKind::Transient, message };
            self.handle_look(now_ms, look, Err(error));
        }
        while let Some(subject) = self.looks.due(now_ms) {
            let count = self.count(subject);
            let pool = |pool| self.facts.pools.get(&pool).map(|it| it.spec.clone());
            let Some(what) = subject.look(pool, &self.orders.cpus) else {
                self.looks.forget(subject);
                continue;
            };
            let look = self.looks.begin(subject, now_ms, count);
            self.commands.push_back(Command::Look { look, what });
        }
    }

    fn count(&mut self, subject: Subject) -> u64 {
        match subject {
            Subject::Guests => self.facts.guests.look(),
            Subject::Uplinks => self.facts.uplinks.look(),
            Subject::Switches => self.facts.switches.look(),
            Subject::Taps => self.facts.taps.look(),
            Subject::Volumes(pool) => self.facts.pools.get_mut(&pool).map_or(0, |p| p.volumes.look()),
            Subject::Host | Subject::Nics | Subject::Disks | Subject::Cpus | Subject::Pool(_) => 0,
        }
    }

    fn show_progress(&mut self, now_ms: u64) {
        let mut news = false;
        for (uuid, shown) in &mut self.shown {
            if now_ms >= shown.told_ms.saturating_add(self.config.progress_ms)
                && let Some(fraction) = shown.pending.take()
            {
                shown.told_ms = now_ms;
                news |= self.progress.insert(*uuid, fraction) != Some(fraction);
            }
        }
        if news {
            self.doubt_everything();
        }
    }

    /// What to do next.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// What happened, once.
    pub fn poll_notification(&mut self) -> Option<Notification> {
        self.news.pop()
    }

    /// How many notifications were dropped because nobody took them in time.
    pub fn notifications_dropped(&self) -> u64 {
        self.news.dropped()
    }

    /// When to call [`poll`](Self::poll) at the latest.
    pub fn poll_timeout(&self) -> Option<u64> {
        if self.dirty {
            return Some(0);
        }
        let engine = self.engine.poll_timeout().filter(|_| self.acts());
        let engine = engine.into_iter().chain(self.trial.poll_timeout(self.are_uplinks_idle()));
        let pending = self.shown.values().filter(|s| s.pending.is_some());
        let progress = pending.map(|s| s.told_ms.saturating_add(self.config.progress_ms));
        progress.chain(engine).chain(self.looks.poll_timeout(&self.config)).min()
    }

    /// Whether there has been any order.
    pub(super) fn is_ordered(&self) -> bool {
        self.ordered
    }

    /// Whether it is known which guests there are. Before that nothing may be told: a report without an
    /// instance says that this host let go of it.
    pub fn knows_guests(&self) -> bool {
        self.facts.guests.looked()
    }

    /// What is to be told anew: what may have changed since the last call.
    pub fn poll_report(&mut self, now_ms: u64) -> Option<Update> {
        let changed = std::mem::take(&mut self.changed);
        if changed.is_everything() {
            return Some(Update::Whole(Box::new(self.report(now_ms))));
        }
        let usage = Usage::default();
        let told =
            || self.with_view(now_ms, &usage, |view| update(view, &self.engine, self.ordered, &changed));
        (!changed.is_nothing()).then(told)
    }

    /// What is to be told.
    pub fn report(&self, now_ms: u64) -> Report {
        // Who uses what is told only of volumes that are to be let go of.
        let lets_go = self.orders.volumes.values().any(|it| it.grant.is_released());
        let usage = if lets_go { Usage::of(&self.facts) } else { Usage::default() };
        self.with_view(now_ms, &usage, |view| report(view, &self.engine, self.ordered))
    }

    /// Asks something about the present moment.
    fn with_view<T>(&self, now_ms: u64, usage: &Usage, ask: impl FnOnce(&View<'_>) -> T) -> T {
        let failing = BTreeSet::new();
        let view = View {
            now_ms,
            config: &self.config,
            ordered: self.ordered,
            trial: &self.trial,
            orders: &self.orders,
            index: &self.index,
            usage,
            facts: &self.facts,
            memos: &self.memos,
            failing: &failing,
            progress: &self.progress,
        };
        ask(&view)
    }
}

/// The word for how a guest went off without an order, and the same for people.
fn incident(crashed: bool, ending: Option<Ending>) -> (&'static str, &'static str) {
    match ending {
        Some(Ending::Panicked) => ("instance-panicked", "the guest panicked"),
        Some(Ending::Killed) => ("instance-killed", "the guest's emulator was killed or broke down"),
        Some(Ending::Destroyed) => ("instance-destroyed", "somebody at the host pulled the guest's plug"),
        None if crashed => ("instance-crashed", "the guest crashed"),
        Some(Ending::ShutDown) | None => ("instance-stopped", "the guest switched itself off"),
    }
}
