//! Instances that move between two hosts while they run: two Twilights and two libvirtd in namespaces of their own, which a
//! bridge joins, a pool that both reach, and one of each host alone, whose volumes are copied.

use crate::cloud::{Cloud, merge, named};
use crate::ground::Ground;
use crate::host::{Agent, ip, lay_bridge};
use crate::skip;
use crate::writes::GUEST_WRITES;
use serde_json::{Value as Json, json};
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// For all that hosts do, on a busy machine.
const SOON: Duration = Duration::from_secs(90);

const MOVER: Agent = Agent { stop_grace: 2, ..Agent::TWILIGHT };

/// A volume that has room for all numbers.
const SIZE_MIB: u64 = 16;

#[path = "remote.rs"]
mod remote;

#[test]
fn an_instance_moves_while_it_writes_and_misses_no_number() {
    let test = "an_instance_moves_while_it_writes_and_misses_no_number";
    if skip::is_real(test) {
        inside_namespaces("moves::an_instance_moves_inside", &[]);
    }
}

/// Runs a test where it may make links and mounts as it likes; says what it said.
pub(crate) fn inside_namespaces(inside: &str, variables: &[(&str, String)]) -> String {
    let output = Command::new("unshare")
        .args(["--net", "--mount", "--propagation", "private"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", inside, "--ignored", "--nocapture"])
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    println!("{said}");
    assert!(output.status.success() && said.contains("1 passed"));
    said.into_owned()
}

impl Cloud {
    fn number(&self, uuid: &str) -> usize {
        self.hosts.iter().position(|it| it.uuid == uuid).unwrap()
    }

    /// Has what the first host sends go no faster than this.
    fn slow(&self, rate: &str) {
        let shape =
            ["qdisc", "add", "dev", "eth0", "root", "tbf", "rate", rate, "burst", "64kb", "latency", "200ms"];
        crate::host::run(self.hosts[0].command("tc").args(shape));
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
    async fn new(lab: &Cloud, name: &str, pool: &str, dir: &Path) -> Self {
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
        let ready = async |_: &Cloud| {
            lab.get(&["tenant", &tenant, "volume", &volume]).await["current"]["status"] == "ready"
        };
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

    async fn set(&self, lab: &Cloud, state: &str) {
        lab.patch(&[
            json!({"op": "replace", "path": format!("{}/desired/state", self.document), "value": state}),
        ])
        .await;
    }

    async fn current(&self, lab: &Cloud) -> Json {
        lab.get(&self.path.each_ref().map(String::as_str)).await["current"].clone()
    }

    /// Waits until it runs on a host that is as wished; says which.
    async fn runs(&self, lab: &Cloud, what: &str, fits: impl Fn(usize) -> bool) -> usize {
        let placed = async || {
            let current = self.current(lab).await;
            let host = current["host"].as_str().map(|it| lab.number(it));
            host.filter(|it| current["status"] == "running" && fits(*it))
        };
        lab.wait_until(what, SOON, async |_: &Cloud| placed().await.is_some()).await;
        placed().await.unwrap()
    }

    /// Reads on in the log of the host that it is on, until it has said so many numbers more.
    async fn says_more(&mut self, lab: &Cloud, host: usize, numbers: usize) {
        if let Some(before) = &mut self.log {
            // What was said there last; the file is gone, but for this.
            before.read_to_end(&mut self.said).unwrap();
        }
        let mut log = std::fs::File::open(lab.hosts[host].console(&self.instance)).unwrap();
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

#[tokio::test(flavor = "multi_thread")]
#[ignore = "is run by another test, in namespaces of its own"]
async fn an_instance_moves_inside() {
    lay_bridge();
    let mut lab = Cloud::start_apart(MOVER, Ground::roomy()).await;
    let (pool, dir) = lab.shared_pool().await;
    let mut guest = Guest::new(&lab, "writes", &pool, &dir).await;
    guest.set(&lab, "running").await;
    let first = guest.runs(&lab, "it starts", |_| true).await;
    guest.says_more(&lab, first, 16).await;
    let [own, other] = [lab.own_pool(first, "own").await, lab.own_pool(1 - first, "other").await];
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
    lab.wait_until("what was copied is removed", SOON, async |_: &Cloud| !left.exists()).await;
    lab.patch(&back).await;
    let moving = async || guest.current(&lab).await["status"] == "migrating";
    lab.wait_until("it moves, or has", SOON, async |_: &Cloud| {
        moving().await || guest.current(&lab).await["host"] == json!(lab.hosts[first].uuid)
    })
    .await;
    lab.sparkle.kill();
    lab.start_sparkle().await;
    for guest in [&mut guest, &mut copied] {
        let third = guest.runs(&lab, "it is back", |it| it == first).await;
        guest.says_more(&lab, third, 16).await;
    }
    let left = std::mem::replace(&mut copied.disk, left);
    lab.wait_until("what was copied is removed again", SOON, async |_: &Cloud| !left.exists()).await;

    for guest in [&mut guest, &mut copied] {
        guest.set(&lab, "stopped").await;
        let off = async |_: &Cloud| guest.current(&lab).await["status"] == "stopped";
        lab.wait_until("it is off", SOON, off).await;
        guest.assert_whole();
    }
}
