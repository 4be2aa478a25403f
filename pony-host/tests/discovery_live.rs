//! Discovery of real machines: this one as far as it can be changed, and a guest whose disks and cards come and go.

#![allow(clippy::unwrap_used, clippy::expect_used)]
#![cfg(all(feature = "discovery", feature = "storage", feature = "sim"))]

mod namespace;
mod suite;

use namespace::{in_guest_with, is_inside, run};
use pony_core::agent::{
    Command, Config, Found, Hint, Keeper, Look, Orders, PoolHealth, PoolOrder, PoolReport,
};
use pony_core::host::{DiskFact, NicFact, PoolBackend, PoolSpec};
use pony_host::{Discovery, HostStorage, Machine, MachineOptions, Storage, StorageOptions};
use std::fs;
use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use uuid::Uuid;

/// What a busy machine needs to tell of a change; on an idle one it takes a tenth of a second.
const TOLD_MAX: Duration = Duration::from_secs(30);

/// How long it is listened for a second word.
const SILENCE: Duration = Duration::from_secs(2);

/// One that looks by itself so rarely that only the kernel can have told it of something.
fn listener() -> Machine {
    let never = Duration::from_secs(86_400);
    Machine::new(MachineOptions { poll: never, health: Duration::from_secs(1), ..MachineOptions::default() })
}

/// Waits until what is looked at is so, looking only when told that something changed. Says how long it took.
async fn told<T, F: Future<Output = T>>(
    events: &mut mpsc::Receiver<()>,
    look: impl Fn() -> F,
    is_so: impl Fn(&T) -> bool,
) -> (T, Duration) {
    let began = Instant::now();
    loop {
        let word = tokio::time::timeout(TOLD_MAX, events.recv()).await;
        assert_eq!(word.expect("nobody said that something changed"), Some(()));
        // Not before the word: what is seen at once is told of all the same.
        let found = look().await;
        if is_so(&found) {
            return (found, began.elapsed());
        }
    }
}

/// Says nothing more: what was told once is told.
async fn silence(events: &mut mpsc::Receiver<()>) {
    let word = tokio::time::timeout(SILENCE, events.recv()).await;
    assert!(word.is_err(), "one change was told twice");
}

#[tokio::test]
async fn this_machine_conforms() {
    suite::discovery(&Machine::new(MachineOptions::default())).await;
}

#[tokio::test]
async fn the_kernel_tells_of_block_devices() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(1 << 20).unwrap();
    let mut events = listener().events();
    // Until it listens.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let made = std::process::Command::new("losetup").args(["-f", "--show"]).arg(file.path()).output();
    let Some(made) = made.ok().filter(|made| made.status.success()) else {
        return suite::skipped("this machine makes no loop devices");
    };
    let device = String::from_utf8(made.stdout).unwrap();
    let word = tokio::time::timeout(TOLD_MAX, events.recv()).await;
    run("losetup", &["-d", device.trim()]);
    assert_eq!(word.unwrap(), Some(()));
}

/// A card without a cable.
const NIC: &str = "-device virtio-net-pci,mac=52:54:00:00:07:01";

const HWADDR: &str = "52:54:00:00:07:01";

#[test]
fn hardware_comes_and_goes() {
    let wishes = [
        ("GUEST_MODULES", "sd_mod scsi_debug ext4 virtio_net sg"),
        ("GUEST_PACKAGES", "smartmontools sdparm libsgutils2-1.46-2"),
        ("GUEST_QEMU", NIC),
        ("GUEST_SECONDS", "600"),
    ];
    in_guest_with("hardware_comes_and_goes_inside", &wishes);
}

fn write(path: &str, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("{path}: {error}"));
}

fn link_of<'a>(nics: &'a [NicFact], hwaddr: &str) -> Option<&'a str> {
    nics.iter().find(|nic| nic.hwaddr == hwaddr).map(|nic| nic.link_name.as_str())
}

async fn cards_come_and_go(machine: &Machine, events: &mut mpsc::Receiver<()>) {
    let nics = machine.nics().await.unwrap();
    assert_eq!((nics.len(), nics[0].hwaddr.as_str()), (1, HWADDR), "{nics:?}");
    let (name, look) = (nics[0].link_name.clone(), || async { machine.nics().await.unwrap() });
    run("ip", &["link", "set", &name, "name", "uplink"]);
    let (_, took) = told(events, look, |nics| link_of(nics, HWADDR) == Some("uplink")).await;
    println!("it was renamed after {took:?}");
    silence(events).await;
    run("ip", &["link", "set", "uplink", "address", "52:54:00:00:07:99"]);
    run("ip", &["link", "set", "uplink", "up"]);
    let (nics, _) = told(events, look, |nics| nics.iter().any(|nic| nic.up)).await;
    assert_eq!(
        link_of(&nics, HWADDR),
        Some("uplink"),
        "it goes by the address that it was made with: {nics:?}"
    );
    let device = fs::canonicalize("/sys/class/net/uplink/device/..").unwrap();
    write(device.join("remove").to_str().unwrap(), "1");
    let (_, took) = told(events, look, Vec::is_empty).await;
    println!("it went after {took:?}");
    silence(events).await;
    write("/sys/bus/pci/rescan", "1");
    let (nics, took) = told(events, look, |nics| !nics.is_empty()).await;
    println!("it came back after {took:?}: {nics:?}");
}

fn scsi_disk(disks: &[DiskFact]) -> Option<&DiskFact> {
    disks.iter().find(|disk| disk.link_name.starts_with("sd"))
}

/// What an agent makes of the real disks, and of a pool on one of them that it is ordered to use. There is nothing else.
struct Host<'a> {
    keeper: Keeper,
    pool: Uuid,
    machine: &'a Machine,
    storage: &'a HostStorage,
    began: Instant,
}

impl<'a> Host<'a> {
    fn new(pool: &PoolSpec, machine: &'a Machine, storage: &'a HostStorage) -> Self {
        let mut keeper = Keeper::new(Config::default(), 1, 0);
        let order = PoolOrder { spec: pool.clone(), shareable: false, fault: None };
        keeper.set_orders(0, &Orders { pools: [(pool.pool, order)].into(), ..Orders::default() });
        Self { keeper, pool: pool.pool, machine, storage, began: Instant::now() }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap()
    }

    /// The driver says that something may have changed.
    async fn is_told(&mut self) {
        self.keeper.handle_hint(self.now_ms(), Hint::Machine);
        self.work().await;
    }

    /// Does what is due.
    async fn work(&mut self) {
        self.keeper.poll(self.now_ms());
        while let Some(command) = self.keeper.poll_command() {
            if let Command::Look { look, what } = command {
                let found = self.look(&what).await;
                self.keeper.handle_look(self.now_ms(), look, found);
                self.keeper.poll(self.now_ms());
            }
        }
    }

    async fn look(&self, what: &Look) -> pony_host::Result<Found> {
        Ok(match what {
            Look::Pool(pool) => Found::Pool(self.storage.open_pool(pool).await?),
            Look::Volumes(pool) => Found::Volumes(self.storage.list_volumes(pool).await?),
            Look::Disks => Found::Disks(self.machine.disks().await?),
            Look::Guests => Found::Guests(Vec::new()),
            _ => Found::Nics(Vec::new()),
        })
    }

    fn pool(&self) -> PoolReport {
        self.keeper.report(self.now_ms()).pools[&self.pool].clone()
    }

    fn news(&mut self) -> Vec<&'static str> {
        std::iter::from_fn(|| self.keeper.poll_notification()).map(|news| news.kind).collect()
    }
}

async fn disk_goes_with_its_pool(machine: &Machine, events: &mut mpsc::Receiver<()>) {
    let disks = machine.disks().await.unwrap();
    let disk = scsi_disk(&disks).expect("scsi_debug has a disk").clone();
    println!("{disk:?}");
    assert!(disk.id.starts_with("naa.") || disk.id.starts_with("t10."), "{disk:?}");
    let device = format!("/dev/{}", disk.link_name);
    run("mkfs.ext4", &["-q", "-b", "1024", &device]);
    fs::create_dir_all("/tmp/pool").unwrap();
    run("mount", &[&device, "/tmp/pool"]);
    let storage =
        HostStorage::new(StorageOptions { scratch: "/tmp/scratch".into(), ..StorageOptions::default() });
    let pool = PoolSpec { pool: Uuid::from_u128(1), backend: PoolBackend::Dir { path: "/tmp/pool".into() } };
    let mut host = Host::new(&pool, machine, &storage);
    host.work().await;
    assert_eq!((host.pool().status, host.pool().error, host.news()), (PoolHealth::Ready, None, vec![]));

    disk_complains(machine, events, &disk, &device).await;
    host.is_told().await;
    assert_eq!((host.pool().status, host.news()), (PoolHealth::Ready, vec!["disk-failing"]));

    write(&format!("/sys/block/{}/device/delete", disk.link_name), "1");
    let look = || async { machine.disks().await.unwrap() };
    let (_, took) = told(events, look, |disks| scsi_disk(disks).is_none()).await;
    println!("the disk went after {took:?}");
    host.is_told().await;
    let PoolReport { status, error, .. } = host.pool();
    let error = error.unwrap();
    println!("{error}");
    assert!(
        status == PoolHealth::Broken && (error.contains("is gone") || error.contains("deleted")),
        "{error}"
    );
    assert_eq!(host.news(), ["disk-gone", "pool-broken"]);
    host.is_told().await;
    assert_eq!(host.news(), Vec::<&str>::new(), "it is news once");
    run("umount", &["-l", "/tmp/pool"]);

    write("/sys/bus/pseudo/drivers/scsi_debug/add_host", "1");
    let (disks, took) = told(events, look, |disks| scsi_disk(disks).is_some()).await;
    println!("another came after {took:?}: {disks:?}");
}

/// The disk is told to pretend that it is about to fail (informational exceptions, SPC-4).
async fn disk_complains(machine: &Machine, events: &mut mpsc::Receiver<()>, disk: &DiskFact, device: &str) {
    run("sdparm", &["--set", "TEST=1,MRIE=6", device]);
    let look = || async { machine.disks().await.unwrap() };
    let (disks, _) = told(events, look, |disks| scsi_disk(disks).is_some_and(|it| it.fault.is_some())).await;
    println!("{:?}", scsi_disk(&disks).unwrap().fault);
    assert_eq!(scsi_disk(&disks).unwrap().id, disk.id);
}

#[tokio::test]
#[ignore = "the inside of hardware_comes_and_goes"]
async fn hardware_comes_and_goes_inside() {
    assert!(is_inside() && Path::new("/sys/bus/pseudo").exists());
    let machine = listener();
    suite::discovery(&machine).await;
    let mut events = machine.events();
    tokio::time::sleep(Duration::from_secs(2)).await;
    cards_come_and_go(&machine, &mut events).await;
    disk_goes_with_its_pool(&machine, &mut events).await;
}
