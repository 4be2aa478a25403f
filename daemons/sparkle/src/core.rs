//! The task that owns the controller: it carries time, messages of hosts and changes of the database to it, and
//! messages and writes away. Nothing in here waits for the database or for a host.

use crate::feed::Feed;
use pony_core::controller::{Controller, WriteId};
use pony_core::tables::Host;
use pony_net::{AllowList, Clock, Event, Peer, PublicKey, Server};
use pony_state::sync::{Limits, Now, claimed_uuid};
use pony_state::{Read, RowOp};
use pony_store::Position;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Processes of hosts that are remembered; beyond it all are forgotten, which costs each of them a look-up.
const PEERS_MAX: usize = 65_536;

pub(crate) struct Core {
    pub(crate) clock: Clock,
    pub(crate) controller: Controller,
    pub(crate) server: Server,
    pub(crate) admitted: Arc<AllowList>,
    /// Whether hosts that nobody ordered are taken in, by the first key that they show.
    pub(crate) enroll: bool,
    pub(crate) applied: watch::Sender<Position>,
    pub(crate) available: watch::Sender<bool>,
    pub(crate) writes: mpsc::Sender<(WriteId, Vec<RowOp>)>,
    pub(crate) routes: Routes,
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
    pub(crate) async fn run(
        mut self,
        mut feed: mpsc::Receiver<Feed>,
        mut written: mpsc::Receiver<(WriteId, Result<(), String>)>,
        stop: CancellationToken,
    ) {
        self.admit_hosts();
        loop {
            self.pump();
            let timeout = self.clock.moment(self.controller.poll_timeout());
            tokio::select! {
                () = stop.cancelled() => break,
                event = self.server.recv() => match event {
                    Some(event) => self.handle_event(event),
                    None => { tracing::error!("the link to the hosts is down for good"); break }
                },
                item = feed.recv() => match item {
                    Some(item) => self.handle_feed(&item),
                    None => break,
                },
                Some((id, result)) = written.recv() => {
                    self.controller.handle_written(id, result, now(self.clock));
                }
                () = tokio::time::sleep_until(timeout) => self.controller.handle_timeout(now(self.clock)),
            }
        }
        if let Err(error) = self.server.shutdown().await {
            tracing::warn!("closing the link to the hosts: {error}");
        }
    }

    /// Carries away all that the controller has to give.
    fn pump(&mut self) {
        let now = now(self.clock);
        while let Some((host, frames)) = self.controller.poll_transmit(now) {
            let Some(peer) = self.routes.peers.get(&host) else { continue };
            let sent = self.server.sender().send(peer, frames.body.into_bytes(), now.unix_s);
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
            Feed::All(rows, position) => (self.controller.load(rows, now), *position),
            Feed::Changes(rows, position) => (self.controller.apply(rows, now), *position),
            Feed::Available(available) => {
                self.available.send_replace(*available);
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
            Feed::Available(_) => false,
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
        self.admitted.replace(keys);
        self.admitted.set_open(self.enroll);
        let controller = &self.controller;
        self.routes.hosts.retain(|peer, host| identify(controller, *host, peer) == Identity::Proved);
    }

    fn handle_event(&mut self, event: Event) {
        match event {
            Event::Message(message) => {
                if let Some(host) = self.identify(&message.peer, &message.body) {
                    let time = message.sent_unix_s.to_string();
                    self.controller.handle_frames(host, &message.body, time.as_bytes(), now(self.clock));
                }
            }
            Event::Connected(peer) => {
                if let Some(host) = self.routes.hosts.get(&peer) {
                    self.controller.handle_connected(*host, now(self.clock));
                }
            }
            Event::Undelivered { peer, reason } => tracing::debug!("peer {peer}: not delivered: {reason:?}"),
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

    /// The host that a peer speaks for.
    fn identify(&mut self, peer: &Peer, body: &[u8]) -> Option<Uuid> {
        if let Some(host) = self.routes.hosts.get(peer) {
            return Some(*host);
        }
        let host = match claimed_uuid(body, &Limits::default()) {
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
        self.routes.bind(peer, host);
        Some(host)
    }
}

/// A network address, for the log.
fn place(address: &Option<String>) -> &str {
    address.as_deref().unwrap_or("an unknown address")
}

impl Routes {
    fn bind(&mut self, peer: &Peer, host: Uuid) {
        if self.hosts.len() >= PEERS_MAX {
            self.hosts.clear();
        }
        if let Some(old) = self.peers.insert(host, peer.clone()) {
            self.hosts.remove(&old);
        }
        self.hosts.insert(peer.clone(), host);
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
