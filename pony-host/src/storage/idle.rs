//! What is set up on this host for a pool (something mounted, a session with a target): who sets it up takes turns, and what
//! nobody has asked for in a while is ended, such as that of a pool that is no longer ordered. What is in use holds it.

use super::error::StorageError;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// What is set up, and how it is ended. Everything blocks.
pub(super) trait Setup: Send + Sync + 'static {
    /// What it is called in the log.
    const WHAT: &'static str;
    /// The pools for which there is something, or may be.
    fn pools(&self) -> Vec<Uuid>;
    /// Ends that of a pool; says whether there was anything. Fails where it is in use.
    fn end(&self, pool: Uuid) -> Result<bool, StorageError>;
}

/// See the module.
pub(super) struct Idle<S> {
    pub(super) setup: S,
    keep: Duration,
    since: Instant,
    /// One entry per pool that was ever asked for: there are few.
    known: Mutex<HashMap<Uuid, Known>>,
    is_swept: AtomicBool,
}

struct Known {
    turn: Arc<Mutex<()>>,
    used: Instant,
}

impl<S: Setup> Idle<S> {
    /// `keep`: how long what nobody asks for stays.
    pub(super) fn new(setup: S, keep: Duration) -> Arc<Self> {
        let known = Mutex::default();
        Arc::new(Self { setup, keep, since: Instant::now(), known, is_swept: AtomicBool::new(false) })
    }

    /// Notes that the pool is asked for. Whoever sets something up for it holds the lock that this gives.
    pub(super) fn used(self: &Arc<Self>, pool: Uuid) -> Arc<Mutex<()>> {
        if !self.is_swept.swap(true, Ordering::Relaxed) {
            self.sweep_from_now_on();
        }
        let (mut known, used) = (self.known(), Instant::now());
        let entry = known.entry(pool).or_insert_with(|| Known { turn: Arc::default(), used });
        entry.used = used;
        entry.turn.clone()
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Uuid, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sweep_from_now_on(self: &Arc<Self>) {
        let (idle, period) = (Arc::downgrade(self), self.keep / 2);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(period).await;
                let Some(idle) = idle.upgrade() else { return };
                // One that hangs on a server that is away holds up nothing but the next sweep.
                let _ = tokio::task::spawn_blocking(move || idle.sweep()).await;
            }
        });
    }

    fn sweep(&self) {
        for pool in self.setup.pools().into_iter().filter(|it| self.is_forgotten(*it)) {
            let turn = self.known().get(&pool).map(|it| it.turn.clone());
            let _turn = turn.as_ref().map(|it| it.lock().unwrap_or_else(PoisonError::into_inner));
            if !self.is_forgotten(pool) {
                continue;
            }
            match self.setup.end(pool) {
                Ok(true) => tracing::info!(%pool, "{} ended: nobody asks for it any more", S::WHAT),
                Ok(false) => {}
                Err(error) => tracing::debug!(%pool, %error, "{} stays", S::WHAT),
            }
        }
    }

    /// Whether nobody has asked for it in a while. What an earlier process set up counts from the start of this one.
    fn is_forgotten(&self, pool: Uuid) -> bool {
        let used = self.known().get(&pool).map_or(self.since, |it| it.used);
        used.elapsed() >= self.keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counted(Mutex<Vec<Uuid>>);

    impl Setup for Counted {
        const WHAT: &'static str = "a test";

        fn pools(&self) -> Vec<Uuid> {
            vec![Uuid::from_u128(1), Uuid::from_u128(2)]
        }

        fn end(&self, pool: Uuid) -> Result<bool, StorageError> {
            self.0.lock().unwrap().push(pool);
            Ok(true)
        }
    }

    #[tokio::test]
    async fn only_what_nobody_asks_for_is_ended() {
        let keep = Duration::from_secs(3600);
        let mut idle = Arc::into_inner(Idle::new(Counted(Mutex::default()), keep)).unwrap();
        idle.sweep();
        assert!(idle.setup.0.lock().unwrap().is_empty());
        idle.since = Instant::now().checked_sub(2 * keep).unwrap();
        let idle = Arc::new(idle);
        drop(idle.used(Uuid::from_u128(1)));
        idle.sweep();
        assert_eq!(*idle.setup.0.lock().unwrap(), [Uuid::from_u128(2)]);
    }
}
