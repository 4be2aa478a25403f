//! A transaction up to its COMMIT: the operations of each request, all that is deferred, and whether this one still leads.
//! Requests share it, so that many of them cost one sync; each is all or nothing by itself, since those behind one that
//! fails are left for later. Everything is sent without waiting for the answers to what precedes it.

use super::apply::{self, Failure, Ready, Statements, UNDER_WAY_MAX};
use super::diagnose;
use super::outage::unavailable;
use super::rows::History;
use super::server::{Server, Session};
use super::writer::limit_of;
use crate::ddl::plan::Plan;
use crate::error::{CommitError, Outage, Unavailable};
use crate::store::Position;
use futures::future::join_all;
use pony_state::RowOp;
use tokio_postgres::{Error, Statement};

/// The session that writes. If this process freezes or its network goes away in the middle of a transaction, the server
/// gives up after a moment, and lets go of what the transaction had locked. Nobody is waited for longer than a user
/// would wait.
const SETTINGS: &str = "SET idle_in_transaction_session_timeout = '2s'; SET lock_timeout = '700ms'; \
                        SET statement_timeout = '60s'";
/// Milliseconds of that last one.
const STATEMENT_MS_MAX: u128 = 60_000;

/// A session that writes.
pub(super) struct Up {
    pub(super) session: Session,
    statements: Statements,
    /// Prepared, so that it is sent at once and in its order.
    fence: Statement,
    pub(super) process: i32,
    pub(super) history: History,
}

impl Up {
    pub(super) async fn begin(server: &Server) -> Result<Self, Unavailable> {
        let session = server.session(SETTINGS).await?;
        let facts = async {
            let process = session.client.query_one("SELECT pg_backend_pid()", &[]).await?.try_get(0)?;
            let fence = session.client.prepare("SELECT txn, newest FROM \"_fence\"($1)").await?;
            Ok::<_, Error>((process, fence, History::read(&session.client).await?))
        };
        let (process, fence, history) = facts.await.map_err(|error| unavailable(&error))?;
        Ok(Self { session, statements: Statements::default(), fence, process, history })
    }
}

/// What a transaction came to before its COMMIT.
pub(super) struct Prepared {
    pub(super) results: Vec<Result<Position, CommitError>>,
    pub(super) txn: i64,
}

/// Begins a transaction whose isolation does not depend on the server's settings.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";
/// Lets all that is deferred happen now: what it finds broken is broken by the operations before it.
const SETTLE: &str = "SET CONSTRAINTS ALL IMMEDIATE";

/// Undoes that, for the next request's rows may come in any order as well.
const DEFER: &str = "SET CONSTRAINTS ALL DEFERRED";

/// Begins a transaction of the requests up to the first that fails; of none, where that is the first of all.
pub(super) async fn prepare(
    up: &mut Up,
    plan: &Plan,
    epoch: i64,
    requests: &[Vec<RowOp>],
) -> Result<Prepared, Unavailable> {
    let mut requests = manageable(requests);
    let mut blocked = None;
    loop {
        match at_once(up, plan, epoch, requests).await? {
            Ok(mut prepared) => {
                prepared.results.extend(blocked.map(|outage: Unavailable| Err(outage.into())));
                return Ok(prepared);
            }
            Err((0, failure)) => return failed(up, plan, &requests[0], failure).await,
            Err((number, failure)) => {
                // What waited for somebody's lock in vain need not do so again.
                blocked = failure.outage().filter(|it| it.outage == Outage::Locked);
                requests = &requests[..number];
                up.session.client.batch_execute("ROLLBACK").await.map_err(|error| unavailable(&error))?;
            }
        }
    }
}

/// The first requests, as many as can be sent in one go; a larger one goes by itself.
fn manageable(requests: &[Vec<RowOp>]) -> &[Vec<RowOp>] {
    let large = requests.iter().position(|ops| ops.len() > UNDER_WAY_MAX);
    &requests[..large.map_or(requests.len(), |at| at.max(1))]
}

/// Ends the transaction of a request that failed, and says why it did.
async fn failed(up: &Up, plan: &Plan, ops: &[RowOp], failure: Failure) -> Result<Prepared, Unavailable> {
    up.session.client.batch_execute("ROLLBACK").await.map_err(|error| unavailable(&error))?;
    match diagnose::failure(&up.session, plan, ops, failure).await {
        CommitError::Unavailable(outage) => Err(outage),
        error => Ok(Prepared { results: vec![Err(error)], txn: 0 }),
    }
}

/// The operations, and all that is deferred; then whether this one leads, the transaction's number and the last position.
/// Operations that go at once have the rest sent right behind them.
async fn settled(
    up: &Up,
    epoch: i64,
    ready: &[Ready],
) -> (Result<(), Failure>, Result<(i64, Position), Error>) {
    if ready.len() <= UNDER_WAY_MAX {
        let run = apply::run(&up.session, ready);
        let (applied, settled, fence) = futures::join!(run, settle(up), fence(up, epoch));
        return (applied.and(settled), fence);
    }
    let applied = match apply::run(&up.session, ready).await {
        Ok(()) => settle(up).await,
        failed => failed,
    };
    (applied, fence(up, epoch).await)
}

async fn settle(up: &Up) -> Result<(), Failure> {
    let settled = up.session.client.batch_execute(SETTLE).await;
    settled.map_err(|error| Failure::Database(None, error))
}

/// Refuses to go on where somebody else leads; gives the transaction's number and the last position, its own included.
async fn fence(up: &Up, epoch: i64) -> Result<(i64, Position), Error> {
    let row = up.session.client.query_one(&up.fence, &[&epoch]).await?;
    Ok((row.try_get(0)?, Position(row.try_get(1)?)))
}

/// A transaction of all requests; or the first that fails, and how.
async fn at_once(
    up: &mut Up,
    plan: &Plan,
    epoch: i64,
    requests: &[Vec<RowOp>],
) -> Result<Result<Prepared, (usize, Failure)>, Unavailable> {
    let mut all = Vec::with_capacity(requests.len());
    for (number, ops) in requests.iter().enumerate() {
        match apply::prepare(&up.session, &mut up.statements, plan, ops).await {
            Ok(ready) => all.push(ready),
            Err(failure) => return Ok(Err((number, failure))),
        }
    }
    let mut begin = BEGIN.to_owned();
    if requests.len() == 1 && requests[0].len() > UNDER_WAY_MAX {
        // All that is deferred is one statement.
        let limit_ms = STATEMENT_MS_MAX.max(limit_of(requests[0].len()).as_millis());
        begin.push_str(&format!("; SET LOCAL statement_timeout = {limit_ms}"));
    }
    // Each is sent when it is first asked for its answer, so in this order.
    let (client, up) = (&up.session.client, &*up);
    let requests = all.iter().enumerate().map(|(number, ready)| async move {
        let deferred = async { if number > 0 { client.batch_execute(DEFER).await } else { Ok(()) } };
        let (deferred, (applied, fence)) = futures::join!(deferred, settled(up, epoch, ready));
        deferred.map_err(|error| Failure::Database(None, error)).and(applied)?;
        Ok::<_, Failure>(fence)
    });
    let (begun, ended) = futures::join!(client.batch_execute(&begin), join_all(requests));
    begun.map_err(|error| unavailable(&error))?;
    let mut prepared = Prepared { results: Vec::with_capacity(ended.len()), txn: 0 };
    for (number, ended) in ended.into_iter().enumerate() {
        match ended {
            Ok(fence) => {
                let (txn, newest) = fence.map_err(|error| unavailable(&error))?;
                prepared.txn = txn;
                prepared.results.push(Ok(newest));
            }
            Err(failure) => return Ok(Err((number, failure))),
        }
    }
    Ok(Ok(prepared))
}
