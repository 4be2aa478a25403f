//! From `ponycloud.Table` and `ponycloud.Column` to the engine's schema.

use crate::error::{Raise, exception};
use crate::take::to_json;
use pony_state::{ColumnSchema, ColumnType, State, TableSchema};
use pyo3::prelude::*;

#[derive(FromPyObject)]
struct Column<'py> {
    name: String,
    r#type: Type,
    nullable: bool,
    default: Bound<'py, PyAny>,
    references: Option<String>,
    indexed: bool,
}

/// The name of a type, or the words of an enumeration.
#[derive(FromPyObject)]
enum Type {
    Name(String),
    Words(Vec<String>),
}

#[derive(FromPyObject)]
pub(crate) struct Table<'py> {
    name: String,
    key: Vec<Column<'py>>,
    desired: Option<Vec<Column<'py>>>,
    current: Option<Vec<Column<'py>>>,
    join: Option<(String, String)>,
}

const TYPES: [(&str, ColumnType); 10] = [
    ("bool", ColumnType::Bool),
    ("int", ColumnType::Int),
    ("float", ColumnType::Float),
    ("uuid", ColumnType::Uuid),
    ("text", ColumnType::Text),
    ("inet", ColumnType::Inet),
    ("cidr", ColumnType::Cidr),
    ("mac", ColumnType::Mac),
    ("range", ColumnType::Range),
    ("json", ColumnType::Json),
];

fn column_type(name: &str) -> Option<ColumnType> {
    match name.strip_suffix("[]") {
        Some(item) => Some(ColumnType::List(Box::new(column_type(item)?))),
        None => TYPES.into_iter().find(|(known, _)| *known == name).map(|(_, ty)| ty),
    }
}

impl Column<'_> {
    fn schema(self) -> PyResult<ColumnSchema> {
        let ty = match self.r#type {
            Type::Words(words) => ColumnType::Enum(words),
            Type::Name(name) => column_type(&name).ok_or_else(|| {
                let known = TYPES.map(|(name, _)| name).join(", ");
                let message = format!(
                    "column `{}`: `{name}` is not a type; those are {known}, and lists of them: text[]",
                    self.name
                );
                exception(self.default.py(), "SchemaError", message, None, Some(&self.name))
            })?,
        };
        let default = Some(to_json(&self.default)?).filter(|default| !default.is_null());
        let plain = ColumnSchema::new(self.name, ty);
        Ok(ColumnSchema {
            nullable: self.nullable,
            default,
            references: self.references,
            indexed: self.indexed,
            ..plain
        })
    }
}

pub(crate) fn build(py: Python<'_>, tables: Vec<Table<'_>>) -> PyResult<State> {
    let schemas =
        |columns: Vec<Column<'_>>| columns.into_iter().map(Column::schema).collect::<PyResult<Vec<_>>>();
    let mut builder = State::builder();
    for table in tables {
        let mut schema = schemas(table.key)?.into_iter().fold(TableSchema::new(table.name), TableSchema::key);
        if let Some(columns) = table.desired {
            schema = schema.desired(schemas(columns)?);
        }
        if let Some(columns) = table.current {
            schema = schema.current(schemas(columns)?);
        }
        builder = builder.table_dyn(TableSchema { join: table.join, ..schema });
    }
    builder.build().raise(py)
}
