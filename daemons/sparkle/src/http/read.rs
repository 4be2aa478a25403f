//! GET: entities with their tag, and collections, which are written out as they are read.

use super::caller::Identity;
use super::problem::Fault;
use super::{App, list};
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use pony_core::document::{PlaceKind, Query, Reader, UrlPath};
use serde_json::{Value, json};
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
        PlaceKind::Join => Ok(json_response(write_object(reader.join(&url, &query()?)?.into_iter()))),
        PlaceKind::Collection => {
            let query = query()?;
            list::answer(app, snapshot, caller, url, query).await
        }
        PlaceKind::Entity => entity(reader.entity_text(&url)?, headers),
    }
}

fn entity(text: Vec<u8>, headers: &HeaderMap) -> Result<Response, Fault> {
    let tag = etag(&text);
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if known.is_some_and(|known| names(known, &tag)) {
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

/// Whether an `If-Match` or `If-None-Match` header names the tag.
pub(super) fn names(header: &str, tag: &str) -> bool {
    header.split(',').map(|it| it.trim().trim_start_matches("W/")).any(|it| it == "*" || it == tag)
}

pub(super) fn json_response(text: impl Into<Body>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text.into() as Body).into_response()
}

fn write_object(entries: impl Iterator<Item = (String, Value)>) -> String {
    let mut text = String::from("{");
    for (key, value) in entries {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&Value::String(key).to_string());
        text.push(':');
        text.push_str(&value.to_string());
    }
    text.push('}');
    text
}

pub(super) fn decode(query: &str) -> Result<Vec<(String, String)>, Fault> {
    serde_urlencoded::from_str(query)
        .map_err(|error| Fault::invalid(format!("the URL's query cannot be read: {error}")))
}
