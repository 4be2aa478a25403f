//! Hosts and guests in network namespaces. A guest is a namespace whose card is joined with its tap by a process, as an
//! emulator would do it.

mod frames;

#[allow(unused_imports, reason = "not every test sends frames")]
pub(crate) use frames::{arp, hex, icmp6, udp, untagged};

use nix::sched::{CloneFlags, setns, unshare};
use pony_host::Netlink;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use uuid::Uuid;

/// Joins a tap of this namespace with a new one, `eth0`, in another.
const PUMP: &str = r#"
import ctypes, fcntl, os, select, struct, sys
def tap(name):
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x0002 | 0x1000 | 0x4000))
    return fd
host = tap(sys.argv[1])
there = os.open(sys.argv[2], os.O_RDONLY)
if ctypes.CDLL(None).setns(there, 0x40000000) != 0: sys.exit("no such namespace")
guest = tap("eth0")
print("joined", flush=True)
other = {host: guest, guest: host}
while True:
    for fd in select.select([host, guest], [], [])[0]:
        try: os.write(other[fd], os.read(fd, 70000))
        except OSError: pass
"#;

/// Sends frames, given in hexadecimal, on `eth0`.
const SEND: &str = r#"
import socket, sys
card = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
card.bind(("eth0", 0))
for frame in sys.argv[1:]: card.send(bytes.fromhex(frame))
"#;

/// Prints the frames that come in on `eth0` for so many seconds.
const SNIFF: &str = r#"
import socket, sys, time
card = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
card.bind(("eth0", 0))
print("listening", flush=True)
end = time.time() + float(sys.argv[1])
while time.time() < end:
    card.settimeout(max(0.01, end - time.time()))
    try: print(card.recv(2000).hex(), flush=True)
    except TimeoutError: pass
"#;

/// Why there can be no lab here.
pub(crate) fn obstacle() -> Option<String> {
    if !nix::unistd::geteuid().is_root() || !Path::new("/dev/net/tun").exists() {
        return Some("only root makes links, and only with /dev/net/tun".to_owned());
    }
    let lacks = |tool: &&str| {
        Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err()
    };
    ["nft", "python3", "busybox", "nsenter"]
        .into_iter()
        .find(|tool| lacks(tool))
        .map(|tool| format!("there is no {tool}"))
}

/// A process that ends with this.
struct Process(Child);

impl Process {
    /// Starts it, and waits for its first line.
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "{command:?} says nothing");
        Self(child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A network namespace.
pub(crate) struct Space(Process);

impl Space {
    pub(crate) fn new() -> Self {
        let hold = "ip link set lo up && echo ready && exec sleep infinity";
        let mut command = Command::new("unshare");
        let space = Self(Process::start(command.args(["--net", "sh", "-c", hold])));
        space.ip("link show lo");
        space
    }

    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.0.0.id())
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path())).arg(program);
        command
    }

    /// What a program says there, and whether it succeeds.
    pub(crate) fn run(&self, line: &str) -> (bool, String) {
        let mut words = line.split_whitespace();
        let output = self.command(words.next().unwrap()).args(words).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    /// `ip …` there, which has to succeed.
    pub(crate) fn ip(&self, line: &str) -> String {
        let (succeeded, said) = self.run(&format!("ip {line}"));
        assert!(succeeded, "ip {line}: {said}");
        said
    }

    /// All that a driver may leave behind: links, addresses, neighbours, rules.
    pub(crate) fn traces(&self) -> String {
        let names = self
            .ip("-br link")
            .lines()
            .map(|line| line.split(' ').next().unwrap_or("").to_owned() + "\n")
            .collect::<String>();
        let all = ["ip -o -4 address", "ip neighbour show nud permanent", "nft list ruleset"];
        all.iter().map(|line| self.run(line).1).chain([names]).collect()
    }

    /// The network driver of a host there.
    pub(crate) fn driver(&self, host: Uuid) -> Netlink {
        let file = File::open(self.path()).unwrap();
        let make = move || {
            setns(file, CloneFlags::CLONE_NEWNET).unwrap();
            Netlink::new(host).unwrap()
        };
        std::thread::spawn(make).join().unwrap()
    }

    /// The name of the tap that was made for a card.
    pub(crate) fn tap(&self, vnic: &str) -> Option<String> {
        // One line. Another may complain that links changed meanwhile.
        let said = self.ip("-j -d link");
        let links = said.lines().find(|line| line.starts_with('['))?;
        let links: serde_json::Value = serde_json::from_str(links).unwrap();
        let is_it = |link: &&serde_json::Value| {
            let alias = link["ifalias"].as_str().unwrap_or_default();
            alias.ends_with(vnic) && link["operstate"] != "NOTPRESENT" && link["master"].is_string()
        };
        let name = links.as_array().unwrap().iter().find(is_it)?["ifname"].as_str()?.to_owned();
        Some(name)
    }
}

/// Hosts that see each other.
pub(crate) struct Fabric {
    space: Space,
    pub(crate) hosts: Vec<Space>,
}

impl Fabric {
    /// So many, with the addresses 192.0.2.1 and so on.
    pub(crate) fn new(count: usize) -> Self {
        let space = Space::new();
        space.ip("link add between type bridge forward_delay 0 mcast_snooping 0");
        space.ip("link set between up");
        let hosts: Vec<Space> = (0..count).map(|_| Space::new()).collect();
        for (n, host) in hosts.iter().enumerate() {
            host.ip(&format!("link add up0 type veth peer name h{n} netns {}", space.path()));
            space.ip(&format!("link set h{n} master between up"));
            host.ip("link set up0 up");
            host.ip(&format!("address add 192.0.2.{}/24 dev up0", n + 1));
        }
        Self { space, hosts }
    }

    /// Whether the hosts see each other.
    pub(crate) fn join(&self, joined: bool) {
        self.space.ip(&format!("link set between {}", if joined { "up" } else { "down" }));
    }
}

/// A guest with one card.
pub(crate) struct Guest {
    space: Space,
    _pump: Process,
}

impl Guest {
    /// The guest behind a tap of a host.
    pub(crate) fn new(host: &Space, tap: &str, mac: &str) -> Self {
        let space = Space::new();
        let mut command = host.command("python3");
        let pump = Process::start(command.args(["-c", PUMP, tap, &space.path()]));
        space.ip(&format!("link set eth0 address {mac} up"));
        Self { space, _pump: pump }
    }

    pub(crate) fn ip(&self, line: &str) -> String {
        self.space.ip(line)
    }

    pub(crate) fn run(&self, line: &str) -> (bool, String) {
        self.space.run(line)
    }

    /// Whether one of some pings is answered.
    pub(crate) fn reaches(&self, address: &str) -> bool {
        let six = if address.contains(':') { "ping6" } else { "ping" };
        (0..5).any(|_| self.run(&format!("busybox {six} -c 1 -W 1 {address}")).0)
    }

    /// Whether none of some pings is answered.
    pub(crate) fn never_reaches(&self, address: &str) -> bool {
        !self.run(&format!("busybox ping -c 3 -W 1 {address}")).0
    }

    /// Pings, five times a second, until it is ended.
    pub(crate) fn pings(&self, address: &str) -> Pings {
        let mut command = self.space.command("busybox");
        let pings = command.args(["ping", "-i", "0.2", address]).stdout(Stdio::piped());
        Pings(pings.spawn().unwrap())
    }

    /// What DHCP says, `name=value` a line.
    pub(crate) fn lease(&self) -> String {
        let script = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(script.path(), "#!/bin/sh\n[ $1 = bound ] && set\nexit 0\n").unwrap();
        std::fs::set_permissions(script.path(), PermissionsExt::from_mode(0o700)).unwrap();
        let script = script.into_temp_path();
        let line = format!(
            "busybox udhcpc -i eth0 -n -q -f -t 20 -T 1 -O mtu -O staticroutes -O hostname -s {}",
            script.display()
        );
        let (bound, said) = self.run(&line);
        assert!(bound, "no lease: {said}");
        said.replace('\'', "")
    }

    pub(crate) fn send(&self, frames: &[&str]) {
        let output = self.space.command("python3").args(["-c", SEND]).args(frames).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// The frames that it is sent, in hexadecimal, while `others` do something.
    pub(crate) fn hears(&self, seconds: &str, others: impl FnOnce()) -> Vec<String> {
        let mut command = self.space.command("python3");
        let mut child = command.args(["-c", SNIFF, seconds]).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert_eq!(lines.next().as_deref(), Some("listening"));
        others();
        let heard = lines.collect();
        child.wait().unwrap();
        heard
    }
}

/// A row of pings.
pub(crate) struct Pings(Child);

impl Pings {
    /// Ends it; says how many were sent and answered.
    pub(crate) fn end(mut self) -> (u32, u32) {
        let stopped = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status().unwrap();
        assert!(stopped.success());
        let mut said = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        self.0.wait().unwrap();
        let count = |what: &str| {
            let line = said.lines().find(|line| line.contains("packets transmitted")).unwrap();
            let part = line.split(", ").find(|part| part.contains(what)).unwrap();
            part.split(' ').next().unwrap().parse().unwrap()
        };
        (count("transmitted"), count("received"))
    }
}

impl Drop for Pings {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether this machine lets a process have a network namespace at all.
pub(crate) fn has_namespaces() -> bool {
    std::thread::spawn(|| unshare(CloneFlags::CLONE_NEWNET).is_ok()).join().unwrap_or(false)
}
