//! The schema language: what a table's declaration says, as plain data.
//!
//! A schema is either derived from Rust types (`#[derive(Entity)]`) or built at run time; the engine, the DDL
//! generators, the REST endpoints and the bindings read only this. It knows nothing of any particular domain:
//! [`Mount::access`] is text to it.

mod build;
mod check;
mod definition;

pub use check::{Schema, SchemaError, is_mount_path, is_name};
pub use definition::{ColumnPlaces, TableDef, TableId};

use serde_json::Value as Json;
use std::fmt;

/// One of the two parts of a row.
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// # let mut state = house()?;
/// let lamp = state.any("lamp").and_then(|lamps| lamps.get(&Key::one("attic"))).unwrap();
/// assert_eq!(PartKind::BOTH.map(|kind| lamp.has(kind)), [true, false]);
/// # Ok::<_, SchemaError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PartKind {
    /// What somebody ordered.
    Desired,
    /// What is.
    Current,
}

impl PartKind {
    /// Both of them.
    pub const BOTH: [Self; 2] = [Self::Desired, Self::Current];

    /// Its name in documents and on the wire.
    ///
    /// ```
    /// use pony_state::PartKind;
    ///
    /// assert_eq!(PartKind::BOTH.map(PartKind::as_str), ["desired", "current"]);
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Desired => "desired",
            Self::Current => "current",
        }
    }
}

impl fmt::Display for PartKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The type of a column.
///
/// ```
/// use pony_state::{Column, ColumnType};
///
/// assert_eq!(u16::column_type(), ColumnType::Int);
/// assert_eq!(ColumnType::Enum(vec!["on".into(), "off".into()]).to_string(), "one of `on`, `off`");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnType {
    /// `true` or `false`.
    Bool,
    /// A whole number of 64 bits.
    Int,
    /// A finite floating-point number.
    Float,
    /// A UUID.
    Uuid,
    /// UTF-8 text.
    Text,
    /// One of a fixed set of words.
    Enum(Vec<String>),
    /// An address with an optional prefix length, `192.168.0.1/24`.
    Inet,
    /// An address range, `192.168.0.0/24`.
    Cidr,
    /// A MAC address, `52:54:00:12:34:56`.
    Mac,
    /// A half-open range of whole numbers; in JSON `[start, end]`.
    Range,
    /// Any JSON.
    Json,
    /// A list of values of one type.
    List(Box<ColumnType>),
}

/// What happens to a row when the row that it references is removed.
///
/// ```
/// use pony_state::{ColumnSchema, ColumnType, OnDelete};
///
/// let host = ColumnSchema::new("host", ColumnType::Uuid).references("host").on_delete(OnDelete::Cascade);
/// assert_eq!((host.on_delete, OnDelete::default()), (OnDelete::Cascade, OnDelete::Restrict));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDelete {
    /// The removal is refused as long as this row exists.
    #[default]
    Restrict,
    /// This row is removed too.
    Cascade,
    /// The reference becomes null.
    SetNull,
}

/// How a row's replication follows a reference. See `pony-core`'s distribution for the use of it.
///
/// ```
/// use pony_state::{ColumnSchema, ColumnType, Scope};
///
/// // A network card goes where its host goes.
/// let host = ColumnSchema::new("host", ColumnType::Uuid).references("host").scope(Scope::Follows);
/// assert_eq!(host.scope, Some(Scope::Follows));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// This row goes wherever the referenced row goes; but not everywhere with one that goes everywhere, of which there
    /// may be far more to follow than any one place has need of.
    Follows,
    /// As [`Scope::Follows`]; where the column is null, the row goes everywhere.
    FollowsOrAll,
    /// As [`Scope::Follows`]; also everywhere with one that goes everywhere.
    FollowsWidely,
    /// The referenced row goes wherever this row goes.
    Brings,
    /// As [`Scope::Brings`]; and while it is set, this row goes everywhere with what it follows.
    BringsWidely,
}

/// One column of one part (or of the key, which both parts share).
///
/// ```
/// use pony_state::{ColumnSchema, ColumnType};
///
/// let percent = ColumnSchema::new("percent", ColumnType::Int).doc("How bright.").default(50);
/// assert_eq!((percent.nullable, percent.default), (false, Some(50.into())));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnSchema {
    /// Its name, with underscores.
    pub name: String,
    /// What it means; from the doc comment.
    pub doc: String,
    /// Its type.
    pub ty: ColumnType,
    /// Whether it may be absent.
    pub nullable: bool,
    /// What a creation that leaves it out means.
    pub default: Option<Json>,
    /// The table whose key it holds.
    pub references: Option<String>,
    /// Whether the reference is not enforced: the row may outlive what it names (replication and look-ups still
    /// follow it). Attribute `soft`.
    pub soft: bool,
    /// What the removal of the referenced row does.
    pub on_delete: OnDelete,
    /// How replication follows the reference.
    pub scope: Option<Scope>,
    /// Whether an index finds rows by it. Key columns and references are always indexed.
    pub indexed: bool,
    /// Whether it must keep its first value for ever (key columns always do).
    pub immutable: bool,
    /// Whether its value is left out of everything that is shown.
    pub secret: bool,
    /// The least and the greatest value of a number in a desired part, where it has bounds. Like a [`Rule`], this is for
    /// the database to enforce, and for tools to tell.
    pub range: Option<(i64, i64)>,
}

/// A condition that every desired part of the table fulfils, enforced by the database itself.
///
/// ```
/// use pony_state::{ColumnSchema, ColumnType, Rule, TableSchema};
///
/// let mut lamp = TableSchema::new("lamp")
///     .key(ColumnSchema::new("room", ColumnType::Text))
///     .desired([ColumnSchema::new("percent", ColumnType::Int)]);
/// lamp.rules.push(Rule::Check {
///     sql: "percent BETWEEN 0 AND 100".into(),
///     message: "percent must lie between 0 and 100".into(),
/// });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// No two rows agree in all of these columns (rows with a null among them do not count).
    Unique(Vec<String>),
    /// No two rows agree in all of these columns, null counting as a value of its own.
    UniqueNullsEqual(Vec<String>),
    /// An SQL expression over the row's own columns, in the dialect that SQLite and PostgreSQL share.
    Check {
        /// The expression, e.g. `rcpu <= vcpu`.
        sql: String,
        /// What to tell a person who broke it, e.g. `rcpu must not exceed vcpu`.
        message: String,
    },
    /// `range` never overlaps that of another row with the same `within`.
    NoOverlap {
        /// The column that groups rows.
        within: String,
        /// The range column.
        range: String,
    },
    /// The address in `column` lies in the range held by `range` of the row that `via` references.
    Inside {
        /// The inet column.
        column: String,
        /// The reference column.
        via: String,
        /// The cidr column of the referenced table.
        range: String,
    },
    /// Rows count against limits that their owner has.
    Quota(QuotaRule),
}

/// What a table's rows count as, and against which limits.
///
/// Limits are rows of another table, with the columns `type` (a kind), `limit` (a number), the owner's, and columns
/// that narrow a limit: one whose column is null limits all, another only rows that have the same value there. No
/// transaction may leave an owner with more than its limit if it adds to it.
///
/// ```
/// use pony_state::{QuotaRule, Rule, TableSchema};
///
/// // A volume counts its size, for its tenant, while it is ordered `present`; some limits are for one pool only.
/// let storage = QuotaRule {
///     limits: "quota".into(),
///     kind: "storage".into(),
///     owner: vec!["tenant".into()],
///     amount: Some("size".into()),
///     when: Some(("state".into(), "present".into())),
///     by: Some("storage_pool".into()),
/// };
/// let mut volume = TableSchema::new("volume");
/// volume.rules.push(Rule::Quota(storage));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaRule {
    /// The table of limits.
    pub limits: String,
    /// The kind that rows count as; one rule of all tables has it.
    pub kind: String,
    /// The column with the owner, or the references that lead to the row that has it, that column last.
    pub owner: Vec<String>,
    /// The column that says how much a row counts; null counts nothing. Without it, each row counts 1.
    pub amount: Option<String>,
    /// Only rows count whose column of this name has this word.
    pub when: Option<(String, String)>,
    /// The column of this table, and of that of limits, that narrows a limit.
    pub by: Option<String>,
}

/// A place in the document tree at which the table's rows appear.
///
/// ```
/// use pony_state::{ColumnSchema, ColumnType, Mount, TableSchema};
///
/// let mut lamp = TableSchema::new("lamp").key(ColumnSchema::new("room", ColumnType::Text)).desired([]);
/// let (path, access) = ("/lamp".into(), "protected".into());
/// lamp.mounts.push(Mount { path, access, only_null: None, via: None, join: None });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Mount names from the root, with hyphens: `/tenant/instance/vnic`.
    pub path: String,
    /// The access mode, a word of the application's: `tenant/user`, `protected`…
    pub access: String,
    /// Rows shown here are those whose column of this name is null (the *public filter*).
    pub only_null: Option<String>,
    /// The column that points at the parent row. `None` at the root, and where the only
    /// reference to the parent's table is meant.
    pub via: Option<String>,
    /// For a mount through a join table: the table whose rows connect parent and child (`_join`).
    pub join: Option<String>,
}

/// Who keeps the desired part.
///
/// ```
/// use pony_state::{Stored, TableSchema};
///
/// assert_eq!(TableSchema::new("lamp").stored, Stored::Database);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stored {
    /// The database.
    #[default]
    Database,
    /// Nobody: the table's rows are composed from current state.
    Nowhere,
}

/// A table.
///
/// ```
/// use pony_state::{ColumnSchema, ColumnType, TableSchema};
///
/// let percent = || ColumnSchema::new("percent", ColumnType::Int);
/// let lamp = TableSchema::new("lamp")
///     .key(ColumnSchema::new("room", ColumnType::Text))
///     .desired([percent()])
///     .current([percent()]);
/// assert!(lamp.columns().map(|column| &*column.name).eq(["room", "percent", "percent"]));
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TableSchema {
    /// Its name, with underscores.
    pub name: String,
    /// What a row is; from the doc comment.
    pub doc: String,
    /// Key columns, in order.
    pub key: Vec<ColumnSchema>,
    /// Columns of the desired part, without the key's. Empty and `has_desired` false where there is no such part.
    pub desired: Vec<ColumnSchema>,
    /// Columns of the current part, without the key's.
    pub current: Vec<ColumnSchema>,
    /// Whether rows have a desired part.
    pub has_desired: bool,
    /// Whether rows have a current part.
    pub has_current: bool,
    /// Where desired parts are kept.
    pub stored: Stored,
    /// Whether users may only read it (a *virtual* table).
    pub read_only: bool,
    /// Whether users choose the key themselves (otherwise UUID keys are given by the cloud).
    pub user_key: bool,
    /// Whether replication takes its rows to every peer, whatever they refer to.
    pub everywhere: bool,
    /// What the database enforces beyond types, references and not-null.
    pub rules: Vec<Rule>,
    /// For a join table: the two reference columns that it connects.
    pub join: Option<(String, String)>,
    /// Where its rows appear.
    pub mounts: Vec<Mount>,
}
