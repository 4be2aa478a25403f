//! Volumes that are read from another host: two storages that reach each other by nothing but their ports.

#![allow(clippy::unwrap_used, clippy::expect_used)]
#![cfg(all(feature = "storage", feature = "sim"))]

mod storage_bench;
mod suite;
mod web;

use pony_core::host::DriverErrorKind::Transient;
use pony_core::host::{Export, RemoteVolume, Source, VolumeFormat, VolumeSpec};
use pony_host::{Peers, Progress, Storage, StorageOptions};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use storage_bench::{Bench, MIB, assert_holds, disk, options};
use suite::{Pair, StorageBench, assert_refused, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use uuid::Uuid;
use web::{Page, Web};

/// How long a later order may take to win.
const WINS_WITHIN: Duration = Duration::from_secs(5);

/// A host with a pool.
struct Host {
    bench: Bench,
    peers: Peers,
    _scratch: tempfile::TempDir,
}

async fn peers() -> Peers {
    Peers::open("127.0.0.1:0".parse().unwrap()).await.unwrap()
}

impl Host {
    async fn new() -> Self {
        let (peers, scratch) = (peers().await, tempfile::tempdir().unwrap());
        let scratch_dir = scratch.path().join("scratch");
        let copy_stall = Duration::from_secs(2);
        let options =
            StorageOptions { peers: Some(peers.clone()), scratch: scratch_dir, copy_stall, ..options() };
        Self { bench: Bench::with(options), peers, _scratch: scratch }
    }
}

/// Two hosts, and an image on the first that the second may read, by way of a line.
struct Two {
    owner: Host,
    reader: Host,
    image: VolumeSpec,
    bytes: Vec<u8>,
    line: Line,
}

impl Two {
    async fn new(format: VolumeFormat) -> Self {
        let (owner, reader, web) = (Host::new().await, Host::new().await, Web::start().await);
        let bytes = disk(24 * MIB, 7);
        let image = owner.bench.spec(format, None);
        owner.bench.fetch(&image, &web.put("image", Page::new(bytes.clone()))).await.unwrap();
        let line = Line::to(&owner.peers.way()).await;
        let two = Self { owner, reader, image, bytes, line };
        two.export(&two.reader.peers.way());
        two
    }

    fn export(&self, to: &str) {
        let export = Export { volume: self.image.volume, pool: self.image.pool.clone(), to: to.to_owned() };
        self.owner.bench.storage.export(vec![export]);
    }

    fn source(&self) -> Source {
        let (host, volume, way) = (Uuid::from_u128(1), self.image.volume, self.line.way.clone());
        Source::Remote(RemoteVolume { host, volume, way })
    }

    /// Begins to read over a line that hangs in the middle, and waits until it does.
    async fn hanging(&self, spec: &VolumeSpec) -> tokio::task::JoinHandle<pony_host::Result<()>> {
        self.line.passes(8 * MIB as u64);
        let (storage, spec, source) = (self.reader.bench.storage.clone(), spec.clone(), self.source());
        let quiet: Progress = Arc::new(|_| {});
        let fill = tokio::spawn(async move { storage.create_volume(&spec, &source, quiet).await.map(drop) });
        eventually("it hangs", || async { self.line.left() == 0 }).await;
        fill
    }

    /// Nothing is left of what was read, on either host.
    async fn settled(&self) {
        let (owner, reader) = (&self.owner.bench, &self.reader.bench);
        eventually("nothing runs or lies about", || async {
            let processes = owner.processes().into_iter().chain(reader.processes()).count();
            processes == 0 && reader.unfinished().is_empty()
        })
        .await;
        assert_eq!(reader.finished(), Vec::<String>::new());
    }
}

/// A line to a host that lets so many bytes through from there, and then hangs, or is cut.
struct Line {
    way: String,
    left: Arc<AtomicU64>,
    cuts: watch::Sender<bool>,
}

impl Line {
    async fn to(way: &str) -> Self {
        let mut there: serde_json::Value = serde_json::from_str(way).unwrap();
        let at: SocketAddr = there["at"].as_str().unwrap().parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        there["at"] = serde_json::json!(listener.local_addr().unwrap());
        let (left, cuts) = (Arc::new(AtomicU64::new(u64::MAX)), watch::channel(false).0);
        let (own, told) = (left.clone(), cuts.clone());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(at).await.unwrap();
                tokio::spawn(carry(near, far, own.clone(), told.subscribe()));
            }
        });
        Self { way: there.to_string(), left, cuts }
    }

    fn passes(&self, bytes: u64) {
        self.left.store(bytes, Ordering::SeqCst);
    }

    fn left(&self) -> u64 {
        self.left.load(Ordering::SeqCst)
    }

    /// All that passes is cut, once; what comes later goes through.
    fn cut(&self) {
        self.cuts.send_replace(true);
        self.passes(u64::MAX);
        self.cuts.send_replace(false);
    }
}

async fn carry(near: TcpStream, far: TcpStream, left: Arc<AtomicU64>, mut cut: watch::Receiver<bool>) {
    let ((mut from_near, mut to_near), (mut from_far, mut to_far)) = (near.into_split(), far.into_split());
    let there = tokio::io::copy(&mut from_near, &mut to_far);
    let here = async {
        let mut piece = vec![0; 16 << 10];
        loop {
            let size = from_far.read(&mut piece).await? as u64;
            let before = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |it| {
                Some(if it == u64::MAX { it } else { it.saturating_sub(size) })
            });
            if size == 0 {
                return Ok::<_, std::io::Error>(());
            }
            if before == Ok(0) {
                std::future::pending::<()>().await;
            }
            to_near.write_all(&piece[..size as usize]).await?;
        }
    };
    tokio::select! {
        _ = there => {}
        _ = here => {}
        _ = cut.changed() => {}
    }
}

#[tokio::test]
async fn storages_of_two_hosts_conform() {
    let (owner, reader, other, web) =
        (Host::new().await, Host::new().await, peers().await, Web::start().await);
    let uri = web.put("image", Page::new(disk(6 * MIB, 1)));
    let bench = |host| {
        let Host { bench, .. }: &Host = host;
        StorageBench::new(&bench.storage, bench.pool.clone(), uri.clone(), 6)
    };
    let pair = Pair {
        owner: bench(&owner),
        reader: bench(&reader),
        owner_host: Uuid::from_u128(1),
        owner_way: owner.peers.way(),
        reader_way: reader.peers.way(),
        other_way: other.way(),
    };
    suite::remote(&pair).await;
    eventually("nothing runs", || async {
        owner.bench.processes().is_empty() && reader.bench.processes().is_empty()
    })
    .await;
}

#[tokio::test]
async fn it_holds_what_the_other_one_holds_and_no_more_space() {
    for format in [VolumeFormat::Raw, VolumeFormat::Qcow2] {
        let two = Two::new(format).await;
        for to in [VolumeFormat::Raw, VolumeFormat::Qcow2] {
            let fact = two.reader.bench.make(&two.reader.bench.spec(to, 30), &two.source()).await.unwrap();
            assert_holds(&fact, &two.bytes);
            let has = std::fs::metadata(fact.place.path().unwrap()).unwrap().blocks() * 512;
            assert!(has < 20 * MIB as u64, "zeroes take space: {has} bytes");
        }
        let left = std::fs::read_dir(two.owner._scratch.path().join("scratch")).unwrap().count();
        assert_eq!(left, 0, "sockets are left");
    }
}

#[tokio::test]
async fn a_cut_in_the_middle_is_told_at_once_and_begins_anew() {
    let two = Two::new(VolumeFormat::Qcow2).await;
    let spec = two.reader.bench.qcow2(30);
    let fill = two.hanging(&spec).await;
    two.line.cut();
    let began = Instant::now();
    let why = assert_refused(fill.await.unwrap(), Transient);
    assert!(why.contains("cut") && began.elapsed() < WINS_WITHIN, "{why}, after {:?}", began.elapsed());
    two.settled().await;
    assert_holds(&two.reader.bench.make(&spec, &two.source()).await.unwrap(), &two.bytes);
}

#[tokio::test]
async fn a_line_that_hangs_is_given_up() {
    let two = Two::new(VolumeFormat::Raw).await;
    let fill = two.hanging(&two.reader.bench.qcow2(30)).await;
    let why = assert_refused(fill.await.unwrap(), Transient);
    assert!(why.contains("has not moved for 2 s"), "{why}");
    two.settled().await;
}

#[tokio::test]
async fn whoever_reads_wins_in_the_middle_by_a_later_order() {
    let two = Two::new(VolumeFormat::Qcow2).await;
    let spec = two.reader.bench.qcow2(30);
    let fill = two.hanging(&spec).await;
    fill.abort();
    two.settled().await;
    let fill = two.hanging(&spec).await;
    let began = Instant::now();
    two.reader.bench.storage.delete_volume(&spec).await.unwrap();
    assert_refused(fill.await.unwrap(), Transient);
    assert!(began.elapsed() < WINS_WITHIN, "{:?}", began.elapsed());
    two.settled().await;
}

#[tokio::test]
async fn whoever_is_read_wins_in_the_middle_by_a_later_order() {
    let deleted = async |two: &Two| two.owner.bench.storage.delete_volume(&two.image).await.unwrap();
    let two = Two::new(VolumeFormat::Qcow2).await;
    for withdraw in [true, false] {
        let fill = two.hanging(&two.reader.bench.qcow2(30)).await;
        let began = Instant::now();
        if withdraw {
            two.owner.bench.storage.export(vec![]);
        } else {
            deleted(&two).await;
        }
        eventually("nobody has it open", || async { two.owner.bench.processes().is_empty() }).await;
        assert!(began.elapsed() < WINS_WITHIN, "{:?}", began.elapsed());
        two.line.passes(u64::MAX);
        assert_refused(fill.await.unwrap(), Transient);
        two.settled().await;
        two.export(&two.reader.peers.way());
    }
    let why =
        assert_refused(two.reader.bench.make(&two.reader.bench.raw(30), &two.source()).await, Transient);
    assert!(why.contains("is not (or not yet) on this host"), "{why}");
}

/// Whoever starts anew is not known by its old key, and has nothing to say before it is told.
#[tokio::test]
async fn a_reader_that_starts_anew_is_not_known() {
    let two = Two::new(VolumeFormat::Raw).await;
    let again = Host::new().await;
    let spec = again.bench.raw(30);
    let why = assert_refused(again.bench.make(&spec, &two.source()).await, Transient);
    assert!(why.contains("cannot be read"), "{why}");
    two.export(&again.peers.way());
    assert_holds(&again.bench.make(&spec, &two.source()).await.unwrap(), &two.bytes);
    let why =
        assert_refused(two.reader.bench.make(&two.reader.bench.raw(30), &two.source()).await, Transient);
    assert!(why.contains("lets nothing be read") || why.contains("cannot be read"), "{why}");
}
