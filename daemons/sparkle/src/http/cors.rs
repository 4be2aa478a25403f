//! Web pages of other origins (CORS): those that were named may use the API, no other. Cookies are never concerned:
//! there are none.

use super::App;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::str::FromStr;

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PATCH, DELETE");
const TAKEN: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, if-match, if-none-match, last-event-id, x-request-id",
);
const SHOWN: HeaderValue =
    HeaderValue::from_static("allow, etag, retry-after, www-authenticate, x-request-id");
/// How long a browser need not ask again, s.
const ASKED_AGAIN_S: HeaderValue = HeaderValue::from_static("600");

/// An origin as browsers send it: `https://host` or `https://host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(HeaderValue);

/// Why a text is no origin.
#[derive(Debug, thiserror::Error)]
#[error("an origin is http://HOST or https://HOST, perhaps with :PORT, in lower case and without a path")]
pub struct NoOrigin;

impl FromStr for Origin {
    type Err = NoOrigin;

    fn from_str(text: &str) -> Result<Self, NoOrigin> {
        let host =
            ["https://", "http://"].iter().find_map(|scheme| text.strip_prefix(scheme)).ok_or(NoOrigin)?;
        let is_part = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || "-.:[]".contains(it);
        if host.is_empty() || !host.chars().all(is_part) {
            return Err(NoOrigin);
        }
        HeaderValue::from_str(text).map(Self).map_err(|_| NoOrigin)
    }
}

/// Whether pages of an origin may use the API.
pub(super) fn is_known(app: &App, origin: &HeaderValue) -> bool {
    app.0.origins.iter().any(|known| known.0 == *origin)
}

/// Answers what browsers ask beforehand, and marks what pages of known origins may read. Without known origins there
/// is nothing to do: it is left out.
pub(super) async fn admit(State(app): State<App>, request: Request, next: Next) -> Response {
    let asked = request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let origin = request.headers().get(header::ORIGIN).cloned();
    let known = origin.filter(|it| is_known(&app, it));
    let Some(origin) = known else {
        let mut response = next.run(request).await;
        set(response.headers_mut(), header::VARY, HeaderValue::from_static("origin"));
        return response;
    };
    let mut response = if request.method() == Method::OPTIONS && asked {
        let mut response = StatusCode::NO_CONTENT.into_response();
        let headers = response.headers_mut();
        set(headers, header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        set(headers, header::ACCESS_CONTROL_ALLOW_HEADERS, TAKEN);
        set(headers, header::ACCESS_CONTROL_MAX_AGE, ASKED_AGAIN_S);
        response
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    set(headers, header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    set(headers, header::ACCESS_CONTROL_EXPOSE_HEADERS, SHOWN);
    set(headers, header::VARY, HeaderValue::from_static("origin"));
    response
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    headers.insert(name, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_read_strictly() {
        for good in ["https://a.example", "http://localhost:5173", "http://[::1]:80"] {
            assert!(good.parse::<Origin>().is_ok(), "{good}");
        }
        for bad in [
            "*",
            "null",
            "a.example",
            "https://",
            "https://a/",
            "https://A.example",
            "ftp://a",
            "https://a,b",
        ] {
            assert!(bad.parse::<Origin>().is_err(), "{bad}");
        }
    }
}
