//! Sparkle's end: a bound ROUTER socket.

use crate::admission::Admission;
use crate::event::Event;
use crate::key::{KeyPair, curve_available};
use crate::limits::Limits;
use crate::link::{Link, ShutdownError, Sockets};
use crate::queue::{Events, Sender};
use crate::stats::Stats;
use crate::worker::Role;
use crate::zap::{self, ZapHandler};
use crate::{monitor, options};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// The routing id that a server goes by, and that clients send to.
pub const SERVER_ROUTING_ID: &[u8] = b"sparkle";

/// Connections that may wait to be accepted: all hosts of a large cloud at once, after a restart.
const BACKLOG_CONNECTIONS: i32 = 1024;

/// How a server protects its socket.
#[derive(Clone)]
pub enum ServerSecurity {
    /// Encrypted, with the server's key pair, for admitted keys only.
    Curve {
        /// The server's own keys; clients are configured with the public one.
        keys: KeyPair,
        /// Who may speak.
        admission: Arc<dyn Admission>,
    },
    /// Neither encrypted nor authenticated; on loopback addresses only.
    Plain,
}

impl fmt::Debug for ServerSecurity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Curve { keys, .. } => f.debug_struct("Curve").field("keys", keys).finish_non_exhaustive(),
            Self::Plain => f.write_str("Plain"),
        }
    }
}

/// Why a server could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Plain traffic would leave the machine.
    #[error("{address} is no loopback address: a link without CURVE is for 127.0.0.0/8 and ::1 only")]
    PlainBeyondLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// libzmq lacks CURVE.
    #[error(transparent)]
    Key(#[from] crate::KeyError),
    /// The address is taken, or not this machine's.
    #[error("cannot bind {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What libzmq said.
        #[source]
        source: zmq::Error,
    },
    /// A socket could not be made or configured.
    #[error("cannot set up the ZeroMQ socket for {address}")]
    Socket {
        /// The address.
        address: SocketAddr,
        /// What libzmq said.
        #[source]
        source: zmq::Error,
    },
    /// The thread could not be started.
    #[error("cannot start the thread for {address}")]
    Thread {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// A bound link, to any number of clients. Dropping it closes it soon; [`Server::shutdown`] waits for that.
pub struct Server {
    link: Link,
    address: SocketAddr,
}

impl Server {
    /// Binds `address`; port 0 takes a free one (see [`Server::local_addr`]).
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// use pony_net::{AllowList, Client, ClientSecurity, Event, KeyPair, Limits, Server, ServerSecurity};
    /// use std::sync::Arc;
    ///
    /// let (keys, host_keys) = (KeyPair::generate()?, KeyPair::generate()?);
    /// let server_key = keys.public();
    /// let admission = Arc::new(AllowList::default());
    /// admission.insert(host_keys.public());
    ///
    /// let security = ServerSecurity::Curve { keys, admission };
    /// let mut server = Server::bind("127.0.0.1:0".parse()?, security, Limits::default())?;
    /// let security = ClientSecurity::Curve { keys: host_keys.clone(), server_key };
    /// let client = Client::connect(&server.local_addr().into(), &security, Limits::default())?;
    ///
    /// let Some(Event::Connected(peer)) = server.events().recv().await else { panic!() };
    /// assert_eq!(peer.key(), Some(&host_keys.public()));
    /// server.sender().send(&peer, b"{}".to_vec(), 1_700_000_000)?;
    /// # client.shutdown().await?;
    /// # server.shutdown().await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// See [`BindError`].
    pub fn bind(address: SocketAddr, security: ServerSecurity, limits: Limits) -> Result<Self, BindError> {
        let (sockets, address) = sockets(address, security, &limits)?;
        let link = Link::start(sockets, limits).map_err(|source| BindError::Thread { address, source })?;
        Ok(Self { link, address })
    }

    /// The address that is bound.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The way out; clone it to send from elsewhere.
    #[must_use]
    pub fn sender(&self) -> &Sender {
        self.link.sender()
    }

    /// The way in.
    pub fn events(&mut self) -> &mut Events {
        self.link.events()
    }

    /// The next event; `None` when the link broke. Cancel-safe.
    pub async fn recv(&mut self) -> Option<Event> {
        self.events().recv().await
    }

    /// The counters so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.sender().stats()
    }

    /// Closes all connections and the port. Messages under way are dropped.
    ///
    /// # Errors
    ///
    /// [`ShutdownError`] when that takes too long.
    pub async fn shutdown(self) -> Result<(), ShutdownError> {
        self.link.shutdown().await
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

fn sockets(
    address: SocketAddr,
    security: ServerSecurity,
    limits: &Limits,
) -> Result<(Sockets, SocketAddr), BindError> {
    let failed = |source| BindError::Socket { address, source };
    let context = zmq::Context::new();
    let router = options::router(&context, SERVER_ROUTING_ID, limits).map_err(failed)?;
    router.set_ipv6(address.is_ipv6()).map_err(failed)?;
    router.set_backlog(BACKLOG_CONNECTIONS).map_err(failed)?;
    let zap = secure(&context, &router, address, security)?;
    let monitor = monitor::listen(&context, &router).map_err(failed)?;
    router.bind(&format!("tcp://{address}")).map_err(|source| BindError::Bind { address, source })?;
    let bound = bound_address(&router).map_err(failed)?.unwrap_or(address);
    Ok((Sockets { context, router, monitor, role: Role::Server { zap } }, bound))
}

fn secure(
    context: &zmq::Context,
    router: &zmq::Socket,
    address: SocketAddr,
    security: ServerSecurity,
) -> Result<Option<ZapHandler>, BindError> {
    let failed = |source| BindError::Socket { address, source };
    match security {
        ServerSecurity::Plain if address.ip().is_loopback() => Ok(None),
        ServerSecurity::Plain => Err(BindError::PlainBeyondLoopback { address }),
        ServerSecurity::Curve { .. } if !curve_available() => Err(crate::KeyError::NoCurve.into()),
        ServerSecurity::Curve { keys, admission } => {
            let zap = ZapHandler::bind(context, admission).map_err(failed)?;
            router.set_curve_server(true).map_err(failed)?;
            router.set_curve_publickey(keys.public().as_bytes()).map_err(failed)?;
            router.set_curve_secretkey(keys.secret()).map_err(failed)?;
            router.set_zap_domain(zap::DOMAIN).map_err(failed)?;
            Ok(Some(zap))
        }
    }
}

fn bound_address(router: &zmq::Socket) -> Result<Option<SocketAddr>, zmq::Error> {
    let text = router.get_last_endpoint()?.unwrap_or_default();
    Ok(text.strip_prefix("tcp://").and_then(|address| address.parse().ok()))
}
