//! A relation with one peer: the two halves, and the peer's presence.

mod receive;

use super::bounds::{EVENTS_MAX, Limits, MISSING_MS};
use super::decode::unix_time;
use super::event::{Counters, Dropped, Event};
use super::incoming::{Incoming, Position};
use super::notify::{NotifyError, Outbox};
use super::outgoing::{Outgoing, Oversized, Style};
use super::resync::Resync;
use super::row::RowId;
use super::source::Source;
use super::timer::{Timer, Timers};
use super::wire::{self, Notification, Origin};
use crate::schema::PartKind;
use std::collections::VecDeque;
use uuid::Uuid;

/// The moment of a call, by the caller's clocks.
///
/// ```
/// use pony_state::sync::Now;
///
/// let later = Now { ms: 15_000, unix_s: 1_800_000_015 };
/// assert!(later.ms > Now::default().ms);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// A monotonic clock, in milliseconds from any start: for waits.
    pub ms: u64,
    /// Unix time in seconds: for the wire.
    pub unix_s: u64,
}

/// Which side of the relation this session is.
///
/// ```
/// use pony_state::sync::Role;
/// use uuid::Uuid;
///
/// let machine = Uuid::from_u128(1);
/// let ours = Role::Sparkle { peer: machine, epoch: 1 };
/// assert_ne!(ours, Role::Peer { uuid: machine, epoch_highest: 0 });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Sparkle: sends desired parts to a peer and receives its current parts.
    Sparkle {
        /// The peer's machine; its messages must say so.
        peer: Uuid,
        /// This Sparkle's epoch.
        epoch: u64,
    },
    /// A peer daemon: sends current parts to Sparkle and receives desired parts.
    Peer {
        /// The machine's own.
        uuid: Uuid,
        /// The highest epoch ever accepted, from durable memory; 0: none.
        epoch_highest: u64,
    },
}

/// The two frames after the recipient's.
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// # let mut state = house()?;
/// use pony_state::sync::{Frames, Now};
///
/// let (mut sparkle, _) = sessions();
/// sparkle.handle_connected(Now::default());
/// let source = Parts { snapshot: state.snapshot(), kind: PartKind::Desired };
/// let frames: Frames = sparkle.poll_transmit(Now::default(), &source).unwrap();
/// assert!(frames.body.starts_with(r#"{"event":"sparkle-update-state""#));
/// # Ok::<_, SchemaError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frames {
    /// The JSON text.
    pub body: String,
    /// The sender's Unix time in whole seconds, which goes out as decimal text.
    pub sent_unix_s: u64,
}

/// The state exchange with one peer; see the [module](super) for what it guarantees and why.
///
/// After every call of a `handle_` function and after [`changed`](Self::changed), the owner polls:
/// [`poll_event`](Self::poll_event) until `None`, then [`poll_transmit`](Self::poll_transmit) until `None` (or
/// until the link takes no more: what then changes is coalesced), and calls
/// [`handle_timeout`](Self::handle_timeout) at [`poll_timeout`](Self::poll_timeout).
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// # let mut state = house()?;
/// use pony_state::sync::{Event, Now};
///
/// let (mut sparkle, mut peer) = sessions();
/// sparkle.handle_connected(Now::default());
/// // Hands what `poll_transmit` gives on one side to `handle_message` of the other.
/// exchange(&mut sparkle, &mut peer, &state, Now::default());
/// let mut rows = 0;
/// while let Some(event) = peer.poll_event() {
///     if let Event::Full(full) = event {
///         rows = full.changes().len();
///     }
/// }
/// assert_eq!(rows, 4);
/// # Ok::<_, SchemaError>(())
/// ```
#[derive(Debug)]
pub struct Session {
    role: Role,
    limits: Limits,
    incoming: Incoming,
    outgoing: Outgoing,
    resync: Resync,
    outbox: Outbox,
    timers: Timers,
    events: VecDeque<Event>,
    counters: Counters,
    presence: Presence,
    /// The last incarnation of the peer that was greeted.
    greeted: Option<Uuid>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Expected,
    Missing,
}

impl Session {
    /// A session at its start. `incarnation` is random, one for this process and peer, never used before.
    ///
    /// ```
    /// use pony_state::sync::{Limits, Now, Role, Session};
    /// use uuid::Uuid;
    ///
    /// let role = Role::Peer { uuid: Uuid::from_u128(1), epoch_highest: 0 };
    /// let session = Session::new(role, Uuid::from_u128(2), Limits::default(), Now::default());
    /// assert!(!session.is_synchronized());
    /// ```
    #[must_use]
    pub fn new(role: Role, incarnation: Uuid, limits: Limits, now: Now) -> Self {
        let mut timers = Timers::default();
        timers.set(Timer::Missing, now.ms.saturating_add(MISSING_MS));
        Self {
            role,
            limits,
            incoming: Incoming::default(),
            outgoing: Outgoing::new(incarnation),
            resync: Resync::default(),
            outbox: Outbox::default(),
            timers,
            events: VecDeque::new(),
            counters: Counters::default(),
            presence: Presence::Expected,
            greeted: None,
        }
    }

    /// Takes in a message as it came: its JSON text, and its time frame in decimal text.
    ///
    /// ```
    /// # use pony_state::{sync::*, *};
    /// # use pony_state_docs::*;
    /// # let (mut state, mut sparkle, mut peer) = conversation()?;
    /// peer.handle_frames(br#"{"event":"sparkle-resync","epoch":1}"#, b"0", Now::default());
    /// assert_eq!(peer.counters().resyncs_received, 2);
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn handle_frames(&mut self, body: &[u8], time: &[u8], now: Now) {
        match unix_time(time) {
            Ok(sent_unix_s) => self.handle_message(body, sent_unix_s, now),
            Err(_) if self.events.len() >= EVENTS_MAX => self.counters.overrun += 1,
            Err(error) => self.drop_message(Dropped::Malformed(error)),
        }
    }

    /// Takes in a message: its JSON text, and the Unix time at which its sender sent it.
    ///
    /// ```
    /// # use pony_state::{sync::*, *};
    /// # use pony_state_docs::*;
    /// # let (mut state, mut sparkle, mut peer) = conversation()?;
    /// peer.handle_message(br#"{"event":"sparkle-resync","epoch":1}"#, 0, Now::default());
    /// assert_eq!(peer.counters().resyncs_received, 2);
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn handle_message(&mut self, body: &[u8], sent_unix_s: u64, now: Now) {
        if self.events.len() >= EVENTS_MAX {
            self.counters.overrun += 1;
            return;
        }
        match self.admit(body, sent_unix_s, now) {
            Ok(message) => {
                self.heard(now.ms);
                self.counters.received += 1;
                self.dispatch(message, body.len(), now.ms);
            }
            Err(dropped) => self.drop_message(dropped),
        }
    }

    /// The link to the peer is up (again): a keep-alive goes out at once, so that either side finds out now, and
    /// not at the next one, what was lost meanwhile. For speed only; a link that cannot tell is just slower to heal.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// use pony_state::sync::Now;
    ///
    /// let (mut sparkle, mut peer) = sessions();
    /// sparkle.handle_connected(Now::default());
    /// exchange(&mut sparkle, &mut peer, &state, Now::default());
    /// assert!(sparkle.is_synchronized());
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn handle_connected(&mut self, now: Now) {
        self.outgoing.greet(now.ms, &mut self.timers);
    }

    /// Asks the other side for everything that it originates, as after a lost message. The [`Event::Full`] that answers
    /// shows that messages get through in both directions.
    ///
    /// ```
    /// # use pony_state::{sync::*, *};
    /// # use pony_state_docs::*;
    /// # let (mut state, mut sparkle, mut peer) = conversation()?;
    /// peer.ask(Now::default());
    /// assert!(peer.is_awaiting_full());
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn ask(&mut self, now: Now) {
        self.resync.want(now.ms, &mut self.timers);
    }

    /// Does what has fallen due. Calling it early or late does no harm.
    ///
    /// ```
    /// # use pony_state::{sync::*, *};
    /// # use pony_state_docs::*;
    /// # let (mut state, mut sparkle, mut peer) = conversation()?;
    /// let later = Now { ms: MISSING_MS, unix_s: 45 };
    /// sparkle.handle_timeout(later);
    /// assert!(sparkle.is_missing());
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some(timer) = self.timers.take_due(now.ms) {
            match timer {
                Timer::KeepAlive => self.outgoing.keepalive(),
                Timer::Resync => self.resync.expired(),
                Timer::Missing => {
                    self.presence = Presence::Missing;
                    self.events.push_back(Event::Missing);
                }
                // Nothing to do but to wake the owner: `poll_transmit` looks at the time itself.
                Timer::Full => {}
            }
        }
    }

    /// Marks a row whose part (of the kind that this side originates) changed, appeared, went away, or began or
    /// ceased to concern this peer. The part itself is read when it is sent.
    ///
    /// ```
    /// # use pony_state::{sync::*, *};
    /// # use pony_state_docs::*;
    /// # let (mut state, mut sparkle, mut peer) = conversation()?;
    /// let mut tx = state.transaction();
    /// tx.set_desired::<Lamp>(&"hall".into(), light(100));
    /// tx.commit();
    /// sparkle.changed(&RowId::new("lamp", Pkey::one("hall")));
    /// exchange(&mut sparkle, &mut peer, &state, Now::default());
    /// let mut last = None;
    /// while let Some(event) = peer.poll_event() {
    ///     if let Event::Changes(changes) = event {
    ///         last = changes.into_iter().next().and_then(|change| change.part);
    ///     }
    /// }
    /// assert_eq!(last.unwrap().columns().unwrap()["percent"], 100);
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn changed(&mut self, row: &RowId) {
        self.outgoing.mark(row, &self.limits, &mut self.timers);
    }

    /// Marks everything as changed: a full state is sent. For when the owner lost track of its own changes.
    ///
    /// ```
    /// # use pony_state::{sync::*, *};
    /// # use pony_state_docs::*;
    /// # let (mut state, mut sparkle, mut peer) = conversation()?;
    /// sparkle.everything_changed();
    /// // A full state has a least distance in time from the one before.
    /// let later = Now { ms: 2_000, unix_s: 2 };
    /// exchange(&mut sparkle, &mut peer, &state, later);
    /// assert_eq!(peer.counters().fulls_accepted, 2);
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn everything_changed(&mut self) {
        self.outgoing.everything_changed(&mut self.timers);
    }

    /// Queues a notification, outside the sequence. The oldest are dropped where too many wait.
    ///
    /// # Errors
    /// When the notification is too long, or this side is Sparkle.
    ///
    /// ```
    /// # use pony_state::{sync::*, *};
    /// # use pony_state_docs::*;
    /// # let (mut state, mut sparkle, mut peer) = conversation()?;
    /// let crash = Notification { instance: None, kind: "crash".into(), data: serde_json::json!({"signal": 6}) };
    /// peer.notify(&crash)?;
    /// exchange(&mut sparkle, &mut peer, &state, Now::default());
    /// let mut heard = Vec::new();
    /// while let Some(event) = sparkle.poll_event() {
    ///     if let Event::Notifications(mut notifications) = event {
    ///         heard.append(&mut notifications);
    ///     }
    /// }
    /// assert_eq!(heard, [crash]);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn notify(&mut self, notification: &Notification) -> Result<(), NotifyError> {
        match self.role {
            Role::Sparkle { .. } => Err(NotifyError::NotAPeer),
            Role::Peer { .. } => {
                self.counters.notifications_dropped += self.outbox.push(notification, &self.limits)?;
                Ok(())
            }
        }
    }

    /// Raises Sparkle's epoch, as when it becomes the active one. A lower one, or a peer's, changes nothing.
    ///
    /// ```
    /// # use pony_state::{sync::*, *};
    /// # use pony_state_docs::*;
    /// # let (mut state, mut sparkle, mut peer) = conversation()?;
    /// sparkle.raise_epoch(7);
    /// sparkle.raise_epoch(3);
    /// assert_eq!(sparkle.epoch(), 7);
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn raise_epoch(&mut self, to: u64) {
        if let Role::Sparkle { epoch, .. } = &mut self.role {
            *epoch = to.max(*epoch);
        }
    }

    /// The next message to send, if any; rows are read from `source` as they are now.
    ///
    /// ```
    /// # use pony_state::{sync::*, *};
    /// # use pony_state_docs::*;
    /// # let (mut state, mut sparkle, mut peer) = conversation()?;
    /// sparkle.changed(&RowId::new("lamp", Pkey::one("hall")));
    /// let source = Parts { snapshot: state.snapshot(), kind: PartKind::Desired };
    /// let frames = sparkle.poll_transmit(Now::default(), &source).unwrap();
    /// assert!(frames.body.contains(r#""percent":80"#));
    /// assert!(sparkle.poll_transmit(Now::default(), &source).is_none());
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn poll_transmit(&mut self, now: Now, source: &dyn Source) -> Option<Frames> {
        let body = self.transmit(now.ms, source)?;
        self.counters.sent += 1;
        Some(Frames { body, sent_unix_s: now.unix_s })
    }

    /// The next event, if any.
    ///
    /// ```
    /// # use pony_state::{sync::*, *};
    /// # use pony_state_docs::*;
    /// # let (mut state, mut sparkle, mut peer) = conversation()?;
    /// let mut events = 0;
    /// while peer.poll_event().is_some() {
    ///     events += 1;
    /// }
    /// assert!(events > 0 && peer.poll_event().is_none());
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        if self.events.is_empty() {
            self.events = VecDeque::new();
        }
        Some(event)
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next, in milliseconds of [`Now::ms`].
    ///
    /// ```
    /// # use pony_state::{sync::*, *};
    /// # use pony_state_docs::*;
    /// # let (mut state, mut sparkle, mut peer) = conversation()?;
    /// assert!(sparkle.poll_timeout().is_some_and(|ms| ms <= KEEPALIVE_MS));
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        self.timers.next()
    }

    /// What this session did so far.
    ///
    /// ```
    /// # use pony_state::{sync::*, *};
    /// # use pony_state_docs::*;
    /// # let (mut state, mut sparkle, mut peer) = conversation()?;
    /// assert_eq!(sparkle.counters().fulls_sent, 1);
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters { fulls_sent: self.outgoing.fulls_begun(), ..self.counters }
    }

    /// Whether the peer has been silent for too long.
    ///
    /// ```
    /// # use pony_state::{sync::*, *};
    /// # use pony_state_docs::*;
    /// # let (mut state, mut sparkle, mut peer) = conversation()?;
    /// assert!(!sparkle.is_missing());
    /// sparkle.handle_timeout(Now { ms: MISSING_MS, unix_s: 45 });
    /// assert!(sparkle.is_missing());
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.presence == Presence::Missing
    }

    /// Whether the peer was sent a full state, so that changes now go out as partial updates.
    ///
    /// ```
    /// # use pony_state::{sync::*, *};
    /// # use pony_state_docs::*;
    /// # let (mut state, mut sparkle, mut peer) = conversation()?;
    /// assert!(sparkle.is_synchronized() && !sessions().0.is_synchronized());
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn is_synchronized(&self) -> bool {
        self.outgoing.is_synchronized()
    }

    /// What was last accepted of the peer's sequence; `None` before its first full state.
    ///
    /// ```
    /// # use pony_state::{sync::*, *};
    /// # use pony_state_docs::*;
    /// # let (mut state, mut sparkle, mut peer) = conversation()?;
    /// assert_eq!(peer.remote().map(|position| position.next_seq), Some(1));
    /// assert!(sessions().1.remote().is_none());
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn remote(&self) -> Option<Position> {
        self.incoming.held()
    }

    /// Whether the peer's sequence is lost and its full state awaited.
    ///
    /// ```
    /// # use pony_state::{sync::*, *};
    /// # use pony_state_docs::*;
    /// # let (mut state, mut sparkle, mut peer) = conversation()?;
    /// assert!(!peer.is_awaiting_full());
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn is_awaiting_full(&self) -> bool {
        self.resync.is_wanted()
    }

    /// Rows waiting to be sent.
    ///
    /// ```
    /// # use pony_state::{sync::*, *};
    /// # use pony_state_docs::*;
    /// # let (mut state, mut sparkle, mut peer) = conversation()?;
    /// sparkle.changed(&RowId::new("lamp", Pkey::one("hall")));
    /// sparkle.changed(&RowId::new("lamp", Pkey::one("hall")));
    /// assert_eq!(sparkle.pending_rows(), 1);
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn pending_rows(&self) -> usize {
        self.outgoing.pending_rows()
    }

    /// Sparkle's epoch; on a peer, the highest that was ever accepted.
    ///
    /// ```
    /// # use pony_state::{sync::*, *};
    /// # use pony_state_docs::*;
    /// # let (mut state, mut sparkle, mut peer) = conversation()?;
    /// // The peer has heard of it.
    /// assert_eq!((sparkle.epoch(), peer.epoch()), (1, 1));
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn epoch(&self) -> u64 {
        match self.role {
            Role::Sparkle { epoch, .. } => epoch,
            Role::Peer { epoch_highest, .. } => epoch_highest,
        }
    }

    /// The part that this side originates, and the part that it receives.
    fn kinds(&self) -> (PartKind, PartKind) {
        match self.role {
            Role::Sparkle { .. } => (PartKind::Desired, PartKind::Current),
            Role::Peer { .. } => (PartKind::Current, PartKind::Desired),
        }
    }

    fn origin(&self) -> Origin {
        match self.role {
            Role::Sparkle { epoch, .. } => Origin::Sparkle { epoch: Some(epoch) },
            Role::Peer { uuid, .. } => Origin::Twilight { uuid },
        }
    }

    fn transmit(&mut self, now_ms: u64, source: &dyn Source) -> Option<String> {
        if self.resync.take(now_ms, &mut self.timers) {
            self.counters.resyncs_sent += 1;
            return Some(wire::resync(self.origin()));
        }
        if let Role::Peer { uuid, .. } = self.role
            && let Some(text) = self.outbox.transmit(uuid, &self.limits)
        {
            return Some(text);
        }
        let style = Style { origin: self.origin(), kind: self.kinds().0, limits: self.limits };
        let mut oversized = Oversized::new();
        let text = self.outgoing.transmit(now_ms, source, &style, &mut self.timers, &mut oversized);
        for (row, bytes) in oversized {
            self.counters.oversized += 1;
            if self.events.len() < EVENTS_MAX {
                self.events.push_back(Event::Oversized { row, bytes });
            }
        }
        text
    }
}
