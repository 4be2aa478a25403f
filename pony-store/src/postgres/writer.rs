//! The one task that writes.
//!
//! It never waits for a database that is away: then every request is refused at once, while another task tries to
//! begin a session anew. A COMMIT whose answer does not come is looked into ([`super::resolve`]).

use super::outage::{Backoff, silent, unavailable};
use super::resolve::{InDoubt, Outcome, resolve};
use super::schema::Found;
use super::server::Server;
use super::transaction::{self, Prepared, Up};
use crate::ddl::plan::Plan;
use crate::error::{CommitError, Outage, Unavailable};
use crate::queue::{Group, Queue, Results, closed, tell, trim_to};
use crate::store::{Claim, Committed, Lead, Position};
use pony_state::RowOp;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Milliseconds that a request may wait, for its turn or for the database: whoever asked is told within a second that
/// the database is away.
const ANSWER_MS_MAX: u64 = 800;

/// How long a transaction of so many operations may take.
pub(super) fn limit_of(ops: usize) -> Duration {
    Duration::from_millis(ANSWER_MS_MAX + ops as u64 / OPS_PER_MS)
}

/// Operations of which a healthy database does one in a millisecond even on a bad day: so much longer may a large
/// transaction take.
const OPS_PER_MS: u64 = 1;

type Answer<T> = oneshot::Sender<Result<T, Unavailable>>;

#[derive(Debug)]
enum Request {
    Commit(Group),
    Lead(Claim, Answer<Lead>),
    Renew(Answer<bool>),
    Resign(Answer<()>),
}

/// The way to the task, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Writer(Queue<Request>);

impl Writer {
    pub(super) async fn start(
        server: Server,
        plan: Arc<Plan>,
        rows_kept: u32,
        told: Arc<watch::Sender<Position>>,
        found: &Found,
    ) -> Result<Self, Unavailable> {
        let (requests, queue) = Queue::new(Duration::from_millis(ANSWER_MS_MAX));
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
        Ok(Self(requests))
    }

    pub(super) async fn commit(&self, requests: Vec<Vec<RowOp>>) -> Results {
        self.0.commit(requests, Request::Commit).await
    }

    pub(super) async fn import(&self, ops: Vec<RowOp>) -> Results {
        self.0.commit_any(vec![ops], Request::Commit).await
    }

    pub(super) async fn take_lead(&self, claim: Claim) -> Result<Lead, Unavailable> {
        self.0.ask(|answer| Request::Lead(claim, answer)).await?
    }

    pub(super) async fn renew_lead(&self) -> Result<bool, Unavailable> {
        self.0.ask(Request::Renew).await?
    }

    pub(super) async fn resign(&self) {
        // It runs out by itself.
        let _ = self.0.ask(Request::Resign).await;
    }
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
        while let Some(request) = self.wait(&mut queue).await {
            match request {
                Request::Commit(group) => self.commit(group).await,
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

    /// Commits the requests up to the first that fails, in one transaction, and answers them.
    async fn commit(&mut self, group: Group) {
        let Some(group) = group.in_time(Duration::from_millis(ANSWER_MS_MAX)) else { return };
        let prepared = match self.prepare(&group.requests).await {
            Ok(prepared) => prepared,
            Err(outage) => return group.refuse(&outage),
        };
        let Some(newest) = prepared.results.iter().filter_map(|it| it.as_ref().ok()).max().copied() else {
            return group.answer(committed(prepared.results));
        };
        match self.finish(prepared.txn).await {
            Ok(()) => {
                tell(&self.told, newest);
                group.answer(committed(prepared.results));
                self.trim(newest).await;
            }
            Err(Ended::RolledBack(outage)) => group.refuse(&outage),
            Err(Ended::InDoubt(doubt, why)) => self.look_into(group, prepared, doubt, why),
        }
    }

    /// All of the transaction but its COMMIT, which was not sent yet: where this fails, nothing is done.
    async fn prepare(&mut self, requests: &[Vec<RowOp>]) -> Result<Prepared, Unavailable> {
        let ops: usize = requests.iter().map(Vec::len).sum();
        let limit = limit_of(ops);
        let (plan, epoch) = (Arc::clone(&self.plan), self.epoch);
        let up = self.up().await?;
        let prepared = timeout(limit, transaction::prepare(up, &plan, epoch, requests)).await;
        let result = prepared.unwrap_or_else(|_| Err(silent(limit)));
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
    fn look_into(&self, group: Group, prepared: Prepared, doubt: InDoubt, why: Unavailable) {
        let server = self.server.clone();
        tokio::spawn(async move {
            let outcome = resolve(&server, &doubt).await;
            tracing::warn!(txn = doubt.txn, ?outcome, "a commit was interrupted");
            match outcome {
                Outcome::Committed => group.answer(committed(prepared.results)),
                Outcome::RolledBack => group.refuse(&why),
                Outcome::Unknown => {
                    let unknown = || CommitError::Unknown { message: why.message.clone() };
                    let results = prepared.results.into_iter();
                    group.answer(results.map(|result| result.and_then(|_| Err(unknown()))).collect());
                }
            }
        });
    }

    /// Forgets the oldest changes, once there are too many.
    async fn trim(&mut self, newest: Position) {
        let Some(last) = trim_to(newest, self.trimmed, self.rows_kept) else { return };
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

fn committed(results: Vec<Result<Position, CommitError>>) -> Results {
    results.into_iter().map(|result| result.map(|position| Committed { position })).collect()
}
