//! The task that turns commits into events of the log, and has the metrics count them.

use super::Streams;
use super::log::{EVENTS_MAX, Log};
use crate::metrics::Metrics;
use pony_core::document::{Replay, Tree};
use pony_state::{Commit, FeedError, Read, SharedState, Snapshot, Subscription};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Changes of the state that may wait to be recorded: beyond it all watchers start over.
const CHANGES_WAITING_MAX: usize = 262_144;
/// How often watchers are woken at most. The first change after a rest wakes them at once; of many, those of one such
/// while are sent together, which makes a thousand watchers affordable.
const WAKE_EVERY: Duration = Duration::from_millis(20);

/// See the module.
pub(crate) struct Recorder {
    tree: Arc<Tree>,
    log: Arc<Log>,
    head: watch::Sender<u64>,
    state: SharedState,
    metrics: Metrics,
}

impl Recorder {
    /// One for the state, and what lets callers watch. `epoch` is random.
    pub(crate) fn new(tree: Arc<Tree>, state: SharedState, metrics: Metrics, epoch: u32) -> (Self, Streams) {
        let log = Arc::new(Log::new(epoch, EVENTS_MAX));
        let (head, woken) = watch::channel(log.next());
        let streams = Streams::new(Arc::clone(&tree), Arc::clone(&log), woken);
        (Self { tree, log, head, state, metrics }, streams)
    }

    /// Records until it is stopped. All streams end with it.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let (mut base, mut commits) = self.state.subscribe(CHANGES_WAITING_MAX);
        self.metrics.recount(&base);
        loop {
            let commit = tokio::select! {
                () = stop.cancelled() => return,
                commit = commits.next() => commit,
            };
            let recorded = match commit {
                Ok(commit) => self.record(&mut base, commit, &mut commits).await,
                Err(error) => Err(error),
            };
            match recorded {
                Ok(()) => {}
                Err(FeedError::Closed) => return,
                Err(FeedError::Lagged) => {
                    base = self.state.snapshot();
                    commits.skip_to(base.version());
                    self.log.break_off();
                    self.metrics.recount(&base);
                }
            }
            self.head.send_replace(self.log.next());
            tokio::time::sleep(WAKE_EVERY).await;
        }
    }

    /// Records a commit and those after it, up to what the state is now, which becomes the base of the next ones.
    async fn record(
        &self,
        base: &mut Snapshot,
        mut commit: Commit,
        commits: &mut Subscription,
    ) -> Result<(), FeedError> {
        let now = self.state.snapshot();
        {
            let mut replay = Replay::new(&self.tree, base);
            loop {
                self.log.append(replay.take(&commit));
                self.metrics.changed(&commit);
                if commit.version() >= now.version() {
                    break;
                }
                // Others shall have their turn, however many changes wait.
                tokio::task::yield_now().await;
                match commits.try_next()? {
                    Some(next) => commit = next,
                    None => break,
                }
            }
        }
        *base = now;
        Ok(())
    }
}
