//! Who makes a request: from its headers, and what that means as things stand.

use super::App;
use super::problem::Fault;
use super::serve::PeerAddress;
use crate::auth::{Basic, SignInError, token};
use axum::http::{HeaderMap, HeaderName, header};
use pony_core::document::Caller;
use pony_core::tables::User;
use pony_state::{Read, Snapshot, Text};
use std::net::IpAddr;
use uuid::Uuid;

/// Where a proxy says whom it speaks for.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Who somebody proved to be. What it allows is looked up anew for each decision: see [`Identity::caller`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Identity {
    /// Without credentials.
    Nobody,
    /// By a password now, or by one given at `since` (Unix time, s) for which a token was had.
    User { email: String, since: Option<u64> },
    /// By a token that is good for one tenant.
    InTenant { email: String, tenant: Uuid },
}

impl Identity {
    /// Who that is.
    pub(super) fn email(&self) -> Option<&str> {
        match self {
            Self::Nobody => None,
            Self::User { email, .. } | Self::InTenant { email, .. } => Some(email),
        }
    }

    /// What that allows, by what is in `view`.
    ///
    /// # Errors
    /// Where the user, or the place in the tenant, is gone.
    pub(super) fn caller(&self, view: &impl Read) -> Result<Caller, Fault> {
        let (caller, gone) = match self {
            Self::Nobody => return Ok(Caller::Nobody),
            Self::User { email, .. } => (Caller::user(view, email), "the user is gone"),
            Self::InTenant { email, tenant } => {
                (Caller::in_tenant(view, email, *tenant), "the membership that the token was for is gone")
            }
        };
        caller.ok_or_else(|| Fault::unauthenticated(gone.to_owned()))
    }
}

/// Who makes a request with these headers. The name goes into the log.
pub(super) async fn identify(
    app: &App,
    headers: &HeaderMap,
    peer: Option<PeerAddress>,
) -> Result<Identity, Fault> {
    let Some(header) = headers.get(header::AUTHORIZATION) else { return Ok(Identity::Nobody) };
    let text =
        header.to_str().map_err(|_| Fault::unauthenticated("the Authorization header is not text".into()))?;
    let snapshot = app.0.state.snapshot();
    let identity = match bearer(text) {
        Some(sent) => by_token(&snapshot, sent)?,
        None => by_password(app, &snapshot, text, address(app, headers, peer)).await?,
    };
    if let Some(email) = identity.email() {
        tracing::Span::current().record("caller", email);
    }
    Ok(identity)
}

/// The token in an `Authorization` header, by either word.
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.trim().split_once(' ')?;
    ["bearer", "token"].contains(&scheme.to_ascii_lowercase().as_str()).then(|| token.trim())
}

fn by_token(snapshot: &Snapshot, sent: &str) -> Result<Identity, Fault> {
    let claims = token::verify(snapshot, sent).map_err(|error| Fault::unauthenticated(error.to_string()))?;
    Ok(match claims.tenant {
        None => Identity::User { email: claims.email, since: Some(claims.since) },
        Some(tenant) => Identity::InTenant { email: claims.email, tenant },
    })
}

async fn by_password(
    app: &App,
    snapshot: &Snapshot,
    header: &str,
    address: Option<IpAddr>,
) -> Result<Identity, Fault> {
    let sent = Basic::parse(header).map_err(|error| Fault::unauthenticated(error.to_string()))?;
    let hash = password_hash(snapshot, &sent.email);
    match app.0.verifier.verify(&sent, address, hash).await {
        Ok(()) => Ok(Identity::User { email: sent.email, since: None }),
        Err(error @ SignInError::Wrong) => {
            tracing::warn!(account = sent.email, ?address, "a sign-in failed");
            Err(Fault::unauthenticated(error.to_string()))
        }
        Err(error @ SignInError::TooMany { wait_s }) => Err(Fault::busy(error.to_string()).after(wait_s)),
        Err(error @ SignInError::Busy) => Err(Fault::busy(error.to_string())),
    }
}

/// Whose attempts are counted together: the other end's address, or the one that a known proxy names.
fn address(app: &App, headers: &HeaderMap, peer: Option<PeerAddress>) -> Option<IpAddr> {
    let peer = peer?.0.ip().to_canonical();
    if !app.0.proxies.contains(&peer) {
        return Some(peer);
    }
    let named = headers.get_all(FORWARDED_FOR).iter().next_back()?.to_str().ok()?;
    named.rsplit(',').next()?.trim().parse().ok()
}

fn password_hash(snapshot: &Snapshot, email: &str) -> Option<String> {
    let user = snapshot.get::<User>(&Text::from(email))?.desired.as_ref()?;
    Some(user.data.get("hash")?.as_str()?.to_owned())
}
