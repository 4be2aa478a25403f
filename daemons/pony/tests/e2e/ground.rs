//! What a cloud stands on, and how that gives way: its database, its link, its disk.

use pony_store::conformance::{Cluster, Proxy, Stop, Way};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The file system that a pool is on, MiB: room for a few guests that write nothing.
const DISK_MIB: u32 = 48;

/// One with room for everything that instances write, MiB.
const ROOMY_MIB: u32 = 1024;

/// What a disk is filled with at a time, from the largest pieces to those that fit at last.
const PIECES: [usize; 2] = [1 << 20, 1 << 12];

/// Firm unless it was made otherwise.
#[derive(Default)]
pub(crate) struct Ground {
    /// A server for desired state. `None`: a file.
    database: Option<Cluster>,
    /// Between Sparkle and its host, with the port of the former.
    cable: Option<(Proxy, u16)>,
    /// Where a file system of its own is mounted, and the size that it is to have, MiB.
    disk: Option<PathBuf>,
    disk_mib: Option<u32>,
    is_shaky: bool,
}

impl Ground {
    /// Ground that can give way; `name` is who asks.
    pub(crate) fn shaky(name: &str) -> Self {
        let database = Cluster::start(&["fsync = off"]).inspect(|it| it.create("cloud"));
        let database = database.inspect_err(|why| println!("skipped: {name}, without its database: {why}"));
        let (cable, disk) = (None, None);
        Self { database: database.ok(), cable, disk, disk_mib: Some(DISK_MIB), is_shaky: true }
    }

    /// Firm ground with a file system of its own.
    pub(crate) fn roomy() -> Self {
        Self { database: None, cable: None, disk: None, disk_mib: Some(ROOMY_MIB), is_shaky: false }
    }

    /// What Sparkle is told of it.
    pub(crate) fn database(&self) -> Option<String> {
        self.database.as_ref().map(|it| it.address("cloud"))
    }

    /// Lays the cable to Sparkle's port; says at which port it begins.
    pub(crate) async fn lay(&mut self, zmq: u16) -> u16 {
        if !self.is_shaky {
            return zmq;
        }
        let (cable, _) = self.cable.insert((Proxy::start(Way::To(zmq)).await, zmq));
        cable.port()
    }

    /// Where pools have their place, in the directory of the cloud.
    pub(crate) fn disk(&mut self, below: &Path) -> PathBuf {
        let Some(mib) = self.disk_mib else { return below.to_owned() };
        let disk = below.join("disk");
        std::fs::create_dir_all(&disk).unwrap();
        let size = format!("size={mib}m,mode=755");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "pony-e2e"]).arg(&disk);
        assert!(mount.status().unwrap().success());
        self.disk.insert(disk).clone()
    }

    pub(crate) fn has_database(&self) -> bool {
        self.database.is_some()
    }

    /// Bytes are swallowed from now on.
    pub(crate) fn cut(&self) {
        self.cable.iter().for_each(|(cable, _)| cable.lead(Way::Nowhere));
    }

    /// The database's server is killed.
    pub(crate) fn kill_database(&self) {
        tokio::task::block_in_place(|| self.database.iter().for_each(|it| it.stop(Stop::Kill)));
    }

    /// Nothing more fits on the disk.
    pub(crate) fn fill_disk(&self) {
        let Some(ballast) = self.ballast() else { return };
        let mut file = std::fs::File::create(ballast).unwrap();
        for piece in PIECES {
            while file.write_all(&vec![0; piece]).is_ok() {}
        }
    }

    fn ballast(&self) -> Option<PathBuf> {
        self.disk.as_ref().map(|it| it.join("ballast"))
    }

    /// All is well again.
    pub(crate) fn mend(&self, was_killed: bool) {
        self.cable.iter().for_each(|(cable, zmq)| cable.lead(Way::To(*zmq)));
        self.ballast().into_iter().for_each(|it| drop(std::fs::remove_file(it)));
        if was_killed {
            tokio::task::block_in_place(|| self.database.iter().for_each(Cluster::restart));
        }
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        // What still has a file open there does not keep the directory from being removed.
        if let Some(disk) = self.disk.take() {
            let _ = Command::new("umount").arg("--lazy").arg(disk).status();
        }
    }
}
