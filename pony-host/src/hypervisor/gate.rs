//! Lets guests in from other hosts: the target's end of a move.
//!
//! A port takes connections of hosts that a guest is expected from, by keys that Sparkle told, and leads them to the sockets
//! that the guest needs: libvirt's, and the emulator's for its memory, and for disks that are copied. Whoever may send a guest here commands
//! libvirt for that time, as libvirt's own way to move guests has it: hosts of one cloud trust each other so far.

use super::disks;
use super::error::transient;
use super::identity::{Identity, Known};
use super::passage::{HEAD_BYTES, Head, Kind, PATIENCE, splice};
use super::rooms::{Guest, Rooms};
use super::way::Way;
use crate::Result;
use pony_core::host::{DiskSpec, GuestState, InstanceFact, InstanceSpec};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Connections at once: two for each guest on its way, of which there are few, and one for each disk that is copied; strangers
/// hold one for [`PATIENCE`].
const CONNECTIONS_MAX: usize = 64;

/// Guests that are let in at once: more would not fit into any host's memory.
const EXPECTED_MAX: usize = 4_096;

/// Pause after a connection that could not be taken, so that a lasting failure does not burn a CPU.
const RETRY: std::time::Duration = std::time::Duration::from_millis(200);

/// A guest that is let in.
#[derive(Debug)]
struct Expected {
    spec: InstanceSpec,
    origin: String,
    key: String,
    /// Ends its connections.
    closed: CancellationToken,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Gate {
    expected: Mutex<HashMap<Uuid, Expected>>,
    rooms: Rooms,
    libvirt: PathBuf,
    /// Ends it all.
    closed: CancellationToken,
}

impl Gate {
    pub(super) fn new(rooms: Rooms, libvirt: PathBuf) -> Arc<Self> {
        Arc::new(Self { expected: Mutex::default(), rooms, libvirt, closed: CancellationToken::new() })
    }

    /// Opens the port; answers where it is.
    ///
    /// # Errors
    ///
    /// `Transient` if the address cannot be had.
    pub(super) async fn open(self: &Arc<Self>, identity: &Identity, at: SocketAddr) -> Result<SocketAddr> {
        let cannot = |error| transient(format!("cannot let guests in at {at}: {error}"));
        let listener = TcpListener::bind(at).await.map_err(cannot)?;
        let at = listener.local_addr().map_err(cannot)?;
        let gate = Arc::clone(self);
        let known: Known = Arc::new(move |key: &str| gate.lock().values().any(|it| it.key == key));
        let acceptor = TlsAcceptor::from(identity.server(known)?);
        tokio::spawn(Arc::clone(self).listen(listener, acceptor));
        Ok(at)
    }

    async fn listen(self: Arc<Self>, listener: TcpListener, acceptor: TlsAcceptor) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let connection = tokio::select! {
                connection = listener.accept() => connection,
                () = self.closed.cancelled() => return,
            };
            let Ok((stream, peer)) = connection else {
                tokio::time::sleep(RETRY).await;
                continue;
            };
            let (gate, acceptor) = (Arc::clone(&self), acceptor.clone());
            tokio::spawn(async move {
                if let Err(why) = gate.admit(stream, &acceptor).await {
                    tracing::info!(%peer, why, "a connection of another host ended early");
                }
                drop(place);
            });
        }
    }

    async fn admit(&self, stream: TcpStream, acceptor: &TlsAcceptor) -> std::result::Result<(), String> {
        let say = |error: std::io::Error| error.to_string();
        let greeting = async {
            let mut stream = acceptor.accept(stream).await?;
            let mut head = [0; HEAD_BYTES];
            stream.read_exact(&mut head).await?;
            Ok((stream, head))
        };
        let late = |_| "it did not say what it wants".to_owned();
        let (mut stream, head) =
            tokio::time::timeout(PATIENCE, greeting).await.map_err(late)?.map_err(say)?;
        let head = Head::parse(head).ok_or("it wants what there is not")?;
        let peer = stream.get_ref().1.peer_certificates().and_then(|keys| keys.first());
        let key = peer.map(|key| super::way::hex(key)).ok_or("it does not say who it is")?;
        let (closed, disks) = self.admits(head.instance, &key).ok_or("its guest is not let in")?;
        let place = match head.kind {
            Kind::Disks => return say_disks(stream, &disks).await,
            Kind::Control => self.libvirt.clone(),
            Kind::Memory => self.rooms.memory_here(head.instance),
            Kind::Data => self.rooms.data_here(head.instance),
        };
        let opened = tokio::time::timeout(PATIENCE, UnixStream::connect(&place)).await;
        let mut inside = opened.map_err(|_| "nobody answers inside")?.map_err(say)?;
        splice(&mut stream, &mut inside, &closed).await;
        Ok(())
    }

    fn admits(&self, instance: Uuid, key: &str) -> Option<(CancellationToken, Vec<DiskSpec>)> {
        let expected = self.lock();
        let it = expected.get(&instance).filter(|it| it.key == key)?;
        Some((it.closed.clone(), it.spec.disks.clone()))
    }

    /// Lets a guest in.
    ///
    /// # Errors
    ///
    /// `Transient` if there is no room for it, or the other host's words are not understood.
    pub(super) fn expect(&self, spec: &InstanceSpec, origin: &str) -> Result<()> {
        let key = Way::parse(origin)?.key;
        let mut expected = self.lock();
        if expected.get(&spec.instance).is_some_and(|it| it.spec == *spec && it.origin == origin) {
            return Ok(());
        }
        if expected.len() >= EXPECTED_MAX {
            return Err(transient(format!("{EXPECTED_MAX} guests are let in already")));
        }
        self.rooms.prepare(spec.instance, Guest::Arrives)?;
        let closed = self.closed.child_token();
        let (spec, origin) = (spec.clone(), origin.to_owned());
        if let Some(before) = expected.insert(spec.instance, Expected { spec, origin, key, closed }) {
            before.closed.cancel();
        }
        Ok(())
    }

    /// Lets a guest in no more, and ends what is under way. Whether it was let in.
    pub(super) fn forget(&self, instance: Uuid) -> bool {
        let Some(expected) = self.lock().remove(&instance) else { return false };
        expected.closed.cancel();
        self.rooms.remove(instance);
        true
    }

    /// Adds to what libvirt tells the guests that are let in. One that has arrived is let in no more.
    pub(super) fn complete(&self, facts: &mut Vec<InstanceFact>) {
        let mut expected = self.lock();
        for fact in facts.iter_mut() {
            let Some(it) = expected.get(&fact.instance) else { continue };
            match fact.state {
                GuestState::Running | GuestState::Paused | GuestState::ShuttingDown => {
                    // Its connections may still have an answer to carry: they end by themselves.
                    expected.remove(&fact.instance);
                    self.rooms.remove(fact.instance);
                }
                GuestState::Off | GuestState::Crashed | GuestState::Incoming => {
                    *fact = InstanceFact { console: fact.console.take(), ..it.fact() };
                }
            }
        }
        let missing =
            expected.iter().filter(|(instance, _)| facts.iter().all(|it| it.instance != **instance));
        let missing: Vec<InstanceFact> = missing.map(|(_, it)| it.fact()).collect();
        facts.extend(missing);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Expected>> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all connections and the port.
    pub(super) fn close(&self) {
        self.closed.cancel();
    }
}

async fn say_disks(
    mut stream: impl AsyncWrite + Unpin,
    disks: &[DiskSpec],
) -> std::result::Result<(), String> {
    let said = async {
        stream.write_all(&disks::text(disks)).await?;
        stream.shutdown().await
    };
    let said = tokio::time::timeout(PATIENCE, said).await;
    said.map_err(|_| "it does not listen")?.map_err(|error| error.to_string())
}

impl Expected {
    fn fact(&self) -> InstanceFact {
        InstanceFact {
            instance: self.spec.instance,
            state: GuestState::Incoming,
            spec: Some(self.spec.clone()),
            live: None,
            room: None,
            ending: None,
            console: None,
            origin: Some(self.origin.clone()),
        }
    }
}
