//! Reading: the feed, and everything at once. Both from snapshots that the writer does not disturb.

use super::connection::{self, unavailable};
use super::internal;
use crate::ddl::ident;
use crate::ddl::plan::{Plan, Table};
use crate::ddl::sqlite::{Cell, decode, to_value};
use crate::error::{FeedError, LoadError, Outage, Unavailable};
use crate::store::{BATCH_ROWS, Batch, Change, Changes, LOAD_STALL_MS, Load, Position};
use pony_state::Columns;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use serde_json::Value as Json;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

/// Batches between a load's database and its reader: one being filled while another is being taken apart.
const BATCHES_WAITING: usize = 2;

/// The connection for the feed, and what the tables are.
#[derive(Debug)]
pub(super) struct Reader {
    path: PathBuf,
    plan: Arc<Plan>,
    connection: Mutex<Connection>,
}

impl Reader {
    pub(super) fn open(path: &Path, plan: Arc<Plan>) -> Result<Self, Unavailable> {
        let connection = Mutex::new(connection::reading(path)?);
        Ok(Self { path: path.to_owned(), plan, connection })
    }

    /// A panic of another reader leaves nothing half-done in a connection that only reads.
    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last position of the feed.
    pub(super) fn newest(&self) -> Result<Position, Unavailable> {
        connection::newest(&self.connection()).map_err(|error| unavailable(&error))
    }

    pub(super) fn changes_after(&self, position: Position, limit: usize) -> Result<Changes, FeedError> {
        let mut connection = self.connection();
        // Dropped, it ends.
        let snapshot = connection.transaction().map_err(|error| unavailable(&error))?;
        let newest = connection::newest(&snapshot).map_err(|error| unavailable(&error))?;
        let sql = "SELECT \"trimmed\" FROM \"_meta\"";
        let oldest: i64 =
            snapshot.query_row(sql, [], |row| row.get(0)).map_err(|error| unavailable(&error))?;
        if position.0 < oldest || position > newest {
            return Err(FeedError::Gap { asked: position, oldest: Position(oldest), newest });
        }
        Ok(self.stretch(&snapshot, position, limit).map_err(|error| unavailable(&error))?)
    }

    /// Whole transactions from `position` on, as many as `limit` allows, but one at least.
    fn stretch(
        &self,
        connection: &Connection,
        position: Position,
        limit: usize,
    ) -> rusqlite::Result<Changes> {
        let sql = "SELECT \"seq\", \"txn\", \"table\", \"key\", \"row\" FROM \"_outbox\" WHERE \"seq\" > ?1 ORDER BY \"seq\"";
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query([position.0])?;
        let mut found = Changes { changes: Vec::new(), position, more: false };
        // Where the transaction that is being read began.
        let mut begun = 0;
        while let Some(row) = rows.next()? {
            let txn: i64 = row.get(1)?;
            let continues = found.changes.last().is_some_and(|last| last.txn == txn);
            if !continues {
                begun = found.changes.len();
            }
            if found.changes.len() >= limit.max(1) && begun > 0 {
                found.changes.truncate(begun);
                found.more = true;
                break;
            }
            found.changes.extend(self.change(row, txn)?);
        }
        found.position = found.changes.last().map_or(position, |last| last.position);
        Ok(found)
    }

    /// One entry. One of a table that is not there any more says nothing to anybody.
    fn change(&self, row: &Row<'_>, txn: i64) -> rusqlite::Result<Option<Change>> {
        let table = text(row.get_ref(2)?);
        let Some(table) = self.plan.table(&table) else { return Ok(None) };
        let key: Vec<Json> = serde_json::from_str(&text(row.get_ref(3)?)).unwrap_or_default();
        let columns = table.key().iter().zip(key);
        let key = columns.map(|(column, cell)| decode(&column.ty, Cell::from_outbox(cell))).collect();
        let row_now = match row.get_ref(4)? {
            ValueRef::Null => None,
            cells => Some(from_outbox(table, &text(cells))),
        };
        Ok(Some(Change {
            position: Position(row.get(0)?),
            txn,
            table: Arc::clone(&table.name),
            key,
            row: row_now,
        }))
    }
}

/// Text, also where somebody stored what is none.
fn text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Null => String::new(),
    }
}

/// The row of an outbox entry, nulls left out.
fn from_outbox(table: &Table, cells: &str) -> Columns {
    let mut cells: Columns = serde_json::from_str(cells).unwrap_or_default();
    let present = table.columns.iter().filter_map(|column| {
        let value = decode(&column.ty, Cell::from_outbox(cells.remove(&column.name)?));
        (!value.is_null()).then(|| (column.name.clone(), value))
    });
    present.collect()
}

/// Reads the row of a table whose columns were selected in their order.
fn from_table(table: &Table, row: &Row<'_>, batch: &mut Batch) -> rusqlite::Result<()> {
    for (place, column) in table.columns.iter().enumerate() {
        let cell = match row.get_ref(place)? {
            ValueRef::Null => Cell::Null,
            ValueRef::Integer(number) => Cell::Integer(number),
            ValueRef::Real(number) => Cell::Real(number),
            other => Cell::Text(text(other)),
        };
        batch.push(to_value(&column.ty, cell));
    }
    Ok(())
}

/// Starts reading everything.
pub(super) async fn load(reader: Arc<Reader>) -> Result<Load, LoadError> {
    let (begun, begins) = oneshot::channel();
    let (batches, taken) = mpsc::channel(BATCHES_WAITING);
    let runtime = Handle::current();
    let task = tokio::task::spawn_blocking(move || {
        let loader = Loader { plan: &reader.plan, runtime, batches: &batches };
        let ended = loader.run(&reader.path, begun);
        // An end that nobody waits for any more needs no telling.
        let _ = loader.give(ended.map(|()| None));
    });
    match begins.await {
        Ok(position) => Ok(Load::new(position, taken)),
        Err(_) => Err(why_not(task, taken).await),
    }
}

/// Why a load did not even begin.
async fn why_not(
    task: tokio::task::JoinHandle<()>,
    mut taken: mpsc::Receiver<Result<Option<Batch>, LoadError>>,
) -> LoadError {
    if let Some(Err(error)) = taken.recv().await {
        return error;
    }
    match task.await {
        Err(error) => internal(&error).into(),
        Ok(()) => LoadError::Interrupted,
    }
}

struct Loader<'a> {
    plan: &'a Plan,
    runtime: Handle,
    batches: &'a mpsc::Sender<Result<Option<Batch>, LoadError>>,
}

impl Loader<'_> {
    fn run(&self, path: &Path, begun: oneshot::Sender<Position>) -> Result<(), LoadError> {
        let mut connection = connection::reading(path)?;
        let snapshot = connection.transaction().map_err(|error| unavailable(&error))?;
        let position = connection::newest(&snapshot).map_err(|error| unavailable(&error))?;
        if begun.send(position).is_err() {
            return Ok(());
        }
        self.plan.tables.iter().try_for_each(|table| self.table(&snapshot, table))
    }

    fn table(&self, connection: &Connection, table: &Table) -> Result<(), LoadError> {
        let unavailable = |error: rusqlite::Error| unavailable(&error);
        let columns: Vec<String> = table.columns.iter().map(|column| ident(&column.name)).collect();
        let sql = format!("SELECT {} FROM {}", columns.join(", "), ident(&table.name));
        let mut statement = connection.prepare(&sql).map_err(unavailable)?;
        let mut rows = statement.query([]).map_err(unavailable)?;
        let empty = || Batch::new(Arc::clone(&table.name), table.column_names());
        let mut batch = empty();
        while let Some(row) = rows.next().map_err(unavailable)? {
            from_table(table, row, &mut batch).map_err(unavailable)?;
            if batch.len() == BATCH_ROWS {
                self.give(Ok(Some(std::mem::replace(&mut batch, empty()))))?;
            }
        }
        if batch.is_empty() { Ok(()) } else { self.give(Ok(Some(batch))) }
    }

    /// Waits until there is room, but not for ever.
    fn give(&self, batch: Result<Option<Batch>, LoadError>) -> Result<(), LoadError> {
        let limit = Duration::from_millis(LOAD_STALL_MS);
        match self.runtime.block_on(self.batches.send_timeout(batch, limit)) {
            Ok(()) => Ok(()),
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => {
                Err(LoadError::Stalled { after_ms: LOAD_STALL_MS })
            }
            Err(mpsc::error::SendTimeoutError::Closed(_)) => {
                Err(Unavailable::new(Outage::Closed, "nobody reads what is loaded").into())
            }
        }
    }
}
