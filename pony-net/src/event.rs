//! What a link tells its owner.

use crate::key::PublicKey;
use std::fmt;
use std::sync::Arc;

/// Characters of a routing id that are shown: it is the peer's choice and may be long.
const SHOWN_ID_BYTES: usize = 48;

/// The other end of a connection: the routing id that it goes by, and the key that it proved to hold.
///
/// A peer daemon has a new routing id at each start. The id is the peer's own claim; only the key is proof.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Peer {
    id: Arc<[u8]>,
    key: Option<PublicKey>,
}

impl Peer {
    pub(crate) fn new(id: impl Into<Arc<[u8]>>, key: Option<PublicKey>) -> Self {
        Self { id: id.into(), key }
    }

    /// The routing id.
    #[must_use]
    pub fn id(&self) -> &[u8] {
        &self.id
    }

    /// The public key of the connection; none on a plain (loopback) link.
    #[must_use]
    pub fn key(&self) -> Option<&PublicKey> {
        self.key.as_ref()
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id[..self.id.len().min(SHOWN_ID_BYTES)].escape_ascii())?;
        match self.key {
            Some(key) => write!(f, " (key {key})"),
            None => Ok(()),
        }
    }
}

/// A well-formed message of three frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who sent it.
    pub peer: Peer,
    /// The second frame, as it came.
    pub body: Vec<u8>,
    /// The third frame: the sender's clock when it sent this.
    pub sent_unix_s: u64,
}

/// One thing that happened on a link.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A connection is up; the peer can be sent to. Comes again after each reconnection.
    Connected(Peer),
    /// A message came in.
    Message(Message),
    /// A message that [`Sender::send`](crate::Sender::send) accepted did not go out, and later ones of the
    /// same peer may have: the receiver sees a gap.
    Undelivered {
        /// Whom it was for.
        peer: Peer,
        /// Why it stayed here.
        reason: UndeliveredReason,
    },
    /// A peer sent something that is no message; it was dropped.
    Malformed {
        /// Who sent it.
        peer: Peer,
        /// The network address of its connection.
        address: Option<String>,
        /// What is wrong with it.
        reason: Malformation,
    },
    /// Server: a key that is not admitted tried to connect or to speak. Told as long as there is room, since
    /// anybody who reaches the port can cause it; always counted.
    Refused {
        /// The key.
        key: PublicKey,
        /// The network address that it came from.
        address: Option<String>,
    },
    /// Client: there is no connection (any more); libzmq goes on trying. Told once per reason until it is up again.
    Down(DownReason),
}

impl Event {
    /// The bytes that count against the byte bound of the inbound queue.
    pub(crate) fn body_bytes(&self) -> usize {
        match self {
            Self::Message(message) => message.body.len(),
            _ => 0,
        }
    }
}

/// Why a message did not go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum UndeliveredReason {
    /// No connection has this routing id (any more).
    #[error("the peer is not connected")]
    Unroutable,
    /// The peer takes messages more slowly than they are sent, and its queue is full.
    #[error("the peer is too slow: its queue is full")]
    Full,
    /// The peer's key is not admitted any more.
    #[error("the peer's key is not admitted any more")]
    NotAdmitted,
}

/// What is wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Malformation {
    /// Not three frames.
    #[error("{0} frames instead of 3")]
    Frames(usize),
    /// The routing id is longer than ZeroMQ allows.
    #[error("a routing id of {0} bytes, where 255 are allowed")]
    RoutingId(usize),
    /// The third frame is not a Unix time.
    #[error("the third frame is not a Unix time in decimal text")]
    Time,
    /// The body is longer than the link's limit.
    #[error("a body of {0} bytes, which is beyond the link's limit")]
    TooLarge(usize),
}

/// Why a client has no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum DownReason {
    /// Nobody answers at the address.
    #[error("nobody answers at the server's address")]
    Unreachable,
    /// There was a connection, and it ended.
    #[error("the connection was lost")]
    Lost,
    /// Connected, but the other side ended the handshake: another server key, another protocol, plain against CURVE.
    #[error("the handshake failed: is that the server whose public key is configured?")]
    Handshake,
    /// The server does not admit this client's key.
    #[error("the server does not admit this key; an operator has to approve it")]
    Refused,
}
