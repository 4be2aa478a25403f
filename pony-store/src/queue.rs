//! The way to whoever writes: a bounded queue, in which nobody waits for longer than people do.

use crate::error::{CommitError, Outage, Unavailable};
use crate::store::{COMMIT_OPS_MAX, Committed, Position};
use pony_state::RowOp;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

/// Requests that wait for the writer; as many as clients plausibly write at once. More of them wait outside.
const REQUESTS_WAITING: usize = 256;

/// Feed entries forgotten at one go: some 50 ms of work.
const TRIM_ROWS_MAX: i64 = 50_000;

/// One answer for each request that was tried.
pub(crate) type Results = Vec<Result<Committed, CommitError>>;

/// Requests to be committed, one after the other up to the first that fails.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) requests: Vec<Vec<RowOp>>,
    pub(crate) answer: oneshot::Sender<Results>,
    queued: Instant,
}

impl Group {
    pub(crate) fn new(requests: Vec<Vec<RowOp>>, answer: oneshot::Sender<Results>) -> Self {
        Self { requests, answer, queued: Instant::now() }
    }

    /// The group, unless it waited for too long; it is answered then.
    pub(crate) fn in_time(self, turn_max: Duration) -> Option<Self> {
        if self.queued.elapsed() < turn_max {
            return Some(self);
        }
        self.refuse(&overloaded(turn_max));
        None
    }

    /// Answers that nothing was done.
    pub(crate) fn refuse(self, outage: &Unavailable) {
        let results = self.requests.iter().map(|_| Err(outage.clone().into())).collect();
        self.answer(results);
    }

    /// Answers. Whoever asked may have gone; that changes nothing.
    pub(crate) fn answer(self, results: Results) {
        let _ = self.answer.send(results);
    }
}

/// Puts requests into the queue; whoever takes them out ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Queue<R> {
    requests: mpsc::Sender<R>,
    turn_max: Duration,
}

impl<R> Queue<R> {
    /// A queue in which requests wait for so long at the most.
    pub(crate) fn new(turn_max: Duration) -> (Self, mpsc::Receiver<R>) {
        let (requests, queue) = mpsc::channel(REQUESTS_WAITING);
        (Self { requests, turn_max }, queue)
    }

    /// Asks, and waits for the answer.
    pub(crate) async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> R,
    ) -> Result<T, Unavailable> {
        let (answer, answered) = oneshot::channel();
        match self.requests.send_timeout(request(answer), self.turn_max).await {
            Ok(()) => answered.await.map_err(|_| closed()),
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => Err(overloaded(self.turn_max)),
            Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(closed()),
        }
    }

    /// Asks for a commit of all of them, up to the first that is too large.
    pub(crate) async fn commit(
        &self,
        mut requests: Vec<Vec<RowOp>>,
        wrap: impl FnOnce(Group) -> R,
    ) -> Results {
        match requests.iter().position(|ops| ops.len() > COMMIT_OPS_MAX) {
            Some(0) => return vec![Err(CommitError::too_many(requests[0].len()))],
            Some(too_large) => requests.truncate(too_large),
            None => {}
        }
        self.commit_any(requests, wrap).await
    }

    /// The same, however large they are.
    pub(crate) async fn commit_any(
        &self,
        requests: Vec<Vec<RowOp>>,
        wrap: impl FnOnce(Group) -> R,
    ) -> Results {
        let count = requests.len();
        let asked = self.ask(|answer| wrap(Group::new(requests, answer)));
        asked.await.unwrap_or_else(|outage| (0..count).map(|_| Err(outage.clone().into())).collect())
    }
}

/// What the outage of a database that was closed is called.
pub(crate) fn closed() -> Unavailable {
    Unavailable::new(Outage::Closed, "the store was closed")
}

fn overloaded(turn_max: Duration) -> Unavailable {
    let waited = turn_max.as_millis();
    Unavailable::new(Outage::Overloaded, format!("a request waited for {waited} ms without its turn"))
}

/// Raises what is told; positions never fall in one history.
pub(crate) fn tell(told: &watch::Sender<Position>, newest: Position) {
    told.send_if_modified(|position| {
        let grows = newest > *position;
        *position = newest.max(*position);
        grows
    });
}

/// Up to where the feed is to be forgotten now, if at all: once there is a quarter more than shall be kept.
pub(crate) fn trim_to(newest: Position, trimmed: i64, rows_kept: i64) -> Option<i64> {
    let is_due = newest.0 - trimmed > rows_kept + rows_kept / 4;
    is_due.then(|| (newest.0 - rows_kept).min(trimmed + TRIM_ROWS_MAX))
}
