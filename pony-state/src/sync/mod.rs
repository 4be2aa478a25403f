//! The state exchange: each of two sides replicates to the other the parts of rows that it originates.
//!
//! A [`Session`] is one such relation, the same code on both sides: Sparkle sends *desired* parts and receives
//! *current* ones, a peer daemon the reverse. It performs no I/O, reads no clock and holds no rows: frames, time
//! and ids are arguments, the rows to send are read from a [`Source`] at the moment of sending, received ones leave
//! as [`Event`]s. Parts are JSON text to it: written from a table's columns and read into them in one pass each, with
//! no tree in between. Who may write which rows is not its business (it knows no schema); which *part*, machine and
//! epoch a message may speak for, is.
//!
//! # The sequence
//!
//! A sender numbers its updates since its last full state 1, 2, 3…; a full state has number 0. A receiver takes a
//! partial update only as the exact successor of what it last took, and asks for a full state otherwise. At first it
//! has taken nothing, so the very first message, an empty update, is refused, and a full state follows. What changes
//! meanwhile is withheld: the full state will hold it. The two directions know nothing of each other, except
//! that a message of an unknown process is answered by a keep-alive, so that a restarted peer need not wait for
//! the next one to find out that it lacks our state.
//!
//! The protocol allows further members; two of them close holes that the sequence alone leaves open. A receiver
//! takes messages without them by the bare rules, a sender may be ignored in them.
//!
//! - `full` counts the full states of an incarnation, and partial updates carry the number of the one that they
//!   follow. The sequence starts again at 1 with each full state, so without it two different messages
//!   could have the same incarnation and number: a late copy of full state 1 would undo full state 2, and the next
//!   update, number 1, would be taken as its successor, with nobody noticing. With it, a full state that is
//!   not newer than the one held of the same incarnation is *superseded*: it changes nothing.
//! - `piece` numbers the messages of a full state that is cut with `more`, so that a lost or reordered piece
//!   cannot make the rest look complete. Pieces without numbers are taken in the order of their arrival.
//!
//! # Why both sides agree within one keep-alive
//!
//! *Safety.* A sender never gives two different updates the same (incarnation, full, seq). A receiver changes what
//! it holds only by taking a whole full state, or the exact successor of what it took last. So what it holds is at
//! any time exactly what some incarnation had sent up to the receiver's [`Position`]; loss, duplicates and
//! reordering cannot change that. (The test checks this after every event.)
//!
//! *Progress.* Let the network lose nothing from some moment on. Each sender says something at least every
//! [`KEEPALIVE_MS`], so within that time the receiver gets an update U from the living incarnation:
//!
//! - U is taken: the receiver holds all that was sent so far. The rest is pending at the sender, and its next updates
//!   are in sequence.
//! - U is refused: a request leaves now, or at the end of the [`RESYNC_INTERVAL_MS`] since the last one. (If a request
//!   from before is unanswered, it or its answer may be lost; it is repeated within [`RESYNC_RETRY_MS_MAX`],
//!   a third of a keep-alive, so that is no later.) The sender answers within [`FULL_INTERVAL_MS`] with a full state
//!   that is newer than all before, hence is taken.
//!
//! That is one keep-alive, plus the round trip and at most two waits of a second that only bound the rate. In particular:
//!
//! - *Restart of either side*: a new sender's update is of an unknown incarnation, a new receiver has taken nothing;
//!   both are a refusal, immediately (the greeting).
//! - *A lost full state*: the request stays unanswered and is repeated; one that nobody asked for (after a collapse
//!   of the pending rows) is missed by the next update, which names it.
//! - *A lost request* is repeated. *A duplicate request* costs a full state that changes nothing.
//! - *Duplicates and late partial updates* are refused; the full state that this asks for changes nothing.
//! - *A full state overtaken by the updates that follow it*: they are refused, the full state is taken, the next update
//!   shows the gap and leads to another full state.
//! - *A late full state of the same incarnation* is superseded. *Of a dead incarnation*, it is taken (nothing tells the
//!   dead from the living but their messages): the next update of the living one is refused and heals it. From a dead
//!   Sparkle it is not even taken, for its epoch is older. Nothing is ever later than [`AGE_S_MAX`] anyway.
//!
//! *No storms.* Requests and full states have least distances in time whatever comes in, refusals that find a
//! request under way cause nothing, and a keep-alive is never answered once it is in sequence.
//!
//! # Bounds
//!
//! All in one place, as constants with their reasons ([`Limits`] for those that an embedder may change). Rows that wait for
//! a slow peer are remembered by name only, each once; too many of them become one full state. Events that nobody
//! fetches make further messages count as lost.

mod bounds;
mod decode;
mod event;
mod full;
mod incoming;
mod notify;
mod outgoing;
mod pending;
mod resync;
mod row;
mod scan;
mod session;
mod source;
mod timer;
mod wire;

pub use bounds::{
    AGE_S_MAX, CHANGES_MAX, CUT_BYTES, ENVELOPE_BYTES, EVENTS_MAX, FULL_BYTES_MAX, FULL_INTERVAL_MS,
    FULL_ROWS_MAX, GREETING_INTERVAL_MS, KEEPALIVE_MS, Limits, MESSAGE_BYTES_MAX, MISSING_MS,
    NOTIFICATION_BYTES_MAX, NOTIFICATIONS_MAX, PENDING_ROWS_MAX, RESYNC_INTERVAL_MS, RESYNC_RETRY_MS,
    RESYNC_RETRY_MS_MAX,
};
pub use decode::{DecodeError, claimed_uuid};
pub use event::{Counters, Dropped, Event};
pub use full::{FullState, Held};
pub use incoming::Position;
pub use notify::NotifyError;
pub use row::{KeyPart, Part, Pkey, RowId, WireChange};
pub use session::{Frames, Now, Role, Session};
pub use source::{FullRows, SnapshotRows, Source, SourceRow};
pub use wire::{Message, Notification, PROTO, Update};
