//! What volumes of pools of type `plvm` consist of: rows of `extent`, which are the only truth about whose a part of a disk
//! is. A volume is given room as soon as it is ordered, and more when it is ordered larger; it keeps what it has until its
//! row goes. The database refuses extents that overlap, whoever writes them; so that this does not happen all the time, what
//! is on its way there is minded.
//!
//! An extent is `made` by the word of the host that has the volume for itself: that what lay there before is overwritten. No
//! guest sees any of it before that is written down.

use super::instances::{Round, is_fenced};
use super::{holds, ops};
use crate::host::EXTENT_START_MIN_MIB;
use crate::tables::{
    DataStatus, Disk, DiskStatus, Extent, ExtentDesired, HostDisk, HostExtent, HostVolume, StoragePool,
    StoragePoolDesired, StoragePoolType, VolumeDesired, VolumeState,
};
use pony_state::{Read, RowOp, Text};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Pieces that one volume may be given: each is a line of the table that the device mapper has of it.
const PIECES_MAX: usize = 256;

/// A part of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) disk: Text,
    pub(crate) start_mib: i64,
    pub(crate) end_mib: i64,
}

/// Parts of disks that are on their way to the database, by `extent.uuid`.
pub(crate) type Claims = BTreeMap<Uuid, Claim>;

/// What an operation claims.
pub(crate) fn claim(op: &RowOp) -> Option<(Uuid, Claim)> {
    let RowOp::Insert { table, row } = op else { return None };
    let text = |name: &str| row.get(name).and_then(Json::as_str);
    let end = |nth: usize| row.get("range")?.get(nth)?.as_i64();
    let claim =
        |disk: &str| Some(Claim { disk: Text::from(disk.to_owned()), start_mib: end(0)?, end_mib: end(1)? });
    (table == "extent").then_some(())?;
    Some((text("uuid")?.parse().ok()?, claim(text("disk")?)?))
}

/// What to write about the extents of a volume, or why it is given no room.
pub(crate) fn decide(
    view: &impl Read,
    round: &mut Round<'_>,
    (volume, order): (Uuid, &VolumeDesired),
    pool: &StoragePoolDesired,
) -> Result<Vec<RowOp>, String> {
    if pool.kind != StoragePoolType::Plvm || pool.host.is_some() || order.state == VolumeState::Deleted {
        return Ok(Vec::new());
    }
    let extents = extents_of(view, volume);
    let mut ops = noted(view, volume, &extents);
    if is_wanted(view, order) {
        let size = order.size.ok_or("a volume in a pool of type plvm needs a size: order one")?;
        let has: i64 = extents.iter().map(|(_, it)| it.range.end() - it.range.start()).sum();
        if has < size {
            ops.extend(given(view, round, (volume, order), &extents, size - has)?);
        }
    }
    Ok(ops)
}

/// Whether some host still shows to its guests what lies on the volume's extents: copies of images are read without a grant.
/// Others get these extents only afterwards.
pub(crate) fn is_mapped(view: &impl Read, volume: Uuid, order: &VolumeDesired) -> bool {
    let pool = view.get::<StoragePool>(&order.storage_pool).and_then(|row| row.desired.as_ref());
    let mapped = |row: &HostVolume| row.current.as_ref().is_some_and(|it| it.path.is_some());
    let mut rows = view.table::<HostVolume>().find("volume", volume);
    pool.is_some_and(|it| it.kind == StoragePoolType::Plvm)
        && rows.any(|row| mapped(row) && !is_fenced(view, row.host))
}

/// Calls `damaged` with the volumes that a change of their extents may concern.
pub(crate) fn note(view: &impl Read, change: &impl super::damage::Changed, mut damaged: impl FnMut(Uuid)) {
    let volume_of = |row: &Extent| row.desired.as_ref()?.volume;
    if let Some(row) = change.row::<Extent>() {
        row.before.iter().chain(&row.after).filter_map(|it| volume_of(it)).for_each(&mut damaged);
    } else if let Some(row) = change.row::<HostExtent>() {
        let extent = row.after.or(row.before).and_then(|it| view.get::<Extent>(&it.extent));
        extent.and_then(volume_of).into_iter().for_each(&mut damaged);
    }
}

fn is_wanted(view: &impl Read, order: &VolumeDesired) -> bool {
    order.state == VolumeState::Present || order.image.is_some_and(|image| holds::is_used(view, image))
}

/// In the order in which they make up the volume.
fn extents_of(view: &impl Read, volume: Uuid) -> Vec<(Uuid, &ExtentDesired)> {
    let rows = view.table::<Extent>().find("volume", volume);
    let mut extents: Vec<_> = rows.filter_map(|row| Some((row.uuid, row.desired.as_ref()?))).collect();
    extents.sort_by_key(|(uuid, it)| (it.order, *uuid));
    extents
}

/// Writes down what the host that has the volume for itself has overwritten.
fn noted(view: &impl Read, volume: Uuid, extents: &[(Uuid, &ExtentDesired)]) -> Vec<RowOp> {
    let Some((row, grant)) = holds::holder(view, volume) else { return Vec::new() };
    // What it says of an earlier grant may be undone since.
    if row.current.as_ref().and_then(|it| it.serial) != Some(grant.serial) {
        return Vec::new();
    }
    let is_made = |extent: Uuid| {
        let told = view.get::<HostExtent>(&(row.host, extent)).and_then(|it| it.current.as_ref());
        told.is_some_and(|it| it.status == DataStatus::Ready)
    };
    let prefix = extents.iter().take_while(|(uuid, it)| it.made || is_made(*uuid));
    let news = prefix.filter(|(_, it)| !it.made);
    news.map(|(uuid, _)| ops::update("extent", [("uuid", json!(uuid))], [("made", json!(true))])).collect()
}

/// New extents for a volume.
fn given(
    view: &impl Read,
    round: &mut Round<'_>,
    (volume, order): (Uuid, &VolumeDesired),
    extents: &[(Uuid, &ExtentDesired)],
    need_mib: i64,
) -> Result<Vec<RowOp>, String> {
    let gaps = gaps(view, round, order.storage_pool);
    let last = extents.last().map(|(_, it)| (&it.disk, it.range.end()));
    let free: i64 = gaps.iter().map(Claim::len_mib).sum();
    let pieces = chosen(gaps, last, need_mib).ok_or_else(|| {
        format!(
            "its storage pool has no room for {need_mib} MiB more ({free} MiB are free): order a larger disk into it, or \
             delete volumes"
        )
    })?;
    let first = extents.last().map_or(0, |(_, it)| it.order.saturating_add(1));
    let rows = (first..).zip(pieces).map(|(number, piece)| {
        let uuid = ops::identity(&[volume.as_bytes(), &number.to_le_bytes()]);
        let row = [
            ("uuid", json!(uuid)),
            ("storage_pool", json!(order.storage_pool)),
            ("disk", json!(&*piece.disk)),
            ("range", json!([piece.start_mib, piece.end_mib])),
            ("volume", json!(volume)),
            ("order", json!(number)),
        ];
        round.claim(uuid, piece);
        ops::insert("extent", row)
    });
    Ok(rows.collect())
}

impl Claim {
    fn len_mib(&self) -> i64 {
        self.end_mib - self.start_mib
    }

    fn shortened(mut self, most_mib: i64) -> Self {
        self.end_mib = self.end_mib.min(self.start_mib.saturating_add(most_mib));
        self
    }
}

/// What is nobody's on the disks of the pool that answer.
fn gaps(view: &impl Read, round: &Round<'_>, pool: Uuid) -> Vec<Claim> {
    let disks = view.table::<Disk>().find("storage_pool", pool);
    let usable = disks.filter_map(|row| {
        let order = row.desired.as_ref().filter(|it| it.storage_pool == Some(pool))?;
        let sizes = seen(view, &row.id).chain(order.size);
        Some((&row.id, seen(view, &row.id).next().and(sizes.min())?))
    });
    usable.flat_map(|(disk, size_mib)| gaps_of(view, round, disk, size_mib)).collect()
}

/// How large hosts find a disk, MiB, which they can use.
fn seen(view: &impl Read, disk: &Text) -> impl Iterator<Item = i64> {
    let told = view.table::<HostDisk>().find("disk", disk.clone()).filter_map(|row| row.current.as_ref());
    told.filter(|it| it.status.is_none_or(|it| it == DiskStatus::Ready)).filter_map(|it| it.size)
}

fn gaps_of(view: &impl Read, round: &Round<'_>, disk: &Text, size_mib: i64) -> Vec<Claim> {
    let rows = view.table::<Extent>().find("disk", disk.clone()).filter_map(|row| row.desired.as_ref());
    let rows = rows.map(|it| (it.range.start(), it.range.end()));
    let coming = round.claims().filter(|it| it.disk == *disk).map(|it| (it.start_mib, it.end_mib));
    let mut taken: Vec<(i64, i64)> = rows.chain(coming).chain([(size_mib, size_mib)]).collect();
    taken.sort_unstable();
    let mut at = EXTENT_START_MIN_MIB;
    let mut gaps = Vec::new();
    for (start, end) in taken {
        let end_mib = start.min(size_mib);
        if at < end_mib {
            gaps.push(Claim { disk: disk.clone(), start_mib: at, end_mib });
        }
        at = at.max(end);
    }
    gaps
}

/// Where so many MiB go: behind what the volume has, into the smallest gap that has room for all, or into as few of the
/// largest as it takes.
fn chosen(mut gaps: Vec<Claim>, last: Option<(&Text, i64)>, need_mib: i64) -> Option<Vec<Claim>> {
    gaps.sort_by_key(|it| (it.len_mib(), it.disk.clone(), it.start_mib));
    let fits = |it: &&Claim| it.len_mib() >= need_mib;
    let is_next = |it: &Claim| last == Some((&it.disk, it.start_mib));
    let whole = gaps.iter().filter(fits).min_by_key(|it| !is_next(it));
    if let Some(whole) = whole {
        return Some(vec![whole.clone().shortened(need_mib)]);
    }
    let mut pieces = Vec::new();
    let mut open_mib = need_mib;
    for gap in gaps.into_iter().rev().take(PIECES_MAX) {
        let piece = gap.shortened(open_mib);
        open_mib -= piece.len_mib();
        pieces.push(piece);
        if open_mib == 0 {
            return Some(pieces);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(disk: &str, start_mib: i64, end_mib: i64) -> Claim {
        Claim { disk: Text::from(disk.to_owned()), start_mib, end_mib }
    }

    #[test]
    fn room_is_found_where_it_splits_least() {
        let gaps = || vec![part("a", 1, 11), part("a", 20, 26), part("b", 1, 9)];
        let (a, b) = (Text::from("a".to_owned()), Text::from("b".to_owned()));
        for (last, need, expected) in [
            (None, 5, Some(vec![part("a", 20, 25)])),
            (None, 7, Some(vec![part("b", 1, 8)])),
            (Some((&a, 1)), 5, Some(vec![part("a", 1, 6)])),
            (Some((&b, 2)), 5, Some(vec![part("a", 20, 25)])),
            (None, 12, Some(vec![part("a", 1, 11), part("b", 1, 3)])),
            (None, 24, Some(vec![part("a", 1, 11), part("b", 1, 9), part("a", 20, 26)])),
            (None, 25, None),
        ] {
            assert_eq!(chosen(gaps(), last, need), expected, "{last:?} {need}");
        }
    }

    #[test]
    fn an_operation_tells_what_it_claims() {
        let uuid = Uuid::from_u128(1);
        let row = [("uuid", json!(uuid)), ("disk", json!("a")), ("range", json!([1, 4]))];
        assert_eq!(claim(&ops::insert("extent", row.clone())), Some((uuid, part("a", 1, 4))));
        assert_eq!(claim(&ops::insert("volume", row)), None);
        assert_eq!(claim(&ops::delete("extent", [("uuid", json!(uuid))])), None);
    }
}
