//! Following what is committed, by whomever. Notifications only wake readers, who ask for what changed since where they
//! are: one question, one answer. A session that breaks, or a network that swallows everything, is noticed by asking
//! every second.

use super::load::NEWEST;
use super::outage::{Backoff, silent, unavailable};
use super::rows::{self, History, Origin};
use super::server::{Server, Session};
use crate::ddl::plan::Plan;
use crate::ddl::postgres::CHANNEL;
use crate::error::{FeedError, Outage, Unavailable};
use crate::queue::tell;
use crate::store::{Change, Changes, Position};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_postgres::{Error, Row, Statement};

/// Milliseconds between questions whether the database is there, and has news that nobody told (a standby notifies
/// nobody).
const ASK_MS: u64 = 1_000;

/// Milliseconds that a query of the feed may take; a healthy database answers in one.
const ANSWER_MS_MAX: u64 = 5_000;

/// Changes after a position, each with the bounds of what is kept: one statement, hence one snapshot of both.
const CHANGES: &str = "SELECT m.\"trimmed\", greatest(coalesce((SELECT max(\"seq\") FROM \"_outbox\"), 0), m.\"trimmed\"), \
     o.\"seq\", o.\"txn\", o.\"table\", o.\"key\"::text, o.\"row\"::text FROM \"_meta\" AS m LEFT JOIN LATERAL \
     (SELECT * FROM \"_outbox\" WHERE \"seq\" > $1 ORDER BY \"seq\" LIMIT $2) AS o ON true ORDER BY o.\"seq\"";

/// The session that is asked, while there is one.
#[derive(Debug)]
struct Reading {
    session: Session,
    changes: Statement,
}

/// Wakes those who follow: there may be news, or none to be had.
fn wake(told: &watch::Sender<Position>) {
    told.send_modify(|_| {});
}

/// What the task and those who ask share.
#[derive(Debug)]
struct Shared {
    plan: Arc<Plan>,
    origin: Arc<Origin>,
    /// Why there is no session, or the session.
    reading: Mutex<Result<Arc<Reading>, Unavailable>>,
    /// The session does not answer.
    suspected: Notify,
    told: Arc<watch::Sender<Position>>,
}

impl Shared {
    fn reading(&self) -> MutexGuard<'_, Result<Arc<Reading>, Unavailable>> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that follows; ends when this is dropped.
#[derive(Debug)]
pub(super) struct Follower {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Follower {
    pub(super) async fn start(
        server: Server,
        plan: Arc<Plan>,
        told: Arc<watch::Sender<Position>>,
        origin: Arc<Origin>,
    ) -> Result<Self, Unavailable> {
        let reading = begin(&server, &origin, &told).await?;
        let (reading, suspected) = (Mutex::new(Ok(reading)), Notify::new());
        let shared = Arc::new(Shared { plan, origin, reading, suspected, told });
        let task = tokio::spawn(follow(server, Arc::clone(&shared)));
        Ok(Self { shared, task })
    }

    pub(super) async fn changes_after(&self, position: Position, limit: usize) -> Result<Changes, FeedError> {
        let reading = self.shared.reading().clone()?;
        let limit_ms = Duration::from_millis(ANSWER_MS_MAX);
        let stretch = tokio::time::timeout(limit_ms, self.stretch(&reading, position, limit));
        let result = stretch.await.unwrap_or_else(|_| Err(FeedError::from(silent(limit_ms))));
        if matches!(result, Err(FeedError::Unavailable(_))) {
            self.shared.suspected.notify_one();
        }
        result
    }

    /// Whole transactions from `position` on, as many as `limit` allows, but one at least.
    async fn stretch(
        &self,
        reading: &Reading,
        position: Position,
        limit: usize,
    ) -> Result<Changes, FeedError> {
        let limit = limit.max(1);
        let mut found = Changes { changes: Vec::new(), position, more: false };
        loop {
            // One more than asked for shows whether a transaction goes on.
            let rows = self.rows(reading, found.position, limit + 1).await?;
            for row in &rows {
                found.position = Position(row.try_get(2).map_err(|error| unavailable(&error))?);
                found.changes.extend(self.change(row).map_err(|error| unavailable(&error))?);
            }
            if rows.len() <= limit {
                // Whoever follows was woken already.
                self.shared.told.send_if_modified(|newest| {
                    *newest = found.position.max(*newest);
                    false
                });
                return Ok(found);
            }
            let last = found.changes.last().map(|last| last.txn);
            let begun = found.changes.iter().rposition(|it| Some(it.txn) != last).map_or(0, |at| at + 1);
            if begun > 0 {
                found.changes.truncate(begun);
                found.position = found.changes.last().map_or(position, |last| last.position);
                found.more = true;
                return Ok(found);
            }
        }
    }

    async fn rows(&self, reading: &Reading, from: Position, limit: usize) -> Result<Vec<Row>, FeedError> {
        let wrong = |error: Error| unavailable(&error);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = reading.session.client.query(&reading.changes, &[&from.0, &limit]).await.map_err(wrong)?;
        let Some(first) = rows.first() else {
            return Err(Unavailable::new(Outage::Corrupt, "the table _meta is empty").into());
        };
        let (oldest, newest) =
            (Position(first.try_get(0).map_err(wrong)?), Position(first.try_get(1).map_err(wrong)?));
        if from < oldest || from > newest || self.shared.origin.is_stale() {
            return Err(FeedError::Gap { asked: from, oldest, newest });
        }
        // Where nothing follows, the one row has only the bounds.
        let is_empty = first.try_get::<_, Option<i64>>(2).map_err(wrong)?.is_none();
        Ok(if is_empty { Vec::new() } else { rows })
    }

    /// One entry. One of a table that is not there any more says nothing to anybody.
    fn change(&self, row: &Row) -> Result<Option<Change>, Error> {
        let table: &str = row.try_get(4)?;
        let Some(table) = self.shared.plan.table(table) else { return Ok(None) };
        let now: Option<&str> = row.try_get(6)?;
        Ok(Some(Change {
            position: Position(row.try_get(2)?),
            txn: row.try_get(3)?,
            table: Arc::clone(&table.name),
            key: rows::key(table, row.try_get(5)?),
            row: now.map(|row| rows::columns(table, row)),
        }))
    }
}

async fn follow(server: Server, shared: Arc<Shared>) {
    let mut backoff = Backoff::default();
    loop {
        let held = shared.reading().clone();
        if let Ok(reading) = held {
            let error = watch_session(&reading, &shared).await;
            tracing::warn!(%error, "the database cannot be followed");
            *shared.reading() = Err(error);
            wake(&shared.told);
        }
        tokio::time::sleep(backoff.next()).await;
        let begun = begin(&server, &shared.origin, &shared.told).await;
        if begun.is_ok() {
            backoff = Backoff::default();
            tracing::info!("the database is followed again");
        }
        *shared.reading() = begun;
    }
}

async fn begin(
    server: &Server,
    origin: &Origin,
    told: &Arc<watch::Sender<Position>>,
) -> Result<Arc<Reading>, Unavailable> {
    let woken = Arc::clone(told);
    let session = server.listening("", move || wake(&woken)).await?;
    // A server that only repeats another's changes notifies nobody: it is asked from time to time.
    if let Err(error) = session.client.batch_execute(&format!("LISTEN {CHANNEL}")).await
        && error.code() != Some(&tokio_postgres::error::SqlState::READ_ONLY_SQL_TRANSACTION)
        && error.code() != Some(&tokio_postgres::error::SqlState::FEATURE_NOT_SUPPORTED)
        && session.has_ended()
    {
        return Err(unavailable(&error));
    }
    let prepared = async {
        let changes = session.client.prepare(CHANGES).await?;
        let history = History::read(&session.client).await?;
        let newest: i64 = session.client.query_one(NEWEST, &[]).await?.try_get(0)?;
        Ok::<_, Error>((changes, history, Position(newest)))
    };
    let (changes, history, newest) = prepared.await.map_err(|error| unavailable(&error))?;
    if origin.meet(&history) {
        told.send_replace(newest);
    }
    tell(told, newest);
    Ok(Arc::new(Reading { session, changes }))
}

/// Asks for what nobody tells until the session ends or does not answer.
async fn watch_session(reading: &Reading, shared: &Shared) -> Unavailable {
    loop {
        tokio::select! {
            () = reading.session.ended() => return Unavailable::new(Outage::Away, "the session has ended"),
            () = shared.suspected.notified() => {}
            () = tokio::time::sleep(Duration::from_millis(ASK_MS)) => {}
        }
        let limit = Duration::from_millis(ANSWER_MS_MAX);
        match tokio::time::timeout(limit, reading.session.client.query_one(NEWEST, &[])).await {
            Ok(Ok(row)) => match row.try_get(0) {
                Ok(newest) => tell(&shared.told, Position(newest)),
                Err(error) => return unavailable(&error),
            },
            Ok(Err(error)) => return unavailable(&error),
            Err(_) => return silent(limit),
        }
    }
}
