//! The life of volumes and images, as far as it is written by the controller: a filled volume becomes independent
//! of what it was filled from, an image whose volumes are all filled forgets its source, and a deleted volume's
//! row goes once every host concerned has said that the data are gone.

use super::extents;
use super::holds;
use super::instances::is_fenced;
use super::ops;
use crate::tables::{DataStatus, HostVolume, HostVolumeCurrent, Image, Volume, VolumeState};
use pony_state::{Read, RowOp};
use serde_json::{Value as Json, json};
use uuid::Uuid;

/// What to write about a volume. `hosts`: those that it concerns.
pub(crate) fn decide_volume(view: &impl Read, hosts: &[Uuid], volume: Uuid) -> Option<RowOp> {
    let order = view.get::<Volume>(&volume)?.desired.as_ref()?;
    let key = [("uuid", json!(volume))];
    if order.state == VolumeState::Deleted && holds::is_shared_pool(view, order) {
        // Whatever else hosts saw of it, one of them had it for itself when it removed it.
        let gone = holds::holder(view, volume).is_some_and(|(row, grant)| {
            row.current.as_ref().is_some_and(|it| is_deleted(it) && it.serial == Some(grant.serial))
        });
        return (gone && !extents::is_mapped(view, volume, order)).then(|| ops::delete("volume", key));
    }
    if order.state == VolumeState::Deleted {
        // What lies on a host that is known to be dead is gone with it: nothing may be undeletable. Without any
        // host that it concerns nobody can say so: it goes with its pool then.
        let gone = |host: &Uuid| is_fenced(view, *host) || is_deleted_on(view, *host, volume);
        return (!hosts.is_empty() && hosts.iter().all(gone)).then(|| ops::delete("volume", key));
    }
    let sourced = order.base_image.is_some() || order.base_volume.is_some();
    let filled =
        sourced && hosts.iter().any(|host| status_on(view, *host, volume) == Some(DataStatus::Ready));
    filled.then(|| ops::update("volume", key, [("base_image", Json::Null), ("base_volume", Json::Null)]))
}

/// What to write about an image.
pub(crate) fn decide_image(view: &impl Read, image: Uuid) -> Option<RowOp> {
    view.get::<Image>(&image)?.desired.as_ref()?.source_uri.as_ref()?;
    let mut backing = view
        .table::<Volume>()
        .find("image", image)
        .filter(|row| {
            row.desired.as_ref().is_some_and(|it| it.state != VolumeState::Deleted && it.image == Some(image))
        })
        .peekable();
    backing.peek()?;
    backing
        .all(|row| is_ready(view, row.uuid))
        .then(|| ops::update("image", [("uuid", json!(image))], [("source_uri", Json::Null)]))
}

/// Whether a host has the volume whole.
pub(crate) fn is_ready(view: &impl Read, volume: Uuid) -> bool {
    let ready = |row: &HostVolume| row.current.as_ref().is_some_and(|it| it.status == DataStatus::Ready);
    view.table::<HostVolume>().find("volume", volume).any(ready)
}

/// Whether the host has said that it removed all that there was of it, as ordered.
fn is_deleted_on(view: &impl Read, host: Uuid, volume: Uuid) -> bool {
    let row = view.get::<HostVolume>(&(host, volume));
    row.and_then(|row| row.current.as_ref()).is_some_and(is_deleted)
}

/// Whether the host says that it removed all that there was of it, as ordered.
pub(super) fn is_deleted(told: &HostVolumeCurrent) -> bool {
    told.deleted && told.status == DataStatus::Absent
}

pub(super) fn status_on(view: &impl Read, host: Uuid, volume: Uuid) -> Option<DataStatus> {
    Some(view.get::<HostVolume>(&(host, volume))?.current.as_ref()?.status)
}
