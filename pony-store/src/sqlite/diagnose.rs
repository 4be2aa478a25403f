//! Which constraint was broken, by what SQLite says. What to tell people is [`crate::words`]'s affair.

use super::connection::unavailable;
use crate::ddl::ident;
use crate::ddl::plan::{Column, Inside, Plan, Table};
use crate::ddl::quota::Quota;
use crate::ddl::sqlite::{Cell, Tag, decode, encode};
use crate::error::{Broken, CommitError, Referrer, Violation};
use crate::op::{Site, given_key, op_on};
use crate::store::{Position, VALUE_BYTES_MAX};
use crate::words::{Failed, REFERRERS_NAMED, dangling, in_use};
use pony_state::{Columns, RowOp, Value};
use rusqlite::types::{Value as Sql, ValueRef};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params_from_iter};
use serde_json::Value as Json;

/// What a statement failed of.
pub(super) fn statement(
    connection: &Connection,
    site: Site<'_>,
    table: &Table,
    error: &rusqlite::Error,
) -> CommitError {
    let message = match error {
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.as_str(),
        _ => "",
    };
    match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => {
            constraint(connection, site, table, message).unwrap_or_else(|| unavailable(error).into())
        }
        Some(ErrorCode::TooBig) => {
            let message =
                format!("{}: the row is too large; {VALUE_BYTES_MAX} bytes are the most", table.name);
            site.violation(table, &[], Broken::TooLarge, message)
        }
        _ => unavailable(error).into(),
    }
}

fn constraint(connection: &Connection, site: Site<'_>, table: &Table, message: &str) -> Option<CommitError> {
    let failed = |name: &str| -> Option<Failed<'_>> {
        let table = site.plan.table(name)?;
        Some(Failed { site, table, stored: stored(connection, site, table) })
    };
    let Some(tag) = Tag::parse(message) else { return untagged(&failed, message) };
    Some(match tag {
        Tag::Key { table } => failed(table)?.key_taken(),
        Tag::Unique { table, number } => {
            let failed = failed(table)?;
            failed.unique_taken(failed.table.uniques.iter().find(|it| it.number == number)?)
        }
        Tag::Check { table, number } => {
            let failed = failed(table)?;
            failed.check(failed.table.checks.iter().find(|it| it.number == number)?)
        }
        Tag::Type { table, column } => failed(table)?.wrong_type(column),
        Tag::Immutable { table, column } => failed(table)?.immutable(column),
        Tag::Overlap { table, number } => {
            let failed = failed(table)?;
            failed.overlap(failed.table.overlaps.iter().find(|it| it.number == number)?)
        }
        Tag::Quota { table: counting, number } => {
            let counting = site.plan.table(counting)?;
            let quota = counting.quotas.iter().find(|it| it.number == number)?;
            return exceeded(connection, &failed(&table.name)?, counting, quota);
        }
        Tag::Inside => outside(connection, &failed(&table.name)?),
        // Values were checked before they came here, and the connection is ours.
        Tag::Inet | Tag::Cidr | Tag::ForeignKeys => return None,
    })
}

/// The messages of SQLite's own: `UNIQUE constraint failed: instance.tenant, instance.name`.
fn untagged<'a>(failed: &impl Fn(&str) -> Option<Failed<'a>>, message: &str) -> Option<CommitError> {
    let (kind, columns) = message.split_once(" constraint failed: ")?;
    let mut names = columns.split(", ").map(|column| column.split_once('.'));
    let (table, first) = names.next()??;
    let failed = failed(table)?;
    match kind {
        "NOT NULL" => Some(failed.site.null(failed.table, failed.table.column(first)?)),
        "UNIQUE" => {
            let message = format!("{columns}: exists already");
            Some(failed.site.violation(failed.table, &[first], Broken::Unique, message))
        }
        _ => None,
    }
}

/// The address of the operation's own row, or of one that refers to it.
fn outside(connection: &Connection, failed: &Failed<'_>) -> CommitError {
    let keeps = |inside: &&Inside| {
        let range = range_of(connection, failed, inside);
        !failed.lies_in(inside, range.as_deref())
    };
    match failed.table.insides.iter().find(keeps) {
        Some(inside) => failed.outside(inside),
        None => failed.leaves_out(),
    }
}

/// The range that an address should lie in.
fn range_of(connection: &Connection, failed: &Failed<'_>, inside: &Inside) -> Option<String> {
    let via = encode(&failed.table.column(&inside.via)?.ty, &failed.value(&inside.via)?).ok()?;
    let (parent, key) = (ident(&inside.parent.table), ident(&inside.parent.column));
    let sql = format!("SELECT {} FROM {parent} WHERE {key} = ?1", ident(&inside.range));
    connection.query_row(&sql, [via], |row| row.get(0)).ok()
}

/// A limit that the operation would exceed. What its owner has is asked now, without it.
fn exceeded(
    connection: &Connection,
    failed: &Failed<'_>,
    counting: &Table,
    quota: &Quota,
) -> Option<CommitError> {
    let is_own = counting.name == failed.table.name;
    let passed = quota.through.iter().position(|hop| hop.table == failed.table.name).filter(|_| !is_own);
    let place = passed.map_or(0, |place| place + 1);
    let column = failed.table.column(&quota.rule.owner[place])?;
    let mut owner = encode(&column.ty, &failed.value(&column.name)?).ok()?;
    for (hop, column) in quota.through[place..].iter().zip(&quota.rule.owner[place + 1..]) {
        let sql =
            format!("SELECT {} FROM {} WHERE {} = ?1", ident(column), ident(&hop.table), ident(&hop.key));
        let text: String = connection.query_row(&sql, [owner], |row| row.get(0)).ok()?;
        owner = Cell::Text(text);
    }
    let by = quota.rule.by.as_ref().filter(|_| is_own);
    let by = by.and_then(|by| encode(&failed.table.column(by)?.ty, &failed.value(by)?).ok());
    let asked = match passed {
        None => amount(failed, quota),
        Some(place) => passing(connection, failed, counting, quota, place).unwrap_or_default(),
    };
    let narrow = quota.rule.by.as_ref().filter(|_| is_own);
    let concerns =
        narrow.map(|by| format!(" AND (q.{0} IS NULL OR q.{0} = ?2)", ident(by))).unwrap_or_default();
    let used = quota.used(&|name| ident(name), counting);
    let sql = format!(
        "SELECT q.\"limit\", {used} FROM {} AS q WHERE {} AND q.{} = ?1{concerns} ORDER BY q.\"limit\" - {used}",
        ident(&quota.rule.limits),
        quota.of_kind(),
        quota.owner_column(),
    );
    let mut cells = vec![owner];
    cells.extend(narrow.map(|_| by.unwrap_or(Cell::Null)));
    let read = |row: &Row<'_>| Ok((number(row.get_ref(0)?), number(row.get_ref(1)?)));
    let (limit, used) = connection.query_row(&sql, params_from_iter(&cells), read).ok()?;
    Some(failed.exceeded(quota, limit, used, asked))
}

/// How much more the operation's own row would count.
fn amount(failed: &Failed<'_>, quota: &Quota) -> f64 {
    let Some(column) = &quota.rule.amount else { return 1.0 };
    let new = failed.value(column).and_then(|it| it.as_f64()).unwrap_or_default();
    let stored = failed.stored.as_ref();
    let counted = |row: &&Columns| {
        let counts = quota
            .rule
            .when
            .as_ref()
            .is_none_or(|(name, word)| row.get(name) == Some(&Json::from(word.as_str())));
        let owner = &quota.rule.owner[0];
        counts && row.get(owner) == failed.value(owner).as_ref()
    };
    let old = stored.filter(counted).and_then(|row| row.get(column)?.as_f64()).unwrap_or_default();
    new - old
}

/// How much counts by way of the operation's row.
fn passing(
    connection: &Connection,
    failed: &Failed<'_>,
    counting: &Table,
    quota: &Quota,
    place: usize,
) -> Option<f64> {
    let hop = &quota.through[place];
    let key =
        encode(&failed.table.column(&hop.key)?.ty, given_key(failed.table, failed.site.op)?.first()?).ok()?;
    let sql = format!(
        "SELECT coalesce(sum({}), 0) FROM {} AS it{} WHERE p{place}.{} = ?1",
        quota.amount("it"),
        ident(&counting.name),
        quota.joins(&|name| ident(name)),
        ident(&hop.key)
    );
    connection.query_row(&sql, [key], |row| Ok(number(row.get_ref(0)?))).ok()
}

fn number(value: ValueRef<'_>) -> f64 {
    match value {
        ValueRef::Integer(number) => number as f64,
        ValueRef::Real(number) => number,
        _ => 0.0,
    }
}

/// The operation's row as it is. Errors are none here: see [`Failed::stored`].
fn stored(connection: &Connection, site: Site<'_>, table: &Table) -> Option<Columns> {
    let key = given_key(table, site.op)?;
    let columns = table.key().iter().zip(&key);
    let cells: Vec<Cell> = columns.map(|(it, value)| encode(&it.ty, value)).collect::<Result<_, _>>().ok()?;
    let names: Vec<String> = table.columns.iter().map(|it| ident(&it.name)).collect();
    let terms: Vec<String> = table.key().iter().map(|it| format!("{} = ?", ident(&it.name))).collect();
    let sql =
        format!("SELECT {} FROM {} WHERE {}", names.join(", "), ident(&table.name), terms.join(" AND "));
    let read = |row: &Row<'_>| {
        let columns = table.columns.iter().enumerate();
        columns.map(|(place, it)| Ok((it.name.clone(), json(row, place, it)?))).collect()
    };
    connection.query_row(&sql, params_from_iter(&cells), read).ok()
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
        let columns = self.table.key().iter().zip(self.key_json());
        let key: Option<Vec<Value>> =
            columns.map(|(column, json)| Value::from_json(&column.ty, &json).ok()).collect();
        op_on(self.table, &key?, self.ops)
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
            let names = (column.name.as_str(), &*reference.table);
            return Ok(Some(dangling(self.table, self.key_json(), self.op(), names, value)));
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
        Ok(Some(in_use(self.table, self.key_json(), self.op(), referrers)))
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
