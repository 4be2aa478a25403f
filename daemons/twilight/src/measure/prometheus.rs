//! What is used, as text for Prometheus.

use super::Usage;
use pony_host::{DiskUsage, GuestUsage, HostUsage, NicUsage, Traffic};
use prometheus_client::encoding::text;
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::AtomicU64;

/// The kind of text that [`write`] gives.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Vec<(&'static str, String)>;
type Counters = Family<Labels, Counter<f64, AtomicU64>>;
type Gauges = Family<Labels, Gauge<f64, AtomicU64>>;

/// All of it, as OpenMetrics.
///
/// # Errors
/// When it cannot be written, which memory does not do.
pub(super) fn write(usage: &Usage) -> Result<String, std::fmt::Error> {
    let mut registry = Registry::with_prefix("twilight");
    let answered = Gauges::default();
    for (what, has) in [("host", usage.host.is_some()), ("guests", usage.guests.is_some())] {
        set(&answered, &vec![("what", what.to_owned())], f64::from(u8::from(has)));
    }
    registry.register("answered", "Whether it said what it uses, 0 or 1", answered);
    if let Some(usage) = &usage.host {
        host(registry.sub_registry_with_prefix("host"), usage);
    }
    if let Some(guests) = &usage.guests {
        self::guests(registry.sub_registry_with_prefix("guest"), guests);
    }
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

fn host(registry: &mut Registry, usage: &HostUsage) {
    let (cpu, memory) = (Counters::default(), Gauges::default());
    let times = &usage.cpu;
    let modes = [
        ("user", times.user_s),
        ("system", times.system_s),
        ("wait", times.wait_s),
        ("idle", times.idle_s),
        ("steal", times.steal_s),
    ];
    for (mode, seconds) in modes {
        add(&cpu, &vec![("mode", mode.to_owned())], seconds);
    }
    let sizes = [("total", usage.memory.total), ("available", usage.memory.available)];
    for (state, bytes) in sizes {
        set(&memory, &vec![("state", state.to_owned())], bytes as f64);
    }
    registry.register_with_unit("cpu", "Where the time of all CPUs went", Unit::Seconds, cpu);
    registry.register_with_unit("memory", "Memory of the machine", Unit::Bytes, memory);
    let (mut disks, mut nics) = (Disks::default(), Nics::default());
    usage.disks.iter().for_each(|disk| disks.add(&[], disk));
    usage.nics.iter().for_each(|nic| nics.add(&[], nic));
    disks.register(registry);
    nics.register(registry);
}

fn guests(registry: &mut Registry, guests: &[GuestUsage]) {
    let (cpu, vcpus, memory) = (Counters::default(), Gauges::default(), Gauges::default());
    let (mut disks, mut nics) = (Disks::default(), Nics::default());
    for guest in guests {
        let own: Labels = vec![("instance", guest.instance.to_string())];
        add(&cpu, &own, guest.cpu_s);
        set(&vcpus, &own, guest.vcpus as f64);
        for (state, bytes) in [("given", guest.memory_bytes), ("resident", guest.resident_bytes)] {
            set(&memory, &with(&own, "state", state), bytes as f64);
        }
        guest.disks.iter().for_each(|disk| disks.add(&own, disk));
        guest.nics.iter().for_each(|nic| nics.add(&own, nic));
    }
    registry.register_with_unit(
        "cpu",
        "Time on CPUs of the host since the guest's start",
        Unit::Seconds,
        cpu,
    );
    registry.register("vcpus", "Virtual CPUs that the guest has", vcpus);
    registry.register_with_unit(
        "memory",
        "Memory that the guest has, and takes of the host",
        Unit::Bytes,
        memory,
    );
    disks.register(registry);
    nics.register(registry);
}

#[derive(Default)]
struct Disks {
    bytes: Counters,
    requests: Counters,
}

impl Disks {
    fn add(&mut self, of: &[(&'static str, String)], disk: &DiskUsage) {
        let own = with(of, "disk", &disk.name);
        for (way, bytes, requests) in
            [("read", disk.read_bytes, disk.reads), ("write", disk.written_bytes, disk.writes)]
        {
            let own = with(&own, "way", way);
            add(&self.bytes, &own, bytes as f64);
            add(&self.requests, &own, requests as f64);
        }
    }

    fn register(self, registry: &mut Registry) {
        registry.register_with_unit("disk", "Bytes read from and written to disks", Unit::Bytes, self.bytes);
        registry.register("disk_requests", "Requests to disks", self.requests);
    }
}

#[derive(Default)]
struct Nics {
    bytes: Counters,
    packets: Counters,
    errors: Counters,
    dropped: Counters,
}

impl Nics {
    fn add(&mut self, of: &[(&'static str, String)], nic: &NicUsage) {
        let own = with(of, "nic", &nic.name);
        for (way, Traffic { bytes, packets, errors, dropped }) in
            [("receive", nic.received), ("send", nic.sent)]
        {
            let own = with(&own, "way", way);
            let counts = [
                (&self.bytes, bytes),
                (&self.packets, packets),
                (&self.errors, errors),
                (&self.dropped, dropped),
            ];
            counts.into_iter().for_each(|(counters, count)| add(counters, &own, count as f64));
        }
    }

    fn register(self, registry: &mut Registry) {
        registry.register_with_unit("network", "Bytes received and sent", Unit::Bytes, self.bytes);
        registry.register("network_packets", "Packets received and sent", self.packets);
        registry.register("network_errors", "Packets that were broken", self.errors);
        registry.register("network_dropped", "Packets that were dropped", self.dropped);
    }
}

fn with(labels: &[(&'static str, String)], name: &'static str, value: &str) -> Labels {
    labels.iter().cloned().chain([(name, value.to_owned())]).collect()
}

fn add(counters: &Counters, labels: &Labels, value: f64) {
    counters.get_or_create(labels).inc_by(value);
}

fn set(gauges: &Gauges, labels: &Labels, value: f64) {
    gauges.get_or_create(labels).set(value);
}
