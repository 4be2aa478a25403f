//! Lets guests in from other hosts: the target's end of a move.
//!
//! A host that a guest is expected from is led to the sockets that the guest needs: libvirt's, and the emulator's for its memory,
//! and for disks that are copied. Whoever may send a guest here commands libvirt for that time, as libvirt's own way to move
//! guests has it: hosts of one cloud trust each other so far.

use super::disks;
use super::error::transient;
use super::rooms::{Guest, Rooms};
use crate::Result;
use crate::peers::{Head, Kind, PATIENCE, Room, Stream, Way, splice};
use async_trait::async_trait;
use pony_core::host::{DiskSpec, GuestState, InstanceFact, InstanceSpec};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Guests that are let in at once: more would not fit into any host's memory.
const EXPECTED_MAX: usize = 4_096;

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

    /// Leads a stream to a socket, or tells it what the disks are.
    async fn lead(
        &self,
        instance: Uuid,
        place: Option<PathBuf>,
        key: &str,
        stream: &mut Stream,
    ) -> std::result::Result<(), String> {
        let (closed, disks) = self.admits(instance, key).ok_or("its guest is not let in")?;
        let Some(place) = place else { return say_disks(stream, &disks).await };
        let opened = tokio::time::timeout(PATIENCE, UnixStream::connect(&place)).await;
        let mut inside = opened.map_err(|_| "nobody answers inside")?.map_err(|error| error.to_string())?;
        splice(stream, &mut inside, &closed).await;
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

    /// Ends all connections.
    pub(super) fn close(&self) {
        self.closed.cancel();
    }
}

#[async_trait]
impl Room for Gate {
    fn knows(&self, key: &str) -> bool {
        self.lock().values().any(|it| it.key == key)
    }

    async fn enter(
        &self,
        head: Head,
        key: &str,
        stream: &mut Stream,
    ) -> Option<std::result::Result<(), String>> {
        let place = match head.kind {
            Kind::Volume => return None,
            Kind::Control => Some(self.libvirt.clone()),
            Kind::Memory => Some(self.rooms.memory_here(head.of)),
            Kind::Data => Some(self.rooms.data_here(head.of)),
            Kind::Disks => None,
        };
        Some(self.lead(head.of, place, key, stream).await)
    }
}

async fn say_disks(
    stream: &mut (impl AsyncWrite + Unpin),
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
