//! Copies files on this host: by sharing their blocks where the file system can, with their holes, and so that it
//! can be called off.

use super::attempt::Attempt;
use super::error::{StorageError, is_full};
use super::pool::free_bytes;
use super::size::{MIB, mib};
use nix::errno::Errno;
use nix::fcntl::{PosixFadviseAdvice, copy_file_range, posix_fadvise};
use nix::sys::statfs::{BTRFS_SUPER_MAGIC, XFS_SUPER_MAGIC, fstatfs};
use nix::unistd::{Whence, lseek};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Bytes copied between two looks at whether it is still wanted: within 100 ms on a disk of 40 MB/s.
const CHUNK: u64 = 4 * MIB;

/// The same where blocks are shared, which takes no time: so fast that nothing is really copied.
const SHARED_CHUNK: u64 = 1024 * MIB;
const SHARED: Duration = Duration::from_micros(500);

/// Bytes after which the disk is told to begin writing, so that it does not have all of it to do at the end.
const WRITE_OUT: u64 = 32 * MIB;

/// Bytes that pass through memory at once, where the kernel cannot copy by itself.
const BUFFER: usize = 1 << 20;

/// Copies a file of `len` bytes into an empty one. `done` follows how far it came.
pub(super) fn copy(
    attempt: &Attempt,
    from: &File,
    to: &File,
    len: u64,
    done: &AtomicU64,
) -> Result<(), StorageError> {
    check_space(attempt, from, to)?;
    let failed = |error| failure(attempt, error, done.load(Ordering::Relaxed));
    let mut chunk = CHUNK;
    let (mut at, mut told) = (0, 0);
    while let Some((start, end)) = next_data(from, at, len).map_err(failed)? {
        at = start;
        while at < end {
            attempt.ticket.check()?;
            let began = Instant::now();
            let size = chunk.min(end - at);
            at += copy_some(from, to, at, size).map_err(failed)?;
            done.store(at, Ordering::Relaxed);
            if at - told >= WRITE_OUT {
                write_out(to, told, at - told);
                told = at;
            }
            let shared = size == chunk && began.elapsed() < SHARED;
            chunk = if shared { (chunk * 2).min(SHARED_CHUNK) } else { CHUNK };
        }
    }
    to.set_len(len).map_err(failed)?;
    done.store(len, Ordering::Relaxed);
    Ok(())
}

/// Has the kernel begin to write a part of a file, and forget it afterwards: a guest reads past this memory. It is
/// only advice.
fn write_out(file: &File, from: u64, len: u64) {
    let (from, len) = (from.cast_signed(), len.cast_signed());
    let _ = posix_fadvise(file, from, len, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
}

/// Refuses before anything is written what will not fit, unless the blocks may be shared.
fn check_space(attempt: &Attempt, from: &File, to: &File) -> Result<(), StorageError> {
    let path = &attempt.pool.path;
    let meta = from.metadata().map_err(StorageError::io("look at", path))?;
    let shares = is_btrfs(to) || fstatfs(to).is_ok_and(|fs| fs.filesystem_type() == XFS_SUPER_MAGIC);
    if shares && to.metadata().is_ok_and(|to| to.dev() == meta.dev()) || lies_in(from, path) && is_btrfs(to) {
        return Ok(());
    }
    check_free(path, meta.blocks() * 512)
}

fn is_btrfs(file: &File) -> bool {
    fstatfs(file).is_ok_and(|fs| fs.filesystem_type() == BTRFS_SUPER_MAGIC)
}

/// Whether an open file is of this pool. Subvolumes of one file system have device numbers of their own.
fn lies_in(file: &File, pool: &Path) -> bool {
    let path = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()));
    path.is_ok_and(|path| std::fs::canonicalize(pool).is_ok_and(|pool| path.starts_with(pool)))
}

/// Refuses what will not fit.
pub(super) fn check_free(path: &Path, need: u64) -> Result<(), StorageError> {
    let free = free_bytes(path)?;
    if need <= free {
        return Ok(());
    }
    Err(StorageError::NoSpace { path: path.to_owned(), need_mib: mib(need), free_mib: free / MIB })
}

/// What to say of a failed write in a pool.
pub(super) fn failure(attempt: &Attempt, error: io::Error, done: u64) -> StorageError {
    let path = attempt.pool.path.clone();
    if is_full(&error) {
        let free_mib = free_bytes(&path).unwrap_or(0) / MIB;
        return StorageError::Full { path, done_mib: done / MIB, free_mib };
    }
    StorageError::Io { step: "write into", path, source: error }
}

/// The next stretch of data at or behind an offset. What lies between is a hole.
fn next_data(file: &File, at: u64, len: u64) -> io::Result<Option<(u64, u64)>> {
    let seek = |at: u64, whence| lseek(file, at as i64, whence).map(|found| found as u64);
    if at >= len {
        return Ok(None);
    }
    match seek(at, Whence::SeekData) {
        Ok(start) if start >= len => Ok(None),
        Ok(start) => Ok(Some((start, seek(start, Whence::SeekHole)?.min(len)))),
        Err(Errno::ENXIO) => Ok(None),
        // A file system that knows no holes.
        Err(Errno::EINVAL) => Ok(Some((at, len))),
        Err(errno) => Err(errno.into()),
    }
}

/// Copies some bytes at an offset; at least one.
fn copy_some(from: &File, to: &File, at: u64, size: u64) -> io::Result<u64> {
    let (mut read_at, mut write_at) = (at as i64, at as i64);
    match copy_file_range(from, Some(&mut read_at), to, Some(&mut write_at), size as usize) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(copied) => Ok(copied as u64),
        Err(Errno::EXDEV | Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP) => {
            copy_through_memory(from, to, at, size)
        }
        Err(errno) => Err(errno.into()),
    }
}

fn copy_through_memory(from: &File, to: &File, at: u64, size: u64) -> io::Result<u64> {
    let mut buffer = vec![0; BUFFER.min(size as usize)];
    let read = from.read_at(&mut buffer, at)?;
    if read == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    to.write_all_at(&buffer[..read], at)?;
    Ok(read as u64)
}
