//! Messages as frames: recipient (or, on arrival, sender), body, time.

use crate::event::{Malformation, Message, Peer, UndeliveredReason};
use crate::key::PublicKey;
use crate::queue::Outgoing;

/// The longest routing id that ZeroMQ has.
const ROUTING_ID_BYTES_MAX: usize = 255;
/// Frames of a message: sender, body, time.
const FRAMES: usize = 3;

/// What a ROUTER socket handed over, of any shape.
pub(crate) struct Raw {
    /// The first frames; the others were only counted.
    frames: Vec<Vec<u8>>,
    count: usize,
    /// The key that a ZAP handler vouched for.
    pub(crate) key: Option<PublicKey>,
    /// The network address of the connection.
    pub(crate) address: Option<String>,
}

/// What that is.
pub(crate) enum Parsed {
    /// An empty message: the other side announces itself (`ZMQ_PROBE_ROUTER`).
    Probe(Peer),
    Message(Message),
    Malformed(Peer, Malformation),
}

/// Takes one message from the socket, all frames of it; `None` when there is none.
pub(crate) fn receive(router: &zmq::Socket) -> Result<Option<Raw>, zmq::Error> {
    let mut frame = zmq::Message::new();
    match router.recv(&mut frame, zmq::DONTWAIT) {
        Ok(()) => {}
        Err(zmq::Error::EAGAIN | zmq::Error::EINTR) => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut raw = Raw { frames: vec![frame.to_vec()], count: 1, key: None, address: None };
    while frame.get_more() {
        receive_part(router, &mut frame)?;
        raw.count += 1;
        if raw.frames.len() < FRAMES {
            raw.frames.push(frame.to_vec());
        }
    }
    // The metadata belong to the connection; the routing frame, made on this side, may lack them.
    raw.key = frame.gets("User-Id").and_then(|text| text.parse().ok());
    raw.address = frame.gets("Peer-Address").map(str::to_owned);
    Ok(Some(raw))
}

/// The frames of a message arrive together, so that this does not wait.
fn receive_part(router: &zmq::Socket, frame: &mut zmq::Message) -> Result<(), zmq::Error> {
    loop {
        match router.recv(frame, 0) {
            Err(zmq::Error::EINTR) => {}
            result => return result,
        }
    }
}

impl Raw {
    /// Reads the frames; `server_key` stands in where the connection itself vouches for the peer.
    pub(crate) fn parse(self, server_key: Option<PublicKey>, max_body_bytes: usize) -> Parsed {
        let count = self.count;
        let mut frames = self.frames.into_iter();
        let id = frames.next().unwrap_or_default();
        let id_bytes = id.len();
        let peer = Peer::new(id, self.key.or(server_key));
        if id_bytes > ROUTING_ID_BYTES_MAX {
            return Parsed::Malformed(peer, Malformation::RoutingId(id_bytes));
        }
        match (count, frames.next(), frames.next()) {
            (2, Some(body), None) if body.is_empty() => Parsed::Probe(peer),
            (FRAMES, Some(body), Some(_)) if body.len() > max_body_bytes => {
                Parsed::Malformed(peer, Malformation::TooLarge(body.len()))
            }
            (FRAMES, Some(body), Some(time)) => match parse_time(&time) {
                Some(sent_unix_s) => Parsed::Message(Message { peer, body, sent_unix_s }),
                None => Parsed::Malformed(peer, Malformation::Time),
            },
            _ => Parsed::Malformed(peer, Malformation::Frames(count)),
        }
    }
}

fn parse_time(frame: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(frame).ok()?;
    // `parse` alone would take a sign.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Why a message was not handed to libzmq.
pub(crate) enum SendFailure {
    Undelivered(UndeliveredReason),
    Broken(zmq::Error),
}

/// Hands a message to libzmq, which never waits: it is routed at once or not at all.
pub(crate) fn send(router: &zmq::Socket, outgoing: Outgoing) -> Result<(), SendFailure> {
    send_part(router, outgoing.peer.id().into(), zmq::SNDMORE)?;
    send_part(router, outgoing.body.into(), zmq::SNDMORE)?;
    send_part(router, outgoing.unix_s.to_string().as_str().into(), 0)
}

fn send_part(router: &zmq::Socket, frame: zmq::Message, more: i32) -> Result<(), SendFailure> {
    match router.send(frame, zmq::DONTWAIT | more) {
        Ok(()) => Ok(()),
        Err(zmq::Error::EHOSTUNREACH) => Err(SendFailure::Undelivered(UndeliveredReason::Unroutable)),
        Err(zmq::Error::EAGAIN | zmq::Error::EINTR) => Err(SendFailure::Undelivered(UndeliveredReason::Full)),
        Err(error) => Err(SendFailure::Broken(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(count: usize, frames: &[&[u8]]) -> Raw {
        Raw { frames: frames.iter().map(|frame| frame.to_vec()).collect(), count, key: None, address: None }
    }

    fn malformation(raw: Raw) -> Option<Malformation> {
        match raw.parse(None, 10) {
            Parsed::Malformed(_, reason) => Some(reason),
            _ => None,
        }
    }

    #[test]
    fn table_of_shapes() {
        assert!(matches!(raw(2, &[b"id", b""]).parse(None, 10), Parsed::Probe(_)));
        let Parsed::Message(message) = raw(3, &[b"id", b"{}", b"1700000000"]).parse(None, 10) else {
            panic!()
        };
        assert_eq!((message.body.as_slice(), message.sent_unix_s), (b"{}".as_slice(), 1_700_000_000));
        for (given, reason) in [
            (raw(1, &[b"id"]), Malformation::Frames(1)),
            (raw(2, &[b"id", b"x"]), Malformation::Frames(2)),
            (raw(5, &[b"id", b"", b""]), Malformation::Frames(5)),
            (raw(3, &[b"id", b"{}", b""]), Malformation::Time),
            (raw(3, &[b"id", b"{}", b"+1"]), Malformation::Time),
            (raw(3, &[b"id", b"{}", b"1.5"]), Malformation::Time),
            (raw(3, &[b"id", b"{}", b"99999999999999999999"]), Malformation::Time),
            (raw(3, &[b"id", b"{}", b"\xff"]), Malformation::Time),
            (raw(3, &[b"id", &[b' '; 11], b"1"]), Malformation::TooLarge(11)),
            (raw(3, &[&[b'i'; 256], b"{}", b"1"]), Malformation::RoutingId(256)),
        ] {
            assert_eq!(malformation(given), Some(reason));
        }
    }
}
