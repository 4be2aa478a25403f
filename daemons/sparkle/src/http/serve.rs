//! Connections: how many there may be, how long each may take to say what it wants, and when they end. What is asked on
//! them is the router's affair.

use super::config::HttpLimits;
use super::patience::Patience;
use super::problem::Fault;
use super::tls::Tls;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Connections beyond the bound that are told so at the same time; yet more are closed without a word.
const REFUSED_AT_ONCE: usize = 64;
/// How long nothing is accepted after the system refused to: it has no descriptors left, most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The most that the head of a request may have, bytes: a URL of the longest kind with all headers.
const HEAD_BYTES_MAX: usize = 32 << 10;

/// How a connection begins where TLS is spoken, and no request of HTTP does: the type of a handshake's record (RFC 8446).
const TLS_HANDSHAKE: u8 = 0x16;

/// Where a request comes from: the other end of its connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PeerAddress(pub(crate) SocketAddr);

/// Serves until told to stop; requests under way are finished.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<Tls>,
    limits: HttpLimits,
    router: Router,
    stop: CancellationToken,
) {
    let (places, refusals) = (Places::new(limits.connections_max), Places::new(REFUSED_AT_ONCE));
    let door = Door { tls, limits, router, stop: stop.clone() };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => {
                    if let Some(place) = places.take(address.ip()) {
                        connections.spawn(door.clone().open(stream, address, Ok(place)));
                    } else if let Some(place) = refusals.take(address.ip()) {
                        connections.spawn(door.clone().open(stream, address, Err(place)));
                    }
                }
                Err(error) => {
                    tracing::warn!("a connection to the REST API cannot be accepted: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// What connections are served with.
#[derive(Clone)]
struct Door {
    tls: Option<Tls>,
    limits: HttpLimits,
    router: Router,
    stop: CancellationToken,
}

impl Door {
    /// Serves a connection that has a place, or tells it that there is none.
    async fn open(self, stream: TcpStream, address: SocketAddr, place: Result<Place, Place>) {
        // Answers are written whole; waiting for more to send along would only delay them.
        let _ = stream.set_nodelay(true);
        let refused = place.is_err().then_some(Refused::Full(self.limits.connections_max));
        let Some(tls) = self.tls.clone() else { return self.talk(stream, address, refused).await };
        let mut first = [0];
        match tokio::time::timeout(self.limits.handshake_max, stream.peek(&mut first)).await {
            Ok(Ok(1)) if first != [TLS_HANDSHAKE] => {
                return self.talk(stream, address, Some(Refused::Plain)).await;
            }
            Ok(Ok(1)) => {}
            _ => return tracing::debug!(%address, "the other end began nothing in time"),
        }
        match tokio::time::timeout(self.limits.handshake_max, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.talk(stream, address, refused).await,
            Ok(Err(error)) => tracing::debug!(%address, "no TLS: {error}"),
            Err(_) => tracing::debug!(%address, "the TLS handshake took too long"),
        }
    }

    async fn talk<S>(self, stream: S, address: SocketAddr, refused: Option<Refused>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(|mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(PeerAddress(address));
            let router = self.router.clone();
            async move {
                match refused {
                    None => router.oneshot(request.map(Body::new)).await,
                    Some(refused) => Ok::<_, Infallible>(refused.response()),
                }
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head_max)
            .max_header_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(Patience::new(stream, self.limits.unread_max)), service)
            .with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%address, "a connection ended: {error}");
        }
    }
}

/// Why a connection is told one thing, and closed.
#[derive(Clone, Copy)]
enum Refused {
    /// There are as many already as may be.
    Full(usize),
    /// It speaks HTTP where TLS is spoken.
    Plain,
}

impl Refused {
    fn response(self) -> Response {
        let fault = match self {
            Self::Full(max) => {
                Fault::busy(format!("{max} connections are open already, or most of them are yours"))
            }
            Self::Plain => Fault::invalid("here TLS is spoken: write https:// instead of http://".to_owned()),
        };
        let mut response = fault.into_response();
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    }
}

/// Places for connections, most of which one address can have: a single client cannot keep all others out.
#[derive(Clone)]
struct Places(Arc<Inner>);

struct Inner {
    most: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    /// No more entries than places are taken.
    by_address: HashMap<IpAddr, usize>,
}

/// A place that is given back when dropped.
struct Place {
    places: Places,
    address: IpAddr,
}

impl Places {
    fn new(most: usize) -> Self {
        Self(Arc::new(Inner { most, taken: Mutex::default() }))
    }

    fn take(&self, address: IpAddr) -> Option<Place> {
        let mut taken = self.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.by_address.get(&address).copied().unwrap_or_default();
        // Three quarters, rounded up.
        if taken.all >= self.0.most || own >= self.0.most - self.0.most / 4 {
            return None;
        }
        taken.all += 1;
        taken.by_address.insert(address, own + 1);
        Some(Place { places: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        if let Some(own) = taken.by_address.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_all_places_and_places_are_given_back() {
        let (places, here, there) = (Places::new(4), IpAddr::from([1, 1, 1, 1]), IpAddr::from([2, 2, 2, 2]));
        let mut held: Vec<Place> = (0..3).map(|_| places.take(here).unwrap()).collect();
        assert!(places.take(here).is_none());
        held.push(places.take(there).unwrap());
        assert!(places.take(there).is_none());
        drop(held);
        let taken = places.0.taken.lock().unwrap();
        assert_eq!((taken.all, taken.by_address.len()), (0, 0));
    }
}
