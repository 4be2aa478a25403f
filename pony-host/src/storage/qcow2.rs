//! The header of a qcow2 image, as far as one must know it before letting QEMU open the file, and for the size.
//!
//! Layout: QEMU's `docs/interop/qcow2.txt`. Everything is big-endian.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// `QFI` and a byte.
pub(super) const MAGIC: [u8; 4] = *b"QFI\xfb";

/// Bytes of the header that are looked at: to the end of `incompatible_features`.
const LOOKED_AT: usize = 80;

/// Incompatible features by bit: that it was not closed well, a compression type, extended L2 entries.
const HARMLESS: u64 = 1 | 1 << 3 | 1 << 4;
const CORRUPT: u64 = 1 << 1;
const DATA_FILE: u64 = 1 << 2;

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Bytes.
    pub(super) virtual_size: u64,
    backing_file: u64,
    encryption: u32,
    incompatible: u64,
}

impl Header {
    /// Reads the header of a file. `None`: it does not begin with one that makes sense.
    pub(super) fn read(file: &File) -> io::Result<Option<Self>> {
        let mut bytes = [0; LOOKED_AT];
        match file.read_exact_at(&mut bytes, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
            Ok(()) => Ok(Self::parse(&bytes)),
        }
    }

    fn parse(bytes: &[u8; LOOKED_AT]) -> Option<Self> {
        let version = u32_at(bytes, 4);
        if bytes[..4] != MAGIC || !matches!(version, 2 | 3) {
            return None;
        }
        Some(Self {
            backing_file: u64_at(bytes, 8),
            virtual_size: u64_at(bytes, 24),
            encryption: u32_at(bytes, 32),
            // Version 2 ends before these.
            incompatible: if version == 2 { 0 } else { u64_at(bytes, 72) },
        })
    }

    /// What must not be handed to QEMU, if it is that: whatever leads out of the file, or cannot be read anyway.
    pub(super) fn objection(&self) -> Option<&'static str> {
        if self.backing_file != 0 {
            Some("with a backing file; flatten it first (qemu-img convert)")
        } else if self.incompatible & DATA_FILE != 0 {
            Some("with an external data file; flatten it first (qemu-img convert)")
        } else if self.encryption != 0 {
            Some("that is encrypted; decrypt it first")
        } else if self.incompatible & CORRUPT != 0 {
            Some("marked as corrupt; repair it first (qemu-img check -r)")
        } else if self.incompatible & !HARMLESS != 0 {
            Some("with features that are not known here")
        } else if self.virtual_size == 0 {
            Some("of no size")
        } else {
            None
        }
    }
}

fn u32_at(bytes: &[u8; LOOKED_AT], at: usize) -> u32 {
    bytes[at..at + 4].iter().fold(0, |value, byte| value << 8 | u32::from(*byte))
}

fn u64_at(bytes: &[u8; LOOKED_AT], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) << 32 | u64::from(u32_at(bytes, at + 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(version: u32, set: &[(usize, &[u8])]) -> [u8; LOOKED_AT] {
        let mut bytes = [0; LOOKED_AT];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&version.to_be_bytes());
        bytes[24..32].copy_from_slice(&(5_u64 << 20).to_be_bytes());
        for (at, value) in set {
            bytes[*at..at + value.len()].copy_from_slice(value);
        }
        bytes
    }

    #[test]
    fn a_plain_header_is_fine() {
        for version in [2, 3] {
            let header = Header::parse(&header(version, &[])).unwrap();
            assert_eq!((header.virtual_size, header.objection()), (5 << 20, None));
        }
    }

    #[test]
    fn what_leads_out_or_cannot_be_read_is_objected_to() {
        let cases: [(usize, &[u8], &str); 7] = [
            (15, &[1], "backing"),
            (8, &[0x80], "backing"),
            (79, &[1 << 2], "data file"),
            (35, &[2], "encrypted"),
            (79, &[1 << 1], "corrupt"),
            (72, &[0x80], "not known"),
            (29, &[0, 0, 0], "no size"),
        ];
        for (at, value, word) in cases {
            let objection = Header::parse(&header(3, &[(at, value)])).unwrap().objection().unwrap();
            assert!(objection.contains(word), "{at}: {objection}");
        }
        assert_eq!(Header::parse(&header(3, &[(79, &[1 | 1 << 3 | 1 << 4])])).unwrap().objection(), None);
    }

    #[test]
    fn version_2_has_no_features_whatever_stands_there() {
        assert_eq!(Header::parse(&header(2, &[(79, &[4])])).unwrap().objection(), None);
    }

    #[test]
    fn other_versions_and_other_files_are_none() {
        assert_eq!(Header::parse(&header(1, &[])), None);
        assert_eq!(Header::parse(&header(4, &[])), None);
        assert_eq!(Header::parse(&[0; LOOKED_AT]), None);
    }
}
