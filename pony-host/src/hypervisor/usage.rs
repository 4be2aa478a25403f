//! What guests have used: from libvirt's statistics, which come as one list of names and values for each.

use super::ffi::{Stat, Stats};
use crate::{DiskUsage, GuestUsage, NicUsage, Traffic};
use uuid::Uuid;

const KIB: u64 = 1024;
const NS_PER_S: f64 = 1e9;

/// Most disks, and most cards, of one guest that are told of.
const DEVICES_MAX: u64 = 64;

/// Of one guest.
pub(super) fn usage(instance: Uuid, stats: &Stats) -> GuestUsage {
    let devices = |kind: &str| 0..number(stats, &format!("{kind}.count")).min(DEVICES_MAX);
    GuestUsage {
        instance,
        cpu_s: number(stats, "cpu.time") as f64 / NS_PER_S,
        vcpus: number(stats, "vcpu.current"),
        memory_bytes: number(stats, "balloon.current").saturating_mul(KIB),
        resident_bytes: number(stats, "balloon.rss").saturating_mul(KIB),
        disks: devices("block").map(|place| disk(stats, place)).collect(),
        nics: devices("net").map(|place| nic(stats, place)).collect(),
    }
}

fn number(stats: &Stats, name: &str) -> u64 {
    match stats.get(name) {
        Some(Stat::Number(number)) => *number,
        _ => 0,
    }
}

fn text(stats: &Stats, name: &str) -> String {
    match stats.get(name) {
        Some(Stat::Text(text)) => text.clone(),
        _ => String::new(),
    }
}

fn disk(stats: &Stats, place: u64) -> DiskUsage {
    let of = |what: &str| number(stats, &format!("block.{place}.{what}"));
    DiskUsage {
        name: text(stats, &format!("block.{place}.name")),
        read_bytes: of("rd.bytes"),
        written_bytes: of("wr.bytes"),
        reads: of("rd.reqs"),
        writes: of("wr.reqs"),
    }
}

/// libvirt counts as the guest does: what the tap sends, the guest receives.
fn nic(stats: &Stats, place: u64) -> NicUsage {
    let traffic = |way: &str| {
        let of = |what: &str| number(stats, &format!("net.{place}.{way}.{what}"));
        Traffic { bytes: of("bytes"), packets: of("pkts"), errors: of("errs"), dropped: of("drop") }
    };
    let name = text(stats, &format!("net.{place}.name"));
    NicUsage { name, received: traffic("rx"), sent: traffic("tx") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_names_becomes_a_guest() {
        let numbers = [
            ("cpu.time", 2_500_000_000),
            ("vcpu.current", 2),
            ("balloon.current", 1024),
            ("block.count", 1),
            ("block.0.rd.bytes", 7),
            ("net.count", 1_000_000),
            ("net.0.rx.pkts", 3),
        ];
        let mut stats: Stats =
            numbers.into_iter().map(|(name, it)| (name.to_owned(), Stat::Number(it))).collect();
        stats.insert("block.0.name".into(), Stat::Text("vda".into()));
        let usage = usage(Uuid::nil(), &stats);
        assert_eq!((usage.cpu_s, usage.vcpus, usage.memory_bytes), (2.5, 2, 1 << 20));
        assert_eq!((usage.disks[0].name.as_str(), usage.disks[0].read_bytes), ("vda", 7));
        assert_eq!((usage.nics[0].received.packets, usage.nics.len()), (3, 64), "no count is believed");
    }
}
