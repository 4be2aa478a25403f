//! LUNs of an iSCSI target as devices: each is one volume at most, from its second MiB on. The first one has a label,
//! in a block that hosts change one after the other (under a reservation), so that no two take the same LUN. A LUN is
//! free where its first MiB is blank; what holds anything else is somebody else's, and never written to.

use super::devices::{Device, Devices, Usage};
use super::error::StorageError;
use super::iscsi::{Failure, Portal, RESERVED, Session, Size, Swap, Target};
use super::label::Label;
use super::size::MIB;
use crate::secrets::Secrets;
use pony_core::host::{IscsiPool, Login, Slice};
use std::time::Duration;
use uuid::Uuid;

/// What hosts call themselves unless the pool says otherwise: as QEMU does, whose initiator guests have.
pub(super) const INITIATOR: &str = "iqn.2008-11.org.linux-kvm";

/// Where volumes begin, bytes: behind the label.
pub(super) const DATA: u64 = MIB;

/// LUNs of a target.
pub(super) struct Luns {
    pub(super) pool: Uuid,
    pub(super) at: IscsiPool,
    /// What this host calls itself.
    pub(super) initiator: String,
    pub(super) secrets: Secrets,
    /// How long one look or one change may take.
    pub(super) patience: Duration,
}

/// A volume, finished or not, and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OnLun {
    pub(super) lun: u8,
    pub(super) name: String,
    /// Bytes of it, and how many of these can be used already.
    pub(super) bytes: u64,
    pub(super) usable: u64,
}

/// What a look at all LUNs found.
pub(super) struct Survey {
    pub(super) usage: Usage,
    pub(super) volumes: Vec<OnLun>,
    /// LUNs that hold something else.
    foreign: Vec<u8>,
    pub(super) portal: Portal,
}

impl Survey {
    /// Says in the log what cannot be had of a pool.
    pub(super) fn note(&self, pool: Uuid) {
        for number in &self.foreign {
            tracing::warn!(%pool, "LUN {number} holds something else, and is left alone: zero its first MiB to give it to the pool");
        }
    }
}

/// How a label is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Nobody else gets at the LUN meanwhile: what others write fails.
    Alone,
    /// Whoever writes to the volume goes on.
    Beside,
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

    fn volume(&self) -> Option<OnLun> {
        self.label().map(|label| on(self.number, label))
    }
}

fn on(lun: u8, label: &Label) -> OnLun {
    OnLun { lun, name: label.name.clone(), bytes: label.bytes, usable: label.usable }
}

impl Luns {
    /// User and secret, if the target wants some.
    pub(super) fn login(&self) -> Result<Option<(String, String)>, StorageError> {
        let secret = |it: &Login| Ok((it.user.clone(), self.secrets.read(&it.secret)?));
        let login = self.at.login.as_ref().map(secret).transpose();
        login.map_err(|why| StorageError::Secret { why })
    }

    fn open(&self) -> Result<Session, StorageError> {
        let target = Target {
            portal: self.at.portal.clone(),
            name: self.at.target.clone(),
            initiator: self.initiator.clone(),
            login: self.login()?,
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
    fn swap(
        &self,
        session: &mut Session,
        lun: &Lun,
        label: Option<&Label>,
        way: Way,
    ) -> Result<Swap, StorageError> {
        let block = lun.size.block as usize;
        let new = label.map_or_else(|| vec![0; block], |label| label.encode(block));
        let swapped = match way {
            Way::Alone => session.swap_first(lun.number, &lun.first, &new),
            Way::Beside => session.swap_first_beside(lun.number, &lun.first, &new),
        };
        swapped.map_err(|it| self.failed(Some(lun.number), it))
    }

    /// As the emulator reaches it by itself.
    fn device(&self, on: &OnLun, bytes: u64) -> Device {
        let disk = self.at.disk(on.lun, Slice { offset: DATA, len: bytes });
        Device { name: on.name.clone(), bytes, place: disk.into() }
    }

    /// Looks at all of them.
    pub(super) fn survey(&self) -> Result<Survey, StorageError> {
        let mut session = self.open()?;
        let luns = self.look(&mut session)?;
        let foreign = luns.iter().filter(|lun| matches!(lun.state, State::Foreign));
        let taken = luns.iter().filter(|lun| !matches!(lun.state, State::Free));
        let allocated = taken.map(Lun::room).sum();
        Ok(Survey {
            usage: Usage { capacity: luns.iter().map(Lun::room).sum(), allocated, granule: MIB },
            volumes: luns.iter().filter_map(Lun::volume).collect(),
            foreign: foreign.map(|lun| lun.number).collect(),
            portal: session.portal().map_err(|failure| self.failed(None, failure))?,
        })
    }

    /// Takes the smallest free one that has room.
    pub(super) fn take(&self, name: &str, bytes: u64) -> Result<OnLun, StorageError> {
        let mut session = self.open()?;
        let mut luns = self.look(&mut session)?;
        luns.retain(|lun| matches!(lun.state, State::Free));
        luns.sort_by_key(Lun::room);
        let label = Label { pool: self.pool, bytes, usable: bytes, name: name.to_owned() };
        for lun in luns.iter().filter(|lun| lun.room() >= bytes) {
            // Whoever was faster writes to it in a moment: it is not waited for.
            if self.swap(&mut session, lun, Some(&label), Way::Alone)? == Swap::Done {
                return Ok(on(lun.number, &label));
            }
        }
        let largest = luns.last().map_or(0, Lun::room);
        Err(StorageError::NoLun { need_mib: bytes.div_ceil(MIB), largest_mib: largest / MIB })
    }

    /// Makes a volume larger, as far as its LUN goes; what was added cannot be used yet.
    pub(super) fn enlarge(&self, name: &str, bytes: u64, way: Way) -> Result<OnLun, StorageError> {
        let changed = self.change(name, way, |lun, label| match lun.room() {
            room if room < bytes => Err(StorageError::SmallLun {
                lun: lun.number,
                need_mib: bytes.div_ceil(MIB),
                room_mib: room / MIB,
            }),
            _ => Ok(Some(Label { bytes: bytes.max(label.bytes), ..label.clone() })),
        })?;
        changed.ok_or_else(|| self.wrong(name, "has no label any more"))
    }

    /// All of a volume can be used.
    pub(super) fn finish(&self, name: &str, way: Way) -> Result<(), StorageError> {
        self.change(name, way, |_, label| Ok(Some(Label { usable: label.bytes, ..label.clone() }))).map(drop)
    }

    /// Changes the label of one device.
    fn change(
        &self,
        name: &str,
        way: Way,
        change: impl FnOnce(&Lun, &Label) -> Result<Option<Label>, StorageError>,
    ) -> Result<Option<OnLun>, StorageError> {
        let mut session = self.open()?;
        let luns = self.look(&mut session)?;
        let found = luns.iter().find_map(|lun| Some((lun, lun.label().filter(|it| it.name == name)?)));
        let (lun, label) = found.ok_or_else(|| self.wrong(name, "is not on any LUN of the pool any more"))?;
        let new = change(lun, label)?;
        loop {
            match self.swap(&mut session, lun, new.as_ref(), way)? {
                Swap::Done => return Ok(new.map(|label| on(lun.number, &label))),
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
        let survey = self.survey()?;
        survey.note(self.pool);
        Ok(survey.usage)
    }

    fn list(&self, prefix: &str) -> Result<Vec<Device>, StorageError> {
        let volumes = self.survey()?.volumes;
        let ours = volumes.iter().filter(|it| it.name.starts_with(prefix));
        Ok(ours.map(|it| self.device(it, it.usable)).collect())
    }

    fn create(&self, name: &str, bytes: u64) -> Result<Device, StorageError> {
        Ok(self.device(&self.take(name, bytes)?, bytes))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), StorageError> {
        let name = to.to_owned();
        self.change(from, Way::Alone, |_, label| Ok(Some(Label { name, ..label.clone() }))).map(drop)
    }

    fn extend(&self, device: &Device, bytes: u64) -> Result<Device, StorageError> {
        let on = self.enlarge(&device.name, bytes, Way::Alone)?;
        Ok(self.device(&on, on.bytes))
    }

    fn settle(&self, device: &Device) -> Result<(), StorageError> {
        self.finish(&device.name, Way::Alone)
    }

    fn remove(&self, name: &str) -> Result<(), StorageError> {
        self.change(name, Way::Alone, |_, _| Ok(None)).map(drop)
    }

    fn are_blank(&self) -> bool {
        false
    }
}
