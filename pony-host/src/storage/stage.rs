//! How far a step has come, and whether it still moves.

use super::error::StorageError;
use crate::Progress;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// How often a running step is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// A part of a whole: reports fractions of itself as fractions of that. Never goes backwards.
#[derive(Clone)]
pub(super) struct Stage {
    progress: Progress,
    from: f64,
    to: f64,
    best: Arc<AtomicU64>,
}

impl Stage {
    pub(super) fn whole(progress: Progress) -> Self {
        Self { progress, from: 0.0, to: 1.0, best: Arc::new(AtomicU64::new(0)) }
    }

    /// The part of this stage between two fractions.
    pub(super) fn part(&self, from: f64, to: f64) -> Self {
        let at = |fraction: f64| self.from + fraction * (self.to - self.from);
        Self { progress: self.progress.clone(), from: at(from), to: at(to), best: self.best.clone() }
    }

    /// Reports a fraction of this stage.
    pub(super) fn report(&self, fraction: f64) {
        let whole = self.from + fraction.clamp(0.0, 1.0) * (self.to - self.from);
        // The bits of non-negative floats sort as the floats do.
        let before = self.best.fetch_max(whole.to_bits(), Ordering::Relaxed);
        if whole.to_bits() > before {
            (self.progress)(whole);
        }
    }

    /// Reports so much done of so much.
    pub(super) fn report_of(&self, done: u64, total: u64) {
        self.report(done as f64 / total.max(1) as f64);
    }
}

/// Waits for `work` as long as `headway` keeps changing; it is asked every 200 ms, and may report progress.
pub(super) async fn while_moving<T, E: From<StorageError>>(
    what: &str,
    stall: Duration,
    mut headway: impl FnMut() -> u64,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    tokio::pin!(work);
    let (mut last, mut since) = (headway(), Instant::now());
    loop {
        tokio::select! {
            biased;
            result = &mut work => return result,
            () = tokio::time::sleep(LOOK) => {}
        }
        let now = headway();
        if now != last {
            (last, since) = (now, Instant::now());
        } else if since.elapsed() >= stall {
            return Err(StorageError::Stalled { what: what.to_owned(), seconds: stall.as_secs() }.into());
        }
    }
}
