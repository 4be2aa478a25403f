//! Collections, written out piece by piece as the client takes them: however long one is, little of it is in memory.

use super::App;
use super::problem::Fault;
use super::read::json_response;
use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::Stream;
use pony_core::document::{Caller, Listing, PlaceKind, Query, Reader, UrlPath};
use pony_state::Snapshot;
use std::io;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

/// Lists that are written at the same time: each has a thread and a snapshot, for as long as its client takes.
pub(super) const LISTS_AT_ONCE: usize = 64;
/// Bytes of a piece.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces that wait for the client.
const PIECES_WAITING_MAX: usize = 2;
/// How long a client may take for a piece before the list is given up: a snapshot that lives on costs memory.
const PIECE_MAX: Duration = Duration::from_secs(30);

/// A piece of a list that is too long for one.
struct Piece {
    bytes: Bytes,
    last: bool,
}

/// How a list begins.
enum Begun {
    Whole(Vec<u8>),
    Pieces(mpsc::Receiver<Piece>),
}

type Answer = oneshot::Sender<Result<Begun, Fault>>;

pub(super) async fn answer(
    app: &App,
    snapshot: Snapshot,
    caller: Caller,
    url: UrlPath,
    place: PlaceKind,
    query: Query,
) -> Result<Response, Fault> {
    let gone = || Fault::unavailable("Sparkle is shutting down".to_owned());
    let permit = app.0.lists.clone().acquire_owned().await.map_err(|_| gone())?;
    let (answer, begun) = oneshot::channel();
    let (app, runtime) = (app.clone(), Handle::current());
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let reader = Reader::new(&app.0.tree, &snapshot, &caller);
        let listed = match place {
            PlaceKind::Join => reader.join(&url, &query),
            _ => reader.list(&url, &query),
        };
        match listed {
            Ok(listed) => write(listed, answer, &runtime),
            // The client may have gone.
            Err(error) => drop(answer.send(Err(error.into()))),
        }
    });
    Ok(match begun.await.map_err(|_| gone())?? {
        Begun::Whole(text) => json_response(text),
        Begun::Pieces(pieces) => {
            ([(header::CONTENT_TYPE, "application/json")], Body::from_stream(stream(pieces))).into_response()
        }
    })
}

fn write(mut entries: Listing<'_>, answer: Answer, runtime: &Handle) {
    let mut text = vec![b'{'];
    let mut last = fill(&mut entries, &mut text);
    if last {
        let _ = answer.send(Ok(Begun::Whole(text)));
        return;
    }
    let (pieces, taken) = mpsc::channel(PIECES_WAITING_MAX);
    if answer.send(Ok(Begun::Pieces(taken))).is_err() {
        return;
    }
    loop {
        let piece = Piece { bytes: std::mem::take(&mut text).into(), last };
        // Whoever went, or is too slow, gets no more.
        let sent = runtime.block_on(tokio::time::timeout(PIECE_MAX, pieces.send(piece)));
        if last || !matches!(sent, Ok(Ok(()))) {
            return;
        }
        last = fill(&mut entries, &mut text);
    }
}

/// Fills a piece. Says whether it is the last one.
fn fill(entries: &mut Listing<'_>, text: &mut Vec<u8>) -> bool {
    text.reserve(PIECE_BYTES + PIECE_BYTES / 4);
    while text.len() < PIECE_BYTES {
        let before = text.len();
        if text.last() != Some(&b'{') || before > 1 {
            text.push(b',');
        }
        if !entries.write_next(text) {
            text.truncate(before);
            text.push(b'}');
            return true;
        }
    }
    false
}

/// The pieces as a body. One that was given up ends in an error, so that nobody takes it for the whole.
fn stream(pieces: mpsc::Receiver<Piece>) -> impl Stream<Item = io::Result<Bytes>> {
    futures::stream::unfold(Some(pieces), |pieces| async {
        let mut pieces = pieces?;
        match pieces.recv().await {
            Some(Piece { bytes, last }) => Some((Ok(bytes), (!last).then_some(pieces))),
            None => {
                Some((Err(io::Error::other("the list was given up: its pieces were taken too slowly")), None))
            }
        }
    })
}
