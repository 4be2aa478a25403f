//! Pools of a Ceph cluster: a real one, of a monitor, a manager and a disk in memory, which goes with the test. Its
//! programs are unpacked and not installed.

#![allow(clippy::unwrap_used, clippy::expect_used)]
#![cfg(all(feature = "storage", feature = "sim"))]

mod namespace;
mod storage_bench;
mod suite;
mod web;

use namespace::{in_namespaces, is_inside, run};
use pony_core::host::{DriverErrorKind, Login, PoolBackend, RbdPool, Source, VolumeFormat, VolumeSpec};
use pony_host::{Storage, StorageOptions};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use storage_bench::{Bench, MIB, assert_holds, disk, options, qcow2_of};
use suite::assert_refused;
use tempfile::TempDir;
use web::{Page, Web};

/// Programs and the libraries that they need, beyond what this project installs anyway.
const PACKAGES: &str = "ceph-common ceph-base ceph-mon ceph-osd ceph-mgr ceph-mgr-modules-core libleveldb1d \
                        libsnappy1v5 libfuse2 libradosstriper1 libboost-python1.74.0 python3-ceph-argparse \
                        python3-ceph-common python3-rados python3-prettytable python3-wcwidth";

#[test]
fn rbd_keeps_what_it_is_given() {
    in_cluster("rbd_keeps_what_it_is_given_inside");
}

#[test]
#[ignore = "takes minutes: make test-long runs it"]
fn rbd_conforms() {
    in_cluster("rbd_conforms_inside");
}

/// Where Ceph's programs are.
fn programs() -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(3).unwrap().join("ceph")
}

/// Runs an ignored test of this program where there is such a cluster's programs, and no other network.
fn in_cluster(test: &str) {
    let root = programs();
    let unpack = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/guest/unpack");
    let output = Command::new(unpack).arg(&root).args(PACKAGES.split_whitespace()).output().unwrap();
    if !output.status.success() {
        suite::skipped(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        return;
    }
    let root = root.display();
    let path = format!("{root}/usr/bin:{root}/usr/sbin:{}", std::env::var("PATH").unwrap());
    let libraries = format!(
        "{root}/usr/lib/x86_64-linux-gnu:{root}/usr/lib/x86_64-linux-gnu/ceph:{root}/usr/lib/ceph:{root}/lib/x86_64-linux-gnu"
    );
    let python = format!("{root}/usr/lib/python3/dist-packages");
    let with = [("PATH", path), ("LD_LIBRARY_PATH", libraries), ("PYTHONPATH", python)];
    in_namespaces(test, &["--net"], &with);
}

/// A cluster that goes with this.
struct Cluster {
    processes: Child,
    dir: TempDir,
}

impl Cluster {
    fn start() -> Self {
        run("ip", &["link", "set", "lo", "up"]);
        let dir = TempDir::new().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/start");
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--kill-child", "--mount-proc", "bash"]);
        command.arg(script).arg(dir.path()).arg(programs());
        let mut processes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(processes.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(
            line,
            "ready\n",
            "{}",
            std::fs::read_to_string(dir.path().join("log")).unwrap_or_default()
        );
        Self { processes, dir }
    }

    fn pool(&self) -> RbdPool {
        RbdPool {
            monitors: vec!["127.0.0.1:6789".into()],
            pool: "volumes".into(),
            login: Some(Login { user: "pony".into(), secret: "ceph".into() }),
        }
    }

    fn bench(&self, pool: RbdPool) -> Bench {
        let scratch = self.dir.path().join("scratch");
        let secrets = self.dir.path().join("secrets");
        let options = StorageOptions { scratch: scratch.clone(), secrets, ..options() };
        Bench::of(PoolBackend::from(pool), scratch, options)
    }

    /// What somebody does by hand.
    fn rbd(&self, args: &[&str]) -> String {
        let conf = self.dir.path().join("ceph.conf");
        run("rbd", &[&["-c", conf.to_str().unwrap()], args].concat())
    }
}

impl Cluster {
    /// Nobody answers any more.
    fn stop(&mut self) {
        let _ = self.processes.kill();
        let _ = self.processes.wait();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "is run by another test, with a cluster"]
async fn rbd_keeps_what_it_is_given_inside() {
    if !is_inside() {
        return;
    }
    let cluster = Cluster::start();
    let (bench, web) = (cluster.bench(cluster.pool()), Web::start().await);
    let bytes = disk(6 * MIB, 1);
    let uris = [web.put("raw", Page::new(bytes.clone())), web.put("qcow2", Page::new(qcow2_of(&bytes)))];
    let files = cluster.dir.path().join("files");
    std::fs::create_dir(&files).unwrap();
    let files = Bench::at(files, options());
    cluster.rbd(&["create", "--size", "1M", "volumes/other"]);
    let left = format!("pony-{}.{}.1-1", files.raw(4).volume, options().host);
    cluster.rbd(&["create", "--size", "1M", &format!("volumes/{left}")]);
    let fact = bench.storage.open_pool(&bench.pool).await.unwrap();
    assert!((200..=400).contains(&fact.capacity_mib), "{fact:?}");
    assert_eq!(cluster.rbd(&["ls", "volumes"]).trim(), "other", "what is unfinished goes");

    for uri in &uris {
        let spec = bench.raw(10);
        bench.fetch(&spec, uri).await.unwrap();
        let copy = bench.raw(14);
        bench.make(&copy, &Source::Volume(spec.clone())).await.unwrap();
        let grown = VolumeSpec { size_mib: Some(17), ..copy.clone() };
        assert_eq!(bench.make(&grown, &Source::Empty).await.unwrap().size_mib, 17);
        for from in [spec, copy] {
            let back = files.spec(VolumeFormat::Raw, 17);
            let fact = bench.make(&back, &Source::Volume(from.clone())).await.unwrap();
            assert_holds(&fact, &bytes);
            bench.storage.delete_volume(&from).await.unwrap();
        }
    }
    // From a directory to the cluster.
    let image = files.qcow2(None);
    files.fetch(&image, &uris[1]).await.unwrap();
    let volume = bench.raw(8);
    let fact = bench.make(&volume, &Source::Volume(image)).await.unwrap();
    assert_eq!(fact.place.to_string(), format!("rbd://127.0.0.1:6789/volumes/pony-{}", volume.volume));
    assert_eq!(bench.storage.list_volumes(&bench.pool).await.unwrap(), [fact]);
    let words = assert_refused(bench.make(&bench.qcow2(8), &Source::Empty).await, DriverErrorKind::Order);
    assert!(words.contains("raw"), "{words}");
    wrongs(cluster).await;
}

/// What is wrong is said, also where nobody answers.
async fn wrongs(mut cluster: Cluster) {
    std::fs::copy(cluster.dir.path().join("secrets/ceph"), cluster.dir.path().join("secrets/wrong")).unwrap();
    std::fs::write(cluster.dir.path().join("secrets/wrong"), "AQAAAAAAAAAAABAAAAAAAAAAAAAAAAAAAAAAAA==")
        .unwrap();
    let login = |secret: &str| Some(Login { user: "pony".into(), secret: secret.into() });
    for (pool, words) in [
        (RbdPool { pool: "none".into(), ..cluster.pool() }, "no pool of that name"),
        (RbdPool { login: login("none"), ..cluster.pool() }, "is not on this host"),
        (RbdPool { login: login("wrong"), ..cluster.pool() }, "cannot be used"),
    ] {
        let bench = cluster.bench(pool);
        let said = assert_refused(bench.storage.open_pool(&bench.pool).await, DriverErrorKind::Transient);
        assert!(said.contains(words), "{said}");
    }
    let bench = cluster.bench(cluster.pool());
    cluster.stop();
    let said = assert_refused(bench.storage.open_pool(&bench.pool).await, DriverErrorKind::Transient);
    assert!(said.contains("127.0.0.1:6789"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "is run by another test, with a cluster"]
async fn rbd_conforms_inside() {
    if !is_inside() {
        return;
    }
    let cluster = Cluster::start();
    let (bench, web) = (cluster.bench(cluster.pool()), Web::start().await);
    let uri = web.put("image", Page::new(disk(6 * MIB, 1)));
    let suite = suite::StorageBench {
        formats: &[VolumeFormat::Raw],
        abandoned_ms: &[1, 300],
        ..suite::StorageBench::new(&bench.storage, bench.pool.clone(), uri, 6)
    };
    suite::storage(&suite).await;
}
