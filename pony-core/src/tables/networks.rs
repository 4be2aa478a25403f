//! Virtual networks: switches, who shares them, address spaces, routes, addresses.

use super::hosts::{Bond, Host, NetRole, NetRoleDesired, NetRoleKind};
use crate::lookup::Lookup;
use pony_state::{Cidr, Entity, Enum, Inet, Mac, Part, Text};
use uuid::Uuid;

/// A virtual L2 switch. One without a tenant is public.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "switch", unique_nulls_equal("tenant", "name"), unique("type", "tag"))]
#[entity(quota(limits = "quota", kind = "switches", owner = "tenant"))]
#[entity(check(
    "\"tag\" IS NULL OR (\"type\" = 'bridge' AND \"tag\" BETWEEN 1 AND 4094) OR (\"type\" = 'vxlan' AND \"tag\" BETWEEN 1 AND 16777215)",
    "tag must be 1 to 4094 for a bridge and 1 to 16777215 for a vxlan"
))]
#[entity(mount(path = "/tenant/switch", access = "tenant/user"))]
#[entity(mount(path = "/switch", access = "shared", only_null = "tenant"))]
pub struct Switch {
    /// Its identity.
    #[entity(key)]
    pub uuid: Uuid,
    /// What was ordered.
    pub desired: Option<SwitchDesired>,
}

/// What is ordered of a [`Switch`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct SwitchDesired {
    /// For people.
    pub name: Text,
    /// Whose it is; everybody's when left out.
    #[part(references = "tenant", on_delete = "cascade")]
    pub tenant: Option<Uuid>,
    /// How it reaches other hosts.
    #[part(name = "type", immutable)]
    pub kind: SwitchType,
    /// The VLAN of a bridge, the VNI of a vxlan; a vxlan gets a free one when it is left out.
    #[part(index)]
    pub tag: Option<i64>,
}

/// How a switch reaches other hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Enum)]
pub enum SwitchType {
    /// Over the core network.
    Bridge,
    /// Over an overlay.
    Vxlan,
}

/// A switch as one host sees it.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "host_switch", read_only, stored = "nowhere")]
#[entity(mount(path = "/host/switch", access = "protected"))]
#[entity(join("host", "switch"))]
pub struct HostSwitch {
    /// The host.
    #[entity(key, references = "host", soft, scope = "follows")]
    pub host: Uuid,
    /// The switch.
    #[entity(key, references = "switch", soft)]
    pub switch: Uuid,
    /// What is.
    pub current: Option<HostSwitchCurrent>,
}

/// What is, of a [`HostSwitch`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct HostSwitchCurrent {
    /// How it does there.
    pub status: super::LinkStatus,
    /// Name of its bridge.
    pub bridge_name: Option<Text>,
    /// Why it is not as ordered.
    pub error: Option<Text>,
    /// How often the present order was tried.
    pub attempts: Option<i64>,
    /// When it is tried next, Unix time in seconds.
    pub next_retry: Option<i64>,
}

/// Where a card is plugged into a vxlan switch: what the other hosts of that switch must know to reach it. Sparkle
/// writes it from placements, cards and addresses; it goes to the hosts that have cards in the switch, and to no other.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "switch_port", read_only)]
#[entity(mount(path = "/host/switch-port", access = "protected"))]
pub struct SwitchPort {
    /// The card.
    #[entity(key, references = "vnic", on_delete = "cascade")]
    pub vnic: Uuid,
    /// What was ordered.
    pub desired: Option<SwitchPortDesired>,
}

/// What is ordered of a [`SwitchPort`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct SwitchPortDesired {
    /// The switch.
    #[part(references = "switch", on_delete = "cascade", scope = "follows")]
    pub switch: Uuid,
    /// The host that the card's instance is placed on.
    #[part(references = "host", on_delete = "cascade")]
    pub host: Uuid,
    /// That host's end of the overlay.
    pub address: Inet,
    /// The card's hardware address.
    pub macaddr: Mac,
    /// The card's addresses; without those of networks with a `vlan_tag`.
    #[part(default_json = "[]")]
    pub ips: Vec<Inet>,
}

/// A host's end of overlays: the address of a `virtual` role, or else the one from which the host reaches Sparkle.
#[must_use]
pub(crate) fn overlay_address(rows: &impl Lookup, host: Uuid) -> Option<Inet> {
    let bonds = rows.desired_with::<Bond>("host", host);
    let roles = bonds.into_iter().flat_map(|(bond, _)| rows.desired_with::<NetRole>("bond", bond));
    let of_role = |(role, order): (Uuid, &NetRoleDesired)| {
        let address = order.address.filter(|_| order.role == NetRoleKind::Virtual)?;
        Some((role, address))
    };
    // Of several, always the same.
    let declared = roles.filter_map(of_role).min().map(|(_, address)| address);
    let told = || rows.current::<Host>(&host)?.address;
    declared.or_else(told).map(|address| Inet::from(address.addr()))
}

/// A private switch shared with a further tenant.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "switch_tenant", user_key)]
#[entity(mount(path = "/tenant/switch/tenant", access = "protected", via = "switch"))]
#[entity(join("switch", "tenant"))]
pub struct SwitchTenant {
    /// The switch.
    #[entity(key, references = "switch", on_delete = "cascade")]
    pub switch: Uuid,
    /// The further tenant.
    #[entity(key, references = "tenant", on_delete = "cascade")]
    pub tenant: Uuid,
    /// What was ordered.
    pub desired: Option<SwitchTenantDesired>,
}

/// What is ordered of a [`SwitchTenant`]: that it be.
#[derive(Debug, Clone, PartialEq, Part)]
pub struct SwitchTenantDesired {}

/// An address space on a switch.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "network")]
#[entity(mount(path = "/tenant/switch/network", access = "tenant/user"))]
#[entity(mount(path = "/switch/network", access = "shared"))]
pub struct Network {
    /// Its identity.
    #[entity(key)]
    pub uuid: Uuid,
    /// What was ordered.
    pub desired: Option<NetworkDesired>,
}

/// What is ordered of a [`Network`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct NetworkDesired {
    /// The switch.
    #[part(references = "switch", on_delete = "cascade", scope = "follows")]
    pub switch: Uuid,
    /// The VLAN on the switch, and so on the cards of guests, which use its addresses under that tag; none for untagged
    /// traffic.
    #[part(range = 1..=4094)]
    pub vlan_tag: Option<i64>,
    /// Its addresses.
    pub range: Cidr,
}

/// A way out of a network.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "route")]
#[entity(mount(path = "/tenant/switch/network/route", access = "tenant/user"))]
#[entity(mount(path = "/switch/network/route", access = "shared"))]
pub struct Route {
    /// Its identity.
    #[entity(key)]
    pub uuid: Uuid,
    /// What was ordered.
    pub desired: Option<RouteDesired>,
}

/// What is ordered of a [`Route`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct RouteDesired {
    /// The network.
    #[part(references = "network", on_delete = "cascade", scope = "follows")]
    pub network: Uuid,
    /// Where to.
    pub route: Cidr,
    /// Through which router.
    pub via: Inet,
}

/// An address of a network, perhaps given to a vnic.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "address", unique("network", "ip"), inside(column = "ip", via = "network", range = "range"))]
#[entity(quota(limits = "quota", kind = "ips", owner = "vnic.instance.tenant", by = "network"))]
#[entity(mount(path = "/tenant/instance/vnic/address", access = "tenant/user"))]
#[entity(mount(path = "/tenant/switch/network/address", access = "tenant/user"))]
#[entity(mount(path = "/switch/network/address", access = "protected"))]
pub struct Address {
    /// Its identity.
    #[entity(key)]
    pub uuid: Uuid,
    /// What was ordered.
    pub desired: Option<AddressDesired>,
}

/// What is ordered of an [`Address`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct AddressDesired {
    /// The network.
    #[part(references = "network", on_delete = "cascade", scope = "brings")]
    pub network: Uuid,
    /// The card that has it.
    #[part(references = "vnic", on_delete = "set-null", scope = "follows")]
    pub vnic: Option<Uuid>,
    /// The address itself, inside the network's range.
    pub ip: Option<Inet>,
    /// The name that the address stands for in the DNS.
    pub ptr: Option<Text>,
}
