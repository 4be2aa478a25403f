//! The task that owns the agent: it carries time, messages, answers and hints to it, and commands and messages away.

use crate::consoles::Consoles;
use crate::epoch::EpochFile;
use crate::executor::{Answer, Executor};
use crate::uplinks::UplinkFile;
use pony_core::agent::{Agent, AgentEvent, Hint, UplinkRecord};
use pony_core::channel::{Message, Say, Side, is_channel, is_old};
use pony_net::{Client, Clock, Event};
use pony_state::sync::{Now, Session};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long after a failed write of what must not be forgotten it is tried again.
const WRITE_RETRY: std::time::Duration = std::time::Duration::from_secs(1);

pub(crate) struct Core {
    pub(crate) host: Uuid,
    pub(crate) clock: Clock,
    pub(crate) agent: Agent,
    pub(crate) client: Client,
    pub(crate) executor: Executor,
    pub(crate) consoles: Consoles,
    pub(crate) epoch: EpochFile,
    /// An epoch that could not be written yet.
    pub(crate) epoch_unsaved: Option<u64>,
    pub(crate) uplinks: UplinkFile,
    /// What could not be written of uplinks yet.
    pub(crate) uplinks_unsaved: Option<(u64, UplinkRecord)>,
}

/// What drivers noticed by themselves.
pub(crate) struct Hints {
    pub(crate) guests: mpsc::Receiver<Uuid>,
    pub(crate) machine: mpsc::Receiver<()>,
}

impl Core {
    pub(crate) async fn run(
        mut self,
        mut answers: mpsc::Receiver<Answer>,
        mut hints: Hints,
        mut said: mpsc::Receiver<Message>,
        stop: CancellationToken,
    ) {
        loop {
            self.pump();
            let timeout = self.clock.moment(self.agent.poll_timeout());
            tokio::select! {
                () = stop.cancelled() => break,
                event = self.client.recv() => match event {
                    Some(event) => self.handle_event(event),
                    None => { tracing::error!("the link to Sparkle is down for good"); break }
                },
                Some(answer) = answers.recv() => self.handle_answer(answer),
                Some(message) = said.recv() => self.send_channel(&message),
                Some(instance) = hints.guests.recv() => {
                    self.agent.handle_hint(Hint::Instance(instance), now(self.clock));
                }
                Some(()) = hints.machine.recv() => {
                    self.agent.handle_hint(Hint::Machine, now(self.clock));
                    self.agent.handle_hint(Hint::Links, now(self.clock));
                }
                () = tokio::time::sleep(WRITE_RETRY), if self.is_unsaved() => self.save(),
                () = tokio::time::sleep_until(timeout) => self.agent.handle_timeout(now(self.clock)),
            }
        }
        if let Err(error) = self.client.shutdown().await {
            tracing::warn!("closing the link to Sparkle: {error}");
        }
    }

    /// Carries away all that the agent has to give.
    fn pump(&mut self) {
        let now = now(self.clock);
        while let Some(event) = self.agent.poll_event() {
            self.report(event);
        }
        while let Some(command) = self.agent.poll_command() {
            tracing::debug!("{command:?}");
            self.executor.command(command);
        }
        while let Some(frames) = self.agent.poll_transmit(now) {
            let sparkle = self.client.server().clone();
            if let Err(error) = self.client.sender().send(&sparkle, frames.body.into_bytes(), now.unix_s) {
                tracing::debug!("to Sparkle: {error}");
                break;
            }
        }
    }

    fn report(&mut self, event: AgentEvent) {
        match event {
            AgentEvent::EpochRaised(epoch) => self.save_epoch(epoch),
            AgentEvent::UplinksChanged { serial, record } => {
                tracing::info!("uplinks: {}", uplinks(&record));
                self.uplinks_unsaved = Some((serial, record));
                self.save_uplinks();
            }
            AgentEvent::Missing => tracing::warn!("Sparkle is silent; its last orders hold"),
            AgentEvent::Back => tracing::info!("Sparkle talks again"),
            other => tracing::warn!("{other:?}"),
        }
    }

    fn is_unsaved(&self) -> bool {
        self.epoch_unsaved.is_some() || self.uplinks_unsaved.is_some()
    }

    fn save(&mut self) {
        if let Some(epoch) = self.epoch_unsaved {
            self.save_epoch(epoch);
        }
        self.save_uplinks();
    }

    /// Until what is known of uplinks is durable, the agent touches none.
    fn save_uplinks(&mut self) {
        let Some((serial, record)) = self.uplinks_unsaved.take() else { return };
        match self.uplinks.write(&record) {
            Ok(()) => self.agent.uplinks_saved(serial, now(self.clock)),
            Err(error) => {
                tracing::error!(
                    "{error} while writing down how to roll uplinks back; none is touched before"
                );
                self.uplinks_unsaved = Some((serial, record));
            }
        }
    }

    /// Until the epoch is durable the agent gives no commands.
    fn save_epoch(&mut self, epoch: u64) {
        match self.epoch.write(epoch) {
            Ok(()) => {
                self.epoch_unsaved = None;
                self.agent.epoch_saved(epoch);
            }
            Err(error) => {
                tracing::error!(
                    "the controller's epoch cannot be written: {error}; nothing is done before it is"
                );
                self.epoch_unsaved = Some(epoch);
            }
        }
    }

    fn handle_event(&mut self, event: Event) {
        match event {
            Event::Message(message) if is_channel(self.side(), &message.body) => {
                if is_old(message.sent_unix_s, self.clock.unix_s()) {
                    return tracing::warn!("Sparkle: a message of a console is too old; look at the clocks");
                }
                let epoch = self.agent.session().map(Session::epoch);
                if let Some(answer) = self.consoles.hear(&message.body, epoch) {
                    self.send_channel(&answer);
                }
            }
            Event::Message(message) => {
                self.agent.handle_message(&message.body, message.sent_unix_s, now(self.clock));
            }
            Event::Connected(_) => {
                tracing::info!("the link to Sparkle is up");
                self.consoles.end_all();
                self.agent.handle_connected(now(self.clock));
            }
            Event::Down(reason) => tracing::warn!("the link to Sparkle is down: {reason:?}"),
            Event::Undelivered { reason, .. } => {
                tracing::debug!("to Sparkle: not delivered: {reason}");
                self.consoles.end_all();
            }
            other => tracing::debug!("link: {other:?}"),
        }
    }

    fn side(&self) -> Side {
        Side::Twilight { uuid: self.host }
    }

    /// Sends a message of a channel, or ends the channel where it cannot be sent.
    fn send_channel(&mut self, message: &Message) {
        let body = message.encode(self.side());
        let sent = self.client.sender().send(self.client.server(), body, self.clock.unix_s());
        if sent.is_err() || matches!(message.say, Say::Close(_)) {
            self.consoles.end(message.channel);
        }
    }

    fn handle_answer(&mut self, answer: Answer) {
        let now = now(self.clock);
        match answer {
            Answer::Outcome(run, outcome) => {
                tracing::debug!("{run:?} ended: {outcome:?}");
                self.executor.ended(run);
                self.agent.handle_outcome(run, outcome, now);
            }
            Answer::Progress(run, fraction) => self.agent.handle_progress(run, fraction, now),
            Answer::Look(look, found) => self.agent.handle_look(look, found, now),
        }
    }
}

/// What becomes of uplinks, for the log.
fn uplinks(record: &UplinkRecord) -> String {
    let count = record.proven.len();
    match (&record.trial, &record.refused) {
        (Some(trial), _) => {
            format!("{} are on trial until Sparkle is reached; {count} were before", trial.len())
        }
        (None, Some(refused)) => {
            format!(
                "rolled back to the {count} before ({} times): Sparkle could not be reached",
                refused.attempts
            )
        }
        (None, None) => format!("Sparkle is reached over these {count}"),
    }
}

/// The time, as sessions are told it.
pub(crate) fn now(clock: Clock) -> Now {
    Now { ms: clock.ms(), unix_s: clock.unix_s() }
}
