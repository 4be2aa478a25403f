//! The two bounded queues between a link's thread and its owner.

use crate::event::{Event, Peer};
use crate::limits::Limits;
use crate::stats::{Counters, Stats, count};
use crate::wake::Waker;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc as std_mpsc;
use tokio::sync::mpsc;

/// What both sides of a link see.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    pub(crate) counters: Counters,
    inbound_bytes: AtomicUsize,
    outbound_bytes: AtomicUsize,
    /// The thread stopped reading for want of room, and wants to be woken when there is some.
    stalled: AtomicBool,
    pub(crate) stop: AtomicBool,
}

impl Shared {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            counters: Counters::default(),
            inbound_bytes: AtomicUsize::new(0),
            outbound_bytes: AtomicUsize::new(0),
            stalled: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        })
    }
}

/// A message on its way out.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) peer: Peer,
    pub(crate) body: Vec<u8>,
    pub(crate) unix_s: u64,
}

/// Hands messages to a link's thread. Cheap to clone, usable from any thread, never blocks.
#[derive(Debug, Clone)]
pub struct Sender {
    queue: std_mpsc::SyncSender<Outgoing>,
    shared: Arc<Shared>,
    waker: Waker,
}

/// Why a message was not taken. It has changed nothing, and the body can be tried again later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Beyond [`Limits::max_message_bytes`]: it would cost the connection.
    #[error("a body of {bytes} bytes is longer than the link's limit of {max}; cut it into several messages")]
    TooLarge {
        /// Its length.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// The link's queue is full, because its owner does not consume events or the machine is overloaded.
    #[error("the link's outbound queue is full")]
    Full,
    /// The link was shut down.
    #[error("the link is shut down")]
    Closed,
}

impl Sender {
    /// Queues a message for a peer; `unix_s` is the sender's clock. What becomes of it is told by events only
    /// when it could not be handed over ([`Event::Undelivered`]).
    ///
    /// # Errors
    ///
    /// See [`SendError`].
    pub fn send(&self, peer: &Peer, body: Vec<u8>, unix_s: u64) -> Result<(), SendError> {
        let (bytes, max) = (body.len(), self.shared.limits.max_message_bytes);
        if bytes > max {
            return Err(SendError::TooLarge { bytes, max });
        }
        if self.shared.outbound_bytes.load(SeqCst) >= self.shared.limits.outbound_bytes {
            return Err(SendError::Full);
        }
        self.shared.outbound_bytes.fetch_add(bytes, SeqCst);
        let queued = self.queue.try_send(Outgoing { peer: peer.clone(), body, unix_s });
        self.waker.wake();
        queued.map_err(|error| {
            self.shared.outbound_bytes.fetch_sub(bytes, SeqCst);
            match error {
                std_mpsc::TrySendError::Full(_) => SendError::Full,
                std_mpsc::TrySendError::Disconnected(_) => SendError::Closed,
            }
        })
    }

    /// The counters so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.counters.snapshot()
    }
}

/// What a link tells, in order. Consuming it makes the link read on.
#[derive(Debug)]
pub struct Events {
    queue: mpsc::Receiver<Event>,
    shared: Arc<Shared>,
    waker: Waker,
}

impl Events {
    /// The next event; `None` once the link is shut down and all were taken. Cancel-safe.
    pub async fn recv(&mut self) -> Option<Event> {
        let event = self.queue.recv().await?;
        self.taken(&event);
        Some(event)
    }

    /// The next event if there is one already.
    pub fn try_recv(&mut self) -> Option<Event> {
        let event = self.queue.try_recv().ok()?;
        self.taken(&event);
        Some(event)
    }

    fn taken(&self, event: &Event) {
        self.shared.inbound_bytes.fetch_sub(event.body_bytes(), SeqCst);
        if self.shared.stalled.swap(false, SeqCst) {
            self.waker.wake();
        }
    }
}

/// The thread's ends of both queues.
pub(crate) struct Ends {
    outgoing: std_mpsc::Receiver<Outgoing>,
    events: mpsc::Sender<Event>,
    shared: Arc<Shared>,
}

pub(crate) fn queues(shared: &Arc<Shared>, waker: &Waker) -> (Sender, Events, Ends) {
    let (outgoing_in, outgoing) = std_mpsc::sync_channel(shared.limits.outbound_messages.max(1));
    let (events, events_out) = mpsc::channel(shared.limits.inbound_messages.max(1));
    (
        Sender { queue: outgoing_in, shared: shared.clone(), waker: waker.clone() },
        Events { queue: events_out, shared: shared.clone(), waker: waker.clone() },
        Ends { outgoing, events, shared: shared.clone() },
    )
}

/// Room for one event: whoever has it can tell something without waiting.
pub(crate) struct Room<'a> {
    permit: mpsc::Permit<'a, Event>,
    shared: &'a Shared,
}

impl Room<'_> {
    pub(crate) fn tell(self, event: Event) {
        self.shared.inbound_bytes.fetch_add(event.body_bytes(), SeqCst);
        self.permit.send(event);
    }
}

impl Ends {
    /// Room for one event; where there is none, the consumer will wake the thread when it made some.
    pub(crate) fn room(&self) -> Option<Room<'_>> {
        self.room_now().or_else(|| {
            if !self.shared.stalled.swap(true, SeqCst) {
                count(&self.shared.counters.stalled);
            }
            // Once more, for what was taken before the flag was up.
            self.room_now()
        })
    }

    /// Room for one event that may be left out: the last half of the queue is kept for those that may not.
    pub(crate) fn spare_room(&self) -> Option<Room<'_>> {
        (self.events.capacity() * 2 > self.events.max_capacity()).then(|| self.room_now())?
    }

    fn room_now(&self) -> Option<Room<'_>> {
        let fits = self.shared.inbound_bytes.load(SeqCst) < self.shared.limits.inbound_bytes;
        let permit = fits.then(|| self.events.try_reserve().ok())??;
        Some(Room { permit, shared: &self.shared })
    }

    /// Whether nobody will ever take an event.
    pub(crate) fn abandoned(&self) -> bool {
        self.events.is_closed()
    }

    /// The next message to send.
    pub(crate) fn next(&self) -> Option<Outgoing> {
        let outgoing = self.outgoing.try_recv().ok()?;
        self.shared.outbound_bytes.fetch_sub(outgoing.body.len(), SeqCst);
        Some(outgoing)
    }
}
