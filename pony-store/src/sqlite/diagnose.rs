//! Which constraint was broken, by what SQLite says, and what to tell people: the API's tables and columns, the
//! value in question, and never SQL.

use super::apply::{Site, given_key};
use super::connection::unavailable;
use crate::ddl::plan::{Column, Inside, Plan, Table, Unique};
use crate::ddl::sqlite::{Cell, Tag, decode, encode, ident};
use crate::error::{Broken, CommitError, Referrer, Violation, key_text, value_text};
use crate::store::{Position, VALUE_BYTES_MAX};
use pony_state::{Cidr, Inet, RowOp};
use rusqlite::types::{Value as Sql, ValueRef};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params_from_iter};
use serde_json::Value as Json;

/// Rows named as still referring to one that shall go; enough to see what it is about.
const REFERRERS_NAMED: usize = 5;

/// What a statement failed of.
pub(super) fn statement(site: &Site<'_>, table: &Table, error: &rusqlite::Error) -> CommitError {
    let message = match error {
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.as_str(),
        _ => "",
    };
    match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => {
            constraint(site, table, message).unwrap_or_else(|| unavailable(error).into())
        }
        Some(ErrorCode::TooBig) => {
            let message =
                format!("{}: the row is too large; {VALUE_BYTES_MAX} bytes are the most", table.name);
            site.violation(table, &[], Broken::TooLarge, message)
        }
        _ => unavailable(error).into(),
    }
}

fn constraint(site: &Site<'_>, table: &Table, message: &str) -> Option<CommitError> {
    let Some(tag) = Tag::parse(message) else { return untagged(site, message) };
    let plan = site.plan;
    Some(match tag {
        Tag::Key { table } => key_taken(site, plan.table(table)?),
        Tag::Unique { table, number } => {
            let table = plan.table(table)?;
            unique_taken(site, table, table.uniques.iter().find(|it| it.number == number)?)
        }
        Tag::Check { table, number } => {
            let table = plan.table(table)?;
            let check = table.checks.iter().find(|it| it.number == number)?;
            site.violation(table, &[], Broken::Check, format!("{}: {}", table.name, check.message))
        }
        Tag::Type { table, column } => {
            let table = plan.table(table)?;
            let message = format!("{}.{column}: must be {}", table.name, table.column(column)?.ty);
            site.violation(table, &[column], Broken::Type, message)
        }
        Tag::Immutable { table, column } => {
            let message = format!("{table}.{column}: cannot be changed");
            site.violation(plan.table(table)?, &[column], Broken::Immutable, message)
        }
        Tag::Overlap { table, number } => {
            let table = plan.table(table)?;
            let rule = table.overlaps.iter().find(|it| it.number == number)?;
            let message = format!(
                "{}.{}: {} overlaps another range of the same {}",
                table.name,
                rule.range,
                value_of(site, table, &rule.range),
                rule.within
            );
            site.violation(table, &[&rule.range], Broken::Overlap, message)
        }
        Tag::Inside => outside(site, table),
        // Values were checked before they came here, and the connection is ours.
        Tag::Inet | Tag::Cidr | Tag::ForeignKeys => return None,
    })
}

/// The messages of SQLite's own: `UNIQUE constraint failed: instance.tenant, instance.name`.
fn untagged(site: &Site<'_>, message: &str) -> Option<CommitError> {
    let (kind, columns) = message.split_once(" constraint failed: ")?;
    let mut names = columns.split(", ").map(|column| column.split_once('.'));
    let (table, first) = names.next()??;
    let table = site.plan.table(table)?;
    let column = table.column(first)?;
    match kind {
        "NOT NULL" => {
            let message = format!("{}.{first}: must have a value: {}", table.name, column.ty);
            Some(site.violation(table, &[first], Broken::NotNull, message))
        }
        "UNIQUE" => {
            Some(site.violation(table, &[first], Broken::Unique, format!("{columns}: exists already")))
        }
        _ => None,
    }
}

fn key_taken(site: &Site<'_>, table: &Table) -> CommitError {
    let columns: Vec<&str> = table.key().iter().map(|column| column.name.as_str()).collect();
    let key = given_key(table, site.op).unwrap_or_default();
    let message = format!("{}.{}: `{}` exists already", table.name, columns.join(", "), key_text(&key));
    site.violation(table, &columns, Broken::Key, message)
}

/// "instance.name: `web` exists already in this tenant".
fn unique_taken(site: &Site<'_>, table: &Table, unique: &Unique) -> CommitError {
    let columns: Vec<&str> = unique.columns.iter().map(String::as_str).collect();
    let is_reference = |name: &str| table.column(name).is_some_and(|column| column.reference.is_some());
    let subject =
        columns.iter().rev().find(|name| !is_reference(name)).or(columns.last()).copied().unwrap_or("");
    let mut message = format!("{}.{subject}: {} exists already", table.name, value_of(site, table, subject));
    for (number, &other) in columns.iter().filter(|&&name| name != subject).enumerate() {
        let joint = if number == 0 { "" } else { " and" };
        if is_reference(other) {
            message.push_str(&format!("{joint} in this {other}"));
        } else {
            message.push_str(&format!("{joint} with {other} {}", value_of(site, table, other)));
        }
    }
    site.violation(table, &columns, Broken::Unique, message)
}

/// The address of the operation's own row, or of one that refers to it.
fn outside(site: &Site<'_>, table: &Table) -> CommitError {
    if let Some(inside) = table.insides.iter().find(|inside| !holds(site, table, inside)) {
        let (column, address) = (&inside.column, value_of(site, table, &inside.column));
        let message = format!(
            "{}.{column}: {address} lies outside of the {} of its {}",
            table.name, inside.range, inside.via
        );
        return site.violation(table, &[column], Broken::Inside, message);
    }
    let children = table.encloses.iter().map(|&(child, place)| {
        let child = &site.plan.tables[child];
        (&*child.name, &child.insides[place])
    });
    let broken: Vec<String> =
        children.clone().map(|(child, inside)| format!("{child}.{}", inside.column)).collect();
    let columns: Vec<&str> = children.map(|(_, inside)| inside.range.as_str()).take(1).collect();
    let message = format!(
        "{}.{}: a row that refers to it has an address outside of it ({})",
        table.name,
        columns.join(""),
        broken.join(" or ")
    );
    site.violation(table, &columns, Broken::Inside, message)
}

/// Whether the operation's row would keep the rule, as far as can be told.
fn holds(site: &Site<'_>, table: &Table, inside: &Inside) -> bool {
    let range = || {
        let via = encode(&table.column(&inside.via)?.ty, &value(site, table, &inside.via)?).ok()?;
        let (parent, key) = (ident(&inside.parent.table), ident(&inside.parent.column));
        let sql = format!("SELECT {} FROM {parent} WHERE {key} = ?1", ident(&inside.range));
        let range: String = site.connection.query_row(&sql, [via], |row| row.get(0)).ok()?;
        range.parse::<Cidr>().ok()
    };
    let address = || value(site, table, &inside.column)?.as_str()?.parse::<Inet>().ok();
    match (range(), address()) {
        (Some(range), Some(address)) => range.contains(address.addr()),
        _ => true,
    }
}

/// The value that the operation gives a column, or leaves it.
fn value(site: &Site<'_>, table: &Table, column: &str) -> Option<Json> {
    let given = match site.op {
        RowOp::Insert { row, .. } => row.get(column),
        RowOp::Update { columns, .. } => columns.get(column),
        RowOp::Delete { .. } => None,
    };
    given.cloned().or_else(|| stored(site, table, column)).filter(|value| !value.is_null())
}

/// The same in words.
fn value_of(site: &Site<'_>, table: &Table, column: &str) -> String {
    match value(site, table, column) {
        Some(value) => format!("`{}`", value_text(&value)),
        None => "no value".to_owned(),
    }
}

/// A message is better without a value than not made at all, so errors are none here.
fn stored(site: &Site<'_>, table: &Table, column: &str) -> Option<Json> {
    let column = table.column(column)?;
    let key = given_key(table, site.op)?;
    let cells: Vec<Cell> = table
        .key()
        .iter()
        .zip(&key)
        .map(|(it, value)| encode(&it.ty, value))
        .collect::<Result<_, _>>()
        .ok()?;
    let terms: Vec<String> = table.key().iter().map(|it| format!("{} = ?", ident(&it.name))).collect();
    let sql =
        format!("SELECT {} FROM {} WHERE {}", ident(&column.name), ident(&table.name), terms.join(" AND "));
    site.connection.query_row(&sql, params_from_iter(&cells), |row| json(row, 0, column)).ok()
}

fn json(row: &Row<'_>, place: usize, column: &Column) -> rusqlite::Result<Json> {
    let cell = match row.get_ref(place)? {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Integer(number),
        ValueRef::Real(number) => Cell::Real(number),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            Cell::Text(String::from_utf8_lossy(bytes).into_owned())
        }
    };
    Ok(decode(&column.ty, cell))
}

/// Which reference dangles in a transaction that could not be committed. What the transaction changed stands in
/// the feed behind `before`; the broken one is among it, for all held before.
pub(super) fn references(
    connection: &Connection,
    plan: &Plan,
    ops: &[RowOp],
    before: Position,
) -> rusqlite::Result<Option<Violation>> {
    let sql =
        "SELECT \"table\", \"key\", \"row\" IS NULL FROM \"_outbox\" WHERE \"seq\" > ?1 ORDER BY \"seq\"";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([before.0])?;
    while let Some(row) = rows.next()? {
        let (table, key, gone): (String, String, bool) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let Some(table) = plan.table(&table) else { continue };
        let suspect = Suspect { connection, plan, ops, table, key: key_cells(&key) };
        let found = if gone { suspect.still_in_use()? } else { suspect.refers_to_nothing()? };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn key_cells(key: &str) -> Vec<Cell> {
    let cells: Vec<Json> = serde_json::from_str(key).unwrap_or_default();
    cells.into_iter().map(Cell::from_outbox).collect()
}

/// A row that the transaction changed.
struct Suspect<'a> {
    connection: &'a Connection,
    plan: &'a Plan,
    ops: &'a [RowOp],
    table: &'a Table,
    key: Vec<Cell>,
}

impl Suspect<'_> {
    fn key_json(&self) -> Vec<Json> {
        let columns = self.table.key().iter().zip(&self.key);
        columns.map(|(column, cell)| decode(&column.ty, cell.clone())).collect()
    }

    /// The operation on this very row; a cascade has none.
    fn op(&self) -> Option<usize> {
        self.ops.iter().position(|op| {
            *op.table() == *self.table.name
                && given_key(self.table, op).is_some_and(|key| {
                    let columns = self.table.key().iter().zip(&key);
                    let cells = columns.map(|(column, value)| encode(&column.ty, value).ok());
                    cells.eq(self.key.iter().cloned().map(Some))
                })
        })
    }

    fn violation(&self, columns: Vec<String>, rule: Broken, message: String) -> Violation {
        let (table, key) = (self.table.name.to_string(), Some(self.key_json()));
        Violation { op: self.op(), table, key, columns, rule, message }
    }

    fn exists(&self, table: &str, column: &str, value: &Sql) -> rusqlite::Result<bool> {
        let sql = format!("SELECT 1 FROM {} WHERE {} = ?1", ident(table), ident(column));
        Ok(self.connection.query_row(&sql, [value], |_| Ok(())).optional()?.is_some())
    }

    /// A reference of the row, as it is now, that leads nowhere.
    fn refers_to_nothing(&self) -> rusqlite::Result<Option<Violation>> {
        let terms: Vec<String> =
            self.table.key().iter().map(|it| format!("{} = ?", ident(&it.name))).collect();
        let (name, terms) = (ident(&self.table.name), terms.join(" AND "));
        for column in &self.table.columns {
            let Some(reference) = &column.reference else { continue };
            let sql = format!("SELECT {} FROM {name} WHERE {terms}", ident(&column.name));
            let value: Option<Sql> =
                self.connection.query_row(&sql, params_from_iter(&self.key), |row| row.get(0)).optional()?;
            let Some(value) = value.filter(|value| *value != Sql::Null) else { continue };
            if self.exists(&reference.table, &reference.column, &value)? {
                continue;
            }
            let value = decode(&column.ty, cell(value));
            let message = format!(
                "{}.{}: there is no {} `{}`",
                self.table.name,
                column.name,
                reference.table,
                value_text(&value)
            );
            let rule = Broken::Reference { to: reference.table.to_string(), value };
            return Ok(Some(self.violation(vec![column.name.clone()], rule, message)));
        }
        Ok(None)
    }

    /// What refers to the row, which is gone.
    fn still_in_use(&self) -> rusqlite::Result<Option<Violation>> {
        let [key] = self.key.as_slice() else { return Ok(None) };
        if self.exists(&self.table.name, &self.table.key()[0].name, &sql(key))? {
            return Ok(None);
        }
        let mut referrers = Vec::new();
        for &(child, place) in &self.table.referrers {
            let child = &self.plan.tables[child];
            self.referrers(child, &child.columns[place], key, &mut referrers)?;
        }
        if referrers.is_empty() {
            return Ok(None);
        }
        let names: Vec<String> =
            referrers.iter().map(|it| format!("{} `{}`", it.table, key_text(&it.key))).collect();
        let more = if referrers.len() >= REFERRERS_NAMED { " and perhaps more" } else { "" };
        let message = format!(
            "{}: `{}` is still in use by {}{more}",
            self.table.name,
            key_text(&self.key_json()),
            names.join(", ")
        );
        Ok(Some(self.violation(Vec::new(), Broken::InUse { referrers }, message)))
    }

    fn referrers(
        &self,
        child: &Table,
        column: &Column,
        key: &Cell,
        found: &mut Vec<Referrer>,
    ) -> rusqlite::Result<()> {
        let columns: Vec<String> = child.key().iter().map(|it| ident(&it.name)).collect();
        let left = REFERRERS_NAMED.saturating_sub(found.len());
        let sql = format!(
            "SELECT {} FROM {} WHERE {} = ?1 LIMIT {left}",
            columns.join(", "),
            ident(&child.name),
            ident(&column.name)
        );
        let mut statement = self.connection.prepare(&sql)?;
        let rows = statement.query_map([key], |row| {
            let key = child.key().iter().enumerate().map(|(place, it)| json(row, place, it));
            key.collect::<rusqlite::Result<Vec<Json>>>()
        })?;
        for key in rows {
            found.push(Referrer { table: child.name.to_string(), column: column.name.clone(), key: key? });
        }
        Ok(())
    }
}

fn cell(value: Sql) -> Cell {
    match value {
        Sql::Null => Cell::Null,
        Sql::Integer(number) => Cell::Integer(number),
        Sql::Real(number) => Cell::Real(number),
        Sql::Text(text) => Cell::Text(text),
        Sql::Blob(bytes) => Cell::Text(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

fn sql(cell: &Cell) -> Sql {
    match cell {
        Cell::Null => Sql::Null,
        Cell::Integer(number) => Sql::Integer(*number),
        Cell::Real(number) => Sql::Real(*number),
        Cell::Text(text) => Sql::Text(text.clone()),
    }
}
