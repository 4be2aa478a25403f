//! One request's operations as SQL statements.

use super::diagnose;
use crate::ddl::ident;
use crate::ddl::plan::{Column, Plan, Table};
use crate::ddl::sqlite::Cell;
use crate::error::CommitError;
use crate::op::{Cells, Checked, Site};
use pony_state::{RowOp, Value};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, params_from_iter};

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
        let statement = Statement { connection, site: Site { plan, number, op } };
        let table = statement.site.table()?;
        match statement.site.check(table)? {
            Checked::Insert { row } => statement.insert(table, &row)?,
            Checked::Update { columns, key } => statement.update(table, columns, key)?,
            Checked::Delete { key } => statement.delete(table, &key)?,
        }
    }
    Ok(())
}

/// One operation, and where it is being done.
struct Statement<'a> {
    connection: &'a Connection,
    site: Site<'a>,
}

impl Statement<'_> {
    fn insert(&self, table: &Table, row: &Cells<'_>) -> Result<(), CommitError> {
        let names: Vec<String> = row.iter().map(|(column, _)| ident(&column.name)).collect();
        let marks: Vec<String> = (1..=row.len()).map(|number| format!("?{number}")).collect();
        let (name, names, marks) = (ident(&table.name), names.join(", "), marks.join(", "));
        let sql = format!("INSERT INTO {name} ({names}) VALUES ({marks})");
        self.execute(table, &sql, row).map(|_| ())
    }

    fn update<'t>(&self, table: &Table, mut cells: Cells<'t>, key: Cells<'t>) -> Result<(), CommitError> {
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

    fn delete(&self, table: &Table, key: &Cells<'_>) -> Result<(), CommitError> {
        let sql = format!("DELETE FROM {} WHERE {}", ident(&table.name), key_terms(key, 1));
        let count = self.execute(table, &sql, key)?;
        self.found(table, count)
    }

    fn found(&self, table: &Table, count: usize) -> Result<(), CommitError> {
        if count > 0 { Ok(()) } else { Err(self.site.missing(table)) }
    }

    fn execute(&self, table: &Table, sql: &str, cells: &[(&Column, Value)]) -> Result<usize, CommitError> {
        let run = || {
            let mut statement = self.connection.prepare_cached(sql)?;
            statement.execute(params_from_iter(cells.iter().map(|(_, value)| Cell::from(value))))
        };
        run().map_err(|error| diagnose::statement(self.connection, self.site, table, &error))
    }
}

fn key_terms(key: &[(&Column, Value)], first: usize) -> String {
    let terms =
        key.iter().enumerate().map(|(at, (column, _))| format!("{} = ?{}", ident(&column.name), first + at));
    terms.collect::<Vec<_>>().join(" AND ")
}
