//! From a [`Report`] to current parts. The only place in the agent that writes them.
//!
//! A table is brought to what the report says by the smallest set of changes: each costs a message.

use super::report::{
    DataHealth, DataReport, InstanceHealth, InstanceReport, PoolHealth, PoolReport, Progress, Report,
    SwitchReport, Update, VolumeReport,
};
use super::tell_machine::{disk, machine, missing_nic, nic};
use super::tell_uplinks::uplinks;
use crate::tables::{
    DataStatus, Host, HostCpuProfile, HostCpuProfileCurrent, HostDisk, HostExtent, HostExtentCurrent,
    HostImage, HostImageCurrent, HostInstance, HostInstanceCurrent, HostStoragePool, HostStoragePoolCurrent,
    HostSwitch, HostSwitchCurrent, HostVolume, HostVolumeCurrent, InstanceStatus, LinkStatus, Nic,
    PoolStatus,
};
use pony_state::{Commit, Entity, Read, State, Text, Transaction};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Writes what is told anew about `host`. `unix_ms`: from the agent's clock to Unix time.
pub(super) fn write(state: &mut State, host: Uuid, update: Update, unix_ms: impl Fn(u64) -> u64) -> Commit {
    match update {
        Update::Whole(report) => whole(state, host, *report, unix_ms),
        Update::Links { switches, instances } => links(state, host, switches, instances, unix_ms),
    }
}

fn links(
    state: &mut State,
    host: Uuid,
    switches: BTreeMap<Uuid, SwitchReport>,
    instances: BTreeMap<Uuid, Option<InstanceReport>>,
    unix_ms: impl Fn(u64) -> u64,
) -> Commit {
    let due = |order: &Progress| order.next_retry_ms.map(|at| seconds(unix_ms(at)));
    let mut tx = state.transaction();
    for (uuid, told) in switches {
        tx.set_current::<HostSwitch>(&(host, uuid), switch(told));
    }
    for (uuid, told) in instances {
        match told {
            Some(told) => {
                let next = due(&told.order);
                tx.set_current::<HostInstance>(&(host, uuid), instance(told, next));
            }
            None => {
                tx.remove_current::<HostInstance>(&(host, uuid));
            }
        }
    }
    tx.commit()
}

fn whole(state: &mut State, host: Uuid, report: Report, unix_ms: impl Fn(u64) -> u64) -> Commit {
    let due = |order: &Progress| order.next_retry_ms.map(|at| seconds(unix_ms(at)));
    let mut tx = state.transaction();
    put::<Host>(&mut tx, report.host.map(|fact| (host, machine(fact))));
    let missing = report.nics_missing.iter().filter_map(|mac| missing_nic(host, mac));
    put::<Nic>(&mut tx, report.nics.into_iter().filter_map(|fact| nic(host, fact)).chain(missing));
    uplinks(&mut tx, &report.uplinks, &report.vlans, &report.roles, due);
    put::<HostDisk>(&mut tx, report.disks.into_iter().map(|fact| disk(host, fact)));
    let cpus = report.cpus.into_iter();
    put::<HostCpuProfile>(
        &mut tx,
        cpus.map(|(uuid, can)| ((host, uuid), HostCpuProfileCurrent { supported: can })),
    );
    put::<HostStoragePool>(&mut tx, report.pools.into_iter().map(|(uuid, told)| ((host, uuid), pool(told))));
    let extent = |is_overwritten: bool| HostExtentCurrent {
        status: if is_overwritten { DataStatus::Ready } else { DataStatus::Initializing },
        error: None,
    };
    put::<HostExtent>(&mut tx, report.extents.into_iter().map(|(uuid, is)| ((host, uuid), extent(is))));
    put::<HostImage>(&mut tx, report.images.into_iter().map(|(uuid, told)| ((host, uuid), image(told))));
    put::<HostSwitch>(&mut tx, report.switches.into_iter().map(|(uuid, told)| ((host, uuid), switch(told))));
    let volumes = report.volumes.into_iter().map(|(uuid, told)| {
        let next = due(&told.order);
        ((host, uuid), volume(told, next))
    });
    put::<HostVolume>(&mut tx, volumes);
    let instances = report.instances.into_iter().map(|(uuid, told)| {
        let next = due(&told.order);
        ((host, uuid), instance(told, next))
    });
    put::<HostInstance>(&mut tx, instances);
    tx.commit()
}

/// Makes the table's current parts exactly these.
pub(super) fn put<R: Entity>(
    tx: &mut Transaction<'_>,
    parts: impl IntoIterator<Item = (R::Key, R::Current)>,
) {
    let mut told = BTreeSet::new();
    for (key, part) in parts {
        tx.set_current::<R>(&key, part);
        told.insert(key);
    }
    let held = tx.table::<R>().iter().filter(|row| row.current().is_some()).map(R::key);
    let gone: Vec<R::Key> = held.filter(|key| !told.contains(key)).collect();
    for key in gone {
        tx.remove_current::<R>(&key);
    }
}

fn seconds(ms: u64) -> i64 {
    i64::try_from(ms.div_ceil(1_000)).unwrap_or(i64::MAX)
}

pub(super) fn text(of: Option<String>) -> Option<Text> {
    of.map(Text::from)
}

fn pool(told: PoolReport) -> HostStoragePoolCurrent {
    let status = match told.status {
        PoolHealth::Pending => PoolStatus::Pending,
        PoolHealth::Ready => PoolStatus::Ready,
        PoolHealth::Broken => PoolStatus::Broken,
        PoolHealth::Unsupported => PoolStatus::Unsupported,
    };
    HostStoragePoolCurrent {
        status,
        capacity: told.capacity_mib,
        allocated: told.allocated_mib,
        error: text(told.error),
        attempts: None,
        next_retry: None,
    }
}

fn data(health: DataHealth) -> DataStatus {
    match health {
        DataHealth::Absent => DataStatus::Absent,
        DataHealth::Initializing => DataStatus::Initializing,
        DataHealth::Ready => DataStatus::Ready,
        DataHealth::Broken => DataStatus::Broken,
    }
}

fn image(told: DataReport) -> HostImageCurrent {
    HostImageCurrent { status: data(told.status), error: text(told.error) }
}

fn volume(told: VolumeReport, next_retry: Option<i64>) -> HostVolumeCurrent {
    HostVolumeCurrent {
        status: data(told.status),
        deleted: told.deleted,
        released: told.released,
        serial: told.serial,
        progress: told.progress,
        size: told.size_mib,
        path: text(told.path),
        error: text(told.order.error),
        attempts: Some(told.order.attempts.into()),
        next_retry,
    }
}

fn switch(told: SwitchReport) -> HostSwitchCurrent {
    let status = match (told.ready, told.unsupported, &told.error) {
        (true, _, _) => LinkStatus::Active,
        (false, true, _) => LinkStatus::Unsupported,
        (false, false, Some(_)) => LinkStatus::Broken,
        (false, false, None) => LinkStatus::Missing,
    };
    let (bridge_name, error) = (text(told.bridge), text(told.error));
    HostSwitchCurrent { status, bridge_name, error, attempts: None, next_retry: None }
}

fn instance(told: InstanceReport, next_retry: Option<i64>) -> HostInstanceCurrent {
    let status = match told.status {
        InstanceHealth::Starting => InstanceStatus::Starting,
        InstanceHealth::Running => InstanceStatus::Running,
        InstanceHealth::Paused => InstanceStatus::Paused,
        InstanceHealth::Stopping => InstanceStatus::Stopping,
        InstanceHealth::Stopped => InstanceStatus::Stopped,
        InstanceHealth::Migrating => InstanceStatus::Migrating,
        InstanceHealth::Broken => InstanceStatus::Broken,
    };
    HostInstanceCurrent {
        status,
        released: told.released,
        sent: told.sent,
        progress: told.progress,
        serial: told.serial,
        error: text(told.order.error),
        attempts: told.order.attempts.into(),
        next_retry,
        console: text(told.console),
        pending_restart: text(told.pending_restart),
    }
}
