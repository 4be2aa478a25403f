//! A reader that takes one snapshot after the other and scans it, beside a writer that never rests.

use crate::peer::{Beside, Scanner};
use pony_benches::median;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

/// Raised when the scope is left, however: the writer must not wait for a reader that failed.
struct Raised<'a>(&'a AtomicBool);

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Scans on a thread of its own while `update` does batches of updates on this one, each saying its size.
pub(crate) fn measure(
    scanner: Scanner,
    scans: usize,
    mut update: impl FnMut() -> anyhow::Result<usize>,
) -> anyhow::Result<Beside> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let _raised = Raised(&done);
            scan(scanner, scans)
        });
        let mut updates = Vec::new();
        while !done.load(Ordering::Relaxed) {
            let start = Instant::now();
            let count = update()?;
            updates.push(start.elapsed().as_nanos() as f64 / count.max(1) as f64);
        }
        let scans = reader.join().map_err(|_| anyhow::anyhow!("the reader panicked"))??;
        Ok(Beside { scan_ns: median(&scans), update_ns: median(&updates) })
    })
}

/// What each of that many scans took.
pub(crate) fn scan(mut scanner: Scanner, scans: usize) -> anyhow::Result<Vec<f64>> {
    let mut took = Vec::with_capacity(scans);
    for _ in 0..scans {
        let start = Instant::now();
        std::hint::black_box(scanner()?);
        took.push(start.elapsed().as_nanos() as f64);
    }
    Ok(took)
}
