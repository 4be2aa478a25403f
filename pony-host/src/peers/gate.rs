//! The port of a host for other hosts, and the way to theirs.

use super::head::{HEAD_BYTES, Head};
use super::identity::{Identity, Known};
use super::transient;
use super::way::{Way, hex};
use crate::Result;
use async_trait::async_trait;
use nix::sys::socket::{setsockopt, sockopt};
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional_with_sizes,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long each side waits for the other's greeting.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Streams at once: two for each guest on its way, of which there are few, one for each disk that is copied, and one for each
/// volume that is read; strangers hold one for [`PATIENCE`].
const STREAMS_MAX: usize = 64;

/// How long the other host may not answer at all, s; its kernel does, whatever it is busy with.
const SILENCE_S_MAX: u32 = 30;

/// What one piece of a stream takes on its way, bytes: few turns, and little to hold.
const PIECE_BYTES: usize = 256 * 1_024;

/// Pause after a connection that could not be taken, so that a lasting failure does not burn a CPU.
const RETRY: Duration = Duration::from_millis(200);

/// A stream of bytes between two hosts, encrypted.
pub(crate) type Stream = TlsStream<TcpStream>;

/// What lies behind the gate. Who is not known to any room is not even listened to.
#[async_trait]
pub(crate) trait Room: Send + Sync {
    /// Whether the host with this key, hexadecimal, may have anything here.
    fn knows(&self, key: &str) -> bool;
    /// Carries a stream to its end; `None` where such streams are another room's.
    async fn enter(
        &self,
        head: Head,
        key: &str,
        stream: &mut Stream,
    ) -> Option<std::result::Result<(), String>>;
}

/// This host among others: see the module. Clones are handles of the same one; the port is closed when the last is dropped.
#[derive(Debug, Clone)]
pub struct Peers {
    shared: Arc<Shared>,
    _open: Arc<DropGuard>,
}

struct Shared {
    identity: Identity,
    at: SocketAddr,
    rooms: Mutex<Vec<Weak<dyn Room>>>,
}

impl Peers {
    /// Opens the port, at an address that other hosts reach (port 0: any), with a new key.
    ///
    /// # Errors
    ///
    /// `Transient` if the address cannot be had, or the system gives no randomness.
    pub async fn open(at: SocketAddr) -> Result<Self> {
        let cannot = |error| transient(format!("cannot listen for other hosts at {at}: {error}"));
        let identity = Identity::new()?;
        let listener = TcpListener::bind(at).await.map_err(cannot)?;
        let at = listener.local_addr().map_err(cannot)?;
        let shared = Arc::new(Shared { identity, at, rooms: Mutex::default() });
        let weak = Arc::downgrade(&shared);
        let known: Known = Arc::new(move |key: &str| {
            weak.upgrade().is_some_and(|it| it.rooms().any(|room| room.knows(key)))
        });
        let acceptor = TlsAcceptor::from(shared.identity.server(known)?);
        let closed = CancellationToken::new();
        tokio::spawn(listen(listener, acceptor, Arc::downgrade(&shared), closed.clone()));
        Ok(Self { shared, _open: Arc::new(closed.drop_guard()) })
    }

    /// How other hosts reach this one, and by what they know it.
    #[must_use]
    pub fn way(&self) -> String {
        self.way_with(None).text()
    }

    pub(crate) fn way_with(&self, consoles: Option<PathBuf>) -> Way {
        Way { at: self.shared.at, key: self.shared.identity.public.clone(), consoles }
    }

    /// Adds a room, for as long as somebody else keeps it.
    pub(crate) fn admit_to(&self, room: Weak<dyn Room>) {
        let mut rooms = self.shared.lock();
        rooms.retain(|it| it.strong_count() > 0);
        rooms.push(room);
    }

    /// Opens a stream to another host, which has to be who Sparkle said.
    ///
    /// # Errors
    ///
    /// What stands in the way, in words.
    pub(crate) async fn connect(&self, to: &Way, head: Head) -> std::result::Result<Stream, String> {
        let tls = self.shared.identity.client(&to.key).map_err(|error| error.message)?;
        let greet = async {
            let stream = TcpStream::connect(to.at).await?;
            tune(&stream)?;
            // Nobody looks at the name: it is known by its key.
            let name = ServerName::IpAddress(to.at.ip().into());
            let mut stream = TlsConnector::from(tls).connect(name, stream).await?;
            stream.write_all(&head.bytes()).await?;
            stream.flush().await?;
            Ok::<_, std::io::Error>(stream)
        };
        let late = |_| "it does not answer".to_owned();
        let stream = tokio::time::timeout(PATIENCE, greet).await.map_err(late)?;
        stream.map(TlsStream::Client).map_err(|error| error.to_string())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Vec<Weak<dyn Room>>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rooms(&self) -> impl Iterator<Item = Arc<dyn Room>> {
        self.lock().iter().filter_map(Weak::upgrade).collect::<Vec<_>>().into_iter()
    }

    async fn admit(&self, stream: TcpStream, acceptor: &TlsAcceptor) -> std::result::Result<(), String> {
        let say = |error: std::io::Error| error.to_string();
        let greeting = async {
            tune(&stream)?;
            let mut stream = acceptor.accept(stream).await?;
            let mut head = [0; HEAD_BYTES];
            stream.read_exact(&mut head).await?;
            Ok((stream, head))
        };
        let late = |_| "it did not say what it wants".to_owned();
        let (stream, head) = tokio::time::timeout(PATIENCE, greeting).await.map_err(late)?.map_err(say)?;
        let head = Head::parse(head).ok_or("it wants what there is not")?;
        let peer = stream.get_ref().1.peer_certificates().and_then(|keys| keys.first());
        let key = peer.map(|key| hex(key)).ok_or("it does not say who it is")?;
        let mut stream = TlsStream::Server(stream);
        for room in self.rooms() {
            if let Some(ended) = room.enter(head, &key, &mut stream).await {
                return ended;
            }
        }
        Err("nobody here has what it wants".to_owned())
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("at", &self.at).finish_non_exhaustive()
    }
}

async fn listen(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    shared: Weak<Shared>,
    closed: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(STREAMS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let connection = tokio::select! {
            connection = listener.accept() => connection,
            () = closed.cancelled() => return,
        };
        let Ok((stream, peer)) = connection else {
            tokio::time::sleep(RETRY).await;
            continue;
        };
        let Some(shared) = shared.upgrade() else { return };
        let (acceptor, closed) = (acceptor.clone(), closed.clone());
        tokio::spawn(async move {
            let ended = tokio::select! {
                ended = shared.admit(stream, &acceptor) => ended,
                () = closed.cancelled() => Ok(()),
            };
            if let Err(why) = ended {
                tracing::info!(%peer, why, "a connection of another host ended early");
            }
            drop(place);
        });
    }
}

/// A host that vanishes without a word is noticed within [`SILENCE_S_MAX`], and what it had open is closed.
fn tune(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    setsockopt(stream, sockopt::KeepAlive, &true)?;
    setsockopt(stream, sockopt::TcpKeepIdle, &(SILENCE_S_MAX / 2))?;
    setsockopt(stream, sockopt::TcpKeepInterval, &(SILENCE_S_MAX / 6))?;
    setsockopt(stream, sockopt::TcpKeepCount, &3)?;
    setsockopt(stream, sockopt::TcpUserTimeout, &(SILENCE_S_MAX * 1_000))?;
    Ok(())
}

/// Carries bytes both ways until both ends are done, or it is closed.
pub(crate) async fn splice<A, B>(a: &mut A, b: &mut B, closed: &CancellationToken)
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
