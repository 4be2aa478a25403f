//! Answers, parameters and headers that operations share.

use super::{object, schema_ref};
use serde_json::{Value as Json, json};

/// Answers that are problems, or have no body: status, name, what it means.
const ANSWERS: [(u16, &str, &str); 14] = [
    (202, "Accepted", "Done in the database, which was lost before memory could follow: reads show it later"),
    (304, "NotModified", "What If-None-Match names is still so"),
    (
        400,
        "Invalid",
        "Not JSON, the wrong shape, an unknown column, a bad value, a dangling reference; or no patch",
    ),
    (401, "Unauthenticated", "No or bad credentials where some are needed"),
    (403, "Denied", "Not permitted, or a quota would be exceeded"),
    (404, "NotFound", "There is no such place"),
    (405, "MethodNotAllowed", "The place does not take that"),
    (408, "RequestTimeout", "The request took too long to arrive"),
    (409, "Conflict", "A failed test, a uniqueness clash, something in use"),
    (412, "PreconditionFailed", "The entity is not what If-Match or If-None-Match ask for"),
    (413, "TooLarge", "Beyond a limit"),
    (415, "UnsupportedMediaType", "No kind of patch"),
    (429, "TooManyRequests", "Come back later"),
    (503, "Unavailable", "The database is away, or the request took too long"),
];

/// Answers that every operation may give.
const ALWAYS: [u16; 7] = [401, 403, 404, 405, 413, 429, 503];

/// An operation's answers: what it gives when all is well, the given ones, and those that all may give.
pub(super) fn answers(good: &Json, more: &[u16]) -> Json {
    let listed = ANSWERS.iter().filter(|(status, ..)| more.contains(status) || ALWAYS.contains(status));
    let listed = listed.map(|(status, name, _)| {
        (status.to_string(), json!({"$ref": format!("#/components/responses/{name}")}))
    });
    object([("200".to_owned(), good.clone())].into_iter().chain(listed))
}

/// A reference to a shared parameter.
pub(super) fn parameter(name: &str) -> Json {
    json!({"$ref": format!("#/components/parameters/{name}")})
}

pub(super) fn responses() -> Json {
    object(ANSWERS.iter().map(|(status, name, meaning)| {
        let headers: &[&str] = match status {
            304 => &["ETag"],
            401 => &["WWW-Authenticate"],
            405 => &["Allow"],
            408 | 413 | 429 | 503 => &["Retry-After"],
            _ => &[],
        };
        let headers = headers
            .iter()
            .map(|name| ((*name).to_owned(), json!({"$ref": format!("#/components/headers/{name}")})));
        let mut response = json!({"description": meaning});
        response["headers"] = object(headers);
        match status {
            202 => response["content"] = json!({"application/json": {"schema": schema_ref("Uuids")}}),
            304 => {}
            _ => response["content"] = json!({"application/problem+json": {"schema": schema_ref("Problem")}}),
        }
        ((*name).to_owned(), response)
    }))
}

/// Parameters that operations share, and the given ones.
pub(super) fn parameters(filters: impl Iterator<Item = (String, Json)>) -> Json {
    let query = |name: &str, doc: &str, schema: Json| json!({"name": name, "in": "query", "description": doc, "schema": schema});
    let header = |name: &str, doc: &str| json!({"name": name, "in": "header", "description": doc, "schema": {"type": "string"}});
    let mut fields = query(
        "fields",
        "Only these columns, separated by commas",
        json!({"type": "array", "items": {"type": "string"}}),
    );
    fields["style"] = json!("form");
    fields["explode"] = json!(false);
    let limit = json!({"type": "integer", "minimum": 1});
    let mut parameters = json!({
        "Limit": query("limit", "At most so many entities", limit),
        "After": query("after", "Only entities after the one with this key, in key order", json!({"type": "string"})),
        "Fields": fields,
        "IfMatch": header("If-Match", "Only if the entity has one of these tags"),
        "IfNoneMatch": header("If-None-Match", "Only if the entity has none of these tags"),
    });
    if let Some(parameters) = parameters.as_object_mut() {
        parameters.extend(filters);
    }
    parameters
}

pub(super) fn headers() -> Json {
    let text = |doc: &str| json!({"description": doc, "schema": {"type": "string"}});
    json!({
        "ETag": text("A tag of the entity as the caller sees it"),
        "WWW-Authenticate": text("How to say who you are"),
        "Allow": text("The methods that the place takes"),
        "Retry-After": {"description": "When to come back, seconds", "schema": {"type": "integer"}},
    })
}
