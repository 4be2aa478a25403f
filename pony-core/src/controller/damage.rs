//! What a commit may have made wrong, and the decisions about exactly that.

use super::distribution::Distribution;
use super::instances::{self, Candidates, Decision};
use super::volumes;
use super::writes::{Subject, Writes};
use crate::tables::{
    AffinityGroupInstance, Host, HostInstance, HostVolume, Image, Instance, StoragePool, Vdisk, Volume,
    VolumeState,
};
use pony_state::{Change, Key, Read};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Subjects to decide about again.
#[derive(Debug, Default)]
pub(crate) struct Damage {
    subjects: BTreeSet<Subject>,
    /// Whether instances that found no host may find one now.
    hosts_changed: bool,
}

/// What was decided.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    pub(crate) instances: BTreeSet<Uuid>,
    pub(crate) volumes: BTreeSet<Uuid>,
    /// Why instances cannot be placed or moved.
    pub(crate) stuck: BTreeMap<Uuid, String>,
}

impl Damage {
    pub(crate) fn of(subjects: BTreeSet<Subject>) -> Self {
        Self { subjects, hosts_changed: false }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.subjects.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.subjects.is_empty() && !self.hosts_changed
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.subjects.extend(other.subjects);
        self.hosts_changed |= other.hosts_changed;
    }

    /// Notes what `changes` concern.
    pub(crate) fn note(&mut self, view: &impl Read, changes: &[Change]) {
        for change in changes {
            self.note_change(view, change);
        }
    }

    fn note_change(&mut self, view: &impl Read, change: &Change) {
        if let Some(row) = change.row::<Instance>() {
            self.instances(row.before.iter().chain(&row.after).map(|it| it.uuid));
        } else if let Some(row) = change.row::<HostInstance>() {
            self.instances(row.before.iter().chain(&row.after).map(|it| it.instance));
            // A placement that ends leaves room for others.
            self.hosts_changed |= row.after.is_none_or(|it| it.desired.is_none());
        } else if let Some(row) = change.row::<Vdisk>() {
            let desired = row.before.iter().chain(&row.after).filter_map(|it| it.desired.as_ref());
            self.instances(desired.map(|it| it.instance));
        } else if let Some(row) = change.row::<AffinityGroupInstance>() {
            let desired = row.before.iter().chain(&row.after).filter_map(|it| it.desired.as_ref());
            self.instances(desired.map(|it| it.instance));
        } else if let Some(row) = change.row::<Volume>() {
            row.before.iter().chain(&row.after).for_each(|it| self.volume(it.uuid, Some(*it)));
        } else if let Some(row) = change.row::<HostVolume>() {
            let uuids: BTreeSet<Uuid> = row.before.iter().chain(&row.after).map(|it| it.volume).collect();
            uuids.into_iter().for_each(|uuid| self.volume(uuid, view.get::<Volume>(&uuid)));
        } else if let Some(row) = change.row::<Image>() {
            self.subjects.extend(row.after.map(|it| Subject::Image(it.uuid)));
        } else if let Some(row) = change.row::<Host>() {
            row.after.or(row.before).into_iter().for_each(|it| self.host(view, it.uuid));
        } else if matches!(change.table().name(), "host_storage_pool" | "host_cpu_profile") {
            self.hosts_changed = true;
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
        self.instances(view.table::<HostInstance>().find("host", host).map(|row| row.instance));
        for pool in view.table::<StoragePool>().find("host", host) {
            let deleted =
                |row: &&Volume| row.desired.as_ref().is_some_and(|it| it.state == VolumeState::Deleted);
            let volumes = view.table::<Volume>().find("storage_pool", pool.uuid).filter(deleted);
            self.subjects.extend(volumes.map(|row| Subject::Volume(row.uuid)));
        }
    }
}

/// Decides about all that is damaged. `stuck` names the instances that found no host so far.
pub(crate) fn decide(
    view: &impl Read,
    distribution: &Distribution,
    damage: Damage,
    stuck: &BTreeSet<Uuid>,
    writes: &mut Writes,
) -> Settled {
    let mut settled = Settled::default();
    let mut candidates = None;
    let mut subjects = damage.subjects;
    if damage.hosts_changed {
        subjects.extend(stuck.iter().copied().map(Subject::Instance));
    }
    for subject in subjects {
        let busy = writes.is_in_flight(subject);
        let op = match subject {
            Subject::Instance(uuid) => {
                settled.instances.insert(uuid);
                let candidates = candidates.get_or_insert_with(|| Candidates::gather(view));
                match instances::decide(view, candidates, uuid) {
                    Decision::Nothing => None,
                    Decision::Write(op) => Some(op),
                    Decision::Stuck(why) => {
                        settled.stuck.insert(uuid, why);
                        None
                    }
                }
            }
            Subject::Volume(uuid) => {
                settled.volumes.insert(uuid);
                volumes::decide_volume(view, &hosts_of_volume(view, distribution, uuid), uuid)
            }
            Subject::Image(uuid) => volumes::decide_image(view, uuid),
            Subject::Host(_) => None,
        };
        if !busy {
            writes.want(subject, op);
        }
    }
    settled
}

fn hosts_of_volume(view: &impl Read, distribution: &Distribution, volume: Uuid) -> Vec<Uuid> {
    let Some(table) = view.any("volume") else { return Vec::new() };
    distribution.hosts_of(&(table.def().id(), Key::one(volume)))
}
