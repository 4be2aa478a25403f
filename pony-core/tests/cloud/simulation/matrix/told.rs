//! What users are told of the scene, and whether it is so.

use super::super::users::uuid_of;
use super::scene::Scene;
use pony_core::tables::{
    Bond, DataStatus, Instance, InstanceState, InstanceStatus, NetRole, Volume, VolumeState,
};
use pony_state::{Read, Snapshot};
use serde_json::json;
use uuid::Uuid;

/// What a transition is of.
enum Subject {
    Instance,
    Switch,
    Volume,
    Bond,
}

impl Subject {
    /// By the beginning of its name.
    fn of(name: &str) -> Self {
        match name {
            _ if name.starts_with("bond") || name.starts_with("role") => Self::Bond,
            _ if name.starts_with("instance") || name.starts_with("card") => Self::Instance,
            _ if name.starts_with("switch") => Self::Switch,
            _ => Self::Volume,
        }
    }
}

/// What users are told.
#[derive(Debug)]
pub(super) struct Told {
    is_as_ordered: bool,
    reasons: Vec<String>,
}

impl Scene {
    /// What of the instance, of the bond, or of the volume, is not as ordered, although users are told that it is.
    pub(super) fn lie(&self, of: &str) -> Option<String> {
        let told = self.told(of)?;
        self.difference_of(of).filter(|_| told.is_as_ordered && told.reasons.is_empty())
    }

    /// Whether it is as ordered, or users are told why not.
    pub(super) fn tells(&self, of: &str, cause: &str) -> bool {
        let told = self.told(of);
        let is_told = told.is_none_or(|it| it.reasons.iter().any(|reason| reason.contains(cause)));
        is_told || self.difference_of(of).is_none()
    }

    fn difference_of(&self, of: &str) -> Option<String> {
        match Subject::of(of) {
            Subject::Bond => self.uplink_difference(),
            Subject::Instance | Subject::Switch => {
                let order = self.world.store.database.get("instance", self.instance)?;
                self.world.instance_difference(order)
            }
            Subject::Volume => self.volume_difference(),
        }
    }

    /// What users see of it: as `pony explain`, with what it waits for. Nothing where nobody is there to tell, and where
    /// it has no row any more that could.
    pub(super) fn told(&self, of: &str) -> Option<Told> {
        let snapshot = self.world.controller.as_ref()?.snapshot();
        match Subject::of(of) {
            Subject::Bond => {
                self.world.store.database.get("bond", self.bond)?;
                let (bond, role) = (snapshot.get::<Bond>(&self.bond)?, snapshot.get::<NetRole>(&self.role)?);
                let (bond, role) = (bond.current.as_ref(), role.current.as_ref());
                let errors = [bond.and_then(|it| it.error.as_ref()), role.and_then(|it| it.error.as_ref())];
                // It is there, with or without a carrier: what it is made of is told by no row.
                Some(Told {
                    is_as_ordered: false,
                    reasons: errors.into_iter().flatten().map(ToString::to_string).collect(),
                })
            }
            Subject::Instance => {
                let row = snapshot.get::<Instance>(&self.instance)?;
                let (desired, current) = (row.desired.as_ref()?, row.current.as_ref());
                let status = current.map(|it| it.status);
                let is_as_ordered = match desired.state {
                    InstanceState::Running => status == Some(InstanceStatus::Running),
                    InstanceState::Paused => status == Some(InstanceStatus::Paused),
                    _ => matches!(status, None | Some(InstanceStatus::Stopped)),
                };
                let own = current.and_then(|it| it.error.as_ref()).map(ToString::to_string);
                let volumes = self.volumes().into_iter().flat_map(|it| self.reasons_of(&snapshot, it));
                Some(Told { is_as_ordered, reasons: own.into_iter().chain(volumes).collect() })
            }
            // That a switch is being changed is told by no row: what keeps it from that is.
            Subject::Switch => Some(Told { is_as_ordered: false, ..self.told("instance")? }),
            Subject::Volume => {
                let row = snapshot.get::<Volume>(&self.volume)?;
                let (desired, current) = (row.desired.as_ref()?, row.current.as_ref());
                let is_ready = current.is_some_and(|it| it.status == DataStatus::Ready);
                let is_as_ordered = is_ready && desired.state != VolumeState::Deleted;
                Some(Told { is_as_ordered, reasons: self.reasons_of(&snapshot, self.volume) })
            }
        }
    }

    /// The volumes of the instance.
    fn volumes(&self) -> Vec<Uuid> {
        let disks = self.world.store.database.table("vdisk");
        let own = disks.filter(|it| it["instance"] == json!(self.instance));
        own.filter_map(|it| uuid_of(it, "volume")).collect()
    }

    /// Why a volume is not as ordered: its own words, and those of the image that it is filled from.
    fn reasons_of(&self, snapshot: &Snapshot, volume: Uuid) -> Vec<String> {
        let error =
            |it: Uuid| Some(snapshot.get::<Volume>(&it)?.current.as_ref()?.error.as_ref()?.to_string());
        let base = self.world.store.database.get("volume", volume).and_then(|it| uuid_of(it, "base_image"));
        let copies = self.world.store.database.table("volume").filter(|it| uuid_of(it, "image") == base);
        let copies = copies.filter(|_| base.is_some()).filter_map(|it| uuid_of(it, "uuid"));
        [volume].into_iter().chain(copies).filter_map(error).collect()
    }

    /// Trouble that is told of anything where all is as ordered.
    pub(super) fn trouble(&self) -> Option<String> {
        let subjects = ["instance", "volume", "bond"];
        subjects.into_iter().find_map(|of| self.told(of)?.reasons.into_iter().next())
    }
}
