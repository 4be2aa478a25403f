//! What a session tells its owner: changes to apply, the peer's presence, and what was dropped and why.

use super::decode::DecodeError;
use super::full::FullState;
use super::row::{RowId, WireChange};
use super::wire::Notification;
use uuid::Uuid;

/// What happened; see [`Session::poll_event`](super::Session::poll_event).
///
/// ```
/// # use pony_state::{sync::*, *};
/// # use pony_state_docs::*;
/// # let (mut state, mut sparkle, mut peer) = conversation()?;
/// let (mut rows, mut epoch) = (0, 0);
/// while let Some(event) = peer.poll_event() {
///     match event {
///         Event::EpochRaised(to) => epoch = to,
///         Event::Full(full) => rows = full.changes().len(),
///         Event::Changes(changes) => rows += changes.len(),
///         _ => {}
///     }
/// }
/// assert_eq!((rows, epoch), (4, 1));
/// # Ok::<_, SchemaError>(())
/// ```
#[derive(Debug)]
pub enum Event {
    /// Sparkle has a higher epoch than any before. To be made durable before anything that follows is acted upon.
    EpochRaised(u64),
    /// Parts of the peer's rows changed: apply these, in order.
    Changes(Vec<WireChange>),
    /// This is everything that the peer has; see [`FullState::diff`].
    Full(FullState),
    /// One-time events at the peer.
    Notifications(Vec<Notification>),
    /// The peer was silent for [`MISSING_MS`](super::MISSING_MS). What is held of it stays.
    Missing,
    /// The missing peer talks again.
    Back,
    /// A row's part does not fit into a message, and went out as if the row had none.
    Oversized {
        /// The row.
        row: RowId,
        /// The length of the change as JSON.
        bytes: usize,
    },
    /// A message was dropped. It changed nothing.
    Dropped(Dropped),
}

/// Why a message was dropped.
///
/// ```
/// # use pony_state::{sync::*, *};
/// # use pony_state_docs::*;
/// # let (mut state, mut sparkle, mut peer) = conversation()?;
/// peer.handle_message(b"nonsense", 0, Now::default());
/// while let Some(event) = peer.poll_event() {
///     if let Event::Dropped(why) = event {
///         assert_eq!(why.to_string(), "malformed message");
///     }
/// }
/// # assert_eq!(peer.counters().malformed, 1);
/// # Ok::<_, SchemaError>(())
/// ```
#[derive(Debug, thiserror::Error)]
pub enum Dropped {
    /// It is too old by our clock: the clocks differ, or it was held up.
    #[error("message sent {age_s} s ago by our clock: clocks differ, or the network held it up")]
    Late {
        /// Its age in seconds.
        age_s: u64,
    },
    /// It cannot be read, or says what a peer cannot say.
    #[error("malformed message")]
    Malformed(#[source] DecodeError),
    /// It is from a Sparkle that another one has replaced.
    #[error("message of epoch {epoch}, but epoch {highest} was already accepted")]
    OldEpoch {
        /// The message's epoch; 0 when it carries none.
        epoch: u64,
        /// The highest ever accepted.
        highest: u64,
    },
    /// It names another machine than the one that this session is for.
    #[error("message claims to be from machine {claimed}, but its sender is {peer}")]
    ForeignUuid {
        /// The UUID in the message.
        claimed: Uuid,
        /// The peer's.
        peer: Uuid,
    },
}

/// What a session did so far; for metrics and the log.
///
/// ```
/// # use pony_state::{sync::*, *};
/// # use pony_state_docs::*;
/// # let (mut state, mut sparkle, mut peer) = conversation()?;
/// let (sent, got) = (sparkle.counters(), peer.counters());
/// assert_eq!((sent.fulls_sent, got.fulls_accepted, got.malformed), (1, 1, 0));
/// # Ok::<_, SchemaError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Messages sent.
    pub sent: u64,
    /// Full states begun.
    pub fulls_sent: u64,
    /// Resync requests sent.
    pub resyncs_sent: u64,
    /// Messages that were read and are from the peer.
    pub received: u64,
    /// Full states accepted.
    pub fulls_accepted: u64,
    /// Partial updates accepted, keep-alives among them.
    pub partials_accepted: u64,
    /// Partial updates out of sequence.
    pub refused: u64,
    /// Pieces of full states that brought nothing new: duplicates, and ones that a newer full state overtook.
    pub superseded: u64,
    /// Resync requests received.
    pub resyncs_received: u64,
    /// Messages dropped for their age.
    pub late: u64,
    /// Messages dropped because they could not be read.
    pub malformed: u64,
    /// Messages dropped for their epoch.
    pub old_epoch: u64,
    /// Messages dropped for their UUID.
    pub foreign_uuid: u64,
    /// Messages dropped because nobody fetched the events of those before.
    pub overrun: u64,
    /// Notifications dropped because too many were waiting.
    pub notifications_dropped: u64,
    /// Changes that did not fit into a message.
    pub oversized: u64,
}
