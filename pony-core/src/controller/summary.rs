//! The current parts that the controller composes for users: what an instance, a volume or a disk is, whichever host
//! it is on, and why it is not yet as ordered.

use super::damage::Settled;
use super::instances::placement_of;
use super::writes::Subject;
use crate::tables::{
    DataStatus, Disk, DiskCurrent, DiskStatus, HostDisk, HostInstanceCurrent, HostVolume, Instance,
    InstanceCurrent, InstanceDesired, InstanceState, InstanceStatus, Volume, VolumeCurrent, VolumeHold,
};
use pony_state::{Read, Text, Transaction};
use uuid::Uuid;

/// Writes the composed parts of all that was decided about.
pub(crate) fn write(tx: &mut Transaction<'_>, view: &impl Read, settled: &Settled) {
    for uuid in &settled.instances {
        match instance(view, *uuid, settled.why(Subject::Instance(*uuid))) {
            Some(current) => tx.set_current::<Instance>(uuid, current),
            None => tx.remove_current::<Instance>(uuid),
        };
    }
    for uuid in &settled.volumes {
        match volume(view, *uuid, settled.why(Subject::Hold(*uuid))) {
            Some(current) => tx.set_current::<Volume>(uuid, current),
            None => tx.remove_current::<Volume>(uuid),
        };
    }
    for id in &settled.disks {
        match disk(view, id) {
            Some(current) => tx.set_current::<Disk>(id, current),
            None => tx.remove_current::<Disk>(id),
        };
    }
}

fn instance(view: &impl Read, uuid: Uuid, stuck: Option<&str>) -> Option<InstanceCurrent> {
    let order = view.get::<Instance>(&uuid)?.desired.as_ref()?;
    let stuck = stuck.map(Text::from);
    let placement = placement_of(view, uuid);
    let host = placement.map(|(row, _)| row.host);
    let reported = placement.and_then(|(row, _)| row.current.as_ref());
    Some(match reported {
        Some(reported) => from_host(reported, host, stuck),
        None => InstanceCurrent {
            status: unreported(order),
            host,
            error: stuck.or_else(|| host.map(|_| "its host has not answered yet".into())),
            attempts: 0,
            next_retry: None,
            console: None,
            pending_restart: None,
            progress: None,
        },
    })
}

fn unreported(order: &InstanceDesired) -> InstanceStatus {
    match order.state {
        InstanceState::Stopped => InstanceStatus::Stopped,
        InstanceState::Running | InstanceState::Paused => InstanceStatus::Starting,
    }
}

fn from_host(reported: &HostInstanceCurrent, host: Option<Uuid>, stuck: Option<Text>) -> InstanceCurrent {
    InstanceCurrent {
        status: reported.status,
        host,
        error: stuck.or_else(|| reported.error.clone()),
        attempts: reported.attempts,
        next_retry: reported.next_retry,
        console: reported.console.clone(),
        pending_restart: reported.pending_restart.clone(),
        progress: reported.progress,
    }
}

fn volume(view: &impl Read, uuid: Uuid, stuck: Option<&str>) -> Option<VolumeCurrent> {
    view.get::<Volume>(&uuid)?.desired.as_ref()?;
    // A volume in a shared pool is seen by several hosts: the one that has it speaks for it, else the one that has come
    // furthest.
    let is_whole = |row: &HostVolume| row.desired.as_ref().is_some_and(|it| it.hold == VolumeHold::Whole);
    let reported = view
        .table::<HostVolume>()
        .find("volume", uuid)
        .filter_map(|row| Some((is_whole(row), row.current.as_ref()?)))
        .min_by_key(|(whole, current)| (!whole, distance(current.status)))
        .map(|(_, current)| current);
    let stuck = stuck.map(Text::from);
    Some(match reported {
        Some(current) => VolumeCurrent {
            status: current.status,
            progress: current.progress,
            error: stuck.or_else(|| current.error.clone()),
            attempts: current.attempts,
            next_retry: current.next_retry,
        },
        None => VolumeCurrent {
            status: DataStatus::Absent,
            progress: None,
            error: stuck.or_else(|| Some("no host with its storage pool has reported it yet".into())),
            attempts: None,
            next_retry: None,
        },
    })
}

/// What the hosts that see a disk say of it; `None` for one that is neither ordered nor seen.
fn disk(view: &impl Read, id: &Text) -> Option<DiskCurrent> {
    let seen = view.table::<HostDisk>().find("disk", id.clone());
    let worst = seen.filter_map(|row| row.current.as_ref()).max_by_key(|current| current.status);
    match worst {
        Some(seen) => Some(DiskCurrent {
            size: seen.size,
            status: seen.status.unwrap_or(DiskStatus::Ready),
            error: seen.error.clone(),
        }),
        None => view.get::<Disk>(id)?.desired.as_ref().map(|_| DiskCurrent {
            size: None,
            status: DiskStatus::Missing,
            error: Some("no host sees it".into()),
        }),
    }
}

fn distance(status: DataStatus) -> u8 {
    match status {
        DataStatus::Ready => 0,
        DataStatus::Initializing => 1,
        DataStatus::Broken => 2,
        DataStatus::Absent => 3,
    }
}
