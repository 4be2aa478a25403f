//! What a pool of extents keeps, on a disk of the guest's own: two hosts, of which one kernel plays both.

use super::lun::{Lun, unmapped};
use super::namespace::run;
use super::storage_bench::{Bench, MIB, are_zeroes, options};
use super::storage_bench::{assert_reads, read_block};
use super::suite::{self, assert_refused, noted};
use super::web::{Page, Web};
use pony_core::host::{
    DriverErrorKind, PlvmPool, PoolBackend, PoolSpec, Source, VolumeFact, VolumeFormat, VolumeSpec,
};
use pony_host::{Storage, StorageOptions};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use uuid::Uuid;

/// A host that sees the disk.
fn host(dir: &Path, lun: &Lun, number: u128) -> Bench {
    let scratch = dir.join(format!("scratch{number}"));
    let options = StorageOptions { host: Uuid::from_u128(number), scratch: scratch.clone(), ..options() };
    Bench::of(lun.pool(), scratch, options)
}

pub(crate) async fn keeps_what_it_is_given(dir: &Path, web: &Web, bytes: &[u8]) {
    let lun = Lun::plug().await;
    let (one, mut other) = (host(dir, &lun, 1), host(dir, &lun, 2));
    other.pool = one.pool.clone();
    let uri = web.put("plvm", Page::new(bytes.to_vec()));
    let volume = lun.given(one.raw(None), 8);
    let volume = filled_and_grown(&lun, &one, &volume, (bytes, &uri)).await;
    moves(&one, &other, &volume).await;
    what_is_left_goes(&lun, &one).await;
    refused(&lun, &one).await;
    assert_eq!(run("dmsetup", &["ls"]).trim(), "No devices found");
    for host in ["scratch1", "scratch2"] {
        std::fs::remove_dir_all(dir.join(host)).unwrap();
    }
    lun.unplug();
}

fn write(fact: &VolumeFact, bytes: &[u8], at: u64) {
    let device = File::options().write(true).open(fact.place.path().unwrap()).unwrap();
    device.write_all_at(bytes, at).unwrap();
    device.sync_all().unwrap();
}

/// Filled, then larger once that is written down: what is added is blank, and was not seen before.
async fn filled_and_grown(
    lun: &Lun,
    host: &Bench,
    volume: &VolumeSpec,
    (bytes, uri): (&[u8], &str),
) -> VolumeSpec {
    assert_reads(&host.fetch(volume, uri).await.unwrap(), bytes);
    let larger = lun.given(noted(volume), 12);
    let fact = host.make(&larger, &Source::Empty).await.unwrap();
    assert_eq!(fact.size_mib, 8, "what is not written down is not to be seen");
    assert_eq!(host.storage.list_volumes(&host.pool).await.unwrap(), [fact]);
    let fact = host.make(&noted(&larger), &Source::Empty).await.unwrap();
    assert_eq!(fact.size_mib, 12);
    assert_reads(&fact, bytes);
    // Whoever begins anew, knowing of nothing, leaves what is the volume's.
    write(&fact, &[7; 512], 11 << 20);
    let options = StorageOptions { host: Uuid::from_u128(1), scratch: host.dir.clone(), ..options() };
    let mut again = Bench::of(lun.pool(), host.dir.clone(), options);
    again.pool = host.pool.clone();
    again.storage.open_pool(&again.pool).await.unwrap();
    let fact =
        again.make(&noted(&larger), &Source::Uri("http://127.0.0.1:1/not-asked".into())).await.unwrap();
    assert_eq!(read_block(&fact)[11 << 20..][..512], [7; 512]);
    noted(&larger)
}

/// What one host let go of another one has, and nothing is written to it.
async fn moves(one: &Bench, other: &Bench, volume: &VolumeSpec) {
    let first = one.make(volume, &Source::Empty).await.unwrap();
    write(&first, &[9; 512], 0);
    one.storage.delete_volume(&unmapped(volume)).await.unwrap();
    assert_eq!(one.storage.list_volumes(&one.pool).await.unwrap(), []);
    let there = other.make(volume, &Source::Empty).await.unwrap();
    assert_eq!((there.size_mib, &read_block(&there)[..512]), (12, &[9; 512][..]));
    let open = File::open(there.place.path().unwrap()).unwrap();
    assert_refused(other.storage.delete_volume(&unmapped(volume)).await, DriverErrorKind::Transient);
    drop(open);
    other.storage.delete_volume(&unmapped(volume)).await.unwrap();
}

/// What this host did not finish goes; what others have, and other pools, stays.
async fn what_is_left_goes(lun: &Lun, host: &Bench) {
    let table = format!("0 2048 linear {} 2048", lun.device.display());
    let make = |name: &str, pool: Uuid, number: u8| {
        run(
            "dmsetup",
            &["create", name, "--uuid", &format!("pony-{}-{number}", pool.simple()), "--table", &table],
        );
    };
    let of = |host: u128| format!("pony-{}.{}.1-1", Uuid::from_u128(77), Uuid::from_u128(host));
    let (unfinished, others, elsewhere) = (of(1), of(2), format!("pony-{}", Uuid::from_u128(78)));
    make(&unfinished, host.pool.pool, 1);
    make(&others, host.pool.pool, 2);
    make(&elsewhere, Uuid::from_u128(79), 3);
    let nothing = format!("pony-{}", Uuid::from_u128(80));
    let uuid = format!("pony-{}-4", host.pool.pool.simple());
    run("dmsetup", &["create", &nothing, "--uuid", &uuid, "--notable"]);
    host.storage.open_pool(&host.pool).await.unwrap();
    assert_eq!(host.storage.list_volumes(&host.pool).await.unwrap(), []);
    let left = run("dmsetup", &["ls"]);
    assert!(left.contains(&others) && left.contains(&elsewhere), "{left}");
    assert!(!left.contains(&unfinished) && !left.contains(&nothing), "{left}");
    run("dmsetup", &["remove", &others]);
    run("dmsetup", &["remove", &elsewhere]);
}

async fn refused(lun: &Lun, host: &Bench) {
    let fact = host.storage.open_pool(&host.pool).await.unwrap();
    assert_eq!((fact.capacity_mib, fact.allocated_mib, fact.granule_mib), (96, 0, 1));
    let words = assert_refused(host.make(&host.raw(4), &Source::Empty).await, DriverErrorKind::Transient);
    assert!(words.contains("given 0 MiB"), "{words}");
    let small = VolumeSpec { size_mib: Some(5), ..lun.given(host.raw(None), 4) };
    let words = assert_refused(host.make(&small, &Source::Empty).await, DriverErrorKind::Transient);
    assert!(words.contains("given 4 MiB") && words.contains("needs 5"), "{words}");
    let pool = |disks: Vec<String>| PoolSpec {
        pool: Uuid::new_v4(),
        backend: PoolBackend::Plvm(PlvmPool { disks }),
    };
    let strange = pool(vec![lun.id.clone(), "naa.0".into()]);
    let words = assert_refused(host.storage.open_pool(&strange).await, DriverErrorKind::Transient);
    assert!(words.contains("does not see disk naa.0"), "{words}");
}

/// The suite, on disks of which everything was used before.
pub(crate) async fn conforms(dir: &Path, web: &Web) {
    let lun = Lun::plug().await;
    let bench = host(dir, &lun, 1);
    let uri = web.put("raw", Page::new(super::storage_bench::disk(6 * MIB, 1)));
    let give = |mib| lun.give(mib);
    let suite = suite::StorageBench {
        formats: &[VolumeFormat::Raw],
        abandoned_ms: &[1, 30, 300],
        give: Some(&give),
        ..suite::StorageBench::new(&bench.storage, bench.pool.clone(), uri, 6)
    };
    suite::storage(&suite).await;
    let blank = lun.given(bench.raw(None), 90);
    assert!(are_zeroes(&read_block(&bench.make(&blank, &Source::Empty).await.unwrap())));
    bench.storage.delete_volume(&unmapped(&blank)).await.unwrap();
    std::fs::remove_dir_all(dir.join("scratch1")).unwrap();
    lun.unplug();
}
