//! An iSCSI target of this test's own: Debian's `tgt`, a process, with files as its disks.

#![allow(dead_code, unreachable_pub)]

use super::suite;
use pony_core::host::{IscsiMode, IscsiPool, Login};
use std::fs::{File, Permissions};
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

pub const NAME: &str = "iqn.2026-01.test.pony:disks";
pub const SECRET: &str = "open-sesame-1234";

/// Where volumes begin on a LUN, bytes.
pub const DATA: usize = 1 << 20;

/// How often it is looked whether the target is there: a quarter of a minute.
const LOOKS_MAX: u32 = 300;

/// A target that goes with this.
pub struct Target {
    process: Child,
    dir: PathBuf,
    port: u16,
}

impl Target {
    /// Serves files of the directory; whoever signs in has to be `pony`. `None`, said once: not on this machine.
    pub fn start(dir: &Path, luns: u8, mib: u64) -> Option<Self> {
        Self::start_in(None, dir, luns, mib)
    }

    /// The same, in a network namespace.
    pub fn start_in(network: Option<&File>, dir: &Path, luns: u8, mib: u64) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut target = Self { process: serving(network, port)?, dir: dir.to_owned(), port };
        if !target.is_up() {
            suite::skipped(
                "no iSCSI target here: that takes root, mount namespaces, and Debian's package tgt",
            );
            return None;
        }
        let secrets = dir.join("secrets");
        std::fs::create_dir_all(&secrets).unwrap();
        std::fs::write(secrets.join("san"), SECRET).unwrap();
        std::fs::set_permissions(secrets.join("san"), Permissions::from_mode(0o600)).unwrap();
        target.set_up(|| (1..=luns).for_each(|lun| target.add(lun, mib)));
        Some(target)
    }

    /// Is gone, with all its sessions, and back after that long with disks of the same content.
    pub async fn come_back_after(&mut self, away: Duration, luns: &[u8]) {
        self.stop();
        tokio::time::sleep(away).await;
        self.process = serving(None, self.port).unwrap();
        assert!(self.is_up());
        self.set_up(|| luns.iter().for_each(|lun| self.show(*lun)));
    }

    fn stop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Whoever is let in sees all disks at once.
    fn set_up(&self, disks: impl FnOnce()) {
        self.admin("--op new --mode target --tid 1 -T", &[NAME]);
        disks();
        self.admin("--op new --mode account --user pony --password", &[SECRET]);
        self.admin("--op bind --mode account --tid 1 --user pony", &[]);
        self.admin("--op bind --mode target --tid 1 -I ALL", &[]);
    }

    fn is_up(&mut self) -> bool {
        for _ in 0..LOOKS_MAX {
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            if self.try_admin("--op show --mode sys", &[]).is_some_and(|it| it.status.success()) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }

    fn try_admin(&self, words: &str, more: &[&str]) -> Option<Output> {
        let process = self.process.id().to_string();
        let mut command = Command::new("nsenter");
        command.args(["-t", &process, "-m", "-r", "tgtadm", "-C", "0", "--lld", "iscsi"]);
        command.args(words.split(' ')).args(more).output().ok()
    }

    #[track_caller]
    fn admin(&self, words: &str, more: &[&str]) {
        let output = self.try_admin(words, more).unwrap();
        assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Another disk.
    pub fn add(&self, lun: u8, mib: u64) {
        File::create(self.file(lun)).unwrap().set_len(mib << 20).unwrap();
        self.show(lun);
    }

    fn show(&self, lun: u8) {
        let (lun_text, file) = (lun.to_string(), self.file(lun));
        let with = ["--lun", &lun_text, "-b", file.to_str().unwrap()];
        self.admin("--op new --mode logicalunit --tid 1", &with);
    }

    /// Takes a disk away.
    pub fn withdraw(&self, lun: u8) {
        self.admin("--op delete --mode logicalunit --tid 1 --lun", &[&lun.to_string()]);
    }

    /// The file that a disk is.
    pub fn file(&self, lun: u8) -> PathBuf {
        self.dir.join(format!("lun{lun}"))
    }

    pub fn write(&self, lun: u8, bytes: &[u8], at: u64) {
        File::options().write(true).open(self.file(lun)).unwrap().write_all_at(bytes, at).unwrap();
    }

    /// What hosts are told of it.
    pub fn pool(&self, luns: &[u8]) -> IscsiPool {
        IscsiPool {
            portal: format!("127.0.0.1:{}", self.port),
            target: NAME.into(),
            luns: luns.to_vec(),
            login: Some(Login { user: "pony".into(), secret: "san".into() }),
            initiator: None,
            mode: IscsiMode::Direct,
        }
    }

    /// Stops answering, without saying so.
    pub fn freeze(&self) {
        signal(self.process.id(), "-STOP");
    }

    pub fn thaw(&self) {
        signal(self.process.id(), "-CONT");
    }
}

fn signal(process: u32, which: &str) {
    assert!(Command::new("kill").args([which, &process.to_string()]).status().unwrap().success());
}

impl Drop for Target {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A process that listens at that port, without anything to serve yet.
fn serving(network: Option<&File>, port: u16) -> Option<Child> {
    // Its control socket lies below /run: it has one of its own.
    let ready = "mount -t tmpfs x /run && mkdir /run/tgtd && exec tgtd -f -C 0 --iscsi portal=127.0.0.1:$0";
    let mut command = Command::new("nsenter");
    let network = network.map_or("ns/net".into(), |it| format!("fd/{}", it.as_raw_fd()));
    command.arg(format!("--net=/proc/{}/{network}", std::process::id()));
    command.args(["unshare", "--mount", "--propagation", "private", "sh", "-ec", ready, &port.to_string()]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()
}
