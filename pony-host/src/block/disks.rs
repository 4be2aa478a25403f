//! The disks: block devices that have a device behind them, without removable drives of other kinds.

use super::files;
use super::udev::Udev;
use pony_core::host::{DiskFact, DiskTransport};
use std::collections::HashSet;
use std::io;
use std::path::Path;
use uuid::Uuid;

/// `/sys/block/*/size` counts these, whatever the disk's own sectors are. Bytes.
const SECTOR: i64 = 512;
const MIB: i64 = 1 << 20;

/// SCSI's number for what is a disk; 5 would be a CD-ROM.
const SCSI_DISK: i64 = 0;

/// Longest identity, characters: WWNs have 20 to 70.
const ID_MAX: usize = 128;

/// The disks. A disk that is reached over several paths is named once, by the first.
pub(crate) fn disks(root: &Path, machine: Uuid) -> io::Result<Vec<DiskFact>> {
    let mut seen = HashSet::new();
    let devices = files::entries(&root.join("sys/block"))?;
    let disks = devices.iter().filter_map(|(name, block)| disk(root, name, block, machine));
    Ok(disks.filter(|disk| seen.insert(disk.id.clone())).collect())
}

fn disk(root: &Path, name: &str, block: &Path, machine: Uuid) -> Option<DiskFact> {
    let device = block.join("device");
    let sectors = files::number(&block.join("size")).filter(|sectors| *sectors > 0)?;
    if !device.exists() || !is_disk(name, block) {
        return None;
    }
    let udev = Udev::of(root, block);
    let model = files::known(&device.join("model")).or_else(|| udev.get("ID_MODEL"));
    let model = model.map(|model| files::printable(&model));
    let serial =
        serial(block).or_else(|| udev.get("ID_SERIAL_SHORT").map(|serial| files::printable(&serial)));
    let wwn = wwn(block).or_else(|| udev.wwn().map(|wwn| identity(&wwn)));
    let id = wwn.or_else(|| serial.as_ref().map(|serial| by_serial(model.as_deref(), serial)));
    Some(DiskFact {
        // Nothing tells this disk from those of other machines: its place in this one does.
        id: id.unwrap_or_else(|| format!("host-{machine}-{name}")),
        transport: transport(block),
        link_name: name.to_owned(),
        size_mib: sectors.saturating_mul(SECTOR) / MIB,
        model,
        serial,
        fault: fault(&device),
        errors: errors(&device),
    })
}

/// What the devices are that it hangs on.
fn transport(block: &Path) -> DiskTransport {
    let path = block.canonicalize().unwrap_or_default();
    let mut names = path.components().map(|part| part.as_os_str().to_string_lossy());
    names
        .find_map(|name| match () {
            () if name.starts_with("rport-") => Some(DiskTransport::Fc),
            () if name.starts_with("session") => Some(DiskTransport::Iscsi),
            () => None,
        })
        .unwrap_or_default()
}

/// What the kernel thinks of it: it gives up disks that do not answer.
fn fault(device: &Path) -> Option<String> {
    let state = files::known(&device.join("state"))?;
    let usable = ["running", "live", "created", "new", "connecting", "resetting", "quiesce", "blocked"];
    (!usable.contains(&&*state)).then(|| format!("the kernel says that it is {}", files::printable(&state)))
}

/// SCSI's layer counts, in hexadecimal; others do not.
fn errors(device: &Path) -> Option<u64> {
    let count = files::known(&device.join("ioerr_cnt"))?;
    u64::from_str_radix(count.strip_prefix("0x")?, 16).ok()
}

/// Not a CD-ROM, a floppy, or a path hidden behind a multipath NVMe disk.
fn is_disk(name: &str, block: &Path) -> bool {
    let kind = files::number(&block.join("device/type")).unwrap_or(SCSI_DISK);
    let hidden = files::number(&block.join("hidden")) == Some(1);
    kind == SCSI_DISK && !hidden && !name.starts_with("fd") && !name.starts_with("sr")
}

fn wwn(block: &Path) -> Option<String> {
    let places = ["wwid", "device/wwid"];
    places.iter().find_map(|place| files::known(&block.join(place))).map(|id| identity(&id))
}

fn serial(block: &Path) -> Option<String> {
    let places = ["device/serial", "serial"];
    let plain = places.iter().find_map(|place| files::known(&block.join(place)));
    plain
        .or_else(|| page_80(block))
        .map(|serial| files::printable(&serial))
        .filter(|serial| !serial.is_empty())
}

/// The serial number in SCSI's page 80h: a header of four bytes, then text.
fn page_80(block: &Path) -> Option<String> {
    let page = std::fs::read(block.join("device/vpd_pg80")).ok()?;
    Some(
        String::from_utf8_lossy(page.get(4..)?).trim_matches(|c: char| c.is_whitespace() || c == '\0').into(),
    )
}

/// Makers number their disks, each its own way: the model keeps their numbers apart.
fn by_serial(model: Option<&str>, serial: &str) -> String {
    identity(&format!("{}_{serial}", model.unwrap_or("disk")))
}

fn identity(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    files::printable(&words.join("_")).chars().take(ID_MAX).collect()
}
