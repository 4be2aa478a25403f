//! Pools of mapped devices, in volume groups and of extents: in a guest, since the device mapper is not in every kernel.

#![allow(clippy::unwrap_used, clippy::expect_used)]
#![cfg(all(feature = "storage", feature = "sim"))]

mod lun;
mod namespace;
mod plvm;
mod storage_bench;
mod suite;
mod traces;
mod web;

use namespace::{in_guest, is_inside, run};
use pony_core::host::{DriverErrorKind, PoolBackend, Source, VolumeFormat, VolumeSpec};
use pony_host::{Storage, StorageOptions};
use std::fs::File;
use std::future::Future;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use storage_bench::{Bench, MIB, are_zeroes, assert_reads, disk, options, qcow2_of, read_block};
use suite::assert_refused;
use tempfile::TempDir;
use traces::Traces;
use uuid::Uuid;
use web::{Page, Web};

/// Size of a physical extent in LVM.
const EXTENT_MIB: i64 = 4;

#[test]
fn mapped_devices_keep_what_they_are_given() {
    in_guest("mapped_devices_keep_what_they_are_given_inside", MODULES, "", 600);
}

#[test]
#[ignore = "takes five minutes: make test-long runs it"]
fn lvm_conforms() {
    in_guest("lvm_conforms_inside", MODULES, "", 1200);
}

#[test]
#[ignore = "takes minutes: make test-long runs it"]
fn plvm_conforms() {
    in_guest("plvm_conforms_inside", MODULES, "", 1200);
}

const MODULES: &str = "dm-thin-pool loop sd_mod";

/// A guest has no udev that would make nodes of devices, nobody watches its volumes, and nobody will want them back.
const CONFIG: &str = "activation {\n udev_sync = 0\n udev_rules = 0\n monitoring = 0\n}\n\
                      backup {\n backup = 0\n archive = 0\n}\n\
                      devices {\n obtain_device_list_from_udev = 0\n}\n";

/// A volume group on a file, of which 4 MiB hold what somebody else wrote.
fn volume_group(dir: &Path) -> String {
    std::fs::write("/etc/lvm/lvm.conf", CONFIG).unwrap();
    let file = dir.join("disk");
    let disk_bytes = 140 << 20;
    std::fs::write(&file, vec![0xa5; disk_bytes]).unwrap();
    let device = run("losetup", &["-f", "--show", file.to_str().unwrap()]).trim().to_owned();
    run("vgcreate", &["-y", "ponytest", &device]);
    device
}

fn bench(dir: &Path, thin_pool: Option<&str>) -> Bench {
    let backend = PoolBackend::Lvm { vg: "ponytest".into(), thin_pool: thin_pool.map(str::to_owned) };
    let scratch = dir.join("scratch");
    Bench::of(backend, scratch.clone(), StorageOptions { scratch, ..options() })
}

/// A volume group that goes in the end, and nothing else is left.
async fn in_group<F: Future<Output = ()>>(work: impl FnOnce(PathBuf, Web) -> F) {
    alone(|dir, web| async move {
        let device = volume_group(&dir);
        work(dir.clone(), web).await;
        run("vgremove", &["-f", "-y", "ponytest"]);
        run("losetup", &["-d", &device]);
        std::fs::remove_file(dir.join("disk")).unwrap();
        std::fs::remove_dir_all(dir.join("scratch")).unwrap();
    })
    .await;
}

#[tokio::test]
#[ignore = "is run by another test, in a guest"]
async fn mapped_devices_keep_what_they_are_given_inside() {
    if !is_inside() {
        return;
    }
    in_group(|dir, web| async move {
        let bytes = disk(6 * MIB, 1);
        let uri = web.put("raw", Page::new(bytes.clone()));
        let bench = bench(&dir, None);
        contents(&bench, &bytes, &[&uri]).await;
        foreign(&bench).await;
        across(&dir, &bytes, &uri).await;
    })
    .await;
    alone(|dir, web| async move { plvm::keeps_what_it_is_given(&dir, &web, &disk(6 * MIB, 1)).await }).await;
}

/// In a directory of which nothing is left in the end.
async fn alone<F: Future<Output = ()>>(work: impl FnOnce(PathBuf, Web) -> F) {
    let dir = TempDir::new().unwrap();
    let before = Traces::alone(dir.path());
    work(dir.path().to_owned(), Web::start().await).await;
    before.assert_unchanged();
}

#[tokio::test]
#[ignore = "is run by another test, in a guest"]
async fn plvm_conforms_inside() {
    if is_inside() {
        alone(|dir, web| async move { plvm::conforms(&dir, &web).await }).await;
    }
}

#[tokio::test]
#[ignore = "is run by another test, in a guest"]
async fn lvm_conforms_inside() {
    if !is_inside() {
        return;
    }
    in_group(|dir, web| async move {
        let bytes = disk(6 * MIB, 1);
        let raw = web.put("raw", Page::new(bytes.clone()));
        let qcow2 = web.put("qcow2", Page::new(qcow2_of(&bytes)));
        run("lvcreate", &["-y", "--type", "thin-pool", "-L", "48M", "-n", "thin", "ponytest"]);
        for thin_pool in [None, Some("thin")] {
            let bench = bench(&dir, thin_pool);
            let suite = suite::StorageBench {
                formats: &[VolumeFormat::Raw],
                granule_mib: EXTENT_MIB,
                abandoned_ms: &[1, 300],
                ..suite::StorageBench::new(&bench.storage, bench.pool.clone(), raw.clone(), 6)
            };
            suite::storage(&suite).await;
            contents(&bench, &bytes, &[&raw, &qcow2]).await;
            foreign(&bench).await;
        }
    })
    .await;
}

async fn contents(bench: &Bench, bytes: &[u8], uris: &[&str]) {
    let empty = bench.raw(8);
    assert_reads(&bench.make(&empty, &Source::Empty).await.unwrap(), &[]);
    let larger = VolumeSpec { size_mib: Some(12), ..empty.clone() };
    assert_reads(&bench.make(&larger, &Source::Empty).await.unwrap(), &[]);
    bench.storage.delete_volume(&empty).await.unwrap();
    for uri in uris {
        let spec = bench.raw(10);
        assert_reads(&bench.fetch(&spec, uri).await.unwrap(), bytes);
        let copy = bench.raw(14);
        let fact = bench.make(&copy, &Source::Volume(spec.clone())).await.unwrap();
        assert_reads(&fact, bytes);
        // What a guest wrote is kept when it grows, and what was behind it does not come to light.
        File::options()
            .write(true)
            .open(fact.place.path().unwrap())
            .unwrap()
            .write_all_at(&[7; 512], 0)
            .unwrap();
        let fact =
            bench.make(&VolumeSpec { size_mib: Some(17), ..copy.clone() }, &Source::Empty).await.unwrap();
        assert_eq!(read_block(&fact)[..512], [7; 512]);
        assert!(are_zeroes(&read_block(&fact)[bytes.len()..]));
        for spec in [spec, copy] {
            bench.storage.delete_volume(&spec).await.unwrap();
        }
    }
    let words = assert_refused(bench.make(&bench.qcow2(8), &Source::Empty).await, DriverErrorKind::Order);
    assert!(words.contains("raw"), "{words}");
}

/// What others have in the group is neither listed nor touched; what this host did not finish goes.
async fn foreign(bench: &Bench) {
    let of = |host: Uuid| format!("pony-{}.{host}.1-1", bench.raw(4).volume);
    let (unfinished, others) = (of(options().host), of(Uuid::from_u128(7)));
    for name in ["root", &unfinished, &others] {
        run("lvcreate", &["-y", "-W", "n", "-L", "4M", "-n", name, "ponytest"]);
    }
    bench.storage.open_pool(&bench.pool).await.unwrap();
    assert_eq!(bench.storage.list_volumes(&bench.pool).await.unwrap(), []);
    let left = run("lvs", &["--noheadings", "-o", "lv_name", "ponytest"]);
    assert!(left.contains("root") && left.contains(&others) && !left.contains(&unfinished), "{left}");
    run("lvremove", &["-f", "ponytest/root", &format!("ponytest/{others}")]);
}

/// From a directory into a volume group, and back.
async fn across(dir: &Path, bytes: &[u8], uri: &str) {
    let files = dir.join("files");
    std::fs::create_dir(&files).unwrap();
    let (files_bench, lvm) = (Bench::at(files.clone(), options()), bench(dir, None));
    let image = files_bench.qcow2(None);
    files_bench.fetch(&image, uri).await.unwrap();
    let volume = lvm.raw(8);
    assert_reads(&lvm.make(&volume, &Source::Volume(image.clone())).await.unwrap(), bytes);
    files_bench.storage.delete_volume(&image).await.unwrap();
    for format in [VolumeFormat::Raw, VolumeFormat::Qcow2] {
        let back = files_bench.spec(format, 8);
        let from = Source::Volume(volume.clone());
        storage_bench::assert_holds(&files_bench.make(&back, &from).await.unwrap(), bytes);
    }
    lvm.storage.delete_volume(&volume).await.unwrap();
    std::fs::remove_dir_all(files).unwrap();
}
