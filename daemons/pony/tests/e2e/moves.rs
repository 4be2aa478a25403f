//! Instances that move between two hosts while they run: two Twilights and two libvirtd in namespaces of their own, which a
//! bridge joins, a pool that both reach, and one of each host alone, whose volumes are copied. (Where an NFS server's directory would be mounted there is one that they share:
//! not every kernel has the client. `pony-host/tests/storage_nfs.rs` has the rest.)

use crate::cloud::{free_port, merge, named, sparkle_key, start_sparkle};
use crate::daemon::{self, Daemon, binary};
use crate::writes::GUEST_WRITES;
use crate::{libvirtd, skip};
use pony::client::Client;
use serde_json::{Map, Value as Json, json};
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use uuid::Uuid;

/// Where Twilight mounts what servers have.
const MOUNTS: &str = "/run/pony/mounts";

/// Hosts are taken in after they have probed what guests run under; and all else, on a busy machine.
const TAKEN_IN: Duration = Duration::from_secs(180);
const SOON: Duration = Duration::from_secs(90);

/// A volume that has room for all numbers.
const SIZE_MIB: u64 = 16;

#[path = "remote.rs"]
mod remote;

#[test]
fn an_instance_moves_while_it_writes_and_misses_no_number() {
    let test = "an_instance_moves_while_it_writes_and_misses_no_number";
    if skip::is_real(test) {
        inside_namespaces("moves::an_instance_moves_inside");
    }
}

/// Runs a test where it may make links and mounts as it likes.
fn inside_namespaces(inside: &str) {
    let output = Command::new("unshare")
        .args(["--net", "--mount", "--propagation", "private"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", inside, "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    println!("{said}");
    assert!(output.status.success() && said.contains("1 passed"));
}

struct Host {
    uuid: Uuid,
    dir: PathBuf,
    twilight: Daemon,
    libvirtd: libvirtd::Daemon,
}

/// Sparkle, and two hosts on a bridge with it.
struct Lab {
    sparkle: Daemon,
    client: Client,
    hosts: Vec<Host>,
    zmq: String,
    api: u16,
    /// What both hosts reach.
    shared: PathBuf,
    dir: TempDir,
}

fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn ip(args: &str) {
    run("ip", &args.split_whitespace().collect::<Vec<_>>());
}

impl Host {
    /// The n-th host, with a card of its own.
    fn new(below: &Path, n: usize) -> Self {
        let libvirtd = libvirtd::Daemon::new().unwrap();
        let first = libvirtd.first();
        ip(&format!("link add host{n} type veth peer name eth0 netns {first}"));
        ip(&format!("link set host{n} master hosts up"));
        let inside = |args: &str| {
            let args: Vec<&str> = args.split_whitespace().collect();
            assert!(libvirtd.command(Path::new("ip")).args(args).status().unwrap().success());
        };
        inside(&format!("addr add 10.77.0.{}/24 dev eth0", n + 2));
        inside("link set eth0 up");
        let dir = below.join(format!("host{n}"));
        std::fs::create_dir(&dir).unwrap();
        Self { uuid: Uuid::new_v4(), dir, twilight: Daemon::none(), libvirtd }
    }

    fn start_twilight(&mut self, zmq: &str, key: &str) {
        let mut command = self.libvirtd.command(&binary("twilight"));
        let (sparkle, uuid) = (format!("tcp://{zmq}"), self.uuid.to_string());
        command.arg("--dir").arg(&self.dir);
        command.args([
            "--sparkle",
            &sparkle,
            "--sparkle-key",
            key,
            "--host-uuid",
            &uuid,
            "--stop-grace",
            "2",
        ]);
        self.twilight = Daemon::spawn(&mut command, &self.dir.join("log"));
    }

    /// Has what is shared where the pool would be mounted.
    fn mount(&self, shared: &Path, pool: &str) {
        let on = Path::new(MOUNTS).join(pool);
        let script = "mkdir -p $1 && mount --bind $0 $1";
        let mounted =
            self.libvirtd.command(Path::new("sh")).args(["-c", script]).arg(shared).arg(on).status();
        assert!(mounted.unwrap().success());
    }

    fn console(&self, instance: &str) -> std::io::Result<std::fs::File> {
        std::fs::File::open(self.dir.join("console").join(format!("{instance}.log")))
    }
}

impl Lab {
    async fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("pony-mv-").tempdir().unwrap();
        ip("link set lo up");
        ip("link add hosts type bridge");
        ip("addr add 10.77.0.1/24 dev hosts");
        ip("link set hosts up");
        let shared = dir.path().join("shared");
        std::fs::create_dir(&shared).unwrap();
        run("mount", &["-t", "tmpfs", "shared", shared.to_str().unwrap()]);
        let mut hosts: Vec<Host> = (0..2).map(|n| Host::new(dir.path(), n)).collect();
        let (api, zmq) = (free_port(), format!("10.77.0.1:{}", free_port()));
        let (sparkle, client) = start_sparkle(dir.path(), api, &zmq, None).await;
        let key = sparkle_key(dir.path());
        hosts.iter_mut().for_each(|host| host.start_twilight(&zmq, &key));
        Self { sparkle, client, hosts, zmq, api, shared, dir }
    }

    async fn patch(&self, ops: &[Json]) -> Map<String, Json> {
        self.client.patch(ops).await.unwrap_or_else(|error| panic!("{ops:#?}: {error}"))
    }

    async fn get(&self, path: &[&str]) -> Json {
        self.client.get(path).await.map_or(Json::Null, Json::Object)
    }

    async fn wait_until(&self, what: &str, patience: Duration, holds: impl AsyncFn() -> bool) {
        let logs =
            self.hosts.iter().map(|it| it.dir.join("log")).chain([self.dir.path().join("sparkle.log")]);
        let nothing = async || String::new();
        daemon::wait_until(what, patience, holds, nothing, &logs.collect::<Vec<_>>()).await;
    }

    fn number(&self, uuid: &str) -> usize {
        self.hosts.iter().position(|it| it.uuid.to_string() == uuid).unwrap()
    }

    async fn are_taken_in(&self) {
        for host in &self.hosts {
            let uuid = host.uuid.to_string();
            let there = async || {
                let host = self.get(&["host", &uuid]).await;
                host["current"]["status"] == "present" && host["current"]["migration"].is_string()
            };
            self.wait_until("the host is taken in", TAKEN_IN, there).await;
        }
    }

    /// Has what the first host sends go no faster than this.
    fn slow(&self, rate: &str) {
        let shape =
            ["qdisc", "add", "dev", "eth0", "root", "tbf", "rate", rate, "burst", "64kb", "latency", "200ms"];
        assert!(self.hosts[0].libvirtd.command(Path::new("tc")).args(shape).status().unwrap().success());
    }

    fn restart_twilight(&mut self, n: usize) {
        let key = sparkle_key(self.dir.path());
        let host = &mut self.hosts[n];
        host.twilight.kill();
        host.start_twilight(&self.zmq, &key);
    }

    async fn restart_sparkle(&mut self) {
        self.sparkle.kill();
        (self.sparkle, self.client) = start_sparkle(self.dir.path(), self.api, &self.zmq, None).await;
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.hosts.clear();
        let _ = Command::new("umount").arg(&self.shared).status();
    }
}

/// An instance with a disk in the pool of both, and what it said so far, wherever it was.
struct Guest {
    path: [String; 4],
    document: String,
    disk: PathBuf,
    instance: String,
    log: Option<std::fs::File>,
    said: Vec<u8>,
}

impl Guest {
    /// With a volume in the pool, which is a directory.
    async fn new(lab: &Lab, name: &str, pool: &str, dir: &Path) -> Self {
        let tenant = "/tenant/$tenant";
        let volume = json!({"name": "disk", "storage_pool": pool, "size": SIZE_MIB, "format": "raw"});
        let instance = json!({"name": name, "state": "stopped", "vcpu": 1, "rcpu": 1.0, "mem": 32});
        let uuids = lab
            .patch(&[
                merge(tenant, &json!({"name": name, "approved": true})),
                merge(&format!("{tenant}/children/volume/$volume"), &volume),
                merge(&format!("{tenant}/children/instance/$instance"), &instance),
                merge(
                    &format!("{tenant}/children/instance/$instance/children/vdisk/$vdisk"),
                    &json!({"volume": "$volume", "index": 0}),
                ),
            ])
            .await;
        let [tenant, volume, instance] = ["$tenant", "$volume", "$instance"].map(|it| named(&uuids, it));
        let ready =
            async || lab.get(&["tenant", &tenant, "volume", &volume]).await["current"]["status"] == "ready";
        lab.wait_until("the volume is made", SOON, ready).await;
        let disk = dir.join("volumes").join(format!("{volume}.raw"));
        let mut sector = [0; 512];
        sector[..GUEST_WRITES.len()].copy_from_slice(&GUEST_WRITES);
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        std::fs::File::options().write(true).open(&disk).unwrap().write_all_at(&sector, 0).unwrap();
        let document = format!("/tenant/{tenant}/children/instance/{instance}");
        let path = ["tenant".to_owned(), tenant, "instance".to_owned(), instance.clone()];
        Self { path, document, disk, instance, log: None, said: Vec::new() }
    }

    async fn set(&self, lab: &Lab, state: &str) {
        lab.patch(&[
            json!({"op": "replace", "path": format!("{}/desired/state", self.document), "value": state}),
        ])
        .await;
    }

    async fn current(&self, lab: &Lab) -> Json {
        lab.get(&self.path.each_ref().map(String::as_str)).await["current"].clone()
    }

    /// Waits until it runs on a host that is as wished; says which.
    async fn runs(&self, lab: &Lab, what: &str, fits: impl Fn(usize) -> bool) -> usize {
        let placed = async || {
            let current = self.current(lab).await;
            let host = current["host"].as_str().map(|it| lab.number(it));
            host.filter(|it| current["status"] == "running" && fits(*it))
        };
        lab.wait_until(what, SOON, async || placed().await.is_some()).await;
        placed().await.unwrap()
    }

    /// Reads on in the log of the host that it is on, until it has said so many numbers more.
    async fn says_more(&mut self, lab: &Lab, host: usize, numbers: usize) {
        if let Some(before) = &mut self.log {
            // What was said there last; the file is gone, but for this.
            before.read_to_end(&mut self.said).unwrap();
        }
        let mut log = lab.hosts[host].console(&self.instance).unwrap();
        let enough = numbers + self.said.iter().filter(|it| **it == b'\n').count();
        let deadline = Instant::now() + SOON;
        while self.said.iter().filter(|it| **it == b'\n').count() < enough {
            assert!(
                Instant::now() < deadline,
                "it does not count on: {}",
                String::from_utf8_lossy(&self.said)
            );
            log.read_to_end(&mut self.said).unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.log = Some(log);
    }

    /// All numbers that it said are those that it has on its disk, and none is missing.
    fn assert_whole(&mut self) {
        self.log.take().into_iter().for_each(|mut log| assert!(log.read_to_end(&mut self.said).is_ok()));
        let text = String::from_utf8_lossy(&self.said);
        let from = text.find("0000\n").expect("it never began to count");
        let whole = &text[from..text.rfind('\n').unwrap()];
        let numbers: Vec<u32> = whole.lines().map(|it| u32::from_str_radix(it, 16).unwrap()).collect();
        let wanted: Vec<u32> = (0..u32::try_from(numbers.len()).unwrap()).collect();
        assert_eq!(numbers, wanted);
        let disk = std::fs::File::open(&self.disk).unwrap();
        let sector = |n: u32| {
            let mut word = [0; 2];
            disk.read_exact_at(&mut word, 512 * (u64::from(n) + 1)).unwrap();
            u32::from(u16::from_le_bytes(word))
        };
        assert_eq!(wanted.iter().map(|it| sector(*it)).collect::<Vec<_>>(), wanted);
        println!("{} numbers, none missed", wanted.len());
    }
}

/// A pool that both hosts reach.
async fn shared_pool(lab: &Lab) -> String {
    let config = json!({"server": "10.77.0.1", "export": "/pool"});
    let pool = json!({"name": "shared", "type": "nfs", "config": config});
    let pool = named(&lab.patch(&[merge("/storage-pool/$pool", &pool)]).await, "$pool");
    lab.hosts.iter().for_each(|host| host.mount(&lab.shared, &pool));
    pool
}

/// The n-th host's own pool.
async fn own_pool(lab: &Lab, n: usize) -> (String, PathBuf) {
    let dir = lab.hosts[n].dir.join("pool");
    std::fs::create_dir(&dir).unwrap();
    let pool =
        json!({"name": format!("own{n}"), "type": "dir", "host": lab.hosts[n].uuid, "config": {"path": dir}});
    (named(&lab.patch(&[merge("/storage-pool/$pool", &pool)]).await, "$pool"), dir)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "is run by another test, in namespaces of its own"]
async fn an_instance_moves_inside() {
    let mut lab = Lab::new().await;
    lab.are_taken_in().await;
    let pool = shared_pool(&lab).await;
    let mut guest = Guest::new(&lab, "writes", &pool, &lab.shared.clone()).await;
    guest.set(&lab, "running").await;
    let first = guest.runs(&lab, "it starts", |_| true).await;
    guest.says_more(&lab, first, 16).await;
    let [own, other] = [own_pool(&lab, first).await, own_pool(&lab, 1 - first).await];
    let mut copied = Guest::new(&lab, "copied", &own.0, &own.1).await;
    copied.set(&lab, "running").await;
    copied.runs(&lab, "the other starts", |it| it == first).await;
    copied.says_more(&lab, first, 16).await;

    // Away, as their host is to be empty; and back, where Sparkle dies meanwhile.
    let state = |host: usize, state: &str| json!({"op": "replace", "path": format!("/host/{}/desired/state", lab.hosts[host].uuid), "value": state});
    let (away, back) = (state(first, "evacuated"), [state(first, "present"), state(1 - first, "evacuated")]);
    let began = Instant::now();
    lab.patch(&[away]).await;
    for guest in [&mut guest, &mut copied] {
        let second = guest.runs(&lab, "it is on the other host", |it| it != first).await;
        println!("moved in {:?}", began.elapsed());
        guest.says_more(&lab, second, 16).await;
    }
    let left = copied.disk.clone();
    copied.disk = other.1.join("volumes").join(left.file_name().unwrap());
    lab.wait_until("what was copied is removed", SOON, async || !left.exists()).await;
    lab.patch(&back).await;
    let moving = async || guest.current(&lab).await["status"] == "migrating";
    lab.wait_until("it moves, or has", SOON, async || {
        moving().await || guest.current(&lab).await["host"] == json!(lab.hosts[first].uuid)
    })
    .await;
    lab.restart_sparkle().await;
    for guest in [&mut guest, &mut copied] {
        let third = guest.runs(&lab, "it is back", |it| it == first).await;
        guest.says_more(&lab, third, 16).await;
    }
    let left = std::mem::replace(&mut copied.disk, left);
    lab.wait_until("what was copied is removed again", SOON, async || !left.exists()).await;

    for guest in [&mut guest, &mut copied] {
        guest.set(&lab, "stopped").await;
        let off = async || guest.current(&lab).await["status"] == "stopped";
        lab.wait_until("it is off", SOON, off).await;
        guest.assert_whole();
    }
}
