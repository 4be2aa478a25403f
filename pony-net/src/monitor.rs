//! What libzmq says about connections: why a client is down, and how many handshakes failed on a server.

use crate::event::DownReason;
use zmq::SocketEvent;

/// Where a socket's monitor is heard; contexts are not shared, so that one name does.
const ADDRESS: &str = "inproc://monitor";

/// What has happened to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occurrence {
    /// The handshake succeeded.
    Up,
    /// The handshake failed, for whatever reason but the next one.
    HandshakeFailed,
    /// The server said that the key is not admitted.
    Refused,
    /// The connection ended.
    Ended,
    /// Nobody answered; libzmq tries again.
    Retried,
}

/// Listens to a socket; must be done before it is bound or connected.
pub(crate) fn listen(context: &zmq::Context, socket: &zmq::Socket) -> Result<zmq::Socket, zmq::Error> {
    let heard = [
        SocketEvent::HANDSHAKE_SUCCEEDED,
        SocketEvent::HANDSHAKE_FAILED_NO_DETAIL,
        SocketEvent::HANDSHAKE_FAILED_PROTOCOL,
        SocketEvent::HANDSHAKE_FAILED_AUTH,
        SocketEvent::DISCONNECTED,
        SocketEvent::CONNECT_RETRIED,
    ];
    socket.monitor(ADDRESS, heard.iter().fold(0, |mask, event| mask | i32::from(event.to_raw())))?;
    let monitor = context.socket(zmq::PAIR)?;
    monitor.set_linger(0)?;
    monitor.connect(ADDRESS)?;
    Ok(monitor)
}

/// The next occurrence, if there is one.
pub(crate) fn next(monitor: &zmq::Socket) -> Result<Option<Occurrence>, zmq::Error> {
    loop {
        match monitor.recv_multipart(zmq::DONTWAIT) {
            Ok(frames) => {
                if let Some(occurrence) = frames.first().and_then(|frame| parse(frame)) {
                    return Ok(Some(occurrence));
                }
            }
            Err(zmq::Error::EAGAIN | zmq::Error::EINTR) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

/// The first frame is an event number and a value, both in the machine's byte order.
fn parse(frame: &[u8]) -> Option<Occurrence> {
    let number = u16::from_ne_bytes(*frame.first_chunk()?);
    [
        (SocketEvent::HANDSHAKE_SUCCEEDED, Occurrence::Up),
        (SocketEvent::HANDSHAKE_FAILED_NO_DETAIL, Occurrence::HandshakeFailed),
        (SocketEvent::HANDSHAKE_FAILED_PROTOCOL, Occurrence::HandshakeFailed),
        (SocketEvent::HANDSHAKE_FAILED_AUTH, Occurrence::Refused),
        (SocketEvent::DISCONNECTED, Occurrence::Ended),
        (SocketEvent::CONNECT_RETRIED, Occurrence::Retried),
    ]
    .into_iter()
    .find_map(|(event, occurrence)| (event.to_raw() == number).then_some(occurrence))
}

/// Turns a client's occurrences into news: each reason once, until the connection is up again.
#[derive(Debug, Default)]
pub(crate) struct ClientState {
    up: bool,
    told: Option<DownReason>,
    /// News that there was no room for yet; a later one takes its place.
    pub(crate) pending: Option<DownReason>,
    /// The connection failed in a way after which libzmq may have given up for good (it does when a key is
    /// refused, or when the other side breaks the protocol): somebody has to connect again.
    pub(crate) stuck: bool,
}

impl ClientState {
    pub(crate) fn note(&mut self, occurrence: Occurrence) {
        self.stuck =
            !matches!(occurrence, Occurrence::Up) && (self.stuck || occurrence != Occurrence::Retried);
        let reason = match occurrence {
            Occurrence::Up => {
                // Also what was not told yet is old by now.
                *self = Self { up: true, ..Self::default() };
                return;
            }
            Occurrence::Refused => DownReason::Refused,
            Occurrence::HandshakeFailed => DownReason::Handshake,
            Occurrence::Ended if self.up => DownReason::Lost,
            Occurrence::Retried if self.told.is_none() && !self.up => DownReason::Unreachable,
            Occurrence::Ended | Occurrence::Retried => return,
        };
        self.up = false;
        if self.told.replace(reason) != Some(reason) {
            self.pending = Some(reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(occurrences: &[Occurrence]) -> Vec<DownReason> {
        let mut state = ClientState::default();
        let note = |occurrence: &Occurrence| {
            state.note(*occurrence);
            state.pending.take()
        };
        occurrences.iter().filter_map(note).collect()
    }

    #[test]
    fn each_reason_once_until_up_again() {
        use Occurrence::{Ended, HandshakeFailed, Refused, Retried, Up};
        assert_eq!(news(&[Retried, Retried]), [DownReason::Unreachable]);
        assert_eq!(news(&[Up, Ended, Retried, Retried]), [DownReason::Lost]);
        assert_eq!(news(&[HandshakeFailed, Ended, Retried, HandshakeFailed, Ended]), [DownReason::Handshake]);
        assert_eq!(news(&[Refused, Ended, Refused, Up, Ended]), [DownReason::Refused, DownReason::Lost]);
        assert_eq!(news(&[Up, Up]), []);
    }
}
