//! What is wrong with a request, in words for the person who made it, with the code that clients read.

use super::pointer::Pointer;
use crate::host::SourceUriError;
use pony_state::{KeyError, ValueError};
use uuid::Uuid;

/// Why a request was refused. Nothing of it took effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct DocumentError {
    /// Where in the document, if at one place.
    pub path: Option<Pointer>,
    /// What is wrong.
    pub problem: Problem,
}

impl DocumentError {
    /// A problem at a place.
    #[must_use]
    pub fn at(path: &Pointer, problem: Problem) -> Self {
        Self { path: Some(path.clone()), problem }
    }

    /// A problem of the request as a whole.
    #[must_use]
    pub const fn anywhere(problem: Problem) -> Self {
        Self { path: None, problem }
    }

    /// The code that clients read.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        self.problem.code()
    }
}

/// The codes of the API's contract that the document gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// Not JSON, wrong shape, unknown column, wrong type, missing key, dangling reference, constraint broken.
    InvalidData,
    /// Not a JSON Patch.
    InvalidPatch,
    /// No credentials where some are needed.
    Unauthenticated,
    /// Authenticated, not permitted.
    AccessDenied,
    /// There is no such place.
    PathNotFound,
    /// The place does not take that.
    MethodNotAllowed,
    /// A failed test, a uniqueness clash, something in use.
    Conflict,
    /// Beyond a limit.
    TooLarge,
}

impl ErrorCode {
    /// As it stands in the `error` member.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidData => "invalid-data",
            Self::InvalidPatch => "invalid-patch",
            Self::Unauthenticated => "unauthenticated",
            Self::AccessDenied => "access-denied",
            Self::PathNotFound => "path-not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::Conflict => "conflict",
            Self::TooLarge => "too-large",
        }
    }

    /// The HTTP status that goes with it.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidData | Self::InvalidPatch => 400,
            Self::Unauthenticated => 401,
            Self::AccessDenied => 403,
            Self::PathNotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::Conflict => 409,
            Self::TooLarge => 413,
        }
    }
}

/// Names for a message: "known are `a`, `b`".
pub(super) fn listed(names: &[String]) -> String {
    match names {
        [] => "there are none".to_owned(),
        names => format!("there are: {}", names.join(", ")),
    }
}

/// What is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The URL cannot be read.
    #[error("the URL's path cannot be read: {reason}")]
    BadUrl {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No such mount.
    #[error("there is no collection `{name}` here; {}", listed(.known))]
    NoCollection {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// No such row, or not below that parent.
    #[error("there is no {table} `{key}` here")]
    NoRow {
        /// Its table.
        table: String,
        /// Its key, as written.
        key: String,
    },
    /// The row is known only from what hosts report.
    #[error("nothing was ordered of {table} `{key}`: it has no desired part; `add` one first")]
    NoDesired {
        /// Its table.
        table: String,
        /// Its key.
        key: String,
    },
    /// Nothing there.
    #[error("there is nothing at `{name}`")]
    NoMember {
        /// The last step of the path.
        name: String,
    },
    /// No `_join` there.
    #[error("this collection joins nothing, so it has no `_join`")]
    NoJoin,
    /// The method is not for that place.
    #[error("{method} is not possible here; these are: {}", .allow.join(", "))]
    MethodNotAllowed {
        /// What was tried.
        method: &'static str,
        /// What the place takes.
        allow: Vec<&'static str>,
    },
    /// No credentials where some are needed.
    #[error("this needs credentials")]
    Unauthenticated,
    /// Authenticated, not permitted.
    #[error("you may not {what}")]
    AccessDenied {
        /// What was tried.
        what: String,
    },
    /// Not JSON.
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    /// A number that would be another one once it is read.
    #[error(
        "the number {0} would be changed: integers have 64 bits at most here, and fractions as many digits as a double"
    )]
    Inexact(String),
    /// Too many levels.
    #[error("it is nested more than {0} levels deep")]
    TooDeep(usize),
    /// A character that databases cannot keep.
    #[error("text must not contain the character U+0000, as it does at `{0}` of the body")]
    Nul(Pointer),
    /// Some other kind of JSON is needed.
    #[error("{expected} is needed here, not {found}")]
    Shape {
        /// What would be right.
        expected: &'static str,
        /// What there is.
        found: &'static str,
    },
    /// Not a patch.
    #[error("a JSON Patch is a list of operations, not {found}")]
    NotAPatch {
        /// What there is.
        found: &'static str,
    },
    /// Not an operation of a patch.
    #[error("operation {index}: {reason}")]
    Operation {
        /// Its place in the patch, from 0.
        index: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The operation makes no sense at that place.
    #[error("`{op}` is not possible on {place}; {right}")]
    WrongPlace {
        /// The operation.
        op: &'static str,
        /// What the path names.
        place: &'static str,
        /// What would be right.
        right: &'static str,
    },
    /// Too many operations.
    #[error("the patch has more than {0} operations; split it")]
    TooManyOperations(usize),
    /// Too many rows.
    #[error("the request changes more than {0} rows; split it")]
    TooManyRows(usize),
    /// No such column.
    #[error("{table} has no column `{column}` that can be ordered; {}", listed(.known))]
    UnknownColumn {
        /// The table.
        table: String,
        /// What was given.
        column: String,
        /// What there is.
        known: Vec<String>,
    },
    /// No such column to look at.
    #[error("{table} has no column `{column}`; {}", listed(.known))]
    UnknownField {
        /// The table.
        table: String,
        /// What was given.
        column: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A filter does not fit its column.
    #[error("filter {column}: {reason}")]
    Filter {
        /// The column.
        column: String,
        /// What is wrong.
        reason: String,
    },
    /// The tenant was not admitted yet.
    #[error(
        "tenant `{tenant}` is not approved yet; an operator of the cloud has to approve it before anything in it can be changed"
    )]
    NotApproved {
        /// The tenant.
        tenant: Uuid,
    },
    /// No such member of an entity.
    #[error("an entity has no member `{0}`, but desired, current and children")]
    UnknownMember(String),
    /// A value does not fit.
    #[error("{column}: {problem}")]
    Value {
        /// The column.
        column: String,
        /// What is wrong.
        problem: ValueError,
    },
    /// A value is too long.
    #[error("{column}: it has {found} {unit}; at most {max} are taken")]
    TooLong {
        /// The column.
        column: String,
        /// What it has.
        found: usize,
        /// Of what.
        unit: &'static str,
        /// The most that there may be.
        max: usize,
    },
    /// A number is too small or too large.
    #[error("{column}: {number} is out of range; {min} to {max} is taken")]
    OutOfRange {
        /// The column.
        column: String,
        /// What was given.
        number: i64,
        /// The least.
        min: i64,
        /// The most.
        max: i64,
    },
    /// A key does not fit.
    #[error("{0}")]
    Key(KeyError),
    /// Columns without default were left out.
    #[error("{table} needs {}", .columns.iter().map(|name| format!("a `{name}`")).collect::<Vec<_>>().join(", "))]
    MissingColumns {
        /// The table.
        table: String,
        /// All that are missing.
        columns: Vec<String>,
    },
    /// What is given twice differs.
    #[error("{column} is `{fixed}` by the path, and cannot be `{given}` at the same time")]
    Contradiction {
        /// The column.
        column: String,
        /// By the path.
        fixed: String,
        /// By the value.
        given: String,
    },
    /// A UUID of the client's own.
    #[error(
        "there is no {table} `{uuid}`, and a new one gets its UUID from the cloud: write a placeholder like `$new` where it should stand"
    )]
    ChosenUuid {
        /// The table.
        table: String,
        /// The UUID.
        uuid: String,
    },
    /// A reference to nothing.
    #[error("{column}: there is no {table} `{key}`")]
    Dangling {
        /// The column.
        column: String,
        /// The table that it references.
        table: String,
        /// What was given.
        key: String,
    },
    /// It keeps its first value.
    #[error("{column} cannot be changed{hint}")]
    Immutable {
        /// The column.
        column: String,
        /// What would be right.
        hint: &'static str,
    },
    /// The current part is not anybody's to write.
    #[error("`current` is what hosts report; only `desired` can be written")]
    CurrentIsReported,
    /// Nobody orders rows of that table.
    #[error("{table} can only be read: its rows come from the cloud itself")]
    ReadOnly {
        /// The table.
        table: String,
    },
    /// A pool's options do not fit its type.
    #[error("config: {0}")]
    PoolConfig(String),
    /// An address of an image that cannot be one.
    #[error("source_uri: {0}")]
    SourceUri(SourceUriError),
    /// A pool that several hosts cannot use at once, ordered to be shared.
    #[error("shareable: a pool of type {0} is one host's, and its volumes cannot be shared between hosts")]
    PoolShared(&'static str),
    /// An address outside its range.
    #[error("{column}: {address} does not lie in {range}")]
    Outside {
        /// The column.
        column: String,
        /// The address.
        address: String,
        /// The range.
        range: String,
    },
    /// A network is full.
    #[error("no address of {range} is free: remove one, or make another network")]
    NoAddressLeft {
        /// The network's range.
        range: String,
    },
    /// Ranges overlap.
    #[error("{column} overlaps that of {other}")]
    Overlap {
        /// The column.
        column: String,
        /// What the other row is called.
        other: String,
    },
    /// A `test` or `x-verify` failed.
    #[error("the test failed: {found} stands there, not {expected}")]
    TestFailed {
        /// What the client expects.
        expected: String,
        /// What there is.
        found: String,
    },
    /// A new row's key is taken.
    #[error("there is a {table} `{key}` already")]
    Exists {
        /// The table.
        table: String,
        /// The key.
        key: String,
    },
    /// Not unique.
    #[error("there is another {table} with the same {}: {other}", .columns.join(" and "))]
    NotUnique {
        /// The table.
        table: String,
        /// The columns that would agree.
        columns: Vec<String>,
        /// What the other row is called.
        other: String,
    },
    /// Something depends on it.
    #[error("{table} {called} is in use by {by}; {right}")]
    InUse {
        /// The table.
        table: String,
        /// What the row is called.
        called: String,
        /// What depends on it.
        by: String,
        /// What would be right.
        right: &'static str,
    },
    /// A volume on its way out.
    #[error("volume `{0}` is being deleted, and its data cannot be brought back; make a new one")]
    VolumeGoing(String),
}

impl Problem {
    /// The code that clients read.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::BadUrl { .. }
            | Self::NoCollection { .. }
            | Self::NoRow { .. }
            | Self::NoDesired { .. }
            | Self::NoMember { .. }
            | Self::NoJoin => ErrorCode::PathNotFound,
            Self::MethodNotAllowed { .. } => ErrorCode::MethodNotAllowed,
            Self::Unauthenticated => ErrorCode::Unauthenticated,
            Self::AccessDenied { .. } | Self::NotApproved { .. } => ErrorCode::AccessDenied,
            Self::NotAPatch { .. } | Self::Operation { .. } | Self::WrongPlace { .. } => {
                ErrorCode::InvalidPatch
            }
            Self::TooManyOperations(_) | Self::TooManyRows(_) => ErrorCode::TooLarge,
            Self::TestFailed { .. }
            | Self::Exists { .. }
            | Self::NotUnique { .. }
            | Self::InUse { .. }
            | Self::Overlap { .. }
            | Self::NoAddressLeft { .. }
            | Self::VolumeGoing(_) => ErrorCode::Conflict,
            Self::NotJson(_)
            | Self::Inexact(_)
            | Self::TooDeep(_)
            | Self::Nul(_)
            | Self::Shape { .. }
            | Self::UnknownColumn { .. }
            | Self::UnknownField { .. }
            | Self::Filter { .. }
            | Self::UnknownMember(_)
            | Self::Value { .. }
            | Self::TooLong { .. }
            | Self::OutOfRange { .. }
            | Self::Key(_)
            | Self::MissingColumns { .. }
            | Self::Contradiction { .. }
            | Self::ChosenUuid { .. }
            | Self::Dangling { .. }
            | Self::Immutable { .. }
            | Self::CurrentIsReported
            | Self::ReadOnly { .. }
            | Self::PoolConfig(_)
            | Self::SourceUri(_)
            | Self::PoolShared(_)
            | Self::Outside { .. } => ErrorCode::InvalidData,
        }
    }
}
