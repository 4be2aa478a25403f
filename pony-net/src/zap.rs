//! The ZAP handler (ZeroMQ RFC 27): answers libzmq's question whether a CURVE key may connect.
//!
//! libzmq knows one handler per context, at a fixed address, which is why each server has a context of its own.

use crate::admission::Admission;
use crate::key::PublicKey;
use std::sync::Arc;

/// Where libzmq asks.
const ADDRESS: &str = "inproc://zeromq.zap.01";
/// Named so that libzmq insists on an answer.
pub(crate) const DOMAIN: &str = "pony";

pub(crate) struct ZapHandler {
    socket: zmq::Socket,
    admission: Arc<dyn Admission>,
}

/// What became of one question.
pub(crate) enum Verdict {
    Admitted(PublicKey),
    /// A key that was turned away, and where it came from.
    Refused(PublicKey, Option<String>),
    /// Not a question about a CURVE key.
    Unknown,
}

impl ZapHandler {
    /// Listens for libzmq's questions; must be done before the server's socket is bound.
    pub(crate) fn bind(context: &zmq::Context, admission: Arc<dyn Admission>) -> Result<Self, zmq::Error> {
        let socket = context.socket(zmq::REP)?;
        socket.set_linger(0)?;
        socket.bind(ADDRESS)?;
        Ok(Self { socket, admission })
    }

    pub(crate) fn socket(&self) -> &zmq::Socket {
        &self.socket
    }

    pub(crate) fn admission(&self) -> &dyn Admission {
        &*self.admission
    }

    /// Answers one question, if there is one.
    pub(crate) fn serve_one(&self) -> Result<Option<Verdict>, zmq::Error> {
        let request = match self.socket.recv_multipart(zmq::DONTWAIT) {
            Ok(request) => request,
            Err(zmq::Error::EAGAIN | zmq::Error::EINTR) => return Ok(None),
            Err(error) => return Err(error),
        };
        let verdict = self.judge(&request);
        let (status, text, user_id) = match &verdict {
            Verdict::Admitted(key) => ("200", "OK", key.to_string()),
            Verdict::Refused(..) | Verdict::Unknown => ("400", "key not admitted", String::new()),
        };
        let id = request.get(1).map_or(&[][..], Vec::as_slice);
        let reply = [b"1.0", id, status.as_bytes(), text.as_bytes(), user_id.as_bytes(), b""];
        self.socket.send_multipart(reply, 0)?;
        Ok(Some(verdict))
    }

    fn judge(&self, request: &[Vec<u8>]) -> Verdict {
        let [_version, _request_id, _domain, address, _routing_id, mechanism, key] = request else {
            return Verdict::Unknown;
        };
        let Ok(key) = <[u8; 32]>::try_from(key.as_slice()).map(PublicKey::from_bytes) else {
            return Verdict::Unknown;
        };
        match mechanism.as_slice() {
            b"CURVE" if self.admission.admits(&key) => Verdict::Admitted(key),
            b"CURVE" => Verdict::Refused(key, String::from_utf8(address.clone()).ok()),
            _ => Verdict::Unknown,
        }
    }
}
