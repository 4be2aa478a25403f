//! The task that owns the controller: it carries time, messages of hosts and changes of the database to it, and
//! messages and writes away. Nothing in here waits for the database or for a host.

use crate::console::{Ask, Board};
use crate::feed::{self, Feed};
use crate::lead::Role;
use crate::metrics::Inspection;
use anyhow::Context;
use pony_core::channel::{Message, Side, is_channel, is_old};
use pony_core::controller::{Controller, WriteId};
use pony_core::tables::Host;
use pony_net::{AllowList, Clock, Event, KeyPair, Limits, Peer, PublicKey, Server, ServerSecurity};
use pony_state::sync::{Now, claimed_uuid};
use pony_state::{Read, RowOp};
use pony_store::Position;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Processes of hosts that are remembered; beyond it all are forgotten, which costs each of them a look-up.
const PEERS_MAX: usize = 65_536;

/// How often a link that cannot be opened is tried again.
const OPEN_EVERY: Duration = Duration::from_secs(1);

pub(crate) struct Core {
    pub(crate) clock: Clock,
    pub(crate) controller: Controller,
    pub(crate) link: Link,
    /// Whether hosts that nobody ordered are taken in, by the first key that they show.
    pub(crate) enroll: bool,
    pub(crate) applied: watch::Sender<Position>,
    pub(crate) available: watch::Sender<bool>,
    pub(crate) role: watch::Sender<Role>,
    pub(crate) writes: mpsc::Sender<(WriteId, Vec<RowOp>)>,
    pub(crate) routes: Routes,
    pub(crate) board: Board,
}

/// What reaches it from other tasks.
pub(crate) struct Inputs {
    pub(crate) feed: mpsc::Receiver<Feed>,
    pub(crate) written: mpsc::Receiver<(WriteId, Result<(), String>)>,
    /// The epoch, once the lead was taken over.
    pub(crate) taken: mpsc::Receiver<u64>,
    /// Whoever wants to know how the controller stands.
    pub(crate) inspect: mpsc::Receiver<oneshot::Sender<Inspection>>,
    /// What clients ask for in consoles.
    pub(crate) asked: mpsc::Receiver<Ask>,
}

/// The link to the hosts; open only while this Sparkle leads.
pub(crate) struct Link {
    address: SocketAddr,
    keys: KeyPair,
    admitted: Arc<AllowList>,
    server: Option<Server>,
}

impl Link {
    pub(crate) fn new(address: SocketAddr, keys: KeyPair, admitted: Arc<AllowList>) -> Self {
        Self { address, keys, admitted, server: None }
    }

    /// Lets hosts connect.
    ///
    /// # Errors
    /// When the address cannot be used.
    pub(crate) fn open(&mut self) -> anyhow::Result<SocketAddr> {
        let security = ServerSecurity::Curve { keys: self.keys.clone(), admission: self.admitted.clone() };
        let server = Server::bind(self.address, security, Limits::default())
            .with_context(|| format!("listening for hosts at {}", self.address))?;
        let address = server.local_addr();
        self.server = Some(server);
        Ok(address)
    }

    async fn recv(&mut self) -> Option<Event> {
        match &mut self.server {
            Some(server) => server.recv().await,
            None => std::future::pending().await,
        }
    }

    async fn close(self) {
        if let Some(server) = self.server
            && let Err(error) = server.shutdown().await
        {
            tracing::warn!("closing the link to the hosts: {error}");
        }
    }
}

/// Which process speaks for which host.
#[derive(Default)]
pub(crate) struct Routes {
    hosts: HashMap<Peer, Uuid>,
    peers: HashMap<Uuid, Peer>,
}

/// What a peer may be taken for.
#[derive(Debug, PartialEq, Eq)]
enum Identity {
    /// The host, proved by its key.
    Proved,
    /// A host that nobody ordered, or one without a key yet.
    New,
    /// Another key belongs to that host.
    Wrong,
}

impl Core {
    pub(crate) async fn run(mut self, mut inputs: Inputs, stop: CancellationToken) {
        self.admit_hosts();
        // The epoch in which to lead, once the link can be opened.
        let mut taken = None;
        loop {
            self.pump();
            let due = self.link.server.as_ref().and_then(|_| self.controller.poll_timeout());
            let timeout = self.clock.moment(due);
            tokio::select! {
                () = stop.cancelled() => break,
                event = self.link.recv() => match event {
                    Some(event) => self.handle_event(event),
                    None => { tracing::error!("the link to the hosts is down for good"); break }
                },
                item = inputs.feed.recv() => match item {
                    Some(item) => self.handle_feed(&item),
                    None => break,
                },
                Some((id, result)) = inputs.written.recv() => {
                    self.controller.handle_written(id, result, now(self.clock));
                }
                Some(answer) = inputs.inspect.recv() => {
                    // Whoever asked may have gone.
                    let _ = answer.send(self.inspect());
                }
                Some(ask) = inputs.asked.recv() => {
                    if let Some((host, message)) = self.board.ask(ask, self.controller.epoch()) {
                        self.send_channel(host, &message);
                    }
                }
                Some(epoch) = inputs.taken.recv() => taken = self.lead(epoch),
                () = tokio::time::sleep(OPEN_EVERY), if taken.is_some() => {
                    taken = taken.and_then(|epoch| self.lead(epoch));
                }
                () = tokio::time::sleep_until(timeout) => self.controller.handle_timeout(now(self.clock)),
            }
        }
        self.link.close().await;
    }

    fn inspect(&self) -> Inspection {
        let (sessions, pending_rows) = (self.controller.sessions().collect(), self.controller.pending_rows());
        Inspection { sessions, pending_rows }
    }

    /// Takes over. Gives the epoch back where hosts cannot connect yet.
    fn lead(&mut self, epoch: u64) -> Option<u64> {
        if let Err(error) = self.link.open() {
            tracing::warn!("{error:#}; trying again");
            return Some(epoch);
        }
        self.controller.lead(Uuid::new_v4(), epoch, now(self.clock));
        self.role.send_replace(Role::Leads);
        None
    }

    /// Carries away all that the controller has to give. One that stands by has nothing to say.
    fn pump(&mut self) {
        let now = now(self.clock);
        let Some(server) = &self.link.server else { return };
        while let Some((host, frames)) = self.controller.poll_transmit(now) {
            let Some(peer) = self.routes.peers.get(&host) else { continue };
            let sent = server.sender().send(peer, frames.body.into_bytes(), now.unix_s);
            if let Err(error) = sent {
                tracing::debug!("to host {host}: {error}");
            }
        }
        while let Ok(permit) = self.writes.try_reserve() {
            let Some(write) = self.controller.poll_write() else { break };
            permit.send(write);
        }
        while let Some(report) = self.controller.poll_report() {
            tracing::info!("host {}: {}", report.host, report.text);
        }
    }

    fn handle_feed(&mut self, item: &Feed) {
        let now = now(self.clock);
        let (result, position) = match item {
            Feed::All(batches, position) => {
                let rows = batches.iter().flat_map(feed::rows);
                let result = self.controller.reload(rows, now).map(|changed| {
                    tracing::info!("{changed} rows differed from the database");
                });
                (result, *position)
            }
            Feed::Changes(rows, position) => (self.controller.apply(rows, now), *position),
            Feed::Away => {
                self.available.send_replace(false);
                return;
            }
        };
        self.available.send_replace(true);
        if let Err(error) = result {
            // The database takes only what the schema allows, so this is a bug; the rest must go on all the same.
            tracing::error!("a change of the database does not fit the schema and is left out: {error}");
        }
        let concerns_hosts = match item {
            Feed::All(..) => true,
            Feed::Changes(rows, _) => rows.iter().any(|row| row.table == "host"),
            Feed::Away => false,
        };
        if concerns_hosts {
            self.admit_hosts();
        }
        self.applied.send_replace(position);
    }

    /// Admits exactly the keys that hosts are ordered with.
    fn admit_hosts(&mut self) {
        let snapshot = self.controller.snapshot();
        let keys = snapshot.table::<Host>();
        let keys =
            keys.iter().filter_map(|host| host.desired.as_ref()?.key.as_ref()?.parse::<PublicKey>().ok());
        self.link.admitted.replace(keys);
        self.link.admitted.set_open(self.enroll);
        let controller = &self.controller;
        self.routes.hosts.retain(|peer, host| identify(controller, *host, peer) == Identity::Proved);
    }

    fn handle_event(&mut self, event: Event) {
        match event {
            Event::Message(message) => {
                if let Some(host) = self.identify(&message.peer, &message.body) {
                    if is_channel(Side::Sparkle, &message.body) {
                        if is_old(message.sent_unix_s, self.clock.unix_s()) {
                            return tracing::warn!(
                                "host {host}: a message of a console is too old; look at its clock"
                            );
                        }
                        let answer = self.board.hear(host, &message.body);
                        return answer.into_iter().for_each(|answer| self.send_channel(host, &answer));
                    }
                    let time = message.sent_unix_s.to_string();
                    self.controller.handle_frames(host, &message.body, time.as_bytes(), now(self.clock));
                }
            }
            Event::Connected(peer) => {
                if let Some(host) = self.routes.hosts.get(&peer) {
                    self.board.lost(*host);
                    self.controller.handle_connected(*host, now(self.clock));
                }
            }
            Event::Undelivered { peer, reason } => {
                tracing::debug!("peer {peer}: not delivered: {reason:?}");
                if let Some(host) = self.routes.hosts.get(&peer) {
                    self.board.lost(*host);
                }
            }
            Event::Malformed { peer, address, reason } => {
                tracing::warn!("malformed message from {} (peer {peer}): {reason}", place(&address));
            }
            Event::Refused { key, address } => {
                tracing::warn!(
                    "a host at {} with the key {key} is not admitted: order it with that key",
                    place(&address)
                );
            }
            Event::Down(reason) => tracing::warn!("the link is down: {reason:?}"),
            other => tracing::debug!("link: {other:?}"),
        }
    }

    /// Sends a message of a channel, or ends the channel where it cannot be sent.
    fn send_channel(&mut self, host: Uuid, message: &Message) {
        let Some((server, peer)) = self.link.server.as_ref().zip(self.routes.peers.get(&host)) else {
            return self.board.end(message.channel, "there is no link to its host now");
        };
        let sent = server.sender().send(peer, message.encode(Side::Sparkle), self.clock.unix_s());
        if let Err(error) = sent {
            self.board.end(message.channel, &format!("the link to its host: {error}"));
        }
    }

    /// The host that a peer speaks for.
    fn identify(&mut self, peer: &Peer, body: &[u8]) -> Option<Uuid> {
        if let Some(host) = self.routes.hosts.get(peer) {
            return Some(*host);
        }
        let host = match claimed_uuid(body, &pony_state::sync::Limits::default()) {
            Ok(Some(host)) => host,
            Ok(None) => return None,
            Err(error) => {
                tracing::warn!("malformed message from peer {peer}: {error}");
                return None;
            }
        };
        match identify(&self.controller, host, peer) {
            Identity::Proved => {}
            Identity::New if self.enroll => {
                let key = peer.key().map(ToString::to_string);
                tracing::info!("host {host} is enrolled");
                self.controller.enroll(host, key);
            }
            Identity::New => {
                tracing::warn!("host {host} is not ordered, or has no key: order it to take it in");
                return None;
            }
            Identity::Wrong => {
                tracing::warn!("peer {peer} claims to be host {host}, which has another key: refused");
                return None;
            }
        }
        if self.routes.bind(peer, host) {
            self.board.lost(host);
        }
        Some(host)
    }
}

/// A network address, for the log.
fn place(address: &Option<String>) -> &str {
    address.as_deref().unwrap_or("an unknown address")
}

impl Routes {
    /// Says whether another process spoke for the host before.
    fn bind(&mut self, peer: &Peer, host: Uuid) -> bool {
        if self.hosts.len() >= PEERS_MAX {
            self.hosts.clear();
        }
        let old = self.peers.insert(host, peer.clone());
        if let Some(old) = &old {
            self.hosts.remove(old);
        }
        self.hosts.insert(peer.clone(), host);
        old.is_some_and(|old| old != *peer)
    }
}

fn identify(controller: &Controller, host: Uuid, peer: &Peer) -> Identity {
    let snapshot = controller.snapshot();
    let Some(desired) = snapshot.get::<Host>(&host).and_then(|row| row.desired.as_ref()) else {
        return Identity::New;
    };
    let shown = peer.key().map(ToString::to_string);
    match (desired.key.as_deref(), shown.as_deref()) {
        (Some(known), Some(shown)) if known == shown => Identity::Proved,
        (Some(_), _) => Identity::Wrong,
        // A link without keys exists on loopback only; there a host needs none.
        (None, None) => Identity::Proved,
        (None, Some(_)) => Identity::New,
    }
}

/// The time, as sessions are told it.
pub(crate) fn now(clock: Clock) -> Now {
    Now { ms: clock.ms(), unix_s: clock.unix_s() }
}
