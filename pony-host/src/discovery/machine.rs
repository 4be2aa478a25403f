//! `Discovery` of the machine that this runs on.

use super::own_address::OwnAddresses;
use super::smart::Health;
use super::watch::Watch;
use super::{cpu, hbas, nics, usage, uuid::machine_uuid};
use crate::block::{disks, files};
use crate::{Discovery, HostUsage, Result};
use async_trait::async_trait;
use pony_core::host::{DiskFact, DriverError, DriverErrorKind, HostFact, NicFact};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs as _, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use uuid::Uuid;

const KIB_PER_MIB: i64 = 1024;

/// Looks at one time. A disk whose firmware hangs can hold one up for ever; the others go on.
const LOOKS_MAX: usize = 4;

/// How to look at the machine.
#[derive(Debug, Clone)]
pub struct MachineOptions {
    /// How other hosts send guests here that run; `None`: they cannot.
    pub migration: Option<String>,
    /// What `/` is; another directory in tests.
    pub root: PathBuf,
    /// The machine's uuid where it was configured, instead of [`machine_uuid`].
    pub uuid: Option<Uuid>,
    /// What guests run on, as the hypervisor probed it: `kvm` or `tcg`.
    pub accel: String,
    /// The agent's version.
    pub version: String,
    /// The host's address, where it was configured.
    pub address: Option<IpAddr>,
    /// Where Sparkle is, `name:port`: else the host's address is that from which it is reached.
    pub sparkle: Option<String>,
    /// Whether the kernel is listened to for changes, and asked for what no file tells. Not where `root` is files.
    pub listen: bool,
    /// How often to look for changes that the kernel does not tell of.
    pub poll: Duration,
    /// How long one look may take.
    pub patience: Duration,
    /// What disks are asked with how they do.
    pub smartctl: PathBuf,
    /// How often they are asked: it moves the heads of some.
    pub health: Duration,
}

impl Default for MachineOptions {
    fn default() -> Self {
        Self {
            migration: None,
            root: PathBuf::from("/"),
            uuid: None,
            accel: "tcg".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            address: None,
            sparkle: None,
            listen: true,
            poll: Duration::from_secs(5),
            patience: Duration::from_secs(10),
            smartctl: PathBuf::from("smartctl"),
            health: Duration::from_secs(3_600),
        }
    }
}

/// The machine that this runs on.
///
/// ```
/// use pony_host::{Discovery, Machine, MachineOptions};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let machine = Machine::new(MachineOptions::default());
/// assert!(machine.host().await.unwrap().cpus > 0);
/// # });
/// ```
#[derive(Clone)]
pub struct Machine {
    pub(super) options: Arc<MachineOptions>,
    looks: Arc<Semaphore>,
    pub(super) health: Health,
}

impl Machine {
    /// Looks at the machine as `options` say.
    #[must_use]
    pub fn new(options: MachineOptions) -> Self {
        Self {
            options: Arc::new(options),
            looks: Arc::new(Semaphore::new(LOOKS_MAX)),
            health: Health::default(),
        }
    }

    /// Looks at files below another root than `/`, and at nothing else.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self::new(MachineOptions { root: root.into(), listen: false, ..MachineOptions::default() })
    }

    /// The machine's uuid: as configured, else [`machine_uuid`].
    ///
    /// # Errors
    ///
    /// Where neither the firmware nor `/etc/machine-id` has one; the message says what to do.
    pub fn uuid(&self) -> Result<Uuid> {
        let found = self.options.uuid.or_else(|| machine_uuid(&self.options.root));
        found.ok_or_else(|| DriverError {
            kind: DriverErrorKind::Order,
            message: "this machine has no uuid of its own: write one to /etc/machine-id \
                      (systemd-machine-id-setup), or configure the host's uuid"
                .into(),
        })
    }

    /// Reads in a thread where it may block; bounded in time and number.
    async fn look<T: Send + 'static>(
        &self,
        what: &'static str,
        read: impl FnOnce(&MachineOptions) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let (options, looks) = (self.options.clone(), self.looks.clone());
        let look = async move {
            let turn = looks.acquire_owned().await.map_err(io::Error::other)?;
            let reading = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                read(&options)
            });
            reading.await.map_err(io::Error::other)?
        };
        match tokio::time::timeout(self.options.patience, look).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => Err(failed(what, &error)),
            Err(_) => Err(failed(what, &io::Error::from(io::ErrorKind::TimedOut))),
        }
    }

    /// All that can be seen, to be compared with an earlier look.
    pub(super) async fn everything(&self) -> Result<(HostFact, Vec<NicFact>, Vec<DiskFact>)> {
        Ok((self.host().await?, self.nics().await?, self.disks().await?))
    }
}

#[async_trait]
impl Discovery for Machine {
    async fn host(&self) -> Result<HostFact> {
        self.look("the machine", host).await
    }

    async fn nics(&self) -> Result<Vec<NicFact>> {
        let asked = async {
            if self.options.listen { OwnAddresses::ask().await } else { Ok(OwnAddresses::default()) }
        };
        let own = match tokio::time::timeout(self.options.patience, asked).await {
            Ok(Ok(own)) => own,
            Ok(Err(error)) => return Err(failed("network cards", &error)),
            Err(_) => return Err(failed("network cards", &io::ErrorKind::TimedOut.into())),
        };
        self.look("network cards", move |options| nics::nics(&options.root, &own)).await
    }

    async fn disks(&self) -> Result<Vec<DiskFact>> {
        let read = |options: &MachineOptions| {
            let machine = options.uuid.or_else(|| machine_uuid(&options.root)).unwrap_or_default();
            disks(&options.root, machine)
        };
        let mut disks = self.look("disks", read).await?;
        for disk in disks.iter_mut().filter(|disk| disk.fault.is_none()) {
            disk.fault = self.health.fault(&disk.id);
        }
        Ok(disks)
    }

    async fn usage(&self) -> Result<HostUsage> {
        let (disks, nics) = (self.disks().await?, self.nics().await?);
        self.look("what is used", move |options| usage::usage(&options.root, &disks, &nics)).await
    }

    /// Looks again when the kernel says that something changed, and every [`MachineOptions::poll`], for as long as
    /// the receiver lives. Needs a Tokio runtime.
    fn events(&self) -> mpsc::Receiver<()> {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(Watch::new(self.clone()).run(sender));
        receiver
    }
}

fn host(options: &MachineOptions) -> io::Result<HostFact> {
    let root = &options.root;
    Ok(HostFact {
        hostname: files::read(&root.join("proc/sys/kernel/hostname"))?,
        version: options.version.clone(),
        kernel: files::known(&root.join("proc/sys/kernel/osrelease")),
        hypervisor: None,
        cpus: cpus(root)?,
        cpu: cpu::cpu(root),
        numa: cpu::numa(root),
        hbas: hbas::hbas(root),
        mem_mib: field(&root.join("proc/meminfo"), "MemTotal:")? / KIB_PER_MIB,
        boot_time: field(&root.join("proc/stat"), "btime")?,
        accel: options.accel.clone(),
        address: options.address.or_else(|| local_address(options.sparkle.as_deref()?)),
        migration: options.migration.clone(),
    })
}

/// The address of this host from which packets to `server` (`name:port`) leave. Sends none.
#[must_use]
pub fn local_address(server: &str) -> Option<IpAddr> {
    let server = server.to_socket_addrs().ok()?.next()?;
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(server).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Counts a list of ranges, `0-3,8`.
fn cpus(root: &Path) -> io::Result<i64> {
    let path = root.join("sys/devices/system/cpu/online");
    let text = files::read(&path)?;
    let count = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(last.parse::<i64>().ok()? - first.parse::<i64>().ok()? + 1)
    };
    let total: Option<i64> = text.split(',').map(count).sum();
    total.filter(|total| *total > 0).ok_or_else(|| malformed(&path))
}

/// The number behind a name at the start of a line.
fn field(path: &Path, name: &str) -> io::Result<i64> {
    let text = files::read(path)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| malformed(path))
}

fn malformed(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{} does not look as expected", path.display()))
}

fn failed(what: &str, error: &io::Error) -> DriverError {
    DriverError {
        kind: DriverErrorKind::Transient,
        message: format!("cannot find out about {what}: {error}"),
    }
}
