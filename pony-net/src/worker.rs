//! The thread that owns a link's sockets: it moves messages between libzmq and the two queues, and nothing else.

use crate::event::{Event, UndeliveredReason};
use crate::frames::{self, Parsed, Raw, SendFailure};
use crate::key::PublicKey;
use crate::monitor::{self, ClientState, Occurrence};
use crate::queue::{Ends, Outgoing, Shared};
use crate::stats::count;
use crate::wake::Sleeper;
use crate::zap::{Verdict, ZapHandler};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// Messages taken in one direction before the other has its turn: neither direction starves.
const BURST_MESSAGES: usize = 128;
/// Milliseconds of sleep after which the thread looks around even when nothing woke it: a safety net.
const SLEEP_MS_MAX: i64 = 1_000;

/// The side of the link, and what only that side has.
pub(crate) enum Role {
    /// `zap` is there under CURVE only.
    Server {
        zap: Option<ZapHandler>,
    },
    Client(Box<ClientRole>),
}

/// What a client knows of its one connection.
pub(crate) struct ClientRole {
    pub(crate) state: ClientState,
    pub(crate) server_key: Option<PublicKey>,
    /// The server's address as libzmq takes it.
    pub(crate) endpoint: String,
    /// When to connect again, should libzmq not have done it by then.
    pub(crate) retry: Option<Instant>,
}

pub(crate) struct Worker {
    pub(crate) role: Role,
    pub(crate) router: zmq::Socket,
    pub(crate) monitor: zmq::Socket,
    pub(crate) sleeper: Sleeper,
    pub(crate) ends: Ends,
    pub(crate) shared: Arc<Shared>,
}

impl Worker {
    /// Works until told to stop, until nobody listens any more, or until libzmq itself breaks.
    pub(crate) fn run(mut self) {
        while !self.shared.stop.load(SeqCst) && !self.ends.abandoned() {
            if let Err(error) = self.turn() {
                tracing::error!(%error, "libzmq failed; this link ends");
                return;
            }
        }
    }

    fn turn(&mut self) -> Result<(), zmq::Error> {
        // Without room for events nothing may be read or sent, since either may cause one.
        let open = self.ends.room().is_some();
        self.sleep(open)?;
        self.sleeper.clear();
        self.watch_connections()?;
        self.connect_again()?;
        self.answer_zap()?;
        self.tell_down();
        if open {
            self.receive()?;
            self.send()?;
        }
        Ok(())
    }

    fn sleep(&self, open: bool) -> Result<(), zmq::Error> {
        let mut items = Vec::with_capacity(4);
        items.push(zmq::PollItem::from_fd(self.sleeper.fd(), zmq::POLLIN));
        items.push(self.monitor.as_poll_item(zmq::POLLIN));
        if let Role::Server { zap: Some(zap) } = &self.role {
            items.push(zap.socket().as_poll_item(zmq::POLLIN));
        }
        if open {
            items.push(self.router.as_poll_item(zmq::POLLIN));
        }
        match zmq::poll(&mut items, self.sleep_ms()) {
            Ok(_) | Err(zmq::Error::EINTR) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn receive(&mut self) -> Result<(), zmq::Error> {
        for _ in 0..BURST_MESSAGES {
            let Some(room) = self.ends.room() else { break };
            let Some(raw) = frames::receive(&self.router)? else { break };
            if !self.admitted(raw.key.as_ref()) {
                self.refuse(&raw);
            } else {
                room.tell(self.judge(raw));
            }
        }
        Ok(())
    }

    /// Whether messages of this key may pass now; a key may have lost its admission since its handshake.
    fn admitted(&self, key: Option<&PublicKey>) -> bool {
        match &self.role {
            Role::Server { zap: Some(zap) } => key.is_some_and(|key| zap.admission().admits(key)),
            Role::Server { zap: None } | Role::Client(_) => true,
        }
    }

    fn refuse(&self, raw: &Raw) {
        count(&self.shared.counters.refused);
        if let (Some(key), Some(room)) = (raw.key, self.ends.spare_room()) {
            room.tell(Event::Refused { key, address: raw.address.clone() });
        }
    }

    fn judge(&self, raw: Raw) -> Event {
        let server_key = match &self.role {
            Role::Client(client) => client.server_key,
            Role::Server { .. } => None,
        };
        let address = raw.address.clone();
        let counters = &self.shared.counters;
        match raw.parse(server_key, self.shared.limits.max_message_bytes) {
            Parsed::Probe(peer) => {
                count(&counters.connected);
                Event::Connected(peer)
            }
            Parsed::Message(message) => {
                count(&counters.received);
                Event::Message(message)
            }
            Parsed::Malformed(peer, reason) => {
                count(&counters.malformed);
                Event::Malformed { peer, address, reason }
            }
        }
    }

    fn send(&mut self) -> Result<(), zmq::Error> {
        for _ in 0..BURST_MESSAGES {
            let Some(room) = self.ends.room() else { return Ok(()) };
            let Some(outgoing) = self.ends.next() else { return Ok(()) };
            let peer = outgoing.peer.clone();
            match self.send_one(outgoing) {
                Ok(()) => count(&self.shared.counters.sent),
                Err(SendFailure::Undelivered(reason)) => room.tell(Event::Undelivered { peer, reason }),
                Err(SendFailure::Broken(error)) => return Err(error),
            }
        }
        // There may be more: do not sleep on it.
        self.sleeper.wake();
        Ok(())
    }

    fn send_one(&self, outgoing: Outgoing) -> Result<(), SendFailure> {
        let counters = &self.shared.counters;
        let sent = if self.admitted(outgoing.peer.key()) {
            frames::send(&self.router, outgoing)
        } else {
            Err(SendFailure::Undelivered(UndeliveredReason::NotAdmitted))
        };
        match &sent {
            Err(SendFailure::Undelivered(UndeliveredReason::Unroutable)) => count(&counters.unroutable),
            Err(SendFailure::Undelivered(UndeliveredReason::Full)) => count(&counters.overflowed),
            Err(SendFailure::Undelivered(UndeliveredReason::NotAdmitted)) => count(&counters.refused),
            Err(SendFailure::Broken(_)) | Ok(()) => {}
        }
        sent
    }

    fn watch_connections(&mut self) -> Result<(), zmq::Error> {
        while let Some(occurrence) = monitor::next(&self.monitor)? {
            if matches!(occurrence, Occurrence::HandshakeFailed) {
                count(&self.shared.counters.handshakes_failed);
            }
            if let Role::Client(client) = &mut self.role {
                client.state.note(occurrence);
            }
        }
        Ok(())
    }

    /// Connects again where libzmq has given up.
    fn connect_again(&mut self) -> Result<(), zmq::Error> {
        let Role::Client(client) = &mut self.role else { return Ok(()) };
        if !client.state.stuck {
            client.retry = None;
            return Ok(());
        }
        let delay = Duration::from_millis(self.shared.limits.reconnect_max_ms.into());
        let now = Instant::now();
        if now < *client.retry.get_or_insert(now + delay) {
            return Ok(());
        }
        client.state.stuck = false;
        client.retry = None;
        match self.router.disconnect(&client.endpoint) {
            // libzmq may have forgotten the endpoint when it gave up.
            Ok(()) | Err(zmq::Error::ENOENT) => self.router.connect(&client.endpoint),
            Err(error) => Err(error),
        }
    }

    /// Milliseconds until this thread has something to do unasked.
    fn sleep_ms(&self) -> i64 {
        let Role::Client(client) = &self.role else { return SLEEP_MS_MAX };
        let Some(retry) = client.retry else { return SLEEP_MS_MAX };
        let left = retry.saturating_duration_since(Instant::now()).as_millis();
        i64::try_from(left).map_or(SLEEP_MS_MAX, |left| (left + 1).min(SLEEP_MS_MAX))
    }

    /// Tells why the client is down, if that is news and there is room for it; else a later turn does.
    fn tell_down(&mut self) {
        let Role::Client(client) = &mut self.role else { return };
        let Some(reason) = client.state.pending else { return };
        if let Some(room) = self.ends.room() {
            room.tell(Event::Down(reason));
            client.state.pending = None;
        }
    }

    fn answer_zap(&mut self) -> Result<(), zmq::Error> {
        let Role::Server { zap: Some(zap) } = &self.role else { return Ok(()) };
        for _ in 0..BURST_MESSAGES {
            match zap.serve_one()? {
                None => break,
                Some(Verdict::Admitted(_)) => {}
                Some(Verdict::Unknown) => count(&self.shared.counters.refused),
                Some(Verdict::Refused(key, address)) => {
                    count(&self.shared.counters.refused);
                    if let Some(room) = self.ends.spare_room() {
                        room.tell(Event::Refused { key, address });
                    }
                }
            }
        }
        Ok(())
    }
}
