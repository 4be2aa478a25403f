//! The one thread that writes. Requests share a transaction, so that many of them cost one sync; each is all or
//! nothing by itself, and those behind one that fails are left for later.

use super::apply;
use super::connection::{self, unavailable};
use super::diagnose;
use super::transaction::Transaction;
use crate::ddl::plan::Plan;
use crate::error::{CommitError, Outage, Unavailable};
use crate::queue::{Group, Queue, Results, closed, tell, trim_to};
use crate::store::{Committed, Position};
use pony_state::RowOp;
use rusqlite::{Connection, ErrorCode};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// Milliseconds that a request waits for its turn before it is refused: a user is told that the database is
/// unavailable rather than nothing.
const TURN_WAIT_MS: u64 = 5_000;

#[derive(Debug)]
enum Request {
    Commit(Group),
    RaiseEpoch(oneshot::Sender<Result<u64, Unavailable>>),
}

/// The way to the thread.
#[derive(Debug)]
pub(super) struct Writer {
    /// Dropped to stop it.
    requests: Option<Queue<Request>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        plan: Arc<Plan>,
        rows_kept: u32,
        told: Arc<watch::Sender<Position>>,
    ) -> Result<Self, Unavailable> {
        let (requests, queue) = Queue::new(Duration::from_millis(TURN_WAIT_MS));
        let worker = Worker { connection, plan, rows_kept: i64::from(rows_kept), told };
        let thread =
            thread::Builder::new().name("store-write".to_owned()).spawn(move || worker.run(queue)).map_err(
                |error| Unavailable::new(Outage::Internal, format!("no thread can be had ({error})")),
            )?;
        Ok(Self { requests: Some(requests), thread: Some(thread) })
    }

    /// Waits for what is being written, refuses what waits.
    pub(super) fn stop(&mut self) {
        drop(self.requests.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes to the database has panicked");
        }
    }

    pub(super) async fn commit(&self, requests: Vec<Vec<RowOp>>) -> Results {
        match &self.requests {
            Some(queue) => queue.commit(requests, Request::Commit).await,
            None => vec![Err(closed().into())],
        }
    }

    pub(super) async fn import(&self, ops: Vec<RowOp>) -> Results {
        match &self.requests {
            Some(queue) => queue.commit_any(vec![ops], Request::Commit).await,
            None => vec![Err(closed().into())],
        }
    }

    pub(super) async fn raise_epoch(&self) -> Result<u64, Unavailable> {
        let Some(queue) = &self.requests else { return Err(closed()) };
        queue.ask(Request::RaiseEpoch).await?
    }
}

/// How a transaction of several requests can fail as a whole.
enum Failure {
    /// Some reference of some request dangles: SQLite does not say whose.
    Dangling,
    Outage(Unavailable),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Outage(unavailable(&error))
    }
}

struct Worker {
    connection: Connection,
    plan: Arc<Plan>,
    rows_kept: i64,
    told: Arc<watch::Sender<Position>>,
}

impl Worker {
    fn run(self, mut queue: mpsc::Receiver<Request>) {
        while let Some(request) = queue.blocking_recv() {
            match request {
                Request::Commit(group) => self.commit(group),
                Request::RaiseEpoch(answer) => {
                    let _ = answer.send(self.raise_epoch().map_err(|error| unavailable(&error)));
                }
            }
        }
    }

    /// Commits the requests up to the first that fails, and answers them.
    fn commit(&self, group: Group) {
        let Some(group) = group.in_time(Duration::from_millis(TURN_WAIT_MS)) else { return };
        let ops: Vec<&[RowOp]> = group.requests.iter().map(Vec::as_slice).collect();
        let results = self.results(&ops);
        if let Ok(newest) = connection::newest(&self.connection) {
            tell(&self.told, newest);
        }
        group.answer(results);
        if let Err(error) = self.trim() {
            tracing::warn!(error = %unavailable(&error), "the feed of changes could not be trimmed");
        }
    }

    fn results(&self, group: &[&[RowOp]]) -> Results {
        match self.attempt(group) {
            Ok(results) => results,
            // Whose reference dangles shows when each goes by itself; so the others are left for later.
            Err(Failure::Dangling) => self.results_of_one(group[0]),
            Err(Failure::Outage(outage)) => group.iter().map(|_| Err(outage.clone().into())).collect(),
        }
    }

    /// The same for a request by itself.
    fn results_of_one(&self, ops: &[RowOp]) -> Results {
        match self.attempt(&[ops]) {
            Ok(results) => results,
            Err(Failure::Outage(outage)) => vec![Err(outage.into())],
            Err(Failure::Dangling) => {
                vec![Err(Unavailable::new(Outage::Internal, "a broken reference was not found").into())]
            }
        }
    }

    /// One SQL transaction for the requests up to the first that fails, which leaves nothing of itself in it.
    fn attempt(&self, group: &[&[RowOp]]) -> Result<Results, Failure> {
        let transaction = Transaction::begin(&self.connection)?;
        let before = connection::newest(&self.connection)?;
        let mut results = Vec::with_capacity(group.len());
        for ops in group {
            results.push(self.apply(ops)?);
            if results.last().is_some_and(Result::is_err) {
                break;
            }
        }
        if results.iter().all(Result::is_err) {
            return Ok(results);
        }
        let Err(error) = transaction.commit() else { return Ok(results) };
        if error.sqlite_error_code() != Some(ErrorCode::ConstraintViolation) {
            return Err(error.into());
        }
        let [ops] = group else { return Err(Failure::Dangling) };
        match diagnose::references(&self.connection, &self.plan, ops, before)? {
            Some(violation) => Ok(vec![Err(CommitError::from_violation(violation))]),
            None => Err(Failure::Dangling),
        }
    }

    /// One request inside of the transaction. The outer error ends the transaction, the inner one only the
    /// request.
    fn apply(&self, ops: &[RowOp]) -> Result<Result<Committed, CommitError>, Failure> {
        self.connection.prepare_cached("SAVEPOINT \"request\"")?.execute([])?;
        self.connection.prepare_cached("UPDATE \"_meta\" SET \"txn\" = \"txn\" + 1")?.execute([])?;
        let applied = apply::apply(&self.connection, &self.plan, ops);
        if let Err(CommitError::Unavailable(outage)) = applied {
            return Err(Failure::Outage(outage));
        }
        if applied.is_err() {
            self.connection.prepare_cached("ROLLBACK TO \"request\"")?.execute([])?;
        }
        self.connection.prepare_cached("RELEASE \"request\"")?.execute([])?;
        let position = connection::newest(&self.connection)?;
        Ok(applied.map(|()| Committed { position }))
    }

    fn raise_epoch(&self) -> rusqlite::Result<u64> {
        let sql = "UPDATE \"_meta\" SET \"epoch\" = \"epoch\" + 1 RETURNING \"epoch\"";
        self.connection.query_row(sql, [], |row| row.get(0)).map(i64::unsigned_abs)
    }

    /// Forgets the oldest changes, once there are too many.
    fn trim(&self) -> rusqlite::Result<()> {
        let newest = connection::newest(&self.connection)?;
        let sql = "SELECT \"trimmed\" FROM \"_meta\"";
        let trimmed: i64 = self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        let Some(last) = trim_to(newest, trimmed, self.rows_kept) else { return Ok(()) };
        // A trigger notes up to where.
        self.connection.execute("DELETE FROM \"_outbox\" WHERE \"seq\" <= ?1", [last]).map(|_| ())
    }
}
