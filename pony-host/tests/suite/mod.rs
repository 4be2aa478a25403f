//! What every driver must keep, as functions over the traits: real drivers and the simulated host are put under
//! the same ones. Each takes a driver and what it needs to work on, and leaves nothing behind.
//!
//! Put another driver under them with `mod suite;` in an integration test.

#![allow(dead_code, unreachable_pub, unused_imports)]

mod discovery;
mod hypervisor;
mod network;
mod remote;
mod storage;

pub use discovery::discovery;
pub use hypervisor::hypervisor;
pub use network::{clear, network, network_of_agents_that_die};
pub use remote::{Pair, remote};
pub use storage::{StorageBench, noted, storage};

use pony_core::host::{DriverError, DriverErrorKind};
use pony_host::Progress;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long anything may take that a driver starts but does not wait for. Generous: the machine may be busy.
pub const EVENTUALLY: Duration = Duration::from_secs(60);

/// Says why the test of this thread is skipped, in the line that `.ci/test` gathers.
pub fn skipped(why: impl std::fmt::Display) {
    println!("skipped: {}: {why}", std::thread::current().name().unwrap_or("?"));
}

/// Asks until it is so.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut ask: impl FnMut() -> F) {
    let asking = async {
        while !ask().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(EVENTUALLY, asking).await.is_ok(), "never came: {what}");
}

/// Lets a future run for so many turns, then drops it.
pub async fn poll_some<F: Future>(turns: u32, future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    for _ in 0..turns {
        tokio::select! {
            biased;
            output = &mut future => return Some(output),
            () = tokio::task::yield_now() => {}
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    None
}

/// A failure of this kind, with a message of one line that says something.
pub fn assert_refused<T: std::fmt::Debug>(result: Result<T, DriverError>, kind: DriverErrorKind) -> String {
    let error = result.expect_err("this must be refused");
    assert_eq!(error.kind, kind, "{error}");
    assert!(error.message.len() > 10 && !error.message.contains('\n'), "{error}");
    error.message
}

/// Whatever its kind, a failure with words.
pub fn assert_fails<T: std::fmt::Debug>(result: Result<T, DriverError>) {
    let kind = result.as_ref().expect_err("this must fail").kind;
    assert_refused(result, kind);
}

/// Nobody cares.
pub fn unheard() -> Progress {
    Arc::new(|_| {})
}

/// Remembers what it was told.
pub fn recorder() -> (Progress, Arc<Mutex<Vec<f64>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let notes = told.clone();
    (Arc::new(move |fraction| notes.lock().unwrap().push(fraction)), told)
}
