//! The rules by which a guest sends as itself only, in the words of nftables.

use super::service::STATION;
use pony_core::host::{CardAddress, METADATA_ADDRESS, METADATA_GUEST, TapSpec};
use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The rules of a tap's chain: what they do not drop may pass.
///
/// # Errors
/// Where the hardware address is none; in words.
pub(super) fn of(spec: &TapSpec) -> Result<Vec<String>, String> {
    let mac = &spec.mac;
    let local = link_local(mac).ok_or_else(|| {
        format!(
            "vnic {} has the hardware address {mac:?}, which is none: 52:54:00:12:34:56 would be",
            spec.vnic
        )
    })?;
    let mut rules = vec![
        format!("ether saddr != {mac} drop"),
        // A tag that says nothing is as good as none to who gets it, and none to the rules below.
        "ether type { 8021q, 8021ad } @ll,116,12 0 drop".to_owned(),
        // These are about frames with a tag as well.
        format!("meta protocol arp arp saddr ether != {mac} drop"),
        // Whoever answers to DHCP, or says where routers are, is the cloud.
        "meta l4proto udp udp sport { 67, 547 } drop".to_owned(),
        "meta l4proto ipv6-icmp icmpv6 type { nd-router-advert, nd-redirect } drop".to_owned(),
    ];
    let Some(addresses) = &spec.addresses else { return Ok(rules) };
    rules.extend(metadata());
    let tags: BTreeSet<u16> = addresses.iter().map(|(tag, _)| *tag).filter(|tag| *tag != 0).collect();
    for tag in tags {
        let tagged = format!("vlan id {tag} ");
        rules.push(format!("{tagged}vlan type != {{ arp, ip, ip6 }} drop"));
        rules.extend(own(&tagged, "vlan type", addresses.iter().filter(|it| it.0 == tag), local));
        rules.push(format!("{tagged}accept"));
    }
    rules.push("ether type != { arp, ip, ip6 } drop".to_owned());
    // Before it has an address it asks for one.
    rules.push("ip saddr 0.0.0.0 udp dport 67 accept".to_owned());
    rules.extend(own("", "ether type", addresses.iter().filter(|it| it.0 == 0), local));
    Ok(rules)
}

/// What is for the service goes to no other port; and the address that guests ask it from, which all of them have, is not
/// seen by others.
fn metadata() -> [String; 5] {
    let (service, station, guest) = (METADATA_ADDRESS, STATION, METADATA_GUEST.0);
    [
        format!("ether type ip ip daddr {service} ether daddr set {station}"),
        format!("ether type arp arp daddr ip {service} ether daddr set {station}"),
        format!("ether type ip ip daddr {service} ip saddr {guest} accept"),
        format!("ether type arp arp daddr ip {service} arp saddr ip {guest} accept"),
        format!("ether type arp arp daddr ip {guest} drop"),
    ]
}

/// Its own addresses only, for the frames that `which` matches; `what` says there what is in them.
fn own<'a>(
    which: &str,
    what: &str,
    addresses: impl Iterator<Item = &'a CardAddress> + Clone,
    local: Ipv6Addr,
) -> Vec<String> {
    let v4: Vec<Ipv4Addr> = addresses.clone().filter_map(|(_, ip)| v4(*ip)).collect();
    let v6: Vec<Ipv6Addr> = addresses.filter_map(|(_, ip)| v6(*ip)).chain([local]).collect();
    // The address that a neighbour is told of stands behind 8 bytes of header.
    let told = set(v6.iter().map(|ip| format!("0x{:032x}", ip.to_bits())));
    let asks = "{ nd-neighbor-solicit, nd-router-solicit, mld2-listener-report }";
    let rules = [
        format!("arp saddr ip != {} drop", set(v4.iter().chain([&Ipv4Addr::UNSPECIFIED]))),
        match v4.as_slice() {
            [] => format!("{what} ip drop"),
            v4 => format!("ip saddr != {} drop", set(v4)),
        },
        format!("icmpv6 type nd-neighbor-advert @th,64,128 != {told} drop"),
        format!("ip6 saddr :: icmpv6 type {asks} accept"),
        format!("ip6 saddr != {} drop", set(v6)),
    ];
    rules.into_iter().map(|rule| format!("{which}{rule}")).collect()
}

fn v4(ip: IpAddr) -> Option<Ipv4Addr> {
    match ip {
        IpAddr::V4(ip) => Some(ip),
        IpAddr::V6(_) => None,
    }
}

fn v6(ip: IpAddr) -> Option<Ipv6Addr> {
    match ip {
        IpAddr::V4(_) => None,
        IpAddr::V6(ip) => Some(ip),
    }
}

fn set(items: impl IntoIterator<Item = impl Display>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    format!("{{ {} }}", items.join(", "))
}

/// The address that a card gives itself on its link (modified EUI-64).
fn link_local(mac: &str) -> Option<Ipv6Addr> {
    let bytes: Vec<u8> = mac.split(':').map_while(|part| u8::from_str_radix(part, 16).ok()).collect();
    let [a, b, c, d, e, f] = <[u8; 6]>::try_from(bytes).ok()?;
    let pair = |high: u8, low: u8| u16::from_be_bytes([high, low]);
    Some(Ipv6Addr::new(0xfe80, 0, 0, 0, pair(a ^ 2, b), pair(c, 0xff), pair(0xfe, d), pair(e, f)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn spec(mac: &str, addresses: Option<&[(u16, &str)]>) -> TapSpec {
        let addresses =
            addresses.map(|list| list.iter().map(|(tag, ip)| (*tag, ip.parse().unwrap())).collect());
        TapSpec { vnic: Uuid::nil(), switch: Uuid::nil(), mac: mac.into(), addresses, config: None }
    }

    #[test]
    fn a_guest_may_send_as_itself() {
        let rules = of(&spec("52:54:00:12:34:56", Some(&[(0, "10.0.0.1"), (0, "fd00::1"), (7, "10.7.0.1")])));
        let rules = rules.unwrap().join("\n");
        for rule in [
            "ether saddr != 52:54:00:12:34:56 drop",
            "arp saddr ip != { 10.0.0.1, 0.0.0.0 } drop",
            "ip saddr != { 10.0.0.1 } drop",
            "ip6 saddr != { fd00::1, fe80::5054:ff:fe12:3456 } drop",
            "0xfd000000000000000000000000000001",
            "vlan id 7 arp saddr ip != { 10.7.0.1, 0.0.0.0 } drop",
            "vlan id 7 ip saddr != { 10.7.0.1 } drop",
            "vlan id 7 ip6 saddr != { fe80::5054:ff:fe12:3456 } drop",
        ] {
            assert!(rules.contains(rule), "{rule:?} is not in {rules}");
        }
        assert!(
            of(&spec("52:54:00:12:34:56", Some(&[]))).unwrap().contains(&"ether type ip drop".to_owned())
        );
        let free = of(&spec("52:54:00:12:34:56", None)).unwrap().join("\n");
        assert!(free.contains("ether saddr") && !free.contains("ip saddr !="), "{free}");
        for wrong in ["", "52:54:00:12:34", "x", "52:54:00:12:34:56:78"] {
            assert!(of(&spec(wrong, None)).is_err(), "{wrong:?}");
        }
    }
}
