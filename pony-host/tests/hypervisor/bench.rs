//! A place to try guests in: a driver, a directory, and a tidy end whatever a test does.

use crate::daemon::Daemon;
use crate::traces::Traces;
use pony_core::host::{
    Boot, DiskSpec, Ending, Firmware, GuestConfig, GuestState, InstanceFact, InstanceSpec, Place, Seed,
    VolumeFormat,
};
use pony_host::{Accel, Console, Hypervisor as _, Libvirt, LibvirtOptions, Peers, marker_boot_sector};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc::Receiver;
use uuid::Uuid;
use virt::connect::Connect;
use virt::domain::Domain;

/// `mov dx, 0x505; mov al, 1; out dx, al; cli; hlt`: tells the pvpanic device that the guest panicked.
pub const GUEST_PANICS: [u8; 8] = [0xba, 0x05, 0x05, 0xb0, 0x01, 0xee, 0xfa, 0xf4];

/// `mov dx, 0x604; mov ax, 0x2000; out dx, ax; cli; hlt`: ACPI power-off by q35's PM1a control register.
pub const GUEST_POWERS_OFF: [u8; 9] = [0xba, 0x04, 0x06, 0xb8, 0x00, 0x20, 0xef, 0xfa, 0xf4];

/// Says again on COM1 whatever it hears there: waits for the line status's "data ready", `in al, dx; out dx, al`.
pub const GUEST_ECHOES: [u8; 15] =
    [0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0xfb, 0xba, 0xf8, 0x03, 0xec, 0xee, 0xeb, 0xf1];

const DISK_BYTES: u64 = 1 << 20;

pub struct Bench {
    pub libvirt: Libvirt,
    pub marker: String,
    pub daemon: Arc<Daemon>,
    host: Uuid,
    dir: TempDir,
    made: Mutex<Vec<Uuid>>,
    before: Traces,
}

impl Bench {
    /// `None`, saying why, where the real thing is not to be had.
    pub async fn new() -> Option<Self> {
        match Daemon::shared() {
            Ok(daemon) => Some(Self::on(daemon).await),
            Err(why) => {
                crate::suite::skipped(why);
                None
            }
        }
    }

    pub async fn on(daemon: Arc<Daemon>) -> Self {
        Self::among(daemon, None).await
    }

    pub async fn among(daemon: Arc<Daemon>, peers: Option<Peers>) -> Self {
        let dir = tempfile::Builder::new().prefix("pony-test-").tempdir().unwrap();
        // The emulator's user has to get to the disks.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let host = Uuid::new_v4();
        let options = LibvirtOptions { peers, ..options(host, &dir, &daemon) };
        let libvirt = Libvirt::connect(&daemon.uri(), options).await.unwrap();
        let before = Traces::among_others(dir.path(), None).and_of_host(host, &daemon.uri());
        Self { libvirt, marker: format!("marker {host}"), daemon, host, dir, made: Mutex::default(), before }
    }

    pub fn host(&self) -> Uuid {
        self.host
    }

    pub fn options(&self) -> LibvirtOptions {
        options(self.host, &self.dir, &self.daemon)
    }

    /// The same agent, restarted.
    pub async fn another(&self) -> Libvirt {
        Libvirt::connect(&self.daemon.uri(), self.options()).await.unwrap()
    }

    /// An instance with a disk that boots, says the marker and halts.
    pub fn spec(&self, name: &str) -> InstanceSpec {
        let instance = Uuid::new_v4();
        self.made.lock().unwrap().push(instance);
        let disk = DiskSpec {
            vdisk: Uuid::new_v4(),
            index: 0,
            place: Place::File(self.dir.path().join(format!("{instance}.img"))),
            format: VolumeFormat::Raw,
            read_only: false,
            shared: false,
        };
        let spec = InstanceSpec {
            instance,
            name: name.to_owned(),
            vcpu: 1,
            cpu_percent: 100,
            mem_mib: 32,
            boot: Boot::Disk,
            firmware: Firmware::default(),
            cpu: None,
            disks: vec![disk],
            nics: vec![],
            seed: None,
        };
        self.write_disk(&spec, &marker_boot_sector(&self.marker));
        spec
    }

    /// Has the instance run this instead.
    pub fn write_boot_code(&self, spec: &InstanceSpec, code: &[u8]) {
        let mut sector = [0; 512];
        sector[..code.len()].copy_from_slice(code);
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        self.write_disk(spec, &sector);
    }

    fn write_disk(&self, spec: &InstanceSpec, start: &[u8]) {
        let path = spec.disks[0].place.path().unwrap();
        std::fs::write(path, start).unwrap();
        let disk = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        disk.set_len(DISK_BYTES).unwrap();
    }

    pub fn qcow2(&self) -> PathBuf {
        let path = self.dir.path().join(format!("{}.qcow2", Uuid::new_v4()));
        let status = std::process::Command::new("qemu-img")
            .args(["create", "-q", "-f", "qcow2"])
            .arg(&path)
            .arg("1M")
            .status();
        assert!(status.unwrap().success());
        path
    }

    pub async fn run(&self, spec: &InstanceSpec) {
        self.libvirt.define(spec).await.unwrap();
        self.libvirt.start(spec.instance).await.unwrap();
    }

    pub async fn fact(&self, spec: &InstanceSpec) -> Option<InstanceFact> {
        self.libvirt.list().await.unwrap().into_iter().find(|fact| fact.instance == spec.instance)
    }

    pub async fn is(&self, spec: &InstanceSpec, state: GuestState) {
        let ask = || async { self.fact(spec).await.is_some_and(|fact| fact.state == state) };
        crate::suite::eventually(&format!("{} is {state:?}", spec.name), ask).await;
    }

    pub async fn ended(&self, spec: &InstanceSpec, ending: Ending) {
        let ask = || async { self.fact(spec).await.is_some_and(|fact| fact.ending == Some(ending)) };
        crate::suite::eventually(&format!("{} ended: {ending:?}", spec.name), ask).await;
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A disc that tells a guest such a name.
    pub fn seed(&self, spec: &InstanceSpec, hostname: &str) -> Seed {
        Seed::new(Arc::new(GuestConfig {
            instance: spec.instance,
            hostname: hostname.to_owned(),
            user_data: Some("#cloud-config\n".to_owned()),
            name_servers: vec![],
            cards: vec![],
        }))
    }

    /// The discs that there are on this host.
    pub fn seeds(&self) -> Vec<PathBuf> {
        let dir = format!("var/lib/libvirt/qemu/ponycloud-seeds/{}", self.host);
        let found = std::fs::read_dir(self.daemon.root().join(dir)).into_iter().flatten().flatten();
        found.map(|entry| entry.path()).collect()
    }

    pub fn console(&self, spec: &InstanceSpec, end: &str) -> PathBuf {
        self.dir.path().join("console").join(format!("{}.{end}", spec.instance))
    }

    /// Waits until the guest's console log holds the words.
    pub async fn says(&self, spec: &InstanceSpec, words: &str) {
        let log = self.console(spec, "log");
        let ask = || async {
            let said = std::fs::read(&log).unwrap_or_default();
            String::from_utf8_lossy(&said).contains(words)
        };
        crate::suite::eventually(&format!("{} says {words:?}", spec.name), ask).await;
    }

    pub fn kill_emulator(&self, spec: &InstanceSpec) {
        self.daemon.kill_emulator(&format!("pony-{}", spec.instance));
    }

    pub fn hang_emulator(&self, spec: &InstanceSpec) {
        self.daemon.hang_emulator(&format!("pony-{}", spec.instance));
    }

    /// A domain that no agent made.
    pub fn define_by_hand(&self) -> Uuid {
        let uuid = Uuid::new_v4();
        self.made.lock().unwrap().push(uuid);
        let xml = format!(
            "<domain type='qemu'><name>pony-test-{uuid}</name><uuid>{uuid}</uuid><memory>32768</memory>\
             <os><type arch='x86_64'>hvm</type></os></domain>"
        );
        self.with_libvirt(|conn| Domain::define_xml(conn, &xml).map(drop).unwrap());
        uuid
    }

    pub fn exists(&self, domain: Uuid) -> bool {
        self.with_libvirt(|conn| Domain::lookup_by_uuid(conn, domain).is_ok())
    }
}

impl Bench {
    fn with_libvirt<T>(&self, act: impl FnOnce(&Connect) -> T) -> T {
        let mut conn = Connect::open(Some(&self.daemon.uri())).unwrap();
        let result = act(&conn);
        conn.close().unwrap();
        result
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let made = std::mem::take(&mut *self.made.lock().unwrap());
        self.with_libvirt(|conn| {
            for domain in made.into_iter().filter_map(|uuid| Domain::lookup_by_uuid(conn, uuid).ok()) {
                let _ = domain.destroy();
                let _ = domain.undefine();
            }
        });
        if !std::thread::panicking() {
            self.before.assert_unchanged();
        }
    }
}

/// The next event, or `None` at the end of the stream.
pub async fn next(events: &mut Receiver<Uuid>) -> Option<Uuid> {
    tokio::time::timeout(crate::suite::EVENTUALLY, events.recv()).await.expect("neither an event nor an end")
}

fn options(host: Uuid, dir: &TempDir, daemon: &Daemon) -> LibvirtOptions {
    let (console_dir, root) = (Some(dir.path().join("console")), Some(daemon.root()));
    let secrets = dir.path().join("secrets");
    LibvirtOptions { console_dir, root, secrets, ..LibvirtOptions::new(host, Accel::Tcg) }
}

/// What a console shows within a while.
pub async fn shown(console: &mut Console, within: Duration) -> String {
    let mut shown = Vec::new();
    let _ = tokio::time::timeout(within, console.read_to_end(&mut shown)).await;
    String::from_utf8_lossy(&shown).into_owned()
}
