//! Creating, checking and migrating the schema of a file. What a file should look like is asked of SQLite
//! itself: the statements are run on an empty database in memory, and what that has is compared with what the
//! file has.

use super::connection::{self, unavailable};
use super::transaction::Transaction;
use crate::ddl::plan::Plan;
use crate::ddl::sqlite::statements;
use crate::ddl::{Kind, Statement, ident};
use crate::error::{MigrationFault, OpenError, Outage, Unavailable};
use crate::migration::{Migrated, Migration, version};
use rusqlite::{Connection, OptionalExtension};
use std::collections::BTreeMap;
use std::path::Path;

/// Marks our files: "Pony".
const APPLICATION_ID: i64 = 0x506f_6e79;

/// What a file is found to be.
enum Found {
    Empty,
    Version(u32),
}

pub(super) fn migrate(path: &Path, plan: &Plan, migrations: &[Migration]) -> Result<Migrated, OpenError> {
    let at = At { path };
    let wanted = version(migrations);
    let found = at.found()?;
    let connection = connection::writing(path).map_err(|source| at.outage(source))?;
    let found = match found {
        Found::Empty => {
            at.create(&connection, plan, migrations)?;
            return Ok(Migrated::Created);
        }
        Found::Version(found) => found,
    };
    if found > wanted {
        return Err(OpenError::Newer { path: path.to_owned(), found, known: wanted });
    }
    if found < wanted {
        at.upgrade(&connection, plan, migrations, found)?;
        return Ok(Migrated::Upgraded { from: found });
    }
    at.compare(&connection, plan, wanted)?;
    Ok(Migrated::Current)
}

/// Opens a file for writing that has the present version and schema.
pub(super) fn open(path: &Path, plan: &Plan, migrations: &[Migration]) -> Result<Connection, OpenError> {
    let at = At { path };
    let wanted = version(migrations);
    let owned = path.to_owned();
    match at.found()? {
        Found::Empty => Err(OpenError::Absent(owned)),
        Found::Version(found) if found > wanted => {
            Err(OpenError::Newer { path: owned, found, known: wanted })
        }
        Found::Version(found) if found < wanted => Err(OpenError::Outdated { path: owned, found, wanted }),
        Found::Version(_) => {
            let connection = connection::writing(path).map_err(|source| at.outage(source))?;
            at.compare(&connection, plan, wanted)?;
            Ok(connection)
        }
    }
}

/// The file that errors speak of.
struct At<'a> {
    path: &'a Path,
}

impl At<'_> {
    fn outage(&self, source: Unavailable) -> OpenError {
        OpenError::Unavailable { path: self.path.to_owned(), source }
    }

    fn sql(&self, error: &rusqlite::Error) -> OpenError {
        self.outage(unavailable(error))
    }

    fn foreign(&self, reason: impl Into<String>) -> OpenError {
        OpenError::Foreign { path: self.path.to_owned(), reason: reason.into() }
    }

    /// Looks without touching: a connection that writes changes the header of any database that it opens.
    fn found(&self) -> Result<Found, OpenError> {
        let connection = connection::reading(self.path).map_err(|source| match source.outage {
            Outage::Corrupt => self.foreign(source.message),
            _ => self.outage(source),
        })?;
        let objects: i64 = connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .map_err(|error| self.sql(&error))?;
        if objects == 0 {
            return Ok(Found::Empty);
        }
        let id: i64 = connection
            .pragma_query_value(None, "application_id", |row| row.get(0))
            .map_err(|error| self.sql(&error))?;
        if id != APPLICATION_ID {
            return Err(self.foreign(format!("it is marked {id:#x} instead of {APPLICATION_ID:#x}")));
        }
        let version: Option<u32> = connection
            .query_row("SELECT max(\"version\") FROM \"_migration\"", [], |row| row.get(0))
            .optional()
            .map_err(|error| self.foreign(format!("its version cannot be read ({error})")))?
            .flatten();
        version.map(Found::Version).ok_or_else(|| self.foreign("it says no version"))
    }

    fn create(
        &self,
        connection: &Connection,
        plan: &Plan,
        migrations: &[Migration],
    ) -> Result<(), OpenError> {
        let create = || -> rusqlite::Result<()> {
            let transaction = Transaction::begin(connection)?;
            for statement in statements(plan) {
                connection.execute_batch(&statement.sql)?;
            }
            for (index, migration) in migrations.iter().enumerate() {
                record(connection, index, migration)?;
            }
            connection.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.commit()
        };
        create().map_err(|error| self.sql(&error))
    }

    /// Runs the steps after `found`. All or nothing; references are checked at the end, as the steps themselves
    /// may have to break them.
    fn upgrade(
        &self,
        connection: &Connection,
        plan: &Plan,
        migrations: &[Migration],
        found: u32,
    ) -> Result<(), OpenError> {
        let sql = |error: rusqlite::Error| self.sql(&error);
        let fault = |source| OpenError::Migration { path: self.path.to_owned(), source };
        connection.pragma_update(None, "foreign_keys", false).map_err(sql)?;
        let transaction = Transaction::begin(connection).map_err(sql)?;
        drop_derived(connection).map_err(sql)?;
        for (index, migration) in migrations.iter().enumerate().skip(found as usize) {
            let version = version(&migrations[..=index]);
            connection.execute_batch(&migration.sqlite).map_err(|error| {
                fault(MigrationFault::Step {
                    version,
                    name: migration.name.to_string(),
                    message: error.to_string(),
                })
            })?;
            record(connection, index, migration).map_err(sql)?;
        }
        drop_derived(connection).map_err(sql)?;
        for statement in statements(plan).iter().filter(|it| it.kind == Kind::Derived) {
            connection.execute_batch(&statement.sql).map_err(sql)?;
        }
        self.compare(connection, plan, version(migrations))?;
        if let Some((table, parent)) = dangling(connection).map_err(sql)? {
            return Err(fault(MigrationFault::Dangling { table, parent }));
        }
        transaction.commit().map_err(sql)
    }

    /// Everything that the schema asks for is there as it should be. More than that (somebody's own index) is
    /// welcome.
    fn compare(&self, connection: &Connection, plan: &Plan, version: u32) -> Result<(), OpenError> {
        let expected = expected(&statements(plan)).map_err(|error| self.sql(&error))?;
        let actual = objects(connection).map_err(|error| self.sql(&error))?;
        let difference = expected.iter().find_map(|(name, wanted)| match actual.get(name) {
            None => Some(format!("`{name}` is missing")),
            Some(found) if found != wanted => Some(difference(name, wanted, found)),
            Some(_) => None,
        });
        match difference {
            None => Ok(()),
            Some(difference) => Err(OpenError::Differs { path: self.path.to_owned(), version, difference }),
        }
    }
}

/// What the statements make.
fn expected(statements: &[Statement]) -> rusqlite::Result<BTreeMap<String, Vec<String>>> {
    let memory = Connection::open_in_memory()?;
    for statement in statements {
        memory.execute_batch(&statement.sql)?;
    }
    objects(&memory)
}

/// Names the first line that one has and the other has not.
fn difference(name: &str, wanted: &[String], found: &[String]) -> String {
    let missing = wanted.iter().find(|line| !found.contains(line));
    let extra = found.iter().find(|line| !wanted.contains(line));
    match (missing, extra) {
        (Some(missing), Some(extra)) => format!("`{name}` lacks `{missing}` and has `{extra}`"),
        (Some(missing), None) => format!("`{name}` lacks `{missing}`"),
        (None, Some(extra)) => format!("`{name}` has `{extra}` in addition"),
        (None, None) => format!("`{name}` repeats something"),
    }
}

/// Everything in a database by name, tables as their sorted lines.
fn objects(connection: &Connection) -> rusqlite::Result<BTreeMap<String, Vec<String>>> {
    let sql = "SELECT \"type\", \"name\", \"sql\" FROM sqlite_schema WHERE \"sql\" IS NOT NULL \
               AND \"name\" NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| {
        let (kind, name, sql): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let lines = if kind == "table" { table_lines(&sql) } else { vec![sql] };
        Ok((name, lines))
    })?;
    rows.collect()
}

/// The columns and constraints of a CREATE TABLE, sorted: a column that a migration adds comes last.
fn table_lines(sql: &str) -> Vec<String> {
    let body = sql.split_once('(').map_or(sql, |(_, body)| body);
    let (mut lines, mut line, mut depth, mut quote) = (Vec::new(), String::new(), 0usize, None);
    for character in body.chars() {
        match (quote, character) {
            (None, '\'' | '"') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            (None, '(') => depth += 1,
            (None, ')') if depth == 0 => break,
            (None, ')') => depth -= 1,
            _ => {}
        }
        if quote.is_none() && depth == 0 && character == ',' {
            lines.push(std::mem::take(&mut line).trim().to_owned());
        } else {
            line.push(character);
        }
    }
    lines.push(line.trim().to_owned());
    lines.sort();
    lines
}

fn record(connection: &Connection, index: usize, migration: &Migration) -> rusqlite::Result<()> {
    let sql = "INSERT INTO \"_migration\" (\"version\", \"name\") VALUES (?1, ?2)";
    connection.execute(sql, (index as i64 + 1, &migration.name)).map(|_| ())
}

/// Removes all triggers, views and indexes (not those that a PRIMARY KEY implies).
fn drop_derived(connection: &Connection) -> rusqlite::Result<()> {
    let sql = "SELECT \"type\", \"name\" FROM sqlite_schema WHERE \"type\" IN ('trigger', 'view', 'index') \
               AND \"sql\" IS NOT NULL ORDER BY \"type\" = 'view'";
    let mut statement = connection.prepare(sql)?;
    let found: Vec<(String, String)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    for (kind, name) in found {
        connection.execute_batch(&format!("DROP {kind} IF EXISTS {}", ident(&name)))?;
    }
    Ok(())
}

/// A row that refers to nothing: (its table, what it refers to).
fn dangling(connection: &Connection) -> rusqlite::Result<Option<(String, String)>> {
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(2)?));
    connection.query_row("PRAGMA foreign_key_check", [], row).optional()
}
