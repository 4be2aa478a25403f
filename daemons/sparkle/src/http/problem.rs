//! The one place where errors become HTTP: RFC 9457 members, and the three that clients read.

use axum::Json;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use pony_core::document::DocumentError;
use pony_store::{Broken, CommitError};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// When to come back after an outage or a full queue, seconds.
const RETRY_AFTER_S: u32 = 1;

/// An answer that is an error.
#[derive(Debug)]
pub(crate) struct Fault {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// JSON pointer into the document.
    path: Option<String>,
    instance: String,
    allow: Option<String>,
    retry_after_s: u32,
}

impl Fault {
    fn new(status: StatusCode, code: &'static str, message: String) -> Self {
        Self {
            status,
            code,
            message,
            path: None,
            instance: String::new(),
            allow: None,
            retry_after_s: RETRY_AFTER_S,
        }
    }

    pub(super) fn invalid(message: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid-data", message)
    }

    pub(super) fn unsupported(message: String) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid-data", message)
    }

    pub(super) fn unauthenticated(message: String) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", message)
    }

    pub(super) fn denied(message: String) -> Self {
        Self::new(StatusCode::FORBIDDEN, "access-denied", message)
    }

    pub(super) fn not_found(instance: &str, message: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "path-not-found", message.to_owned()).at(instance)
    }

    pub(super) fn too_large(instance: &str, message: String) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", message).at(instance)
    }

    pub(super) fn busy(message: String) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", message)
    }

    pub(super) fn conflict(message: String) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", message)
    }

    /// What only a host could answer, and none did.
    pub(super) fn host_unavailable(message: String) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "host-unavailable", message)
    }

    /// What is wrong, for people.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    pub(super) fn unavailable(message: String) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "database-unavailable", message)
    }

    /// A request that took too long.
    pub(super) fn slow(max: Duration) -> Self {
        let seconds = max.as_secs_f32();
        let message = format!(
            "this took longer than {seconds} s; whether it was done is not known: look before you ask again"
        );
        Self::unavailable(message)
    }

    /// A body that took too long to arrive.
    pub(super) fn body_slow(max: Duration) -> Self {
        let message =
            format!("the request body did not arrive within {} s; nothing was done", max.as_secs_f32());
        Self::new(StatusCode::REQUEST_TIMEOUT, "request-timeout", message)
    }

    pub(super) fn precondition() -> Self {
        let message = "the entity is not (any longer) what If-Match or If-None-Match ask for; read it again";
        Self::new(StatusCode::PRECONDITION_FAILED, "precondition-failed", message.to_owned())
    }

    pub(super) fn method(instance: &str, method: &Method, methods: &[&str]) -> Self {
        let allow = super::allow(methods);
        let message = format!("{method} is not for this place; it takes {allow}");
        let fault = Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", message).at(instance);
        Self { allow: Some(allow), ..fault }
    }

    /// Says when to come back.
    pub(super) fn after(self, retry_after_s: u32) -> Self {
        Self { retry_after_s, ..self }
    }

    /// Names the request that it is about.
    pub(super) fn at(self, instance: &str) -> Self {
        Self { instance: instance.to_owned(), ..self }
    }

    /// A refused commit. `paths`: for each operation, where in the document it was asked for.
    pub(super) fn commit(error: &CommitError, paths: &[String]) -> Self {
        let message =
            error.violation().map_or_else(|| error.to_string(), |violation| violation.message.clone());
        let quota = |violation: &pony_store::Violation| matches!(violation.rule, Broken::Quota { .. });
        let fault = match error {
            CommitError::Conflict(violation) if quota(violation) => {
                Self::new(StatusCode::FORBIDDEN, "quota-exceeded", message)
            }
            // Missing: memory had it when the request was evaluated, and somebody else removed it meanwhile.
            CommitError::Conflict(_) | CommitError::Missing { .. } => {
                Self::new(StatusCode::CONFLICT, "conflict", message)
            }
            CommitError::Invalid(_) => Self::invalid(message),
            CommitError::Unknown { .. } | CommitError::Unavailable(_) => Self::unavailable(message),
        };
        let path = error.violation().and_then(|violation| {
            let base = paths.get(violation.op?)?;
            match violation.columns.as_slice() {
                [column] if base.ends_with("/desired") => Some(format!("{base}/{column}")),
                _ => Some(base.clone()),
            }
        });
        Self { path, ..fault }
    }

    fn body(&self) -> Value {
        let mut body = Map::new();
        body.insert("type".to_owned(), json!(format!("urn:ponycloud:error:{}", self.code)));
        body.insert("title".to_owned(), json!(self.code.replace('-', " ")));
        body.insert("status".to_owned(), json!(self.status.as_u16()));
        body.insert("detail".to_owned(), json!(self.message));
        body.insert("instance".to_owned(), json!(self.instance));
        body.insert("error".to_owned(), json!(self.code));
        body.insert("message".to_owned(), json!(self.message));
        if let Some(path) = &self.path {
            body.insert("path".to_owned(), json!(path));
        }
        Value::Object(body)
    }
}

impl From<DocumentError> for Fault {
    fn from(error: DocumentError) -> Self {
        let code = error.code();
        let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::BAD_REQUEST);
        let path = error.path.as_ref().map(ToString::to_string);
        Self { path, ..Self::new(status, code.as_str(), error.to_string()) }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static(
                "Basic realm=\"PonyCloud\", charset=\"UTF-8\", Bearer realm=\"PonyCloud\"",
            );
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if matches!(self.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(self.retry_after_s));
        }
        if let Some(allow) = self.allow.and_then(|allow| HeaderValue::from_str(&allow).ok()) {
            headers.insert(header::ALLOW, allow);
        }
        response
    }
}
