//! LUNs of an iSCSI target whose data go by the kernel's initiator: a volume is a mapping of what lies behind the label of its
//! LUN. Labels are read and changed as for all pools of LUNs, by this agent's own initiator; so a pool may change from one to
//! the other while nothing has its volumes open.
//!
//! Every finished volume of the pool is mapped on every host that has the pool: which host may write to which one is decided
//! by grants, and a mapping by itself writes nothing. Those without a label go when the pool is looked at, unless they are
//! open. Where a disk came back as another device, mappings are made of that one, also while they are open.

use super::devices::{Device, Devices, Usage, is_finished};
use super::error::StorageError;
use super::idle::Idle;
use super::luns::{DATA, Luns, OnLun, Survey, Way};
use super::mapper::{self, Mapper, Mapping, SECTOR};
use super::open_iscsi::{KernelSession, Sessions, Wanted};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// See the module.
pub(super) struct MappedLuns {
    luns: Luns,
    /// Tells this host's unfinished work from that of others.
    host: Uuid,
    mapper: Mapper,
    sessions: Arc<Idle<Sessions>>,
    /// Held by whoever changes what the kernel has of the pool.
    turn: Arc<Mutex<()>>,
}

/// The session of the pool, and the only right to change what hangs on it.
struct Kernel<'a> {
    of: &'a MappedLuns,
    session: KernelSession,
    _turn: MutexGuard<'a, ()>,
}

impl MappedLuns {
    pub(super) fn new(luns: Luns, host: Uuid, sessions: Arc<Idle<Sessions>>) -> Self {
        let (mapper, turn) = (Mapper::of(luns.pool), sessions.used(luns.pool));
        Self { luns, host, mapper, sessions, turn }
    }

    /// Signs in, where that is needed.
    fn kernel(&self, survey: &Survey) -> Result<Kernel<'_>, StorageError> {
        // What takes long uses it all the time.
        drop(self.sessions.used(self.luns.pool));
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let (pool, at, portal) = (self.luns.pool, &self.luns.at, survey.portal);
        let login = self.luns.login()?;
        let secret = login.as_ref().map(|(_, secret)| &**secret);
        let session = self.sessions.setup.sign_in(&Wanted { pool, at, portal, secret })?;
        Ok(Kernel { of: self, session, _turn })
    }

    /// Maps what was not there before.
    fn map_new(&self, on: &OnLun, name: &str) -> Result<Device, StorageError> {
        self.kernel(&self.luns.survey()?)?.map(on, name, on.bytes)?;
        Ok(device(name, on.bytes))
    }

    /// By which what is added to a volume is overwritten.
    fn addition(&self, name: &str) -> String {
        format!("{name}.{}.grow", self.host)
    }

    /// Mappings of volumes that are on no LUN any more go, as far as nothing has them open.
    fn clear(&self, mappings: &[Mapping], survey: &Survey) {
        let there: HashSet<&str> = survey.volumes.iter().map(|it| &*it.name).collect();
        let names = mappings.iter().map(|it| &*it.name);
        for name in names.filter(|it| is_finished(it) && !there.contains(it)) {
            match self.mapper.remove_if_there(name) {
                Ok(()) => {
                    tracing::info!(name, "the mapping of a volume that is on no LUN any more is removed");
                }
                Err(error) => {
                    tracing::warn!(name, %error, "a mapping is left of a volume that is on no LUN any more");
                }
            }
        }
    }
}

impl Kernel<'_> {
    /// Sees to it that these can be opened, under their own names.
    fn map_all<'a>(&self, mut volumes: impl Iterator<Item = &'a OnLun>) -> Result<(), StorageError> {
        volumes.try_for_each(|on| self.map(on, &on.name, on.usable))
    }

    /// Sees to it that a mapping is there, of this LUN, and at least as large: volumes do not shrink, and whoever looked before
    /// one grew must not make it smaller again.
    fn map(&self, on: &OnLun, name: &str, bytes: u64) -> Result<(), StorageError> {
        let MappedLuns { luns, mapper, sessions, .. } = self.of;
        let now = mapper.find(name)?;
        let bytes = bytes.max(now.as_ref().map_or(0, |it| it.bytes));
        let disk = sessions.setup.disk((&self.session, &luns.at), on.lun, DATA + bytes)?;
        let table = mapper::linear(0, bytes / SECTOR, &disk.number, DATA / SECTOR);
        match now {
            None => mapper.create(name, &table),
            // All of them begin behind the label.
            Some(now) if now.bytes == bytes && now.disks == [disk.number] => Ok(()),
            Some(_) => mapper.change(name, &table),
        }
    }
}

fn device(name: &str, bytes: u64) -> Device {
    Device { name: name.to_owned(), bytes, place: mapper::place(name) }
}

impl Devices for MappedLuns {
    fn usage(&self) -> Result<Usage, StorageError> {
        self.mapper.prepare()?;
        // In this order: what is finished has its label before its mapping has its name.
        let mappings = self.mapper.list()?;
        let survey = self.luns.survey()?;
        survey.note(self.luns.pool);
        let kernel = self.kernel(&survey)?;
        self.clear(&mappings, &survey);
        kernel.map_all(survey.volumes.iter().filter(|it| is_finished(&it.name)))?;
        self.sessions.setup.let_go(&kernel.session)?;
        Ok(survey.usage)
    }

    /// What is finished is mapped. What is left of a mapping of something unfinished is listed, too, so that it can be
    /// removed.
    fn list(&self, prefix: &str) -> Result<Vec<Device>, StorageError> {
        let survey = self.luns.survey()?;
        let volumes: Vec<&OnLun> = survey.volumes.iter().filter(|it| it.name.starts_with(prefix)).collect();
        let mut finished = volumes.iter().copied().filter(|it| is_finished(&it.name)).peekable();
        if finished.peek().is_some() {
            self.kernel(&survey)?.map_all(finished)?;
        }
        let mut devices: Vec<Device> = volumes.iter().map(|it| device(&it.name, it.usable)).collect();
        let is_left = |it: &Mapping| {
            it.name.starts_with(prefix)
                && !is_finished(&it.name)
                && volumes.iter().all(|on| on.name != it.name)
        };
        devices
            .extend(self.mapper.list()?.iter().filter(|it| is_left(it)).map(|it| device(&it.name, it.bytes)));
        Ok(devices)
    }

    fn create(&self, name: &str, bytes: u64) -> Result<Device, StorageError> {
        let on = self.luns.take(name, bytes)?;
        self.map_new(&on, name)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), StorageError> {
        self.luns.rename(from, to)?;
        // It is the volume's now, however its mapping is called: one that is missing is made.
        self.mapper.rename(from, to).or_else(|_| self.mapper.remove(from))
    }

    /// A guest may have the volume open, so its LUN is reserved by nobody: that would make the guest's writes fail.
    fn extend(&self, device: &Device, bytes: u64) -> Result<Device, StorageError> {
        let (on, name) = (self.luns.enlarge(&device.name, bytes, Way::Beside)?, self.addition(&device.name));
        self.mapper.remove_if_there(&name)?;
        self.map_new(&on, &name)
    }

    /// The volume's own mapping has the rest as soon as it is asked for.
    fn settle(&self, device: &Device) -> Result<(), StorageError> {
        self.luns.finish(&device.name, Way::Beside)?;
        self.mapper.remove(&self.addition(&device.name))
    }

    /// As long as a mapping is open its LUN is not free.
    fn remove(&self, name: &str) -> Result<(), StorageError> {
        self.mapper.remove_if_there(name)?;
        self.luns.remove(name)
    }

    fn are_blank(&self) -> bool {
        false
    }

    fn may_hang(&self) -> bool {
        true
    }
}
