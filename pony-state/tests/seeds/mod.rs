//! Which seeds a random test runs: one convention for all crates, which include this file.
//!
//! `PONY_SEEDS=n` runs the first n seeds in place of the test's own number, `PONY_SEED=n` replays one. A seed that fails
//! is named with the command that replays it.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Whether a single seed is replayed: what is only true of many cannot be asserted then.
pub(crate) fn is_replay() -> bool {
    number("PONY_SEED").is_some()
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

/// Runs a test with each seed from 0, `count` of them unless the environment says otherwise, as many at a time as
/// there are processors; gives what they gave.
///
/// # Panics
/// When a seed fails, after all were run.
pub(crate) fn run<T: Send>(count: u64, test: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let (first, end) = match number("PONY_SEED") {
        Some(seed) => (seed, seed + 1),
        None => (0, number("PONY_SEEDS").unwrap_or(count)),
    };
    let (next, failed, results) = (AtomicU64::new(first), Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                break;
            }
            match catch_unwind(AssertUnwindSafe(|| test(seed))) {
                Ok(result) => results.lock().unwrap().push((seed, result)),
                Err(_) => failed.lock().unwrap().push(seed),
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, |it| it.get() as u64).min(end - first);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let mut failed = failed.into_inner().unwrap();
    failed.sort_unstable();
    if let Some(seed) = failed.first() {
        panic!("seeds {failed:?} failed, see above; this replays the first:\n    {}", command(*seed));
    }
    let mut results = results.into_inner().unwrap();
    results.sort_unstable_by_key(|(seed, _)| *seed);
    results.into_iter().map(|(_, result)| result).collect()
}

/// The command that runs the current test with one seed.
fn command(seed: u64) -> String {
    let (package, target) = (env!("CARGO_PKG_NAME"), env!("CARGO_CRATE_NAME"));
    let target =
        if target == package.replace('-', "_") { "--lib".into() } else { format!("--test {target}") };
    // A test's thread bears its name, but where tests take turns on the main one.
    let thread = std::thread::current();
    let test = thread.name().filter(|name| *name != "main").unwrap_or_default().to_owned();
    format!("PONY_SEED={seed} cargo test -p {package} {target} -- {test} --nocapture")
}
