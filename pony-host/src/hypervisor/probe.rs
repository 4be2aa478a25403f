//! Finds out what guests really run on, by running one.
//!
//! `/dev/kvm` proves nothing: it may refuse the emulator's user, lack what the CPU promises, or start guests
//! that never execute an instruction. So a real, tiny guest is started, of the same make as all others, and has
//! to say a word on its serial port.

use super::accel::Accel;
use super::boot_sector::marker_boot_sector;
use super::elements::DomainXml;
use super::error::{from_virt, transient};
use super::kvm;
use super::xml::{Console, Places, Recipe};
use crate::Result;
use pony_core::host::{Boot, DiskSpec, DriverError, Firmware, InstanceSpec, Place, VolumeFormat};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use uuid::Uuid;
use virt::connect::Connect;
use virt::domain::Domain;
use virt_sys as sys;

/// What KVM is opened by.
const KVM_DEVICE: &str = "/dev/kvm";

/// What the guest says.
const MARKER: &str = "pony: a guest runs";

/// Time for a guest to speak under KVM, where it takes some 200 ms; the rest is for libvirt on a busy machine.
const KVM_TIMEOUT: Duration = Duration::from_secs(15);

/// The same under emulation. Nothing is left to fall back to, so this is long: where libvirt has to look at its
/// emulators again and again (see `kvm`), a start takes a minute on a busy machine.
const TCG_TIMEOUT: Duration = Duration::from_secs(120);

/// How often the guest's serial port is looked at.
const LOOK_PERIOD: Duration = Duration::from_millis(20);

/// Memory of the guest, MiB: what the firmware needs, and more.
const MEM_MIB: i64 = 32;

/// Size of its disk: emulators do not like disks of one sector.
const DISK_BYTES: u64 = 1 << 20;

/// What guests run on here: [`Accel::Kvm`] if a guest is seen running under it, else [`Accel::Tcg`].
///
/// Leaves nothing behind, also when the future is dropped or the process is killed (the guest ends with its
/// connection; two small files in the temporary directory may stay after a kill).
///
/// # Errors
///
/// `Transient`, with the reasons, if no guest runs either way.
pub async fn probe_accel(uri: &str) -> Result<Accel> {
    let Err(no_kvm) = probe_one(uri, Accel::Kvm, KVM_TIMEOUT).await else {
        return Ok(Accel::Kvm);
    };
    let Err(no_tcg) = probe_one(uri, Accel::Tcg, TCG_TIMEOUT).await else {
        tracing::info!(reason = %no_kvm, "no guest runs under KVM: using emulation");
        return Ok(Accel::Tcg);
    };
    Err(transient(format!("no guest runs on this machine: with KVM: {no_kvm}; without: {no_tcg}")))
}

async fn probe_one(uri: &str, accel: Accel, limit: Duration) -> Result<()> {
    if accel == Accel::Kvm && !Path::new(KVM_DEVICE).exists() && uri.starts_with("qemu:///") {
        return Err(transient(format!("this machine has no {KVM_DEVICE}")));
    }
    let uri = uri.to_owned();
    let probe = tokio::task::spawn_blocking(move || Probe::new(accel, limit)?.run(&uri));
    match tokio::time::timeout(limit, probe).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => Err(transient(format!("the probe broke down: {panic}"))),
        // The thread goes on until libvirt answers, and clears up.
        Err(_) => Err(transient(format!("no guest was up within {} s", limit.as_secs()))),
    }
}

/// A guest to be, and its files, which go when it goes.
struct Probe {
    accel: Accel,
    deadline: Instant,
    guest: Uuid,
    disk: PathBuf,
    serial: PathBuf,
}

impl Probe {
    fn new(accel: Accel, limit: Duration) -> Result<Self> {
        let guest = Uuid::new_v4();
        let file = |what| std::env::temp_dir().join(format!("pony-probe-{guest}.{what}"));
        let probe = Self {
            accel,
            deadline: Instant::now() + limit,
            guest,
            disk: file("disk"),
            serial: file("serial"),
        };
        probe.write_disk().map_err(|e| transient(format!("cannot write {}: {e}", probe.disk.display())))?;
        Ok(probe)
    }

    fn write_disk(&self) -> std::io::Result<()> {
        // create_new: in a directory where everybody writes, never through somebody's link.
        let mut disk = std::fs::File::create_new(&self.disk)?;
        disk.write_all(&marker_boot_sector(MARKER))?;
        disk.set_len(DISK_BYTES)
    }

    fn run(&self, uri: &str) -> Result<()> {
        let mut conn =
            Connect::open(Some(uri)).map_err(|e| from_virt(&format!("reach libvirt at {uri}"), &e))?;
        let refused =
            (self.accel == Accel::Kvm).then(|| kvm::refusal(&conn, Path::new(KVM_DEVICE))).flatten();
        let result = refused.map_or_else(|| self.boot(&conn), |why| Err(transient(why)));
        let _ = conn.close();
        result
    }

    fn boot(&self, conn: &Connect) -> Result<()> {
        let recipe = Recipe { host: Uuid::nil(), accel: self.accel, quota: false };
        let places = Places { console: Console::File(self.serial.clone()), seed: None };
        let xml = DomainXml::new(recipe, &places, &self.spec())?.text()?;
        let domain = Domain::create_xml(conn, &xml, sys::VIR_DOMAIN_START_AUTODESTROY)
            .map_err(|e| from_virt(&format!("start a guest under {}", self.accel), &e))?;
        let spoken = self.wait();
        if let Err(error) = domain.destroy() {
            tracing::debug!(error = error.message(), "the probe's guest is gone already");
        }
        spoken
    }

    fn wait(&self) -> Result<()> {
        while Instant::now() < self.deadline {
            // Unreadable means not written yet.
            let said = std::fs::read(&self.serial).unwrap_or_default();
            if String::from_utf8_lossy(&said).contains(MARKER) {
                return Ok(());
            }
            std::thread::sleep(LOOK_PERIOD);
        }
        Err(self.silence())
    }

    fn silence(&self) -> DriverError {
        transient(format!("a guest starts under {} but its CPU does not run", self.accel))
    }

    fn spec(&self) -> InstanceSpec {
        let disk = DiskSpec {
            vdisk: self.guest,
            index: 0,
            place: Place::File(self.disk.clone()),
            format: VolumeFormat::Raw,
            read_only: false,
            shared: false,
        };
        InstanceSpec {
            instance: self.guest,
            name: "probe of what guests run on".to_owned(),
            vcpu: 1,
            cpu_percent: 100,
            mem_mib: MEM_MIB,
            boot: Boot::Disk,
            firmware: Firmware::default(),
            cpu: None,
            disks: vec![disk],
            nics: vec![],
            seed: None,
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        for file in [&self.disk, &self.serial] {
            let _ = std::fs::remove_file(file);
        }
    }
}
