//! A later order wins: fills that are dropped, deleted, overtaken or killed at any point.

#![allow(clippy::unwrap_used, clippy::expect_used)]
#![cfg(all(feature = "storage", feature = "sim"))]

mod storage_bench;
mod suite;
mod web;

use pony_core::host::DriverErrorKind::Transient;
use pony_core::host::{PoolSpec, Source, VolumeFormat, VolumeSpec};
use pony_host::{Storage, StorageOptions};
use std::future::{Future, poll_fn};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::task::Poll;
use std::time::{Duration, Instant};
use storage_bench::{Bench, MIB, assert_holds, content, disk, qcow2_of};
use suite::{assert_refused, eventually};
use uuid::Uuid;
use web::{Page, Web};

/// How long a later order may take to win.
const WINS_WITHIN: Duration = Duration::from_secs(2);

/// Drops a future at its n-th await point; whether it was done before.
async fn drop_at<T>(points: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = Box::pin(future);
    let mut polls = 0;
    poll_fn(|context| {
        polls += 1;
        match future.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if polls > points => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Nothing runs, and nothing lies about but a download that can be resumed.
async fn settled(bench: &Bench) {
    let resumable = |name: &String| name.ends_with(".download") || name.ends_with(".json");
    let what = "only what can be resumed is left";
    eventually(what, || async { bench.unfinished().iter().all(resumable) && bench.processes().is_empty() })
        .await;
}

/// Dropped at every other await point, settled, deleted or taken up, and then complete.
async fn dropped_everywhere(bench: &Bench, format: VolumeFormat, source: &Source, holds: &[u8]) {
    for (round, point) in (0..).step_by(2).enumerate() {
        let spec = bench.spec(format, 5);
        if drop_at(point, bench.make(&spec, source)).await.is_some() {
            assert!(point > 0, "done at once: this tested nothing");
            return;
        }
        if round % 2 == 0 {
            settled(bench).await;
            // Dropped just after it was done, it is done.
            let whole = bench.storage.list_volumes(&bench.pool).await.unwrap();
            whole.iter().filter(|fact| fact.volume == spec.volume).for_each(|fact| assert_holds(fact, holds));
        }
        if round % 3 == 0 {
            bench.storage.delete_volume(&spec).await.unwrap();
            let trace = |name: &String| name.contains(&spec.volume.to_string());
            eventually("no trace", || async { !bench.unfinished().iter().any(trace) }).await;
        }
        assert_holds(&bench.make(&spec, source).await.unwrap(), holds);
        bench.storage.delete_volume(&spec).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn downloads_dropped_anywhere_leave_nothing_but_what_is_resumed() {
    let (bench, web) = (Bench::new(), Web::start().await);
    let bytes = disk(2 * MIB, 1);
    let raw = Source::Uri(web.put("raw", Page::new(bytes.clone())));
    let qcow2 = Source::Uri(web.put("qcow2", Page::new(qcow2_of(&bytes))));
    dropped_everywhere(&bench, VolumeFormat::Raw, &raw, &bytes).await;
    dropped_everywhere(&bench, VolumeFormat::Qcow2, &qcow2, &bytes).await;
    settled(&bench).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_dropped_anywhere_leave_nothing() {
    let (bench, web) = (Bench::new(), Web::start().await);
    let bytes = disk(4 * MIB, 2);
    let original = bench.raw(4);
    bench.fetch(&original, &web.put("raw", Page::new(bytes.clone()))).await.unwrap();
    let source = Source::Volume(original);
    dropped_everywhere(&bench, VolumeFormat::Raw, &source, &bytes).await;
    dropped_everywhere(&bench, VolumeFormat::Qcow2, &source, &bytes).await;
    eventually("cleared away", || async { bench.unfinished().is_empty() }).await;
}

/// Whatever an abandoned fill is still busy with, the one that comes after it is what counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abandoned_fill_never_gets_into_a_newer_one() {
    let (bench, web) = (Bench::new(), Web::start().await);
    let (old, new) = (disk(4 * MIB, 3), disk(4 * MIB, 4));
    let sources = [&old, &new]
        .map(|bytes| web.put(if bytes == &old { "old" } else { "new" }, Page::new(bytes.clone())));
    let mut taken = 0;
    for point in 0..30 {
        let spec = bench.spec([VolumeFormat::Raw, VolumeFormat::Qcow2][point % 2], 4);
        drop_at(point, bench.fetch(&spec, &sources[0])).await;
        let fact = bench.fetch(&spec, &sources[1]).await.unwrap();
        let holds = content(&fact);
        assert!(holds == old || holds == new, "{point}: made of two");
        settled(&bench).await;
        assert!(content(&fact) == holds, "{point}: something was still at work on it");
        taken += usize::from(holds == new);
        bench.storage.delete_volume(&spec).await.unwrap();
    }
    assert!(taken > 10, "only {taken} of 30 were abandoned before they were done");
}

#[tokio::test]
async fn a_deletion_wins_over_a_download_that_hangs() {
    let bench = Bench::with(StorageOptions { near_sources: true, ..StorageOptions::default() });
    let web = Web::start().await;
    let bytes = disk(4 * MIB, 5);
    let mute = Page { mute: true, ..Page::new("") };
    let stalls = Page { stall_after: Some(2 * MIB), ..Page::new(bytes.clone()) };
    for page in [mute, stalls] {
        let uri = web.put("image", page);
        let spec = bench.raw(4);
        let delete = async {
            eventually("under way", || async { !bench.unfinished().is_empty() }).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            let began = Instant::now();
            bench.storage.delete_volume(&spec).await.unwrap();
            began
        };
        let (made, began) = tokio::join!(bench.fetch(&spec, &uri), delete);
        assert!(began.elapsed() < WINS_WITHIN, "{:?}", began.elapsed());
        let message = assert_refused(made, Transient);
        assert!(message.contains("overtook"), "{message}");
        eventually("no trace", || async { bench.unfinished().is_empty() && bench.finished().is_empty() })
            .await;
        web.put("image", Page::new(bytes.clone()));
        assert_holds(&bench.fetch(&spec, &uri).await.unwrap(), &bytes);
        bench.storage.delete_volume(&spec).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_wins_over_copies_and_conversions_and_stops_their_processes() {
    let (bench, web) = (Bench::new(), Web::start().await);
    let original = bench.raw(256);
    let uri = web.put("raw", Page::new(disk(256 * MIB, 6)));
    bench.fetch(&original, &uri).await.unwrap();
    for (format, abandoned) in [
        (VolumeFormat::Raw, false),
        (VolumeFormat::Raw, true),
        (VolumeFormat::Qcow2, false),
        (VolumeFormat::Qcow2, true),
    ] {
        let spec = bench.spec(format, 256);
        let source = Source::Volume(original.clone());
        let busy = || async {
            let written = || {
                bench
                    .unfinished()
                    .iter()
                    .any(|name| bench.dir.join("partial").join(name).join("out").exists())
            };
            eventually("under way", || async { written() }).await;
        };
        let making = bench.make(&spec, &source);
        if abandoned {
            tokio::select! { biased; made = making => drop(made), () = busy() => {} }
            bench.storage.delete_volume(&spec).await.unwrap();
        } else {
            let delete = async {
                busy().await;
                let began = Instant::now();
                bench.storage.delete_volume(&spec).await.unwrap();
                began
            };
            let (made, began) = tokio::join!(making, delete);
            assert!(began.elapsed() < WINS_WITHIN, "{format:?}: {:?}", began.elapsed());
            // It may have been done already; then the deletion found a finished volume.
            made.map_or_else(|error| assert_eq!(error.kind, Transient, "{error}"), drop);
        }
        settled(&bench).await;
        assert_eq!(bench.finished().len(), 1, "{format:?}: only the original is there");
    }
}

/// The agent is killed (and what it started is not): a new one takes up from what it finds.
#[tokio::test]
async fn a_killed_agent_is_succeeded_by_one_that_takes_up_its_work() {
    let (bench, web) = (Bench::new(), Web::start().await);
    let bytes = disk(16 * MIB, 7);
    let pace = Duration::from_millis(2);
    let uris = [
        web.put("raw", Page { pace, ..Page::new(bytes.clone()) }),
        web.put("qcow2", Page { pace, ..Page::new(qcow2_of(&bytes)) }),
    ];
    for (number, uri) in uris.iter().cycle().take(10).enumerate() {
        let spec = bench.spec([VolumeFormat::Raw, VolumeFormat::Qcow2][number / 2 % 2], 16);
        let mut agent = agent(&bench, &spec, uri);
        eventually("begun", || async { !bench.unfinished().is_empty() || !bench.finished().is_empty() })
            .await;
        tokio::time::sleep(Duration::from_millis(70 * number as u64)).await;
        agent.kill().unwrap();
        agent.wait().unwrap();
        let volumes = bench.storage.list_volumes(&bench.pool).await.unwrap();
        volumes.iter().for_each(|whole| assert_holds(whole, &bytes));
        assert_holds(&bench.fetch(&spec, uri).await.unwrap(), &bytes);
        bench.storage.delete_volume(&spec).await.unwrap();
        eventually("no trace", || async { bench.unfinished().is_empty() && bench.processes().is_empty() })
            .await;
    }
}

/// Another process that makes a volume: this one, told by its environment.
fn agent(bench: &Bench, spec: &VolumeSpec, uri: &str) -> std::process::Child {
    let format = if spec.format == VolumeFormat::Raw { "raw" } else { "qcow2" };
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_agent_that_is_killed", "--ignored"])
        .env("PONY_TEST_AGENT", format!("{} {} {format} {uri}", bench.dir.display(), spec.volume))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
#[ignore = "is run by another test, in a process of its own"]
async fn the_agent_that_is_killed() {
    let Ok(told) = std::env::var("PONY_TEST_AGENT") else { return };
    let told: Vec<_> = told.split(' ').collect();
    let options = StorageOptions { near_sources: true, ..StorageOptions::default() };
    let bench = Bench::at(PathBuf::from(told[0]), options);
    let volume: Uuid = told[1].parse().unwrap();
    let format = if told[2] == "raw" { VolumeFormat::Raw } else { VolumeFormat::Qcow2 };
    let pool: PoolSpec = bench.pool.clone();
    let spec = VolumeSpec { volume, pool, format, size_mib: Some(16), extents: Vec::new() };
    bench.fetch(&spec, told[3]).await.unwrap();
}
