//! What the machine has used, from `/proc` and `/sys`.

use crate::block::files;
use crate::{CpuTime, DiskUsage, HostUsage, MemoryUsage, NicUsage, Traffic};
use pony_core::host::{DiskFact, NicFact};
use std::io;
use std::path::Path;

/// `/proc/stat` counts in these, whatever the kernel's own clock does (`USER_HZ`).
const TICKS_PER_S: f64 = 100.0;

/// `/sys/block/*/stat` counts these, whatever the disk's own sectors are. Bytes.
const SECTOR: u64 = 512;

const KIB: u64 = 1024;

/// Of the machine, with its disks and cards.
pub(super) fn usage(root: &Path, disks: &[DiskFact], nics: &[NicFact]) -> io::Result<HostUsage> {
    Ok(HostUsage {
        cpu: cpu(root)?,
        memory: memory(root)?,
        disks: disks.iter().filter_map(|it| disk(root, &it.link_name)).collect(),
        nics: nics.iter().map(|it| nic(root, &it.link_name)).collect(),
    })
}

fn cpu(root: &Path) -> io::Result<CpuTime> {
    let text = files::read(&root.join("proc/stat"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("cpu ")).unwrap_or_default();
    let ticks: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let of =
        |places: &[usize]| places.iter().filter_map(|place| ticks.get(*place)).sum::<f64>() / TICKS_PER_S;
    // Guests' time is in user's; interrupts are the kernel's.
    Ok(CpuTime {
        user_s: of(&[0, 1]),
        system_s: of(&[2, 5, 6]),
        idle_s: of(&[3]),
        wait_s: of(&[4]),
        steal_s: of(&[7]),
    })
}

fn memory(root: &Path) -> io::Result<MemoryUsage> {
    let text = files::read(&root.join("proc/meminfo"))?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
            .map(|kib| kib.saturating_mul(KIB))
    };
    let available = field("MemAvailable:").or_else(|| field("MemFree:"));
    Ok(MemoryUsage {
        total: field("MemTotal:").unwrap_or_default(),
        available: available.unwrap_or_default(),
    })
}

/// One that goes away while it is read is none.
fn disk(root: &Path, name: &str) -> Option<DiskUsage> {
    let text = files::known(&root.join("sys/block").join(name).join("stat"))?;
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let number = |place: usize| numbers.get(place).copied().unwrap_or_default();
    Some(DiskUsage {
        name: name.to_owned(),
        read_bytes: number(2).saturating_mul(SECTOR),
        written_bytes: number(6).saturating_mul(SECTOR),
        reads: number(0),
        writes: number(4),
    })
}

fn nic(root: &Path, name: &str) -> NicUsage {
    let dir = root.join("sys/class/net").join(name).join("statistics");
    let number = |what: String| files::number(&dir.join(what)).and_then(|it| u64::try_from(it).ok());
    let traffic = |way: &str| {
        let of = |what: &str| number(format!("{way}_{what}")).unwrap_or_default();
        Traffic { bytes: of("bytes"), packets: of("packets"), errors: of("errors"), dropped: of("dropped") }
    };
    NicUsage { name: name.to_owned(), received: traffic("rx"), sent: traffic("tx") }
}
