//! Guests that move between two libvirtds in namespaces of their own, which reach each other by nothing but the two drivers.

use crate::bench::Bench;
use crate::daemon::Daemon;
use crate::suite;
use pony_core::host::{Destination, GuestState, InstanceSpec};
use pony_host::{Hypervisor as _, Peers, Progress};
use std::collections::BTreeSet;
use std::io::Read as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use uuid::Uuid;

mod disks;

/// Counts on COM1 for ever: each number four hexadecimal digits and a line feed, some thousand reads of a port apart.
/// (`bx` counts; the UART is asked before each byte whether it takes one.)
const GUEST_COUNTS: [u8; 64] = [
    0x31, 0xdb, 0xb9, 0x04, 0x00, 0x89, 0xdf, 0xc1, 0xc7, 0x04, 0x89, 0xf8, 0x24, 0x0f, 0x04, 0x30, 0x3c,
    0x39, 0x76, 0x02, 0x04, 0x07, 0x88, 0xc4, 0xba, 0xfd, 0x03, 0xec, 0xa8, 0x20, 0x74, 0xfb, 0xba, 0xf8,
    0x03, 0x88, 0xe0, 0xee, 0xe2, 0xdf, 0xba, 0xfd, 0x03, 0xec, 0xa8, 0x20, 0x74, 0xfb, 0xba, 0xf8, 0x03,
    0xb0, 0x0a, 0xee, 0xb9, 0x00, 0x20, 0xe4, 0x80, 0xe2, 0xfc, 0x43, 0xeb, 0xc2,
];

/// Two hosts; `None`, saying why, where there can be none.
async fn two() -> Option<[Bench; 2]> {
    let mut benches = Vec::new();
    for _ in 0..2 {
        let daemon = Daemon::new().map_err(suite::skipped).ok()?;
        let peers = Peers::open("127.0.0.1:0".parse().unwrap()).await.unwrap();
        benches.push(Bench::among(Arc::new(daemon), Some(peers)).await);
    }
    benches.try_into().ok()
}

fn destination(bench: &Bench) -> Destination {
    Destination { host: bench.host(), way: bench.libvirt.migration().unwrap() }
}

fn counting(bench: &Bench) -> InstanceSpec {
    let spec = bench.spec("counts");
    bench.write_boot_code(&spec, &GUEST_COUNTS);
    let seed = Some(bench.seed(&spec, "counts"));
    InstanceSpec { seed, ..spec }
}

async fn expected(spec: &InstanceSpec, from: &Bench, at: &Bench) {
    at.libvirt.expect(spec, &from.libvirt.migration().unwrap()).await.unwrap();
    let fact = at.fact(spec).await.unwrap();
    assert_eq!((fact.state, fact.spec.as_ref()), (GuestState::Incoming, Some(spec)));
    assert_eq!(fact.origin, from.libvirt.migration());
}

/// No disk is copied.
fn none() -> BTreeSet<Uuid> {
    BTreeSet::new()
}

fn quietly() -> Progress {
    Arc::new(|_| {})
}

/// The numbers that were said, of which the last may be half a one.
fn numbers(said: &[u8]) -> Vec<u32> {
    let text = String::from_utf8_lossy(said);
    let from = text.find("0000\n").expect("it never began to count");
    let whole = text[from..].rfind('\n').unwrap();
    text[from..from + whole].lines().map(|it| u32::from_str_radix(it, 16).unwrap()).collect()
}

fn log_of(bench: &Bench, spec: &InstanceSpec) -> std::fs::File {
    std::fs::File::open(bench.console(spec, "log")).unwrap()
}

fn read(log: &mut std::fs::File) -> Vec<u8> {
    let mut said = Vec::new();
    log.read_to_end(&mut said).unwrap();
    said
}

/// What is said from now on, so many numbers at least.
async fn read_lines(log: &mut std::fs::File, count: usize) -> Vec<u8> {
    let mut said = Vec::new();
    let reading = async {
        while said.iter().filter(|it| **it == b'\n').count() < count {
            said.extend(read(log));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(suite::EVENTUALLY, reading).await.expect("it does not count on");
    said
}

fn rooms(bench: &Bench) -> Vec<std::path::PathBuf> {
    let base = bench.daemon.root().join("var/lib/libvirt/qemu/ponycloud");
    let rooms = std::fs::read_dir(base).into_iter().flatten();
    rooms.filter_map(|it| Some(it.ok()?.path())).collect()
}

/// There and back again, while it counts.
#[tokio::test(flavor = "multi_thread")]
async fn a_guest_moves_while_it_counts_and_misses_no_number() {
    let Some([a, b]) = two().await else { return };
    let spec = counting(&a);
    a.run(&spec).await;
    a.says(&spec, "0010\n").await;
    let mut log = log_of(&a, &spec);
    let mut said = Vec::new();
    for (from, to) in [(&a, &b), (&b, &a)] {
        expected(&spec, from, to).await;
        let told = Arc::new(Mutex::new(Vec::new()));
        let progress = {
            let told = Arc::clone(&told);
            Arc::new(move |it| told.lock().unwrap().push(it))
        };
        let began = std::time::Instant::now();
        from.libvirt.migrate(spec.instance, &destination(to), &none(), progress).await.unwrap();
        let took = began.elapsed();
        assert_eq!(from.fact(&spec).await, None, "nothing of it is left behind");
        let fact = to.fact(&spec).await.unwrap();
        assert_eq!((fact.state, fact.live.as_ref()), (GuestState::Paused, Some(&spec)), "it stands still");
        said.extend(read(&mut log));
        log = log_of(to, &spec);
        let before = read(&mut log);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(read(&mut log), Vec::<u8>::new(), "it runs nowhere before it is told to");
        to.libvirt.resume(spec.instance).await.unwrap();
        println!("moved in {took:?}, resumed after {:?}", began.elapsed());
        said.extend(before);
        said.extend(read_lines(&mut log, 16).await);
        assert!(told.lock().unwrap().iter().all(|it| (0.0..=1.0).contains(it)));
        assert_eq!(rooms(from), Vec::<std::path::PathBuf>::new());
        assert_eq!((from.seeds().len(), to.seeds().len()), (0, 1), "its disc goes along");
    }
    said.extend(read(&mut log));
    let numbers = numbers(&said);
    let wanted: Vec<u32> = (0..numbers.len() as u32).collect();
    assert_eq!(numbers, wanted);
    assert_eq!(rooms(&b), Vec::<std::path::PathBuf>::new());
    a.libvirt.destroy(spec.instance).await.unwrap();
    a.libvirt.undefine(spec.instance).await.unwrap();
}

/// A guest that nobody expects, or not from here, stays where it is and runs on.
#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_is_not_let_in_stays() {
    let Some([a, b]) = two().await else { return };
    let spec = counting(&a);
    a.run(&spec).await;
    a.says(&spec, "0004\n").await;
    let refused = a.libvirt.migrate(spec.instance, &destination(&b), &none(), quietly()).await;
    assert!(refused.is_err());
    // By a key that is not the one of the host that sends it.
    b.libvirt.expect(&spec, &b.libvirt.migration().unwrap()).await.unwrap();
    assert!(a.libvirt.migrate(spec.instance, &destination(&b), &none(), quietly()).await.is_err());
    // To a host that is not the one that was told.
    let way = b.libvirt.migration().unwrap().replace(&key(&b), &key(&a));
    let elsewhere = Destination { host: b.host(), way };
    assert!(a.libvirt.migrate(spec.instance, &elsewhere, &none(), quietly()).await.is_err());
    a.is(&spec, GuestState::Running).await;
    b.libvirt.destroy(spec.instance).await.unwrap();
    assert_eq!(b.fact(&spec).await, None);
    assert_eq!((rooms(&a), rooms(&b)), (vec![], vec![]));
    assert_eq!((a.seeds().len(), b.seeds().len()), (1, 0));
    let mut log = log_of(&a, &spec);
    let seen = numbers(&read(&mut log)).len();
    a.says(&spec, &format!("{:04X}\n", seen + 4)).await;
}

fn key(bench: &Bench) -> String {
    let way = bench.libvirt.migration().unwrap();
    let way: serde_json::Value = serde_json::from_str(&way).unwrap();
    way["key"].as_str().unwrap().to_owned()
}

/// A move that hangs at the other host is called off, and the guest runs on here.
#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_hangs_is_called_off() {
    let Some([a, b]) = two().await else { return };
    let spec = counting(&a);
    a.run(&spec).await;
    a.says(&spec, "0004\n").await;
    expected(&spec, &a, &b).await;
    b.daemon.hold_starts(true);
    let (instance, to) = (spec.instance, destination(&b));
    let nothing = none();
    let moving = a.libvirt.migrate(instance, &to, &nothing, quietly());
    let call_off = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        a.libvirt.call_off(instance).await.unwrap();
    };
    let both = async { tokio::join!(moving, call_off).0 };
    let ended = tokio::time::timeout(suite::EVENTUALLY, both).await.expect("it goes on for ever");
    assert!(ended.is_err());
    a.is(&spec, GuestState::Running).await;
    b.daemon.hold_starts(false);
    b.libvirt.destroy(instance).await.unwrap();
    suite::eventually("nothing of it is there", || async { b.fact(&spec).await.is_none() }).await;
    // And it can still go.
    expected(&spec, &a, &b).await;
    a.libvirt.migrate(instance, &to, &none(), quietly()).await.unwrap();
    b.is(&spec, GuestState::Paused).await;
    b.libvirt.destroy(instance).await.unwrap();
    b.libvirt.undefine(instance).await.unwrap();
}
