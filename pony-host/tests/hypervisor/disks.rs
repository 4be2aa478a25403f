//! Guests that move with a disk which both hosts reach, each by a name of its own.

use super::*;
use crate::writes::GUEST_WRITES;
use pony_core::host::Place;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Room for all numbers that it may come to.
const DISK_BYTES: u64 = 16 << 20;

fn writing(bench: &Bench) -> InstanceSpec {
    let spec = bench.spec("writes");
    bench.write_boot_code(&spec, &GUEST_WRITES);
    let disk = std::fs::OpenOptions::new().write(true).open(path_of(&spec)).unwrap();
    disk.set_len(DISK_BYTES).unwrap();
    spec
}

fn path_of(spec: &InstanceSpec) -> &Path {
    spec.disks[0].place.path().unwrap()
}

/// The same guest as another host has it: the same file by another name.
fn elsewhere(spec: &InstanceSpec, bench: &Bench) -> InstanceSpec {
    let path = bench.path(&format!("{}-there.img", spec.instance));
    if !path.exists() {
        std::fs::hard_link(path_of(spec), &path).unwrap();
    }
    let mut spec = spec.clone();
    spec.disks[0].place = Place::File(path);
    spec
}

/// Whether another program gets the disk to write to it: an emulator that has it lets nobody.
fn is_free(spec: &InstanceSpec) -> bool {
    let opened = std::process::Command::new("qemu-io")
        .args(["-f", "raw", "-c", "read 0 512"])
        .arg(path_of(spec))
        .output();
    opened.unwrap().status.success()
}

fn sectors(spec: &InstanceSpec, count: usize) -> Vec<u32> {
    let disk = std::fs::File::open(path_of(spec)).unwrap();
    let read = |n: usize| {
        let mut word = [0; 2];
        disk.read_exact_at(&mut word, 512 * (n as u64 + 1)).unwrap();
        u32::from(u16::from_le_bytes(word))
    };
    (0..count).map(read).collect()
}

/// There and back again, while it counts and writes. What arrived has not got the disk before it is told to go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_guest_moves_while_it_writes_and_misses_no_number() {
    let Some([a, b]) = two().await else { return };
    let here = writing(&a);
    let there = elsewhere(&here, &a);
    a.run(&here).await;
    a.says(&here, "0010\n").await;
    assert!(!is_free(&here), "the guest has it");
    let mut log = log_of(&a, &here);
    let mut said = Vec::new();
    for (from, to, spec) in [(&a, &b, &there), (&b, &a, &here)] {
        expected(spec, from, to).await;
        from.libvirt.migrate(spec.instance, &destination(to), &none(), quietly()).await.unwrap();
        assert_eq!(from.fact(spec).await, None);
        let fact = to.fact(spec).await.unwrap();
        assert_eq!((fact.state, fact.live.as_ref()), (GuestState::Paused, Some(spec)), "by its name there");
        assert!(is_free(spec), "it neither reads nor writes yet");
        said.extend(read(&mut log));
        log = log_of(to, spec);
        to.libvirt.resume(spec.instance).await.unwrap();
        said.extend(read_lines(&mut log, 16).await);
        assert!(!is_free(spec), "the guest has it again");
    }
    a.libvirt.destroy(here.instance).await.unwrap();
    said.extend(read(&mut log));
    let numbers = numbers(&said);
    let wanted: Vec<u32> = (0..numbers.len() as u32).collect();
    assert_eq!(numbers, wanted);
    assert_eq!(sectors(&here, wanted.len()), wanted, "and all of them are on its disk");
    a.libvirt.undefine(here.instance).await.unwrap();
}

/// The same guest as a host has it that does not reach its disk, with an empty one in its place.
fn copied(spec: &InstanceSpec, bench: &Bench) -> InstanceSpec {
    let path = bench.path(&format!("{}-copy.img", spec.instance));
    std::fs::File::create(&path).unwrap().set_len(DISK_BYTES).unwrap();
    let mut spec = spec.clone();
    spec.disks[0].place = Place::File(path);
    spec
}

/// What it writes while it is sent is on the copy of its disk, and nothing more on what was copied.
#[tokio::test(flavor = "multi_thread")]
async fn a_guest_takes_its_disk_along_and_misses_no_number() {
    let Some([a, b]) = two().await else { return };
    let here = writing(&a);
    let there = copied(&here, &b);
    a.run(&here).await;
    a.says(&here, "0010\n").await;
    expected(&there, &a, &b).await;
    let disks = BTreeSet::from([here.disks[0].vdisk]);
    let mut log = log_of(&a, &here);
    a.libvirt.migrate(here.instance, &destination(&b), &disks, quietly()).await.unwrap();
    assert_eq!(a.fact(&here).await, None);
    let fact = b.fact(&there).await.unwrap();
    assert_eq!((fact.state, fact.live.as_ref()), (GuestState::Paused, Some(&there)), "by its name there");
    let left = std::fs::read(path_of(&here)).unwrap();
    assert!(left == std::fs::read(path_of(&there)).unwrap(), "the copy is not whole");
    let mut said = read(&mut log);
    log = log_of(&b, &there);
    b.libvirt.resume(here.instance).await.unwrap();
    said.extend(read_lines(&mut log, 16).await);
    b.libvirt.destroy(here.instance).await.unwrap();
    said.extend(read(&mut log));
    let numbers = numbers(&said);
    let wanted: Vec<u32> = (0..numbers.len() as u32).collect();
    assert_eq!((&numbers, sectors(&there, wanted.len())), (&wanted, wanted.clone()));
    assert!(left == std::fs::read(path_of(&here)).unwrap(), "it writes to what it left");
    assert_eq!((rooms(&a), rooms(&b)), (vec![], vec![]));
    b.libvirt.undefine(here.instance).await.unwrap();
}

/// A guest that would arrive with other disks than the other host is told of does not go.
#[tokio::test(flavor = "multi_thread")]
async fn a_guest_stays_where_the_other_host_is_told_of_other_disks() {
    let Some([a, b]) = two().await else { return };
    let spec = writing(&a);
    a.run(&spec).await;
    a.says(&spec, "0004\n").await;
    let other = InstanceSpec { disks: vec![], ..spec.clone() };
    expected(&other, &a, &b).await;
    let refused = a.libvirt.migrate(spec.instance, &destination(&b), &none(), quietly()).await.unwrap_err();
    assert!(refused.message.contains("other disks"), "{refused}");
    a.is(&spec, GuestState::Running).await;
    b.libvirt.destroy(spec.instance).await.unwrap();
    assert_eq!((b.fact(&spec).await, rooms(&a), rooms(&b)), (None, vec![], vec![]));
}

/// Where the emulator that has arrived is lost, the disk is as the source left it, and it goes on there.
#[tokio::test(flavor = "multi_thread")]
async fn a_guest_whose_move_is_lost_goes_on_with_its_disk() {
    let Some([a, b]) = two().await else { return };
    let here = writing(&a);
    let there = elsewhere(&here, &a);
    a.run(&here).await;
    a.says(&here, "0008\n").await;
    expected(&there, &a, &b).await;
    b.daemon.hold_starts(true);
    let (instance, to) = (here.instance, destination(&b));
    let nothing = none();
    let moving = a.libvirt.migrate(instance, &to, &nothing, quietly());
    let lose = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        b.daemon.stop();
        a.libvirt.call_off(instance).await.unwrap();
    };
    let both = async { tokio::join!(moving, lose).0 };
    let ended = tokio::time::timeout(suite::EVENTUALLY, both).await.expect("it goes on for ever");
    assert!(ended.is_err());
    a.is(&here, GuestState::Running).await;
    let mut log = log_of(&a, &here);
    let mut said = read(&mut log);
    said.extend(read_lines(&mut log, 16).await);
    a.libvirt.destroy(instance).await.unwrap();
    let numbers = numbers(&said);
    let wanted: Vec<u32> = (0..numbers.len() as u32).collect();
    assert_eq!((numbers, sectors(&here, wanted.len())), (wanted.clone(), wanted));
    b.daemon.hold_starts(false);
    b.daemon.start();
    b.libvirt.destroy(instance).await.unwrap();
}
