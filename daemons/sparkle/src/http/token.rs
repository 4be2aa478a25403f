//! `GET /v1/token` and `GET /v1/tenant/T/token`: tokens for whoever is signed in, and the keys that sign them.

use super::App;
use super::caller::{Identity, identify};
use super::problem::Fault;
use super::serve::PeerAddress;
use super::write::require_database;
use crate::auth::token::{SigningKey, rotate};
use crate::auth::unix_s;
use crate::writer::{Answer, Request};
use axum::extract::{self, Extension, OriginalUri, Path};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use pony_core::document::{Caller, Effect, Pointer};
use pony_state::State;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::oneshot;
use uuid::Uuid;

/// How long a new key may take to be written.
const KEY_MAX: Duration = Duration::from_secs(5);

/// A token for the caller.
pub(super) async fn own(
    extract::State(app): extract::State<App>,
    OriginalUri(uri): OriginalUri,
    peer: Option<Extension<PeerAddress>>,
    headers: HeaderMap,
) -> Response {
    give(&app, &headers, peer, None).await.unwrap_or_else(|fault| fault.at(uri.path()).into_response())
}

/// A token for the caller that is good for one tenant.
pub(super) async fn of_tenant(
    extract::State(app): extract::State<App>,
    OriginalUri(uri): OriginalUri,
    Path(tenant): Path<String>,
    peer: Option<Extension<PeerAddress>>,
    headers: HeaderMap,
) -> Response {
    // Whoever asks for what is no tenant's key learns as much as of one that is not there.
    let tenant = Some(tenant.parse().unwrap_or_default());
    give(&app, &headers, peer, tenant).await.unwrap_or_else(|fault| fault.at(uri.path()).into_response())
}

async fn give(
    app: &App,
    headers: &HeaderMap,
    peer: Option<Extension<PeerAddress>>,
    tenant: Option<Uuid>,
) -> Result<Response, Fault> {
    let (email, since) = match identify(app, headers, peer.map(|it| it.0)).await? {
        Identity::Nobody => return Err(Fault::unauthenticated("a token is for whoever signs in".to_owned())),
        Identity::InTenant { .. } => {
            let message = "a token for a tenant gives no further tokens; use your own, or your password";
            return Err(Fault::denied(message.to_owned()));
        }
        Identity::User { email, since } => (email, since.unwrap_or_else(unix_s)),
    };
    if let Some(tenant) = tenant
        && Caller::in_tenant(&app.0.state.snapshot(), &email, tenant).is_none()
    {
        return Err(Fault::denied("you are no member of this tenant".to_owned()));
    }
    let key = signing_key(app).await?;
    let (token, valid) = key.sign(&app.0.state.snapshot(), &email, tenant, since);
    let body = axum::Json(json!({"token": token, "valid": valid}));
    Ok(([(header::CACHE_CONTROL, "no-store")], body).into_response())
}

/// The key that signs: the newest, after it is replaced where it is old. While the database is away an old one does.
async fn signing_key(app: &App) -> Result<SigningKey, Fault> {
    let newest = SigningKey::newest(&app.0.state.snapshot());
    if newest.as_ref().is_some_and(|key| !key.is_old()) {
        return newest.ok_or_else(|| Fault::unavailable(String::new()));
    }
    let replaced = replace(app).await;
    SigningKey::newest(&app.0.state.snapshot()).ok_or_else(|| {
        replaced.err().unwrap_or_else(|| Fault::unavailable("there is no key to sign with".to_owned()))
    })
}

async fn replace(app: &App) -> Result<(), Fault> {
    require_database(app)?;
    let (answer, answered) = oneshot::channel();
    let evaluate = Box::new(|state: &State| {
        let ops =
            rotate(state).map_err(|error| Fault::unavailable(format!("no new key to sign with: {error}")))?;
        let paths = vec![Pointer::default(); ops.len()];
        Ok(Effect { ops, paths, uuids: BTreeMap::new() })
    });
    app.0
        .writer
        .put(Request { evaluate, turn: None, answer })
        .map_err(|busy| Fault::busy(busy.to_string()))?;
    let late = |_| Fault::unavailable("the database did not take a new key to sign with in time".to_owned());
    match tokio::time::timeout(KEY_MAX, answered).await.map_err(late)? {
        Ok(Answer::Done(_) | Answer::Accepted(_)) => Ok(()),
        Ok(Answer::Refused(fault)) => Err(fault),
        Ok(Answer::Failed(_, error)) => Err(Fault::commit(&error, &[])),
        Err(_) => Err(Fault::unavailable("Sparkle is shutting down".to_owned())),
    }
}
