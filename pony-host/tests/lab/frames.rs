//! Frames, in hexadecimal, of which every part can be wrong.

use std::net::Ipv4Addr;

/// An IPv4 address as frames have it.
pub(crate) fn hex(ip: &str) -> String {
    ip.parse::<Ipv4Addr>().unwrap().octets().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A broadcast ARP request, all of whose fields can be wrong.
pub(crate) fn arp(source: &str, sender: &str, ip: &str, target: &str) -> String {
    format!("ffffffffffff{source}0806000108000604_0001{sender}{ip}000000000000{target}").replace('_', "")
}

/// A broadcast UDP packet over IPv4, with tags of VLANs or none, from an address.
pub(crate) fn udp(source: &str, tags: &str, ip: &str, from: u16, mark: &str) -> String {
    let ip = hex(ip);
    let header = |sum: u32| format!("45000024000000004011{sum:04x}{ip}ffffffff");
    let words = header(0);
    let words = (0..words.len()).step_by(4).map(|at| u32::from_str_radix(&words[at..at + 4], 16).unwrap());
    let sum: u32 = words.sum();
    let header = header(!((sum & 0xffff) + (sum >> 16)) & 0xffff);
    format!("ffffffffffff{source}{tags}0800{header}{from:04x}100000100000{mark}")
}

/// A multicast ICMPv6 packet of a type, from an address, which is given in hexadecimal.
pub(crate) fn icmp6(source: &str, tags: &str, ip: &str, kind: &str, body: &str) -> String {
    let length = 4 + body.len() / 2;
    format!(
        "333300000001{source}{tags}86dd60000000{length:04x}3aff{ip}ff020000000000000000000000000001{kind}000000{body}"
    )
}

/// A frame without the tags of VLANs that it has: how the kernel shows it.
pub(crate) fn untagged(frame: &str) -> String {
    let (addresses, mut rest) = frame.split_at(24);
    while rest.starts_with("8100") || rest.starts_with("88a8") {
        rest = &rest[8..];
    }
    format!("{addresses}{rest}")
}
