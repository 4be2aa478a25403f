//! SQL from tables: `plan` says, for any database, what has to hold (which columns, references, unique sets,
//! conditions, indexes); one module per dialect writes that down. Nothing here talks to a database.

mod check;
pub(crate) mod plan;
pub(crate) mod postgres;
pub(crate) mod quota;
pub(crate) mod sqlite;

use crate::error::SchemaError;
use pony_state::TableSchema;

/// The statements that create an empty SQLite database for these tables, as one text.
///
/// Tables without a desired part, and those that are stored nowhere, are left out.
///
/// # Errors
/// [`SchemaError`], where the tables cannot be kept in a database.
pub fn sqlite(tables: &[TableSchema]) -> Result<String, SchemaError> {
    Ok(text(&sqlite::statements(&plan::Plan::new(tables)?)))
}

/// The same for a PostgreSQL database.
///
/// # Errors
/// [`SchemaError`], where the tables cannot be kept in a database.
pub fn postgres(tables: &[TableSchema]) -> Result<String, SchemaError> {
    Ok(text(&postgres::statements(&plan::Plan::new(tables)?, postgres::SCHEMA)))
}

fn text(statements: &[Statement]) -> String {
    let mut text = String::new();
    for statement in statements {
        text.push_str(&statement.sql);
        text.push_str(";\n\n");
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// What a statement makes; the two are treated differently when a database is migrated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A table or its first contents.
    Data,
    /// An index, a view, a trigger: made anew by each migration.
    Derived,
}

/// One statement, without its semicolon.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    pub(crate) kind: Kind,
    pub(crate) sql: String,
}

impl Statement {
    pub(crate) fn data(sql: impl Into<String>) -> Self {
        Self { kind: Kind::Data, sql: sql.into() }
    }

    pub(crate) fn derived(sql: impl Into<String>) -> Self {
        Self { kind: Kind::Derived, sql: sql.into() }
    }
}

/// An identifier, quoted.
pub(crate) fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text literal.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Several identifiers, quoted, each behind `prefix`.
pub(crate) fn idents<S: AsRef<str>>(prefix: &str, names: impl IntoIterator<Item = S>) -> String {
    let quoted: Vec<String> =
        names.into_iter().map(|name| format!("{prefix}{}", ident(name.as_ref()))).collect();
    quoted.join(", ")
}
