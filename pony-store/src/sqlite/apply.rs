//! One request's operations as SQL statements. Values are checked against their types before SQLite sees them,
//! for the better message; what depends on other rows is left to the database.

use super::diagnose;
use crate::ddl::plan::{Column, Plan, Table};
use crate::ddl::sqlite::{Cell, encode, ident};
use crate::error::{Broken, CommitError, Violation};
use crate::store::VALUE_BYTES_MAX;
use pony_state::{Columns, RowOp};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, params_from_iter};
use serde_json::Value as Json;

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Cell::Null => ValueRef::Null,
            Cell::Integer(number) => ValueRef::Integer(*number),
            Cell::Real(number) => ValueRef::Real(*number),
            Cell::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

/// Applies the operations in their order, inside of a transaction.
pub(super) fn apply(connection: &Connection, plan: &Plan, ops: &[RowOp]) -> Result<(), CommitError> {
    for (number, op) in ops.iter().enumerate() {
        let site = Site { connection, plan, number, op };
        let table = site.table()?;
        match op {
            RowOp::Insert { row, .. } => site.insert(table, row)?,
            RowOp::Update { key, columns, .. } => site.update(table, key, columns)?,
            RowOp::Delete { key, .. } => site.delete(table, key)?,
        }
    }
    Ok(())
}

/// One operation, and where it is being done.
pub(super) struct Site<'a> {
    pub(super) connection: &'a Connection,
    pub(super) plan: &'a Plan,
    pub(super) number: usize,
    pub(super) op: &'a RowOp,
}

/// Columns with their values.
type Cells<'t> = Vec<(&'t Column, Cell)>;

impl<'a> Site<'a> {
    fn table(&self) -> Result<&'a Table, CommitError> {
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

    /// A broken rule of the operation's own row.
    pub(super) fn violation(
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

    fn insert(&self, table: &Table, row: &Columns) -> Result<(), CommitError> {
        let cells = self.cells(table, row)?;
        let missing = table
            .columns
            .iter()
            .find(|column| !column.nullable && column.default.is_none() && !row.contains_key(&column.name));
        if let Some(column) = missing {
            return Err(self.null(table, column));
        }
        let names: Vec<String> = cells.iter().map(|(column, _)| ident(&column.name)).collect();
        let marks: Vec<String> = (1..=cells.len()).map(|number| format!("?{number}")).collect();
        let (name, names, marks) = (ident(&table.name), names.join(", "), marks.join(", "));
        let sql = format!("INSERT INTO {name} ({names}) VALUES ({marks})");
        self.execute(table, &sql, &cells).map(|_| ())
    }

    fn update(&self, table: &Table, key: &Columns, columns: &Columns) -> Result<(), CommitError> {
        let key = self.key(table, key)?;
        let mut cells = self.cells(table, columns)?;
        for (column, cell) in &key {
            if cells.iter().any(|(other, new)| other.name == column.name && new != cell) {
                let message = format!("{}.{}: cannot be changed", table.name, column.name);
                return Err(self.violation(table, &[&column.name], Broken::Immutable, message));
            }
        }
        let first = &table.key()[0];
        let sets: Vec<String> = if cells.is_empty() {
            vec![format!("{0} = {0}", ident(&first.name))]
        } else {
            cells
                .iter()
                .enumerate()
                .map(|(at, (column, _))| format!("{} = ?{}", ident(&column.name), at + 1))
                .collect()
        };
        let terms = key_terms(&key, cells.len() + 1);
        let sql = format!("UPDATE {} SET {} WHERE {terms}", ident(&table.name), sets.join(", "));
        cells.extend(key);
        let count = self.execute(table, &sql, &cells)?;
        self.found(table, count)
    }

    fn delete(&self, table: &Table, key: &Columns) -> Result<(), CommitError> {
        let key = self.key(table, key)?;
        let sql = format!("DELETE FROM {} WHERE {}", ident(&table.name), key_terms(&key, 1));
        let count = self.execute(table, &sql, &key)?;
        self.found(table, count)
    }

    fn found(&self, table: &Table, count: usize) -> Result<(), CommitError> {
        if count > 0 {
            return Ok(());
        }
        let key = given_key(table, self.op).unwrap_or_default();
        Err(CommitError::Missing { op: self.number, table: table.name.to_string(), key })
    }

    fn execute(&self, table: &Table, sql: &str, cells: &Cells<'_>) -> Result<usize, CommitError> {
        let run = || {
            let mut statement = self.connection.prepare_cached(sql)?;
            statement.execute(params_from_iter(cells.iter().map(|(_, cell)| cell)))
        };
        run().map_err(|error| diagnose::statement(self, table, &error))
    }

    /// All key columns.
    fn key<'t>(&self, table: &'t Table, key: &Columns) -> Result<Cells<'t>, CommitError> {
        if let Some(other) = key.keys().find(|name| !table.key().iter().any(|column| column.name == **name)) {
            let message = format!("{}.{other}: is not a column of the key", table.name);
            return Err(self.violation(table, &[other], Broken::Column, message));
        }
        let cells = table.key().iter().map(|column| match key.get(&column.name) {
            Some(value) => Ok((column, self.cell(table, column, value)?)),
            None => Err(self.null(table, column)),
        });
        cells.collect()
    }

    /// The given columns.
    fn cells<'t>(&self, table: &'t Table, given: &Columns) -> Result<Cells<'t>, CommitError> {
        let cells = given.iter().map(|(name, value)| match table.column(name) {
            Some(column) => Ok((column, self.cell(table, column, value)?)),
            None => {
                let message = format!("{}.{name}: there is no such column", table.name);
                Err(self.violation(table, &[name], Broken::Column, message))
            }
        });
        cells.collect()
    }

    fn cell(&self, table: &Table, column: &Column, value: &Json) -> Result<Cell, CommitError> {
        if value.is_null() {
            return if column.nullable { Ok(Cell::Null) } else { Err(self.null(table, column)) };
        }
        let wrong = |rule, message: &str| {
            let message = format!("{}.{}: {message}", table.name, column.name);
            self.violation(table, &[&column.name], rule, message)
        };
        match encode(&column.ty, value) {
            Ok(Cell::Text(text)) if text.len() > VALUE_BYTES_MAX => {
                let message = format!("{} bytes are too many; {VALUE_BYTES_MAX} are the most", text.len());
                Err(wrong(Broken::TooLarge, &message))
            }
            Ok(cell) => Ok(cell),
            Err(error) => Err(wrong(Broken::Type, &error.to_string())),
        }
    }

    fn null(&self, table: &Table, column: &Column) -> CommitError {
        let message = format!("{}.{}: must have a value: {}", table.name, column.name, column.ty);
        self.violation(table, &[&column.name], Broken::NotNull, message)
    }
}

fn key_terms(key: &Cells<'_>, first: usize) -> String {
    let terms =
        key.iter().enumerate().map(|(at, (column, _))| format!("{} = ?{}", ident(&column.name), first + at));
    terms.collect::<Vec<_>>().join(" AND ")
}

/// The key as the operation gives it, where it is complete.
pub(super) fn given_key(table: &Table, op: &RowOp) -> Option<Vec<Json>> {
    let given = match op {
        RowOp::Insert { row, .. } => row,
        RowOp::Update { key, .. } | RowOp::Delete { key, .. } => key,
    };
    table.key().iter().map(|column| given.get(&column.name).cloned()).collect()
}
