//! What a guest is told of itself, in the words of DHCP.

use pony_core::host::GuestConfig;
use std::net::{IpAddr, Ipv4Addr};

/// An IPv4 address as it is lent.
pub(super) struct Lease {
    pub(super) ip: Ipv4Addr,
    pub(super) mask: Ipv4Addr,
    pub(super) router: Option<Ipv4Addr>,
    /// Where to, the length of the prefix, through which router.
    pub(super) routes: Vec<(Ipv4Addr, u8, Ipv4Addr)>,
    pub(super) name_servers: Vec<Ipv4Addr>,
}

fn v4(ip: IpAddr) -> Option<Ipv4Addr> {
    match ip {
        IpAddr::V4(ip) => Some(ip),
        IpAddr::V6(_) => None,
    }
}

/// The first IPv4 address of a card, without a tag; DHCP gives one only.
pub(super) fn lease(mac: &str, config: &GuestConfig) -> Option<Lease> {
    let card = config.cards.iter().find(|card| card.mac.eq_ignore_ascii_case(mac))?;
    let mut untagged = card.addresses.iter().filter(|it| it.tag == 0);
    let (ip, address) = untagged.find_map(|it| Some((v4(it.ip)?, it)))?;
    let route = |it: &pony_core::host::GuestRoute| Some((v4(it.to)?, it.prefix, v4(it.via)?));
    let routes: Vec<_> = address.routes.iter().filter_map(route).collect();
    let mask = u32::MAX.checked_shl(32 - u32::from(address.prefix.min(32))).unwrap_or(0);
    Some(Lease {
        ip,
        mask: Ipv4Addr::from_bits(mask),
        router: routes.iter().find(|(_, prefix, _)| *prefix == 0).map(|(_, _, via)| *via),
        routes,
        name_servers: config.name_servers.iter().filter_map(|it| v4(*it)).collect(),
    })
}
