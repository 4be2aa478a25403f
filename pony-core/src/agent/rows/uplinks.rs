//! Bonds, VLANs and roles of the host, put together.

use super::Orders;
use crate::host::{BondMode, BondSpec, SegmentSpec, SwitchKind, UplinkId, UplinkSpec, Uplinks, XmitHash};
use crate::tables::{self, Bond, BondDesired, NetRole, NetRoleDesired, NetRoleKind, Nic, Vlan};
use pony_state::Read;
use uuid::Uuid;

/// What the rows order of a host's own links.
pub(super) fn orders(rows: &impl Read, host: Uuid) -> Orders {
    let mut orders = Orders::default();
    let cards = rows.table::<Nic>().find("host", host);
    let ordered = cards.filter(|row| row.desired.as_ref().is_some_and(|it| it.host == host));
    orders.nics = ordered.map(|row| row.hwaddr.to_string()).collect();
    for (bond, order) in bonds(rows, host) {
        add(&mut orders.uplinks, UplinkSpec::Bond(bond_spec(rows, host, bond, order)));
        for vlan in rows.table::<Vlan>().find("bond", bond).filter(|row| row.desired.is_some()) {
            let Ok(tag) = u16::try_from(vlan.tag) else { continue };
            orders.vlans.insert((bond, tag));
            segment(&mut orders.uplinks, bond, tag);
        }
        for (role, order) in roles(rows, bond) {
            let tag = tag_of(order);
            let segment = segment(&mut orders.uplinks, bond, tag);
            segment.bridged = true;
            segment.addresses.extend(order.address.map(|it| (it.addr(), it.prefix())));
            orders.roles.insert(role, UplinkId::Segment { bond, within: 0, tag });
        }
    }
    orders
}

fn bonds(rows: &impl Read, host: Uuid) -> impl Iterator<Item = (Uuid, &BondDesired)> {
    let found = rows.table::<Bond>().find("host", host);
    found.filter_map(move |row| Some((row.uuid, row.desired.as_ref().filter(|it| it.host == host)?)))
}

fn roles(rows: &impl Read, bond: Uuid) -> impl Iterator<Item = (Uuid, &NetRoleDesired)> {
    let found = rows.table::<NetRole>().find("bond", bond);
    found.filter_map(move |row| Some((row.uuid, row.desired.as_ref().filter(|it| it.bond == bond)?)))
}

/// The VLAN of a role; 0 for what has no tag.
fn tag_of(role: &NetRoleDesired) -> u16 {
    role.vlan_id.and_then(|tag| u16::try_from(tag).ok()).unwrap_or(0)
}

fn bond_spec(rows: &impl Read, host: Uuid, bond: Uuid, order: &BondDesired) -> BondSpec {
    let uses = |row: &&Nic| row.desired.as_ref().is_some_and(|it| it.bond == Some(bond) && it.host == host);
    let nics = rows.table::<Nic>().find("bond", bond).filter(uses).map(|row| row.hwaddr.to_string());
    let mode = match order.mode {
        tables::BondMode::ActiveBackup => BondMode::ActiveBackup,
        tables::BondMode::Lacp => BondMode::Lacp {
            fast: order.lacp_rate == Some(tables::LacpRate::Fast),
            hash: match order.xmit_hash_policy {
                Some(tables::XmitHashPolicy::Layer23) => XmitHash::Layer23,
                Some(tables::XmitHashPolicy::Layer34) => XmitHash::Layer34,
                Some(tables::XmitHashPolicy::Layer2) | None => XmitHash::Layer2,
            },
        },
    };
    BondSpec { bond, mode, nics: nics.collect() }
}

fn add(uplinks: &mut Uplinks, spec: UplinkSpec) {
    uplinks.insert(spec.id(), spec);
}

fn segment(uplinks: &mut Uplinks, bond: Uuid, tag: u16) -> &mut SegmentSpec {
    let plain = SegmentSpec::plain(bond, 0, tag);
    match uplinks.entry(UplinkId::Segment { bond, within: 0, tag }).or_insert(UplinkSpec::Segment(plain)) {
        UplinkSpec::Segment(spec) => spec,
        UplinkSpec::Bond(_) => unreachable!("a segment is kept under the name of one"),
    }
}

/// The host's way to the core network: a bond, and the VLAN on it that the core network is, or 0. Or why there is none.
pub(super) struct Core(Result<(Uuid, u16), String>);

/// Of several, always the same.
pub(super) fn core(rows: &impl Read, host: Uuid) -> Core {
    let all = bonds(rows, host).flat_map(|(bond, _)| roles(rows, bond));
    let first = all.filter(|(_, it)| it.role == NetRoleKind::Core).min_by_key(|(role, _)| *role);
    Core(match first {
        None => Err("none of its bonds has the role `core`".to_owned()),
        Some((_, order)) => Ok((order.bond, tag_of(order))),
    })
}

impl Core {
    /// The switch that is a VLAN of the core network; within the one that the core network is, where it is one.
    pub(super) fn segment(&self, tag: i64, uplinks: &Uplinks) -> SwitchKind {
        let segment = || {
            let (bond, within) = self.0.clone()?;
            let tag = u16::try_from(tag).map_err(|_| "there are 4094 of them".to_owned())?;
            let id = UplinkId::Segment { bond, within, tag };
            match uplinks.get(&id) {
                Some(UplinkSpec::Segment(spec)) if spec.bridged => {
                    Err("it is a network of the hosts themselves".to_owned())
                }
                _ => Ok(id),
            }
        };
        match segment() {
            Ok(id) => SwitchKind::Vlan(id),
            Err(why) => SwitchKind::Unsupported(format!(
                "this host is not connected to VLAN {tag} of a core network: {why}"
            )),
        }
    }
}
