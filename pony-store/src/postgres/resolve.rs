//! Finding out how a COMMIT ended whose answer never came: the transaction's number says it, as long as the server is
//! the same or went on from where it was.

use super::outage::{Backoff, unavailable};
use super::rows::History;
use super::server::{Server, Session};
use crate::error::Unavailable;
use std::time::Duration;

/// Milliseconds for which the answer is looked for before the one who asked is told that it is not known: a server that
/// was killed is back by then, and a client is still there.
const RESOLVE_MS_MAX: u64 = 10_000;

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Committed,
    RolledBack,
    Unknown,
}

/// A transaction of which nothing was heard any more.
#[derive(Debug, Clone)]
pub(super) struct InDoubt {
    /// Its number.
    pub(super) txn: i64,
    /// The server process that should have committed it. Where that still waits for the COMMIT, it never came.
    pub(super) process: i32,
    pub(super) history: History,
}

/// Looks until it is known, or too late.
pub(super) async fn resolve(server: &Server, doubt: &InDoubt) -> Outcome {
    let limit = Duration::from_millis(RESOLVE_MS_MAX);
    tokio::time::timeout(limit, look(server, doubt)).await.unwrap_or(Outcome::Unknown)
}

async fn look(server: &Server, doubt: &InDoubt) -> Outcome {
    let mut backoff = Backoff::default();
    loop {
        match ask(server, doubt).await {
            Ok(Some(outcome)) => return outcome,
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "a commit in doubt"),
        }
        tokio::time::sleep(backoff.next()).await;
    }
}

/// The outcome; `None` while the transaction has not ended.
async fn ask(server: &Server, doubt: &InDoubt) -> Result<Option<Outcome>, Unavailable> {
    let session = server.session("").await?;
    let history = History::read(&session.client).await.map_err(|error| unavailable(&error))?;
    // Another history may have given the same number to something else.
    if !history.is_of_same_line(&doubt.history) {
        return Ok(Some(Outcome::Unknown));
    }
    status(&session, doubt).await
}

async fn status(session: &Session, doubt: &InDoubt) -> Result<Option<Outcome>, Unavailable> {
    let wrong = |error: tokio_postgres::Error| unavailable(&error);
    let sql = "SELECT pg_xact_status($1::text::xid8)";
    let row = session.client.query_one(sql, &[&doubt.txn.to_string()]).await.map_err(wrong)?;
    let status: Option<String> = row.try_get(0).map_err(wrong)?;
    Ok(match status.as_deref() {
        Some("committed") => Some(Outcome::Committed),
        Some("aborted") => Some(Outcome::RolledBack),
        Some(_) => {
            // It waits for a COMMIT that was swallowed on the way, or is about to be done with it.
            let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                       WHERE pid = $1 AND state = 'idle in transaction'";
            session.client.query(sql, &[&doubt.process]).await.map_err(wrong)?;
            None
        }
        None => Some(Outcome::Unknown),
    })
}
