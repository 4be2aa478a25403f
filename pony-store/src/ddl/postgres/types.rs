//! How columns are kept, and what a value fulfils beyond its type: floats are finite, ranges have two ends, JSON is not
//! `null`, lists have one dimension and no nulls.

use super::{literal, qualified};
use crate::ddl::ident;
use crate::ddl::plan::{Column, Table};
use pony_state::{ColumnType, Value};
use serde_json::Value as Json;

/// The largest finite float.
const FLOAT_MAX: &str = "1.7976931348623157e308";

/// The definition of a column, on one line.
pub(super) fn column(schema: &str, table: &Table, column: &Column) -> String {
    let mut line = format!("{} {}", ident(&column.name), name(schema, table, column));
    if !column.nullable {
        line.push_str(" NOT NULL");
    }
    if let Some(default) = &column.default
        && let Ok(value) = Value::from_json(&column.ty, default)
        && !value.is_null()
    {
        line.push_str(&format!(" DEFAULT {}", constant(schema, table, column, &value)));
    }
    line
}

/// The enumerations of a table's columns.
pub(super) fn enumerations(schema: &str, table: &Table) -> Vec<String> {
    let words = table.columns.iter().filter_map(|column| Some((column, words(&column.ty)?)));
    let create = words.map(|(column, words)| {
        let words: Vec<String> = words.iter().map(|word| literal(word)).collect();
        format!("CREATE TYPE {} AS ENUM ({})", enumeration(schema, table, column), words.join(", "))
    });
    create.collect()
}

fn words(ty: &ColumnType) -> Option<&[String]> {
    match ty {
        ColumnType::Enum(words) => Some(words),
        ColumnType::List(item) => words(item),
        _ => None,
    }
}

/// The name of a column's enumeration: `"instance.state"`.
fn enumeration(schema: &str, table: &Table, column: &Column) -> String {
    qualified(schema, &format!("{}.{}", table.name, column.name))
}

/// The name of a column's type.
pub(super) fn name(schema: &str, table: &Table, column: &Column) -> String {
    of(&column.ty, &enumeration(schema, table, column))
}

fn of(ty: &ColumnType, enumeration: &str) -> String {
    match ty {
        ColumnType::Bool => "boolean".to_owned(),
        ColumnType::Int => "bigint".to_owned(),
        ColumnType::Float => "double precision".to_owned(),
        ColumnType::Uuid => "uuid".to_owned(),
        // The order of bytes: an index on it outlives an update of the system's collations.
        ColumnType::Text => "text COLLATE \"C\"".to_owned(),
        ColumnType::Enum(_) => enumeration.to_owned(),
        ColumnType::Inet => "inet".to_owned(),
        ColumnType::Cidr => "cidr".to_owned(),
        ColumnType::Mac => "macaddr".to_owned(),
        ColumnType::Range => "int8range".to_owned(),
        ColumnType::Json => "jsonb".to_owned(),
        ColumnType::List(item) => match &**item {
            ColumnType::Text => "text[] COLLATE \"C\"".to_owned(),
            item => format!("{}[]", of(item, enumeration)),
        },
    }
}

/// A value as a constant of the column's type.
fn constant(schema: &str, table: &Table, column: &Column, value: &Value) -> String {
    match value {
        Value::Bool(_) | Value::Int(_) => value.to_string(),
        Value::Float(number) => format!("{number:?}"),
        Value::Range(start, end) => format!("'[{start},{end})'"),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(|item| literal(&text(item))).collect();
            let ty = name(schema, table, column).replace(" COLLATE \"C\"", "");
            format!("ARRAY[{}]::{ty}", items.join(", "))
        }
        other => literal(&other.to_string()),
    }
}

/// A value as text.
fn text(value: &Value) -> String {
    match value.to_json() {
        Json::String(text) => text,
        other => other.to_string(),
    }
}

/// What a value of the type fulfils beyond it. A null fulfils everything.
pub(super) fn check(ty: &ColumnType, name: &str) -> Option<String> {
    match ty {
        ColumnType::Float => Some(format!("{name} BETWEEN -{FLOAT_MAX} AND {FLOAT_MAX}")),
        ColumnType::Range => {
            Some(format!("NOT isempty({name}) AND NOT lower_inf({name}) AND NOT upper_inf({name})"))
        }
        ColumnType::Json => Some(format!("jsonb_typeof({name}) <> 'null'")),
        ColumnType::List(item) => {
            let shape = format!("array_ndims({name}) IS NOT DISTINCT FROM 1 OR cardinality({name}) = 0");
            let whole = format!("({shape}) AND array_position({name}, NULL) IS NULL");
            Some(match **item {
                ColumnType::Float => format!(
                    "({whole} AND -{FLOAT_MAX} <= ALL ({name}) AND {FLOAT_MAX} >= ALL ({name})) OR {name} IS NULL"
                ),
                _ => format!("({whole}) OR {name} IS NULL"),
            })
        }
        _ => None,
    }
}
