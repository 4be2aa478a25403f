//! Where Prometheus asks: `GET /metrics`, on loopback only, since whoever asks is not asked who he is.

use super::{Usage, prometheus};
use crate::drivers::Drivers;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Connections at one time: one Prometheus, and somebody who looks.
const CONNECTIONS_MAX: usize = 8;

/// How long the head of a request may take.
const HEAD_PATIENCE: Duration = Duration::from_secs(5);

/// How long a connection may last: a request, its answer, and some more.
const PATIENCE: Duration = Duration::from_secs(60);

/// The pause after a failure to accept, which lasts as long as there are no descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// What is used would be told to whoever asks.
#[derive(Debug, thiserror::Error)]
#[error("metrics are told without a password, hence on loopback only: {0} is not (127.0.0.1:9862 would be)")]
pub struct NotLoopback(SocketAddr);

/// Opens the socket.
///
/// # Errors
/// [`NotLoopback`], or whatever the system says.
pub(crate) fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    anyhow::ensure!(address.ip().is_loopback(), NotLoopback(address));
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(TcpListener::from_std(listener)?)
}

/// Answers until it is stopped.
pub(crate) async fn serve(listener: TcpListener, drivers: Drivers, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        // Whoever is one too many is sent away.
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let (drivers, stop) = (drivers.clone(), stop.clone());
        tokio::spawn(async move {
            let _place = place;
            tokio::select! {
                () = stop.cancelled() => {}
                _ = tokio::time::timeout(PATIENCE, converse(stream, drivers)) => {}
            }
        });
    }
}

async fn converse(stream: TcpStream, drivers: Drivers) {
    let answer = service_fn(move |request: Request<Incoming>| {
        let drivers = drivers.clone();
        async move { Ok::<_, Infallible>(answer(request.method(), request.uri().path(), &drivers).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_PATIENCE).max_headers(64);
    // Whoever goes away has no answer.
    let _ = http.serve_connection(TokioIo::new(stream), answer).await;
}

async fn answer(method: &Method, path: &str, drivers: &Drivers) -> Response<Full<Bytes>> {
    match (method, path) {
        (&Method::GET | &Method::HEAD, "/metrics") => match prometheus::write(&Usage::now(drivers).await) {
            Ok(text) => said(StatusCode::OK, prometheus::CONTENT_TYPE, text),
            Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be written\n"),
        },
        (&Method::GET | &Method::HEAD, _) => {
            plain(StatusCode::NOT_FOUND, "there is /metrics, and nothing else\n")
        }
        _ => plain(StatusCode::METHOD_NOT_ALLOWED, "metrics are read only\n"),
    }
}

fn plain(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    said(status, "text/plain; charset=utf-8", text.to_owned())
}

fn said(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
