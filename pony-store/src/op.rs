//! One operation, checked against its table before any database sees it: whether table and columns are there, values
//! fit their types, keys are complete. What depends on other rows is left to the database.

use crate::ddl::plan::{Column, Plan, Table};
use crate::error::{Broken, CommitError, Violation};
use crate::store::VALUE_BYTES_MAX;
use pony_state::{Columns, RowOp, Value};
use serde_json::Value as Json;

/// Columns with their values.
pub(crate) type Cells<'t> = Vec<(&'t Column, Value)>;

/// An operation, and where it stands in its transaction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Site<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) number: usize,
    pub(crate) op: &'a RowOp,
}

/// What an operation asks of the database.
#[derive(Debug)]
pub(crate) enum Checked<'t> {
    Insert { row: Cells<'t> },
    Update { columns: Cells<'t>, key: Cells<'t> },
    Delete { key: Cells<'t> },
}

impl<'a> Site<'a> {
    /// The operation's table.
    pub(crate) fn table(&self) -> Result<&'a Table, CommitError> {
        let name = self.op.table();
        self.plan.table(name).ok_or_else(|| {
            CommitError::from_violation(Violation {
                op: Some(self.number),
                table: name.to_owned(),
                key: None,
                columns: Vec::new(),
                rule: Broken::Table,
                message: format!("`{name}` is not a table of the database"),
            })
        })
    }

    /// The operation in terms of the table.
    pub(crate) fn check(&self, table: &'a Table) -> Result<Checked<'a>, CommitError> {
        match self.op {
            RowOp::Insert { row, .. } => Ok(Checked::Insert { row: self.row(table, row)? }),
            RowOp::Update { key, columns, .. } => {
                let (key, columns) = (self.key(table, key)?, self.cells(table, columns)?);
                self.keeps_key(table, &key, &columns)?;
                Ok(Checked::Update { columns, key })
            }
            RowOp::Delete { key, .. } => Ok(Checked::Delete { key: self.key(table, key)? }),
        }
    }

    /// A broken rule of the operation's own row.
    pub(crate) fn violation(
        &self,
        table: &Table,
        columns: &[&str],
        rule: Broken,
        message: String,
    ) -> CommitError {
        CommitError::from_violation(Violation {
            op: Some(self.number),
            table: table.name.to_string(),
            key: given_key(table, self.op),
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
            rule,
            message,
        })
    }

    /// What to say where the row is not there.
    pub(crate) fn missing(&self, table: &Table) -> CommitError {
        let key = given_key(table, self.op).unwrap_or_default();
        CommitError::Missing { op: self.number, table: table.name.to_string(), key }
    }

    /// What to say where the column would be null and must not.
    pub(crate) fn null(&self, table: &Table, column: &Column) -> CommitError {
        let message = format!("{}.{}: must have a value: {}", table.name, column.name, column.ty);
        self.violation(table, &[&column.name], Broken::NotNull, message)
    }

    fn row(&self, table: &'a Table, row: &Columns) -> Result<Cells<'a>, CommitError> {
        let cells = self.cells(table, row)?;
        let missing = table
            .columns
            .iter()
            .find(|column| !column.nullable && column.default.is_none() && !row.contains_key(&column.name));
        match missing {
            Some(column) => Err(self.null(table, column)),
            None => Ok(cells),
        }
    }

    fn keeps_key(&self, table: &Table, key: &Cells<'_>, columns: &Cells<'_>) -> Result<(), CommitError> {
        for (column, value) in key {
            if columns.iter().any(|(other, new)| other.name == column.name && new != value) {
                let message = format!("{}.{}: cannot be changed", table.name, column.name);
                return Err(self.violation(table, &[&column.name], Broken::Immutable, message));
            }
        }
        Ok(())
    }

    /// All key columns.
    fn key(&self, table: &'a Table, key: &Columns) -> Result<Cells<'a>, CommitError> {
        if let Some(other) = key.keys().find(|name| !table.key().iter().any(|column| column.name == **name)) {
            let message = format!("{}.{other}: is not a column of the key", table.name);
            return Err(self.violation(table, &[other], Broken::Column, message));
        }
        let cells = table.key().iter().map(|column| match key.get(&column.name) {
            Some(value) => Ok((column, self.value(table, column, value)?)),
            None => Err(self.null(table, column)),
        });
        cells.collect()
    }

    /// The given columns.
    fn cells(&self, table: &'a Table, given: &Columns) -> Result<Cells<'a>, CommitError> {
        let cells = given.iter().map(|(name, value)| match table.column(name) {
            Some(column) => Ok((column, self.value(table, column, value)?)),
            None => {
                let message = format!("{}.{name}: there is no such column", table.name);
                Err(self.violation(table, &[name], Broken::Column, message))
            }
        });
        cells.collect()
    }

    fn value(&self, table: &Table, column: &Column, json: &Json) -> Result<Value, CommitError> {
        if json.is_null() {
            return if column.nullable { Ok(Value::Null) } else { Err(self.null(table, column)) };
        }
        let wrong = |rule, message: &str| {
            let message = format!("{}.{}: {message}", table.name, column.name);
            self.violation(table, &[&column.name], rule, message)
        };
        let value =
            Value::from_json(&column.ty, json).map_err(|error| wrong(Broken::Type, &error.to_string()))?;
        let bytes = text_bytes(&value);
        if bytes > VALUE_BYTES_MAX {
            let message = format!("{bytes} bytes are too many; {VALUE_BYTES_MAX} are the most");
            return Err(wrong(Broken::TooLarge, &message));
        }
        Ok(value)
    }
}

/// Bytes of the value as text, where it can be long.
fn text_bytes(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len(),
        Value::Json(_) | Value::List(_) => value.to_string().len(),
        _ => 0,
    }
}

/// The key as the operation gives it, where it is complete.
pub(crate) fn given_key(table: &Table, op: &RowOp) -> Option<Vec<Json>> {
    let given = match op {
        RowOp::Insert { row, .. } => row,
        RowOp::Update { key, .. } | RowOp::Delete { key, .. } => key,
    };
    table.key().iter().map(|column| given.get(&column.name).cloned()).collect()
}

/// Which of the operations concerns the row of this key.
pub(crate) fn op_on(table: &Table, key: &[Value], ops: &[RowOp]) -> Option<usize> {
    ops.iter().position(|op| {
        *op.table() == *table.name
            && given_key(table, op).is_some_and(|given| {
                let columns = table.key().iter().zip(&given);
                let values = columns.map(|(column, value)| Value::from_json(&column.ty, value).ok());
                values.eq(key.iter().cloned().map(Some))
            })
    })
}
