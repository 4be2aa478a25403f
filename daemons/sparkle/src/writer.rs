//! The one task that writes: it evaluates requests against memory, commits what follows from them, and answers once
//! memory has it, so that whoever was answered reads what was written.
//!
//! Requests that wait while a transaction is being committed share the next one, so that many writers cost one wait for
//! the disk. They are evaluated one after the other, each on what those before it make of memory: a `test` in a patch
//! holds when its transaction commits. Where one fails, whatever was decided after it rests on something that did not
//! happen, and is evaluated again. The controller's own writes take turns with those of users.

use pony_core::controller::WriteId;
use pony_core::document::Effect;
use pony_state::{PartError, RowOp, SharedState, State};
use pony_store::{CommitError, Committed, DesiredStore, Position};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// Requests that may wait; beyond it callers are told to come back.
pub(crate) const WAITING_MAX: usize = 256;
/// Jobs in one transaction: beyond some dozens the shared wait costs each next to nothing, while all wait longer.
const GROUP_MAX: usize = 64;
/// Operations after which no more jobs join a transaction, for the same reason.
const GROUP_OPS_MAX: usize = 4096;
/// How long a commit may take, which is answered by the store well before: within a second where the database is away,
/// some ten where it was lost in the middle of committing and has to be asked how that ended.
const COMMIT_MAX: Duration = Duration::from_secs(25);
/// How long memory may lag behind a commit before the caller is told that it does: the database has taken the order
/// and was lost before it could be read back.
const APPLY_MAX: Duration = Duration::from_secs(10);

/// Evaluates a request: what it comes to, or why it is refused.
pub(crate) type Evaluate<F> = Box<dyn FnMut(&State) -> Result<Effect, F> + Send>;

/// A write and where to answer it.
pub(crate) struct Request<F> {
    /// What to do with the state as it is then. Asked again where what it went by did not come about.
    pub(crate) evaluate: Evaluate<F>,
    /// Told when its turn comes. Where nobody listens any more it was called off, and nothing is done.
    pub(crate) turn: Option<oneshot::Sender<()>>,
    /// Told how it ended.
    pub(crate) answer: oneshot::Sender<Answer<F>>,
}

/// How a request ended.
#[derive(Debug)]
pub(crate) enum Answer<F> {
    /// It was refused.
    Refused(F),
    /// It is done, and memory has it.
    Done(Effect),
    /// It is done, and memory will have it once the database can be read again.
    Accepted(Effect),
    /// The database refused it, or was away.
    Failed(Effect, CommitError),
}

/// Hands requests to the writer.
pub(crate) struct WriterHandle<F>(mpsc::Sender<Request<F>>);

impl<F> Clone for WriterHandle<F> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// The writer takes no more requests now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{WAITING_MAX} writes are waiting already; try again in a second")]
pub(crate) struct Busy;

impl<F> WriterHandle<F> {
    /// Puts a request into the queue.
    ///
    /// # Errors
    /// [`Busy`] when it is full.
    pub(crate) fn put(&self, request: Request<F>) -> Result<(), Busy> {
        self.0.try_send(request).map_err(|_| Busy)
    }

    /// How many requests wait.
    pub(crate) fn waiting(&self) -> usize {
        self.0.max_capacity() - self.0.capacity()
    }
}

/// A queue of requests, and the handle to it.
pub(crate) fn queue<F>() -> (WriterHandle<F>, mpsc::Receiver<Request<F>>) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    (WriterHandle(sender), receiver)
}

pub(crate) struct Writer<F> {
    pub(crate) store: Arc<dyn DesiredStore>,
    pub(crate) state: SharedState,
    /// How far memory has come.
    pub(crate) applied: watch::Receiver<Position>,
    pub(crate) requests: mpsc::Receiver<Request<F>>,
    pub(crate) own: mpsc::Receiver<(WriteId, Vec<RowOp>)>,
    pub(crate) own_ended: mpsc::Sender<(WriteId, Result<(), String>)>,
}

/// Something to write.
enum Job<F> {
    /// A user's.
    Request(Request<F>),
    /// The controller's.
    Own(WriteId, Vec<RowOp>),
}

/// A job, and what it comes to if all before it are done.
struct Decided<F> {
    job: Job<F>,
    outcome: Result<Effect, F>,
}

impl<F> Writer<F> {
    /// Writes until nobody asks any more.
    pub(crate) async fn run(mut self) {
        let mut jobs = VecDeque::new();
        loop {
            if jobs.is_empty() {
                match self.next().await {
                    Some(job) => jobs.push_back(job),
                    None => return,
                }
            }
            while jobs.len() < GROUP_MAX
                && let Some(job) = self.waiting()
            {
                jobs.push_back(job);
            }
            jobs = self.write(jobs).await;
        }
    }

    async fn next(&mut self) -> Option<Job<F>> {
        tokio::select! {
            request = self.requests.recv() => request.map(Job::Request),
            own = self.own.recv() => own.map(|(id, ops)| Job::Own(id, ops)),
        }
    }

    fn waiting(&mut self) -> Option<Job<F>> {
        let own = self.own.try_recv().map(|(id, ops)| Job::Own(id, ops));
        own.or_else(|_| self.requests.try_recv().map(Job::Request)).ok()
    }

    /// Writes the jobs, and answers them. Gives back those that have to be decided again.
    async fn write(&mut self, mut jobs: VecDeque<Job<F>>) -> VecDeque<Job<F>> {
        let decided = self.decide(&mut jobs);
        let effects = decided.iter().filter_map(|it| it.outcome.as_ref().ok());
        let ops: Vec<Vec<RowOp>> = effects.map(|it| it.ops.clone()).filter(|ops| !ops.is_empty()).collect();
        let results = if ops.is_empty() { Vec::new() } else { self.commit(ops).await };
        let newest = results.iter().filter_map(|it| it.as_ref().ok()).map(|it| it.position).max();
        let lags = match newest {
            Some(newest) => !self.apply(newest).await,
            None => false,
        };
        let left = self.answer(decided, results, lags).await;
        left.into_iter().chain(jobs).collect()
    }

    /// Evaluates jobs, each on what those before it make of the state, as many as go into one transaction.
    fn decide(&self, jobs: &mut VecDeque<Job<F>>) -> Vec<Decided<F>> {
        let mut trial = self.state.snapshot().fork();
        let (mut decided, mut ops) = (Vec::new(), 0);
        while ops < GROUP_OPS_MAX
            && let Some(mut job) = jobs.pop_front()
        {
            let Some(outcome) = job.evaluate(&trial) else { continue };
            let tried = outcome.as_ref().map_or(Ok(()), |effect| attempt(&mut trial, &effect.ops));
            ops += outcome.as_ref().map_or(0, |effect| effect.ops.len());
            decided.push(Decided { job, outcome });
            // What it would come to is not known here; the database is going to say it.
            if tried.is_err() {
                break;
            }
        }
        decided
    }

    async fn commit(&self, requests: Vec<Vec<RowOp>>) -> Vec<Result<Committed, CommitError>> {
        let count = requests.len();
        let committed = tokio::time::timeout(COMMIT_MAX, self.store.commit_all(requests));
        committed.await.unwrap_or_else(|_| {
            let message = format!("the database did not answer within {} s", COMMIT_MAX.as_secs());
            (0..count).map(|_| Err(CommitError::Unknown { message: message.clone() })).collect()
        })
    }

    /// Waits until memory has come so far. Says whether it has.
    async fn apply(&mut self, newest: Position) -> bool {
        let applied = self.applied.wait_for(|position| *position >= newest);
        let has = tokio::time::timeout(APPLY_MAX, applied).await.is_ok();
        if !has {
            tracing::warn!("memory lags {} s behind the database", APPLY_MAX.as_secs());
        }
        has
    }

    /// Answers the jobs up to the first that failed; gives back those behind it.
    async fn answer(
        &self,
        decided: Vec<Decided<F>>,
        results: Vec<Result<Committed, CommitError>>,
        lags: bool,
    ) -> Vec<Job<F>> {
        let (mut results, mut left, mut failed) = (results.into_iter(), Vec::new(), false);
        for Decided { job, outcome } in decided {
            let needs_result = outcome.as_ref().is_ok_and(|effect| !effect.ops.is_empty());
            let result = if needs_result { results.next() } else { None };
            if failed || (needs_result && result.is_none()) {
                failed = true;
                left.push(job);
                continue;
            }
            let error = result.and_then(Result::err);
            failed = error.is_some();
            match (job, outcome) {
                (Job::Request(request), outcome) => {
                    // The caller may have gone meanwhile.
                    let _ = request.answer.send(match (outcome, error) {
                        (Err(fault), _) => Answer::Refused(fault),
                        (Ok(effect), Some(error)) => Answer::Failed(effect, error),
                        (Ok(effect), None) if lags && needs_result => Answer::Accepted(effect),
                        (Ok(effect), None) => Answer::Done(effect),
                    });
                }
                (Job::Own(id, _), _) => {
                    let ended = error.map_or(Ok(()), |error| Err(error.to_string()));
                    let _ = self.own_ended.send((id, ended)).await;
                }
            }
        }
        left
    }
}

impl<F> Job<F> {
    /// What it comes to; nothing where nobody waits for it any more.
    fn evaluate(&mut self, state: &State) -> Option<Result<Effect, F>> {
        match self {
            Self::Request(request) => {
                let is_called_off = match request.turn.take() {
                    Some(turn) => turn.send(()).is_err(),
                    None => request.answer.is_closed(),
                };
                (!is_called_off).then(|| (request.evaluate)(state))
            }
            Self::Own(_, ops) => Some(Ok(Effect { ops: ops.clone(), ..Effect::default() })),
        }
    }
}

/// Does to a state what is going to be done to the database.
fn attempt(trial: &mut State, ops: &[RowOp]) -> Result<(), PartError> {
    let mut tx = trial.transaction();
    ops.iter().try_for_each(|op| tx.apply_op(op).map(|_| ()))?;
    tx.commit();
    Ok(())
}
