//! Words for the person who ordered something.

use crate::host::{DiskSpec, InstanceSpec, NicSpec};
use uuid::Uuid;

/// A fraction as a percentage.
pub(super) fn percent(fraction: f64) -> String {
    format!("{:.0} %", (fraction * 100.0).floor())
}

/// What a running guest has and what the next start gives it, where that differs.
pub(in crate::agent) fn live_differences(live: &InstanceSpec, next: &InstanceSpec) -> Option<String> {
    let mut parts = Vec::new();
    let mut compare = |what: &str, live: String, next: String| {
        if live != next {
            parts.push(format!("{what}: running with {live}, {next} after the next stop/start"));
        }
    };
    compare("vcpu", live.vcpu.to_string(), next.vcpu.to_string());
    compare("rcpu", rcpu(live), rcpu(next));
    compare("mem", live.mem_mib.to_string(), next.mem_mib.to_string());
    compare("boot", word(live.boot), word(next.boot));
    compare("firmware", word(live.firmware), word(next.firmware));
    compare("cpu", cpu(live), cpu(next));
    compare("disks", disks(&live.disks), disks(&next.disks));
    compare("network cards", nics(&live.nics), nics(&next.nics));
    compare("name", live.name.clone(), next.name.clone());
    compare("disc with what it is told", disc(live), disc(next));
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn word(value: impl std::fmt::Debug) -> String {
    format!("{value:?}").to_lowercase()
}

fn cpu(spec: &InstanceSpec) -> String {
    spec.cpu.as_ref().map_or_else(
        || "the host's".to_owned(),
        |cpu| std::iter::once(&cpu.model).chain(&cpu.features).cloned().collect::<Vec<_>>().join("+"),
    )
}

fn disc(spec: &InstanceSpec) -> String {
    spec.seed.as_ref().map_or_else(|| "none".to_owned(), |seed| format!("{:016x}", seed.stamp()))
}

fn rcpu(spec: &InstanceSpec) -> String {
    (f64::from(spec.cpu_percent) / 100.0).to_string()
}

fn disks(disks: &[DiskSpec]) -> String {
    list(disks.iter().map(|d| (d.index, d.vdisk)))
}

fn nics(nics: &[NicSpec]) -> String {
    list(nics.iter().map(|n| (n.index, n.vnic)))
}

fn list(things: impl Iterator<Item = (u32, Uuid)>) -> String {
    let words: Vec<String> = things.map(|(index, uuid)| format!("{index} = {uuid}")).collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}
