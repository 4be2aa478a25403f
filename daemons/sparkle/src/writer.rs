//! The one task that writes: it evaluates a request against memory, commits what follows from it, and answers once
//! memory has it, so that whoever was answered reads what was written.
//!
//! Requests are evaluated one after the other, each on everything that was committed before: a `test` in a patch
//! holds when its transaction commits. The controller's own writes take turns with those of users.

use pony_core::controller::WriteId;
use pony_state::{RowOp, SharedState, Snapshot};
use pony_store::{CommitError, DesiredStore, Position};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// Requests that may wait; beyond it callers are told to come back.
pub(crate) const WAITING_MAX: usize = 256;
/// How long a commit may take, which is answered by the store well before: within a second where the database is away,
/// some ten where it was lost in the middle of committing and has to be asked how that ended.
const COMMIT_MAX: Duration = Duration::from_secs(25);
/// How long memory may lag behind a commit before the caller is answered without it.
const APPLY_MAX: Duration = Duration::from_secs(10);

/// Evaluates a request: the operations to commit, or `None` when it is refused (it has answered then).
pub(crate) type Evaluate = Box<dyn FnOnce(&Snapshot) -> Option<Vec<RowOp>> + Send>;

/// A write and where to answer it.
pub(crate) struct Request {
    /// What to do with the state as it is then.
    pub(crate) evaluate: Evaluate,
    /// Told how the commit ended.
    pub(crate) answer: oneshot::Sender<Result<(), CommitError>>,
}

/// Hands requests to the writer.
#[derive(Clone)]
pub(crate) struct WriterHandle(mpsc::Sender<Request>);

/// The writer takes no more requests now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{WAITING_MAX} writes are waiting already; try again in a second")]
pub(crate) struct Busy;

impl WriterHandle {
    /// Puts a request into the queue.
    ///
    /// # Errors
    /// [`Busy`] when it is full.
    pub(crate) fn put(&self, request: Request) -> Result<(), Busy> {
        self.0.try_send(request).map_err(|_| Busy)
    }
}

pub(crate) struct Writer {
    pub(crate) store: Arc<dyn DesiredStore>,
    pub(crate) state: SharedState,
    /// How far memory has come.
    pub(crate) applied: watch::Receiver<Position>,
    pub(crate) own: mpsc::Receiver<(WriteId, Vec<RowOp>)>,
    pub(crate) own_ended: mpsc::Sender<(WriteId, Result<(), String>)>,
}

/// A queue of requests, and the handle to it.
pub(crate) fn queue() -> (WriterHandle, mpsc::Receiver<Request>) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    (WriterHandle(sender), receiver)
}

impl Writer {
    /// Writes until nobody asks any more.
    pub(crate) async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        loop {
            tokio::select! {
                request = requests.recv() => match request {
                    Some(request) => self.write(request).await,
                    None => return,
                },
                own = self.own.recv() => match own {
                    Some((id, ops)) => self.write_own(id, ops).await,
                    None => return,
                },
            }
        }
    }

    async fn write(&mut self, request: Request) {
        // Nobody waits for it any more: it was called off.
        if request.answer.is_closed() {
            return;
        }
        let snapshot = self.state.snapshot();
        let Some(ops) = (request.evaluate)(&snapshot) else { return };
        drop(snapshot);
        let result = if ops.is_empty() { Ok(()) } else { self.commit(ops).await };
        // The caller may have gone meanwhile.
        let _ = request.answer.send(result);
    }

    async fn write_own(&mut self, id: WriteId, ops: Vec<RowOp>) {
        let result = self.commit(ops).await.map_err(|error| error.to_string());
        let _ = self.own_ended.send((id, result)).await;
    }

    async fn commit(&mut self, ops: Vec<RowOp>) -> Result<(), CommitError> {
        let committed =
            tokio::time::timeout(COMMIT_MAX, self.store.commit(ops)).await.unwrap_or_else(|_| {
                let message = format!("the database did not answer within {} s", COMMIT_MAX.as_secs());
                Err(CommitError::Unknown { message })
            })?;
        let applied = self.applied.wait_for(|position| *position >= committed.position);
        if tokio::time::timeout(APPLY_MAX, applied).await.is_err() {
            tracing::warn!("memory lags {} s behind the database", APPLY_MAX.as_secs());
        }
        Ok(())
    }
}
