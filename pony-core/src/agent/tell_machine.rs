//! From what a machine is made of to current parts.

use super::tell::text;
use crate::host::{DiskFact, DiskTransport, HostFact, NicFact};
use crate::tables::{DiskStatus, DiskType, HostCurrent, HostDiskCurrent, HostStatus, NicCurrent, NicStatus};
use pony_state::{Inet, Json, Mac, Text};
use serde::Serialize;
use uuid::Uuid;

pub(super) fn machine(fact: HostFact) -> HostCurrent {
    let features = fact.cpu.features.into_iter().map(Text::from).collect();
    HostCurrent {
        status: HostStatus::Present,
        hostname: Some(fact.hostname.into()),
        version: Some(fact.version.into()),
        kernel: text(fact.kernel),
        hypervisor: text(fact.hypervisor),
        cpus: Some(fact.cpus),
        cpu_model: text(fact.cpu.model),
        cpu_features: Some(features),
        cpu_sockets: fact.cpu.sockets,
        cpu_cores: fact.cpu.cores,
        mem: Some(fact.mem_mib),
        numa: list(&fact.numa),
        hbas: list(&fact.hbas),
        boot_time: Some(fact.boot_time),
        accel: Some(fact.accel.into()),
        address: fact.address.map(Inet::from),
        migration: text(fact.migration),
    }
}

fn list<T: Serialize>(of: &[T]) -> Option<Json> {
    serde_json::to_value(of).ok().map(Json::from)
}

/// A card without an Ethernet address has no row.
pub(super) fn nic(host: Uuid, fact: NicFact) -> Option<(Mac, NicCurrent)> {
    let part = NicCurrent {
        host,
        link_name: Some(fact.link_name.into()),
        status: match &fact.bond {
            None => NicStatus::Ready,
            Some(bond) if bond.active => NicStatus::Active,
            Some(_) => NicStatus::Inactive,
        },
        bond_name: fact.bond.map(|bond| bond.name.into()),
        carrier: Some(fact.carrier),
        speed: fact.speed_mbit,
        driver: text(fact.driver),
        vf_count: fact.functions.map(|functions| functions.count),
        vf_max: fact.functions.map(|functions| functions.max),
        vf_of: text(fact.part_of),
    };
    Some((fact.hwaddr.parse().ok()?, part))
}

/// A card that something is ordered of, and that is not there.
pub(super) fn missing_nic(host: Uuid, mac: &str) -> Option<(Mac, NicCurrent)> {
    let part = NicCurrent {
        host,
        link_name: None,
        bond_name: None,
        status: NicStatus::Missing,
        carrier: None,
        speed: None,
        driver: None,
        vf_count: None,
        vf_max: None,
        vf_of: None,
    };
    Some((mac.parse().ok()?, part))
}

pub(super) fn disk(host: Uuid, fact: DiskFact) -> ((Uuid, Text), HostDiskCurrent) {
    let part = HostDiskCurrent {
        size: Some(fact.size_mib),
        link_name: Some(fact.link_name.into()),
        model: text(fact.model),
        serial: text(fact.serial),
        kind: Some(match fact.transport {
            DiskTransport::Local => DiskType::Local,
            DiskTransport::Fc => DiskType::Fc,
            DiskTransport::Iscsi => DiskType::Iscsi,
        }),
        status: Some(if fact.fault.is_some() { DiskStatus::Broken } else { DiskStatus::Ready }),
        error: text(fact.fault),
        storage_pool: None,
    };
    ((host, fact.id.into()), part)
}
