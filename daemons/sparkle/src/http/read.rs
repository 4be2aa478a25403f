//! GET: entities with their tag, and collections, which are written out as they are read.

use super::caller::Identity;
use super::problem::Fault;
use super::{App, list};
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use pony_core::document::{PlaceKind, Query, Reader, UrlPath};
use serde_json::json;
use sha2::{Digest, Sha256};

pub(super) async fn answer(
    app: &App,
    identity: &Identity,
    url: UrlPath,
    place: PlaceKind,
    query: &str,
    headers: &HeaderMap,
) -> Result<Response, Fault> {
    let snapshot = app.0.state.snapshot();
    let caller = identity.caller(&snapshot)?;
    let reader = Reader::new(&app.0.tree, &snapshot, &caller);
    let pairs = decode(query)?;
    let query = || Query::parse(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    match place {
        PlaceKind::Root => {
            let children = pairs.iter().any(|(name, value)| name == "children" && value == "1");
            Ok(json_response(if children { reader.root() } else { json!({}) }.to_string()))
        }
        PlaceKind::Collection | PlaceKind::Join => {
            let query = query()?;
            list::answer(app, snapshot, caller, url, place, query).await
        }
        PlaceKind::Entity => entity(reader.entity(&url)?, headers),
    }
}

fn entity(text: Vec<u8>, headers: &HeaderMap) -> Result<Response, Fault> {
    let tag = etag(&text);
    if Preconditions::of(headers).excludes(&tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    let mut response = json_response(text);
    if let Ok(tag) = tag.parse() {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

/// The tag of an entity as the caller sees it.
pub(super) fn etag(text: &[u8]) -> String {
    let digest: [u8; 32] = Sha256::digest(text).into();
    let half = digest.first_chunk().copied().unwrap_or_default();
    format!("\"{:032x}\"", u128::from_be_bytes(half))
}

/// What a request makes an entity's state a condition of (RFC 9110, section 13.1).
#[derive(Debug, Default)]
pub(super) struct Preconditions {
    if_match: Option<String>,
    if_none_match: Option<String>,
}

impl Preconditions {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Self { if_match: text(header::IF_MATCH), if_none_match: text(header::IF_NONE_MATCH) }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.if_match.is_none() && self.if_none_match.is_none()
    }

    /// Whether `If-None-Match` names the tag, a weak one too: for bytes that are the same there is none other.
    pub(super) fn excludes(&self, tag: &str) -> bool {
        let is = |it: &str| it == "*" || it.trim_start_matches("W/") == tag;
        self.if_none_match.as_deref().is_some_and(|header| header.split(',').any(|it| is(it.trim())))
    }

    /// Whether `If-Match` names other tags than this one. Weak ones are others: they say too little to write by.
    pub(super) fn misses(&self, tag: &str) -> bool {
        let is = |it: &str| it == "*" || it == tag;
        self.if_match.as_deref().is_some_and(|header| !header.split(',').any(|it| is(it.trim())))
    }
}

pub(super) fn json_response(text: impl Into<Body>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text.into() as Body).into_response()
}

pub(super) fn decode(query: &str) -> Result<Vec<(String, String)>, Fault> {
    serde_urlencoded::from_str(query)
        .map_err(|error| Fault::invalid(format!("the URL's query cannot be read: {error}")))
}
