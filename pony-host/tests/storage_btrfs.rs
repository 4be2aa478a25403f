//! Pools on Btrfs: a file system of their own on a loop device, in a mount namespace of their own.

#![allow(clippy::unwrap_used, clippy::expect_used)]
#![cfg(all(feature = "storage", feature = "sim"))]

mod namespace;
mod storage_bench;
mod suite;
mod traces;
mod web;

use namespace::{in_namespace, is_inside, mount, run, unmount};
use pony_core::host::{DriverErrorKind, PoolBackend, Source, VolumeFormat};
use pony_host::Storage;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use storage_bench::{Bench, MIB, assert_holds, disk, options};
use suite::{assert_refused, eventually};
use tempfile::TempDir;
use traces::Traces;
use web::{Page, Web};

/// Inode number of the root of every subvolume.
const SUBVOLUME: u64 = 256;

const FILE_SYSTEM_MIB: u64 = 512;

#[test]
fn btrfs_conforms() {
    in_namespace("btrfs_conforms_inside");
}

#[test]
fn btrfs_shares_blocks() {
    in_namespace("btrfs_shares_blocks_inside");
}

/// A Btrfs file system below the directory.
fn file_system(dir: &Path) -> PathBuf {
    let (image, pool) = (dir.join("image"), dir.join("pool"));
    File::create(&image).unwrap().set_len(FILE_SYSTEM_MIB << 20).unwrap();
    run("mkfs.btrfs", &["-q", image.to_str().unwrap()]);
    std::fs::create_dir(&pool).unwrap();
    mount(&["-o", "loop", image.to_str().unwrap()], &pool);
    pool
}

fn bench(pool: &Path) -> Bench {
    Bench::of(PoolBackend::Btrfs { path: pool.to_owned() }, pool.to_owned(), options())
}

fn clear(dir: TempDir, pool: &Path, before: &Traces) {
    unmount(pool);
    std::fs::remove_dir(pool).unwrap();
    std::fs::remove_file(dir.path().join("image")).unwrap();
    before.assert_unchanged();
    dir.close().unwrap();
}

#[tokio::test]
#[ignore = "is run by another test, in a namespace of its own"]
async fn btrfs_conforms_inside() {
    if !is_inside() {
        return;
    }
    let dir = TempDir::new().unwrap();
    let before = Traces::alone(dir.path());
    let pool = file_system(dir.path());
    let (bench, web) = (bench(&pool), Web::start().await);
    let uri = web.put("image", Page::new(disk(6 * MIB, 1)));
    suite::storage(&suite::StorageBench::new(&bench.storage, bench.pool.clone(), uri, 6)).await;
    eventually("cleared away", || async { bench.unfinished().is_empty() }).await;
    assert_eq!(run("btrfs", &["subvolume", "list", pool.to_str().unwrap()]), "");

    let backend = PoolBackend::Btrfs { path: dir.path().to_owned() };
    let elsewhere = Bench::of(backend, dir.path().to_owned(), options());
    let words = assert_refused(elsewhere.storage.open_pool(&elsewhere.pool).await, DriverErrorKind::Order);
    assert!(words.contains("not on a Btrfs file system"), "{words}");
    drop(bench);
    clear(dir, &pool, &before);
}

#[tokio::test]
#[ignore = "is run by another test, in a namespace of its own"]
async fn btrfs_shares_blocks_inside() {
    if !is_inside() {
        return;
    }
    let dir = TempDir::new().unwrap();
    let before = Traces::alone(dir.path());
    let pool = file_system(dir.path());
    let (bench, web) = (bench(&pool), Web::start().await);
    let bytes = disk(64 * MIB, 2);
    let image = bench.raw(None);
    bench.fetch(&image, &web.put("image", Page::new(bytes.clone()))).await.unwrap();
    let used = || async {
        run("sync", &["-f", pool.to_str().unwrap()]);
        bench.storage.open_pool(&bench.pool).await.unwrap().allocated_mib
    };
    let one = used().await;
    // More than fits, if they took room.
    let mut copies = Vec::new();
    for _ in 0..12 {
        let copy = bench.make(&bench.raw(80), &Source::Volume(image.clone())).await.unwrap();
        assert_eq!((copy.size_mib, copy.format), (80, VolumeFormat::Raw));
        let subvolume = copy.place.path().unwrap().parent().unwrap().to_owned();
        assert_eq!(std::fs::metadata(subvolume).unwrap().ino(), SUBVOLUME);
        copies.push(copy);
    }
    assert_holds(&copies[11], &bytes);
    assert!(used().await - one < 16, "copies take {} MiB", used().await - one);
    drop(bench);
    clear(dir, &pool, &before);
}
