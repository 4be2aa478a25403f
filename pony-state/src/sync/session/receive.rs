//! What came: whether it may be heard at all, and what it changes.

use super::{Now, Presence, Role, Session};
use crate::sync::bounds::{AGE_S_MAX, MISSING_MS};
use crate::sync::decode::DecodeError;
use crate::sync::event::{Dropped, Event};
use crate::sync::incoming::Verdict;
use crate::sync::row::WireChange;
use crate::sync::timer::Timer;
use crate::sync::wire::{Message, Update};
use uuid::Uuid;

impl Session {
    /// Reads a message and decides whether it may be heard at all.
    pub(super) fn admit(&mut self, body: &[u8], sent_unix_s: u64, now: Now) -> Result<Message, Dropped> {
        let age_s = now.unix_s.saturating_sub(sent_unix_s);
        if age_s > AGE_S_MAX {
            return Err(Dropped::Late { age_s });
        }
        let message = Message::decode(body, &self.limits).map_err(Dropped::Malformed)?;
        self.check_origin(&message)?;
        self.check_parts(&message).map_err(Dropped::Malformed)?;
        self.check_epoch(&message)?;
        Ok(message)
    }

    fn check_origin(&self, message: &Message) -> Result<(), Dropped> {
        use Message as M;
        match (self.role, message) {
            (
                Role::Sparkle { peer, .. },
                M::TwilightResync { uuid } | M::TwilightUpdate { uuid, .. } | M::TwilightNotify { uuid, .. },
            ) => match *uuid {
                claimed if claimed == peer => Ok(()),
                claimed => Err(Dropped::ForeignUuid { claimed, peer }),
            },
            (Role::Peer { .. }, M::SparkleResync { .. } | M::SparkleUpdate { .. }) => Ok(()),
            _ => Err(Dropped::Malformed(DecodeError::Direction { event: message.event() })),
        }
    }

    fn check_parts(&self, message: &Message) -> Result<(), DecodeError> {
        let (Message::SparkleUpdate { update, .. } | Message::TwilightUpdate { update, .. }) = message else {
            return Ok(());
        };
        let (_, theirs) = self.kinds();
        match update.changes.iter().enumerate().find(|(_, change)| change.kind != theirs) {
            None => Ok(()),
            Some((index, WireChange { row, .. })) => {
                Err(DecodeError::ForeignPart { index, row: row.to_string() })
            }
        }
    }

    /// Refuses a Sparkle that was replaced; remembers the newest. A message without an epoch counts as epoch 0.
    fn check_epoch(&mut self, message: &Message) -> Result<(), Dropped> {
        let (Message::SparkleResync { epoch } | Message::SparkleUpdate { epoch, .. }) = message else {
            return Ok(());
        };
        let Role::Peer { epoch_highest, .. } = &mut self.role else { return Ok(()) };
        let (epoch, highest) = (epoch.unwrap_or(0), *epoch_highest);
        if epoch < highest {
            return Err(Dropped::OldEpoch { epoch, highest });
        }
        if epoch > highest {
            *epoch_highest = epoch;
            self.events.push_back(Event::EpochRaised(epoch));
        }
        Ok(())
    }

    pub(super) fn drop_message(&mut self, dropped: Dropped) {
        let counter = match &dropped {
            Dropped::Late { .. } => &mut self.counters.late,
            Dropped::Malformed(_) => &mut self.counters.malformed,
            Dropped::OldEpoch { .. } => &mut self.counters.old_epoch,
            Dropped::ForeignUuid { .. } => &mut self.counters.foreign_uuid,
        };
        *counter += 1;
        self.events.push_back(Event::Dropped(dropped));
    }

    pub(super) fn heard(&mut self, now_ms: u64) {
        self.timers.set(Timer::Missing, now_ms.saturating_add(MISSING_MS));
        if self.presence == Presence::Missing {
            self.presence = Presence::Expected;
            self.events.push_back(Event::Back);
        }
    }

    pub(super) fn dispatch(&mut self, message: Message, bytes: usize, now_ms: u64) {
        match message {
            Message::SparkleResync { .. } | Message::TwilightResync { .. } => {
                self.counters.resyncs_received += 1;
                self.outgoing.want_full(&mut self.timers);
            }
            Message::SparkleUpdate { update, .. } | Message::TwilightUpdate { update, .. } => {
                self.greet_newcomer(update.incarnation, now_ms);
                self.handle_update(update, bytes, now_ms);
            }
            Message::TwilightNotify { notifications, .. } => {
                if !notifications.is_empty() {
                    self.events.push_back(Event::Notifications(notifications));
                }
            }
        }
    }

    /// A process that was never heard before knows nothing of us: a keep-alive makes it ask at once.
    fn greet_newcomer(&mut self, incarnation: Uuid, now_ms: u64) {
        let known = self.incoming.held().map(|held| held.incarnation);
        if known != Some(incarnation) && self.greeted != Some(incarnation) {
            self.greeted = Some(incarnation);
            self.outgoing.greet(now_ms, &mut self.timers);
        }
    }

    fn handle_update(&mut self, update: Update, bytes: usize, now_ms: u64) {
        match self.incoming.update(update, bytes, &self.limits) {
            Verdict::Changes(changes) => {
                self.counters.partials_accepted += 1;
                if !changes.is_empty() {
                    self.events.push_back(Event::Changes(changes));
                }
            }
            Verdict::Full(full) => {
                self.counters.fulls_accepted += 1;
                self.resync.answered(&mut self.timers);
                self.events.push_back(Event::Full(full));
            }
            Verdict::Piece => self.resync.progress(now_ms, &mut self.timers),
            Verdict::Superseded => self.counters.superseded += 1,
            Verdict::Refused => {
                self.counters.refused += 1;
                self.resync.want(now_ms, &mut self.timers);
            }
            Verdict::TooLarge => {
                let (rows, bytes) = (self.limits.full_rows, self.limits.full_bytes);
                self.drop_message(Dropped::Malformed(DecodeError::FullTooLarge { rows, bytes }));
                self.resync.want(now_ms, &mut self.timers);
            }
        }
    }
}
