//! One request's operations as SQL statements, sent without waiting for each other's answers.

use super::binary::Parameter;
use super::outage::unavailable;
use super::server::Session;
use crate::ddl::ident;
use crate::ddl::plan::{Column, Plan, Table};
use crate::error::{CommitError, Unavailable};
use crate::op::{Cells, Checked, Site};
use futures::future::join_all;
use pony_state::{RowOp, Value};
use std::collections::HashMap;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Statement};

/// Operations under way at once: enough that waiting for answers costs next to nothing.
pub(super) const UNDER_WAY_MAX: usize = 128;

/// Statements kept prepared: a few per table, and updates of as many sets of columns as are usual.
const STATEMENTS_KEPT: usize = 512;

/// How operations can fail.
#[derive(Debug)]
pub(super) enum Failure {
    /// The operation contradicts its table.
    Refused(CommitError),
    /// The row is not there.
    Missing(usize),
    /// The database refused the operation, or (without a number) the transaction as a whole.
    Database(Option<usize>, Error),
}

impl Failure {
    /// What it means where it is nobody's fault; of a broken rule it says nothing to the purpose.
    pub(super) fn outage(&self) -> Option<Unavailable> {
        match self {
            Self::Database(_, error) => Some(unavailable(error)),
            Self::Refused(_) | Self::Missing(_) => None,
        }
    }
}

/// The statements of a session.
#[derive(Debug, Default)]
pub(super) struct Statements(HashMap<String, Statement>);

impl Statements {
    async fn prepared(&mut self, session: &Session, sql: String) -> Result<Statement, Error> {
        if let Some(statement) = self.0.get(&sql) {
            return Ok(statement.clone());
        }
        if self.0.len() >= STATEMENTS_KEPT {
            self.0.clear();
        }
        let statement = session.client.prepare(&sql).await?;
        self.0.insert(sql, statement.clone());
        Ok(statement)
    }
}

/// An operation ready to be sent.
pub(super) struct Ready {
    number: usize,
    statement: Statement,
    parameters: Vec<Parameter>,
    /// Whether there must be a row for it.
    needs_row: bool,
}

/// Checks the operations, and prepares their statements.
pub(super) async fn prepare(
    session: &Session,
    statements: &mut Statements,
    plan: &Plan,
    ops: &[RowOp],
) -> Result<Vec<Ready>, Failure> {
    let mut all = Vec::with_capacity(ops.len());
    for (number, op) in ops.iter().enumerate() {
        let site = Site { plan, number, op };
        let table = site.table().map_err(Failure::Refused)?;
        let needs_row = !matches!(op, RowOp::Insert { .. });
        let (sql, cells) = match site.check(table).map_err(Failure::Refused)? {
            Checked::Insert { row } => insert(table, row),
            Checked::Update { columns, key } => update(table, columns, key),
            Checked::Delete { key } => delete(table, key),
        };
        let wrong = |error| Failure::Database(Some(number), error);
        let statement = statements.prepared(session, sql).await.map_err(wrong)?;
        let parameters = cells.into_iter().map(|(_, value)| Parameter(value)).collect();
        all.push(Ready { number, statement, parameters, needs_row });
    }
    Ok(all)
}

/// Runs them in their order.
pub(super) async fn run(session: &Session, all: &[Ready]) -> Result<(), Failure> {
    for some in all.chunks(UNDER_WAY_MAX) {
        // Each is sent when it is first asked for its answer, so in this order.
        let answers = join_all(some.iter().map(|ready| {
            let parameters: Vec<&(dyn ToSql + Sync)> =
                ready.parameters.iter().map(|it| it as &(dyn ToSql + Sync)).collect();
            async move { session.client.execute(&ready.statement, &parameters).await }
        }));
        for (ready, answer) in some.iter().zip(answers.await) {
            let count = answer.map_err(|error| Failure::Database(Some(ready.number), error))?;
            if count == 0 && ready.needs_row {
                return Err(Failure::Missing(ready.number));
            }
        }
    }
    Ok(())
}

fn insert<'t>(table: &Table, row: Cells<'t>) -> (String, Cells<'t>) {
    let names: Vec<String> = row.iter().map(|(column, _)| ident(&column.name)).collect();
    let marks: Vec<String> = (1..=row.len()).map(|number| format!("${number}")).collect();
    let (names, marks) = (names.join(", "), marks.join(", "));
    (format!("INSERT INTO {} ({names}) VALUES ({marks})", ident(&table.name)), row)
}

fn update<'t>(table: &Table, mut columns: Cells<'t>, key: Cells<'t>) -> (String, Cells<'t>) {
    let first = ident(&table.key()[0].name);
    let sets: Vec<String> = if columns.is_empty() {
        vec![format!("{first} = {first}")]
    } else {
        let numbered = columns.iter().enumerate();
        numbered.map(|(at, (column, _))| format!("{} = ${}", ident(&column.name), at + 1)).collect()
    };
    let terms = key_terms(&key, columns.len() + 1);
    let sql = format!("UPDATE {} SET {} WHERE {terms}", ident(&table.name), sets.join(", "));
    columns.extend(key);
    (sql, columns)
}

fn delete<'t>(table: &Table, key: Cells<'t>) -> (String, Cells<'t>) {
    (format!("DELETE FROM {} WHERE {}", ident(&table.name), key_terms(&key, 1)), key)
}

/// `"a" = $1 AND "b" = $2`.
pub(super) fn key_terms(key: &[(&Column, Value)], first: usize) -> String {
    let terms =
        key.iter().enumerate().map(|(at, (column, _))| format!("{} = ${}", ident(&column.name), first + at));
    terms.collect::<Vec<_>>().join(" AND ")
}
