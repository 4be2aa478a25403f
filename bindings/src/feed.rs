//! Commits, and waiting for them.

use crate::convert::{Changes, from_commit};
use crate::error::Raise;
use crate::names::Names;
use pony_state::{Commit, FeedError, Subscription};
use pyo3::prelude::*;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// How long a wait goes before Python's signals (Ctrl-C) are looked at.
const SIGNALS: Duration = Duration::from_millis(100);

#[pyclass(frozen)]
pub(crate) struct Feed {
    subscription: Mutex<Subscription>,
    names: Arc<Names>,
}

/// Wakes the thread that waits.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl Feed {
    pub(crate) fn new(subscription: Subscription, names: Arc<Names>) -> Self {
        Self { subscription: Mutex::new(subscription), names }
    }

    fn subscription(&self) -> MutexGuard<'_, Subscription> {
        self.subscription.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for at most that time.
    fn wait(&self, time: Duration) -> Result<Option<Commit>, FeedError> {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        match self.subscription().poll_next(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => return result.map(Some),
            Poll::Pending => {}
        }
        thread::park_timeout(time);
        self.subscription().try_next()
    }
}

#[pymethods]
impl Feed {
    /// The next commit; `None` where there was none within that many seconds.
    fn next<'py>(&self, py: Python<'py>, timeout_s: Option<f64>) -> PyResult<Option<Changes<'py>>> {
        let end = |seconds| Instant::now().checked_add(Duration::try_from_secs_f64(seconds).ok()?);
        let end = timeout_s.and_then(end);
        loop {
            let left = end.map_or(SIGNALS, |end| end.saturating_duration_since(Instant::now()).min(SIGNALS));
            if let Some(commit) = py.detach(|| self.wait(left)).raise(py)? {
                return from_commit(py, &self.names, &commit).map(Some);
            }
            if end.is_some_and(|end| Instant::now() >= end) {
                return Ok(None);
            }
            py.check_signals()?;
        }
    }

    fn skip_to(&self, version: u64) {
        self.subscription().skip_to(version);
    }
}
