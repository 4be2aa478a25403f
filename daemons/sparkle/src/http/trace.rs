//! Every request has an id: it is in the answer and in all that is logged on its behalf. Neither headers, queries nor
//! bodies are logged: they hold secrets.

use super::App;
use super::problem::Fault;
use super::serve::PeerAddress;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tracing::Instrument;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id that is taken from a client, bytes: as long as a UUID with something around it.
const ID_BYTES_MAX: usize = 64;

/// Where ids come from: a word that is random for each process, and a number.
#[derive(Debug, Default)]
pub(super) struct Ids {
    pub(super) process: u32,
    last: AtomicU64,
}

impl Ids {
    pub(super) fn new(process: u32) -> Self {
        Self { process, last: AtomicU64::new(0) }
    }

    fn next(&self) -> String {
        format!("{:08x}-{}", self.process, self.last.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// The client's own id, where it is one that can stand in a log, else a new one.
    fn of(&self, sent: Option<&HeaderValue>) -> String {
        let is_part = |it: u8| it.is_ascii_alphanumeric() || b"-_.".contains(&it);
        let fits = |it: &&str| !it.is_empty() && it.len() <= ID_BYTES_MAX && it.bytes().all(is_part);
        sent.and_then(|it| it.to_str().ok()).filter(fits).map_or_else(|| self.next(), str::to_owned)
    }
}

/// Logs a request and what was answered; ends it when it takes too long.
pub(super) async fn observe(State(app): State<App>, request: Request, next: Next) -> Response {
    let id = app.0.ids.of(request.headers().get(REQUEST_ID));
    let address = request.extensions().get::<PeerAddress>().map(|it| tracing::field::display(it.0.ip()));
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let span = tracing::info_span!("request", id, address, %method, path, caller = tracing::field::Empty);
    let header = HeaderValue::from_str(&id);
    let answering = async {
        let began = Instant::now();
        let answered = tokio::time::timeout(app.0.limits.request_max, next.run(request)).await;
        let response =
            answered.unwrap_or_else(|_| Fault::slow(app.0.limits.request_max).at(&path).into_response());
        log(&method, &response, began);
        let (status, route) = (response.status().as_u16(), route.as_ref().map(MatchedPath::as_str));
        app.0.metrics.answered(method.as_str(), route, status, began.elapsed());
        response
    };
    let mut response = answering.instrument(span).await;
    if let Ok(header) = header {
        response.headers_mut().insert(REQUEST_ID, header);
    }
    response
}

/// Changes and failures are worth a line; reads only to those who ask for them.
fn log(method: &Method, response: &Response, began: Instant) {
    let (status, took_ms) = (response.status().as_u16(), began.elapsed().as_millis());
    match status {
        500.. => tracing::warn!(status, took_ms, "failed"),
        401 | 403 | 429 => tracing::info!(status, took_ms, "refused"),
        _ if method.is_safe() => tracing::debug!(status, took_ms, "answered"),
        _ => tracing::info!(status, took_ms, "answered"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_clients_are_taken_if_they_cannot_do_harm() {
        let ids = Ids::new(0xabc);
        let of = |sent: &str| ids.of(Some(&HeaderValue::from_str(sent).unwrap()));
        let (longest, longer) = ("x".repeat(ID_BYTES_MAX), "x".repeat(ID_BYTES_MAX + 1));
        assert_eq!((of("a-B_9."), of(&longest)), ("a-B_9.".to_owned(), longest));
        assert_eq!([of("a b"), of(""), of("a\tb"), of(&longer)].map(|it| it.len()), [10; 4]);
        assert_eq!(ids.of(None), "00000abc-5");
    }
}
