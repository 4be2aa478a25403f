//! Every bound of a link, with its unit and its reason.

/// The bounds of one link. The default suits the daemons; tests shorten the times.
///
/// ```
/// let limits = pony_net::Limits { max_message_bytes: 1 << 20, ..Default::default() };
/// assert!(limits.inbound_bytes >= limits.max_message_bytes);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one body, in both directions. A peer that sends a longer frame loses its connection; a full
    /// state is cut into several messages long before it comes near.
    pub max_message_bytes: usize,
    /// Events that may wait for the consumer. When they are this many, no more is read from the network.
    pub inbound_messages: usize,
    /// Bytes of bodies that may wait for the consumer (exceeded by one message at most).
    pub inbound_bytes: usize,
    /// Messages that may wait for the thread. [`Sender::send`](crate::Sender::send) refuses beyond.
    pub outbound_messages: usize,
    /// Bytes of bodies that may wait for the thread (exceeded by one message at most).
    pub outbound_bytes: usize,
    /// Messages that libzmq holds for a peer: how far it may lag before it is reported as
    /// [`Full`](crate::UndeliveredReason::Full). Enough for a burst of small updates; their memory is the sender's choice.
    pub peer_outbound_messages: u16,
    /// Messages of a peer that libzmq holds before it lets the peer wait. Few, since their size is the peer's choice.
    pub peer_inbound_messages: u16,
    /// Milliseconds between heartbeats on an idle connection.
    pub heartbeat_ms: u32,
    /// Milliseconds without any sign of life after which a connection is closed: a dead peer's memory is freed,
    /// and a half-open connection does not hide the new one.
    pub heartbeat_timeout_ms: u32,
    /// Milliseconds that a handshake may take: a connection that says nothing does not stay.
    pub handshake_ms: u32,
    /// Milliseconds (plus a random part of as much) before a client connects again.
    pub reconnect_min_ms: u32,
    /// Milliseconds up to which that grows while nobody listens; and the pace of a client that is refused.
    pub reconnect_max_ms: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message_bytes: 4 << 20,
            inbound_messages: 4096,
            inbound_bytes: 64 << 20,
            outbound_messages: 4096,
            outbound_bytes: 64 << 20,
            peer_outbound_messages: 1000,
            peer_inbound_messages: 64,
            heartbeat_ms: 5_000,
            heartbeat_timeout_ms: 15_000,
            handshake_ms: 10_000,
            reconnect_min_ms: 500,
            reconnect_max_ms: 5_000,
        }
    }
}
