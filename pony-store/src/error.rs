//! What can go wrong, one enumeration per operation. Messages are for people and speak of tables, columns and
//! values; the fields beside them are for programs. No variant carries SQL.

use crate::store::Position;
use serde_json::Value as Json;
use std::path::PathBuf;
use thiserror::Error;

/// Why the database could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// It cannot be reached, or does not answer.
    Away,
    /// It does not let this user in.
    Denied,
    /// Another Sparkle leads: this one writes no more.
    Fenced,
    /// There is no space left.
    Full,
    /// Somebody else holds it locked.
    Locked,
    /// More requests wait than are allowed to.
    Overloaded,
    /// It can be read only.
    ReadOnly,
    /// Reading or writing failed.
    Io,
    /// Its contents are damaged.
    Corrupt,
    /// The store was closed.
    Closed,
    /// Anything else: most likely a defect of this crate.
    Internal,
}

/// The database cannot be used at the moment; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the database is unavailable: {message}")]
pub struct Unavailable {
    /// Why.
    pub outage: Outage,
    /// The same in words.
    pub message: String,
}

impl Unavailable {
    pub(crate) fn new(outage: Outage, message: impl Into<String>) -> Self {
        Self { outage, message: message.into() }
    }

    /// Whether the same request may succeed later with no change of the program or of the data.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        !matches!(self.outage, Outage::Corrupt | Outage::Closed | Outage::Fenced | Outage::Internal)
    }
}

/// Rows that refer to a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Referrer {
    /// Their table.
    pub table: String,
    /// The column that refers.
    pub column: String,
    /// The key of one of them.
    pub key: Vec<Json>,
}

/// Which rule was broken.
#[derive(Debug, Clone, PartialEq)]
pub enum Broken {
    /// There is no such table, or it is not kept in the database.
    Table,
    /// The table has no such column.
    Column,
    /// The value does not fit the column's type.
    Type,
    /// The column must have a value.
    NotNull,
    /// A row of that key exists already.
    Key,
    /// The columns of [`Violation::columns`] must be unique, taken together.
    Unique,
    /// A reference to a row that does not exist.
    Reference {
        /// The table that it refers to.
        to: String,
        /// The key that is not there.
        value: Json,
    },
    /// The row cannot go, for others refer to it.
    InUse {
        /// Some of those.
        referrers: Vec<Referrer>,
    },
    /// A condition of the table.
    Check,
    /// The column keeps its first value for ever.
    Immutable,
    /// Two ranges overlap.
    Overlap,
    /// An address outside its range.
    Inside,
    /// More than a limit of the owner admits.
    Quota {
        /// What is limited.
        kind: String,
        /// How much there may be.
        limit: f64,
        /// How much there is.
        used: f64,
        /// How much more was asked for.
        asked: f64,
    },
    /// More operations or longer values than a transaction may have.
    TooLarge,
}

/// A constraint that a transaction would have broken.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("{message}")]
pub struct Violation {
    /// Which operation broke it, counted from 0, where that is known.
    pub op: Option<usize>,
    /// The table of the row in question.
    pub table: String,
    /// The key of the row in question, where it is known.
    pub key: Option<Vec<Json>>,
    /// The columns concerned; empty where it is the row as a whole.
    pub columns: Vec<String>,
    /// The rule.
    pub rule: Broken,
    /// What is wrong, for people.
    pub message: String,
}

/// Why a transaction was not committed. Nothing of it was.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum CommitError {
    /// It contradicts what others have written: a key or a unique value is taken, something is in
    /// use, or a limit is used up.
    #[error("{0}")]
    Conflict(Box<Violation>),
    /// It could never have been committed.
    #[error("{0}")]
    Invalid(Box<Violation>),
    /// A row that it updates or deletes does not exist.
    #[error("{table}: there is no row `{}`", key_text(.key))]
    Missing {
        /// Which operation, counted from 0.
        op: usize,
        /// The table.
        table: String,
        /// The key.
        key: Vec<Json>,
    },
    /// The connection was lost while the transaction was being committed, and it could not be found out in time whether
    /// it was. The feed tells, once it can be read again.
    #[error(
        "it is not known whether this was done: the database was lost while it committed ({message}); look before you repeat it"
    )]
    Unknown {
        /// What was tried.
        message: String,
    },
    /// The database cannot be used at the moment.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl CommitError {
    /// Whether the same operations may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(unavailable) if unavailable.is_retryable())
    }

    /// The constraint that was broken, where it is one.
    #[must_use]
    pub fn violation(&self) -> Option<&Violation> {
        match self {
            Self::Conflict(violation) | Self::Invalid(violation) => Some(violation),
            Self::Missing { .. } | Self::Unknown { .. } | Self::Unavailable(_) => None,
        }
    }

    pub(crate) fn from_violation(violation: Violation) -> Self {
        match violation.rule {
            Broken::Key | Broken::Unique | Broken::InUse { .. } | Broken::Overlap | Broken::Quota { .. } => {
                Self::Conflict(Box::new(violation))
            }
            _ => Self::Invalid(Box::new(violation)),
        }
    }

    pub(crate) fn too_many(count: usize) -> Self {
        use crate::store::COMMIT_OPS_MAX;
        Self::Invalid(Box::new(Violation {
            op: None,
            table: String::new(),
            key: None,
            columns: Vec::new(),
            rule: Broken::TooLarge,
            message: format!("a transaction has at most {COMMIT_OPS_MAX} operations, this one has {count}"),
        }))
    }
}

/// Why the feed could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FeedError {
    /// Changes after that position are not kept any more, or it lies in a future that was undone by restoring a
    /// backup. Load everything again.
    #[error("changes after {asked} cannot be told: {oldest} to {newest} are kept; load again")]
    Gap {
        /// The position that was asked from.
        asked: Position,
        /// The least that can be asked from.
        oldest: Position,
        /// The last position.
        newest: Position,
    },
    /// The database cannot be used at the moment.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why loading failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LoadError {
    /// The reader took no batch for too long.
    #[error("loading was given up: no batch was taken for {after_ms} ms")]
    Stalled {
        /// How long it waited.
        after_ms: u64,
    },
    /// The store was closed meanwhile.
    #[error("loading was interrupted: the store was closed")]
    Interrupted,
    /// The database cannot be used at the moment.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why tables cannot be kept in a database.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SchemaError {
    /// Two tables of one name.
    #[error("table `{0}` is declared twice")]
    Duplicate(String),
    /// A name that the database keeps for itself, or that it cannot have.
    #[error(
        "`{0}` cannot be a name here: names are lower-case letters, digits and underscores, and begin with a letter"
    )]
    Name(String),
    /// No key.
    #[error("table `{0}` has no key")]
    NoKey(String),
    /// Too many columns.
    #[error("table `{table}` has {count} columns; {max} are the most")]
    TooWide {
        /// The table.
        table: String,
        /// Its columns.
        count: usize,
        /// The most that are allowed.
        max: usize,
    },
    /// A rule names a column that is not there, or of the wrong type.
    #[error("table `{table}`: a rule speaks of column `{column}`, which {problem}")]
    Rule {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A reference that cannot be enforced.
    #[error("`{table}.{column}` refers to `{to}`, which {problem}")]
    Reference {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// What it refers to.
        to: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A default that does not fit its column, or a type that cannot be kept.
    #[error("`{table}.{column}`: {problem}")]
    Column {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// What is wrong with a database that was being migrated.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MigrationFault {
    /// The SQL of a step failed.
    #[error("step {version} ({name}) failed: {message}")]
    Step {
        /// The step.
        version: u32,
        /// Its name.
        name: String,
        /// What the database said.
        message: String,
    },
    /// After all steps some references dangle.
    #[error("a row of table `{table}` refers to a row of `{parent}` that is not there")]
    Dangling {
        /// The table.
        table: String,
        /// What it refers to.
        parent: String,
    },
}

/// Why a database could not be opened or migrated.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("`{}` is in use by another process (it holds `{}`); only one Sparkle may have it open", .path.display(), .lock.display())]
    InUse {
        /// The database.
        path: PathBuf,
        /// The lock file.
        lock: PathBuf,
    },
    /// The file or its directory cannot be had.
    #[error("`{}` cannot be {doing}", .path.display())]
    File {
        /// What should have happened to it.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// There is no database yet.
    #[error("`{}` is empty or missing: create it with `migrate`", .0.display())]
    Absent(PathBuf),
    /// It is of an older version than this program.
    #[error("`{}` is of version {found}, this program needs {wanted}: run `migrate`", .path.display())]
    Outdated {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The version needed.
        wanted: u32,
    },
    /// It is of a newer version than this program.
    #[error("`{}` is of version {found}, this program knows only {known}: use a newer program", .path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version known.
        known: u32,
    },
    /// It belongs to something else.
    #[error("`{}` is not a database of this program: {reason}", .path.display())]
    Foreign {
        /// The database.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// Its tables are not what its version says.
    #[error("`{}` differs from the schema of version {version}: {difference}", .path.display())]
    Differs {
        /// The database.
        path: PathBuf,
        /// The version that it says to have.
        version: u32,
        /// The first difference.
        difference: String,
    },
    /// Migrating failed; the database is as it was.
    #[error("`{}` could not be migrated; it was left as it was", .path.display())]
    Migration {
        /// The database.
        path: PathBuf,
        /// Why.
        #[source]
        source: MigrationFault,
    },
    /// The tables cannot be kept in a database.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The database cannot be used.
    #[error("`{}` cannot be used", .path.display())]
    Unavailable {
        /// The database.
        path: PathBuf,
        /// Why.
        #[source]
        source: Unavailable,
    },
}

/// A key as a person would write it.
pub(crate) fn key_text(key: &[Json]) -> String {
    let words: Vec<String> = key.iter().map(value_text).collect();
    words.join(", ")
}

/// A value as a person would write it, shortened.
pub(crate) fn value_text(value: &Json) -> String {
    /// Characters that identify a value to a person; a message is not the place for more.
    const SHOWN_CHARS_MAX: usize = 100;
    let text = match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
