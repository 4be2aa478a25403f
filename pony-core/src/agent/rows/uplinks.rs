//! Bonds, VLANs and roles of the host, put together.

use crate::agent::orders::LinkOrders;
use crate::host::{BondMode, BondSpec, SegmentSpec, SwitchKind, UplinkId, UplinkSpec, Uplinks, XmitHash};
use crate::lookup::Lookup;
use crate::tables::{self, Bond, BondDesired, NetRole, NetRoleDesired, NetRoleKind, Nic, Vlan};
use uuid::Uuid;

/// What the rows order of a host's own links.
pub(super) fn links(rows: &impl Lookup, host: Uuid) -> LinkOrders {
    let mut orders = LinkOrders::default();
    let cards = rows.desired_with::<Nic>("host", host);
    orders.nics = cards.into_iter().map(|(hwaddr, _)| hwaddr.to_string()).collect();
    for (bond, order) in rows.desired_with::<Bond>("host", host) {
        add(&mut orders.uplinks, UplinkSpec::Bond(bond_spec(rows, host, bond, order)));
        for ((_, tag), _) in rows.desired_with::<Vlan>("bond", bond) {
            let Ok(tag) = u16::try_from(tag) else { continue };
            orders.vlans.insert((bond, tag));
            segment(&mut orders.uplinks, bond, tag);
        }
        for (role, order) in rows.desired_with::<NetRole>("bond", bond) {
            let tag = tag_of(order);
            let segment = segment(&mut orders.uplinks, bond, tag);
            segment.bridged = true;
            segment.addresses.extend(order.address.map(|it| (it.addr(), it.prefix())));
            orders.roles.insert(role, UplinkId::Segment { bond, within: 0, tag });
        }
    }
    orders
}

/// The VLAN of a role; 0 for what has no tag.
fn tag_of(role: &NetRoleDesired) -> u16 {
    role.vlan_id.and_then(|tag| u16::try_from(tag).ok()).unwrap_or(0)
}

fn bond_spec(rows: &impl Lookup, host: Uuid, bond: Uuid, order: &BondDesired) -> BondSpec {
    let nics = rows.desired_with::<Nic>("bond", bond).into_iter().filter(|(_, it)| it.host == host);
    let nics = nics.map(|(hwaddr, _)| hwaddr.to_string());
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

/// The host's way to the core network: a bond, and the VLAN on it that the core network is, or 0. Of several, always the
/// same.
fn core(rows: &impl Lookup, host: Uuid) -> Option<(Uuid, u16)> {
    let bonds = rows.desired_with::<Bond>("host", host).into_iter();
    let roles = bonds.flat_map(|(bond, _)| rows.desired_with::<NetRole>("bond", bond));
    let first = roles.filter(|(_, it)| it.role == NetRoleKind::Core).min_by_key(|(role, _)| *role);
    first.map(|(_, order)| (order.bond, tag_of(order)))
}

/// The switch that is a VLAN of the core network; within the one that the core network is, where it is one.
pub(super) fn core_segment(rows: &impl Lookup, host: Uuid, tag: i64) -> SwitchKind {
    let segment = || {
        let (bond, within) = core(rows, host).ok_or("none of its bonds has the role `core`")?;
        let tag = u16::try_from(tag).map_err(|_| "there are 4094 of them")?;
        let is_ours = |(_, role): &(Uuid, &NetRoleDesired)| within == 0 && tag_of(role) == tag;
        match rows.desired_with::<NetRole>("bond", bond).iter().any(is_ours) {
            true => Err("it is a network of the hosts themselves"),
            false => Ok(UplinkId::Segment { bond, within, tag }),
        }
    };
    match segment() {
        Ok(id) => SwitchKind::Vlan(id),
        Err(why) => SwitchKind::Unsupported(format!(
            "this host is not connected to VLAN {tag} of a core network: {why}"
        )),
    }
}
