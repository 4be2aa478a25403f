//! What a test may leave on a machine, so that it can be seen that it left nothing: mounts, loop devices and mapped ones,
//! files, domains, emulators, links. Other packages' tests take this file, too.

#![allow(dead_code, unreachable_pub)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use uuid::Uuid;

/// What is there of a test, to be compared with what is there later.
#[derive(Debug, Clone)]
pub struct Traces {
    of: Of,
    found: BTreeSet<String>,
}

/// Whose traces are looked for.
#[derive(Debug, Clone)]
struct Of {
    /// Where all that the test makes has its place.
    dir: PathBuf,
    /// Where files count.
    files: Option<PathBuf>,
    /// Whether nobody else mounts or maps anything meanwhile.
    alone: bool,
    host: Option<Host>,
}

/// A host whose guests and links count, and where its libvirt is.
#[derive(Debug, Clone)]
struct Host {
    uuid: Uuid,
    libvirt: String,
}

impl Traces {
    /// Of a test that is alone in a mount namespace, or in a guest: all mounts count, all mapped devices, and the files in
    /// its directory.
    pub fn alone(dir: &Path) -> Self {
        Of { dir: dir.to_owned(), files: Some(dir.to_owned()), alone: true, host: None }.look()
    }

    /// Of a test beside others: what has to do with its directory; and the files in `files`.
    pub fn among_others(dir: &Path, files: Option<&Path>) -> Self {
        Of { dir: dir.to_owned(), files: files.map(Path::to_owned), alone: false, host: None }.look()
    }

    /// Of a host that the test plays as well: its domains at this libvirt, their emulators, its links.
    pub fn and_of_host(self, uuid: Uuid, libvirt: &str) -> Self {
        let host = Host { uuid, libvirt: libvirt.to_owned() };
        let found = self.found.into_iter().chain(host.all()).collect();
        Self { of: Of { host: Some(host), ..self.of }, found }
    }

    /// What has come since, in words.
    pub fn left_behind(&self) -> Vec<String> {
        self.of.clone().look().found.difference(&self.found).cloned().collect()
    }

    /// The same is there now.
    #[track_caller]
    pub fn assert_unchanged(&self) {
        let now = self.of.clone().look().found;
        let [more, less]: [Vec<_>; 2] =
            [now.difference(&self.found).collect(), self.found.difference(&now).collect()];
        assert!(more.is_empty() && less.is_empty(), "left behind: {more:#?}, taken away: {less:#?}");
    }
}

impl Of {
    fn look(self) -> Traces {
        let files = self.files.iter().flat_map(|dir| files(dir));
        let files = files.map(|it| format!("file {}", it.display()));
        let found =
            files.chain(self.mounts()).chain(self.devices()).chain(self.host.iter().flat_map(Host::all));
        let found = found.chain(self.emulators()).collect();
        Traces { found, of: self }
    }

    fn mounts(&self) -> Vec<String> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let dir = self.dir.to_str().unwrap();
        // The first words are numbers that the kernel gives anew.
        let mount = |line: &str| line.split(' ').skip(3).collect::<Vec<_>>().join(" ");
        let lines = mounts.lines().filter(|line| self.alone || line.contains(dir));
        lines.map(|line| format!("mount {}", mount(line))).collect()
    }

    /// Loop devices on files in the directory, and mapped devices, which others may have as well.
    fn devices(&self) -> Vec<String> {
        let blocks = fs::read_dir("/sys/block").into_iter().flatten().flatten().map(|entry| entry.path());
        let is_ours = |block: &PathBuf| {
            let backing = fs::read_to_string(block.join("loop/backing_file")).unwrap_or_default();
            Path::new(backing.trim()).starts_with(&self.dir) || (self.alone && block.join("dm").exists())
        };
        blocks.filter(is_ours).map(|block| format!("device {}", block.display())).collect()
    }

    /// Emulators with something of the directory, also those that their libvirt has forgotten.
    fn emulators(&self) -> Vec<String> {
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
        let line = |process: PathBuf| {
            let line = fs::read(process.join("cmdline")).ok()?;
            Some(String::from_utf8_lossy(&line).replace('\0', " "))
        };
        let dir = self.dir.to_str().unwrap();
        let program = |line: &str| line.split(' ').next().is_some_and(|it| it.contains("qemu-system"));
        let lines = processes.filter_map(line).filter(|it| program(it) && it.contains(dir));
        lines.map(|line| format!("emulator {line}")).collect()
    }
}

impl Host {
    fn all(&self) -> Vec<String> {
        let domains = self.domains().into_iter().map(|it| format!("domain {it}"));
        domains.chain(self.links().into_iter().map(|it| format!("link {it}"))).collect()
    }

    fn virsh(&self, args: &[&str]) -> String {
        let output = Command::new("virsh").args(["-q", "-c", &self.libvirt]).args(args).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Domains that say that they are this host's.
    fn domains(&self) -> Vec<String> {
        let all = self.virsh(&["list", "--all", "--uuid"]);
        let uuid = self.uuid.to_string();
        let is_ours = |domain: &&str| self.virsh(&["dumpxml", domain]).contains(&uuid);
        all.split_whitespace().filter(is_ours).map(str::to_owned).collect()
    }

    /// Links that say so, in this network namespace.
    fn links(&self) -> Vec<String> {
        let links = fs::read_dir("/sys/class/net").into_iter().flatten().flatten().map(|entry| entry.path());
        let alias = |link: &PathBuf| fs::read_to_string(link.join("ifalias")).unwrap_or_default();
        let ours = links.filter(|link| alias(link).contains(&self.uuid.to_string()));
        ours.filter_map(|link| Some(link.file_name()?.to_str()?.to_owned())).collect()
    }
}

/// The domains that a host has at this libvirt.
pub fn domains(uuid: Uuid, libvirt: &str) -> Vec<String> {
    Host { uuid, libvirt: libvirt.to_owned() }.domains()
}

/// The links that a host made in this network namespace.
pub fn links(uuid: Uuid) -> Vec<String> {
    Host { uuid, libvirt: String::new() }.links()
}

/// All files in a directory, and below it.
pub fn files(dir: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.append(&mut files(&entry.path()));
        }
        found.insert(entry.path());
    }
    found
}
