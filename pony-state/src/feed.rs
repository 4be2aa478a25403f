//! Telling subscribers what was committed, with a bound on what waits for a slow one.

use crate::change::Commit;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Why a subscription does not give a commit.
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// # let mut state = house()?;
/// let mut subscription = state.subscribe(1);
/// let mut tx = state.transaction();
/// tx.remove::<Lamp>(&"attic".into());
/// tx.remove::<Lamp>(&"hall".into());
/// tx.commit();
/// assert_eq!(subscription.try_next().unwrap_err(), FeedError::Lagged);
/// drop(state);
/// assert_eq!(subscription.try_next().unwrap_err(), FeedError::Closed);
/// # Ok::<_, SchemaError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    /// More changes waited than the subscription's capacity, and were dropped. Take a snapshot, start over from
    /// it, and go on receiving: see [`Subscription::skip_to`].
    #[error("the subscriber was too slow and missed changes; it must start over from a snapshot")]
    Lagged,
    /// The state is gone: there will be no more commits.
    #[error("the state that was subscribed to no longer exists")]
    Closed,
}

/// What waits for one subscriber.
#[derive(Default)]
struct Queue {
    commits: VecDeque<Commit>,
    /// Changes in `commits`.
    waiting: usize,
    capacity: usize,
    lagged: bool,
    closed: bool,
    waker: Option<Waker>,
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Queue {
    fn push(&mut self, commit: &Commit) {
        if self.lagged {
            return;
        }
        self.waiting += commit.len();
        if self.waiting > self.capacity {
            self.overrun();
        } else {
            self.commits.push_back(commit.clone());
        }
    }

    fn overrun(&mut self) {
        self.commits.clear();
        (self.waiting, self.lagged) = (0, true);
    }

    fn pop(&mut self) -> Option<Result<Commit, FeedError>> {
        if std::mem::take(&mut self.lagged) {
            return Some(Err(FeedError::Lagged));
        }
        match self.commits.pop_front() {
            Some(commit) => {
                self.waiting -= commit.len();
                Some(Ok(commit))
            }
            None => self.closed.then_some(Err(FeedError::Closed)),
        }
    }
}

/// The subscribers of a state.
#[derive(Default)]
pub(crate) struct Feed {
    /// A queue that nobody else has is of a subscriber that is gone.
    queues: Vec<Arc<Mutex<Queue>>>,
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Feed({} subscribers)", self.queues.len())
    }
}

impl Feed {
    pub(crate) const fn new() -> Self {
        Self { queues: Vec::new() }
    }

    pub(crate) fn subscribe(&mut self, capacity: usize) -> Subscription {
        self.queues.retain(|queue| Arc::strong_count(queue) > 1);
        let queue = Arc::new(Mutex::new(Queue { capacity, ..Queue::default() }));
        self.queues.push(Arc::clone(&queue));
        Subscription { queue }
    }

    /// Tells all subscribers, unless nothing changed.
    pub(crate) fn publish(&mut self, commit: &Commit) {
        if !commit.is_empty() && !self.queues.is_empty() {
            self.for_each(|queue| queue.push(commit));
        }
    }

    /// Tells all subscribers to start over.
    pub(crate) fn overrun(&mut self) {
        self.for_each(Queue::overrun);
    }

    fn for_each(&mut self, tell: impl Fn(&mut Queue)) {
        self.queues.retain(|queue| {
            if Arc::strong_count(queue) == 1 {
                return false;
            }
            let waker = {
                let mut queue = lock(queue);
                tell(&mut queue);
                queue.waker.take()
            };
            if let Some(waker) = waker {
                waker.wake();
            }
            true
        });
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.for_each(|queue| queue.closed = true);
    }
}

/// The commits of a state since it was subscribed to, in order.
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// # let mut state = house()?;
/// let mut subscription = state.subscribe(100);
/// let mut tx = state.transaction();
/// tx.set_current::<Lamp>(&"hall".into(), light(80));
/// tx.commit();
/// while let Some(commit) = subscription.try_next()? {
///     assert!(commit.iter().all(|change| change.table().name() == "lamp"));
/// }
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct Subscription {
    queue: Arc<Mutex<Queue>>,
}

impl Subscription {
    /// The next commit, if one waits.
    ///
    /// # Errors
    /// [`FeedError::Lagged`], once after changes were dropped; [`FeedError::Closed`], after the last commit.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let mut subscription = state.subscribe(100);
    /// assert!(subscription.try_next()?.is_none());
    /// let mut tx = state.transaction();
    /// tx.set_current::<Lamp>(&"hall".into(), light(80));
    /// tx.commit();
    /// assert_eq!(subscription.try_next()?.map(|commit| commit.version()), Some(2));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_next(&mut self) -> Result<Option<Commit>, FeedError> {
        lock(&self.queue).pop().transpose()
    }

    /// The next commit, for pollers of futures.
    ///
    /// # Errors
    /// As [`Subscription::try_next`].
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// use std::task::{Context, Waker};
    ///
    /// let mut subscription = state.subscribe(100);
    /// let mut context = Context::from_waker(Waker::noop());
    /// assert!(subscription.poll_next(&mut context).is_pending());
    /// let mut tx = state.transaction();
    /// tx.set_current::<Lamp>(&"hall".into(), light(80));
    /// tx.commit();
    /// assert!(subscription.poll_next(&mut context).is_ready());
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Commit, FeedError>> {
        let mut queue = lock(&self.queue);
        match queue.pop() {
            Some(result) => Poll::Ready(result),
            None => {
                queue.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Waits for the next commit, in any async runtime. Nothing is lost where the wait is given up.
    ///
    /// # Errors
    /// As [`Subscription::try_next`].
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// /// Returns when the lamp shines as it should.
    /// async fn settled(room: &str, mut subscription: Subscription) -> Result<(), FeedError> {
    ///     loop {
    ///         for change in subscription.next().await?.iter() {
    ///             let lamp = change.row::<Lamp>().and_then(|lamp| lamp.after);
    ///             if lamp.is_some_and(|lamp| &*lamp.room == room && lamp.desired == lamp.current) {
    ///                 return Ok(());
    ///             }
    ///         }
    ///     }
    /// }
    /// # use std::task::{Context, Waker};
    /// # let subscription = state.subscribe(100);
    /// # let mut tx = state.transaction();
    /// # tx.set_current::<Lamp>(&"hall".into(), light(80));
    /// # tx.commit();
    /// # let mut future = std::pin::pin!(settled("hall", subscription));
    /// # assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub async fn next(&mut self) -> Result<Commit, FeedError> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// Drops the waiting commits that a snapshot of `version` contains already. A subscriber that lagged takes a
    /// snapshot *after* it was told so, calls this with its version, and has missed nothing.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// # let mut subscription = state.subscribe(1);
    /// # for percent in [1, 2] {
    /// #     let mut tx = state.transaction();
    /// #     tx.set_current::<Lamp>(&"hall".into(), light(percent));
    /// #     tx.commit();
    /// # }
    /// if matches!(subscription.try_next(), Err(FeedError::Lagged)) {
    ///     let snapshot = state.snapshot();
    ///     subscription.skip_to(snapshot.version());
    ///     // Start over from the snapshot; what is received next follows it.
    ///     # assert_eq!(snapshot.version(), 3);
    /// }
    /// # let mut tx = state.transaction();
    /// # tx.set_current::<Lamp>(&"hall".into(), light(3));
    /// # tx.commit();
    /// # assert_eq!(subscription.try_next().unwrap().unwrap().version(), 4);
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn skip_to(&mut self, version: u64) {
        let mut queue = lock(&self.queue);
        while let Some(commit) = queue.commits.pop_front_if(|commit| commit.version() <= version) {
            queue.waiting -= commit.len();
        }
    }
}

/// What waits is of no use to anybody then.
impl Drop for Subscription {
    fn drop(&mut self) {
        lock(&self.queue).overrun();
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queue = lock(&self.queue);
        write!(f, "Subscription({} of {} changes wait)", queue.waiting, queue.capacity)
    }
}
