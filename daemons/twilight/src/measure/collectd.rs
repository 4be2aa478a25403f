//! Tells collectd every few seconds. Hosts and instances go by their UUIDs, as in the API.

use super::Usage;
use super::packet::{Reading, Signer, Value, packets};
use crate::drivers::Drivers;
use anyhow::Context;
use pony_host::{DiskUsage, GuestUsage, HostUsage, NicUsage, Traffic};
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::{UdpSocket, lookup_host};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// collectd's plugin `cpu` counts in these.
const TICKS_PER_S: f64 = 100.0;

const NS_PER_S: f64 = 1e9;

/// How long a name may take to be looked up.
const LOOKUP_PATIENCE: Duration = Duration::from_secs(5);

/// Longest file with a password, bytes.
const AUTH_MAX: u64 = 4_096;

/// Longest name of a user, bytes: what is left of a packet is for numbers.
const USER_MAX: usize = 128;

/// A collectd that is told.
#[derive(Debug, Clone)]
pub struct Collectd {
    /// `name:port`.
    pub server: String,
    /// By what packets are signed.
    pub auth: Option<Auth>,
    /// How often it is told.
    pub interval: Duration,
}

/// A name and a password that collectd knows too.
#[derive(Clone)]
pub struct Auth {
    user: String,
    password: String,
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Auth {
    /// Reads the first line `user: password` of a file, which is how collectd keeps them (`AuthFile`).
    ///
    /// # Errors
    /// When it cannot be read, has no such line, or may be read by others than its owner.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let context = || format!("the file {} with collectd's password", path.display());
        let meta = fs::metadata(path).with_context(context)?;
        anyhow::ensure!(meta.len() <= AUTH_MAX, "{} is longer than {AUTH_MAX} bytes", context());
        anyhow::ensure!(
            meta.permissions().mode() & 0o077 == 0,
            "{} is not its owner's alone: chmod 600",
            context()
        );
        let text = fs::read_to_string(path).with_context(context)?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let found = lines.filter_map(|line| line.split_once(':')).next();
        let (user, password) =
            found.with_context(|| format!("{} needs a line `user: password`", context()))?;
        let (user, password) = (user.trim().to_owned(), password.trim().to_owned());
        anyhow::ensure!(
            !user.is_empty() && user.len() <= USER_MAX,
            "{}: the user's name is 1 to {USER_MAX} bytes",
            context()
        );
        Ok(Self { user, password })
    }
}

/// Tells it until it is stopped. What is lost on the way is lost: the next numbers say more.
pub(crate) async fn tell(collectd: Collectd, host: Uuid, drivers: Drivers, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(collectd.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let told = tokio::select! {
            () = stop.cancelled() => return,
            told = tell_once(&collectd, host, &drivers) => told,
        };
        if let Err(error) = told {
            tracing::warn!("collectd at {} is not told: {error:#}", collectd.server);
        }
    }
}

async fn tell_once(collectd: &Collectd, host: Uuid, drivers: &Drivers) -> anyhow::Result<()> {
    let looked = tokio::time::timeout(LOOKUP_PATIENCE, lookup_host(&collectd.server)).await;
    let server = looked.context("looking it up took too long")??.next().context("it has no address")?;
    let leaves = !server.ip().is_loopback();
    anyhow::ensure!(
        !leaves || collectd.auth.is_some(),
        "packets leave this machine, and there is no password to sign them with"
    );
    let any = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    socket.connect(server).await?;
    let readings = readings(host, &Usage::now(drivers).await);
    let unix_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let signer = collectd.auth.as_ref().map(|auth| Signer { user: &auth.user, password: &auth.password });
    for packet in packets(&readings, unix_s, collectd.interval.as_secs_f64(), signer.as_ref()) {
        socket.send(&packet).await?;
    }
    Ok(())
}

fn readings(host: Uuid, usage: &Usage) -> Vec<Reading> {
    let mut all = Vec::new();
    if let Some(usage) = &usage.host {
        of_host(&mut all, &host.to_string(), usage);
    }
    for guest in usage.guests.iter().flatten() {
        of_guest(&mut all, guest);
    }
    all
}

fn of_host(all: &mut Vec<Reading>, host: &str, usage: &HostUsage) {
    let mut tell = |plugin, plugin_instance: &str, kind, type_instance: &str, values| {
        let (host, plugin_instance, type_instance) =
            (host.into(), plugin_instance.into(), type_instance.into());
        all.push(Reading { host, plugin, plugin_instance, kind, type_instance, values });
    };
    let times = &usage.cpu;
    let modes = [
        ("user", times.user_s),
        ("system", times.system_s),
        ("wait", times.wait_s),
        ("idle", times.idle_s),
        ("steal", times.steal_s),
    ];
    for (mode, seconds) in modes {
        tell("cpu", "", "cpu", mode, vec![whole(seconds * TICKS_PER_S)]);
    }
    let used = usage.memory.total.saturating_sub(usage.memory.available);
    for (state, bytes) in [("used", used), ("available", usage.memory.available)] {
        tell("memory", "", "memory", state, vec![Value::Gauge(bytes as f64)]);
    }
    for disk in &usage.disks {
        of_disk(disk).into_iter().for_each(|(kind, values)| tell("disk", &disk.name, kind, "", values));
    }
    for nic in &usage.nics {
        of_nic(nic).into_iter().for_each(|(kind, values)| tell("interface", &nic.name, kind, "", values));
    }
}

/// By the names of collectd's plugin `virt`.
fn of_guest(all: &mut Vec<Reading>, guest: &GuestUsage) {
    let mut tell = |kind, type_instance: &str, values| {
        let (host, type_instance) = (guest.instance.to_string(), type_instance.into());
        all.push(Reading {
            host,
            plugin: "virt",
            plugin_instance: String::new(),
            kind,
            type_instance,
            values,
        });
    };
    tell("virt_cpu_total", "", vec![whole(guest.cpu_s * NS_PER_S)]);
    for (state, bytes) in [("total", guest.memory_bytes), ("rss", guest.resident_bytes)] {
        tell("memory", state, vec![Value::Gauge(bytes as f64)]);
    }
    for disk in &guest.disks {
        of_disk(disk).into_iter().for_each(|(kind, values)| tell(kind, &disk.name, values));
    }
    for nic in &guest.nics {
        of_nic(nic).into_iter().for_each(|(kind, values)| tell(kind, &nic.name, values));
    }
}

fn of_disk(disk: &DiskUsage) -> [(&'static str, Vec<Value>); 2] {
    [
        ("disk_octets", vec![count(disk.read_bytes), count(disk.written_bytes)]),
        ("disk_ops", vec![count(disk.reads), count(disk.writes)]),
    ]
}

fn of_nic(nic: &NicUsage) -> [(&'static str, Vec<Value>); 4] {
    let both = |of: fn(&Traffic) -> u64| vec![count(of(&nic.received)), count(of(&nic.sent))];
    [
        ("if_octets", both(|it| it.bytes)),
        ("if_packets", both(|it| it.packets)),
        ("if_errors", both(|it| it.errors)),
        ("if_dropped", both(|it| it.dropped)),
    ]
}

fn count(number: u64) -> Value {
    Value::Derive(i64::try_from(number).unwrap_or(i64::MAX))
}

#[allow(clippy::cast_possible_truncation)]
fn whole(number: f64) -> Value {
    // Saturates.
    Value::Derive(number as i64)
}
