//! Signs in at targets and out of them, and has the kernel find disks and lose them.

use super::super::error::StorageError;
use super::super::idle::Setup;
use super::super::iscsi::Portal;
use super::super::mapper::Mapper;
use super::super::pool::is_missing;
use super::super::size::MIB;
use super::super::tool;
use super::kernel::{self, KernelDisk, KernelSession};
use super::record::{self, Record, interface};
use pony_core::host::IscsiPool;
use std::ffi::OsStr;
use std::fs;
use std::net::ToSocketAddrs as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How long the kernel may take to make a LUN a disk, or to see its new size.
const DISK_PATIENCE: Duration = Duration::from_secs(15);

/// How often is looked whether it has.
const LOOK: Duration = Duration::from_millis(20);

/// How a disk is that the kernel uses, and one that it has given up while its target did not answer in time: it does not
/// try that one again by itself, also where the target is back.
const RUNNING: &str = "running";
const GIVEN_UP: &str = "offline";

/// The package of the tool.
const PACKAGE: &str = "open-iscsi";

/// The sessions of this host's pools.
pub(in super::super) struct Sessions {
    /// Where open-iscsi has its records.
    records: PathBuf,
}

/// A pool, and what is needed to sign in for it.
pub(in super::super) struct Wanted<'a> {
    pub(in super::super) pool: Uuid,
    pub(in super::super) at: &'a IscsiPool,
    pub(in super::super) portal: Portal,
    pub(in super::super) secret: Option<&'a str>,
}

impl Sessions {
    pub(in super::super) fn of(records: &Path) -> Self {
        Self { records: records.to_owned() }
    }

    /// What this host calls itself. Its name is its own, other than that of emulators: a target takes two sessions of one name
    /// and the same number for one, and the kernels of all hosts number theirs alike.
    pub(in super::super) fn own_name(&self) -> Result<String, StorageError> {
        let path = self.records.join("initiatorname.iscsi");
        let text = match fs::read_to_string(&path) {
            Err(error) if is_missing(&error) => {
                return Err(StorageError::NoTool { tool: "iscsiadm", package: PACKAGE });
            }
            text => text.map_err(StorageError::io("read", &path))?,
        };
        let why = "has no line InitiatorName=iqn.…: write one, by iscsi-iname(8) for instance";
        initiator_name(&text).ok_or(StorageError::Pool { path, why })
    }

    /// The session of a pool, which it signs in for where there is none.
    pub(in super::super) fn sign_in(&self, wanted: &Wanted<'_>) -> Result<KernelSession, StorageError> {
        let mut found = self.find(wanted.pool);
        if found.as_ref().is_some_and(|it| !is_with(it, wanted.at)) {
            tracing::info!(pool = %wanted.pool, "the kernel is signed in at another target than is ordered");
            self.end(wanted.pool)?;
            found = None;
        }
        let record =
            Record { pool: wanted.pool, at: wanted.at, portal: wanted.portal, secret: wanted.secret };
        // Also where it is signed in: it may have to do so again.
        record.write(&self.records)?;
        if found.is_none() {
            self.log_in(&record)?;
            found = self.find(wanted.pool);
        }
        let wrong = |why: String| self.wrong(wanted.at, why);
        match found {
            Some(session) if session.is_up() => Ok(session),
            Some(session) => Err(wrong(format!(
                "has lost its session with this host's kernel (which is {}): it is signed in again as soon as the target \
                 lets it",
                session.state
            ))),
            None => Err(wrong("was signed in to, and the kernel has no session with it".into())),
        }
    }

    fn log_in(&self, record: &Record<'_>) -> Result<(), StorageError> {
        let (portal, interface) = (record.portal(), interface(record.pool));
        let args = ["-m", "node", "-T", &record.at.target, "-p", &portal, "-I", &interface, "--login"];
        let done = tool::run("iscsiadm", PACKAGE, args.map(OsStr::new));
        done.map(drop).map_err(|error| match error {
            StorageError::Tool { why, .. } => {
                self.wrong(record.at, format!("cannot be signed in to by this host's kernel: {why}"))
            }
            other => other,
        })
    }

    fn find(&self, pool: Uuid) -> Option<KernelSession> {
        kernel::sessions(Path::new("/")).into_iter().find(|it| it.pool == pool)
    }

    fn wrong(&self, at: &IscsiPool, why: String) -> StorageError {
        let server = format!("{} at {}", at.target, at.portal);
        StorageError::Server { what: "iSCSI target", server, why }
    }

    /// The disk that a LUN is, of at least so many bytes.
    pub(in super::super) fn disk(
        &self,
        (session, at): (&KernelSession, &IscsiPool),
        lun: u8,
        bytes: u64,
    ) -> Result<KernelDisk, StorageError> {
        let wrong = |why: String| self.wrong(at, format!("has LUN {lun}, {why}"));
        let seen = || session.lun(lun)?.disk();
        let found = match seen() {
            None => {
                self.scan(session, lun)?;
                wait_for(seen)
            }
            found => found,
        };
        let mut disk = found.ok_or_else(|| wrong("which this host's kernel does not see".into()))?;
        if disk.state == GIVEN_UP {
            self.tell(session, lun, "state", RUNNING)?;
            disk = seen().unwrap_or(disk);
        }
        if disk.state != RUNNING {
            return Err(wrong(format!("of which this host's kernel says that it is {}", disk.state)));
        }
        if disk.bytes >= bytes {
            return Ok(disk);
        }
        // It was made larger since the kernel looked.
        self.tell(session, lun, "rescan", "1")?;
        wait_for(|| seen().filter(|it| it.bytes >= bytes)).ok_or_else(|| {
            wrong(format!("of which this host's kernel sees {} of {} MiB", disk.bytes / MIB, bytes / MIB))
        })
    }

    /// Tells the kernel something of a LUN that it has.
    fn tell(
        &self,
        session: &KernelSession,
        lun: u8,
        attribute: &str,
        text: &str,
    ) -> Result<(), StorageError> {
        session.lun(lun).map_or(Ok(()), |it| tell_kernel(&it.dir.join(attribute), text))
    }

    fn scan(&self, session: &KernelSession, lun: u8) -> Result<(), StorageError> {
        let scan = PathBuf::from(format!("/sys/class/scsi_host/host{}/scan", session.host));
        tell_kernel(&scan, &format!("0 {} {lun}", session.target_number))
    }

    /// Has the kernel lose the disks that nothing is mapped onto: they are found again when they are asked for.
    pub(in super::super) fn let_go(&self, session: &KernelSession) -> Result<(), StorageError> {
        let is_idle = |it: &kernel::KernelLun| it.disk().is_none_or(|disk| !disk.is_held);
        for lun in session.luns().into_iter().filter(is_idle) {
            tell_kernel(&lun.dir.join("delete"), "1")?;
        }
        Ok(())
    }

    fn log_out(&self, session: &KernelSession) -> Result<(), StorageError> {
        if session.is_up() {
            // The kernel itself would be at it for long, and at times for ever.
            self.let_go(session)?;
        }
        let number = session.number.to_string();
        let args = ["-m", "session", "-r", &number, "--logout"];
        tool::run("iscsiadm", PACKAGE, args.map(OsStr::new)).map(drop)
    }
}

impl Setup for Sessions {
    const WHAT: &'static str = "a session with an iSCSI target";

    fn pools(&self) -> Vec<Uuid> {
        kernel::sessions(Path::new("/")).iter().map(|it| it.pool).collect()
    }

    /// Takes the mappings of the pool away, which those that are open withstand, and signs out.
    fn end(&self, pool: Uuid) -> Result<bool, StorageError> {
        let Some(session) = self.find(pool) else { return Ok(false) };
        let mapper = Mapper::of(pool);
        for mapping in mapper.list()? {
            mapper.remove_if_there(&mapping.name)?;
        }
        self.log_out(&session)?;
        record::remove(&self.records, pool)?;
        Ok(true)
    }
}

/// Whether a session is with the target that is meant, where the portal is: of a portal that cannot be resolved just now, or
/// a kernel that does not say where it signed in, nothing is held against it.
fn is_with(session: &KernelSession, at: &IscsiPool) -> bool {
    let is_there = |address| at.portal.to_socket_addrs().map_or(true, |mut all| all.any(|it| it == address));
    session.target == at.target && session.address.is_none_or(is_there)
}

/// Writes a line to a file of `/sys`, in a process of its own: it may wait for a target.
fn tell_kernel(file: &Path, text: &str) -> Result<(), StorageError> {
    tool::feed("tee", "coreutils", [file.as_os_str()], format!("{text}\n").as_bytes()).map(drop)
}

fn wait_for<T>(look: impl Fn() -> Option<T>) -> Option<T> {
    let until = Instant::now() + DISK_PATIENCE;
    loop {
        match look() {
            None if Instant::now() < until => std::thread::sleep(LOOK),
            found => return found,
        }
    }
}

/// What a host calls itself, as open-iscsi's file says it.
fn initiator_name(text: &str) -> Option<String> {
    let name = |line: &str| Some(line.trim().strip_prefix("InitiatorName=")?.trim().to_owned());
    text.lines().find_map(name).filter(|it| !it.is_empty() && it.chars().all(|c| c.is_ascii_graphic()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_called_as_open_iscsi_says() {
        let file = "## DO NOT EDIT\n# InitiatorName=iqn.none\nInitiatorName=iqn.2026-01.test:host \n";
        assert_eq!(initiator_name(file).as_deref(), Some("iqn.2026-01.test:host"));
        for none in ["", "GenerateName=yes\n", "InitiatorName=\n", "InitiatorName=a b\n"] {
            assert_eq!(initiator_name(none), None, "{none}");
        }
        let dir = tempfile::tempdir().unwrap();
        let said = Sessions::of(dir.path()).own_name().unwrap_err().to_string();
        assert!(said.contains("package open-iscsi"), "{said}");
    }
}
