//! JSON Patch as data: what a client sent, checked for shape alone.

use super::body::kind;
use super::error::{DocumentError, Problem};
use super::pointer::Pointer;
use serde_json::{Map, Value as Json};

/// Operations in one patch. Thousands of rows are ordered by few operations with large values; this bounds the
/// time that one request keeps the writer.
pub const OPERATIONS_MAX: usize = 4096;

/// One operation of a patch.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Operation {
    pub(super) path: Pointer,
    pub(super) action: Action,
}

/// What an operation does.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    Test(Json),
    Verify(Json),
    Add(Json),
    Replace(Json),
    Merge(Json),
    Remove,
    Move(Pointer),
    Copy(Pointer),
}

impl Action {
    /// As it stands in a patch.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Test(_) => "test",
            Self::Verify(_) => "x-verify",
            Self::Add(_) => "add",
            Self::Replace(_) => "replace",
            Self::Merge(_) => "x-merge",
            Self::Remove => "remove",
            Self::Move(_) => "move",
            Self::Copy(_) => "copy",
        }
    }
}

/// Reads a patch, its paths relative to `base`.
pub(super) fn parse_patch(patch: &Json, base: &Pointer) -> Result<Vec<Operation>, DocumentError> {
    let Json::Array(operations) = patch else {
        return Err(DocumentError::anywhere(Problem::NotAPatch { found: kind(patch) }));
    };
    if operations.len() > OPERATIONS_MAX {
        return Err(DocumentError::anywhere(Problem::TooManyOperations(OPERATIONS_MAX)));
    }
    let parse = |(index, operation)| {
        parse_operation(operation, base)
            .map_err(|reason| DocumentError::anywhere(Problem::Operation { index, reason }))
    };
    operations.iter().enumerate().map(parse).collect()
}

fn parse_operation(operation: &Json, base: &Pointer) -> Result<Operation, String> {
    let Json::Object(members) = operation else { return Err("an operation is an object".into()) };
    let Some(Json::String(op)) = members.get("op") else { return Err("it needs `op`, a text".into()) };
    let value = || members.get("value").cloned().ok_or_else(|| format!("`{op}` needs a `value`"));
    let action = match op.as_str() {
        "test" => Action::Test(value()?),
        "x-verify" => Action::Verify(value()?),
        "add" => Action::Add(value()?),
        "replace" => Action::Replace(value()?),
        "x-merge" => Action::Merge(value()?),
        "remove" => Action::Remove,
        "move" => Action::Move(pointer(members, "from", base)?),
        "copy" => Action::Copy(pointer(members, "from", base)?),
        other => {
            const KNOWN: &str = "test, add, remove, replace, move, copy, x-merge, x-verify";
            return Err(format!("`{other}` is no operation; there are: {KNOWN}"));
        }
    };
    Ok(Operation { path: pointer(members, "path", base)?, action })
}

fn pointer(members: &Map<String, Json>, name: &str, base: &Pointer) -> Result<Pointer, String> {
    let json = members.get(name).ok_or_else(|| format!("it needs `{name}`, a pointer"))?;
    let pointer = Pointer::from_json(json).map_err(|reason| format!("`{name}`: {reason}"))?;
    Ok(base.extend(&pointer.0))
}
