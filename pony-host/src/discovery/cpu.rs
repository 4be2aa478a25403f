//! The CPUs, and which memory is near them.

use crate::block::files;
use pony_core::host::{CpuFact, NumaNode};
use std::collections::BTreeSet;
use std::path::Path;

/// Most features that are told: CPUs of today have some 150.
const FEATURES_MAX: usize = 512;

/// Longest name of a model or a feature, characters.
const NAME_MAX: usize = 128;

const KIB_PER_MIB: i64 = 1024;

/// What the CPUs are. Machines have CPUs of one kind: the first speaks for all.
pub(super) fn cpu(root: &Path) -> CpuFact {
    let text = files::known(&root.join("proc/cpuinfo")).unwrap_or_default();
    let first = text.split("\n\n").next().unwrap_or_default();
    let value = |name: &str| {
        let line =
            first.lines().find_map(|line| Some(line.split_once(':')?).filter(|it| it.0.trim() == name));
        line.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    };
    let flags = value("flags").or_else(|| value("Features")).unwrap_or_default();
    let features: BTreeSet<String> = flags.split_whitespace().take(FEATURES_MAX).map(name).collect();
    let packages = topology(root, &["physical_package_id"]);
    CpuFact {
        model: value("model name").map(name),
        features: features.into_iter().collect(),
        sockets: count(&packages),
        cores: count(&topology(root, &["physical_package_id", "die_id", "core_id"])),
    }
}

fn name(text: &str) -> String {
    files::printable(text).chars().take(NAME_MAX).collect()
}

fn count(of: &BTreeSet<Vec<i64>>) -> Option<i64> {
    i64::try_from(of.len()).ok().filter(|count| *count > 0)
}

/// The different places that CPUs have, by these coordinates; one that the kernel does not know is 0.
fn topology(root: &Path, coordinates: &[&str]) -> BTreeSet<Vec<i64>> {
    let cpus = files::entries(&root.join("sys/devices/system/cpu")).unwrap_or_default();
    let places = cpus.iter().filter(|(name, _)| number_of(name, "cpu").is_some());
    let places = places.map(|(_, cpu)| cpu.join("topology")).filter(|topology| topology.exists());
    places
        .map(|topology| {
            coordinates.iter().map(|it| files::number(&topology.join(it)).unwrap_or_default()).collect()
        })
        .collect()
}

/// The nodes of a machine whose memory is not equally near to all CPUs (and of others: one).
pub(super) fn numa(root: &Path) -> Vec<NumaNode> {
    let nodes = files::entries(&root.join("sys/devices/system/node")).unwrap_or_default();
    let mut nodes: Vec<_> = nodes.iter().filter_map(|(name, dir)| node(name, dir)).collect();
    nodes.sort_by_key(|node| node.node);
    nodes
}

fn node(name: &str, dir: &Path) -> Option<NumaNode> {
    let node = number_of(name, "node")?;
    let meminfo = files::known(&dir.join("meminfo"))?;
    let total = meminfo.lines().find_map(|line| line.split_once("MemTotal:"))?.1;
    let kib: i64 = total.split_whitespace().next()?.parse().ok()?;
    let cpus = files::known(&dir.join("cpulist")).unwrap_or_default();
    Some(NumaNode { node, cpus, mem: kib / KIB_PER_MIB })
}

/// The number in `node0`, `cpu12`.
fn number_of(name: &str, kind: &str) -> Option<i64> {
    name.strip_prefix(kind)?.parse().ok()
}
