//! The boundary between Sparkle and whatever keeps desired state: what goes in, what comes out, in which order.
//! It names no database.

use crate::error::{CommitError, FeedError, LoadError, Outage, Unavailable};
use async_trait::async_trait;
use pony_state::{Columns, RowOp, Value};
use serde_json::Value as Json;
use std::fmt;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

/// Rows in one [`Batch`] of a [`Load`]: large enough to amortise a hand-over, small enough (some 100 kB) to
/// bound what waits between database and memory.
pub const BATCH_ROWS: usize = 1000;

/// Milliseconds for which a [`Load`] waits for its reader to take a batch, before it lets go of its snapshot:
/// a forgotten one would keep the database from reclaiming space.
pub const LOAD_STALL_MS: u64 = 60_000;

/// Operations in one transaction of a request. It bounds how long others wait for the writer (some seconds at worst); the
/// largest documents that people apply at once have some thousands.
pub const COMMIT_OPS_MAX: usize = 50_000;

/// Bytes of one column's value, as text: user data, configuration and descriptions fit in; a file does not.
pub const VALUE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A place in the feed of changes: everything up to and including it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Position(pub i64);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One committed change of one row, whoever made it.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Where it stands in the feed.
    pub position: Position,
    /// Which transaction made it. Changes of one transaction are neighbours and have the same number; what
    /// others than this store wrote between two of its transactions may share a number.
    pub txn: i64,
    /// The table.
    pub table: Arc<str>,
    /// The key's values, in the order of the table's key columns.
    pub key: Vec<Json>,
    /// The row as it is since then, key columns included and null columns left out; `None` where it is gone.
    pub row: Option<Columns>,
}

/// A stretch of the feed. It ends at the end of a transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Changes {
    /// The changes, in commit order.
    pub changes: Vec<Change>,
    /// The position to ask from next.
    pub position: Position,
    /// Whether more is known to be there already.
    pub more: bool,
}

/// The answer to a commit: it is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Whoever read the feed up to here has seen the transaction. Where it changed nothing, this is the last
    /// position before it.
    pub position: Position,
}

/// Some rows of one table.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The table.
    pub table: Arc<str>,
    columns: Arc<[String]>,
    /// Row after row: one allocation for all of them, whatever their number.
    values: Vec<Value>,
}

impl Batch {
    pub(crate) fn new(table: Arc<str>, columns: Arc<[String]>) -> Self {
        Self { table, columns, values: Vec::new() }
    }

    /// Takes one more value; rows are complete once all their columns came.
    pub(crate) fn push(&mut self, value: Value) {
        self.values.push(value);
    }

    /// How many rows it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len() / self.columns.len().max(1)
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The rows: the values of the key columns, then those of the other columns, as the table declares them.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[Value]> {
        self.values.chunks_exact(self.columns.len().max(1))
    }

    /// A row of it as JSON, key columns included and null columns left out.
    #[must_use]
    pub fn to_columns(&self, row: &[Value]) -> Columns {
        let present = self.columns.iter().zip(row).filter(|(_, value)| !value.is_null());
        present.map(|(name, value)| (name.clone(), value.to_json())).collect()
    }
}

/// Everything that there is, as of one moment: all batches come from one snapshot, which is the state at
/// [`Load::position`].
#[derive(Debug)]
pub struct Load {
    position: Position,
    /// The batches, and a `None` when there are no more: a channel that closes without it was cut off.
    batches: mpsc::Receiver<Result<Option<Batch>, LoadError>>,
    ended: bool,
}

impl Load {
    pub(crate) fn new(position: Position, batches: mpsc::Receiver<Result<Option<Batch>, LoadError>>) -> Self {
        Self { position, batches, ended: false }
    }

    /// Where the feed continues what was loaded.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// The next rows; `None` once every row of every table was given. Tables come one after the other.
    ///
    /// # Errors
    /// [`LoadError`], after which the load has ended and what came out of it is incomplete.
    pub async fn next(&mut self) -> Result<Option<Batch>, LoadError> {
        if self.ended {
            return Ok(None);
        }
        match self.batches.recv().await {
            Some(Ok(Some(batch))) => Ok(Some(batch)),
            Some(Ok(None)) => {
                self.ended = true;
                Ok(None)
            }
            Some(Err(error)) => {
                self.ended = true;
                Err(error)
            }
            None => {
                self.ended = true;
                Err(LoadError::Interrupted)
            }
        }
    }
}

/// The database that keeps desired state.
///
/// One Sparkle at a time writes through it. Others may write to the database by their own means; the feed shows
/// their changes as well.
#[async_trait]
pub trait DesiredStore: Send + Sync {
    /// Reads everything, in bounded pieces, from one snapshot.
    ///
    /// # Errors
    /// [`LoadError`], where the snapshot cannot be taken.
    async fn load(&self) -> Result<Load, LoadError>;

    /// Applies the operations in their order, in one transaction: all or nothing. References are checked at its
    /// end, so that a row may precede what it refers to. Once this answers with success, the transaction
    /// survives a crash.
    ///
    /// Where the future is dropped, the transaction may still be committed; the feed tells.
    ///
    /// # Errors
    /// [`CommitError`]; nothing was changed then.
    async fn commit(&self, ops: Vec<RowOp>) -> Result<Committed, CommitError> {
        only(self.commit_all(vec![ops]).await)
    }

    /// Does the same for several transactions, each of which may rest upon those before it: one after the other, up to
    /// the first that fails, with one wait for the disk where that works. Gives one answer for each that was tried, in
    /// their order, which is one at least; what is behind those was not tried.
    async fn commit_all(&self, requests: Vec<Vec<RowOp>>) -> Vec<Result<Committed, CommitError>>;

    /// [`DesiredStore::commit`] without a bound on the number of operations, for which it takes its time, meanwhile
    /// nobody else commits through this store: to fill a database that nobody works with yet.
    ///
    /// # Errors
    /// [`CommitError`]; nothing was changed then.
    async fn import(&self, ops: Vec<RowOp>) -> Result<Committed, CommitError>;

    /// What was committed after `position`: `limit` changes at the most, but at least one transaction in full
    /// where there is any.
    ///
    /// # Errors
    /// [`FeedError::Gap`] where `position` lies outside of what is kept (load again), otherwise
    /// [`FeedError::Unavailable`].
    async fn changes_after(&self, position: Position, limit: usize) -> Result<Changes, FeedError>;

    /// The last position that is known to be committed; it wakes its readers whenever there may be more than they know.
    fn subscribe(&self) -> watch::Receiver<Position>;

    /// Asks to be the one that writes. Whoever is raises the controller epoch, durably; hosts refuse commands of a lower
    /// one, and so does the database: once somebody else leads, nothing is committed through this store any more.
    ///
    /// # Errors
    /// [`Unavailable`]; the epoch may have been raised nevertheless, which does no harm.
    async fn take_lead(&self, claim: &Claim) -> Result<Lead, Unavailable>;

    /// Keeps the lead for another [`Claim::ttl_ms`]. Says whether it is still held.
    ///
    /// # Errors
    /// [`Unavailable`]; whether it is held is not known then. Nobody else may write before having taken it.
    async fn renew_lead(&self) -> Result<bool, Unavailable>;

    /// Gives the lead up, so that the next one need not wait. Errors are none: it runs out by itself.
    async fn resign(&self);
}

/// The answer to a single request.
pub(crate) fn only(mut results: Vec<Result<Committed, CommitError>>) -> Result<Committed, CommitError> {
    let unanswered = || Unavailable::new(Outage::Internal, "a commit was not answered").into();
    results.pop().unwrap_or_else(|| Err(unanswered()))
}

/// Who wants to lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The process.
    pub holder: Uuid,
    /// The same for people: where it can be found.
    pub name: String,
    /// Milliseconds after which others may lead if nothing is heard of it.
    pub ttl_ms: u64,
}

/// Who leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lead {
    /// This one, in that epoch.
    Own {
        /// The epoch, higher than any before.
        epoch: u64,
    },
    /// Another one.
    Others {
        /// Its [`Claim::name`].
        name: String,
    },
}
