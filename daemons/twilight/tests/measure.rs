//! What is used reaches the real Prometheus and the real collectd, which are unpacked for this and not installed.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use pony_core::host::{Boot, Firmware, InstanceSpec};
use pony_host::{Hypervisor, SimHost, SimOptions};
use pony_net::KeyPair;
use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use twilight::{Auth, Collectd, Config, Drivers, Measuring, Twilight};
use uuid::Uuid;

/// How long what is told may take to be seen; a busy machine takes its time.
const EVENTUALLY: Duration = Duration::from_secs(60);

const MIB: u64 = 1 << 20;
const GUEST: Uuid = Uuid::from_u128(7);
const GUEST_MIB: i64 = 48;

/// Unpacks packages; says why there are none.
fn tools(packages: &[&str]) -> Option<PathBuf> {
    let own = std::env::current_exe().unwrap();
    let dir = own.ancestors().nth(3).unwrap().join("guest/tools");
    let unpack = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/guest/unpack");
    let done = Command::new(unpack).arg(&dir).args(packages).output();
    if done.as_ref().is_ok_and(|done| done.status.success()) {
        return Some(dir);
    }
    println!("skipped: {}: {packages:?}: {done:?}", std::thread::current().name().unwrap_or("?"));
    None
}

/// Ends with the test.
struct Daemon(Child);

impl Daemon {
    fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn free_udp_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// An agent that has nobody to talk with.
fn try_twilight(dir: &Path, host: &SimHost, measuring: Measuring) -> anyhow::Result<Twilight> {
    fs::create_dir_all(dir).unwrap();
    let config = Config {
        stop_grace: Duration::from_secs(1),
        measuring,
        ..Config::new(
            dir.join("twilight"),
            host.uuid(),
            SocketAddr::from(([127, 0, 0, 1], free_port())).into(),
            KeyPair::load_or_create(&dir.join("sparkle.key")).unwrap().public(),
        )
    };
    Twilight::start(&config, Drivers::all(Arc::new(host.clone())))
}

/// A host with one guest that runs.
async fn host(number: u32) -> SimHost {
    let host = SimHost::new(SimOptions::numbered(3, number));
    let spec = InstanceSpec {
        instance: GUEST,
        name: "guest".into(),
        vcpu: 2,
        cpu_percent: 100,
        mem_mib: GUEST_MIB,
        boot: Boot::Disk,
        firmware: Firmware::default(),
        cpu: None,
        disks: vec![],
        nics: vec![],
        seed: None,
    };
    host.define(&spec).await.unwrap();
    host.start(GUEST).await.unwrap();
    host
}

async fn get(port: u16, target: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    Some(answer)
}

async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(found) = ask().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(EVENTUALLY, asking).await.unwrap_or_else(|_| panic!("never came: {what}"))
}

#[tokio::test]
async fn prometheus_reads_what_is_used() {
    let Some(tools) = tools(&["prometheus"]) else { return };
    let dir = TempDir::new().unwrap();
    let (own, port) = (free_port(), free_port());
    let prometheus = Some(SocketAddr::from(([127, 0, 0, 1], own)));
    let host = host(1).await;
    let twilight = try_twilight(dir.path(), &host, Measuring { prometheus, collectd: None }).unwrap();
    let wrong = get(own, "/").await.unwrap();
    assert!(wrong.starts_with("HTTP/1.1 404"), "{wrong}");

    let config = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: twilight\n  static_configs:\n  \
         - targets: ['127.0.0.1:{own}']\n"
    );
    fs::write(dir.path().join("prometheus.yml"), config).unwrap();
    let mut command = Command::new(tools.join("usr/bin/prometheus"));
    command.arg(format!("--config.file={}", dir.path().join("prometheus.yml").display()));
    command.arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()));
    let _daemon = Daemon::start(command.arg(format!("--web.listen-address=127.0.0.1:{port}")));
    let query = |what: &'static str| async move {
        let answer = get(port, &format!("/api/v1/query?query={what}")).await?;
        answer.contains("\"value\":[").then_some(answer)
    };
    let guest = eventually("the guest's memory", async || query("twilight_guest_memory_bytes").await).await;
    let expected = format!("\"{}\"]", u64::try_from(GUEST_MIB).unwrap() * MIB);
    assert!(guest.contains(&expected) && guest.contains(&GUEST.to_string()), "{guest}");
    for name in [
        "twilight_host_cpu_seconds_total",
        "twilight_host_disk_bytes_total",
        "twilight_host_network_packets_total",
    ] {
        eventually(name, async || query(name).await).await;
    }
    let answered = query("twilight_answered").await.unwrap();
    assert_eq!(answered.matches(",\"1\"]").count(), 2, "{answered}");
    twilight.shutdown().await;
}

/// The file that collectd keeps the values of a day in.
fn kept(dir: &Path, name: &str) -> Option<String> {
    let entries = fs::read_dir(dir).ok()?.flatten();
    let file = entries.map(|it| it.path()).find(|it| it.to_string_lossy().contains(name))?;
    let text = fs::read_to_string(file).ok()?;
    (text.lines().count() > 1).then_some(text)
}

fn collectd_config(dir: &Path, tools: &Path, port: u16) -> String {
    let (dir, tools) = (dir.display(), tools.display());
    format!(
        "Hostname \"receiver\"\nFQDNLookup false\nBaseDir \"{dir}\"\nPIDFile \"{dir}/pid\"\n\
         PluginDir \"{tools}/usr/lib/collectd\"\nTypesDB \"{tools}/usr/share/collectd/types.db\"\nInterval 1\n\
         LoadPlugin network\nLoadPlugin csv\n\
         <Plugin csv>\n DataDir \"{dir}/csv\"\n</Plugin>\n\
         <Plugin network>\n <Listen \"127.0.0.1\" \"{port}\">\n  SecurityLevel Sign\n  AuthFile \"{dir}/auth\"\n \
         </Listen>\n</Plugin>\n"
    )
}

#[tokio::test]
async fn collectd_takes_what_is_signed() {
    let Some(tools) = tools(&["collectd-core"]) else { return };
    // It writes into no directory whose name begins with a dot.
    let dir = tempfile::Builder::new().prefix("pony").tempdir().unwrap();
    let auth = dir.path().join("auth");
    fs::write(&auth, "pony: a password\n").unwrap();
    assert!(Auth::read(&auth).unwrap_err().to_string().contains("chmod 600"));
    fs::set_permissions(&auth, fs::Permissions::from_mode(0o600)).unwrap();
    let port = free_udp_port();
    let config = dir.path().join("collectd.conf");
    fs::write(&config, collectd_config(dir.path(), &tools, port)).unwrap();
    let mut command = Command::new(tools.join("usr/sbin/collectd"));
    let _daemon = Daemon::start(command.arg("-f").arg("-C").arg(&config));

    let (server, interval) = (format!("127.0.0.1:{port}"), Duration::from_secs(1));
    // One that does not know the password is not believed.
    let liar = Collectd { server: server.clone(), auth: None, interval };
    let (host, liar_host) = (host(1).await, host(2).await);
    let liar = try_twilight(&dir.path().join("liar"), &liar_host, told(liar)).unwrap();
    let honest = Collectd { server, auth: Some(Auth::read(&auth).unwrap()), interval };
    let twilight = try_twilight(&dir.path().join("honest"), &host, told(honest)).unwrap();
    let csv = dir.path().join("csv");
    let memory = |of: Uuid| csv.join(of.to_string()).join("memory");
    let told = eventually("the host's memory", async || kept(&memory(host.uuid()), "available")).await;
    assert!(told.starts_with("epoch,value"), "{told}");
    let disk = csv.join(host.uuid().to_string()).join("disk-sda");
    eventually("the host's disk", async || kept(&disk, "disk_octets")).await;
    let guest = csv.join(GUEST.to_string()).join("virt");
    let told = eventually("the guest's memory", async || kept(&guest, "memory-total")).await;
    assert!(told.contains(&(u64::try_from(GUEST_MIB).unwrap() * MIB).to_string()), "{told}");
    assert!(!memory(liar_host.uuid()).exists(), "who does not sign is not believed");
    liar.shutdown().await;
    twilight.shutdown().await;
}

fn told(collectd: Collectd) -> Measuring {
    Measuring { prometheus: None, collectd: Some(collectd) }
}

#[tokio::test]
async fn nobody_is_told_beyond_loopback_without_a_password() {
    let dir = TempDir::new().unwrap();
    let host = SimHost::new(SimOptions::numbered(3, 1));
    let everywhere = Measuring { prometheus: Some(([0, 0, 0, 0], 0).into()), collectd: None };
    let Err(error) = try_twilight(dir.path(), &host, everywhere) else { panic!("it listens") };
    assert!(format!("{error:#}").contains("loopback"), "{error:#}");
}
