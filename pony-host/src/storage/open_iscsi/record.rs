//! What open-iscsi is told of a target. Its tool would take the secret of CHAP as an argument, which every process of the
//! host can read; so the records are written here: a file each, for root's eyes only, in the form of the tool's own.

use super::super::error::StorageError;
use super::super::iscsi::Portal;
use super::super::pool::is_missing;
use pony_core::host::IscsiPool;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// How long disks wait for a target that is away before what is read or written fails, seconds. For so long nothing that
/// has one open can be ended.
pub(super) const REPLACEMENT_S: u32 = 120;

/// How long one attempt at signing in may take, seconds.
const LOGIN_S: u32 = 15;

/// Longest secret that open-iscsi keeps whole, bytes.
const SECRET_MAX: usize = 255;

/// What sessions of pools are bound to is called so, before the pool's uuid.
const PREFIX: &str = "pony-";

/// What the sessions of a pool are bound to.
pub(super) fn interface(pool: Uuid) -> String {
    format!("{PREFIX}{pool}")
}

/// The pool that an interface is of, if it is one of this host's.
pub(super) fn pool_of(interface: &str) -> Option<Uuid> {
    let uuid = interface.strip_prefix(PREFIX)?;
    Uuid::try_parse(uuid).ok().filter(|it| it.to_string() == uuid)
}

/// The records of a pool: of its interface, and of its target.
pub(super) struct Record<'a> {
    pub(super) pool: Uuid,
    pub(super) at: &'a IscsiPool,
    pub(super) portal: Portal,
    /// That of the user, if there is one.
    pub(super) secret: Option<&'a str>,
}

impl Record<'_> {
    /// As the tool names the portal.
    pub(super) fn portal(&self) -> String {
        format!("{},{}", self.portal.address, self.portal.group)
    }

    /// Where the record of the target is.
    fn node(&self, root: &Path) -> PathBuf {
        let Portal { address, group } = self.portal;
        let portal = format!("{},{},{group}", address.ip(), address.port());
        root.join("nodes").join(&self.at.target).join(portal).join(interface(self.pool))
    }

    /// Writes both.
    pub(super) fn write(&self, root: &Path) -> Result<(), StorageError> {
        if let Some(why) = self.secret.and_then(objection) {
            return Err(StorageError::Secret { why: why.into() });
        }
        let bound = self.bound();
        put(root, &root.join("ifaces").join(interface(self.pool)), &bound)?;
        put(root, &self.node(root), &(bound + &self.target()))
    }

    /// What is said of the interface, in both records.
    fn bound(&self) -> String {
        format!("iface.iscsi_ifacename = {}\niface.transport_name = tcp\n", interface(self.pool))
    }

    fn target(&self) -> String {
        let Portal { address, group } = self.portal;
        let login = match (&self.at.login, self.secret) {
            (Some(login), Some(secret)) => format!(
                "node.session.auth.authmethod = CHAP\nnode.session.auth.username = {}\n\
                 node.session.auth.password = {secret}\n",
                login.user
            ),
            _ => "node.session.auth.authmethod = None\n".to_owned(),
        };
        format!(
            "node.name = {}\nnode.tpgt = {group}\nnode.startup = manual\nnode.leading_login = No\n\
             node.session.scan = manual\nnode.session.initial_login_retry_max = 1\n\
             node.session.timeo.replacement_timeout = {REPLACEMENT_S}\n{login}\
             node.conn[0].address = {}\nnode.conn[0].port = {}\nnode.conn[0].startup = manual\n\
             node.conn[0].timeo.login_timeout = {LOGIN_S}\n",
            self.at.target,
            address.ip(),
            address.port(),
        )
    }
}

/// Removes the records of a pool, whatever target they are about.
pub(super) fn remove(root: &Path, pool: Uuid) -> Result<(), StorageError> {
    let interface = interface(pool);
    for target in entries(&root.join("nodes"))? {
        for portal in entries(&target)? {
            // Others have records of theirs there, perhaps: the directories go once they are empty.
            if unlinked(&portal.join(&interface))? {
                let _ = fs::remove_dir(&portal).and_then(|()| fs::remove_dir(&target));
            }
        }
    }
    unlinked(&root.join("ifaces").join(&interface)).map(drop)
}

/// What is not kept whole, or as it is.
fn objection(secret: &str) -> Option<&'static str> {
    match secret {
        _ if secret.len() > SECRET_MAX => Some(
            "the secret of the pool's user is longer than the kernel's initiator takes: 255 bytes at most",
        ),
        _ if secret.trim() != secret => Some(
            "the secret of the pool's user begins or ends with a space, which the kernel's initiator does not take",
        ),
        _ => None,
    }
}

/// Writes a file where it does not hold that already: whole or not at all, and never seen by others.
fn put(root: &Path, path: &Path, text: &str) -> Result<(), StorageError> {
    let write = || {
        if fs::read(path).is_ok_and(|now| now == text.as_bytes()) {
            return Ok(());
        }
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        // Elsewhere: the tool takes each file beside it for a record.
        let new = root.join(format!(".{}.new", name.to_string_lossy()));
        unlink(&new)?;
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().map_err(StorageError::io("write", path))
}

fn unlink(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Err(error) if is_missing(&error) => Ok(false),
        removed => removed.map(|()| true),
    }
}

fn unlinked(path: &Path) -> Result<bool, StorageError> {
    unlink(path).map_err(StorageError::io("remove", path))
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>, StorageError> {
    match fs::read_dir(dir) {
        Err(error) if is_missing(&error) => Ok(Vec::new()),
        listing => {
            Ok(listing.map_err(StorageError::io("list", dir))?.flatten().map(|it| it.path()).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pony_core::host::{IscsiMode, Login};
    use std::os::unix::fs::PermissionsExt as _;

    fn pool() -> IscsiPool {
        IscsiPool {
            portal: "san:3260".into(),
            target: "iqn.2026-01.test:a".into(),
            luns: vec![1],
            login: Some(Login { user: "pony".into(), secret: "san".into() }),
            initiator: None,
            mode: IscsiMode::Host,
        }
    }

    fn record<'a>(at: &'a IscsiPool, address: &str, secret: Option<&'a str>) -> Record<'a> {
        let portal = Portal { address: address.parse().unwrap(), group: 7 };
        Record { pool: Uuid::from_u128(5), at, portal, secret }
    }

    #[test]
    fn records_are_for_nobody_elses_eyes_and_go_without_those_of_others() {
        let (dir, at) = (tempfile::tempdir().unwrap(), pool());
        let of_v6 = record(&at, "[fd00::1]:3261", Some("open sesame"));
        assert_eq!(of_v6.portal(), "[fd00::1]:3261,7");
        of_v6.write(dir.path()).unwrap();
        let portal = dir.path().join("nodes/iqn.2026-01.test:a/fd00::1,3261,7");
        let node = portal.join("pony-00000000-0000-0000-0000-000000000005");
        let text = fs::read_to_string(&node).unwrap();
        assert!(text.contains("node.session.auth.password = open sesame\n"), "{text}");
        assert!(
            text.contains("node.conn[0].address = fd00::1\n") && text.contains("scan = manual"),
            "{text}"
        );
        assert_eq!(fs::metadata(&node).unwrap().permissions().mode() & 0o777, 0o600);
        // Another secret, the next time.
        record(&at, "[fd00::1]:3261", Some("another")).write(dir.path()).unwrap();
        assert!(!fs::read_to_string(&node).unwrap().contains("sesame"));
        fs::write(portal.join("default"), "an administrator's").unwrap();
        remove(dir.path(), Uuid::from_u128(6)).unwrap();
        assert!(node.exists());
        remove(dir.path(), Uuid::from_u128(5)).unwrap();
        assert_eq!(entries(&portal).unwrap(), [portal.join("default")]);
        fs::remove_file(portal.join("default")).unwrap();
        record(&at, "192.0.2.1:3260", None).write(dir.path()).unwrap();
        let portal = dir.path().join("nodes/iqn.2026-01.test:a/192.0.2.1,3260,7");
        assert_eq!(entries(&portal).unwrap().len(), 1);
        remove(dir.path(), Uuid::from_u128(5)).unwrap();
        assert!(!portal.exists());
        assert!(entries(&dir.path().join("ifaces")).unwrap().is_empty());
    }

    #[test]
    fn secrets_that_would_not_be_kept_whole_are_refused() {
        let (dir, at) = (tempfile::tempdir().unwrap(), pool());
        for secret in [" sesame", "sesame ", &"a".repeat(256)] {
            let said = record(&at, "192.0.2.1:1", Some(secret)).write(dir.path()).unwrap_err().to_string();
            assert!(said.contains("secret of the pool's user") && !said.contains(secret), "{said}");
        }
        assert!(entries(dir.path()).unwrap().is_empty());
    }

    #[test]
    fn interfaces_tell_whose_a_session_is() {
        let pool = Uuid::from_u128(5);
        assert_eq!(pool_of(&interface(pool)), Some(pool));
        for other in ["default", "pony-", "pony-5", "pony-00000000000000000000000000000005", "iser"] {
            assert_eq!(pool_of(other), None, "{other}");
        }
    }
}
