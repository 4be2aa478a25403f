//! The REST API: HTTP on one side, [`pony_core::document`] on the other. Every endpoint but the few below is one
//! generic handler over the tree that the schema gives; nothing in here knows a table by name but `user`.

mod caller;
mod config;
mod console;
mod cors;
mod list;
mod metrics;
mod patience;
mod problem;
mod read;
mod serve;
mod stream;
mod tls;
mod token;
mod trace;
mod write;

pub use config::{HttpArgs, HttpLimits};
pub use cors::{NoOrigin, Origin};
pub(crate) use serve::serve;
pub(crate) use tls::Tls;

use crate::auth::Verifier;
use crate::console::Ask;
use crate::feed::Feed;
use crate::lead::Role;
use crate::metrics::{Inspection, Metrics};
use crate::openapi;
use crate::stream::Streams;
use crate::writer::WriterHandle;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, OriginalUri, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use pony_core::document::{Tree, UrlPath};
use pony_state::SharedState;
use problem::Fault;
use serde_json::json;
use serve::PeerAddress;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use trace::Ids;

/// The largest request body, bytes: a patch that orders thousands of instances fits.
pub(crate) const BODY_BYTES_MAX: usize = 8 << 20;
/// The longest URL path with its query, bytes.
pub(crate) const URL_BYTES_MAX: usize = 8 << 10;

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct App(Arc<Inner>);

/// What the API serves, and what it asks.
pub(crate) struct Parts {
    pub(crate) tree: Arc<Tree>,
    pub(crate) state: SharedState,
    pub(crate) streams: Streams,
    pub(crate) writer: WriterHandle<Fault>,
    pub(crate) available: watch::Receiver<bool>,
    pub(crate) role: watch::Receiver<Role>,
    pub(crate) metrics: Metrics,
    /// Asks the controller how it stands.
    pub(crate) inspect: mpsc::Sender<oneshot::Sender<Inspection>>,
    /// The way to the consoles of guests.
    pub(crate) consoles: mpsc::Sender<Ask>,
    /// The database's changes on their way to the controller, to see how many wait.
    pub(crate) feed: mpsc::WeakSender<Feed>,
}

struct Inner {
    parts: Parts,
    openapi: Bytes,
    verifier: Verifier,
    proxies: Vec<IpAddr>,
    origins: Vec<Origin>,
    limits: HttpLimits,
    ids: Ids,
    lists: Arc<Semaphore>,
}

impl Deref for Inner {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

impl App {
    pub(crate) fn new(parts: Parts, args: &HttpArgs) -> anyhow::Result<Self> {
        let openapi = openapi::document(&parts.tree).to_string().into();
        let verifier = Verifier::new()?;
        let ids = Ids::new(crate::random()?);
        let lists = Arc::new(Semaphore::new(list::LISTS_AT_ONCE));
        let HttpArgs { cors_origin: origins, proxy: proxies, limits, .. } = args.clone();
        Ok(Self(Arc::new(Inner { parts, openapi, verifier, proxies, origins, limits, ids, lists })))
    }

    pub(crate) fn router(self) -> Router {
        let router = Router::new()
            .route("/", get(root))
            .route("/healthz", get(|| async { Json(json!({"status": "ok"})) }))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics::scrape))
            .route("/v1/schema", get(schema))
            .route("/v1/openapi.json", get(describe))
            .route("/v1/event-stream", get(stream::events))
            .route("/v1/ws", get(stream::socket))
            .route("/v1/token", get(token::own))
            .route("/v1/tenant/{tenant}/token", get(token::of_tenant))
            .route("/v1/tenant/{tenant}/instance/{instance}/console", get(console::serial))
            .route("/v1/tenant/{tenant}/instance/{instance}/vnc", get(console::vnc))
            .route("/v1", any(document))
            .route("/v1/", any(document))
            .route("/v1/{*path}", any(document))
            .fallback(unknown)
            .method_not_allowed_fallback(wrong_method)
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX));
        let shared = !self.0.origins.is_empty();
        let router =
            if shared { router.layer(from_fn_with_state(self.clone(), cors::admit)) } else { router };
        router.layer(from_fn_with_state(self.clone(), trace::observe)).with_state(self)
    }
}

async fn root() -> impl IntoResponse {
    Json(json!({"application": "Sparkle", "capabilities": ["v1"]}))
}

async fn ready(State(app): State<App>) -> Response {
    let role = match *app.0.role.borrow() {
        Role::Leads => "leads",
        Role::StandsBy { .. } => "stands-by",
    };
    if *app.0.available.borrow() {
        return Json(json!({"status": "ready", "database": "available", "role": role})).into_response();
    }
    let body = Json(json!({"status": "degraded", "database": "unavailable", "role": role}));
    (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
}

async fn schema(State(app): State<App>) -> impl IntoResponse {
    Json(app.0.tree.describe())
}

async fn describe(State(app): State<App>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], app.0.openapi.clone())
}

async fn unknown(OriginalUri(uri): OriginalUri) -> Response {
    Fault::not_found(uri.path(), "there is nothing here; the API begins at /v1/").into_response()
}

async fn wrong_method(method: Method, OriginalUri(uri): OriginalUri) -> Response {
    Fault::method(uri.path(), &method, &["GET"]).into_response()
}

/// Every path below `/v1` that the schema gives.
async fn document(
    State(app): State<App>,
    method: Method,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let path = uri.path();
    if uri.path_and_query().is_some_and(|it| it.as_str().len() > URL_BYTES_MAX) {
        return Fault::too_large(path, format!("a URL has at most {URL_BYTES_MAX} bytes")).into_response();
    }
    match answer(&app, &method, &uri, &headers, request).await {
        Ok(response) => response,
        Err(fault) => fault.at(path).into_response(),
    }
}

async fn answer(
    app: &App,
    method: &Method,
    uri: &axum::http::Uri,
    headers: &HeaderMap,
    request: Request,
) -> Result<Response, Fault> {
    let peer = request.extensions().get::<PeerAddress>().copied();
    let identity = caller::identify(app, headers, peer).await?;
    let url = UrlPath::parse(uri.path().strip_prefix("/v1").unwrap_or_default())?;
    let (place, methods) = app.0.tree.place(&url)?;
    // HEAD is GET without the body, which the server leaves out.
    let wanted = if *method == Method::HEAD { "GET" } else { method.as_str() };
    if *method == Method::OPTIONS {
        return Ok((StatusCode::NO_CONTENT, [(header::ALLOW, allow(methods))]).into_response());
    }
    if !methods.contains(&wanted) {
        return Err(Fault::method(uri.path(), method, methods));
    }
    match wanted {
        "GET" => read::answer(app, &identity, url, place, uri.query().unwrap_or_default(), headers).await,
        _ => {
            let body = body(request, app.0.limits.body_max).await?;
            write::answer(app, identity, url, wanted, headers, &body).await
        }
    }
}

fn allow(methods: &[&str]) -> String {
    let head = methods.contains(&"GET").then_some("HEAD");
    methods.iter().copied().chain(head).chain(["OPTIONS"]).collect::<Vec<_>>().join(", ")
}

async fn body(request: Request, within: Duration) -> Result<Bytes, Fault> {
    let arriving = axum::body::to_bytes(request.into_body(), BODY_BYTES_MAX);
    let arrived = tokio::time::timeout(within, arriving).await.map_err(|_| Fault::body_slow(within))?;
    arrived.map_err(|error| {
        use http_body_util::LengthLimitError;
        let source = std::error::Error::source(&error);
        if source.is_some_and(<dyn std::error::Error>::is::<LengthLimitError>) {
            return Fault::too_large("", format!("a request body has at most {BODY_BYTES_MAX} bytes"));
        }
        Fault::invalid(format!("the request body did not arrive: {error}"))
    })
}
