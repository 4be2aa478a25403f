//! The stream of changes: as Server-Sent Events at `/v1/event-stream`, as WebSocket messages at `/v1/ws`.

use super::problem::Fault;
use super::read::decode;
use super::serve::PeerAddress;
use super::{App, caller, cors};
use crate::stream::{Cursor, Format, Id, Next, Piece};
use axum::body::{Body, Bytes};
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Extension, OriginalUri, State};
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};
use futures::{SinkExt, Stream};
use pony_core::document::{UrlPath, Watch};
use std::convert::Infallible;
use std::time::Duration;

/// The header with which clients resume; `?after=` says the same where headers cannot be set.
const LAST_EVENT_ID: &str = "last-event-id";
/// Bytes of a message from a client, who has nothing to say.
const MESSAGE_BYTES_MAX: usize = 4 << 10;
/// How long a client may take to receive a piece before the connection is given up.
const SEND_MAX: Duration = Duration::from_secs(30);

pub(super) async fn events(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    peer: Option<Extension<PeerAddress>>,
    headers: HeaderMap,
) -> Response {
    match open(&app, &uri, &headers, peer.map(|it| it.0), Format::Sse).await {
        Err(fault) => fault.at(uri.path()).into_response(),
        Ok(cursor) => {
            let headers = [
                (header::CONTENT_TYPE, "text/event-stream"),
                (header::CACHE_CONTROL, "no-store"),
                // Proxies that gather what they pass on would hold events back.
                (header::HeaderName::from_static("x-accel-buffering"), "no"),
            ];
            (headers, Body::from_stream(pieces(cursor))).into_response()
        }
    }
}

pub(super) async fn socket(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    peer: Option<Extension<PeerAddress>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let opened = async {
        let upgrade = upgrade.map_err(|error| Fault::invalid(format!("this is for WebSockets: {error}")))?;
        check_origin(&app, &headers)?;
        Ok::<_, Fault>((open(&app, &uri, &headers, peer.map(|it| it.0), Format::Messages).await?, upgrade))
    };
    match opened.await {
        Err(fault) => fault.at(uri.path()).into_response(),
        Ok((cursor, upgrade)) => {
            let upgrade = upgrade.max_message_size(MESSAGE_BYTES_MAX).max_frame_size(MESSAGE_BYTES_MAX);
            upgrade.on_upgrade(|socket| talk(socket, cursor))
        }
    }
}

async fn open(
    app: &App,
    uri: &Uri,
    headers: &HeaderMap,
    peer: Option<PeerAddress>,
    format: Format,
) -> Result<Cursor, Fault> {
    let identity = caller::identify(app, headers, peer).await?;
    let asked = Asked::parse(uri.query().unwrap_or_default(), headers)?;
    let snapshot = app.0.state.snapshot();
    let caller = identity.caller(&snapshot)?;
    let watch = Watch::new(&app.0.tree, &snapshot, caller, &asked.tables, asked.path.as_ref())?;
    app.0.streams.watch(watch, format, asked.after).map_err(|crowded| Fault::busy(crowded.to_string()))
}

/// What a query asks for.
#[derive(Default)]
struct Asked {
    tables: Vec<String>,
    path: Option<UrlPath>,
    after: Option<Id>,
}

impl Asked {
    fn parse(query: &str, headers: &HeaderMap) -> Result<Self, Fault> {
        let mut asked = Self::default();
        let mut after = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()).map(str::to_owned);
        for (name, value) in decode(query)? {
            match name.as_str() {
                "table" => asked.tables.push(value),
                "path" => {
                    let path = value.strip_prefix("/v1").unwrap_or(&value);
                    asked.path = Some(UrlPath::parse(path)?);
                }
                "after" => after = Some(value),
                other => {
                    let right = "there are: table, path, after";
                    return Err(Fault::invalid(format!("a stream has no parameter `{other}`; {right}")));
                }
            }
        }
        // The id of another Sparkle, or of none, is answered by a reset: clients send back what they have.
        asked.after = after.filter(|id| !id.is_empty()).map(|id| id.parse().unwrap_or(Id::STRANGE));
        Ok(asked)
    }
}

/// Browsers let any page open a WebSocket to anywhere, with the credentials that they have.
pub(super) fn check_origin(app: &App, headers: &HeaderMap) -> Result<(), Fault> {
    let Some(origin) = headers.get(header::ORIGIN).filter(|origin| !cors::is_known(app, origin)) else {
        return Ok(());
    };
    let own = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let origin = String::from_utf8_lossy(origin.as_bytes());
    if own.is_some() && origin.split_once("://").map(|(_, authority)| authority) == own {
        return Ok(());
    }
    Err(Fault::denied(format!("pages of {origin} may not watch")))
}

fn pieces(cursor: Cursor) -> impl Stream<Item = Result<Bytes, Infallible>> {
    futures::stream::unfold(Some(cursor), |cursor| async {
        let mut cursor = cursor?;
        let (piece, cursor) = match cursor.next().await {
            Next::Piece(piece) => (Some(piece), Some(cursor)),
            Next::Last(piece) => (piece, None),
        };
        match piece {
            Some(Piece::Sse(bytes)) => Some((Ok(bytes), cursor)),
            Some(Piece::Messages(_)) | None => None,
        }
    })
}

async fn talk(mut socket: WebSocket, mut cursor: Cursor) {
    loop {
        let next = tokio::select! {
            next = cursor.next() => next,
            heard = socket.recv() => match heard {
                // Pings are answered by the socket itself.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Text(_) | Message::Binary(_))) => continue,
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
            },
        };
        let (piece, last) = match next {
            Next::Piece(piece) => (Some(piece), false),
            Next::Last(piece) => (piece, true),
        };
        let sent = tokio::time::timeout(SEND_MAX, send(&mut socket, piece, last)).await;
        if last || !matches!(sent, Ok(Ok(()))) {
            return;
        }
    }
}

async fn send(socket: &mut WebSocket, piece: Option<Piece>, last: bool) -> Result<(), axum::Error> {
    if let Some(Piece::Messages(messages)) = piece {
        for message in messages.iter() {
            socket.feed(Message::Text(message.clone())).await?;
        }
    }
    if last {
        let reason = "come again with the last id".into();
        socket.feed(Message::Close(Some(CloseFrame { code: close_code::AGAIN, reason }))).await?;
    }
    socket.flush().await
}
