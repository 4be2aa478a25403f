//! Pools on a file system that does not answer: whoever writes there hangs in the kernel, where nobody can end it. A frozen
//! file system does that, on a loop device in a mount namespace of its own.

#![allow(clippy::unwrap_used, clippy::expect_used)]
#![cfg(all(feature = "storage", feature = "sim"))]

mod namespace;
mod storage_bench;
mod suite;

use namespace::{in_namespace, is_inside, mount, run, unmount};
use pony_core::host::DriverErrorKind::Transient;
use pony_core::host::Source;
use pony_host::{Storage, StorageOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;
use storage_bench::{Bench, options};
use suite::assert_refused;
use tempfile::TempDir;

/// How long a pool may be silent, here.
const PATIENCE: Duration = Duration::from_secs(1);

/// A call that is dropped meanwhile.
const MOMENT: Duration = Duration::from_millis(50);

/// Calls that hang at a time: more than threads may.
const TRIES: usize = 40;

/// A file system of which no call that writes comes back, until this is dropped.
struct Frozen(PathBuf);

impl Frozen {
    fn new(path: &Path) -> Self {
        run("fsfreeze", &["--freeze", path.to_str().unwrap()]);
        Self(path.to_owned())
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        run("fsfreeze", &["--unfreeze", self.0.to_str().unwrap()]);
    }
}

/// How many threads of this process hang in the kernel.
fn hung() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let stats = tasks.filter_map(|it| std::fs::read_to_string(it.path().join("stat")).ok());
    stats.filter(|it| it.rsplit(") ").next().is_some_and(|rest| rest.starts_with('D'))).count()
}

#[test]
fn a_disk_that_hangs() {
    in_namespace("a_disk_that_hangs_inside");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "is run by another test, in a namespace of its own"]
async fn a_disk_that_hangs_inside() {
    if !is_inside() {
        return;
    }
    let dir = TempDir::new().unwrap();
    let (image, pool) = (dir.path().join("image"), dir.path().join("pool"));
    std::fs::create_dir(&pool).unwrap();
    std::fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
    run("mke2fs", &["-q", "-F", image.to_str().unwrap()]);
    mount(&["-o", "loop", image.to_str().unwrap()], &pool);
    let bench = Bench::at(pool.clone(), StorageOptions { pool_patience: PATIENCE, ..options() });
    let (kept, wanted) = (bench.raw(1), bench.raw(1));
    bench.make(&kept, &Source::Empty).await.unwrap();

    let frozen = Frozen::new(&pool);
    // It is told as what it is, and not waited for.
    let message = assert_refused(bench.make(&wanted, &Source::Empty).await, Transient);
    assert!(message.contains("has not answered for 1 s"), "{message}");
    assert_refused(bench.storage.delete_volume(&kept).await, Transient);
    // Whatever is tried again and called off again leaves no more threads behind than there may be.
    for _ in 0..TRIES {
        drop(tokio::time::timeout(MOMENT, bench.make(&wanted, &Source::Empty)).await);
        drop(tokio::time::timeout(MOMENT, bench.storage.delete_volume(&kept)).await);
    }
    let left = hung();
    assert!((1..=16).contains(&left), "{left} threads hang");
    // Other pools go on.
    let other = Bench::new();
    other.make(&other.raw(1), &Source::Empty).await.unwrap();
    drop(frozen);

    // Once it answers, what is ordered by now comes to be, and nothing of what was called off undoes it.
    suite::eventually("the pool", || async { bench.storage.open_pool(&bench.pool).await.is_ok() }).await;
    bench.make(&wanted, &Source::Empty).await.unwrap();
    bench.storage.delete_volume(&kept).await.unwrap();
    suite::eventually("nothing hangs", || async { hung() == 0 && bench.unfinished().is_empty() }).await;
    let there = bench.storage.list_volumes(&bench.pool).await.unwrap();
    assert_eq!(there.iter().map(|it| it.volume).collect::<Vec<_>>(), [wanted.volume]);
    drop(bench);
    unmount(&pool);
}
