//! The stream of changes: every commit of the state becomes events in one log, which all watchers read.
//!
//! No watcher has a queue of its own. Each has a place in the log ([`Cursor`]); whoever is so slow that the log has
//! forgotten what comes next is told to start over. So memory is bounded by the log, whatever the number of watchers.
//! Watchers of equal rights who ask for the same are a [`group::Group`]: what they are told is decided and put
//! together once for all of them. HTTP is [`crate::http`]'s affair; who may see what is `pony_core`'s.

mod cursor;
mod group;
mod log;
mod recorder;
mod tape;

pub(crate) use cursor::{Cursor, Id, Next};
pub(crate) use group::{Format, Piece};
pub(crate) use recorder::Recorder;

use group::{Digest, Group};
use log::Log;
use pony_core::document::{Caller, Tree, Watch};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::watch;

/// Watchers of all callers together: each costs a connection with its buffers, some 30 KiB.
pub(crate) const WATCHERS_MAX: usize = 4_096;
/// Watchers of one caller who is no alicorn: a dashboard with some tabs, some scripts.
pub(crate) const WATCHERS_OF_CALLER_MAX: usize = 64;

/// Too many watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Crowded {
    /// Of all callers.
    #[error("{WATCHERS_MAX} streams are open, which is the most; try again later")]
    All,
    /// Of this one.
    #[error("{WATCHERS_OF_CALLER_MAX} of your streams are open, which is the most; close one")]
    Caller,
}

/// Lets callers watch. Cloning it costs a reference count.
#[derive(Clone)]
pub(crate) struct Streams(Arc<Inner>);

struct Inner {
    tree: Arc<Tree>,
    log: Arc<Log>,
    head: watch::Receiver<u64>,
    groups: Mutex<HashMap<(Digest, Format), Weak<Group>>>,
    watchers: AtomicUsize,
    callers: Mutex<HashMap<String, usize>>,
}

impl Streams {
    fn new(tree: Arc<Tree>, log: Arc<Log>, head: watch::Receiver<u64>) -> Self {
        let (groups, callers) = (Mutex::default(), Mutex::default());
        Self(Arc::new(Inner { tree, log, head, groups, watchers: AtomicUsize::new(0), callers }))
    }

    /// Lets somebody watch from now on, or from where he was.
    ///
    /// # Errors
    /// [`Crowded`], where too many watch already.
    pub(crate) fn watch(&self, watch: Watch, format: Format, after: Option<Id>) -> Result<Cursor, Crowded> {
        let seat = Seat::take(&self.0, watch.caller())?;
        let group = self.group(watch, format);
        Ok(Cursor::new(seat, Arc::clone(&self.0.log), group, self.0.head.clone(), after))
    }

    /// Who watches at the moment.
    pub(crate) fn watchers(&self) -> usize {
        self.0.watchers.load(Ordering::Relaxed)
    }

    /// Events that can be resumed, and their bytes.
    pub(crate) fn kept(&self) -> (usize, usize) {
        self.0.log.size()
    }

    fn group(&self, watch: Watch, format: Format) -> Arc<Group> {
        let digest = Digest::of(&watch);
        let mut groups = self.0.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(group) = groups.get(&(digest, format)).and_then(Weak::upgrade) {
            return group;
        }
        groups.retain(|_, group| group.strong_count() > 0);
        let group = Arc::new(Group::new(Arc::clone(&self.0.tree), watch, digest, format));
        groups.insert((digest, format), Arc::downgrade(&group));
        group
    }
}

/// A watcher's right to be there, which ends with it.
pub(crate) struct Seat {
    inner: Arc<Inner>,
    caller: Option<String>,
}

impl Seat {
    fn take(inner: &Arc<Inner>, caller: &Caller) -> Result<Self, Crowded> {
        let caller = match caller {
            Caller::User { alicorn: true, .. } => None,
            Caller::User { email, .. } | Caller::InTenant { email, .. } => Some(email.to_string()),
            Caller::Nobody => Some(String::new()),
        };
        // Whoever is refused below gives back what it took when it is dropped.
        let mut seat = Self { inner: Arc::clone(inner), caller: None };
        if inner.watchers.fetch_add(1, Ordering::Relaxed) >= WATCHERS_MAX {
            return Err(Crowded::All);
        }
        if let Some(caller) = caller {
            let mut callers = inner.callers.lock().unwrap_or_else(PoisonError::into_inner);
            let count = callers.entry(caller.clone()).or_default();
            if *count >= WATCHERS_OF_CALLER_MAX {
                return Err(Crowded::Caller);
            }
            *count += 1;
            seat.caller = Some(caller);
        }
        Ok(seat)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.inner.watchers.fetch_sub(1, Ordering::Relaxed);
        let Some(caller) = &self.caller else { return };
        let mut callers = self.inner.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = callers.get_mut(caller) {
            *count -= 1;
            if *count == 0 {
                callers.remove(caller);
            }
        }
    }
}
