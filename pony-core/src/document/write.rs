//! Requests that change the document: all of one request, or nothing of it.

use super::access::{Caller, Grant};
use super::body::check_body;
use super::create::Spot;
use super::draft::Draft;
use super::effect::Effect;
use super::error::{DocumentError, Problem};
use super::operation::{Action, Operation, parse_patch};
use super::pointer::{Pointer, UrlPath};
use super::resolve::{Path, Tail};
use super::rows::Rows;
use super::tree::Tree;
use serde_json::Value as Json;
use uuid::Uuid;

/// A request that changes the document.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// `POST`: an entity for the collection at the URL.
    Create(Json),
    /// `PATCH` with a JSON Patch (RFC 6902, with `x-merge` and `x-verify`).
    Patch(Json),
    /// `PATCH` with a JSON Merge Patch (RFC 7396).
    Merge(Json),
    /// `DELETE`.
    Delete,
}

/// What a request comes to, or why it is refused. Nothing is changed by it: the caller commits the effect.
///
/// `rows` is what the request sees, its own changes on top; `fresh` gives UUIDs that nobody has used.
///
/// # Errors
/// [`DocumentError`], for the first thing that is wrong.
///
/// ```
/// use pony_core::document::{Caller, Tree, UrlPath, Write, evaluate};
/// use pony_state::Read;
/// use std::sync::Arc;
///
/// let state = pony_core::tables::new_state()?;
/// let tree = Tree::new(Arc::clone(state.schema()))?;
/// let mut last = 0;
/// let mut fresh = || {
///     last += 1;
///     uuid::Uuid::from_u128(last)
/// };
/// let body = serde_json::json!({"desired": {"uuid": "$acme", "name": "ACME"}});
/// let url = UrlPath::parse("/tenant/")?;
/// let caller = Caller::alicorn("root@example.org");
/// let effect = evaluate(&tree, &state, &caller, &url, &Write::Create(body), &mut fresh)?;
/// assert_eq!(effect.uuids["$acme"], uuid::Uuid::from_u128(1));
/// assert_eq!(effect.ops.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn evaluate<R: Rows>(
    tree: &Tree,
    rows: &R,
    caller: &Caller,
    url: &UrlPath,
    write: &Write,
    fresh: &mut dyn FnMut() -> Uuid,
) -> Result<Effect, DocumentError> {
    let base = url.pointer();
    if *caller == Caller::Nobody {
        return Err(DocumentError::at(&base, Problem::Unauthenticated));
    }
    let mut draft = Draft::new(tree, rows, caller, fresh);
    match write {
        Write::Create(entity) => {
            check_body(entity)?;
            post(&mut draft, &base, entity)?;
        }
        Write::Patch(patch) => {
            check_body(patch)?;
            // A patch to somewhere that is not there, or not the caller's, is refused even if it says nothing.
            look(&draft, &base)?;
            for operation in parse_patch(patch, &base)? {
                draft.apply(&operation)?;
            }
        }
        Write::Merge(patch) => {
            check_body(patch)?;
            draft.apply(&Operation { path: base, action: Action::Merge(patch.clone()) })?;
        }
        Write::Delete => draft.apply(&Operation { path: base, action: Action::Remove })?,
    }
    draft.settle()?;
    Ok(draft.effect())
}

fn look<R: Rows>(draft: &Draft<'_, R>, base: &Pointer) -> Result<(), DocumentError> {
    let path = Path::parse(draft.tree, base)?;
    draft.permit(&path, base, Grant::Read)?;
    let above = match path.tail {
        // `x-merge` may make the entity at the URL itself.
        Tail::Entity => path.entities.split_last().map_or(&[] as &[_], |(_, above)| above),
        _ => &path.entities,
    };
    draft.walk(above).map(drop)
}

fn post<R: Rows>(draft: &mut Draft<'_, R>, base: &Pointer, entity: &Json) -> Result<(), DocumentError> {
    let path = Path::parse(draft.tree, base)?;
    let Tail::Collection(endpoint) = path.tail else {
        let problem = Problem::MethodNotAllowed { method: "POST", allow: vec!["GET", "PATCH", "DELETE"] };
        return Err(DocumentError::at(base, problem));
    };
    // Below an entity it is known whose the new one would be; at the root only operators make any.
    draft.permit(&path, base, Grant::Write)?;
    let steps = draft.walk(&path.entities)?;
    let spot = Spot {
        endpoint,
        root: steps.first().map(|step| step.key.clone()),
        above: steps.last().map(|step| step.key.clone()),
        at: base.clone(),
    };
    draft.create(&spot, None, entity).map(drop)
}
