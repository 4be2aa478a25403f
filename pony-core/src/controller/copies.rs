//! Volumes of pools of one host that go along with an instance which moves: its emulator copies them, while it runs, into
//! pools of the other host.
//!
//! A copy is a row of `host_volume` that names such a pool, and the volume lies where it lay: only the transaction that hands
//! over the placement makes the copy the volume. That happens by one word alone: that the source *sent* the instance, which
//! then has been copied to its last byte. Whatever else the source says when it lets go of it (the guest went off on its way,
//! nobody remembers what became of it), the volume is the one that it has. So nothing is lost by a move that ends early, and
//! of the two only one is ever written to by a guest. The other one is removed: its row says so until its host has done it.

use super::instances::{Round, placement_of};
use super::{moves, ops, volumes};
use crate::pool;
use crate::tables::{
    HostInstance, HostStoragePool, HostVolume, HostVolumeDesired, PoolStatus, Quota, StoragePool,
    StoragePoolDesired, StoragePoolType, Vdisk, Volume, VolumeDesired, VolumeHold, VolumeState,
};
use pony_state::{Read, RowOp};
use serde_json::{Value as Json, json};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// A volume that is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Copy {
    volume: Uuid,
    /// The pool that it lies in.
    from: Uuid,
    /// The pool that it goes to.
    to: Uuid,
}

/// The instance's volumes that its host alone reaches, and their pools.
fn own_volumes(
    view: &impl Read,
    instance: Uuid,
) -> impl Iterator<Item = (Uuid, &VolumeDesired, &StoragePoolDesired)> {
    view.joined::<Vdisk, Volume>("instance", instance).filter_map(move |(_, volume)| {
        let order = volume.desired.as_ref()?;
        let pool = view.get::<StoragePool>(&order.storage_pool)?.desired.as_ref()?;
        pool.host.map(|_| (volume.uuid, order, pool))
    })
}

/// The pools of the instance's volumes that belong to one host.
pub(super) fn own_pools(view: &impl Read, instance: Uuid) -> BTreeSet<Uuid> {
    own_volumes(view, instance).map(|(_, order, _)| order.storage_pool).collect()
}

/// Where on a host each of the instance's volumes would go that it does not reach; or why one cannot.
pub(super) fn places(view: &impl Read, instance: Uuid, host: Uuid) -> Result<Vec<Copy>, String> {
    let (mut copies, mut taken) = (Vec::new(), BTreeMap::new());
    for (volume, order, pool) in own_volumes(view, instance) {
        let size = copied_size(view, instance, volume, order, pool)?;
        let to = pick(view, host, order, pool, size, &taken);
        let to = to.ok_or_else(|| {
            format!(
                "no pool of that host is like that of volume {volume}, which only its own host reaches, and has \
                 {size} MiB free"
            )
        })?;
        *taken.entry(to).or_default() += size;
        copies.push(Copy { volume, from: order.storage_pool, to });
    }
    Ok(copies)
}

/// How large the copy of a volume is, MiB.
fn copied_size(
    view: &impl Read,
    instance: Uuid,
    volume: Uuid,
    order: &VolumeDesired,
    pool: &StoragePoolDesired,
) -> Result<i64, String> {
    let mut users = view.table::<Vdisk>().find("volume", volume).filter_map(|it| it.desired.as_ref());
    if users.any(|it| it.instance != instance) {
        return Err(format!("other instances use volume {volume}, too, which only its own host reaches"));
    }
    if order.image.is_some() || order.state != VolumeState::Present {
        return Err(format!("volume {volume} backs an image, or is not to stay: it is not copied"));
    }
    let mut rows = view.table::<HostVolume>().find("volume", volume);
    if rows.any(|it| copy_of(it).is_some()) {
        return Err(format!("an earlier copy of volume {volume} is still being removed"));
    }
    let told = pool.host.and_then(|host| view.get::<HostVolume>(&(host, volume))?.current.as_ref()?.size);
    // A volume group rounds up what is ordered.
    let fits = |has: i64, size: i64| has == size || (pool.kind == StoragePoolType::Lvm && has > size);
    match order.size.zip(told) {
        Some((size, has)) if fits(has, size) => Ok(size),
        _ => Err(format!("volume {volume} has not the size yet that is ordered")),
    }
}

/// The pool of the host with the most room among those that are like that of the volume.
fn pick(
    view: &impl Read,
    host: Uuid,
    order: &VolumeDesired,
    pool: &StoragePoolDesired,
    size: i64,
    taken: &BTreeMap<Uuid, i64>,
) -> Option<Uuid> {
    let format =
        |it: &StoragePoolDesired| pool::backend(it.kind, &it.config).ok().map(|it| it.usual_format());
    let is_like = |it: &StoragePoolDesired| {
        it.kind == pool.kind
            && it.shareable == pool.shareable
            && (order.format.is_some() || format(it) == format(pool))
    };
    let pools = view.table::<StoragePool>().find("host", host);
    let room = |it: &StoragePool| {
        let desired = it.desired.as_ref().filter(|it| is_like(it))?;
        if is_limited(view, order.tenant, it.uuid) {
            return None;
        }
        let free = free_mib(view, host, it.uuid, desired)? - taken.get(&it.uuid).unwrap_or(&0);
        (free >= size).then_some((free, Reverse(it.uuid)))
    };
    pools.filter_map(room).max().map(|(_, Reverse(uuid))| uuid)
}

/// Whether the tenant has a quota for just this pool: where it is used up, the placement could not be handed over.
fn is_limited(view: &impl Read, tenant: Option<Uuid>, pool: Uuid) -> bool {
    let quotas = tenant.into_iter().flat_map(|it| view.table::<Quota>().find("tenant", it));
    quotas.filter_map(|it| it.desired.as_ref()).any(|it| it.storage_pool == Some(pool))
}

/// What may still be put into a pool of the host, MiB, besides what is on its way there.
fn free_mib(view: &impl Read, host: Uuid, pool: Uuid, order: &StoragePoolDesired) -> Option<i64> {
    let told = view.get::<HostStoragePool>(&(host, pool))?.current.as_ref()?;
    let capacity = told.capacity.filter(|_| told.status == PoolStatus::Ready)?;
    let coming = view.table::<HostVolume>().find("host", host).filter(|it| copy_of(it) == Some(pool));
    let coming = coming.filter_map(|it| view.get::<Volume>(&it.volume)?.desired.as_ref()?.size);
    let may = order.size.map_or(capacity, |size| size.min(capacity));
    Some(may - told.allocated.unwrap_or(0) - coming.sum::<i64>())
}

/// The pool that a row says a copy is in.
fn copy_of(row: &HostVolume) -> Option<Uuid> {
    row.desired.as_ref()?.storage_pool
}

/// Has a host make the copies, for the instance to fill.
pub(super) fn begin(copies: &[Copy], host: Uuid, round: &mut Round<'_>) -> impl Iterator<Item = RowOp> {
    copies.iter().map(move |it| insert(host, it.volume, VolumeHold::Incoming, it.to, round))
}

fn insert(host: Uuid, volume: Uuid, hold: VolumeHold, pool: Uuid, round: &mut Round<'_>) -> RowOp {
    let row = [
        ("host", json!(host)),
        ("volume", json!(volume)),
        ("hold", json!(hold.as_str())),
        ("sharer", json!(host)),
        ("made", json!(false)),
        ("serial", json!(round.next_serial())),
        ("storage_pool", json!(pool)),
    ];
    ops::insert("host_volume", row)
}

/// The copies that the instance fills on the host that it moves to.
pub(super) fn coming(view: &impl Read, instance: Uuid, host: Uuid) -> Vec<Copy> {
    let copy = |(volume, order, _): (Uuid, &VolumeDesired, &StoragePoolDesired)| {
        let grant = view.get::<HostVolume>(&(host, volume))?.desired.as_ref()?;
        let to = grant.storage_pool.filter(|_| grant.hold == VolumeHold::Incoming)?;
        Some(Copy { volume, from: order.storage_pool, to })
    };
    own_volumes(view, instance).filter_map(copy).collect()
}

/// Whether the instance has volumes that nobody copies to the host: it got them on its way.
pub(super) fn are_missing(view: &impl Read, instance: Uuid, host: Uuid) -> bool {
    coming(view, instance, host).len() < own_volumes(view, instance).count()
}

/// Makes the copies the volumes, and has what was copied removed. To be committed with the placement.
pub(super) fn hand_over(copies: &[Copy], from: Uuid, to: Uuid, round: &mut Round<'_>) -> Vec<RowOp> {
    let each = |it: &Copy| {
        let lies = ops::update("volume", [("uuid", json!(it.volume))], [("storage_pool", json!(it.to))]);
        let arrived = ops::delete("host_volume", [("host", json!(to)), ("volume", json!(it.volume))]);
        [lies, arrived, insert(from, it.volume, VolumeHold::Released, it.from, round)]
    };
    copies.iter().flat_map(each).collect()
}

/// What is to be written about the copies of a volume.
pub(super) fn decide(
    view: &impl Read,
    round: &mut Round<'_>,
    volume: Uuid,
    order: &VolumeDesired,
) -> Vec<RowOp> {
    let rows = view.table::<HostVolume>().find("volume", volume);
    let copies = rows.filter_map(|row| Some((row, row.desired.as_ref()?, copy_of(row)?)));
    let verdict = |(row, grant, pool): (&HostVolume, &HostVolumeDesired, Uuid)| {
        let key = [("host", json!(row.host)), ("volume", json!(volume))];
        match grant.hold {
            // It is no copy any more.
            _ if pool == order.storage_pool => Some(ops::delete("host_volume", key)),
            VolumeHold::Incoming if is_awaited(view, volume, row.host) => None,
            VolumeHold::Released => is_removed(row, grant).then(|| ops::delete("host_volume", key)),
            _ => {
                let serial: Json = json!(round.next_serial());
                let hold = json!(VolumeHold::Released.as_str());
                Some(ops::update("host_volume", key, [("hold", hold), ("serial", serial)]))
            }
        }
    };
    copies.filter_map(verdict).collect()
}

/// Whether the host has said that nothing of the copy is left.
fn is_removed(row: &HostVolume, grant: &HostVolumeDesired) -> bool {
    let told = row.current.as_ref().filter(|it| it.serial == Some(grant.serial));
    told.is_some_and(volumes::is_deleted)
}

/// Whether an instance with the volume moves to the host.
fn is_awaited(view: &impl Read, volume: Uuid, host: Uuid) -> bool {
    let comes = |(row, released): (&HostInstance, bool)| !released && moves::target_of(row) == Some(host);
    let disks = view.table::<Vdisk>().find("volume", volume);
    disks.filter_map(|it| placement_of(view, it.desired.as_ref()?.instance)).any(comes)
}
