//! POST, PATCH, DELETE: evaluated by the writer against everything committed before, answered once memory has it.

use super::App;
use super::caller::Identity;
use super::problem::Fault;
use super::read::{Preconditions, etag};
use crate::auth::{self, token};
use crate::lead::Role;
use crate::writer::{Answer, Request};
use axum::Json;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use pony_core::document::{Effect, PlaceKind, Reader, Tree, UrlPath, Write, evaluate, parse_body};
use pony_state::{Columns, RowOp, State};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::oneshot;
use uuid::Uuid;

/// How long a write waits for its turn: whoever writes is told within a second that the database is away.
const TURN_MAX: Duration = Duration::from_millis(900);

pub(super) async fn answer(
    app: &App,
    identity: Identity,
    url: UrlPath,
    method: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, Fault> {
    let write = parse(method, headers, body)?;
    require_database(app)?;
    let conditions = Preconditions::of(headers);
    let (turn_in, turn) = oneshot::channel();
    let (answer, answered) = oneshot::channel();
    let shared = app.clone();
    let evaluate =
        Box::new(move |state: &State| decide(&shared.0.tree, state, &identity, &url, &write, &conditions));
    let request = Request { evaluate, turn: Some(turn_in), answer };
    app.0.writer.put(request).map_err(|busy| Fault::busy(busy.to_string()))?;
    let gone = |_| Fault::unavailable("Sparkle is shutting down".to_owned());
    // Whoever goes away before its turn comes has ordered nothing.
    tokio::time::timeout(TURN_MAX, turn)
        .await
        .map_err(|_| {
            let waited = TURN_MAX.as_millis();
            Fault::unavailable(format!(
                "the database did not take this within {waited} ms, and nothing was done: order it again"
            ))
        })?
        .map_err(gone)?;
    match answered.await.map_err(gone)? {
        Answer::Refused(fault) => Err(fault),
        Answer::Done(effect) => Ok(reply(&effect).into_response()),
        Answer::Accepted(effect) => Ok((StatusCode::ACCEPTED, reply(&effect)).into_response()),
        Answer::Failed(effect, error) => {
            let paths: Vec<String> = effect.paths.iter().map(ToString::to_string).collect();
            Err(Fault::commit(&error, &paths))
        }
    }
}

fn reply(effect: &Effect) -> Json<Value> {
    Json(json!({"uuids": effect.uuids}))
}

/// Refuses at once what could not be committed.
pub(super) fn require_database(app: &App) -> Result<(), Fault> {
    if let Role::StandsBy { leader } = &*app.0.role.borrow() {
        return Err(Fault::unavailable(format!(
            "this Sparkle stands by and only serves reads; {leader} leads"
        )));
    }
    if *app.0.available.borrow() {
        return Ok(());
    }
    Err(Fault::unavailable("the database is away; hosts, guests and reads go on".to_owned()))
}

fn decide(
    tree: &Tree,
    state: &State,
    identity: &Identity,
    url: &UrlPath,
    write: &Write,
    conditions: &Preconditions,
) -> Result<Effect, Fault> {
    let caller = &identity.caller(state)?;
    if !conditions.is_empty() {
        if tree.place(url)?.0 != PlaceKind::Entity {
            return Err(Fault::invalid(
                "If-Match and If-None-Match are about the entity that the URL names, and this URL names none; a patch \
                 may begin with a `test` or an `x-verify` of what it relies on"
                    .to_owned(),
            ));
        }
        let tag = etag(&Reader::new(tree, state, caller).entity(url)?);
        if conditions.misses(&tag) || conditions.excludes(&tag) {
            return Err(Fault::precondition());
        }
    }
    let mut effect = evaluate(tree, state, caller, url, write, &mut Uuid::new_v4)?;
    complete(state, &mut effect.ops)?;
    Ok(effect)
}

fn parse(method: &str, headers: &HeaderMap, body: &[u8]) -> Result<Write, Fault> {
    match method {
        "DELETE" => return Ok(Write::Delete),
        "POST" => return Ok(Write::Create(parse_body(body)?)),
        _ => {}
    }
    let content = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = content.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media.as_str() {
        "" | "application/json-patch+json" | "application/json" | "application/x-www-form-urlencoded" => {
            Ok(Write::Patch(parse_body(body)?))
        }
        "application/merge-patch+json" => Ok(Write::Merge(parse_body(body)?)),
        other => Err(Fault::unsupported(format!(
            "a patch is application/json-patch+json or application/merge-patch+json, not {other}"
        ))),
    }
}

/// Finishes what only Sparkle can: passwords become hashes, keys are drawn.
fn complete(state: &State, ops: &mut [RowOp]) -> Result<(), Fault> {
    for op in ops {
        match op {
            RowOp::Insert { table, row: columns } | RowOp::Update { table, columns, .. }
                if table == "user" =>
            {
                hash_password(columns)?;
            }
            RowOp::Insert { table, row } if table == token::TABLE && is_unset(row) => {
                token::complete(state, row).map_err(|error| Fault::unavailable(error.to_string()))?;
            }
            RowOp::Insert { table, .. } | RowOp::Update { table, .. } if table == token::TABLE => {
                let message = "token_key: Sparkle draws keys itself; post an empty one, or delete one";
                return Err(Fault::invalid(message.to_owned()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether a key is left to be drawn.
fn is_unset(row: &Columns) -> bool {
    row.get("secret").is_none_or(|it| it == "") && row.get("created").is_none_or(|it| it == 0)
}

/// Passwords are stored as their argon2id hash only: a user's `data.password` becomes `data.hash`. It costs tens of
/// milliseconds of the writer's time, in the rare request that sets one.
fn hash_password(columns: &mut Columns) -> Result<(), Fault> {
    let Some(data) = columns.get_mut("data").and_then(Value::as_object_mut) else { return Ok(()) };
    let Some(password) = data.remove("password") else {
        let cheap = data.get("hash").is_none_or(|it| it.as_str().is_some_and(auth::is_cheap_hash));
        let message =
            "user.data.hash: only an argon2id hash of ordinary cost is taken; better send `password`";
        return if cheap { Ok(()) } else { Err(Fault::invalid(message.to_owned())) };
    };
    let fits = |it: &&str| !it.is_empty() && it.len() <= auth::PASSWORD_LEN_MAX;
    let Some(password) = password.as_str().filter(fits) else {
        return Err(Fault::invalid(format!(
            "user.data.password: a text of 1 to {} bytes is needed",
            auth::PASSWORD_LEN_MAX
        )));
    };
    let hash = auth::hash_password(password).map_err(|error| Fault::unavailable(error.to_string()))?;
    data.insert("method".to_owned(), json!("password"));
    data.insert("hash".to_owned(), json!(hash));
    Ok(())
}
