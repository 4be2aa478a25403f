//! From what is told about uplinks to current parts.

use super::report::{Progress, UplinkHealth, UplinkReport};
use super::tell::{put, text};
use crate::host::UplinkId;
use crate::tables::{Bond, BondCurrent, LinkStatus, NetRole, NetRoleCurrent, Vlan, VlanCurrent};
use pony_state::{Text, Transaction};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

pub(super) fn uplinks(
    tx: &mut Transaction<'_>,
    told: &BTreeMap<UplinkId, UplinkReport>,
    vlans: &BTreeSet<(Uuid, u16)>,
    roles: &BTreeMap<Uuid, UplinkId>,
    due: impl Fn(&Progress) -> Option<i64>,
) {
    let bonds = told.iter().filter_map(|(id, told)| {
        let UplinkId::Bond(bond) = *id else { return None };
        let told = link(told, &due);
        let Link { below: bond_name, status, error, attempts, next_retry, .. } = told;
        Some((bond, BondCurrent { bond_name, status, error, attempts, next_retry }))
    });
    put::<Bond>(tx, bonds);
    let vlans = vlans.iter().filter_map(|(bond, tag)| {
        let told = link(told.get(&UplinkId::Segment { bond: *bond, within: 0, tag: *tag })?, &due);
        let Link { below: link_name, status, error, attempts, next_retry, .. } = told;
        Some(((*bond, i64::from(*tag)), VlanCurrent { link_name, status, error, attempts, next_retry }))
    });
    put::<Vlan>(tx, vlans);
    let roles = roles.iter().filter_map(|(role, segment)| {
        let told = link(told.get(segment)?, &due);
        let Link { end: bridge_name, status, error, attempts, next_retry, .. } = told;
        Some((*role, NetRoleCurrent { bridge_name, status, error, attempts, next_retry }))
    });
    put::<NetRole>(tx, roles);
}

/// What rows of bonds, VLANs and roles have in common.
struct Link {
    below: Option<Text>,
    end: Option<Text>,
    status: LinkStatus,
    error: Option<Text>,
    attempts: Option<i64>,
    next_retry: Option<i64>,
}

fn link(told: &UplinkReport, due: impl Fn(&Progress) -> Option<i64>) -> Link {
    let status = match told.status {
        UplinkHealth::Missing => LinkStatus::Missing,
        UplinkHealth::Inactive => LinkStatus::Inactive,
        UplinkHealth::Active => LinkStatus::Active,
        UplinkHealth::Broken => LinkStatus::Broken,
        UplinkHealth::Unsupported => LinkStatus::Unsupported,
    };
    Link {
        below: text(told.below.clone()),
        end: text(told.link.clone()),
        status,
        error: text(told.order.error.clone()),
        attempts: Some(told.order.attempts.into()),
        next_retry: due(&told.order),
    }
}
