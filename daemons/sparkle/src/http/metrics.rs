//! `/metrics`: for alicorns, since it tells of the whole cloud.

use super::App;
use super::caller::identify;
use super::problem::Fault;
use super::serve::PeerAddress;
use crate::lead::Role;
use crate::metrics::{CONTENT_TYPE, Inspection, Live};
use axum::extract::{Extension, OriginalUri, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use pony_core::document::Caller;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long the controller may take to say how it stands; without that the rest is told.
const INSPECTION_MAX: Duration = Duration::from_secs(1);

pub(super) async fn scrape(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    peer: Option<Extension<PeerAddress>>,
    headers: HeaderMap,
) -> Response {
    match text(&app, &headers, peer.map(|it| it.0)).await {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(fault) => fault.at(uri.path()).into_response(),
    }
}

async fn text(app: &App, headers: &HeaderMap, peer: Option<PeerAddress>) -> Result<String, Fault> {
    let identity = identify(app, headers, peer).await?;
    match identity.caller(&app.0.state.snapshot())? {
        Caller::Nobody => return Err(Fault::unauthenticated("metrics are for alicorns".to_owned())),
        caller if !caller.is_alicorn() => return Err(Fault::denied("metrics are for alicorns".to_owned())),
        _ => {}
    }
    let inspection = inspect(app).await.unwrap_or_default();
    let (events, bytes) = app.0.streams.kept();
    let queues = vec![
        ("writes", app.0.writer.waiting()),
        ("feed", app.0.feed.upgrade().map_or(0, |feed| feed.max_capacity() - feed.capacity())),
        ("stream_events", events),
        ("stream_bytes", bytes),
        ("stream_watchers", app.0.streams.watchers()),
    ];
    let (leads, available) = (*app.0.role.borrow() == Role::Leads, *app.0.available.borrow());
    let live = Live::new(&app.0.metrics, inspection, queues, leads, available);
    app.0.metrics.write(live).map_err(|error| Fault::unavailable(error.to_string()))
}

async fn inspect(app: &App) -> Option<Inspection> {
    let (answer, answered) = oneshot::channel();
    app.0.inspect.try_send(answer).ok()?;
    tokio::time::timeout(INSPECTION_MAX, answered).await.ok()?.ok()
}
