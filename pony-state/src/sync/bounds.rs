//! Every bound of the state exchange, with its unit and its reason.

/// How old a message may be by the receiver's clock, in seconds. Older ones are dropped and counted, so that
/// what a network held back for long cannot act on a world that has moved on.
pub const AGE_S_MAX: u64 = 15;

/// Silence after which a sender says something, in milliseconds: a lost message is noticed this soon.
pub const KEEPALIVE_MS: u64 = 15_000;

/// Silence after which a peer counts as missing, in milliseconds: three keep-alives, so that two may get lost.
pub const MISSING_MS: u64 = 3 * KEEPALIVE_MS;

/// The least time between two resync requests, in milliseconds: no amount of bad messages makes more of them.
pub const RESYNC_INTERVAL_MS: u64 = 1_000;

/// How long a resync request may stay unanswered before it is repeated, in milliseconds; doubles with each repetition.
pub const RESYNC_RETRY_MS: u64 = 2_000;

/// The longest wait between repetitions of a resync request, in milliseconds: a third of a keep-alive, so
/// that a request that was lost just before the network healed is repeated well within one.
pub const RESYNC_RETRY_MS_MAX: u64 = 5_000;

/// The least time between the starts of two full states, in milliseconds: no amount of requests makes more of them.
pub const FULL_INTERVAL_MS: u64 = 1_000;

/// The least time between two greetings of peers that seem to have restarted, in milliseconds.
pub const GREETING_INTERVAL_MS: u64 = 1_000;

/// The longest message that is sent or read, in bytes: bounds what one message can cost its reader.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// The length at which a message is cut, in bytes: long enough to be efficient, short enough not to hold up a link.
pub const CUT_BYTES: usize = 128 << 10;

/// Room for the members of a message other than its changes, in bytes.
pub const ENVELOPE_BYTES: usize = 1 << 10;

/// The most changes in one message.
pub const CHANGES_MAX: usize = 4_096;

/// The most rows waiting to be sent to one peer (about 1 MiB). Beyond it they become one full state.
pub const PENDING_ROWS_MAX: usize = 8_192;

/// The most rows in a full state that is being put together: many times what one host can hold.
pub const FULL_ROWS_MAX: usize = 262_144;

/// The most text, in bytes, from which one full state is put together: bounds what a peer can make us hold.
pub const FULL_BYTES_MAX: usize = 64 << 20;

/// Events that nobody fetched. Beyond it, messages are dropped as if the network had lost them; the sequence heals that.
pub const EVENTS_MAX: usize = 64;

/// Notifications waiting to be sent. Beyond it, the oldest are dropped and counted.
pub const NOTIFICATIONS_MAX: usize = 256;

/// The longest notification, in bytes of JSON: an excerpt of a log, not the log.
pub const NOTIFICATION_BYTES_MAX: usize = 16 << 10;

/// The bounds that an embedder may set differently from the constants of this module; both ends should agree.
///
/// ```
/// use pony_state::sync::Limits;
///
/// let small = Limits { pending_rows: 100, ..Limits::default() };
/// assert!(small.message_bytes > small.cut_bytes);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// See [`MESSAGE_BYTES_MAX`].
    pub message_bytes: usize,
    /// See [`CUT_BYTES`].
    pub cut_bytes: usize,
    /// See [`CHANGES_MAX`].
    pub changes: usize,
    /// See [`PENDING_ROWS_MAX`].
    pub pending_rows: usize,
    /// See [`FULL_ROWS_MAX`].
    pub full_rows: usize,
    /// See [`FULL_BYTES_MAX`].
    pub full_bytes: usize,
    /// See [`NOTIFICATIONS_MAX`].
    pub notifications: usize,
}

impl Limits {
    /// The longest single change, in bytes: it must still fit when it follows a message that is almost cut.
    ///
    /// ```
    /// use pony_state::sync::{Limits, MESSAGE_BYTES_MAX};
    ///
    /// assert!(Limits::default().change_bytes() < MESSAGE_BYTES_MAX);
    /// ```
    #[must_use]
    pub fn change_bytes(&self) -> usize {
        self.message_bytes.saturating_sub(self.cut_bytes).saturating_sub(ENVELOPE_BYTES)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: MESSAGE_BYTES_MAX,
            cut_bytes: CUT_BYTES,
            changes: CHANGES_MAX,
            pending_rows: PENDING_ROWS_MAX,
            full_rows: FULL_ROWS_MAX,
            full_bytes: FULL_BYTES_MAX,
            notifications: NOTIFICATIONS_MAX,
        }
    }
}
