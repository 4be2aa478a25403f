//! Pools on file systems that are full, or cannot be written to. They are mounted in a mount namespace of their
//! own, where this machine allows that.

#![allow(clippy::unwrap_used, clippy::expect_used)]
#![cfg(all(feature = "storage", feature = "sim"))]

mod namespace;
mod storage_bench;
mod suite;
mod web;

use namespace::{in_namespace, is_inside, mount, unmount};
use pony_core::host::DriverErrorKind::{Order, Transient};
use pony_core::host::{Source, VolumeFormat, VolumeSpec};
use pony_host::Storage;
use storage_bench::{Bench, MIB, assert_holds, disk, options, qcow2_of};
use suite::{assert_refused, eventually};
use tempfile::TempDir;
use web::{Page, Web};

/// A pool of 32 MiB.
fn small() -> (TempDir, Bench) {
    let dir = TempDir::new().unwrap();
    mount(&["-t", "tmpfs", "-o", "size=32m", "pony-test"], dir.path());
    let bench = Bench::at(dir.path().to_owned(), options());
    (dir, bench)
}

/// The mount goes with the namespace; its directory lies outside.
fn unmounted(dir: TempDir) {
    unmount(dir.path());
    dir.close().unwrap();
}

#[test]
fn a_full_disk() {
    in_namespace("a_full_disk_inside");
}

#[test]
fn a_read_only_disk() {
    in_namespace("a_read_only_disk_inside");
}

async fn free_mib(bench: &Bench) -> i64 {
    let fact = bench.storage.open_pool(&bench.pool).await.unwrap();
    assert_eq!(fact.capacity_mib, 32);
    fact.capacity_mib - fact.allocated_mib
}

#[tokio::test]
#[ignore = "is run by another test, in a namespace of its own"]
async fn a_full_disk_inside() {
    if !is_inside() {
        return;
    }
    let (dir, bench) = small();
    let web = Web::start().await;
    let bytes = disk(28 * MIB, 1);
    let uri = web.put("fits", Page::new(bytes.clone()));

    let empty = free_mib(&bench).await;

    // Known before it begins.
    let huge = web.put("huge", Page { length: Some(50 * MIB), ..Page::new(bytes.clone()) });
    let message = assert_refused(bench.fetch(&bench.raw(64), &huge).await, Transient);
    assert!(
        message.contains("50 MiB more are needed") && message.contains(&format!("{empty} MiB are free")),
        "{message}"
    );

    // Found out on the way: by the download, by the conversion, by the copy.
    let endless = web.put("endless", Page { endless: true, ..Page::new(bytes.clone()) });
    let message = assert_refused(bench.fetch(&bench.raw(64), &endless).await, Transient);
    assert!(message.contains("full") && message.contains("MiB were written"), "{message}");
    eventually("made room", || async { free_mib(&bench).await == empty }).await;
    let converted = web.put("converted", Page::new(qcow2_of(&disk(24 * MIB, 2))));
    let message = assert_refused(bench.fetch(&bench.raw(64), &converted).await, Transient);
    assert!(message.contains("full"), "{message}");
    eventually("made room", || async { free_mib(&bench).await == empty }).await;

    let original = bench.raw(28);
    assert_holds(&bench.fetch(&original, &uri).await.unwrap(), &bytes);
    for format in [VolumeFormat::Raw, VolumeFormat::Qcow2] {
        let copy = bench.spec(format, 28);
        let message = assert_refused(bench.make(&copy, &Source::Volume(original.clone())).await, Transient);
        assert!(message.contains("full"), "{message}");
        eventually("cleared away", || async { bench.unfinished().is_empty() }).await;
    }
    assert_eq!(bench.finished().len(), 1);

    // Room is made, and what failed works.
    bench.storage.delete_volume(&original).await.unwrap();
    bench.fetch(&bench.raw(64), &uri).await.unwrap();
    drop(bench);
    unmounted(dir);
}

#[tokio::test]
#[ignore = "is run by another test, in a namespace of its own"]
async fn a_read_only_disk_inside() {
    if !is_inside() {
        return;
    }
    let (dir, bench) = small();
    let spec = bench.raw(1);
    bench.make(&spec, &Source::Empty).await.unwrap();
    mount(&["-o", "remount,ro"], dir.path());
    let path = dir.path().to_str().unwrap();
    let message = assert_refused(bench.storage.open_pool(&bench.pool).await, Order);
    assert!(message.contains("Read-only") && message.contains(path), "{message}");
    assert_refused(bench.make(&bench.raw(1), &Source::Empty).await, Order);
    assert!(bench.storage.delete_volume(&spec).await.is_err());
    assert_eq!(bench.storage.list_volumes(&bench.pool).await.unwrap().len(), 1);
    mount(&["-o", "remount,rw"], dir.path());
    let larger = VolumeSpec { size_mib: Some(2), ..spec };
    assert_eq!(bench.make(&larger, &Source::Empty).await.unwrap().size_mib, 2);
    drop(bench);
    unmounted(dir);
}
