//! A set of tables, checked as a whole: everything that a look-up could stumble over is found here, once.

use super::{ColumnSchema, ColumnType, OnDelete, PartKind, QuotaRule, Rule, TableDef, TableId, TableSchema};
use crate::value::{Value, ValueError};
use hashbrown::HashMap;
use std::sync::Arc;

/// More tables than this are a mistake of whoever generates them.
const TABLES_MAX: usize = 4096;

/// Why tables do not make a schema.
///
/// ```
/// use pony_state::{ColumnSchema, ColumnType, Schema, SchemaError, TableSchema};
///
/// let lamp = TableSchema::new("lamp").key(ColumnSchema::new("room", ColumnType::Text));
/// let error: SchemaError = Schema::new(vec![lamp]).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "table `lamp` has neither a desired nor a current part; give it at least one"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// Too many tables.
    #[error("there are {0} tables; at most {TABLES_MAX} are possible")]
    TooManyTables(usize),
    /// Two tables of one name.
    #[error("table `{0}` is declared twice; names of tables must be unique")]
    DuplicateTable(String),
    /// A name that URLs, SQL and JSON would have to quote.
    #[error("table `{table}`: `{name}` is not a name; use lower-case letters, digits and underscores")]
    Name {
        /// The table.
        table: String,
        /// The wrong name, of the table or of one of its columns.
        name: String,
    },
    /// No key.
    #[error("table `{0}` has no key column; give it at least one")]
    NoKey(String),
    /// No part.
    #[error("table `{0}` has neither a desired nor a current part; give it at least one")]
    NoPart(String),
    /// Columns of a part that rows do not have.
    #[error("table `{table}` declares columns of the {part} part, but rows have no such part")]
    ColumnsWithoutPart {
        /// The table.
        table: String,
        /// The part.
        part: PartKind,
    },
    /// Two columns of one name in the same part, or in the key and a part.
    #[error(
        "table `{table}` has two columns `{column}` in the key and the {part} part; names must be unique there"
    )]
    DuplicateColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// The part.
        part: PartKind,
    },
    /// Columns of the two parts share a name, but not a type.
    #[error("table `{table}`: column `{column}` has different types in the two parts; they share one index")]
    TypesDiffer {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// A key column that may be null.
    #[error("table `{table}`: key column `{column}` must not be nullable")]
    NullableKey {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// A default that the column would not take.
    #[error("table `{table}`: the default of column `{column}` does not fit: {problem}")]
    Default {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Why not.
        problem: ValueError,
    },
    /// A reference to a table that is not there.
    #[error("table `{table}`: column `{column}` references table `{to}`, which does not exist")]
    UnknownReference {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// The missing table.
        to: String,
    },
    /// A reference of another type than the key referenced.
    #[error(
        "table `{table}`: column `{column}` must have the type of the key of `{to}`, which must be one column"
    )]
    ReferenceType {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// The referenced table.
        to: String,
    },
    /// `on_delete`, `scope` of a column that references nothing, or `set-null` of one that cannot be null.
    #[error("table `{table}`: column `{column}` {problem}")]
    ReferenceProperty {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// What does not go together.
        problem: &'static str,
    },
    /// A rule, join or mount names a column that is not there, or not of the right kind.
    #[error("table `{table}`: {place} needs `{column}` to be {expected}")]
    Column {
        /// The table.
        table: String,
        /// Where the column is named.
        place: &'static str,
        /// The column.
        column: String,
        /// What it must be.
        expected: &'static str,
    },
    /// A mount path that is none.
    #[error("table `{table}`: `{path}` is not a mount path; one looks like `/tenant/instance`")]
    MountPath {
        /// The table.
        table: String,
        /// The path.
        path: String,
    },
    /// A mount through a join table that is not there, or no join table.
    #[error("table `{table}`: mount `{path}` goes through `{join}`, which is not a join table")]
    MountJoin {
        /// The table.
        table: String,
        /// The mount's path.
        path: String,
        /// The table that should join.
        join: String,
    },
}

/// A checked set of tables.
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// # let mut state = house()?;
/// let schema = state.schema();
/// assert!(schema.tables().iter().map(|table| table.name()).eq(["lamp", "switch", "wire"]));
/// # Ok::<_, SchemaError>(())
/// ```
#[derive(Debug)]
pub struct Schema {
    tables: Vec<Arc<TableDef>>,
    by_name: HashMap<String, TableId>,
    referencing: Vec<Vec<(TableId, String)>>,
}

impl Schema {
    /// Checks the tables and makes a schema of them, numbered in their order.
    ///
    /// # Errors
    /// [`SchemaError`], the first that is found.
    ///
    /// ```
    /// use pony_state::{ColumnSchema, ColumnType, Schema, TableSchema};
    ///
    /// let lamp = TableSchema::new("lamp").key(ColumnSchema::new("room", ColumnType::Text)).desired([]);
    /// assert!(Schema::new(vec![lamp.clone()]).is_ok());
    /// assert!(Schema::new(vec![lamp.clone(), lamp]).is_err());
    /// ```
    pub fn new(tables: Vec<TableSchema>) -> Result<Self, SchemaError> {
        if tables.len() > TABLES_MAX {
            return Err(SchemaError::TooManyTables(tables.len()));
        }
        let mut by_name = HashMap::new();
        for (id, table) in tables.iter().enumerate() {
            if by_name.insert(table.name.clone(), TableId(id as u16)).is_some() {
                return Err(SchemaError::DuplicateTable(table.name.clone()));
            }
        }
        for table in &tables {
            check_columns(table)?;
            check_references(table, |name| by_name.get(name).and_then(|id| tables.get(id.index())))?;
            check_rules(table, |name| by_name.get(name).and_then(|id| tables.get(id.index())))?;
            check_mounts(table, |name| by_name.get(name).and_then(|id| tables.get(id.index())))?;
        }
        Ok(Self::link(tables, by_name))
    }

    fn link(tables: Vec<TableSchema>, by_name: HashMap<String, TableId>) -> Self {
        let mut referencing: Vec<Vec<(TableId, String)>> = vec![Vec::new(); tables.len()];
        for (id, table) in tables.iter().enumerate() {
            for column in table.columns() {
                let to = column.references.as_ref().and_then(|to| by_name.get(to));
                let Some(known) = to.and_then(|to| referencing.get_mut(to.index())) else { continue };
                let entry = (TableId(id as u16), column.name.clone());
                if !known.contains(&entry) {
                    known.push(entry);
                }
            }
        }
        let define = |(id, table)| Arc::new(TableDef::new(TableId(id as u16), table, &by_name));
        let tables = tables.into_iter().enumerate().map(define).collect();
        Self { tables, by_name, referencing }
    }

    /// All tables, in the order of their numbers.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let ids = state.schema().tables().iter().map(|table| table.id().index());
    /// assert!(ids.eq(0..3));
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn tables(&self) -> &[Arc<TableDef>] {
        &self.tables
    }

    /// The table of a name.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// assert!(state.schema().table("lamp").is_some() && state.schema().table("lmap").is_none());
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn table(&self, name: &str) -> Option<&Arc<TableDef>> {
        self.get(*self.by_name.get(name)?)
    }

    /// The table of a number.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let id = state.table::<Lamp>().def().id();
    /// assert_eq!(state.schema().get(id).unwrap().name(), "lamp");
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn get(&self, id: TableId) -> Option<&Arc<TableDef>> {
        self.tables.get(id.index())
    }

    /// The tables and columns (of either part) that reference a table.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let (lamp, wire) = (state.table::<Lamp>().def().id(), state.table::<Wire>().def().id());
    /// assert_eq!(state.schema().referencing(lamp), [(wire, "lamp".to_owned())]);
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn referencing(&self, id: TableId) -> &[(TableId, String)] {
        self.referencing.get(id.index()).map_or(&[], Vec::as_slice)
    }
}

/// Whether this is a name that needs no quotes anywhere.
///
/// ```
/// assert!(["link_name", "a1"].map(pony_state::derived::is_name).iter().all(|it| *it));
/// assert!(["", "1a", "Name", "link-name"].map(pony_state::derived::is_name).iter().all(|it| !*it));
/// ```
#[must_use]
pub const fn is_name(name: &str) -> bool {
    is_word(name.as_bytes(), 0, name.len(), b'_')
}

/// Whether this is a path of names with hyphens, from the root: `/tenant/instance`.
///
/// ```
/// assert!(["/host", "/host/nic-role"].map(pony_state::derived::is_mount_path).iter().all(|it| *it));
/// assert!(["", "/", "host", "/host/", "/a_b"].map(pony_state::derived::is_mount_path).iter().all(|it| !*it));
/// ```
#[must_use]
pub const fn is_mount_path(path: &str) -> bool {
    let path = path.as_bytes();
    let mut start = 0;
    while start < path.len() && path[start] == b'/' {
        let mut end = start + 1;
        while end < path.len() && path[end] != b'/' {
            end += 1;
        }
        if !is_word(path, start + 1, end, b'-') {
            return false;
        }
        start = end;
    }
    start == path.len() && start > 0
}

/// Whether a lower-case letter stands there, and then only such, digits, and what separates words.
const fn is_word(text: &[u8], start: usize, end: usize, separator: u8) -> bool {
    let mut place = start;
    while place < end {
        let byte = text[place];
        if !(byte.is_ascii_lowercase() || place > start && (byte.is_ascii_digit() || byte == separator)) {
            return false;
        }
        place += 1;
    }
    start < end
}

fn check_columns(table: &TableSchema) -> Result<(), SchemaError> {
    let name = || table.name.clone();
    for it in std::iter::once(&table.name).chain(table.columns().map(|column| &column.name)) {
        if !is_name(it) {
            return Err(SchemaError::Name { table: name(), name: it.clone() });
        }
    }
    if table.key.is_empty() {
        return Err(SchemaError::NoKey(name()));
    }
    if !table.has_desired && !table.has_current {
        return Err(SchemaError::NoPart(name()));
    }
    if let Some(column) = table.key.iter().find(|column| column.nullable) {
        return Err(SchemaError::NullableKey { table: name(), column: column.name.clone() });
    }
    for part in PartKind::BOTH {
        check_part(table, part)?;
    }
    for column in &table.desired {
        let other = table.current.iter().find(|it| it.name == column.name);
        if other.is_some_and(|other| other.ty != column.ty) {
            return Err(SchemaError::TypesDiffer { table: name(), column: column.name.clone() });
        }
    }
    table.columns().try_for_each(|column| check_default(table, column))
}

fn check_part(table: &TableSchema, part: PartKind) -> Result<(), SchemaError> {
    if !table.part(part).is_empty() && !table.has_part(part) {
        return Err(SchemaError::ColumnsWithoutPart { table: table.name.clone(), part });
    }
    let mut names: Vec<&str> = table.key.iter().chain(table.part(part)).map(|it| it.name.as_str()).collect();
    names.sort_unstable();
    for pair in names.windows(2) {
        if let [column, other] = pair
            && column == other
        {
            let (table, column) = (table.name.clone(), (*column).to_owned());
            return Err(SchemaError::DuplicateColumn { table, column, part });
        }
    }
    Ok(())
}

fn check_default(table: &TableSchema, column: &ColumnSchema) -> Result<(), SchemaError> {
    let Some(default) = &column.default else { return Ok(()) };
    Value::from_json(&column.ty, default).map(drop).map_err(|problem| SchemaError::Default {
        table: table.name.clone(),
        column: column.name.clone(),
        problem,
    })
}

fn check_references<'a>(
    table: &TableSchema,
    find: impl Fn(&str) -> Option<&'a TableSchema>,
) -> Result<(), SchemaError> {
    for column in table.columns() {
        let names = || (table.name.clone(), column.name.clone());
        let property = |problem| {
            let (table, column) = names();
            Err(SchemaError::ReferenceProperty { table, column, problem })
        };
        let Some(to) = &column.references else {
            if column.scope.is_some() || column.soft || column.on_delete != OnDelete::Restrict {
                return property("has `soft`, `scope` or `on_delete`, but references nothing");
            }
            continue;
        };
        let Some(target) = find(to) else {
            let (table, column) = names();
            return Err(SchemaError::UnknownReference { table, column, to: to.clone() });
        };
        if !matches!(&*target.key, [key] if key.ty == column.ty) {
            let (table, column) = names();
            return Err(SchemaError::ReferenceType { table, column, to: to.clone() });
        }
        if column.on_delete == OnDelete::SetNull && !column.nullable {
            return property("has `on_delete` = `set-null`, but is not nullable");
        }
    }
    Ok(())
}

/// Finds the columns that rules, joins and mounts name.
struct Finder<'a> {
    table: &'a TableSchema,
    place: &'static str,
}

impl<'a> Finder<'a> {
    fn need(
        &self,
        name: &str,
        expected: &'static str,
        fits: impl Fn(&ColumnSchema) -> bool,
    ) -> Result<&'a ColumnSchema, SchemaError> {
        self.table.columns().find(|column| column.name == name && fits(column)).ok_or_else(|| {
            SchemaError::Column {
                table: self.table.name.clone(),
                place: self.place,
                column: name.to_owned(),
                expected,
            }
        })
    }

    fn reference(&self, name: &str) -> Result<&'a str, SchemaError> {
        let column = self.need(name, "a column that references a table", |it| it.references.is_some())?;
        Ok(column.references.as_deref().unwrap_or_default())
    }
}

fn check_quota<'a>(
    quota: &QuotaRule,
    rules: &Finder<'a>,
    find: impl Fn(&str) -> Option<&'a TableSchema>,
) -> Result<(), SchemaError> {
    for column in [&quota.amount, &quota.by].into_iter().flatten() {
        rules.need(column, "a column", |_| true)?;
    }
    if let Some((column, word)) = &quota.when {
        let has = |it: &ColumnSchema| matches!(&it.ty, ColumnType::Enum(words) if words.contains(word));
        rules.need(column, "an enumeration with the rule's word", has)?;
    }
    let mut at = Finder { table: rules.table, place: "a quota" };
    for (place, column) in quota.owner.iter().enumerate() {
        let to = at.reference(column)?;
        if place + 1 < quota.owner.len() {
            at.table = find(to).unwrap_or(at.table);
        }
    }
    let limits = Finder { table: find(&quota.limits).unwrap_or(rules.table), place: "the limits of a quota" };
    let has_kind =
        |it: &ColumnSchema| matches!(&it.ty, ColumnType::Enum(words) if words.contains(&quota.kind));
    limits.need("type", "an enumeration with the quota's kind", has_kind)?;
    limits.need("limit", "a number", |it| matches!(it.ty, ColumnType::Float | ColumnType::Int))?;
    for column in quota.owner.last().into_iter().chain(&quota.by) {
        limits.need(column, "a column of the limits as well", |_| true)?;
    }
    Ok(())
}

fn check_rules<'a>(
    table: &'a TableSchema,
    find: impl Fn(&str) -> Option<&'a TableSchema>,
) -> Result<(), SchemaError> {
    let rules = Finder { table, place: "a rule" };
    for rule in &table.rules {
        match rule {
            Rule::Unique(columns) | Rule::UniqueNullsEqual(columns) => {
                for column in columns {
                    rules.need(column, "a column", |_| true)?;
                }
            }
            Rule::Check { .. } => {}
            Rule::NoOverlap { within, range } => {
                rules.need(within, "a column", |_| true)?;
                rules.need(range, "a range column", |it| it.ty == ColumnType::Range)?;
            }
            Rule::Inside { column, via, range } => {
                rules.need(column, "an inet column", |it| it.ty == ColumnType::Inet)?;
                let target = find(rules.reference(via)?);
                let target =
                    Finder { table: target.unwrap_or(table), place: "a rule of a referencing table" };
                target.need(range, "a cidr column", |it| it.ty == ColumnType::Cidr)?;
            }
            Rule::Quota(quota) => check_quota(quota, &rules, &find)?,
        }
    }
    if let Some((left, right)) = &table.join {
        let join = Finder { table, place: "the join" };
        join.reference(left)?;
        join.reference(right)?;
    }
    Ok(())
}

fn check_mounts<'a>(
    table: &TableSchema,
    find: impl Fn(&str) -> Option<&'a TableSchema>,
) -> Result<(), SchemaError> {
    let mounts = Finder { table, place: "a mount" };
    for mount in &table.mounts {
        if !is_mount_path(&mount.path) {
            return Err(SchemaError::MountPath { table: table.name.clone(), path: mount.path.clone() });
        }
        if let Some(column) = &mount.only_null {
            mounts.need(column, "a nullable column", |it| it.nullable)?;
        }
        if let Some(join) = mount.join.as_ref().filter(|it| find(it).is_none_or(|it| it.join.is_none())) {
            let (table, path) = (table.name.clone(), mount.path.clone());
            return Err(SchemaError::MountJoin { table, path, join: join.clone() });
        }
        if let Some(via) = mount.via.as_ref().filter(|_| mount.join.is_none()) {
            mounts.reference(via)?;
        }
    }
    Ok(())
}
