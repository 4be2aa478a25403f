//! Who makes a request.

use super::App;
use super::problem::Fault;
use crate::auth::Basic;
use axum::http::{HeaderMap, header};
use pony_core::document::Caller;
use pony_core::tables::{Member, User};
use pony_state::{Read, Snapshot, Text};

/// The caller of a request with these headers; [`Caller::Nobody`] without credentials.
pub(super) async fn identify(app: &App, headers: &HeaderMap) -> Result<Caller, Fault> {
    let Some(header) = headers.get(header::AUTHORIZATION) else { return Ok(Caller::Nobody) };
    let text =
        header.to_str().map_err(|_| Fault::unauthenticated("the Authorization header is not text".into()))?;
    let sent = Basic::parse(text).map_err(|error| Fault::unauthenticated(error.to_string()))?;
    let snapshot = app.0.state.snapshot();
    let hash = password_hash(&snapshot, &sent.email);
    let verified = app.0.verifier.verify(&sent, hash).await;
    verified.map_err(|error| Fault::unauthenticated(error.to_string()))?;
    Ok(signed_in(&snapshot, &sent.email))
}

fn password_hash(snapshot: &Snapshot, email: &str) -> Option<String> {
    let user = snapshot.get::<User>(&Text::from(email))?.desired.as_ref()?;
    Some(user.data.get("hash")?.as_str()?.to_owned())
}

fn signed_in(snapshot: &Snapshot, email: &str) -> Caller {
    let key = Text::from(email);
    let alicorn =
        snapshot.get::<User>(&key).and_then(|user| user.desired.as_ref()).is_some_and(|it| it.alicorn);
    let member = |row: &Member| row.desired.as_ref().map(|it| (it.tenant, it.role));
    let memberships = snapshot.table::<Member>().find("user", email).filter_map(member).collect();
    Caller::User { email: key, alicorn, memberships }
}
