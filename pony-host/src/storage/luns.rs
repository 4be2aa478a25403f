//! LUNs of an iSCSI target as devices: each is one volume at most, from its second MiB on. The first one has a label,
//! in a block that hosts change one after the other (under a reservation), so that no two take the same LUN. A LUN is
//! free where its first MiB is blank; what holds anything else is somebody else's, and never written to.

use super::devices::{Device, Devices, Usage};
use super::error::StorageError;
use super::iscsi::{Failure, RESERVED, Session, Size, Swap, Target};
use super::label::Label;
use super::size::MIB;
use crate::secrets::Secrets;
use pony_core::host::{IscsiPool, Slice};
use std::time::Duration;
use uuid::Uuid;

/// What hosts call themselves unless the pool says otherwise: as QEMU does, whose initiator guests have.
const INITIATOR: &str = "iqn.2008-11.org.linux-kvm";

/// Where volumes begin, bytes: behind the label.
const DATA: u64 = MIB;

/// LUNs of a target.
pub(super) struct Luns {
    pub(super) pool: Uuid,
    pub(super) at: IscsiPool,
    pub(super) secrets: Secrets,
    /// How long one look or one change may take.
    pub(super) patience: Duration,
}

/// A LUN as it was found.
struct Lun {
    number: u8,
    size: Size,
    /// Its first block.
    first: Vec<u8>,
    state: State,
}

enum State {
    Free,
    /// Of this pool.
    Taken(Label),
    /// Of somebody else.
    Foreign,
}

impl Lun {
    /// Bytes for a volume.
    fn room(&self) -> u64 {
        // Whole MiB, as volumes have.
        self.size.bytes.saturating_sub(DATA) / MIB * MIB
    }

    fn label(&self) -> Option<&Label> {
        match &self.state {
            State::Taken(label) => Some(label),
            State::Free | State::Foreign => None,
        }
    }
}

impl Luns {
    fn open(&self) -> Result<Session, StorageError> {
        let secret = |it: &pony_core::host::Login| Ok((it.user.clone(), self.secrets.read(&it.secret)?));
        let login = self.at.login.as_ref().map(secret).transpose();
        let target = Target {
            portal: self.at.portal.clone(),
            name: self.at.target.clone(),
            initiator: self.at.initiator.clone().unwrap_or_else(|| INITIATOR.to_owned()),
            login: login.map_err(|why| StorageError::Secret { why })?,
            patience: self.patience,
        };
        Session::open(&target).map_err(|failure| self.failed(None, failure))
    }

    /// In words.
    fn failed(&self, lun: Option<u8>, failure: Failure) -> StorageError {
        let why = match failure {
            Failure::Io(error) if is_late(&error) => {
                format!("has not answered for {} s", self.patience.as_secs_f64())
            }
            Failure::Io(error) => format!("cannot be spoken to: {error}"),
            Failure::Refused(why) | Failure::Protocol(why) => why,
            Failure::Sense { key, code } => format!("refuses a command (sense {key:x}, {code:04x})"),
            Failure::Status(RESERVED) => "is reserved by somebody else".into(),
            Failure::Status(status) => format!("answers a command with status {status:#04x}"),
        };
        let lun = lun.map_or_else(String::new, |it| format!(", LUN {it},"));
        let server = format!("{} at {}{lun}", self.at.target, self.at.portal);
        StorageError::Server { what: "iSCSI target", server, why }
    }

    /// All LUNs of the pool. Each has to be there: a volume that is not seen must not be taken for one that is not made.
    fn look(&self, session: &mut Session) -> Result<Vec<Lun>, StorageError> {
        let look = |number: &u8| {
            self.look_at(session, *number).map_err(|failure| self.failed(Some(*number), failure))
        };
        self.at.luns.iter().map(look).collect()
    }

    fn look_at(&self, session: &mut Session, number: u8) -> Result<Lun, Failure> {
        if !session.is_disk(number)? {
            return Err(Failure::Refused(
                "is no disk: take it off the pool's `luns`, or bring it back".into(),
            ));
        }
        let size = session.size(number)?;
        let block = size.block as usize;
        let first = session.read_start(number, block, size.block)?;
        let state = match Label::decode(&first) {
            Some(label) if label.pool == self.pool => State::Taken(label),
            Some(_) => State::Foreign,
            // Its volume must not be taken for one that is not made.
            None if Label::begins(&first) => {
                return Err(Failure::Refused(
                    "has a damaged label (or a newer agent's): zero it by hand".into(),
                ));
            }
            None if first.iter().any(|byte| *byte != 0) || size.bytes < DATA => State::Foreign,
            None => {
                let start = session.read_start(number, DATA as usize, size.block)?;
                if start.iter().all(|byte| *byte == 0) { State::Free } else { State::Foreign }
            }
        };
        Ok(Lun { number, size, first, state })
    }

    /// Changes a label where it is still as it was found.
    fn swap(&self, session: &mut Session, lun: &Lun, label: Option<&Label>) -> Result<Swap, StorageError> {
        let block = lun.size.block as usize;
        let new = label.map_or_else(|| vec![0; block], |label| label.encode(block));
        session.swap_first(lun.number, &lun.first, &new).map_err(|it| self.failed(Some(lun.number), it))
    }

    fn device(&self, number: u8, label: &Label, bytes: u64) -> Device {
        let disk = self.at.disk(number, Slice { offset: DATA, len: bytes });
        Device { name: label.name.clone(), bytes, place: disk.into() }
    }

    /// Changes the label of one device.
    fn change(
        &self,
        name: &str,
        change: impl FnOnce(&Lun, &Label) -> Result<Option<Label>, StorageError>,
    ) -> Result<Option<(u8, Label)>, StorageError> {
        let mut session = self.open()?;
        let luns = self.look(&mut session)?;
        let found = luns.iter().find_map(|lun| Some((lun, lun.label().filter(|it| it.name == name)?)));
        let (lun, label) = found.ok_or_else(|| self.wrong(name, "is not on any LUN of the pool any more"))?;
        let new = change(lun, label)?;
        loop {
            match self.swap(&mut session, lun, new.as_ref())? {
                Swap::Done => return Ok(new.map(|label| (lun.number, label))),
                // Somebody looks whether it is free still.
                Swap::Occupied if session.waits() => {}
                Swap::Occupied => return Err(self.wrong(name, "is occupied by somebody else")),
                Swap::Changed => return Err(self.wrong(name, "was changed by somebody else at that moment")),
            }
        }
    }

    fn wrong(&self, name: &str, why: &'static str) -> StorageError {
        StorageError::Device { what: "volume", name: name.to_owned(), why }
    }
}

fn is_late(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::TimedOut | std::io::ErrorKind::WouldBlock)
}

impl Devices for Luns {
    fn usage(&self) -> Result<Usage, StorageError> {
        let luns = self.look(&mut self.open()?)?;
        for lun in luns.iter().filter(|lun| matches!(lun.state, State::Foreign)) {
            let (pool, number) = (self.pool, lun.number);
            tracing::warn!(%pool, "LUN {number} holds something else, and is left alone: zero its first MiB to give it to the pool");
        }
        let taken = luns.iter().filter(|lun| !matches!(lun.state, State::Free));
        let allocated = taken.map(Lun::room).sum();
        Ok(Usage { capacity: luns.iter().map(Lun::room).sum(), allocated, granule: MIB })
    }

    fn list(&self, prefix: &str) -> Result<Vec<Device>, StorageError> {
        let luns = self.look(&mut self.open()?)?;
        let taken = luns.iter().filter_map(|lun| Some((lun.number, lun.label()?)));
        let ours = taken.filter(|(_, label)| label.name.starts_with(prefix));
        Ok(ours.map(|(number, label)| self.device(number, label, label.usable)).collect())
    }

    /// On the smallest LUN that has room for it.
    fn create(&self, name: &str, bytes: u64) -> Result<Device, StorageError> {
        let mut session = self.open()?;
        let mut luns = self.look(&mut session)?;
        luns.retain(|lun| matches!(lun.state, State::Free));
        luns.sort_by_key(Lun::room);
        let label = Label { pool: self.pool, bytes, usable: bytes, name: name.to_owned() };
        for lun in luns.iter().filter(|lun| lun.room() >= bytes) {
            // Whoever was faster writes to it in a moment: it is not waited for.
            if self.swap(&mut session, lun, Some(&label))? == Swap::Done {
                return Ok(self.device(lun.number, &label, bytes));
            }
        }
        let largest = luns.last().map_or(0, Lun::room);
        Err(StorageError::NoLun { need_mib: bytes.div_ceil(MIB), largest_mib: largest / MIB })
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), StorageError> {
        self.change(from, |_, label| Ok(Some(Label { name: to.to_owned(), ..label.clone() }))).map(drop)
    }

    fn extend(&self, device: &Device, bytes: u64) -> Result<Device, StorageError> {
        let changed = self.change(&device.name, |lun, label| match lun.room() {
            room if room < bytes => Err(StorageError::SmallLun {
                lun: lun.number,
                need_mib: bytes.div_ceil(MIB),
                room_mib: room / MIB,
            }),
            _ => Ok(Some(Label { bytes: bytes.max(label.bytes), ..label.clone() })),
        })?;
        let (number, label) = changed.ok_or_else(|| self.wrong(&device.name, "has no label any more"))?;
        Ok(self.device(number, &label, label.bytes))
    }

    fn settle(&self, device: &Device) -> Result<(), StorageError> {
        self.change(&device.name, |_, label| Ok(Some(Label { usable: label.bytes, ..label.clone() })))
            .map(drop)
    }

    fn remove(&self, name: &str) -> Result<(), StorageError> {
        self.change(name, |_, _| Ok(None)).map(drop)
    }

    fn are_blank(&self) -> bool {
        false
    }
}
