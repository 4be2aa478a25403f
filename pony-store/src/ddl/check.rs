//! Whether tables can be kept in a database at all. Whoever declares them learns it when the program starts,
//! from a message that names the declaration, and not later from an SQL error.

use super::plan::{Column, Reference, Table};
use crate::error::SchemaError;
use pony_state::{ColumnSchema, ColumnType, TableSchema, Value};

/// Columns of one table: an SQL function takes 127 arguments at least everywhere, and the outbox names and
/// gives each column in one call.
const COLUMNS_MAX: usize = 60;

/// Bytes of a name: PostgreSQL cuts identifiers at 63, and constraints are named after table and column.
const NAME_BYTES_MAX: usize = 30;

/// Names of tables and columns, of those that are not stored as well.
pub(super) fn names(schemas: &[TableSchema]) -> Result<(), SchemaError> {
    for (index, schema) in schemas.iter().enumerate() {
        name(&schema.name)?;
        if schemas[..index].iter().any(|other| other.name == schema.name) {
            return Err(SchemaError::Duplicate(schema.name.clone()));
        }
    }
    Ok(())
}

fn name(name: &str) -> Result<(), SchemaError> {
    let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    let begins = name.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
    let reserved = name.starts_with("sqlite_") || name.starts_with("pg_");
    if plain && begins && !reserved && name.len() <= NAME_BYTES_MAX {
        Ok(())
    } else {
        Err(SchemaError::Name(name.to_owned()))
    }
}

/// The table as a whole.
pub(super) fn shape(schema: &TableSchema) -> Result<(), SchemaError> {
    if schema.key.is_empty() {
        return Err(SchemaError::NoKey(schema.name.clone()));
    }
    let count = schema.key.len() + schema.desired.len();
    if count > COLUMNS_MAX {
        return Err(SchemaError::TooWide { table: schema.name.clone(), count, max: COLUMNS_MAX });
    }
    Ok(())
}

/// One column: its name, its type, its default.
pub(super) fn column(schema: &TableSchema, column: &ColumnSchema) -> Result<(), SchemaError> {
    name(&column.name)?;
    let wrong = |problem: String| {
        Err(SchemaError::Column { table: schema.name.clone(), column: column.name.clone(), problem })
    };
    let times = schema.key.iter().chain(&schema.desired).filter(|it| it.name == column.name).count();
    if times > 1 {
        return wrong("is declared twice".to_owned());
    }
    if let ColumnType::List(item) = &column.ty
        && matches!(**item, ColumnType::List(_) | ColumnType::Json | ColumnType::Range)
    {
        return wrong("lists of lists, of ranges and of JSON cannot be kept: use a JSON column".to_owned());
    }
    match &column.default {
        Some(default) if !default.is_null() => match Value::from_json(&column.ty, default) {
            Ok(_) => Ok(()),
            Err(error) => wrong(format!("the default does not fit: {error}")),
        },
        _ => Ok(()),
    }
}

/// The columns of a unique set.
pub(super) fn rule_columns(table: &Table, columns: &[String]) -> Result<(), SchemaError> {
    if columns.is_empty() {
        return Err(SchemaError::Rule {
            table: table.name.to_string(),
            column: String::new(),
            problem: "has no name: a unique set needs one column at least",
        });
    }
    columns.iter().try_for_each(|column| rule_column(table, column, None).map(|_| ()))
}

/// A column of a rule, of that type where one is given.
pub(super) fn rule_column<'a>(
    table: &'a Table,
    column: &str,
    ty: Option<&ColumnType>,
) -> Result<&'a Column, SchemaError> {
    let wrong =
        |problem| SchemaError::Rule { table: table.name.to_string(), column: column.to_owned(), problem };
    let found = table.column(column).ok_or_else(|| wrong("is not there"))?;
    match ty {
        Some(ty) if *ty != found.ty => Err(wrong("has the wrong type for it")),
        _ => Ok(found),
    }
}

/// The range column of a referenced table.
pub(super) fn parent_range(
    schemas: &[TableSchema],
    parent: &Reference,
    range: &str,
) -> Result<(), SchemaError> {
    let wrong =
        |problem| SchemaError::Rule { table: parent.table.to_string(), column: range.to_owned(), problem };
    let schema = schemas.iter().find(|it| *it.name == *parent.table).ok_or_else(|| wrong("is not there"))?;
    let mut columns = schema.key.iter().chain(&schema.desired);
    match columns.find(|column| column.name == range) {
        Some(column) if column.ty == ColumnType::Cidr => Ok(()),
        Some(_) => Err(wrong("is no address range")),
        None => Err(wrong("is not there")),
    }
}
