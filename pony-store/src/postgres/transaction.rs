//! A transaction up to its COMMIT: operations, all that is deferred, and whether this one still leads. Everything is sent
//! without waiting for the answers to what precedes it; where it fails, nothing is done.

use super::apply::{self, Failure, Ready, Statements, UNDER_WAY_MAX};
use super::diagnose;
use super::outage::unavailable;
use super::rows::History;
use super::server::{Server, Session};
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

/// A transaction of one request, sent in one go.
pub(super) async fn one(
    up: &mut Up,
    plan: &Plan,
    epoch: i64,
    ops: &[RowOp],
) -> Result<Prepared, Unavailable> {
    let ready = match apply::prepare(&up.session, &mut up.statements, plan, ops).await {
        Ok(ready) => ready,
        Err(failure) => return failed(up, plan, ops, failure).await,
    };
    let (begun, (applied, fence)) =
        futures::join!(up.session.client.batch_execute(BEGIN), settled(up, epoch, &ready));
    begun.map_err(|error| unavailable(&error))?;
    if let Err(failure) = applied {
        return failed(up, plan, ops, failure).await;
    }
    let (txn, newest) = fence.map_err(|error| unavailable(&error))?;
    Ok(Prepared { results: vec![Ok(newest)], txn })
}

/// Diagnoses a request that failed, after its transaction.
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

/// A transaction of several requests, sent in one go, where none of them fails, as is usual; else nothing.
pub(super) async fn at_once(
    up: &mut Up,
    plan: &Plan,
    epoch: i64,
    group: &[&[RowOp]],
) -> Result<Option<Prepared>, Unavailable> {
    let mut all = Vec::with_capacity(group.len());
    for ops in group {
        match apply::prepare(&up.session, &mut up.statements, plan, ops).await {
            Ok(ready) if ready.len() <= UNDER_WAY_MAX => all.push(ready),
            Err(failure @ Failure::Database(..)) => return Err(outage_of(failure)),
            Ok(_) | Err(_) => return Ok(None),
        }
    }
    let (client, up) = (&up.session.client, &*up);
    let requests = all.iter().map(|ready| async move {
        let ((applied, fence), deferred) =
            futures::join!(settled(up, epoch, ready), client.batch_execute(DEFER));
        applied?;
        let wrong = |error| Failure::Database(None, error);
        deferred.map_err(wrong)?;
        fence.map_err(wrong)
    });
    // Each is sent when it is first asked for its answer, so in this order.
    let (begun, ended) = futures::join!(client.batch_execute(BEGIN), join_all(requests));
    begun.map_err(|error| unavailable(&error))?;
    let mut prepared = Prepared { results: Vec::with_capacity(group.len()), txn: 0 };
    for ended in ended {
        match ended {
            Ok((txn, newest)) => {
                prepared.txn = txn;
                prepared.results.push(Ok(newest));
            }
            Err(Failure::Database(_, error)) if error.as_db_error().is_none() => {
                return Err(unavailable(&error));
            }
            Err(_) => {
                client.batch_execute("ROLLBACK").await.map_err(|error| unavailable(&error))?;
                return Ok(None);
            }
        }
    }
    Ok(Some(prepared))
}

/// A transaction of several requests, those that fail leaving nothing of themselves in it.
pub(super) async fn several(
    up: &mut Up,
    plan: &Plan,
    epoch: i64,
    group: &[&[RowOp]],
) -> Result<Prepared, Unavailable> {
    let wrong = |error: Error| unavailable(&error);
    up.session.client.batch_execute(BEGIN).await.map_err(wrong)?;
    let mut results = Vec::with_capacity(group.len());
    for ops in group {
        results.push(part(up, plan, epoch, ops).await?);
    }
    let (txn, _) = fence(up, epoch).await.map_err(wrong)?;
    Ok(Prepared { results, txn })
}

/// One request within it.
async fn part(
    up: &mut Up,
    plan: &Plan,
    epoch: i64,
    ops: &[RowOp],
) -> Result<Result<Position, CommitError>, Unavailable> {
    let wrong = |error: Error| unavailable(&error);
    let failure = match apply::prepare(&up.session, &mut up.statements, plan, ops).await {
        Err(failure @ Failure::Database(..)) => return Err(outage_of(failure)),
        Err(failure) => return Ok(Err(diagnose::failure(&up.session, plan, ops, failure).await)),
        Ok(ready) => {
            let client = &up.session.client;
            let begun = client.batch_execute("SAVEPOINT request");
            let (begun, ended) = futures::join!(begun, settled(up, epoch, &ready));
            begun.map_err(wrong)?;
            match ended {
                (Ok(()), fence) => {
                    let (_, newest) = fence.map_err(wrong)?;
                    let rest = "SET CONSTRAINTS ALL DEFERRED; RELEASE SAVEPOINT request";
                    client.batch_execute(rest).await.map_err(wrong)?;
                    return Ok(Ok(newest));
                }
                (Err(failure), _) => failure,
            }
        }
    };
    let undo = "ROLLBACK TO SAVEPOINT request; RELEASE SAVEPOINT request";
    up.session.client.batch_execute(undo).await.map_err(wrong)?;
    match diagnose::failure(&up.session, plan, ops, failure).await {
        CommitError::Unavailable(outage) => Err(outage),
        error => Ok(Err(error)),
    }
}

fn outage_of(failure: Failure) -> Unavailable {
    match failure {
        Failure::Database(_, error) => unavailable(&error),
        Failure::Refused(_) | Failure::Missing(_) => Unavailable::new(Outage::Internal, "no outage"),
    }
}
