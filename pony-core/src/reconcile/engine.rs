//! The engine itself. See the module's documentation.

use super::agenda::Agenda;
use super::backoff::Retry;
use super::{Config, Phase, Plan, Run, RunId, Runs, SplitMix64, Stamp, Status, World};
use crate::host::{DriverError, DriverErrorKind};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Debug;

/// What the one who drives the engine has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command<I, S> {
    /// Carry out a step and report its outcome under this id.
    Run {
        /// Names this execution.
        run: RunId,
        /// The resource that it is for.
        id: I,
        /// What to do.
        step: S,
    },
    /// End this execution as soon as possible, and report its outcome once nothing of it goes on any more.
    Cancel {
        /// Names the execution.
        run: RunId,
    },
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It did what it promises.
    Done,
    /// It failed.
    Failed(DriverError),
    /// It was given up as told.
    Cancelled,
}

/// A step that ended, as [`Engine::handle_outcome`] returns it.
#[derive(Debug, Clone)]
pub struct Ended<I, S> {
    /// The resource that it was for.
    pub id: I,
    /// What was done.
    pub step: S,
}

/// A failure, as [`Engine::poll_failure`] tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureEvent<I, S> {
    /// The resource.
    pub id: I,
    /// What failed.
    pub step: S,
    /// Why.
    pub error: DriverError,
    /// Failures since the last recovery, this one included.
    pub attempts: u32,
}

/// Failures that nobody has asked for yet; the oldest are dropped beyond it, as they are news, not state.
const FAILURES_MAX: usize = 256;

/// What the engine remembers of a resource.
#[derive(Debug, Clone)]
struct Resource<S> {
    order: Stamp,
    circumstances: Stamp,
    phase: Phase,
    retry: Retry<S>,
    /// The execution that its next step has to wait for.
    active: Option<RunId>,
    /// The lane of which its next step waits for a free slot, and since when: first come, first served.
    queued: Option<(usize, u64)>,
    done_ms: Option<u64>,
    /// When to look at it again without a signal.
    wake_ms: Option<u64>,
    /// The same, as the agenda has it.
    scheduled_ms: Option<u64>,
}

/// The reconcile engine. See the [module's documentation](crate::reconcile).
#[derive(Debug, Clone)]
pub struct Engine<I, S> {
    config: Config,
    random: SplitMix64,
    resources: BTreeMap<I, Resource<S>>,
    agenda: Agenda<I>,
    runs: Runs<I, S>,
    /// Bounded: a resource has one step under way, and each step is cancelled once.
    commands: VecDeque<Command<I, S>>,
    failures: VecDeque<FailureEvent<I, S>>,
    next_run: u64,
    reviewed_ms: Option<u64>,
}

impl<I: Copy + Ord + Debug, S: Clone + PartialEq + Debug> Engine<I, S> {
    /// An engine that knows no resource yet. `seed` sets the jitter apart from that of other hosts.
    pub fn new(config: Config, seed: u64) -> Self {
        Self {
            config,
            random: SplitMix64::new(seed),
            resources: BTreeMap::new(),
            agenda: Agenda::default(),
            runs: Runs::default(),
            commands: VecDeque::new(),
            failures: VecDeque::new(),
            next_run: 1,
            reviewed_ms: None,
        }
    }

    /// Looks at every resource: cancels what no longer serves, starts what is due. To be called after every
    /// change of orders or facts that is not told by [`touch`](Self::touch), and once per period, which
    /// [`attend`](Self::attend) does.
    pub fn review<W: World<Id = I, Step = S>>(&mut self, now_ms: u64, world: &W) {
        self.reviewed_ms = Some(now_ms);
        self.agenda.take_due(now_ms);
        let known = self.resources.keys().copied();
        let all = world.ids().into_iter().chain(known).collect();
        self.visit(now_ms, all, world);
    }

    /// Something happened to the resource: its order, what is found of it, or what its plan depends on.
    pub fn touch(&mut self, id: I) {
        self.agenda.touch(id);
    }

    /// Those that were touched and have not been looked at since.
    pub fn touched(&self) -> &BTreeSet<I> {
        self.agenda.touched()
    }

    /// Does what [`review`](Self::review) does, for the resources that were touched, whose time has come, or whose
    /// turn it is, so that it takes time in proportion to them. Once per period it looks at all. To be called after
    /// outcomes, and when [`poll_timeout`](Self::poll_timeout) says so. Returns what it looked at; `None`: everything.
    pub fn attend<W: World<Id = I, Step = S>>(&mut self, now_ms: u64, world: &W) -> Option<BTreeSet<I>> {
        let next_ms = self.reviewed_ms.map(|at| at.saturating_add(self.config.period_ms));
        if next_ms.is_none_or(|next| now_ms >= next) {
            self.review(now_ms, world);
            return None;
        }
        let mut visited = self.agenda.take_due(now_ms);
        let is_late = |run: &&Run<I, S>| self.deadline(run).is_some_and(|at| at <= now_ms);
        visited.extend(self.runs.iter().filter(is_late).map(|run| run.id));
        for lane in 0..self.config.lanes.len() {
            visited.extend(self.agenda.waiting_for(lane).take(self.free_slots(lane)));
        }
        self.visit(now_ms, visited.clone(), world);
        // One whose turn came may have needed its slot no more.
        while let Some(next) = self.next_in_turn() {
            self.visit(now_ms, BTreeSet::from([next]), world);
            visited.insert(next);
        }
        Some(visited)
    }

    /// What to do next; to be called until it has nothing more to say.
    pub fn poll_command(&mut self) -> Option<Command<I, S>> {
        self.commands.pop_front()
    }

    /// A failure that happened, once.
    pub fn poll_failure(&mut self) -> Option<FailureEvent<I, S>> {
        self.failures.pop_front()
    }

    /// A step ended. Returns what it was, also when its successor has long taken over; `None` for an execution
    /// that this engine never started or that has ended already.
    pub fn handle_outcome(&mut self, now_ms: u64, run: RunId, outcome: &Outcome) -> Option<Ended<I, S>> {
        let Run { id, step, cancelled_ms, .. } = self.runs.0.remove(&run)?;
        self.agenda.touch(id);
        if let Some(resource) = self.resources.get_mut(&id) {
            if resource.active == Some(run) {
                resource.active = None;
            }
            if cancelled_ms.is_none() {
                let error = match outcome {
                    Outcome::Done => None,
                    Outcome::Failed(error) => Some(error.clone()),
                    Outcome::Cancelled => Some(given_up(&step)),
                };
                match error {
                    None => resource.retry.succeed(now_ms, step.clone()),
                    Some(e) => self.fail(now_ms, id, step.clone(), e),
                }
            }
        }
        Some(Ended { id, step })
    }

    /// A step has come so far (0 to 1). Cheap; needs no review.
    pub fn handle_progress(&mut self, now_ms: u64, run: RunId, fraction: f64) -> Option<I> {
        let run = self.runs.0.get_mut(&run)?;
        run.alive_ms = now_ms;
        run.progress = Some(if fraction.is_finite() { fraction.clamp(0.0, 1.0) } else { 0.0 });
        Some(run.id)
    }

    /// Counts a failure that showed itself outside any step, such as a guest that breaks down after `step`
    /// started it: the step will be tried again with back-off.
    pub fn penalize(&mut self, now_ms: u64, id: I, step: S, error: DriverError) {
        self.agenda.touch(id);
        self.fail(now_ms, id, step, error);
    }

    /// When to call [`review`](Self::review) at the latest, if nothing else happens.
    pub fn poll_timeout(&self) -> Option<u64> {
        let period = self.reviewed_ms?.saturating_add(self.config.period_ms);
        let runs = self.runs.iter().filter_map(|run| self.deadline(run));
        runs.chain(self.agenda.first_wake()).chain([period]).min()
    }

    /// Where a resource stands; `None` where none of this name is known.
    pub fn status(&self, id: I) -> Option<Status> {
        let resource = self.resources.get(&id)?;
        let failure = resource.retry.failure.as_ref();
        Some(Status {
            phase: resource.phase.clone(),
            error: failure.map(|f| f.error.clone()),
            attempts: resource.retry.attempts,
            next_retry_ms: failure.filter(|_| resource.phase.tries()).map(|f| f.next_ms),
        })
    }

    /// The steps under way.
    pub fn runs(&self) -> &Runs<I, S> {
        &self.runs
    }

    /// Looks at these resources: those that wait for a slot first, in the order in which they came.
    fn visit<W: World<Id = I, Step = S>>(&mut self, now_ms: u64, ids: BTreeSet<I>, world: &W) {
        let mut queue: Vec<I> = ids.into_iter().collect();
        let since = |id: &I| self.resources.get(id).and_then(|it| it.queued).map_or(u64::MAX, |(_, at)| at);
        queue.sort_by_cached_key(since);
        let mut idle = Vec::new();
        for id in &queue {
            self.note_changes(now_ms, *id, world);
            match self.mind_active(now_ms, *id, world) {
                Some(phase) => self.hold(*id, phase),
                None => idle.push(*id),
            }
        }
        for id in idle {
            self.advance(now_ms, id, world);
        }
        for id in queue {
            self.schedule(id, world.due(id).filter(|due| *due > now_ms));
        }
    }

    /// A resource that waits for a slot which is free.
    fn next_in_turn(&self) -> Option<I> {
        let mut free = (0..self.config.lanes.len()).filter(|lane| self.free_slots(*lane) > 0);
        free.find_map(|lane| self.agenda.waiting_for(lane).next())
    }

    fn free_slots(&self, lane: usize) -> usize {
        self.config.lane(lane).slots.saturating_sub(self.runs.in_lane(lane))
    }

    /// It is looked at again when its next step, or `due`, says so.
    fn schedule(&mut self, id: I, due: Option<u64>) {
        let Some(resource) = self.resources.get_mut(&id) else { return };
        resource.wake_ms = resource.wake_ms.into_iter().chain(due).min();
        let before = std::mem::replace(&mut resource.scheduled_ms, resource.wake_ms);
        self.agenda.wake(id, before, resource.wake_ms);
    }

    fn set_queued(&mut self, id: I, queued: Option<(usize, u64)>) {
        let Some(resource) = self.resources.get_mut(&id) else { return };
        let before = std::mem::replace(&mut resource.queued, queued);
        self.agenda.queue(id, before, queued);
    }

    fn advance<W: World<Id = I, Step = S>>(&mut self, now_ms: u64, id: I, world: &W) {
        match world.plan(id, &self.runs) {
            Plan::Gone => self.forget(id),
            Plan::Done => self.settle(now_ms, id),
            Plan::Step(step) => self.want(now_ms, id, step, world),
            Plan::Wait(reason) => self.hold(id, Phase::Waiting(reason)),
            Plan::Cannot(reason) => self.hold(id, Phase::Cannot(reason)),
        }
    }

    /// Makes the resource known, and starts its back-off afresh where the order is another one.
    fn note_changes<W: World<Id = I, Step = S>>(&mut self, now_ms: u64, id: I, world: &W) {
        let (order, circumstances) = (world.order(id), world.circumstances(id));
        let resource = self.resources.entry(id).or_insert_with(|| Resource {
            order,
            circumstances,
            phase: Phase::Queued,
            retry: Retry::default(),
            active: None,
            queued: None,
            done_ms: None,
            wake_ms: None,
            scheduled_ms: None,
        });
        if resource.order != order {
            resource.order = order;
            resource.retry.reset();
        }
        if resource.circumstances != circumstances {
            resource.circumstances = circumstances;
            resource.retry.hurry(now_ms, &self.config);
        }
    }

    /// Cancels or gives up the resource's step where that is due. Returns its phase where the next step has to
    /// wait for it.
    fn mind_active<W: World<Id = I, Step = S>>(&mut self, now_ms: u64, id: I, world: &W) -> Option<Phase> {
        let run_id = self.resources.get(&id)?.active?;
        let run = self.runs.0.get(&run_id)?;
        let stalled = now_ms >= run.alive_ms.saturating_add(self.config.lane(run.lane).stall_ms);
        if !run.is_cancelled() && (stalled || !world.serves(run)) {
            self.cancel(now_ms, run_id, stalled && world.serves(run));
        }
        let run = self.runs.0.get_mut(&run_id)?;
        let Some(cancelled_ms) = run.cancelled_ms else { return Some(Phase::Working) };
        if now_ms < cancelled_ms.saturating_add(self.config.cancel_grace_ms) {
            return Some(Phase::Cancelling);
        }
        run.abandoned = true;
        if let Some(resource) = self.resources.get_mut(&id) {
            resource.active = None;
        }
        None
    }

    fn cancel(&mut self, now_ms: u64, run_id: RunId, failed: bool) {
        let Some(run) = self.runs.0.get_mut(&run_id) else { return };
        run.cancelled_ms = Some(now_ms);
        self.commands.push_back(Command::Cancel { run: run_id });
        if failed {
            let error = stalled(self.config.lane(run.lane).stall_ms);
            let (id, step) = (run.id, run.step.clone());
            self.fail(now_ms, id, step, error);
        }
    }

    fn fail(&mut self, now_ms: u64, id: I, step: S, error: DriverError) {
        let Some(resource) = self.resources.get_mut(&id) else { return };
        resource.retry.fail(now_ms, step.clone(), error.clone(), &self.config, &mut self.random);
        self.failures.push_back(FailureEvent { id, step, error, attempts: resource.retry.attempts });
        while self.failures.len() > FAILURES_MAX {
            self.failures.pop_front();
        }
    }

    /// The planned step is started, queued or put off.
    fn want<W: World<Id = I, Step = S>>(&mut self, now_ms: u64, id: I, step: S, world: &W) {
        let Some(resource) = self.resources.get_mut(&id) else { return };
        resource.done_ms = None;
        if resource.retry.repeats(&step, now_ms, &self.config) {
            self.fail(now_ms, id, step.clone(), not_as_promised());
        }
        let Some(resource) = self.resources.get_mut(&id) else { return };
        if let Some(next_ms) = resource.retry.blocked_until(&step, now_ms) {
            self.hold(id, Phase::Retrying);
            return self.wake(id, next_ms);
        }
        if self.runs.of(id).count() >= self.config.leftover_max {
            return self.hold(id, Phase::Cancelling);
        }
        let lane = self.config.lane_index(world.lane(&step));
        let since_ms = resource.queued.map_or(now_ms, |(_, since)| since);
        if self.free_slots(lane) > 0 {
            return self.start(now_ms, id, step, lane);
        }
        let Some(resource) = self.resources.get_mut(&id) else { return };
        (resource.phase, resource.wake_ms) = (Phase::Queued, None);
        self.set_queued(id, Some((lane, since_ms)));
    }

    fn start(&mut self, now_ms: u64, id: I, step: S, lane: usize) {
        let Some(resource) = self.resources.get_mut(&id) else { return };
        let run = RunId(self.next_run);
        self.next_run += 1;
        (resource.active, resource.phase, resource.wake_ms) = (Some(run), Phase::Working, None);
        let order = resource.order;
        self.commands.push_back(Command::Run { run, id, step: step.clone() });
        let (progress, cancelled_ms, abandoned) = (None, None, false);
        let started = Run { id, step, order, progress, lane, alive_ms: now_ms, cancelled_ms, abandoned };
        self.runs.0.insert(run, started);
        self.set_queued(id, None);
    }

    fn hold(&mut self, id: I, phase: Phase) {
        let Some(resource) = self.resources.get_mut(&id) else { return };
        (resource.phase, resource.wake_ms, resource.done_ms) = (phase, None, None);
        self.set_queued(id, None);
    }

    fn wake(&mut self, id: I, at_ms: u64) {
        if let Some(resource) = self.resources.get_mut(&id) {
            resource.wake_ms = Some(at_ms);
        }
    }

    /// It is as ordered; once it stayed so, its failures are forgotten.
    fn settle(&mut self, now_ms: u64, id: I) {
        let Some(resource) = self.resources.get_mut(&id) else { return };
        resource.phase = Phase::Done;
        resource.retry.failure = None;
        let settled_ms = resource.done_ms.get_or_insert(now_ms).saturating_add(self.config.settle_ms);
        if now_ms >= settled_ms {
            resource.retry.reset();
        }
        resource.wake_ms = (resource.retry.attempts > 0).then_some(settled_ms);
        self.set_queued(id, None);
    }

    fn forget(&mut self, id: I) {
        if self.runs.of(id).next().is_some() {
            return self.hold(id, Phase::Cancelling);
        }
        self.set_queued(id, None);
        if let Some(resource) = self.resources.remove(&id) {
            self.agenda.wake(id, resource.scheduled_ms, None);
        }
    }

    /// When a step under way is given up, if it is not heard of before.
    fn deadline(&self, run: &Run<I, S>) -> Option<u64> {
        match run.cancelled_ms {
            _ if run.abandoned => None,
            Some(at) => Some(at.saturating_add(self.config.cancel_grace_ms)),
            None => Some(run.alive_ms.saturating_add(self.config.lane(run.lane).stall_ms)),
        }
    }
}

fn transient(message: String) -> DriverError {
    DriverError { kind: DriverErrorKind::Transient, message }
}

fn given_up<S: Debug>(step: &S) -> DriverError {
    transient(format!("{step:?} was given up by its driver, which nobody asked for"))
}

fn stalled(stall_ms: u64) -> DriverError {
    transient(format!("gave no sign of life for {} s and was cancelled", stall_ms / 1_000))
}

fn not_as_promised() -> DriverError {
    transient("succeeded, but what was found afterwards was not as ordered: trying again".to_owned())
}
