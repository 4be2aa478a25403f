//! Images that a host reads from another one: rows of `host_image`, each of which lets one host read one copy.
//!
//! A host that is to fill a volume from an image, and reaches no pool with a copy of it, is told of one that another host has
//! whole; that one is told, by the same row, to let just this host read just that volume. A copy in reach is nearer, and
//! what an image can be downloaded from is its own affair: then there is no such row. It stays until the volume is filled, or
//! not wanted any more. Where the host that has the copy is away it stays as well, unless another one has a copy: what was
//! told of it is true again when it is back, and if not (its key is another one after each start), it is told anew.
//!
//! What it lets be read backs an image, and hence nobody writes to it. So nothing has to be waited for, and the row is no
//! lock: an order to delete the copy ends it.

use super::damage::Changed;
use super::instances::{host_name, is_present};
use super::moves::way_to;
use super::volumes::{is_ready, status_on};
use super::writes::Subject;
use super::{holds, ops};
use crate::tables::{
    DataStatus, Host, HostImage, HostImageDesired, HostVolume, Image, StoragePool, Vdisk, Volume,
    VolumeDesired, VolumeState,
};
use pony_state::{Read, RowOp};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Calls `damaged` with what may have become wrong by a change: images that hosts may have to read otherwise than before, and
/// volumes that wait for another reason.
pub(crate) fn note(view: &impl Read, change: &impl Changed, mut damaged: impl FnMut(Subject)) {
    let mut filled = |image: Uuid| damaged(Subject::Image(image));
    if let Some(row) = change.row::<Volume>() {
        row.before.iter().chain(&row.after).flat_map(|it| images_of(it)).for_each(filled);
    } else if let Some(row) = change.row::<Vdisk>() {
        let desired = row.before.iter().chain(&row.after).filter_map(|it| it.desired.as_ref());
        let images = desired.flat_map(|it| it.image.into_iter().chain(images(view, it.volume)));
        images.for_each(filled);
    } else if let Some(row) = change.row::<HostVolume>() {
        let said = |it: Option<&HostVolume>| {
            it.map(|it| (it.desired.clone(), it.current.as_ref().map(|it| it.status)))
        };
        // It says more often how far it has come.
        let is_news = said(row.before) != said(row.after);
        let volume = row.after.or(row.before).filter(|_| is_news).map(|it| it.volume);
        images(view, volume).for_each(&mut filled);
        let backed = volume.and_then(|it| view.get::<Volume>(&it)?.desired.as_ref()?.image);
        backed.into_iter().for_each(|it| all_about(view, it, &mut damaged));
    } else if let Some(row) = change.row::<HostImage>() {
        let desired = |it: Option<&HostImage>| it.and_then(|it| it.desired.clone());
        if desired(row.before) != desired(row.after) {
            row.after.or(row.before).iter().for_each(|it| all_about(view, it.image, &mut damaged));
        }
    } else if let Some(row) = change.row::<Host>() {
        let said = |it: Option<&Host>| {
            it.and_then(|it| it.current.as_ref()).map(|it| (it.status, it.migration.clone()))
        };
        if let Some(host) = row.after.or(row.before).filter(|_| said(row.before) != said(row.after)) {
            let rows = ["host", "source"].map(|column| view.table::<HostImage>().find(column, host.uuid));
            rows.into_iter().flatten().for_each(|it| all_about(view, it.image, &mut damaged));
        }
    }
}

/// An image, and the volumes that are not filled from it yet.
fn all_about(view: &impl Read, image: Uuid, damaged: &mut impl FnMut(Subject)) {
    damaged(Subject::Image(image));
    for column in ["base_image", "image"] {
        let volumes = view.table::<Volume>().find(column, image);
        volumes.for_each(|it| damaged(Subject::Hold(it.uuid)));
    }
}

/// What it is filled from, and what it backs.
fn images_of(volume: &Volume) -> impl Iterator<Item = Uuid> {
    volume.desired.iter().flat_map(|it| [it.base_image, it.image]).flatten()
}

/// The same for a volume that may be there.
pub(crate) fn images(view: &impl Read, volume: Option<Uuid>) -> impl Iterator<Item = Uuid> {
    volume.and_then(|it| view.get::<Volume>(&it)).into_iter().flat_map(images_of)
}

/// The image that a volume is to be filled from by the host that makes it, as long as it is not.
fn unfilled(view: &impl Read, row: &Volume) -> Option<(Uuid, Uuid)> {
    let order = row.desired.as_ref().filter(|it| it.base_volume.is_none())?;
    let image = order.base_image.or(order.image)?;
    let pool = view.get::<StoragePool>(&order.storage_pool)?.desired.as_ref()?;
    let host = pool.host.or_else(|| Some(holds::holder(view, row.uuid)?.0.host))?;
    let is_wanted = match order.state {
        VolumeState::Present => true,
        VolumeState::Optional => is_needed(view, row.uuid, order),
        VolumeState::Deleted => false,
    };
    let is_filled = status_on(view, host, row.uuid) == Some(DataStatus::Ready);
    (is_wanted && !is_filled).then_some((image, host))
}

/// Whether somebody has use of an optional volume.
fn is_needed(view: &impl Read, volume: Uuid, order: &VolumeDesired) -> bool {
    let shows = view.table::<Vdisk>().find("volume", volume).any(|it| it.desired.is_some());
    shows || order.image.is_some_and(|image| holds::is_used(view, image))
}

/// The hosts that have to read an image from another one.
fn readers(view: &impl Read, image: Uuid) -> BTreeSet<Uuid> {
    let volumes = ["base_image", "image"].map(|column| view.table::<Volume>().find(column, image));
    let hosts = volumes.into_iter().flatten().filter_map(|it| unfilled(view, it));
    let mut hosts: BTreeSet<Uuid> = hosts.filter(|(of, _)| *of == image).map(|(_, host)| host).collect();
    hosts.retain(|host| must_read(view, image, *host));
    hosts
}

/// Whether there is no other way to the image for a host.
fn must_read(view: &impl Read, image: Uuid, host: Uuid) -> bool {
    let row = view.get::<Image>(&image).and_then(|it| it.desired.as_ref());
    row.is_some_and(|it| it.source_uri.is_none()) && !reaches(view, image, host)
}

/// The volumes that back an image, and are to stay.
fn backing(view: &impl Read, image: Uuid) -> impl Iterator<Item = (Uuid, &VolumeDesired)> {
    let stays = move |it: &&VolumeDesired| it.image == Some(image) && it.state != VolumeState::Deleted;
    let volumes = view.table::<Volume>().find("image", image);
    volumes.filter_map(move |it| Some((it.uuid, it.desired.as_ref().filter(stays)?)))
}

/// Whether the host has a copy in reach, in a pool of its own or of several hosts.
fn reaches(view: &impl Read, image: Uuid, host: Uuid) -> bool {
    backing(view, image).any(|(volume, order)| {
        let pool = view.get::<StoragePool>(&order.storage_pool).and_then(|it| it.desired.as_ref());
        match pool.map(|it| it.host) {
            Some(Some(owner)) => owner == host && status_on(view, host, volume) == Some(DataStatus::Ready),
            Some(None) => is_ready(view, volume) && holds::sees_pool(view, host, order.storage_pool),
            None => false,
        }
    })
}

/// The finished copies of an image, and the hosts that have them.
fn copies(view: &impl Read, image: Uuid) -> impl Iterator<Item = (Uuid, &Host)> {
    backing(view, image).flat_map(move |(volume, _)| {
        let rows = view.table::<HostVolume>().find("volume", volume);
        let ready = rows.filter(|it| it.current.as_ref().is_some_and(|it| it.status == DataStatus::Ready));
        ready.filter_map(move |it| Some((volume, view.get::<Host>(&it.host)?)))
    })
}

/// What a host is to read: as before, where that can be. Or why there is nothing, as far as anybody knows of a copy.
fn choose(
    view: &impl Read,
    image: Uuid,
    reader: Uuid,
    before: Option<&HostImageDesired>,
) -> Result<HostImageDesired, Option<String>> {
    let others = || copies(view, image).filter(|(_, it)| it.uuid != reader);
    if others().next().is_none() {
        return Err(None);
    }
    let Some(origin) = way_to(view, reader) else {
        let name = view.get::<Host>(&reader).map_or_else(|| reader.to_string(), host_name);
        return Err(Some(format!(
            "image {image} lies on other hosts only, and host {name} exchanges nothing with them: see to it that \
             Twilight has an address there (--migration)"
        )));
    };
    let usable = others().filter_map(|(volume, host)| {
        let way = way_to(view, host.uuid).filter(|_| is_present(host))?;
        Some(HostImageDesired { volume, source: host.uuid, way, origin: origin.clone() })
    });
    let was =
        |it: &HostImageDesired| before.is_some_and(|was| (was.volume, was.source) == (it.volume, it.source));
    // Many that read at once do not all ask the same one.
    let spread = |it: &HostImageDesired| it.source.as_u128() ^ it.volume.as_u128() ^ reader.as_u128();
    usable.min_by_key(|it| (!was(it), spread(it))).ok_or_else(|| {
        let (_, host) = others().next()?;
        let what = if is_present(host) { "exchanges nothing with others" } else { "is silent" };
        Some(format!(
            "image {image} lies on host {} only, which {what}: it is read once that is over",
            host_name(host)
        ))
    })
}

/// What is to be written about which hosts read an image.
pub(crate) fn decide(view: &impl Read, image: Uuid) -> Vec<RowOp> {
    let rows = view.table::<HostImage>().find("image", image);
    let told: BTreeMap<Uuid, &HostImageDesired> =
        rows.filter_map(|it| Some((it.host, it.desired.as_ref()?))).collect();
    let wanted = readers(view, image);
    let hosts: BTreeSet<Uuid> = told.keys().chain(&wanted).copied().collect();
    let decide_one = |host: Uuid| {
        let key = [("host", json!(host)), ("image", json!(image))];
        let before = told.get(&host).copied();
        let stands = |it: &HostImageDesired| backing(view, image).any(|(volume, _)| volume == it.volume);
        let chosen = wanted.contains(&host).then(|| choose(view, image, host, before));
        match (before, chosen) {
            (Some(before), Some(Ok(chosen))) if *before == chosen => None,
            (Some(before), Some(Err(_))) if stands(before) => None,
            (Some(_), Some(Ok(chosen))) => Some(ops::update("host_image", key, columns(&chosen))),
            (Some(_), _) => Some(ops::delete("host_image", key)),
            (None, Some(Ok(chosen))) => {
                let ([host, image], [volume, source, way, origin]) = (key, columns(&chosen));
                Some(ops::insert("host_image", [host, image, volume, source, way, origin]))
            }
            (None, _) => None,
        }
    };
    hosts.into_iter().filter_map(decide_one).collect()
}

fn columns(it: &HostImageDesired) -> [(&'static str, serde_json::Value); 4] {
    [
        ("volume", json!(it.volume)),
        ("source", json!(it.source)),
        ("way", json!(&*it.way)),
        ("origin", json!(&*it.origin)),
    ]
}

/// Why a volume cannot be filled yet whose image lies on other hosts only.
pub(crate) fn obstacle(view: &impl Read, volume: Uuid) -> Option<String> {
    let (image, host) = unfilled(view, view.get::<Volume>(&volume)?)?;
    must_read(view, image, host).then(|| choose(view, image, host, None).err()).flatten().flatten()
}

/// Whether a host could read the image from another one.
pub(crate) fn can_read(view: &impl Read, image: Uuid, host: Uuid) -> bool {
    choose(view, image, host, None).is_ok()
}
