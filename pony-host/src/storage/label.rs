//! What is written at the start of a disk that belongs to a pool: whose it is, and which volume is on it.

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Bytes of a label; in larger blocks, zeroes follow.
pub(super) const LABEL: usize = 512;

/// What labels begin with. The last byte is their version.
const MAGIC: &[u8; 16] = b"ponycloud LUN\0\0\x01";

/// Longest name in it, bytes: that of an attempt at making a volume is much shorter.
const NAME_MAX: usize = 200;

/// Where the checksum begins.
const SUM: usize = 480;

/// What a label says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) pool: Uuid,
    /// Bytes of the volume, and how many of these can be used already.
    pub(super) bytes: u64,
    pub(super) usable: u64,
    /// What lies on the disk.
    pub(super) name: String,
}

impl Label {
    /// As it is written in a block of so many bytes.
    pub(super) fn encode(&self, block: usize) -> Vec<u8> {
        let name = &self.name.as_bytes()[..self.name.len().min(NAME_MAX)];
        let mut text = Vec::with_capacity(block);
        text.extend(MAGIC);
        text.extend(self.pool.as_bytes());
        text.extend(self.bytes.to_be_bytes());
        text.extend(self.usable.to_be_bytes());
        text.push(name.len() as u8);
        text.extend(name);
        text.resize(SUM, 0);
        let sum = Sha256::digest(&text);
        text.extend(&sum[..]);
        text.resize(block, 0);
        text
    }

    /// Whether a block begins as one, whatever became of the rest.
    pub(super) fn begins(block: &[u8]) -> bool {
        block.starts_with(&MAGIC[..MAGIC.len() - 1])
    }

    /// Reads one. `None`: it is none.
    pub(super) fn decode(block: &[u8]) -> Option<Self> {
        let (text, sum) = block.get(..LABEL)?.split_at(SUM);
        if !text.starts_with(MAGIC) || Sha256::digest(text)[..] != *sum {
            return None;
        }
        let number = |at: usize| text.get(at..)?.first_chunk().map(|it| u64::from_be_bytes(*it));
        let uuid = |at: usize| text.get(at..)?.first_chunk().map(|it| Uuid::from_bytes(*it));
        let len = usize::from(*text.get(48)?);
        let name = std::str::from_utf8(text.get(49..49 + len)?).ok()?.to_owned();
        Some(Self { pool: uuid(16)?, bytes: number(32)?, usable: number(40)?, name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_as_written_and_nothing_else_is_one() {
        let pool = Uuid::from_u128(1);
        let label = Label { pool, bytes: 1 << 40, usable: 1 << 20, name: "pony-x.1-2".into() };
        for block in [512, 4096] {
            let text = label.encode(block);
            assert_eq!((text.len(), Label::decode(&text)), (block, Some(label.clone())));
        }
        let mut damaged = label.encode(512);
        damaged[60] ^= 1;
        for other in [&damaged[..], &[0; 512], &[0xff; 512], &label.encode(512)[..500], &[]] {
            assert_eq!(Label::decode(other), None);
        }
        assert!(Label::begins(&damaged) && !Label::begins(&[0; 512]));
    }
}
