//! A peer daemon's end: a ROUTER socket that connects, and connects again.

use crate::address::Endpoint;
use crate::event::{Event, Peer};
use crate::key::{KeyPair, PublicKey, curve_available};
use crate::limits::Limits;
use crate::link::{Link, ShutdownError, Sockets};
use crate::monitor::{self, ClientState};
use crate::options::{self, saturating};
use crate::queue::{Events, Sender};
use crate::server::SERVER_ROUTING_ID;
use crate::stats::Stats;
use crate::worker::{ClientRole, Role};
use std::fmt;
use std::io;
use uuid::Uuid;

/// How a client protects its connection.
#[derive(Debug, Clone)]
pub enum ClientSecurity {
    /// Encrypted, to the one server that holds the secret of `server_key`.
    Curve {
        /// The client's own keys; the server has to admit the public one.
        keys: KeyPair,
        /// The server's public key.
        server_key: PublicKey,
    },
    /// Neither encrypted nor authenticated; to loopback addresses only.
    Plain,
}

/// Why a client could not be made. That nobody listens is no such reason: the client waits for a server.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Plain traffic would leave the machine.
    #[error("{endpoint} is no loopback address: a link without CURVE is for 127.0.0.0/8 and ::1 only")]
    PlainBeyondLoopback {
        /// The server's address.
        endpoint: Endpoint,
    },
    /// libzmq lacks CURVE.
    #[error(transparent)]
    Key(#[from] crate::KeyError),
    /// A socket could not be made or configured.
    #[error("cannot set up the ZeroMQ socket to {endpoint}")]
    Socket {
        /// The server's address.
        endpoint: Endpoint,
        /// What libzmq said.
        #[source]
        source: zmq::Error,
    },
    /// The thread could not be started.
    #[error("cannot start the thread for the link to {endpoint}")]
    Thread {
        /// The server's address.
        endpoint: Endpoint,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// A link to a server. Dropping it closes it soon; [`Client::shutdown`] waits for that.
pub struct Client {
    link: Link,
    server: Peer,
}

impl Client {
    /// Starts to connect, under a fresh routing id, and goes on for as long as this lives. Tells
    /// [`Event::Connected`] each time it is up and [`Event::Down`] when it is not.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`].
    pub fn connect(
        endpoint: &Endpoint,
        security: &ClientSecurity,
        limits: Limits,
    ) -> Result<Self, ConnectError> {
        let server_key = match security {
            ClientSecurity::Curve { server_key, .. } => Some(*server_key),
            ClientSecurity::Plain => None,
        };
        check(endpoint, security)?;
        let sockets = sockets(endpoint, security, server_key, &limits)
            .map_err(|source| ConnectError::Socket { endpoint: endpoint.clone(), source })?;
        let link = Link::start(sockets, limits)
            .map_err(|source| ConnectError::Thread { endpoint: endpoint.clone(), source })?;
        Ok(Self { link, server: Peer::new(SERVER_ROUTING_ID, server_key) })
    }

    /// The other end: whom to send to.
    #[must_use]
    pub fn server(&self) -> &Peer {
        &self.server
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

    /// Closes the connection. Messages under way are dropped.
    ///
    /// # Errors
    ///
    /// [`ShutdownError`] when that takes too long.
    pub async fn shutdown(self) -> Result<(), ShutdownError> {
        self.link.shutdown().await
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("server", &self.server).finish_non_exhaustive()
    }
}

fn check(endpoint: &Endpoint, security: &ClientSecurity) -> Result<(), ConnectError> {
    match security {
        ClientSecurity::Plain if !endpoint.is_loopback() => {
            Err(ConnectError::PlainBeyondLoopback { endpoint: endpoint.clone() })
        }
        ClientSecurity::Curve { .. } if !curve_available() => Err(crate::KeyError::NoCurve.into()),
        ClientSecurity::Curve { .. } | ClientSecurity::Plain => Ok(()),
    }
}

fn sockets(
    endpoint: &Endpoint,
    security: &ClientSecurity,
    server_key: Option<PublicKey>,
    limits: &Limits,
) -> Result<Sockets, zmq::Error> {
    let context = zmq::Context::new();
    let id = format!("peer-{}", Uuid::new_v4().simple());
    let router = options::router(&context, id.as_bytes(), limits)?;
    router.set_ipv6(endpoint.may_be_ipv6())?;
    // No queue without a connection: what is sent while there is none is reported, not kept to be stale later;
    // and each new connection is announced to both sides.
    router.set_immediate(true)?;
    router.set_reconnect_ivl(saturating(limits.reconnect_min_ms).max(1))?;
    router.set_reconnect_ivl_max(saturating(limits.reconnect_max_ms))?;
    router.set_connect_timeout(saturating(limits.handshake_ms))?;
    if let ClientSecurity::Curve { keys, server_key } = security {
        router.set_curve_serverkey(server_key.as_bytes())?;
        router.set_curve_publickey(keys.public().as_bytes())?;
        router.set_curve_secretkey(keys.secret())?;
    }
    let monitor = monitor::listen(&context, &router)?;
    let endpoint = endpoint.to_string();
    router.connect(&endpoint)?;
    let state = ClientState::default();
    let role = Role::Client(Box::new(ClientRole { state, server_key, endpoint, retry: None }));
    Ok(Sockets { context, router, monitor, role })
}
