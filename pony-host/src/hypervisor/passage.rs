//! The way of one guest to another host: sockets of this machine that lead, encrypted, to those of the other.

use super::disks;
use super::error::transient;
use super::identity::Identity;
use super::rooms::{Guest, Rooms};
use super::way::Way;
use crate::Result;
use pony_core::host::DiskSpec;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, copy_bidirectional_with_sizes};
use tokio::net::{TcpStream, UnixListener};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

/// How long each side waits for the other's greeting.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// What one piece of a guest's memory takes on its way, bytes: few turns, and little to hold.
const PIECE_BYTES: usize = 256 * 1_024;

/// Where a connection leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// To libvirt.
    Control,
    /// To the emulator that takes the guest's memory.
    Memory,
    /// To the same emulator, which takes what is copied of the guest's disks.
    Data,
    /// To nobody: the host says what it calls the guest's disks.
    Disks,
}

/// What a connection says first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) instance: Uuid,
}

/// Its length.
pub(super) const HEAD_BYTES: usize = 17;

impl Head {
    pub(super) fn parse(bytes: [u8; HEAD_BYTES]) -> Option<Self> {
        let [kind, instance @ ..] = bytes;
        let kind = match kind {
            b'c' => Kind::Control,
            b'm' => Kind::Memory,
            b'b' => Kind::Data,
            b'd' => Kind::Disks,
            _ => return None,
        };
        Some(Self { kind, instance: Uuid::from_bytes(instance) })
    }

    fn bytes(self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        bytes[0] = match self.kind {
            Kind::Control => b'c',
            Kind::Memory => b'm',
            Kind::Data => b'b',
            Kind::Disks => b'd',
        };
        bytes[1..].copy_from_slice(self.instance.as_bytes());
        bytes
    }
}

/// Carries bytes both ways until both ends are done, or it is closed.
pub(super) async fn splice<A, B>(a: &mut A, b: &mut B, closed: &CancellationToken)
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    tokio::select! {
        // Whoever ends it early says why elsewhere.
        _ = copy_bidirectional_with_sizes(a, b, PIECE_BYTES, PIECE_BYTES) => {}
        () = closed.cancelled() => {}
    }
}

/// Open as long as it is there, and not closed.
#[derive(Debug)]
pub(super) struct Passage {
    rooms: Rooms,
    instance: Uuid,
    /// Asks the other host for what it calls the disks.
    disks: Door,
    _closed: DropGuard,
}

impl Passage {
    /// # Errors
    ///
    /// `Transient` if the sockets cannot be made.
    pub(super) fn open(
        rooms: &Rooms,
        identity: &Identity,
        instance: Uuid,
        to: &Way,
        closed: &CancellationToken,
    ) -> Result<Self> {
        rooms.prepare(instance, Guest::Departs)?;
        let tls = identity.client(&to.key)?;
        let door = |kind| Door { head: Head { kind, instance }, at: to.at, tls: Arc::clone(&tls) };
        let (disks, _closed) = (door(Kind::Disks), closed.clone().drop_guard());
        let passage = Self { rooms: rooms.clone(), instance, disks, _closed };
        let places = [
            (Kind::Control, rooms.control_here(instance)),
            (Kind::Memory, rooms.memory_here(instance)),
            (Kind::Data, rooms.data_here(instance)),
        ];
        for (kind, place) in places {
            let listener = bind(&place)
                .map_err(|error| transient(format!("cannot make socket {}: {error}", place.display())))?;
            tokio::spawn(door(kind).listen(listener, closed.clone()));
        }
        Ok(passage)
    }

    /// The disks of the guest as they are over there.
    ///
    /// # Errors
    ///
    /// `Transient` if that host does not say.
    pub(super) async fn disks(&self) -> Result<Vec<DiskSpec>> {
        let stream = self.disks.connect().await.map_err(transient)?;
        let late = |_| transient("the other host does not say in time what it calls the guest's disks");
        tokio::time::timeout(PATIENCE, disks::read(stream)).await.map_err(late)?
    }
}

/// Who gets to it is who gets into its directory.
fn bind(place: &Path) -> std::io::Result<UnixListener> {
    let listener = UnixListener::bind(place)?;
    std::fs::set_permissions(place, Permissions::from_mode(0o666))?;
    Ok(listener)
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.rooms.remove(self.instance);
    }
}

/// One of the sockets.
#[derive(Debug, Clone)]
struct Door {
    head: Head,
    at: SocketAddr,
    tls: Arc<ClientConfig>,
}

impl Door {
    async fn listen(self, listener: UnixListener, closed: CancellationToken) {
        loop {
            let connection = tokio::select! {
                connection = listener.accept() => connection,
                () = closed.cancelled() => return,
            };
            let Ok((mut inside, _)) = connection else { return };
            let (door, closed) = (self.clone(), closed.clone());
            tokio::spawn(async move {
                match door.connect().await {
                    Ok(mut outside) => splice(&mut inside, &mut outside, &closed).await,
                    Err(error) => tracing::warn!(at = %door.at, error, "the host that a guest moves to"),
                }
            });
        }
    }

    async fn connect(&self) -> std::result::Result<TlsStream<TcpStream>, String> {
        let greet = async {
            let stream = TcpStream::connect(self.at).await?;
            stream.set_nodelay(true)?;
            // Nobody looks at the name: it is known by its key.
            let name = ServerName::IpAddress(self.at.ip().into());
            let mut stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await?;
            stream.write_all(&self.head.bytes()).await?;
            stream.flush().await?;
            Ok::<_, std::io::Error>(stream)
        };
        let late = |_| "it does not answer".to_owned();
        tokio::time::timeout(PATIENCE, greet).await.map_err(late)?.map_err(|error| error.to_string())
    }
}

/// The socket of a local libvirt, by its URI.
pub(super) fn libvirt_socket(uri: &str) -> String {
    let query = uri.split_once('?').map(|(_, query)| query).unwrap_or_default();
    let named = query.split('&').find_map(|it| it.strip_prefix("socket="));
    named.unwrap_or("/run/libvirt/libvirt-sock").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_come_back_and_others_are_refused() {
        for kind in [Kind::Control, Kind::Memory, Kind::Data, Kind::Disks] {
            let head = Head { kind, instance: Uuid::from_u128(7) };
            assert_eq!(Head::parse(head.bytes()), Some(head));
        }
        assert_eq!(Head::parse([0; HEAD_BYTES]), None);
    }

    #[test]
    fn the_socket_is_the_one_that_the_uri_names() {
        assert_eq!(libvirt_socket("qemu:///system"), "/run/libvirt/libvirt-sock");
        assert_eq!(libvirt_socket("qemu+unix:///system?a=b&socket=/x/y"), "/x/y");
    }
}
