//! The agent: tables, session and keeper put together.

use super::config::Config;
use super::connection::{self, Refused, Told};
use super::keeper::Keeper;
use super::rows::Sources;
use super::step::{Command, Found, Hint, LookId, StepOutcome};
use super::tell;
use super::trial::UplinkRecord;
use crate::host::DriverError;
use crate::reconcile::RunId;
use crate::tables;
use pony_state::sync::{self, Dropped, Event, Frames, Limits, Now, Role, RowId, Session};
use pony_state::{Commit, PartKind, SchemaError, State};
use std::collections::VecDeque;
use uuid::Uuid;

/// What an agent is started with.
#[derive(Debug, Clone)]
pub struct AgentOptions {
    /// The machine's own UUID.
    pub uuid: Uuid,
    /// Random, of this start of the process.
    pub incarnation: Uuid,
    /// The highest epoch that was ever accepted, from where [`AgentEvent::EpochRaised`] was written; else 0.
    pub epoch_highest: u64,
    /// Sets retries apart from other hosts'.
    pub seed: u64,
    /// What was last to be written down by [`AgentEvent::UplinksChanged`]; else the default.
    pub uplinks: UplinkRecord,
    /// Bounds of the work.
    pub config: Config,
    /// Bounds of messages.
    pub limits: Limits,
}

/// Something for the daemon itself.
#[derive(Debug)]
pub enum AgentEvent {
    /// To be written durably, and confirmed by [`Agent::epoch_saved`]: no command is given before.
    EpochRaised(u64),
    /// To be written durably, and confirmed by [`Agent::uplinks_saved`]: no uplink is touched before.
    UplinksChanged {
        /// For the confirmation.
        serial: u64,
        /// What is to be read at the next start.
        record: UplinkRecord,
    },
    /// Sparkle has fallen silent. The last order stays in force.
    Missing,
    /// Sparkle talks again.
    Back,
    /// A message was not taken; for the log.
    Dropped(Dropped),
    /// A row of this host is too long to be sent; for the log.
    Oversized {
        /// The row.
        row: RowId,
        /// Its length.
        bytes: usize,
    },
    /// An ordered row cannot be understood and counts as absent; for the log.
    Refused(Refused),
}

/// Events that nobody has asked for; beyond it the oldest is dropped, as all but what is to be written are for the log.
const EVENTS_MAX: usize = 256;

/// A difference between the two clocks beyond which times already told are told anew, ms.
const CLOCK_STEP_MS: u64 = 2_000;

/// The heart of Twilight. See the [module's documentation](crate::agent).
///
/// After each input, `poll_event`, `poll_command` and `poll_transmit` are called until they have nothing more,
/// and [`handle_timeout`](Self::handle_timeout) when [`poll_timeout`](Self::poll_timeout) says so.
#[derive(Debug)]
pub struct Agent {
    options: AgentOptions,
    state: State,
    keeper: Keeper,
    /// There is none before the guests are known: a host that does not know its guests has nothing to say.
    session: Option<Session>,
    events: VecDeque<AgentEvent>,
    /// The epoch that must be written down before anything is done.
    epoch_unsaved: Option<u64>,
    /// From the agent's clock to Unix time.
    unix_offset_ms: u64,
    /// What the orders were made from.
    sources: Sources,
}

impl Agent {
    /// An agent that knows nothing yet.
    ///
    /// # Errors
    /// [`SchemaError`], if the tables' declarations contradict each other; a test proves that they do not.
    pub fn new(options: AgentOptions, now: Now) -> Result<Self, SchemaError> {
        let mut keeper = Keeper::new(options.config.clone(), options.seed, now.ms);
        keeper.resume_uplinks(now.ms, &options.uplinks);
        Ok(Self {
            state: tables::new_state()?,
            keeper,
            session: None,
            events: VecDeque::new(),
            epoch_unsaved: None,
            unix_offset_ms: offset(now),
            sources: Sources::new(options.uuid),
            options,
        })
    }

    /// Takes a message of Sparkle. Before the guests are known it is dropped; the session makes up for it.
    pub fn handle_frames(&mut self, body: &[u8], time: &[u8], now: Now) {
        if let Some(session) = &mut self.session {
            session.handle_frames(body, time, now);
        }
        self.drive(now);
    }

    /// As [`handle_frames`](Self::handle_frames), where the link has read the time already.
    pub fn handle_message(&mut self, body: &[u8], sent_unix_s: u64, now: Now) {
        if let Some(session) = &mut self.session {
            session.handle_message(body, sent_unix_s, now);
        }
        self.drive(now);
    }

    /// The link to Sparkle is up (again): it is greeted at once, so that what was lost meanwhile is made up for.
    pub fn handle_connected(&mut self, now: Now) {
        if let Some(session) = &mut self.session {
            session.handle_connected(now);
        }
    }

    /// A step ended.
    pub fn handle_outcome(&mut self, run: RunId, outcome: StepOutcome, now: Now) {
        self.keeper.handle_outcome(now.ms, run, outcome);
        self.drive(now);
    }

    /// A step has come so far, from 0 to 1. Cheap: what follows from it waits for the next timeout.
    pub fn handle_progress(&mut self, run: RunId, fraction: f64, now: Now) {
        self.keeper.handle_progress(now.ms, run, fraction);
    }

    /// A look was answered.
    pub fn handle_look(&mut self, look: LookId, found: Result<Found, DriverError>, now: Now) {
        self.keeper.handle_look(now.ms, look, found);
        self.drive(now);
    }

    /// A driver says that something may have changed.
    pub fn handle_hint(&mut self, hint: Hint, now: Now) {
        self.keeper.handle_hint(now.ms, hint);
        self.drive(now);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        if let Some(session) = &mut self.session {
            session.handle_timeout(now);
        }
        self.drive(now);
    }

    /// The epoch was written durably.
    pub fn epoch_saved(&mut self, epoch: u64) {
        if self.epoch_unsaved.is_some_and(|unsaved| unsaved <= epoch) {
            self.epoch_unsaved = None;
        }
    }

    /// What was to be written down about uplinks was, durably.
    pub fn uplinks_saved(&mut self, serial: u64, now: Now) {
        self.keeper.uplinks_saved(serial);
        self.drive(now);
    }

    /// Something for the daemon itself.
    pub fn poll_event(&mut self) -> Option<AgentEvent> {
        self.events.pop_front()
    }

    /// Something for the drivers. Nothing, as long as an epoch is not saved.
    pub fn poll_command(&mut self) -> Option<Command> {
        match self.epoch_unsaved {
            Some(_) => None,
            None => self.keeper.poll_command(),
        }
    }

    /// A message for Sparkle.
    pub fn poll_transmit(&mut self, now: Now) -> Option<Frames> {
        self.session.as_mut()?.poll_transmit(now, &Told(&self.state))
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest, as [`Now::ms`].
    pub fn poll_timeout(&self) -> Option<u64> {
        let session = self.session.as_ref().and_then(Session::poll_timeout);
        session.into_iter().chain(self.keeper.poll_timeout()).min()
    }

    /// The rows: what is ordered of this host, and what it tells.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The session with Sparkle, once there is one.
    pub fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    /// What would be ordered if all orders were made at once, where that is not what is.
    #[cfg(test)]
    pub(super) fn overlooked(&self) -> Vec<super::orders::Order> {
        if self.sources.is_any_stale() || !self.keeper.is_ordered() {
            return Vec::new();
        }
        self.keeper.orders().changes_to(&super::rows::orders(&self.state, self.options.uuid))
    }

    /// From input to output.
    fn drive(&mut self, now: Now) {
        self.hear(now);
        self.keeper.poll(now.ms);
        if self.session.is_none() && self.keeper.knows_guests() {
            let AgentOptions { uuid, epoch_highest, incarnation, limits, .. } = self.options.clone();
            self.session = Some(Session::new(Role::Peer { uuid, epoch_highest }, incarnation, limits, now));
        }
        self.prove(now);
        self.tell(now);
    }

    /// Whether Sparkle can still be reached is found out by asking it for everything.
    fn prove(&mut self, now: Now) {
        // A session that begins asks by itself.
        if self.keeper.poll_question(now.ms)
            && let Some(session) = &mut self.session
        {
            session.ask(now);
        }
        if let Some((serial, record)) = self.keeper.poll_uplinks() {
            self.emit(AgentEvent::UplinksChanged { serial, record });
        }
    }

    /// Takes in what the session received.
    fn hear(&mut self, now: Now) {
        let mut heard = false;
        while let Some(event) = self.session.as_mut().and_then(Session::poll_event) {
            match event {
                Event::Full(full) => {
                    let ordered = connection::ordered(&self.state);
                    let compare =
                        |row: &RowId, part: &sync::Part| connection::compare(&self.state, row, part);
                    let changes = full.diff(PartKind::Desired, ordered, compare);
                    self.apply(changes);
                    self.keeper.hear_answer();
                    heard = true;
                }
                Event::Changes(changes) => {
                    self.apply(changes);
                    heard = true;
                }
                Event::EpochRaised(epoch) => {
                    self.epoch_unsaved = Some(epoch);
                    self.emit(AgentEvent::EpochRaised(epoch));
                }
                Event::Missing => self.emit(AgentEvent::Missing),
                Event::Back => self.emit(AgentEvent::Back),
                Event::Dropped(dropped) => self.emit(AgentEvent::Dropped(dropped)),
                Event::Oversized { row, bytes } => self.emit(AgentEvent::Oversized { row, bytes }),
                // Sparkle sends none.
                Event::Notifications(_) => {}
            }
        }
        // What the host itself tells may count for an order, too: the end of an overlay may be where it says.
        if heard || (self.sources.is_any_stale() && self.keeper.is_ordered()) {
            self.keeper.change_orders(now.ms, self.sources.renew(&self.state));
        }
    }

    fn apply(&mut self, changes: Vec<sync::WireChange>) {
        let (commit, refused) = connection::apply(&mut self.state, changes);
        self.mark(&commit);
        for refused in refused {
            self.emit(AgentEvent::Refused(refused));
        }
    }

    /// Tells what is.
    fn tell(&mut self, now: Now) {
        let actual = offset(now);
        if actual.abs_diff(self.unix_offset_ms) > CLOCK_STEP_MS {
            self.unix_offset_ms = actual;
        }
        if let Some(report) = self.keeper.poll_report(now.ms) {
            let offset = self.unix_offset_ms;
            let commit =
                tell::write(&mut self.state, self.options.uuid, report, |ms| ms.wrapping_add(offset));
            self.mark(&commit);
        }
        let Some(session) = &mut self.session else { return };
        while let Some(news) = self.keeper.poll_notification() {
            let news =
                sync::Notification { instance: news.instance, kind: news.kind.to_owned(), data: news.data };
            // One that is too long is news that nobody gets; the state tells the same.
            let _ = session.notify(&news);
        }
    }

    fn mark(&mut self, commit: &Commit) {
        self.sources.note(commit);
        let Some(session) = &mut self.session else { return };
        for row in connection::told_by(commit) {
            session.changed(&row);
        }
    }

    fn emit(&mut self, event: AgentEvent) {
        self.events.push_back(event);
        if self.events.len() > EVENTS_MAX {
            let kept = |event: &AgentEvent| {
                matches!(event, AgentEvent::EpochRaised(_) | AgentEvent::UplinksChanged { .. })
            };
            let oldest = self.events.iter().position(|event| !kept(event));
            oldest.and_then(|at| self.events.remove(at));
        }
    }
}

/// From the agent's clock to Unix time; wraps, as the clocks need not begin together.
fn offset(now: Now) -> u64 {
    now.unix_s.saturating_mul(1_000).wrapping_sub(now.ms)
}
