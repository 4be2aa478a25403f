//! Whether the disks that a file system lies on are still there. It answers for a while out of memory after its disk
//! was pulled; guests would lose what they write. Asks `/sys` only: no I/O that could hang.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// How deep devices may lie on each other (partitions, RAID, device mapper, LVM, encryption…).
const DEPTH_MAX: usize = 16;

/// What the kernel calls a disk that it has given up, or that was taken away.
const LOST: [&str; 6] = ["offline", "transport-offline", "deleted", "cancel", "dead", "deleting"];

/// What of the disks beneath a directory is lost, in words; `None` where all is well, or nobody can tell (a file
/// system of another machine).
pub(super) fn lost(path: &Path) -> Option<String> {
    let sys = Path::new("/sys");
    if !sys.join("dev/block").exists() {
        return None;
    }
    devices(sys, path).iter().find_map(|device| lost_device(device, DEPTH_MAX))
}

/// The directories in `/sys` of what the file system lies on directly; they are not there when the device is not.
fn devices(sys: &Path, path: &Path) -> Vec<PathBuf> {
    let Ok(device) = fs::metadata(path).map(|meta| meta.dev()) else { return Vec::new() };
    let (major, minor) = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
    if major != 0 {
        return vec![sys.join(format!("dev/block/{major}:{minor}"))];
    }
    // Btrfs has several, and no number of its own.
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let Some(source) = path.canonicalize().ok().and_then(|path| btrfs_source(&mounts, &path)) else {
        return Vec::new();
    };
    let Some(name) = Path::new(&source).file_name() else { return Vec::new() };
    let all = fs::read_dir(sys.join("fs/btrfs")).into_iter().flatten().flatten();
    let together =
        all.map(|it| it.path().join("devices")).find(|it| it.join(name).symlink_metadata().is_ok());
    match together {
        Some(devices) => entries(&devices),
        None => vec![sys.join("class/block").join(name)],
    }
}

/// The device from which the Btrfs file system is mounted that a path lies on.
fn btrfs_source(mounts: &str, path: &Path) -> Option<String> {
    let mount = |line: &str| {
        let (front, back) = line.split_once(" - ")?;
        let at = PathBuf::from(front.split(' ').nth(4)?.replace("\\040", " "));
        let mut back = back.split(' ');
        let kind = (back.next()? == "btrfs").then(|| back.next().map(str::to_owned));
        path.starts_with(&at).then_some((at.components().count(), kind))
    };
    // Of several mounts at one place the last is on top.
    mounts.lines().filter_map(mount).max_by_key(|(depth, _)| *depth)?.1?
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn lost_device(device: &Path, depth: usize) -> Option<String> {
    let Ok(place) = device.canonicalize() else {
        let name = device.file_name().unwrap_or_default().to_string_lossy();
        return Some(format!("its disk {name} is gone"));
    };
    // A partition lies in its disk.
    let disk = if place.join("partition").exists() { place.parent().unwrap_or(&place) } else { &place };
    let state = fs::read_to_string(disk.join("device/state")).unwrap_or_default();
    if LOST.contains(&state.trim()) {
        let name = disk.file_name().unwrap_or_default().to_string_lossy();
        return Some(format!("its disk {name} is {}", state.trim()));
    }
    let below = depth.checked_sub(1)?;
    entries(&place.join("slaves")).iter().find_map(|device| lost_device(device, below))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    fn disk(root: &Path, name: &str, state: &str) -> PathBuf {
        let block = root.join(name);
        fs::create_dir_all(block.join("device")).unwrap();
        fs::write(block.join("device/state"), format!("{state}\n")).unwrap();
        block
    }

    #[test]
    fn what_lies_on_several_needs_them_all() {
        let root = TempDir::new().unwrap();
        let (a, b) = (disk(root.path(), "sda", "running"), disk(root.path(), "sdb", "running"));
        let mapped = root.path().join("dm-0");
        fs::create_dir_all(mapped.join("slaves")).unwrap();
        fs::create_dir_all(a.join("sda1")).unwrap();
        fs::write(a.join("sda1/partition"), "1\n").unwrap();
        symlink(a.join("sda1"), mapped.join("slaves/sda1")).unwrap();
        symlink(&b, mapped.join("slaves/sdb")).unwrap();
        assert_eq!(lost_device(&mapped, DEPTH_MAX), None);
        disk(root.path(), "sda", "offline");
        assert_eq!(lost_device(&mapped, DEPTH_MAX).unwrap(), "its disk sda is offline");
        disk(root.path(), "sda", "running");
        fs::remove_dir_all(&b).unwrap();
        assert_eq!(lost_device(&mapped, DEPTH_MAX).unwrap(), "its disk sdb is gone");
    }

    #[test]
    fn knows_what_btrfs_is_mounted_from() {
        let mounts = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                      30 22 0:31 /@pool /srv/my\\040pool rw,noatime shared:1 - btrfs /dev/sdb rw,subvol=/@pool\n\
                      31 30 0:40 / /srv/my\\040pool/nfs rw - nfs4 server:/x rw\n";
        let source = |path: &str| btrfs_source(mounts, Path::new(path));
        assert_eq!(source("/srv/my pool/volumes").as_deref(), Some("/dev/sdb"));
        assert_eq!(source("/srv/my pool/nfs/a"), None);
        assert_eq!(source("/srv"), None);
    }

    #[test]
    fn says_nothing_of_what_is_there() {
        assert_eq!(lost(Path::new("/")), None);
        assert_eq!(lost(Path::new("/proc")), None);
        assert_eq!(lost(Path::new("/nonexistent")), None);
    }
}
