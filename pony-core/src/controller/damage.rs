//! What a commit may have made wrong, and the decisions about exactly that.

use super::distribution::Distribution;
use super::extents;
use super::holds;
use super::hosts::Hosts;
use super::instances::{self, Decision, Round};
use super::offers::{self, Offers};
use super::ports;
use super::remotes;
use super::volumes;
use super::writes::{Subject, Writes};
use crate::tables::{
    Address, AffinityGroup, AffinityGroupInstance, Disk, Extent, Host, HostDisk, HostInstance, HostVolume,
    Image, Instance, Metering, Pin, StoragePool, Switch, Vdisk, Vnic, Volume, VolumeState,
};
use pony_state::{AnyRow, Change, Key, Read, Row, RowChange, RowOp, Text};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Subjects to decide about again.
#[derive(Debug, Default)]
pub(crate) struct Damage {
    subjects: BTreeSet<Subject>,
    /// Disks that may be seen otherwise than before.
    disks: BTreeSet<Text>,
    /// Whether instances that found no host may find one now.
    hosts_changed: bool,
    /// Hosts that may offer something else.
    offers: BTreeSet<Uuid>,
}

/// A row that is not what it was, or that is seen for the first time.
pub(crate) trait Changed {
    fn table(&self) -> &str;
    fn row<R: Row>(&self) -> Option<RowChange<'_, R>>;
}

impl Changed for &Change {
    fn table(&self) -> &str {
        Change::table(self).name()
    }

    fn row<R: Row>(&self) -> Option<RowChange<'_, R>> {
        Change::row(self)
    }
}

impl Changed for AnyRow<'_> {
    fn table(&self) -> &str {
        self.def().name()
    }

    fn row<R: Row>(&self) -> Option<RowChange<'_, R>> {
        Some(RowChange { before: None, after: Some(AnyRow::row(*self)?) })
    }
}

/// What was decided.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    pub(crate) instances: BTreeSet<Uuid>,
    pub(crate) volumes: BTreeSet<Uuid>,
    pub(crate) disks: BTreeSet<Text>,
    /// Why instances cannot be placed or moved, and volumes not be made: what more room may mend.
    pub(crate) stuck: BTreeMap<Subject, String>,
    /// The same of what it cannot.
    waiting: BTreeMap<Uuid, String>,
}

impl Damage {
    pub(crate) fn of(subjects: BTreeSet<Subject>) -> Self {
        Self { subjects, ..Self::default() }
    }

    pub(crate) fn add(&mut self, subject: Subject) {
        self.subjects.insert(subject);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.subjects.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.subjects.is_empty() && self.disks.is_empty() && !self.hosts_changed && self.offers.is_empty()
    }

    /// Hosts that may offer something else.
    pub(crate) const fn offers(&self) -> &BTreeSet<Uuid> {
        &self.offers
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.subjects.extend(other.subjects);
        self.disks.extend(other.disks);
        self.hosts_changed |= other.hosts_changed;
        self.offers.extend(other.offers);
    }

    /// Notes what `changes` concern.
    pub(crate) fn note(&mut self, view: &impl Read, changes: impl IntoIterator<Item = impl Changed>) {
        for change in changes {
            self.note_change(view, &change);
        }
    }

    fn note_change(&mut self, view: &impl Read, change: &impl Changed) {
        self.note_use(view, change);
        offers::note(view, change, |host| {
            self.offers.insert(host);
        });
        ports::note(view, change, |vnic| {
            self.subjects.insert(Subject::Port(vnic));
        });
        holds::note(view, change, |volume| {
            self.subjects.insert(Subject::Hold(volume));
        });
        extents::note(view, change, |volume| {
            self.subjects.insert(Subject::Hold(volume));
        });
        remotes::note(view, change, |subject| {
            self.subjects.insert(subject);
        });
        if let Some(row) = change.row::<Instance>() {
            self.instances(row.before.iter().chain(&row.after).map(|it| it.uuid));
            let mem = |row: Option<&Instance>| row.and_then(|it| it.desired.as_ref()).map(|it| it.mem);
            self.hosts_changed |= mem(row.before).is_some() && mem(row.before) != mem(row.after);
        } else if let Some(row) = change.row::<HostInstance>() {
            self.instances(row.before.iter().chain(&row.after).map(|it| it.instance));
            // A placement that ends leaves room for others, and so does a move.
            let target = |row: Option<&HostInstance>| row.and_then(|it| it.desired.as_ref()?.target);
            let is_back = target(row.before).is_some() && target(row.before) != target(row.after);
            self.hosts_changed |= is_back || row.after.is_none_or(|it| it.desired.is_none());
        } else if let Some(row) = change.row::<Pin>() {
            let desired = row.before.iter().chain(&row.after).filter_map(|it| it.desired.as_ref());
            self.instances(desired.map(|it| it.instance));
        } else if let Some(row) = change.row::<Vdisk>() {
            let desired = row.before.iter().chain(&row.after).filter_map(|it| it.desired.as_ref());
            self.instances(desired.map(|it| it.instance));
        } else if let Some(row) = change.row::<AffinityGroupInstance>() {
            let desired = row.before.iter().chain(&row.after).filter_map(|it| it.desired.as_ref());
            self.instances(desired.map(|it| it.instance));
            // It may have been what kept another one from finding a host.
            self.hosts_changed = true;
        } else if change.row::<AffinityGroup>().is_some() {
            self.hosts_changed = true;
        } else if let Some(row) = change.row::<Volume>() {
            row.before.iter().chain(&row.after).for_each(|it| self.volume(it.uuid, Some(*it)));
        } else if let Some(row) = change.row::<HostVolume>() {
            let uuids: BTreeSet<Uuid> = row.before.iter().chain(&row.after).map(|it| it.volume).collect();
            uuids.into_iter().for_each(|uuid| self.volume(uuid, view.get::<Volume>(&uuid)));
            // One that moves waits for the grants of its volumes, and until they have their size, and tells why they do not.
            let said = |it: &HostVolume| it.current.as_ref().map(|it| (it.size, it.error.clone()));
            let waits_for = |row: Option<&HostVolume>| row.map(|it| (it.desired.clone(), said(it)));
            if waits_for(row.before) != waits_for(row.after) {
                let volume = row.after.or(row.before).map(|it| it.volume);
                let disks = volume.into_iter().flat_map(|it| view.table::<Vdisk>().find("volume", it));
                self.instances(disks.filter_map(|it| Some(it.desired.as_ref()?.instance)));
            }
        } else if let Some(row) = change.row::<Image>() {
            self.subjects.extend(row.after.map(|it| Subject::Image(it.uuid)));
        } else if let Some(row) = change.row::<Disk>() {
            self.disks.extend(row.before.iter().chain(&row.after).map(|it| it.id.clone()));
            self.hosts_changed = true;
        } else if let Some(row) = change.row::<HostDisk>() {
            self.disks.extend(row.before.iter().chain(&row.after).map(|it| it.disk.clone()));
            // Volumes that found no room may find it there.
            self.hosts_changed = true;
        } else if let Some(row) = change.row::<Host>() {
            row.after.or(row.before).into_iter().for_each(|it| self.host(view, it.uuid));
        } else if let Some(row) = change.row::<Extent>() {
            self.hosts_changed |= row.after.is_none_or(|it| it.desired.is_none());
        } else if matches!(change.table(), "host_storage_pool" | "host_cpu_profile") {
            self.hosts_changed = true;
        }
    }

    /// What may use something else than before, or be metered otherwise.
    fn note_use(&mut self, view: &impl Read, change: &impl Changed) {
        let mut metered = |uuid: Option<Uuid>| self.subjects.extend(uuid.map(Subject::Metered));
        if let Some(row) = change.row::<Instance>() {
            let tenant = |row: Option<&Instance>| row.and_then(|it| it.desired.as_ref()?.tenant);
            let uuid = row.after.or(row.before).map(|it| it.uuid);
            metered(uuid);
            // Its addresses are its owner's.
            for vnic in uuid
                .into_iter()
                .filter(|_| tenant(row.before) != tenant(row.after))
                .flat_map(|uuid| view.table::<Vnic>().find("instance", uuid))
            {
                view.table::<Address>().find("vnic", vnic.uuid).for_each(|it| metered(Some(it.uuid)));
            }
        } else if let Some(row) = change.row::<Volume>() {
            metered(row.after.or(row.before).map(|it| it.uuid));
        } else if let Some(row) = change.row::<Switch>() {
            metered(row.after.or(row.before).map(|it| it.uuid));
        } else if let Some(row) = change.row::<Address>() {
            metered(row.after.or(row.before).map(|it| it.uuid));
        } else if let Some(row) = change.row::<Metering>() {
            metered(row.after.or(row.before).and_then(|it| it.desired.as_ref()?.target));
        }
    }

    fn instances(&mut self, uuids: impl Iterator<Item = Uuid>) {
        self.subjects.extend(uuids.map(Subject::Instance));
    }

    fn volume(&mut self, uuid: Uuid, row: Option<&Volume>) {
        self.subjects.insert(Subject::Volume(uuid));
        let image = row.and_then(|row| row.desired.as_ref()?.image);
        self.subjects.extend(image.map(Subject::Image));
    }

    /// A host's presence or order changed: all that is placed on it, and what waits to be gone with it.
    fn host(&mut self, view: &impl Read, host: Uuid) {
        self.hosts_changed = true;
        self.subjects.insert(Subject::Host(host));
        for column in ["host", "target"] {
            self.instances(view.table::<HostInstance>().find(column, host).map(|row| row.instance));
        }
        for pool in view.table::<StoragePool>().find("host", host) {
            let deleted =
                |row: &&Volume| row.desired.as_ref().is_some_and(|it| it.state == VolumeState::Deleted);
            let volumes = view.table::<Volume>().find("storage_pool", pool.uuid).filter(deleted);
            self.subjects.extend(volumes.map(|row| Subject::Volume(row.uuid)));
        }
    }
}

/// What decisions are made from, besides the damage.
pub(crate) struct Deciding<'a, R> {
    pub(crate) view: &'a R,
    pub(crate) distribution: &'a Distribution,
    pub(crate) hosts: &'a mut Hosts,
    /// The instances and volumes that found no host so far.
    pub(crate) stuck: &'a BTreeSet<Subject>,
    /// The serial number of the next placement.
    pub(crate) serial: &'a mut i64,
    /// Unix time, s.
    pub(crate) now_unix_s: i64,
}

impl<R: Read> Deciding<'_, R> {
    /// Decides about all that is damaged, and says so in `writes`. What is being written at the moment waits until it is
    /// known how that ended.
    pub(crate) fn decide(&mut self, damage: Damage, writes: &mut Writes, offers: &mut Offers) -> Settled {
        let mut subjects = damage.subjects;
        offers.forget(damage.offers);
        subjects.retain(|subject| match subject {
            Subject::Metered(target) => {
                writes.meter(*target, self.now_unix_s);
                false
            }
            _ => true,
        });
        if damage.hosts_changed {
            subjects.extend(self.stuck.iter().copied());
            // What waits for an image of another host may find it now.
            let volumes = self.stuck.iter().map(Subject::volume);
            subjects.extend(volumes.flat_map(|it| remotes::images(self.view, it)).map(Subject::Image));
        }
        // Either tells users about the volume, which takes both.
        let volumes: Vec<Uuid> = subjects.iter().filter_map(Subject::volume).collect();
        subjects.extend(volumes.into_iter().flat_map(|it| [Subject::Volume(it), Subject::Hold(it)]));
        let (busy, free): (Vec<_>, Vec<_>) = subjects.into_iter().partition(|it| writes.is_in_flight(*it));
        free.iter().for_each(|subject| writes.want(*subject, None));
        let mut wanted = Vec::with_capacity(free.len());
        let mut round = Round::new(writes.placements(), writes.claims(), offers, *self.serial);
        let mut settled = Settled { disks: damage.disks, ..Settled::default() };
        busy.into_iter().for_each(|subject| settled.note(subject));
        for subject in free {
            settled.note(subject);
            let ops = self.decide_one(subject, &mut round, &mut settled);
            wanted.push((subject, ops));
        }
        *self.serial = round.serial;
        wanted.into_iter().for_each(|(subject, ops)| writes.want(subject, ops));
        settled
    }

    fn decide_one(&mut self, subject: Subject, round: &mut Round<'_>, settled: &mut Settled) -> Vec<RowOp> {
        let (op, stuck) = match subject {
            Subject::Host(uuid) => (self.hosts.decide(self.view, uuid), None),
            Subject::Instance(uuid) => match instances::decide(self.view, round, uuid) {
                Decision::Nothing => (None, None),
                Decision::Write(ops) => return ops,
                Decision::Stuck(why) => (None, Some(why)),
                Decision::Waiting(why) => {
                    settled.waiting.insert(uuid, why);
                    (None, None)
                }
            },
            Subject::Volume(uuid) => {
                let hosts = hosts_of_volume(self.view, self.distribution, uuid);
                (volumes::decide_volume(self.view, &hosts, uuid), None)
            }
            Subject::Hold(uuid) => {
                let verdict = holds::decide(self.view, round, uuid);
                let stuck = verdict.stuck.or_else(|| remotes::obstacle(self.view, uuid));
                settled.stuck.extend(stuck.map(|why| (subject, why)));
                return verdict.ops;
            }
            Subject::Image(uuid) => {
                let filled = volumes::decide_image(self.view, uuid);
                return filled.into_iter().chain(remotes::decide(self.view, uuid)).collect();
            }
            Subject::Port(vnic) => (ports::decide(self.view, vnic), None),
            // When there is room to write it.
            Subject::Metered(_) => (None, None),
        };
        settled.stuck.extend(stuck.map(|why| (subject, why)));
        op.into_iter().collect()
    }
}

impl Settled {
    /// Why it waits.
    pub(crate) fn why(&self, subject: Subject) -> Option<&str> {
        let waiting = || if let Subject::Instance(uuid) = subject { self.waiting.get(&uuid) } else { None };
        self.stuck.get(&subject).or_else(waiting).map(String::as_str)
    }

    /// What was decided about, of what may be stuck.
    pub(crate) fn subjects(&self) -> impl Iterator<Item = Subject> {
        let volumes = self.volumes.iter().flat_map(|it| [Subject::Volume(*it), Subject::Hold(*it)]);
        self.instances.iter().map(|it| Subject::Instance(*it)).chain(volumes)
    }

    fn note(&mut self, subject: Subject) {
        match subject {
            Subject::Instance(uuid) => drop(self.instances.insert(uuid)),
            Subject::Volume(uuid) | Subject::Hold(uuid) => drop(self.volumes.insert(uuid)),
            Subject::Host(_) | Subject::Image(_) | Subject::Port(_) | Subject::Metered(_) => {}
        }
    }
}

fn hosts_of_volume(view: &impl Read, distribution: &Distribution, volume: Uuid) -> Vec<Uuid> {
    let Some(table) = view.any("volume") else { return Vec::new() };
    distribution.hosts_of(&(table.def().id(), Key::one(volume)))
}
