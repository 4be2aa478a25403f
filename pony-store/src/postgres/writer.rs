//! The one task that writes. Requests that wait while a transaction is being synced share the next one, so that many
//! writers cost one sync; each is still all or nothing by itself.
//!
//! It never waits for a database that is away: then every request is refused at once, while another task tries to
//! begin a session anew. A COMMIT whose answer does not come is looked into ([`super::resolve`]).

use super::follow::tell;
use super::outage::{Backoff, silent, unavailable};
use super::resolve::{InDoubt, Outcome, resolve};
use super::schema::Found;
use super::server::{Server, closed};
use super::transaction::{Prepared, Up, at_once, one, several};
use crate::ddl::plan::Plan;
use crate::error::{CommitError, Outage, Unavailable};
use crate::store::{Claim, Committed, Lead, Position};
use pony_state::RowOp;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// Requests that wait for the writer; as many as clients plausibly write at once. More of them wait outside.
const REQUESTS_WAITING: usize = 256;

/// Requests in one transaction: beyond some dozens the shared sync costs each next to nothing, while all wait longer.
const GROUP_MAX: usize = 64;

/// Operations in one transaction of several requests, for the same reason.
const GROUP_OPS_MAX: usize = 4096;

/// Milliseconds that a request may wait, for its turn or for the database: whoever asked is told within a second that
/// the database is away.
const ANSWER_MS_MAX: u64 = 800;

/// Operations of which a healthy database does one in a millisecond even on a bad day: so much longer may a large
/// transaction take.
const OPS_PER_MS: u64 = 1;

/// Feed entries forgotten at one go: some 50 ms of work.
const TRIM_ROWS_MAX: i64 = 50_000;

type Answer<T, E> = oneshot::Sender<Result<T, E>>;

enum Request {
    Commit(Commit),
    Lead(Claim, Answer<Lead, Unavailable>),
    Renew(Answer<bool, Unavailable>),
    Resign(Answer<(), Unavailable>),
}

struct Commit {
    ops: Vec<RowOp>,
    queued: Instant,
    answer: Answer<Committed, CommitError>,
}

/// The way to the task, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Writer {
    requests: mpsc::Sender<Request>,
}

impl Writer {
    pub(super) async fn start(
        server: Server,
        plan: Arc<Plan>,
        rows_kept: u32,
        told: Arc<watch::Sender<Position>>,
        found: &Found,
    ) -> Result<Self, Unavailable> {
        let (requests, queue) = mpsc::channel(REQUESTS_WAITING);
        let worker = Worker {
            link: Link::Up(Box::new(Up::begin(&server).await?)),
            server,
            plan,
            rows_kept: i64::from(rows_kept),
            trimmed: found.trimmed,
            told,
            epoch: found.epoch,
            ttl_ms: 0,
        };
        tokio::spawn(worker.run(queue));
        Ok(Self { requests })
    }

    pub(super) async fn commit(&self, ops: Vec<RowOp>) -> Result<Committed, CommitError> {
        let (answer, answered) = oneshot::channel();
        self.send(Request::Commit(Commit { ops, queued: Instant::now(), answer })).await?;
        answered.await.unwrap_or_else(|_| Err(closed().into()))
    }

    pub(super) async fn take_lead(&self, claim: Claim) -> Result<Lead, Unavailable> {
        let (answer, answered) = oneshot::channel();
        self.send(Request::Lead(claim, answer)).await?;
        answered.await.unwrap_or_else(|_| Err(closed()))
    }

    pub(super) async fn renew_lead(&self) -> Result<bool, Unavailable> {
        let (answer, answered) = oneshot::channel();
        self.send(Request::Renew(answer)).await?;
        answered.await.unwrap_or_else(|_| Err(closed()))
    }

    pub(super) async fn resign(&self) {
        let (answer, answered) = oneshot::channel();
        if self.send(Request::Resign(answer)).await.is_ok() {
            let _ = answered.await;
        }
    }

    async fn send(&self, request: Request) -> Result<(), Unavailable> {
        let limit = Duration::from_millis(ANSWER_MS_MAX);
        match self.requests.send_timeout(request, limit).await {
            Ok(()) => Ok(()),
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => Err(overloaded()),
            Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(closed()),
        }
    }
}

fn overloaded() -> Unavailable {
    Unavailable::new(Outage::Overloaded, format!("a request waited for {ANSWER_MS_MAX} ms without its turn"))
}

/// The session, or why there is none and the task that begins the next.
enum Link {
    Up(Box<Up>),
    Down(Unavailable, JoinHandle<Box<Up>>),
}

impl Link {
    fn down(server: Server, why: Unavailable) -> Self {
        Self::Down(why, tokio::spawn(begin(server)))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Self::Down(_, task) = self {
            task.abort();
        }
    }
}

/// Begins a session, however long that takes.
async fn begin(server: Server) -> Box<Up> {
    let mut backoff = Backoff::default();
    let mut failing = false;
    loop {
        match Up::begin(&server).await {
            Ok(up) => return Box::new(up),
            // Once per outage: each attempt would say the same.
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(%error, "the database cannot be written to");
            }
            Err(_) => {}
        }
        tokio::time::sleep(backoff.next()).await;
    }
}

struct Worker {
    server: Server,
    plan: Arc<Plan>,
    rows_kept: i64,
    trimmed: i64,
    told: Arc<watch::Sender<Position>>,
    /// The epoch in which it may write.
    epoch: i64,
    ttl_ms: i64,
    link: Link,
}

impl Worker {
    async fn run(mut self, mut queue: mpsc::Receiver<Request>) {
        let mut next = None;
        loop {
            let request = match next.take() {
                Some(request) => request,
                None => match self.wait(&mut queue).await {
                    Some(request) => request,
                    None => return,
                },
            };
            match request {
                Request::Commit(first) => {
                    let (group, left) = gather(first, &mut queue);
                    self.commit(group).await;
                    next = left;
                }
                Request::Lead(claim, answer) => {
                    let _ = answer.send(self.take_lead(&claim).await);
                }
                Request::Renew(answer) => {
                    let _ = answer.send(self.renew_lead().await);
                }
                Request::Resign(answer) => {
                    let _ = answer.send(self.resign().await);
                }
            }
        }
    }

    /// The next request; keeps up the session meanwhile.
    async fn wait(&mut self, queue: &mut mpsc::Receiver<Request>) -> Option<Request> {
        loop {
            match &mut self.link {
                Link::Up(up) => tokio::select! {
                    biased;
                    () = up.session.ended() => {
                        self.fall(Unavailable::new(Outage::Away, "the session has ended"));
                    }
                    request = queue.recv() => return request,
                },
                Link::Down(_, begun) => tokio::select! {
                    biased;
                    up = begun => match up {
                        Ok(up) => self.link = Link::Up(up),
                        Err(error) => self.fall(Unavailable::new(Outage::Internal, error.to_string())),
                    },
                    request = queue.recv() => return request,
                },
            }
        }
    }

    fn fall(&mut self, why: Unavailable) {
        self.link = Link::down(self.server.clone(), why);
    }

    /// The session. Where one has just ended, mostly the server takes the next at once.
    async fn up(&mut self) -> Result<&mut Up, Unavailable> {
        if let Link::Up(up) = &self.link
            && up.session.has_ended()
        {
            self.fall(Unavailable::new(Outage::Away, "the session has ended"));
            self.begun(Duration::from_millis(ANSWER_MS_MAX / 4)).await;
        }
        match &mut self.link {
            Link::Up(up) => Ok(up),
            Link::Down(why, _) => Err(why.clone()),
        }
    }

    async fn begun(&mut self, limit: Duration) {
        if let Link::Down(_, begun) = &mut self.link
            && let Ok(Ok(up)) = timeout(limit, begun).await
        {
            self.link = Link::Up(up);
        }
    }

    /// Commits the requests, together where that works, and answers them.
    async fn commit(&mut self, group: Vec<Commit>) {
        let waited = Duration::from_millis(ANSWER_MS_MAX);
        let (group, late): (Vec<_>, Vec<_>) = group.into_iter().partition(|it| it.queued.elapsed() < waited);
        for commit in late {
            let _ = commit.answer.send(Err(overloaded().into()));
        }
        if group.is_empty() {
            return;
        }
        let ops: Vec<&[RowOp]> = group.iter().map(|it| it.ops.as_slice()).collect();
        let prepared = match self.prepare(&ops).await {
            Ok(prepared) => prepared,
            Err(outage) => return refuse(group, &outage),
        };
        if prepared.results.iter().all(Result::is_err) {
            self.roll_back().await;
            return answer(group, prepared.results);
        }
        match self.finish(prepared.txn).await {
            Ok(()) => {
                let newest = prepared.results.iter().filter_map(|it| it.as_ref().ok()).max().copied();
                tell(&self.told, newest.unwrap_or_default());
                answer(group, prepared.results);
                self.trim(newest.unwrap_or_default()).await;
            }
            Err(Ended::RolledBack(outage)) => refuse(group, &outage),
            Err(Ended::InDoubt(doubt, why)) => self.look_into(group, prepared, doubt, why),
        }
    }

    /// All of the transaction but its COMMIT, which was not sent yet: where this fails, nothing is done.
    async fn prepare(&mut self, group: &[&[RowOp]]) -> Result<Prepared, Unavailable> {
        let ops: usize = group.iter().map(|ops| ops.len()).sum();
        let limit = Duration::from_millis(ANSWER_MS_MAX + ops as u64 / OPS_PER_MS);
        let (plan, epoch) = (Arc::clone(&self.plan), self.epoch);
        let up = self.up().await?;
        let prepared = timeout(limit, async {
            match group {
                [ops] => one(up, &plan, epoch, ops).await,
                _ => match at_once(up, &plan, epoch, group).await? {
                    Some(prepared) => Ok(prepared),
                    None => several(up, &plan, epoch, group).await,
                },
            }
        });
        let result = prepared.await.unwrap_or_else(|_| Err(silent(limit)));
        if let Err(outage) = &result {
            match outage.outage {
                // Whoever does not answer is left: the server ends the transaction with the session.
                Outage::Away => self.fall(outage.clone()),
                _ => self.roll_back().await,
            }
        }
        result
    }

    async fn roll_back(&mut self) {
        let Link::Up(up) = &self.link else { return };
        let limit = Duration::from_millis(ANSWER_MS_MAX);
        let failed = match timeout(limit, up.session.client.batch_execute("ROLLBACK")).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => unavailable(&error),
            Err(_) => silent(limit),
        };
        self.fall(failed);
    }

    async fn finish(&mut self, txn: i64) -> Result<(), Ended> {
        let Link::Up(up) = &self.link else { return Err(Ended::RolledBack(closed())) };
        let limit = Duration::from_millis(ANSWER_MS_MAX);
        let why = match timeout(limit, up.session.client.batch_execute("COMMIT")).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => {
                // An error that does not end the session has ended the transaction.
                let ends = error.as_db_error().is_none_or(|it| it.severity() != "ERROR");
                if !ends {
                    return Err(Ended::RolledBack(unavailable(&error)));
                }
                unavailable(&error)
            }
            Err(_) => silent(limit),
        };
        let doubt = InDoubt { txn, process: up.process, history: up.history.clone() };
        self.fall(why.clone());
        Err(Ended::InDoubt(doubt, why))
    }

    /// Answers once it is known how the transaction ended. Others need not wait for that.
    fn look_into(&self, group: Vec<Commit>, prepared: Prepared, doubt: InDoubt, why: Unavailable) {
        let server = self.server.clone();
        tokio::spawn(async move {
            let outcome = resolve(&server, &doubt).await;
            tracing::warn!(txn = doubt.txn, ?outcome, "a commit was interrupted");
            match outcome {
                Outcome::Committed => answer(group, prepared.results),
                Outcome::RolledBack => refuse(group, &why),
                Outcome::Unknown => {
                    for (commit, result) in group.into_iter().zip(prepared.results) {
                        let message = why.message.clone();
                        let told = result.and(Err(CommitError::Unknown { message }));
                        let _ = commit.answer.send(told);
                    }
                }
            }
        });
    }

    /// Forgets the oldest changes, once there are a quarter more than shall be kept.
    async fn trim(&mut self, newest: Position) {
        if newest.0 - self.trimmed <= self.rows_kept + self.rows_kept / 4 {
            return;
        }
        let last = (newest.0 - self.rows_kept).min(self.trimmed + TRIM_ROWS_MAX);
        let Link::Up(up) = &self.link else { return };
        // A trigger notes up to where, in the same transaction.
        let sql = format!("DELETE FROM \"_outbox\" WHERE \"seq\" <= {last}");
        match timeout(Duration::from_secs(10), up.session.client.batch_execute(&sql)).await {
            Ok(Ok(())) => self.trimmed = last,
            Ok(Err(error)) => tracing::warn!(%error, "the feed of changes could not be trimmed"),
            Err(_) => self.fall(silent(Duration::from_secs(10))),
        }
    }

    async fn take_lead(&mut self, claim: &Claim) -> Result<Lead, Unavailable> {
        let ttl_ms = i64::try_from(claim.ttl_ms).unwrap_or(i64::MAX);
        let holder = claim.holder.to_string();
        let sql = "SELECT epoch, coalesce(leader, '') FROM \"_lead\"($1::text::uuid, $2, $3)";
        let row = self.ask(sql, &[&holder, &claim.name, &ttl_ms]).await?;
        let epoch: Option<i64> = row.try_get(0).map_err(|error| unavailable(&error))?;
        let Some(epoch) = epoch else {
            return Ok(Lead::Others { name: row.try_get(1).map_err(|error| unavailable(&error))? });
        };
        (self.epoch, self.ttl_ms) = (epoch, ttl_ms);
        Ok(Lead::Own { epoch: epoch.unsigned_abs() })
    }

    async fn renew_lead(&mut self) -> Result<bool, Unavailable> {
        let sql = "WITH renewed AS (UPDATE \"_meta\" SET \"expires\" = clock_timestamp() + $2 * interval '1 ms' \
                   WHERE \"epoch\" = $1 RETURNING 1) SELECT count(*) FROM renewed";
        let ttl_ms = self.ttl_ms as f64;
        let row = self.ask(sql, &[&self.epoch.clone(), &ttl_ms]).await?;
        let count: i64 = row.try_get(0).map_err(|error| unavailable(&error))?;
        Ok(count == 1)
    }

    async fn resign(&mut self) -> Result<(), Unavailable> {
        let sql = "WITH resigned AS (UPDATE \"_meta\" SET \"expires\" = '-infinity' WHERE \"epoch\" = $1 RETURNING 1) \
                   SELECT count(*) FROM resigned";
        self.ask(sql, &[&self.epoch.clone()]).await.map(|_| ())
    }

    /// Asks for one row, in a transaction of its own.
    async fn ask(
        &mut self,
        sql: &str,
        parameters: &[&(dyn tokio_postgres::types::ToSql + Sync)],
    ) -> Result<tokio_postgres::Row, Unavailable> {
        let up = self.up().await?;
        let limit = Duration::from_millis(ANSWER_MS_MAX);
        let result = match timeout(limit, up.session.client.query_one(sql, parameters)).await {
            Ok(result) => result.map_err(|error| unavailable(&error)),
            Err(_) => Err(silent(limit)),
        };
        if let Err(outage) = &result
            && outage.outage == Outage::Away
        {
            self.fall(outage.clone());
        }
        result
    }
}

/// How a transaction ended that did not end well.
enum Ended {
    RolledBack(Unavailable),
    InDoubt(InDoubt, Unavailable),
}

fn answer(group: Vec<Commit>, results: Vec<Result<Position, CommitError>>) {
    // Whoever asked may have gone; that changes nothing.
    for (commit, result) in group.into_iter().zip(results) {
        let _ = commit.answer.send(result.map(|position| Committed { position }));
    }
}

fn refuse(group: Vec<Commit>, outage: &Unavailable) {
    for commit in group {
        let _ = commit.answer.send(Err(outage.clone().into()));
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
