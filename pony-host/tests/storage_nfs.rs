//! Pools in directories of an NFS server: in a guest, which is the server as well.

#![allow(clippy::unwrap_used, clippy::expect_used)]
#![cfg(all(feature = "storage", feature = "sim"))]

mod namespace;
mod storage_bench;
mod suite;
mod traces;
mod web;

use namespace::{in_guest, is_inside, mount, run, unmount};
use pony_core::host::{DriverErrorKind, PoolBackend, Source, VolumeSpec};
use pony_host::{HostStorage, Storage, StorageOptions};
use std::fs::File;
use std::path::Path;
use storage_bench::{Bench, MIB, assert_holds, disk, options, qcow2_of};
use suite::{assert_refused, eventually};
use tempfile::TempDir;
use traces::Traces;
use web::{Page, Web};

/// The server's programs, and the libraries that they need.
const PACKAGES: &str = "nfs-kernel-server nfs-common libnfsidmap1 libtirpc3 libwrap0 libevent-core-2.1-7";

const MODULES: &str = "nfsd nfsv4 loop ext4";

#[test]
fn nfs_keeps_what_it_is_given() {
    in_guest("nfs_keeps_what_it_is_given_inside", MODULES, PACKAGES, 300);
}

#[test]
#[ignore = "takes minutes: make test-long runs it"]
fn nfs_conforms() {
    in_guest("nfs_conforms_inside", MODULES, PACKAGES, 1200);
}

/// Serves a file system on a file to this machine; gives where it is.
fn serve(dir: &Path) {
    let (image, root) = (dir.join("image"), dir.join("served"));
    File::create(&image).unwrap().set_len(200 << 20).unwrap();
    run("mkfs.ext4", &["-q", image.to_str().unwrap()]);
    std::fs::create_dir(&root).unwrap();
    mount(&["-o", "loop", image.to_str().unwrap()], &root);
    std::fs::create_dir(root.join("pool")).unwrap();
    mount(&["-t", "nfsd", "nfsd"], Path::new("/proc/fs/nfsd"));
    std::fs::create_dir_all("/var/lib/nfs/v4recovery").unwrap();
    for file in ["/etc/exports", "/var/lib/nfs/etab"] {
        File::create(file).unwrap();
    }
    let exported = format!("*:{}", root.display());
    run("exportfs", &["-o", "rw,no_root_squash,fsid=0,no_subtree_check,insecure", &exported]);
    run("rpc.mountd", &["-N", "2", "-N", "3", "-V", "4"]);
    run("rpc.nfsd", &["-N", "3", "-V", "4", "2"]);
    // Nobody was here before who might want something back.
    std::fs::write("/proc/fs/nfsd/v4_end_grace", "Y").unwrap();
}

fn stop(dir: &Path) {
    run("rpc.nfsd", &["0"]);
    run("exportfs", &["-ua"]);
    unmount(&dir.join("served"));
    unmount(Path::new("/proc/fs/nfsd"));
    std::fs::remove_dir(dir.join("served")).unwrap();
    std::fs::remove_file(dir.join("image")).unwrap();
}

/// A host that mounts below its own directory, and caches for itself.
fn bench_of(dir: &Path, name: &str, export: &str) -> Bench {
    let backend = PoolBackend::Nfs {
        server: "127.0.0.1".into(),
        export: export.into(),
        options: Some("vers=4.1,nosharecache".into()),
    };
    let mounts = dir.join(name);
    let mut bench = Bench::of(backend, mounts.clone(), StorageOptions { mounts, ..options() });
    bench.dir = bench.dir.join(bench.pool.pool.to_string());
    bench
}

fn bench(dir: &Path, export: &str) -> Bench {
    bench_of(dir, "mounts", export)
}

/// A second host sees what the first one made as soon as it is made, and its end, and replaces nothing.
async fn two_hosts(dir: &Path, first: &Bench, made: &VolumeSpec, bytes: &[u8]) {
    let mut second = bench_of(dir, "mounts2", "/pool");
    second.dir = dir.join("mounts2").join(first.pool.pool.to_string());
    second.pool = first.pool.clone();
    second.storage.open_pool(&second.pool).await.unwrap();
    assert_eq!(second.storage.list_volumes(&second.pool).await.unwrap().len(), 2);
    let late = first.raw(4);
    for n in 0..3 {
        assert_eq!(second.storage.list_volumes(&second.pool).await.unwrap().len(), 2, "before {n}");
        first.make(&late, &Source::Volume(made.clone())).await.unwrap();
        let seen = second.storage.list_volumes(&second.pool).await.unwrap();
        let seen = seen.iter().find(|it| it.volume == late.volume).expect("it is seen at once");
        assert!(seen.place.path().unwrap().starts_with(&second.dir), "{seen:?}");
        assert_holds(seen, bytes);
        // It is there already, whoever made it: nothing empty is put in its place.
        let again = second.make(&late, &Source::Empty).await.unwrap();
        assert_holds(&again, bytes);
        second.storage.delete_volume(&late).await.unwrap();
        assert_eq!(first.storage.list_volumes(&first.pool).await.unwrap().len(), 2, "its end is seen, too");
    }
    eventually("cleared away", || async { second.unfinished().is_empty() }).await;
    unmount(&second.dir);
    std::fs::remove_dir_all(dir.join("mounts2")).unwrap();
}

/// What nobody asks for any more is unmounted, but not from under whoever has something open there.
async fn forgotten_mounts(dir: &Path, ordered: &Bench) {
    let mounts = dir.join("mounts3");
    let keep = std::time::Duration::from_millis(300);
    let storage = HostStorage::new(StorageOptions { mounts: mounts.clone(), mount_keep: keep, ..options() });
    let there = mounts.join(ordered.pool.pool.to_string());
    let is_mounted = || there.join("volumes").exists();
    storage.open_pool(&ordered.pool).await.unwrap();
    let open = File::open(there.join("volumes")).unwrap();
    tokio::time::sleep(4 * keep).await;
    assert!(is_mounted(), "something is open there");
    drop(open);
    eventually("unmounted", || async { !is_mounted() }).await;
    assert_eq!(storage.list_volumes(&ordered.pool).await.unwrap().len(), 2, "it is mounted again");
    eventually("unmounted again", || async { !is_mounted() }).await;
    std::fs::remove_dir_all(mounts).unwrap();
}

#[tokio::test]
#[ignore = "is run by another test, in a guest"]
async fn nfs_keeps_what_it_is_given_inside() {
    if !is_inside() {
        return;
    }
    let dir = TempDir::new().unwrap();
    let before = Traces::alone(dir.path());
    serve(dir.path());
    let (bench, web) = (bench(dir.path(), "/pool"), Web::start().await);
    let bytes = disk(2 * MIB, 1);
    let uri = web.put("image", Page::new(qcow2_of(&bytes)));
    let fact = bench.storage.open_pool(&bench.pool).await.unwrap();
    assert!((100..200).contains(&fact.capacity_mib), "that of the server's file system: {fact:?}");
    let image = bench.qcow2(None);
    assert_holds(&bench.fetch(&image, &uri).await.unwrap(), &bytes);
    let copy = bench.raw(4);
    let fact = bench.make(&copy, &Source::Volume(image.clone())).await.unwrap();
    assert_holds(&fact, &bytes);
    let served = dir.path().join("served/pool/volumes").join(format!("{}.raw", copy.volume));
    assert_eq!(std::fs::metadata(served).unwrap().len(), 4 << 20, "it lies on the server");

    // What somebody unmounted is mounted again, and never written beside.
    unmount(&bench.dir);
    assert_eq!(bench.storage.list_volumes(&bench.pool).await.unwrap().len(), 2);

    two_hosts(dir.path(), &bench, &copy, &bytes).await;
    forgotten_mounts(dir.path(), &bench).await;
    for spec in [image, copy] {
        bench.storage.delete_volume(&spec).await.unwrap();
    }
    assert_eq!(bench.finished(), [""; 0]);
    eventually("cleared away", || async { bench.unfinished().is_empty() }).await;

    let none = self::bench(dir.path(), "/none");
    let words = assert_refused(none.storage.open_pool(&none.pool).await, DriverErrorKind::Transient);
    assert!(words.contains("127.0.0.1:/none"), "{words}");
    unmount(&bench.dir);
    std::fs::remove_dir_all(dir.path().join("mounts")).unwrap();
    stop(dir.path());
    before.assert_unchanged();
}

#[tokio::test]
#[ignore = "is run by another test, in a guest"]
async fn nfs_conforms_inside() {
    if !is_inside() {
        return;
    }
    let dir = TempDir::new().unwrap();
    let before = Traces::alone(dir.path());
    serve(dir.path());
    let (bench, web) = (bench(dir.path(), "/pool"), Web::start().await);
    let uri = web.put("image", Page::new(disk(6 * MIB, 1)));
    let suite = suite::StorageBench::new(&bench.storage, bench.pool.clone(), uri, 6);
    suite::storage(&suite::StorageBench { abandoned_ms: &[1, 300], ..suite }).await;
    eventually("cleared away", || async { bench.unfinished().is_empty() }).await;
    unmount(&bench.dir);
    std::fs::remove_dir_all(dir.path().join("mounts")).unwrap();
    stop(dir.path());
    before.assert_unchanged();
}
