//! Connections, and what an error of SQLite's means.

use crate::error::{Outage, Unavailable};
use crate::store::Position;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::path::Path;
use std::time::Duration;

/// Milliseconds to wait while another process (somebody's shell) holds the database locked: short enough for a
/// user who waits for an answer, longer than any single statement of a person.
const LOCK_WAIT_MS: u64 = 800;

/// KiB of pages that a connection keeps; the tables' upper levels and what is being worked on.
const CACHE_KIB: i64 = 16 * 1024;

/// Bytes to which the write-ahead log shrinks again after a large transaction.
const LOG_BYTES_KEPT: i64 = 64 * 1024 * 1024;

/// Statements kept prepared: a few per table.
const STATEMENTS_KEPT: usize = 256;

/// A connection that writes. A transaction is on disk when its commit returns: the log is synced by each.
pub(super) fn writing(path: &Path) -> Result<Connection, Unavailable> {
    let connection = open(path)?;
    configure(&connection).map_err(|error| unavailable(&error))?;
    Ok(connection)
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)?;
    connection.pragma_update(None, "foreign_keys", true)
}

/// A connection that only reads.
pub(super) fn reading(path: &Path) -> Result<Connection, Unavailable> {
    let connection = open(path)?;
    connection.pragma_update(None, "query_only", true).map_err(|error| unavailable(&error))?;
    Ok(connection)
}

/// A connection to a file that exists. (Where the file allows no writing, SQLite opens it for reading, and the
/// first write says so.)
fn open(path: &Path) -> Result<Connection, Unavailable> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let prepare = |connection: &Connection| -> rusqlite::Result<()> {
        connection.busy_timeout(Duration::from_millis(LOCK_WAIT_MS))?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        connection.pragma_update(None, "cache_size", -CACHE_KIB)
    };
    let connection = Connection::open_with_flags(path, flags).map_err(|error| unavailable(&error))?;
    prepare(&connection).map_err(|error| unavailable(&error))?;
    Ok(connection)
}

/// The last position of the feed, whether or not it is kept.
pub(super) fn newest(connection: &Connection) -> rusqlite::Result<Position> {
    let sql = "SELECT ifnull(max(\"seq\"), 0) FROM sqlite_sequence WHERE \"name\" = '_outbox'";
    connection.prepare_cached(sql)?.query_row([], |row| row.get(0)).map(Position)
}

/// What an error that is nobody's fault means.
pub(super) fn unavailable(error: &rusqlite::Error) -> Unavailable {
    let (outage, words) = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => (Outage::Full, "there is no space left"),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            (Outage::Locked, "another process holds it locked")
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => (Outage::ReadOnly, "it can only be read"),
        Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) => (Outage::Io, "reading or writing failed"),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            (Outage::Corrupt, "its contents are damaged, or no database")
        }
        _ => (Outage::Internal, "an unexpected error"),
    };
    Unavailable::new(outage, format!("{words} ({error})"))
}
