//! A host: a Twilight, and the libvirtd that it orders guests of: this machine's, or one of its own in namespaces of its own.

use crate::daemon::{Daemon, binary};
use crate::{libvirtd, traces};
use serde_json::Value as Json;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use uuid::Uuid;

/// The hypervisor of a host, as the host calls it.
pub(crate) const LIBVIRT: &str = "qemu:///system";

/// Where hosts keep the discs of their guests, below `/` as libvirt has it.
const DISCS: &str = "var/lib/libvirt/qemu/ponycloud-seeds";

/// The bridge that joins hosts in namespaces of their own, and the first three bytes of all addresses there.
const BRIDGE: &str = "hosts";
const NET: &str = "10.77.0";

/// What is on a host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Agent {
    /// Its binary.
    pub(crate) name: &'static str,
    /// How long guests are given to shut down, seconds.
    pub(crate) stop_grace: u8,
}

impl Agent {
    pub(crate) const TWILIGHT: Self = Self { name: "twilight", stop_grace: 5 };
}

pub(crate) struct Host {
    pub(crate) uuid: String,
    /// Where Twilight keeps what it has; its log is beside it.
    pub(crate) dir: PathBuf,
    twilight: Daemon,
    /// Its own, and its cable on the bridge. `None`: the machine's.
    apart: Option<(libvirtd::Daemon, String)>,
}

/// Runs a program that has to succeed.
pub(crate) fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

pub(crate) fn ip(args: &str) {
    run(Command::new("ip").args(args.split_whitespace()));
}

/// Where this process is on the bridge.
pub(crate) fn address() -> String {
    format!("{NET}.1")
}

/// Makes a network namespace that this process was given ready for hosts to be.
pub(crate) fn lay_bridge() {
    ip("link set lo up");
    ip(&format!("link add {BRIDGE} type bridge"));
    ip(&format!("addr add {}/24 dev {BRIDGE}", address()));
    ip(&format!("link set {BRIDGE} up"));
}

impl Host {
    /// This machine.
    pub(crate) fn here(below: &Path) -> Self {
        Self::new(below.join("twilight"), None)
    }

    fn new(dir: PathBuf, apart: Option<(libvirtd::Daemon, String)>) -> Self {
        Self { uuid: Uuid::new_v4().to_string(), dir, twilight: Daemon::none(), apart }
    }

    /// The n-th one in namespaces of its own, with a card on the bridge.
    pub(crate) fn apart(below: &Path, n: usize) -> Self {
        let (libvirtd, cable) = (libvirtd::Daemon::new().unwrap(), format!("host{n}"));
        ip(&format!("link add {cable} type veth peer name eth0 netns {}", libvirtd.first()));
        ip(&format!("link set {cable} master {BRIDGE} up"));
        let host = Self::new(below.join(&cable), Some((libvirtd, cable)));
        std::fs::create_dir(&host.dir).unwrap();
        host.ip(&format!("addr add {NET}.{}/24 dev eth0", n + 2));
        host.ip("link set eth0 up");
        host
    }

    /// A program on it.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        match &self.apart {
            Some((libvirtd, _)) => libvirtd.command(program.as_ref()),
            None => Command::new(program.as_ref()),
        }
    }

    fn ip(&self, args: &str) {
        run(self.command("ip").args(args.split_whitespace()));
    }

    pub(crate) fn start_twilight(&mut self, agent: Agent, sparkle: &str, key: &str) {
        let (sparkle, grace) = (format!("tcp://{sparkle}"), agent.stop_grace.to_string());
        let mut command = self.command(binary(agent.name));
        command.arg("--dir").arg(&self.dir);
        command.args(["--sparkle", &sparkle, "--sparkle-key", key, "--host-uuid", &self.uuid]);
        command.args(["--stop-grace", &grace, "--near-sources"]);
        self.twilight = Daemon::spawn(&mut command, &self.log());
    }

    /// `kill -9`.
    pub(crate) fn kill_twilight(&mut self) {
        self.twilight.kill();
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.dir.with_extension("log")
    }

    /// Whether it has namespaces, and hence a cable, of its own.
    pub(crate) fn is_apart(&self) -> bool {
        self.apart.is_some()
    }

    /// Its cable is pulled out, or put in again.
    pub(crate) fn plug(&self, is_in: bool) {
        if let Some((_, cable)) = &self.apart {
            ip(&format!("link set {cable} {}", if is_in { "up" } else { "down" }));
        }
    }

    pub(crate) fn virsh(&self, args: &[&str]) -> Output {
        self.command("virsh").args(["-q", "-c", LIBVIRT]).args(args).output().unwrap()
    }

    /// What libvirt itself says of an instance's domain.
    pub(crate) fn domain_state(&self, instance: Uuid) -> Option<String> {
        let output = self.virsh(&["domstate", &instance.to_string()]);
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// The links that its agent made, as `ip` describes them.
    pub(crate) fn links(&self) -> Vec<Json> {
        let output = self.command("ip").args(["-json", "link"]).output().unwrap();
        let all: Vec<Json> = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let is_ours = |it: &Json| it["ifalias"].as_str().is_some_and(|alias| alias.contains(&self.uuid));
        all.into_iter().filter(is_ours).collect()
    }

    fn firewall(&self) -> String {
        format!("pony_{}", self.uuid.replace('-', ""))
    }

    /// Whether there is a rule for what its guests may send, for links that are there or not.
    pub(crate) fn has_rules(&self) -> bool {
        let output = self.command("nft").args(["list", "tables"]).output().unwrap();
        assert!(output.status.success(), "nft: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).contains(&self.firewall())
    }

    /// Where it keeps the discs that tell its guests about themselves.
    fn discs_dir(&self) -> PathBuf {
        let root = self.apart.as_ref().map_or_else(|| PathBuf::from("/"), |(libvirtd, _)| libvirtd.root());
        root.join(DISCS).join(&self.uuid)
    }

    /// These discs.
    pub(crate) fn discs(&self) -> Vec<PathBuf> {
        std::fs::read_dir(self.discs_dir()).into_iter().flatten().flatten().map(|it| it.path()).collect()
    }

    /// What an instance wrote to its console there.
    pub(crate) fn console(&self, instance: &str) -> PathBuf {
        self.dir.join("console").join(format!("{instance}.log"))
    }
}

impl Drop for Host {
    /// Nothing of a failed test stays on the machine; what is apart goes with its namespaces.
    fn drop(&mut self) {
        self.twilight.kill();
        if self.is_apart() {
            return;
        }
        for domain in traces::domains(self.uuid.parse().unwrap(), LIBVIRT) {
            self.virsh(&["destroy", &domain]);
            self.virsh(&["undefine", &domain]);
        }
        for link in self.links() {
            let _ = Command::new("ip").args(["link", "del"]).arg(link["ifname"].as_str().unwrap()).output();
        }
        // Rules of guests that ran to the end.
        let _ = Command::new("nft").args(["delete", "table", "bridge", &self.firewall()]).output();
        let _ = std::fs::remove_dir_all(self.discs_dir());
    }
}
