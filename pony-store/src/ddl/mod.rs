//! SQL from tables: [`plan`] says, for any database, what has to hold (which columns, references, unique sets,
//! conditions, indexes); one module per dialect writes that down. Nothing here talks to a database.

mod check;
pub(crate) mod plan;
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
    let plan = plan::Plan::new(tables)?;
    let mut text = String::new();
    for statement in sqlite::statements(&plan) {
        text.push_str(&statement.sql);
        text.push_str(";\n\n");
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    Ok(text)
}
