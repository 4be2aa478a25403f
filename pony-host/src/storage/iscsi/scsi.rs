//! What disks are asked for, and how they answer.

use super::session::{Data, Failure, Session};
use std::time::Duration;

/// Sense keys: what went wrong, by sort.
const UNIT_ATTENTION: u8 = 6;

/// How often a disk may say that something about it changed, before it carries out a command.
const ATTENTIONS_MAX: u32 = 5;

/// Sense key: a block is not as it was said to be. And what is said of a command that there is not.
const MISCOMPARE: u8 = 0x0e;
const ILLEGAL: u8 = 5;
const NO_SUCH_COMMAND: u16 = 0x2000;

/// A disk is this session's, and is anybody's again.
const RESERVE: u8 = 0x16;
const RELEASE: u8 = 0x17;

/// Statuses of disks that are somebody else's just now, or have too much to do.
const OCCUPIED: [u8; 3] = [0x08, RESERVED, 0x28];

/// The one that says that somebody reserved the disk.
pub(in super::super) const RESERVED: u8 = 0x18;

/// How long one waits before one asks such a disk again: others have it for some round trips.
const TURN: Duration = Duration::from_millis(20);

/// Units in which disks count, bytes.
const BLOCK: std::ops::RangeInclusive<u32> = 512..=4096;

/// The largest read at once, bytes.
const READ_MAX: usize = 64 << 10;

/// A disk's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Size {
    pub(in super::super) bytes: u64,
    /// What it counts in, bytes.
    pub(in super::super) block: u32,
}

/// What became of a change of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Swap {
    Done,
    /// It was not as it was read before.
    Changed,
    /// Somebody else is at the disk.
    Occupied,
}

impl Session {
    /// Waits where the disk is occupied.
    fn ask(&mut self, lun: u8, cdb: [u8; 16], data: Data<'_>) -> Result<Vec<u8>, Failure> {
        loop {
            match self.insist(lun, cdb, data) {
                Err(Failure::Status(status)) if OCCUPIED.contains(&status) && self.waits() => {}
                answer => return answer,
            }
        }
    }

    /// Waits until somebody else may have done with a disk; says whether there was time for that.
    pub(in super::super) fn waits(&self) -> bool {
        let has_time = self.has_time(TURN);
        if has_time {
            std::thread::sleep(TURN);
        }
        has_time
    }

    /// Again, where a disk only says that something about it changed.
    fn insist(&mut self, lun: u8, cdb: [u8; 16], data: Data<'_>) -> Result<Vec<u8>, Failure> {
        for _ in 0..ATTENTIONS_MAX {
            match self.command(lun, cdb, data) {
                Err(Failure::Sense { key: UNIT_ATTENTION, .. }) => {}
                answer => return answer,
            }
        }
        self.command(lun, cdb, data)
    }

    /// Whether there is a disk of that number.
    pub(in super::super) fn is_disk(&mut self, lun: u8) -> Result<bool, Failure> {
        let mut cdb = [0; 16];
        (cdb[0], cdb[4]) = (0x12, 36);
        // Both the sort of the device, and whether it is there, are in the first byte.
        Ok(self.ask(lun, cdb, Data::In(36))?.first() == Some(&0))
    }

    pub(in super::super) fn size(&mut self, lun: u8) -> Result<Size, Failure> {
        let mut cdb = [0; 16];
        (cdb[0], cdb[1], cdb[13]) = (0x9e, 0x10, 32);
        let said = self.ask(lun, cdb, Data::In(32))?;
        let last = said.first_chunk().map(|it| u64::from_be_bytes(*it));
        let block = said.get(8..12).and_then(|it| it.first_chunk()).map(|it| u32::from_be_bytes(*it));
        let size = |last: u64, block: u32| last.checked_add(1)?.checked_mul(u64::from(block));
        match (last, block) {
            (Some(last), Some(block)) if BLOCK.contains(&block) && block.is_power_of_two() => {
                let bytes = size(last, block);
                let bytes = bytes.ok_or_else(|| Failure::Protocol("has a disk of an absurd size".into()))?;
                Ok(Size { bytes, block })
            }
            _ => Err(Failure::Protocol("has a disk whose size makes no sense".into())),
        }
    }

    /// Reads so many bytes, whole blocks, from the start.
    pub(in super::super) fn read_start(
        &mut self,
        lun: u8,
        len: usize,
        block: u32,
    ) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            let part = READ_MAX.min(len - bytes.len());
            let mut cdb = [0; 16];
            // READ of 16 bytes.
            cdb[0] = 0x88;
            cdb[2..10].copy_from_slice(&(bytes.len() as u64 / u64::from(block)).to_be_bytes());
            cdb[10..14].copy_from_slice(&(part as u32 / block).to_be_bytes());
            let came = self.ask(lun, cdb, Data::In(part))?;
            if came.len() != part {
                return Err(Failure::Protocol("has a disk that reads less than it was asked for".into()));
            }
            bytes.extend(came);
        }
        Ok(bytes)
    }

    /// Writes the first block where it is as it was read before; nobody else gets at the disk meanwhile. Writes of others
    /// fail then, so it is looked at first whether there is anything to be gained.
    pub(in super::super) fn swap_first(&mut self, lun: u8, old: &[u8], new: &[u8]) -> Result<Swap, Failure> {
        if !self.begins_with(lun, old)? {
            return Ok(Swap::Changed);
        }
        match self.insist(lun, brief(RESERVE), Data::In(0)) {
            Err(Failure::Status(status)) if OCCUPIED.contains(&status) => return Ok(Swap::Occupied),
            // It ends with the session at the latest.
            reserved => reserved?,
        };
        let swapped = self.swap_reserved(lun, old, new);
        self.ask(lun, brief(RELEASE), Data::In(0))?;
        swapped
    }

    /// The same without keeping anybody else away meanwhile, since somebody is at the disk all the time: by the disk's own
    /// COMPARE AND WRITE, or, where it has none, in two steps.
    pub(in super::super) fn swap_first_beside(
        &mut self,
        lun: u8,
        old: &[u8],
        new: &[u8],
    ) -> Result<Swap, Failure> {
        let mut cdb = [0; 16];
        // One block, past caches.
        (cdb[0], cdb[1], cdb[13]) = (0x89, 0x08, 1);
        match self.ask(lun, cdb, Data::Out(&[old, new].concat())) {
            Err(Failure::Sense { key: MISCOMPARE, .. }) => Ok(Swap::Changed),
            Err(Failure::Sense { key: ILLEGAL, code: NO_SUCH_COMMAND }) => self.swap_reserved(lun, old, new),
            done => done.map(|_| Swap::Done),
        }
    }

    /// Nobody else is at the disk.
    fn swap_reserved(&mut self, lun: u8, old: &[u8], new: &[u8]) -> Result<Swap, Failure> {
        if !self.begins_with(lun, old)? {
            return Ok(Swap::Changed);
        }
        let mut cdb = [0; 16];
        // WRITE of 16 bytes, one block, past caches.
        (cdb[0], cdb[1], cdb[13]) = (0x8a, 0x08, 1);
        self.ask(lun, cdb, Data::Out(new)).map(|_| Swap::Done)
    }

    fn begins_with(&mut self, lun: u8, block: &[u8]) -> Result<bool, Failure> {
        let bytes = u32::try_from(block.len()).unwrap_or(u32::MAX);
        Ok(self.read_start(lun, block.len(), bytes)? == block)
    }
}

/// A command that is nothing but its name.
fn brief(name: u8) -> [u8; 16] {
    let mut cdb = [0; 16];
    cdb[0] = name;
    cdb
}
