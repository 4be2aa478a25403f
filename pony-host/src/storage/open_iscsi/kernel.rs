//! What the kernel says of its sessions, and of their disks. Only `/sys` is read: nothing here waits for a target.

use super::record::pool_of;
use crate::block::files;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// What `/sys` counts sizes in, bytes.
const SECTOR: u64 = 512;

/// A session that is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct KernelSession {
    /// Its number, as the tool has it.
    pub(super) number: u32,
    /// The pool that it is for.
    pub(super) pool: Uuid,
    pub(super) target: String,
    /// Where it signed in, as far as the kernel says that.
    pub(super) address: Option<SocketAddr>,
    /// `LOGGED_IN`, `FAILED`, `FREE`.
    pub(super) state: String,
    /// The number of the SCSI host that it is, and of the target there.
    pub(super) host: u32,
    pub(super) target_number: u32,
    /// Where its devices are.
    dir: PathBuf,
}

/// A LUN of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KernelLun {
    pub(super) number: u64,
    pub(super) dir: PathBuf,
}

/// The disk that a LUN is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct KernelDisk {
    /// `major:minor`.
    pub(in super::super) number: String,
    pub(in super::super) bytes: u64,
    /// What the kernel thinks of it; all is well where it is `running`.
    pub(super) state: String,
    /// Whether something is mapped onto it.
    pub(super) is_held: bool,
}

/// Those of this host's pools.
pub(super) fn sessions(root: &Path) -> Vec<KernelSession> {
    let all = files::entries(&root.join("sys/class/iscsi_session")).unwrap_or_default();
    all.iter().filter_map(|(name, class)| session(name, class)).collect()
}

fn session(name: &str, class: &Path) -> Option<KernelSession> {
    let pool = pool_of(&files::known(&class.join("ifacename"))?)?;
    let dir = class.join("device").canonicalize().ok()?;
    let host = dir.parent()?.file_name()?.to_str()?.strip_prefix("host")?.parse().ok()?;
    let target_number = files::number(&class.join("target_id")).and_then(|it| u32::try_from(it).ok());
    Some(KernelSession {
        number: name.strip_prefix("session")?.parse().ok()?,
        pool,
        target: files::known(&class.join("targetname"))?,
        address: address(&dir),
        state: files::printable(&files::known(&class.join("state")).unwrap_or_default()),
        host,
        target_number: target_number.unwrap_or_default(),
        dir,
    })
}

/// Where the connection of a session goes.
fn address(session: &Path) -> Option<SocketAddr> {
    let is_connection = |name: &str| name.starts_with("connection");
    let (name, dir) = files::entries(session).ok()?.into_iter().find(|(name, _)| is_connection(name))?;
    let class = dir.join("iscsi_connection").join(name);
    let ip: IpAddr =
        files::known(&class.join("persistent_address"))?.trim_matches(['[', ']']).parse().ok()?;
    let port = files::number(&class.join("persistent_port"))?;
    Some(SocketAddr::new(ip, u16::try_from(port).ok()?))
}

impl KernelSession {
    pub(super) fn is_up(&self) -> bool {
        self.state == "LOGGED_IN"
    }

    /// The LUNs that it has found.
    pub(super) fn luns(&self) -> Vec<KernelLun> {
        let children = |dir: &Path| files::entries(dir).unwrap_or_default();
        let targets = children(&self.dir).into_iter().filter(|(name, _)| name.starts_with("target"));
        let devices = targets.flat_map(|(_, dir)| children(&dir));
        devices.filter_map(|(name, dir)| Some(KernelLun { number: lun_of(&name)?, dir })).collect()
    }

    pub(super) fn lun(&self, number: u8) -> Option<KernelLun> {
        self.luns().into_iter().find(|it| it.number == u64::from(number))
    }
}

/// `host:channel:target:LUN`.
fn lun_of(name: &str) -> Option<u64> {
    let numbers: Option<Vec<u64>> = name.split(':').map(|it| it.parse().ok()).collect();
    match numbers?[..] {
        [_, _, _, lun] => Some(lun),
        _ => None,
    }
}

impl KernelLun {
    /// Its disk, once the kernel has made it one.
    pub(super) fn disk(&self) -> Option<KernelDisk> {
        let (_, block) = files::entries(&self.dir.join("block")).ok()?.into_iter().next()?;
        let sectors = files::number(&block.join("size"))?;
        Some(KernelDisk {
            number: files::known(&block.join("dev"))?,
            bytes: sectors.unsigned_abs() * SECTOR,
            state: files::printable(&files::known(&self.dir.join("state")).unwrap_or_default()),
            is_held: files::entries(&block.join("holders")).is_ok_and(|it| !it.is_empty()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::interface;
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    /// A session as the kernel shows it, with these LUNs.
    fn put(root: &Path, number: u32, interface: &str, luns: &[u8]) {
        let device = root.join(format!("sys/devices/platform/host{number}/session{number}"));
        let class = device.join(format!("iscsi_session/session{number}"));
        let connection = device.join(format!("connection{number}:0/iscsi_connection/connection{number}:0"));
        for dir in [&class, &connection, &root.join("sys/class/iscsi_session")] {
            fs::create_dir_all(dir).unwrap();
        }
        let write =
            |dir: &Path, name: &str, text: &str| fs::write(dir.join(name), format!("{text}\n")).unwrap();
        write(&class, "ifacename", interface);
        write(&class, "targetname", "iqn.2026-01.test:a");
        write(&class, "state", "LOGGED_IN");
        write(&class, "target_id", "0");
        write(&connection, "persistent_address", "192.0.2.1");
        write(&connection, "persistent_port", "3260");
        symlink(&device, class.join("device")).unwrap();
        symlink(&class, root.join(format!("sys/class/iscsi_session/session{number}"))).unwrap();
        for lun in luns {
            let lun = device.join(format!("target{number}:0:0/{number}:0:0:{lun}"));
            let block = lun.join("block/sdx");
            fs::create_dir_all(block.join("holders")).unwrap();
            write(&lun, "state", "running");
            write(&block, "size", "49152");
            write(&block, "dev", "65:112");
        }
    }

    #[test]
    fn only_own_sessions_are_seen_with_their_disks() {
        let (root, pool) = (TempDir::new().unwrap(), Uuid::from_u128(5));
        assert_eq!(sessions(root.path()), []);
        put(root.path(), 3, "default", &[1]);
        put(root.path(), 12, &interface(pool), &[2, 255]);
        put(root.path(), 13, "pony-\u{1b}[2Jx", &[]);
        let found = sessions(root.path());
        let [session] = &found[..] else { panic!("{found:?}") };
        assert_eq!((session.number, session.host, session.pool), (12, 12, pool));
        assert_eq!(session.address, Some("192.0.2.1:3260".parse().unwrap()));
        assert!(session.is_up());
        assert_eq!(session.luns().iter().map(|it| it.number).collect::<Vec<_>>(), [2, 255]);
        assert_eq!(session.lun(1), None);
        let disk = session.lun(255).unwrap().disk().unwrap();
        assert_eq!((&*disk.number, disk.bytes, &*disk.state), ("65:112", 24 << 20, "running"));
        assert!(!disk.is_held);
        fs::create_dir(session.lun(2).unwrap().dir.join("block/sdx/holders/dm-0")).unwrap();
        assert!(session.lun(2).unwrap().disk().unwrap().is_held);
        fs::remove_dir_all(session.lun(2).unwrap().dir.join("block")).unwrap();
        assert_eq!(session.lun(2).unwrap().disk(), None);
    }

    #[test]
    fn luns_are_told_by_the_last_of_four_numbers() {
        assert_eq!(lun_of("2:0:0:17"), Some(17));
        for other in ["power", "uevent", "2:0:0", "2:0:0:1:5", "2:0:0:x", ""] {
            assert_eq!(lun_of(other), None, "{other}");
        }
    }
}
