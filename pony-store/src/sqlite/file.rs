//! The file itself: made for its owner only, and held by one process at a time. The lock is on a file beside
//! the database: SQLite's own locks on the database vanish when anything in the process closes that file.

use crate::error::OpenError;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The owner's alone: desired state holds password hashes.
const FILE_MODE: u32 = 0o600;
/// The same for its directory.
const DIRECTORY_MODE: u32 = 0o700;

/// Makes the file and its directory where they are missing.
pub(super) fn create(path: &Path) -> Result<(), OpenError> {
    let wrong = |source| OpenError::File { doing: "created", path: path.to_owned(), source };
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent
        && !parent.exists()
    {
        DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(parent).map_err(wrong)?;
    }
    open(path).map_err(wrong)?;
    // The name is durable only once the directory is.
    File::open(parent.unwrap_or(Path::new("."))).and_then(|parent| parent.sync_all()).map_err(wrong)
}

/// The file is there and is not empty.
pub(super) fn require(path: &Path) -> Result<(), OpenError> {
    match path.metadata() {
        Ok(metadata) if metadata.len() > 0 => Ok(()),
        Ok(_) => Err(OpenError::Absent(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(OpenError::Absent(path.to_owned())),
        Err(source) => Err(OpenError::File { doing: "opened", path: path.to_owned(), source }),
    }
}

/// The file may be written. SQLite would open it for reading, and complain only at the first write. To be asked
/// before SQLite has the file open, whose locks closing it here would undo.
pub(super) fn require_writable(path: &Path) -> Result<(), OpenError> {
    let opened = OpenOptions::new().write(true).open(path);
    opened.map(drop).map_err(|source| OpenError::File { doing: "written", path: path.to_owned(), source })
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(FILE_MODE).open(path)
}

/// The right to use a database, until it is dropped or the process ends.
#[derive(Debug)]
pub(super) struct FileLock {
    file: File,
}

impl FileLock {
    /// Takes it, or says who cannot have it.
    pub(super) fn take(path: &Path) -> Result<Self, OpenError> {
        let mut lock = path.as_os_str().to_owned();
        lock.push(".lock");
        let lock = PathBuf::from(lock);
        let wrong = |source| OpenError::File { doing: "locked", path: lock.clone(), source };
        let file = open(&lock).map_err(wrong)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_owned(), lock }),
            Err(TryLockError::Error(source)) => Err(wrong(source)),
        }
    }
}

impl Drop for FileLock {
    /// Closing alone is not enough: a process that is just being started from this one holds a copy of the
    /// descriptor for a moment, and the lock with it.
    fn drop(&mut self) {
        if let Err(error) = self.file.unlock() {
            tracing::warn!(%error, "the lock of a database could not be let go of");
        }
    }
}
