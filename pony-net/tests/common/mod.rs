//! What the tests over real sockets share: links with short times, and waiting with a limit.
#![allow(
    dead_code,
    unused_imports,
    unused_macros,
    unreachable_pub,
    reason = "each test binary uses its part"
)]

use pony_net::{
    AllowList, Client, ClientSecurity, Event, KeyPair, Limits, Message, Peer, Server, ServerSecurity,
};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Seconds that anything awaited may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub const LOOPBACK: &str = "127.0.0.1:0";

pub fn limits() -> Limits {
    let mut limits = Limits::default();
    (limits.reconnect_min_ms, limits.reconnect_max_ms) = (20, 100);
    limits
}

pub struct Cloud {
    pub server: Server,
    pub server_keys: KeyPair,
    pub admission: Arc<AllowList>,
}

impl Cloud {
    pub fn new() -> Self {
        Self::with(limits(), LOOPBACK.parse().unwrap(), KeyPair::generate().unwrap(), Arc::default())
    }

    pub fn with(
        limits: Limits,
        address: SocketAddr,
        server_keys: KeyPair,
        admission: Arc<AllowList>,
    ) -> Self {
        let security = ServerSecurity::Curve { keys: server_keys.clone(), admission: admission.clone() };
        Self { server: Server::bind(address, security, limits).unwrap(), server_keys, admission }
    }

    pub fn security(&self, keys: &KeyPair) -> ClientSecurity {
        ClientSecurity::Curve { keys: keys.clone(), server_key: self.server_keys.public() }
    }

    pub fn client(&self, keys: &KeyPair) -> Client {
        self.client_with(keys, limits())
    }

    pub fn client_with(&self, keys: &KeyPair, limits: Limits) -> Client {
        Client::connect(&self.server.local_addr().into(), &self.security(keys), limits).unwrap()
    }

    pub fn admitted_client(&self) -> Client {
        let keys = KeyPair::generate().unwrap();
        self.admission.insert(keys.public());
        self.client(&keys)
    }
}

pub async fn patiently<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: nothing within {PATIENCE:?}"),
    }
}

/// The first event that `choose` takes, leaving the others out.
macro_rules! next {
    ($link:expr, $what:expr, $pattern:pat $(if $guard:expr)?) => {
        next!($link, $what, $pattern $(if $guard)? => true)
    };
    ($link:expr, $what:expr, $pattern:pat $(if $guard:expr)? => $value:expr) => {
        common::patiently($what, async {
            loop {
                match $link.recv().await.expect("the link lives") {
                    $pattern $(if $guard)? => break $value,
                    _ => {}
                }
            }
        })
        .await
    };
}
pub(crate) use next;

pub async fn connected_server(server: &mut Server) -> Peer {
    patiently("a peer connects", async {
        loop {
            if let Some(Event::Connected(peer)) = server.recv().await {
                return peer;
            }
        }
    })
    .await
}

pub async fn connected_client(client: &mut Client) -> Peer {
    patiently("the client is up", async {
        loop {
            if let Some(Event::Connected(peer)) = client.recv().await {
                return peer;
            }
        }
    })
    .await
}

pub fn message(peer: &Peer, body: &[u8], sent_unix_s: u64) -> Event {
    Event::Message(Message { peer: peer.clone(), body: body.to_vec(), sent_unix_s })
}

/// A raw ZeroMQ socket, of whatever manners.
pub fn raw(context: &zmq::Context, kind: zmq::SocketType) -> zmq::Socket {
    let socket = context.socket(kind).unwrap();
    socket.set_linger(0).unwrap();
    socket.set_rcvtimeo(30_000).unwrap();
    socket.set_sndtimeo(30_000).unwrap();
    socket
}

/// Gives a raw socket the manners of a client.
pub fn secure(socket: &zmq::Socket, keys: &zmq::CurveKeyPair, cloud: &Cloud) {
    socket.set_curve_serverkey(cloud.server_keys.public().as_bytes()).unwrap();
    socket.set_curve_publickey(&keys.public_key).unwrap();
    socket.set_curve_secretkey(&keys.secret_key).unwrap();
}
