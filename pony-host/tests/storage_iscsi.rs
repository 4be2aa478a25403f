//! Pools of LUNs of an iSCSI target, by the initiators in this process and in QEMU: no kernel is needed for it. By that of
//! a kernel, too, in a guest.

#![allow(clippy::unwrap_used, clippy::expect_used)]
#![cfg(all(feature = "storage", feature = "sim"))]

mod kernel_initiator;
mod namespace;
mod storage_bench;
mod suite;
mod target;
mod traces;
mod web;

use pony_core::host::{
    DriverError, DriverErrorKind, IscsiMode, IscsiPool, Place, PoolSpec, Source, VolumeFact, VolumeFormat,
    VolumeSpec,
};
use pony_host::{HostStorage, Storage, StorageOptions};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};
use storage_bench::{Bench, MIB, disk, options, qcow2_of};
use suite::assert_refused;
use target::{DATA, SECRET, Target};
use tempfile::TempDir;
use uuid::Uuid;
use web::{Page, Web};

const LUNS: [u8; 6] = [1, 2, 3, 4, 5, 255];

/// A host with a pool.
fn bench(dir: &Path, pool: IscsiPool) -> Bench {
    let scratch = dir.join("scratch");
    let options = StorageOptions {
        host: Uuid::new_v4(),
        scratch: scratch.clone(),
        secrets: dir.join("secrets"),
        // The disk below the target may stand still for a while.
        pool_patience: Duration::from_secs(60),
        ..options()
    };
    Bench::of(pool.into(), scratch, options)
}

/// What lies on the LUN that a volume is on.
fn read(target: &Target, fact: &VolumeFact) -> Vec<u8> {
    let Place::Network(disk) = &fact.place else { panic!("{fact:?}") };
    let (name, slice) = (&disk.name, disk.slice.unwrap());
    let lun = name.rsplit_once('/').unwrap().1.parse().unwrap();
    let bytes = std::fs::read(target.file(lun)).unwrap();
    assert_eq!((slice.offset, slice.len), (DATA as u64, u64::try_from(fact.size_mib).unwrap() << 20));
    bytes[DATA..][..slice.len as usize].to_vec()
}

/// It reads as these bytes, then as zeroes: nothing of what lay there before.
#[track_caller]
fn assert_reads(target: &Target, fact: &VolumeFact, bytes: &[u8]) {
    let found = read(target, fact);
    assert!(found.starts_with(bytes), "{fact:?} does not hold what it was filled from");
    assert!(found[bytes.len()..].iter().all(|byte| *byte == 0), "{fact:?} shows what lay there before");
}

/// Disks on which somebody left something behind where volumes lie.
fn used(target: &Target) {
    for lun in LUNS {
        target.write(lun, &vec![0xa5; 23 * MIB], DATA as u64);
    }
}

fn started(dir: &Path) -> Option<Target> {
    let target = Target::start(dir, 5, 24)?;
    target.add(255, 24);
    used(&target);
    Some(target)
}

#[tokio::test(flavor = "multi_thread")]
async fn luns_keep_what_they_are_given() {
    let dir = TempDir::new().unwrap();
    let Some(target) = started(dir.path()) else { return };
    let (bench, web) = (bench(dir.path(), target.pool(&LUNS)), Web::start().await);
    let bytes = disk(6 * MIB, 1);
    let uris = [web.put("raw", Page::new(bytes.clone())), web.put("qcow2", Page::new(qcow2_of(&bytes)))];
    let empty = bench.raw(8);
    assert_reads(&target, &bench.make(&empty, &Source::Empty).await.unwrap(), &[]);
    let larger = VolumeSpec { size_mib: Some(12), ..empty.clone() };
    assert_reads(&target, &bench.make(&larger, &Source::Empty).await.unwrap(), &[]);
    for uri in &uris {
        let spec = bench.raw(10);
        assert_reads(&target, &bench.fetch(&spec, uri).await.unwrap(), &bytes);
        let copy = bench.raw(14);
        let fact = bench.make(&copy, &Source::Volume(spec.clone())).await.unwrap();
        assert_reads(&target, &fact, &bytes);
        let grown = VolumeSpec { size_mib: Some(17), ..copy.clone() };
        assert_reads(&target, &bench.make(&grown, &Source::Empty).await.unwrap(), &bytes);
        for spec in [spec, copy] {
            bench.storage.delete_volume(&spec).await.unwrap();
        }
    }
    across(&target, dir.path(), &bench, &bytes, &uris[1]).await;
    let words = assert_refused(bench.make(&bench.qcow2(8), &Source::Empty).await, DriverErrorKind::Order);
    assert!(words.contains("raw"), "{words}");
    let larger = VolumeSpec { size_mib: Some(24), ..empty.clone() };
    let words = assert_refused(bench.make(&larger, &Source::Empty).await, DriverErrorKind::Transient);
    assert!(words.contains("23 MiB") && words.contains("24 are"), "{words}");
    let words = assert_refused(bench.make(&bench.raw(24), &Source::Empty).await, DriverErrorKind::Transient);
    assert!(words.contains("24 MiB") && words.contains("23"), "{words}");
    let fact = bench.storage.open_pool(&bench.pool).await.unwrap();
    assert_eq!((fact.capacity_mib, fact.allocated_mib), (6 * 23, 23));
    bench.storage.delete_volume(&empty).await.unwrap();
    assert_eq!(bench.storage.open_pool(&bench.pool).await.unwrap().allocated_mib, 0);
}

/// From a directory onto a LUN, and back.
async fn across(target: &Target, dir: &Path, bench: &Bench, bytes: &[u8], uri: &str) {
    let files = dir.join("files");
    std::fs::create_dir(&files).unwrap();
    let files = Bench::at(files, options());
    let image = files.qcow2(None);
    files.fetch(&image, uri).await.unwrap();
    let volume = bench.raw(8);
    // The storage of the pool of LUNs knows both pools.
    let fact = bench.make(&volume, &Source::Volume(image)).await.unwrap();
    assert_reads(target, &fact, bytes);
    for format in [VolumeFormat::Raw, VolumeFormat::Qcow2] {
        let back = files.spec(format, 8);
        let fact = bench.make(&back, &Source::Volume(volume.clone())).await.unwrap();
        storage_bench::assert_holds(&fact, bytes);
    }
    bench.storage.delete_volume(&volume).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn luns_conform() {
    let dir = TempDir::new().unwrap();
    let Some(target) = started(dir.path()) else { return };
    let (bench, web) = (bench(dir.path(), target.pool(&LUNS)), Web::start().await);
    let uri = web.put("image", Page::new(disk(6 * MIB, 1)));
    let suite = suite::StorageBench {
        formats: &[VolumeFormat::Raw],
        abandoned_ms: &[1, 30, 300],
        ..suite::StorageBench::new(&bench.storage, bench.pool.clone(), uri, 6)
    };
    suite::storage(&suite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_somebody_elses_is_left_alone() {
    let dir = TempDir::new().unwrap();
    let Some(target) = Target::start(dir.path(), 3, 8) else { return };
    // As Btrfs would, far behind the first block.
    target.write(1, b"_BHRfS_M", 65_600);
    let others = bench(dir.path(), target.pool(&[2]));
    others.make(&others.raw(4), &Source::Empty).await.unwrap();
    let before = [1, 2].map(|lun| std::fs::read(target.file(lun)).unwrap());
    let bench = bench(dir.path(), target.pool(&[1, 2, 3]));
    let fact = bench.storage.open_pool(&bench.pool).await.unwrap();
    assert_eq!((fact.capacity_mib, fact.allocated_mib), (21, 14));
    assert_eq!(bench.storage.list_volumes(&bench.pool).await.unwrap(), []);
    let fact = bench.make(&bench.raw(4), &Source::Empty).await.unwrap();
    assert!(fact.place.to_string().contains("/3 "), "{}", fact.place);
    assert_refused(bench.make(&bench.raw(4), &Source::Empty).await, DriverErrorKind::Transient);
    assert_eq!(before, [1, 2].map(|lun| std::fs::read(target.file(lun)).unwrap()));
}

/// As an agent makes it: again, where another host, that tried for the same LUN, has cut the fill.
async fn made_in_the_end(storage: &HostStorage, spec: &VolumeSpec) -> Result<VolumeFact, DriverError> {
    for _ in 0..20 {
        match storage.create_volume(spec, &Source::Empty, suite::unheard()).await {
            Err(error) if error.kind == DriverErrorKind::Transient => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            answer => return answer,
        }
    }
    storage.create_volume(spec, &Source::Empty, suite::unheard()).await
}

/// Several hosts at once: each volume has a LUN of its own, and nobody clears away what another one is at.
#[tokio::test(flavor = "multi_thread")]
async fn hosts_share_a_pool() {
    let dir = TempDir::new().unwrap();
    let Some(target) = started(dir.path()) else { return };
    let benches: Vec<_> = (0..3).map(|_| bench(dir.path(), target.pool(&LUNS))).collect();
    let pool = benches[0].pool.clone();
    let (sweeper, made) = (&benches[2].storage, benches[..2].iter());
    let spec = || VolumeSpec {
        volume: Uuid::new_v4(),
        pool: pool.clone(),
        format: VolumeFormat::Raw,
        size_mib: Some(5),
        extents: Vec::new(),
    };
    let making = made.flat_map(|bench| {
        let storage: &HostStorage = &bench.storage;
        (0..3).map(move |_| storage)
    });
    let specs: Vec<_> = (0..6).map(|_| spec()).collect();
    let makings = making.zip(&specs).map(|(storage, spec)| made_in_the_end(storage, spec));
    let sweeps = async {
        loop {
            sweeper.open_pool(&pool).await.unwrap();
        }
    };
    let facts = tokio::select! {
        facts = futures::future::join_all(makings) => facts,
        () = sweeps => unreachable!(),
    };
    let mut places: Vec<_> = facts.into_iter().map(|fact| fact.unwrap().place).collect();
    places.sort();
    places.dedup();
    assert_eq!(places.len(), 6);
    let listed = sweeper.list_volumes(&pool).await.unwrap();
    assert_eq!(listed.len(), 6);
    for spec in &specs {
        sweeper.delete_volume(spec).await.unwrap();
    }
    assert_eq!(benches[0].storage.open_pool(&pool).await.unwrap().allocated_mib, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_says_what_is_wrong_with_it() {
    let dir = TempDir::new().unwrap();
    let Some(target) = Target::start(dir.path(), 2, 8) else { return };
    let right = target.pool(&[1, 2]);
    let said = |pool: IscsiPool| async {
        let bench = bench(dir.path(), pool);
        let answer = bench.storage.open_pool(&bench.pool).await;
        assert!(bench.storage.list_volumes(&bench.pool).await.is_err());
        let words = assert_refused(answer, DriverErrorKind::Transient);
        assert!(!words.contains(SECRET), "{words}");
        words
    };
    for (pool, words) in [
        (
            IscsiPool { target: "iqn.2026-01.test.pony:none".into(), ..right.clone() },
            "no target of that name",
        ),
        (IscsiPool { login: None, ..right.clone() }, "user and secret"),
        (IscsiPool { luns: vec![1, 7], ..right.clone() }, "LUN 7, is no disk"),
        (IscsiPool { portal: "127.0.0.1:1".into(), ..right.clone() }, "Connection refused"),
    ] {
        let said = said(pool).await;
        assert!(said.contains(words), "{said}");
    }
    let login = |secret: &str| Some(pony_core::host::Login { user: "pony".into(), secret: secret.into() });
    std::fs::copy(dir.path().join("secrets/san"), dir.path().join("secrets/wrong")).unwrap();
    std::fs::write(dir.path().join("secrets/wrong"), "another").unwrap();
    for (secret, words) in [("wrong", "user and secret"), ("none", "is not on this host")] {
        let said = said(IscsiPool { login: login(secret), ..right.clone() }).await;
        assert!(said.contains(words), "{said}");
    }
}

/// Within its patience each, also while a volume is made; and all goes on when it is back.
#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_gone_holds_up_nothing_for_ever() {
    let dir = TempDir::new().unwrap();
    let Some(target) = started(dir.path()) else { return };
    let pool = PoolSpec { pool: Uuid::new_v4(), backend: target.pool(&LUNS).into() };
    let patient = StorageOptions {
        scratch: dir.path().join("scratch"),
        secrets: dir.path().join("secrets"),
        ..options()
    };
    let impatient = StorageOptions {
        pool_patience: Duration::from_secs(2),
        copy_stall: Duration::from_secs(2),
        ..patient.clone()
    };
    let storage = HostStorage::new(impatient);
    // The patient one does what has to succeed, on slow disks too.
    let patient = HostStorage::new(patient);
    patient.open_pool(&pool).await.unwrap();
    target.freeze();
    let asked = Instant::now();
    let words = assert_refused(storage.open_pool(&pool).await, DriverErrorKind::Transient);
    assert!(words.contains("has not answered for 2 s"), "{words}");
    assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
    let spec = VolumeSpec {
        volume: Uuid::new_v4(),
        pool,
        format: VolumeFormat::Raw,
        size_mib: Some(20),
        extents: Vec::new(),
    };
    let made = storage.create_volume(&spec, &Source::Empty, suite::unheard()).await;
    assert_refused(made, DriverErrorKind::Transient);
    target.thaw();
    patient.create_volume(&spec, &Source::Empty, suite::unheard()).await.unwrap();
    target.write(4, b"ponycloud LUN\0\0\x02", 0);
    let words = assert_refused(patient.open_pool(&spec.pool).await, DriverErrorKind::Transient);
    assert!(words.contains("LUN 4, has a damaged label"), "{words}");
    target.withdraw(3);
    let words = assert_refused(patient.open_pool(&spec.pool).await, DriverErrorKind::Transient);
    assert!(words.contains("LUN 3"), "{words}");
}

/// Somebody who answers, but not as a target does.
fn impostor(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().take(8).flatten() {
            let mut asked = [0; 48];
            let _ = stream.read_exact(&mut asked);
            let _ = stream.write_all(answer);
            let _ = stream.shutdown(Shutdown::Write);
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn impostors_are_not_believed() {
    let dir = TempDir::new().unwrap();
    const HUGE: [u8; 48] = {
        let mut header = [0; 48];
        (header[0], header[5]) = (0x23, 0xff);
        header
    };
    const ELSEWHERE: [u8; 48] = {
        let mut header = [0; 48];
        (header[0], header[36]) = (0x23, 1);
        header
    };
    const ENDLESS: [u8; 48 * 20] = {
        let mut headers = [0; 48 * 20];
        let mut at = 0;
        while at < headers.len() {
            headers[at] = 0x23;
            at += 48;
        }
        headers
    };
    for (answer, words) in [
        (&b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n      "[..], "iSCSI"),
        (&HUGE, "sends 16711680 bytes"),
        (&ELSEWHERE, "another portal"),
        (&ENDLESS, "come to an end"),
        (&[], "spoken to"),
    ] {
        let (target, luns) = ("iqn.a".into(), vec![1]);
        let (portal, mode) = (impostor(answer), IscsiMode::Direct);
        let pool = IscsiPool { portal, target, luns, login: None, initiator: None, mode };
        let bench = bench(dir.path(), pool);
        let words_found =
            assert_refused(bench.storage.open_pool(&bench.pool).await, DriverErrorKind::Transient);
        assert!(words_found.contains(words), "{words_found}");
    }
}

#[test]
#[ignore = "takes minutes: make test-long runs it"]
fn mapped_luns_conform() {
    let (modules, packages) = (kernel_initiator::MODULES, kernel_initiator::PACKAGES);
    namespace::in_guest("mapped_luns_conform_inside", modules, packages, 1200);
}

#[test]
#[ignore = "takes minutes: make test-long runs it"]
fn mapped_luns_keep_what_they_are_given() {
    let (modules, packages) = (kernel_initiator::MODULES, kernel_initiator::PACKAGES);
    namespace::in_guest("mapped_luns_keep_what_they_are_given_inside", modules, packages, 1200);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "is run by another test, in a guest"]
async fn mapped_luns_conform_inside() {
    if namespace::is_inside() {
        kernel_initiator::conforms().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "is run by another test, in a guest"]
async fn mapped_luns_keep_what_they_are_given_inside() {
    if namespace::is_inside() {
        kernel_initiator::keeps_what_it_is_given().await;
    }
}
