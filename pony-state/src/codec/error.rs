//! What can be wrong with keys and parts that come from outside.

use crate::read::TableName;
use crate::schema::{ColumnSchema, PartKind, Schema, TableDef};
use crate::value::{Key, KeyError, Value, ValueError};
use serde_json::Value as Json;

/// Why a key or a part is not one of a table.
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// # let mut state = house()?;
/// let mut tx = state.transaction();
/// let part = serde_json::json!({"percent": 5, "color": "red"});
/// let error = tx.set_json("lamp", &Key::one("hall"), PartKind::Desired, &part).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "table `lamp` has no column `color`; its columns are colour, percent, room"
/// );
/// # Ok::<_, SchemaError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PartError {
    /// There is no such table.
    #[error("there is no table `{table}`; the tables are {}", .known.join(", "))]
    UnknownTable {
        /// The name, or the number.
        table: String,
        /// The names of all tables.
        known: Vec<String>,
    },
    /// The table's rows have no such part.
    #[error("table `{table}`: its rows have no {part} part")]
    NoPart {
        /// The table.
        table: String,
        /// The part.
        part: PartKind,
    },
    /// This row has no such part.
    #[error("table `{table}`: there is no {part} part of `{key}` to change")]
    Absent {
        /// The table.
        table: String,
        /// The row's key.
        key: String,
        /// The part.
        part: PartKind,
    },
    /// Not a JSON object.
    #[error("table `{table}`: {found} is not a part; a part is an object of columns")]
    NotAnObject {
        /// The table.
        table: String,
        /// What was given.
        found: String,
    },
    /// Not a JSON object of parts.
    #[error(
        "table `{table}`: {found} is not a row; a row is an object of `desired` and `current`, either or both"
    )]
    NotARow {
        /// The table.
        table: String,
        /// What was given.
        found: String,
    },
    /// There is no such column.
    #[error("table `{table}` has no column `{column}`; its columns are {}", .known.join(", "))]
    UnknownColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// The columns that are there.
        known: Vec<String>,
    },
    /// A column that must have a value has none.
    #[error("table `{table}`: column `{column}` of the {part} part is missing; {expected} is needed")]
    Missing {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// The part.
        part: PartKind,
        /// What the column takes.
        expected: String,
    },
    /// A value does not fit its column.
    #[error("table `{table}`, column `{column}`: {problem}")]
    Value {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// What is wrong with it.
        problem: ValueError,
    },
    /// A key is not one of the table.
    #[error("table `{table}`: {problem}")]
    Key {
        /// The table.
        table: String,
        /// What is wrong with it.
        problem: KeyError,
    },
    /// A key column in a part is not that of the row's key.
    #[error("table `{table}`: key column `{column}` is `{found}`, but the row's key says `{expected}`")]
    KeyMismatch {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// What the part says.
        found: String,
        /// What the key says.
        expected: String,
    },
    /// Too few or too many values.
    #[error("table `{table}`: {found} values were given for the {expected} columns of the {part} part")]
    Count {
        /// The table.
        table: String,
        /// The part.
        part: PartKind,
        /// How many columns there are.
        expected: usize,
        /// How many values were given.
        found: usize,
    },
}

impl PartError {
    pub(crate) fn unknown_table(table: &impl TableName, schema: &Schema) -> Self {
        let known = schema.tables().iter().map(|table| table.name().to_owned()).collect();
        Self::UnknownTable { table: table.shown(), known }
    }

    /// The column at fault, where there is one.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let mut tx = state.transaction();
    /// let part = serde_json::json!({"percent": "dim"});
    /// let error = tx.set_json("lamp", &Key::one("hall"), PartKind::Desired, &part).unwrap_err();
    /// assert_eq!(error.column(), Some("percent"));
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn column(&self) -> Option<&str> {
        match self {
            Self::UnknownColumn { column, .. }
            | Self::Missing { column, .. }
            | Self::Value { column, .. }
            | Self::KeyMismatch { column, .. } => Some(column),
            _ => None,
        }
    }
}

/// Errors that name the table.
impl TableDef {
    fn table(&self) -> String {
        self.name().to_owned()
    }

    pub(crate) fn no_part(&self, part: PartKind) -> PartError {
        PartError::NoPart { table: self.table(), part }
    }

    pub(crate) fn absent(&self, key: &Key, part: PartKind) -> PartError {
        PartError::Absent { table: self.table(), key: key.to_string(), part }
    }

    pub(crate) fn not_an_object(&self, found: &Json) -> PartError {
        PartError::NotAnObject { table: self.table(), found: crate::value::quote(found) }
    }

    pub(crate) fn not_a_row(&self, found: &Json) -> PartError {
        PartError::NotARow { table: self.table(), found: crate::value::quote(found) }
    }

    pub(crate) fn unknown_column(&self, column: &str, part: Option<PartKind>) -> PartError {
        let schema = self.schema();
        let mut known: Vec<String> = match part {
            Some(part) => schema.key.iter().chain(schema.part(part)).map(|it| it.name.clone()).collect(),
            None => schema.columns().map(|it| it.name.clone()).collect(),
        };
        known.sort_unstable();
        known.dedup();
        PartError::UnknownColumn { table: self.table(), column: column.to_owned(), known }
    }

    pub(crate) fn missing(&self, part: PartKind, column: &ColumnSchema) -> PartError {
        let (column, expected) = (column.name.clone(), column.ty.to_string());
        PartError::Missing { table: self.table(), column, part, expected }
    }

    pub(crate) fn wrong_value(&self, column: &str, problem: ValueError) -> PartError {
        PartError::Value { table: self.table(), column: column.to_owned(), problem }
    }

    pub(crate) fn key_error(&self, problem: KeyError) -> PartError {
        PartError::Key { table: self.table(), problem }
    }

    pub(crate) fn key_mismatch(&self, column: &str, found: &Value, expected: &Value) -> PartError {
        let (found, expected) = (found.to_string(), expected.to_string());
        PartError::KeyMismatch { table: self.table(), column: column.to_owned(), found, expected }
    }

    pub(crate) fn value_count(&self, part: PartKind, found: usize) -> PartError {
        PartError::Count { table: self.table(), part, expected: self.schema().part(part).len(), found }
    }
}
