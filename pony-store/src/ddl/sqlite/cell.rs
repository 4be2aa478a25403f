//! Values between JSON, as this crate's users see them, and SQLite's storage classes, as the tables (and, in
//! the same form, the feed) keep them.

use crate::ddl::literal;
use pony_state::{ColumnType, Value, ValueError};
use serde_json::Value as Json;

/// A value as SQLite keeps it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
}

impl Cell {
    /// As an SQL literal.
    pub(crate) fn to_literal(&self) -> String {
        match self {
            Self::Null => "NULL".to_owned(),
            Self::Integer(number) => number.to_string(),
            Self::Real(number) => format!("{number:?}"),
            Self::Text(text) => literal(text),
        }
    }

    /// From the row of an outbox entry, which is a JSON object of cells.
    pub(crate) fn from_outbox(json: Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::String(text) => Self::Text(text),
            Json::Number(number) => match number.as_i64() {
                Some(whole) => Self::Integer(whole),
                None => number.as_f64().map_or(Self::Null, Self::Real),
            },
            other => Self::Text(other.to_string()),
        }
    }
}

/// The cell of a value, in the one form that equal values have.
impl From<&Value> for Cell {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Cell::Null,
            Value::Bool(truth) => Cell::Integer((*truth).into()),
            Value::Int(number) => Cell::Integer(*number),
            Value::Float(number) => Cell::Real(*number),
            Value::Range(start, end) => Cell::Text(format!("[{start},{end}]")),
            Value::List(_) => Cell::Text(value.to_json().to_string()),
            other => Cell::Text(other.to_string()),
        }
    }
}

/// The same of JSON.
///
/// # Errors
/// [`ValueError`], where the value does not fit the type.
pub(crate) fn encode(ty: &ColumnType, json: &Json) -> Result<Cell, ValueError> {
    Ok(Cell::from(&Value::from_json(ty, json)?))
}

/// A cell as the value that it stands for; what does not fit the type is given as it is.
pub(crate) fn to_value(ty: &ColumnType, cell: Cell) -> Value {
    let json = decode(ty, cell);
    Value::from_json(ty, &json).unwrap_or_else(|_| match json {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::Bool(truth),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::Int(whole),
            None => Value::Float(number.as_f64().unwrap_or_default()),
        },
        Json::String(text) => Value::from(text),
        other => Value::Json(std::sync::Arc::new(other)),
    })
}

/// The value of a cell. Somebody who turned SQLite's checks off may have written anything; what does not fit
/// the type is given as it is, for whoever reads it to complain about.
pub(crate) fn decode(ty: &ColumnType, cell: Cell) -> Json {
    match (ty, cell) {
        (_, Cell::Null) => Json::Null,
        (ColumnType::Bool, Cell::Integer(truth @ 0..=1)) => Json::Bool(truth == 1),
        (_, Cell::Integer(number)) => Json::from(number),
        (_, Cell::Real(number)) => Json::from(number),
        (ColumnType::Float, Cell::Text(text)) => text.parse::<f64>().map_or(Json::String(text), Json::from),
        (ColumnType::Json | ColumnType::Range | ColumnType::List(_), Cell::Text(text)) => {
            serde_json::from_str(&text).unwrap_or(Json::String(text))
        }
        (_, Cell::Text(text)) => Json::String(text),
    }
}
