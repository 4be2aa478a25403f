//! The one thread that writes. Requests that wait while a transaction is being synced share the next one, so
//! that many writers cost one sync; each is still all or nothing by itself.

use super::apply;
use super::connection::{self, unavailable};
use super::diagnose;
use super::follow::tell;
use super::transaction::Transaction;
use crate::ddl::plan::Plan;
use crate::error::{CommitError, Outage, Unavailable};
use crate::store::{Committed, Position};
use pony_state::RowOp;
use rusqlite::{Connection, ErrorCode};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};

/// Requests that wait for the writer; as many as clients plausibly write at once. More of them wait outside.
const REQUESTS_WAITING: usize = 256;

/// Requests in one transaction: beyond some dozens the shared sync costs each next to nothing, while all wait
/// longer.
const GROUP_MAX: usize = 64;

/// Operations in one transaction of several requests, for the same reason.
const GROUP_OPS_MAX: usize = 4096;

/// Milliseconds that a request waits for its turn before it is refused: a user is told that the database is
/// unavailable rather than nothing.
const TURN_WAIT_MS: u64 = 5_000;

/// Feed entries forgotten at one go: some 50 ms of work.
const TRIM_ROWS_MAX: i64 = 50_000;

type Answer<T, E> = oneshot::Sender<Result<T, E>>;

enum Request {
    Commit(Commit),
    RaiseEpoch(Answer<u64, Unavailable>),
}

struct Commit {
    ops: Vec<RowOp>,
    queued: Instant,
    answer: Answer<Committed, CommitError>,
}

/// The way to the thread.
#[derive(Debug)]
pub(super) struct Writer {
    /// Dropped to stop it.
    requests: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        plan: Arc<Plan>,
        rows_kept: u32,
        told: Arc<watch::Sender<Position>>,
    ) -> Result<Self, Unavailable> {
        let (requests, queue) = mpsc::channel(REQUESTS_WAITING);
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

    pub(super) async fn commit(&self, ops: Vec<RowOp>) -> Result<Committed, CommitError> {
        let (answer, answered) = oneshot::channel();
        self.send(Request::Commit(Commit { ops, queued: Instant::now(), answer })).await?;
        answered.await.unwrap_or_else(|_| Err(closed().into()))
    }

    pub(super) async fn raise_epoch(&self) -> Result<u64, Unavailable> {
        let (answer, answered) = oneshot::channel();
        self.send(Request::RaiseEpoch(answer)).await?;
        answered.await.unwrap_or_else(|_| Err(closed()))
    }

    async fn send(&self, request: Request) -> Result<(), Unavailable> {
        let Some(requests) = &self.requests else { return Err(closed()) };
        match requests.send_timeout(request, Duration::from_millis(TURN_WAIT_MS)).await {
            Ok(()) => Ok(()),
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => Err(overloaded()),
            Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(closed()),
        }
    }
}

fn closed() -> Unavailable {
    Unavailable::new(Outage::Closed, "the store was closed")
}

fn overloaded() -> Unavailable {
    Unavailable::new(Outage::Overloaded, format!("a request waited for {TURN_WAIT_MS} ms without its turn"))
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

type Results = Vec<Result<Committed, CommitError>>;

struct Worker {
    connection: Connection,
    plan: Arc<Plan>,
    rows_kept: i64,
    told: Arc<watch::Sender<Position>>,
}

impl Worker {
    fn run(self, mut queue: mpsc::Receiver<Request>) {
        let mut next = queue.blocking_recv();
        while let Some(request) = next.take() {
            match request {
                Request::Commit(first) => {
                    let (group, left) = gather(first, &mut queue);
                    self.commit(group);
                    next = left;
                }
                Request::RaiseEpoch(answer) => {
                    let _ = answer.send(self.raise_epoch().map_err(|error| unavailable(&error)));
                }
            }
            next = next.or_else(|| queue.blocking_recv());
        }
    }

    /// Commits the requests, together where that works, and answers them.
    fn commit(&self, group: Vec<Commit>) {
        let (group, late): (Vec<_>, Vec<_>) =
            group.into_iter().partition(|it| it.queued.elapsed() < Duration::from_millis(TURN_WAIT_MS));
        for commit in late {
            let _ = commit.answer.send(Err(overloaded().into()));
        }
        let ops: Vec<&[RowOp]> = group.iter().map(|it| it.ops.as_slice()).collect();
        let results = self.results(&ops);
        if let Ok(newest) = connection::newest(&self.connection) {
            tell(&self.told, newest);
        }
        // Whoever asked may have gone; that changes nothing.
        for (commit, result) in group.into_iter().zip(results) {
            let _ = commit.answer.send(result);
        }
        if let Err(error) = self.trim() {
            tracing::warn!(error = %unavailable(&error), "the feed of changes could not be trimmed");
        }
    }

    fn results(&self, group: &[&[RowOp]]) -> Results {
        match self.attempt(group) {
            Ok(results) => results,
            Err(Failure::Dangling) => group.iter().flat_map(|&ops| self.results_of_one(ops)).collect(),
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

    /// One SQL transaction for all requests; those that fail leave nothing of themselves in it.
    fn attempt(&self, group: &[&[RowOp]]) -> Result<Results, Failure> {
        let transaction = Transaction::begin(&self.connection)?;
        let before = connection::newest(&self.connection)?;
        let mut results = Vec::with_capacity(group.len());
        for ops in group {
            results.push(self.apply(ops)?);
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

    /// Forgets the oldest changes, once there are a quarter more than shall be kept.
    fn trim(&self) -> rusqlite::Result<()> {
        let newest = connection::newest(&self.connection)?.0;
        let sql = "SELECT \"trimmed\" FROM \"_meta\"";
        let trimmed: i64 = self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        if newest - trimmed <= self.rows_kept + self.rows_kept / 4 {
            return Ok(());
        }
        let last = (newest - self.rows_kept).min(trimmed + TRIM_ROWS_MAX);
        // A trigger notes up to where.
        self.connection.execute("DELETE FROM \"_outbox\" WHERE \"seq\" <= ?1", [last]).map(|_| ())
    }
}

/// What waits already, up to the bounds of a group or to a request of another kind, which comes next.
fn gather(first: Commit, queue: &mut mpsc::Receiver<Request>) -> (Vec<Commit>, Option<Request>) {
    let mut ops = first.ops.len();
    let mut group = vec![first];
    while group.len() < GROUP_MAX && ops < GROUP_OPS_MAX {
        match queue.try_recv() {
            Ok(Request::Commit(commit)) => {
                ops += commit.ops.len();
                group.push(commit);
            }
            Ok(other) => return (group, Some(other)),
            Err(_) => break,
        }
    }
    (group, None)
}
