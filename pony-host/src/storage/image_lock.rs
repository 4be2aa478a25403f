//! QEMU's image locks, as far as a reader needs them: nobody may write while a volume is copied.
//!
//! QEMU locks single bytes of an image (open file description locks): byte 100 + n says "I do n", byte 200 + n
//! "nobody else may do n", where n is 0 to read consistently, 1 to write, 3 to resize (QEMU's
//! `block/file-posix.c`). A guest that is started on a volume that is being copied is refused by its emulator.

use super::error::StorageError;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use std::fs::File;
use std::path::Path;

const DOES: i64 = 100;
const FORBIDS: i64 = 200;
const READ: i64 = 0;
const WRITE: i64 = 1;
const RESIZE: i64 = 3;

/// Locks an image for reading, for as long as the file is open.
pub(super) fn for_reading(file: &File, path: &Path) -> Result<(), StorageError> {
    for byte in [DOES + READ, FORBIDS + WRITE, FORBIDS + RESIZE] {
        match fcntl(file, FcntlArg::F_OFD_SETLK(&lock(libc::F_RDLCK, byte))) {
            Ok(_) => {}
            Err(Errno::EAGAIN | Errno::EACCES) => return Err(in_use(path)),
            // A file system without locks: QEMU does without them there, too.
            Err(Errno::EINVAL | Errno::ENOLCK | Errno::EOPNOTSUPP | Errno::ENOSYS) => return Ok(()),
            Err(errno) => return Err(StorageError::io("lock", path)(errno.into())),
        }
    }
    for byte in [FORBIDS + READ, DOES + WRITE, DOES + RESIZE] {
        let mut held = lock(libc::F_WRLCK, byte);
        fcntl(file, FcntlArg::F_OFD_GETLK(&mut held))
            .map_err(|e| StorageError::io("lock", path)(e.into()))?;
        if i32::from(held.l_type) != libc::F_UNLCK {
            return Err(in_use(path));
        }
    }
    Ok(())
}

fn in_use(path: &Path) -> StorageError {
    StorageError::InUse { path: path.to_owned() }
}

fn lock(kind: i32, byte: i64) -> libc::flock {
    libc::flock { l_type: kind as i16, l_whence: libc::SEEK_SET as i16, l_start: byte, l_len: 1, l_pid: 0 }
}
