//! Bytes and MiB, and the bounds of what a volume may be.

use super::error::StorageError;

/// Bytes in a MiB.
pub(super) const MIB: u64 = 1 << 20;

/// The largest volume that is believed, MiB (64 TiB): a larger one is a mistake or an attack. It is also what
/// QEMU can address in qcow2 with clusters of 64 KiB and the L1 table that it accepts.
pub(super) const VOLUME_MAX_MIB: u64 = 64 << 20;

/// The unit of a disk, bytes: whatever is no multiple of it is not one.
pub(super) const SECTOR: u64 = 512;

/// Rounded up.
pub(super) fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(MIB)
}

/// The same as facts have it.
pub(super) fn fact_mib(bytes: u64) -> i64 {
    i64::try_from(mib(bytes)).unwrap_or(i64::MAX)
}

/// An ordered size in bytes, where there is one.
pub(super) fn ordered_bytes(size_mib: Option<i64>) -> Result<Option<u64>, StorageError> {
    let Some(size_mib) = size_mib else { return Ok(None) };
    match u64::try_from(size_mib) {
        Ok(mib @ 1..=VOLUME_MAX_MIB) => Ok(Some(mib * MIB)),
        _ => Err(StorageError::Size { size_mib }),
    }
}

/// Refuses a source that does not fit into the ordered size.
pub(super) fn check_fits(source: u64, ordered: Option<u64>) -> Result<(), StorageError> {
    match ordered {
        Some(ordered) if source > ordered => {
            Err(StorageError::TooLarge { source_mib: mib(source), ordered_mib: mib(ordered) })
        }
        _ if source > VOLUME_MAX_MIB * MIB => Err(StorageError::Absurd { source_mib: mib(source) }),
        _ => Ok(()),
    }
}
