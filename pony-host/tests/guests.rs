//! What guests see of the network driver, on the real thing: hosts and guests are network namespaces. Says
//! `skipped: test: why` where there can be none.

#![allow(clippy::unwrap_used, clippy::expect_used)]
#![cfg(feature = "network")]

#[allow(dead_code, reason = "other tests need more of it")]
mod lab;
mod suite;

use lab::{Guest, Space};
use pony_core::host::{GuestAddress, GuestCard, GuestConfig, SwitchKind, SwitchSpec, TapSpec};
use pony_host::{Netlink, Network as _};
use serde_json::Value as Json;
use std::sync::Arc;
use uuid::Uuid;

const HOST: Uuid = Uuid::from_u128(0xa);

/// What a guest does in a namespace of its own; nothing where there can be none.
fn has_lab() -> bool {
    let obstacle =
        lab::obstacle().or_else(|| (!lab::has_namespaces()).then(|| "no network namespaces".into()));
    obstacle.is_none_or(|why| {
        suite::skipped(why);
        false
    })
}

/// A host with a switch.
struct Host {
    space: Space,
    network: Netlink,
    switch: SwitchSpec,
}

impl Host {
    async fn new() -> Self {
        let space = Space::new();
        let network = space.driver(HOST);
        let switch = SwitchSpec { switch: Uuid::new_v4(), kind: SwitchKind::Bridge };
        network.ensure_switch(&switch).await.unwrap();
        Self { space, network, switch }
    }

    /// A guest with these addresses, each in a VLAN on its card or in none, set up as its disc says.
    async fn guest(&self, n: u8, addresses: &[(u16, &str)]) -> (Guest, Arc<GuestConfig>) {
        let mac = format!("52:54:00:00:00:{n:02x}");
        let parsed: Vec<(u16, std::net::IpAddr)> =
            addresses.iter().map(|(tag, ip)| (*tag, ip.parse().unwrap())).collect();
        let own = |(tag, ip): &(u16, std::net::IpAddr)| GuestAddress {
            tag: *tag,
            ip: *ip,
            prefix: if ip.is_ipv4() { 24 } else { 64 },
            routes: vec![],
        };
        let card =
            GuestCard { mac: mac.clone(), metadata: true, addresses: parsed.iter().map(own).collect() };
        let config = Arc::new(GuestConfig {
            instance: Uuid::from_u128(n.into()),
            hostname: format!("guest{n}"),
            user_data: Some(format!("of guest {n}")),
            name_servers: vec![],
            cards: vec![card],
        });
        let tap = TapSpec {
            vnic: Uuid::from_u128(0x100 + u128::from(n)),
            switch: self.switch.switch,
            mac: mac.clone(),
            addresses: Some(parsed.into_iter().collect()),
            config: Some(Arc::clone(&config)),
        };
        let link = self.network.ensure_tap(&tap).await.unwrap().link;
        let guest = Guest::new(&self.space, &link, &mac);
        let disc: Json = serde_json::from_str(&config.document("network-config").unwrap()).unwrap();
        for address in disc["ethernets"]["card0"]["addresses"].as_array().unwrap() {
            let address = address.as_str().unwrap();
            let how = if address.contains(':') { "nodad" } else { "" };
            guest.ip(&format!("address add {address} dev eth0 {how}"));
        }
        (guest, config)
    }
}

fn reads(guest: &Guest, document: &str) -> (bool, String) {
    guest.run(&format!("timeout 5 busybox wget -q -O - http://169.254.169.254/{document}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_find_metadata_by_what_their_disc_says_and_each_its_own() {
    if !has_lab() {
        return;
    }
    let host = Host::new().await;
    // With an address of its own, with none but in a VLAN, with none but IPv6, with none at all.
    let (one, _) = host.guest(1, &[(0, "10.0.0.1")]).await;
    let (two, _) = host.guest(2, &[(7, "10.7.0.2")]).await;
    let (three, _) = host.guest(3, &[(0, "fd00::3")]).await;
    let (four, _) = host.guest(4, &[]).await;
    let guests = [&one, &two, &three, &four];
    for (n, guest) in (1..).zip(guests) {
        let is_told = || reads(guest, "user-data") == (true, format!("of guest {n}"));
        // Numbers are given in the background.
        assert!((0..20).any(|_| is_told()), "{n}: {:?}", reads(guest, "user-data"));
    }
    // All at the same time, and the same card for one instance after another.
    std::thread::scope(|scope| {
        for (n, guest) in (1..).zip(guests) {
            scope.spawn(move || {
                for _ in 0..5 {
                    assert_eq!(reads(guest, "user-data"), (true, format!("of guest {n}")));
                }
            });
        }
    });
    // Who asks is seen by nobody but the service, though all ask from the same address.
    let heard = four.hears("2", || {
        one.ip("neighbour flush dev eth0");
        assert!(reads(&one, "user-data").0);
    });
    let is_question = |frame: &&String| frame[12..].starts_with("525400000001") && frame.contains("a9fea9");
    assert_eq!(heard.iter().find(is_question), None);
    // One that only has a router, whoever that is, gets there as well.
    one.ip("address flush dev eth0");
    one.ip("address add 10.0.0.1/24 dev eth0");
    one.ip("route add default via 10.0.0.77");
    one.ip("neighbour add 10.0.0.77 lladdr 52:54:00:00:00:77 dev eth0");
    assert_eq!(reads(&one, "user-data"), (true, "of guest 1".to_owned()));
}

/// An IPv4 broadcast of a guest, as somebody, with a mark.
fn frame(n: u8, tags: &str, ip: &str, mark: u8) -> String {
    lab::udp(&format!("5254000000{n:02x}"), tags, ip, 4096, &format!("{mark:02x}").repeat(8))
}

/// Networks with a VLAN tag: a guest uses their addresses under that tag, and no other.
#[tokio::test(flavor = "multi_thread")]
async fn addresses_of_a_vlan_are_used_in_it_and_nowhere_else() {
    if !has_lab() {
        return;
    }
    let host = Host::new().await;
    let (one, _) = host.guest(1, &[(0, "10.0.0.1"), (7, "10.7.0.1"), (9, "10.9.0.1")]).await;
    let (two, _) = host.guest(2, &[(0, "10.0.0.2"), (7, "10.7.0.2")]).await;
    let (none, seven, nine) = ("", "81000007", "81000009");
    let right =
        [frame(1, none, "10.0.0.1", 1), frame(1, seven, "10.7.0.1", 2), frame(1, nine, "10.9.0.1", 3)];
    let arp = |tags: &str, ip: &str| {
        let mac = "525400000001";
        format!(
            "ffffffffffff{mac}{tags}0806000108000604{:04x}{mac}{}000000000000{}",
            1,
            lab::hex(ip),
            "0a0700aa"
        )
    };
    let right_arp = arp(seven, "10.7.0.1");
    let wrong = [
        ("an address of a VLAN without a tag", frame(1, none, "10.7.0.1", 11)),
        ("an address under the tag of another", frame(1, seven, "10.9.0.1", 12)),
        ("an address without a VLAN under a tag", frame(1, seven, "10.0.0.1", 13)),
        ("somebody else's address under a tag", frame(1, seven, "10.7.0.2", 14)),
        ("a VLAN that it has no address in", frame(1, "81000005", "10.0.0.1", 15)),
        ("a tag that is none", frame(1, "81000000", "10.0.0.2", 16)),
        ("a tag that is none, with its own address", frame(1, "81000000", "10.0.0.1", 17)),
        ("a tag within a tag", frame(1, "8100000781000007", "10.7.0.1", 18)),
        ("a tag of providers", frame(1, "88a80007", "10.7.0.1", 19)),
        ("what it asks metadata from", frame(1, none, "169.254.169.253", 20)),
        ("somebody else within ARP under a tag", arp(seven, "10.7.0.2")),
    ];
    let frames: Vec<&str> =
        wrong.iter().map(|(_, frame)| frame).chain(&right).chain([&right_arp]).map(String::as_str).collect();
    let heard = two.hears("2", || one.send(&frames));
    // The kernel takes a tag off before it shows a frame.
    let came = |frame: &str| heard.iter().any(|it| lab::untagged(it).starts_with(&lab::untagged(frame)));
    for frame in right.iter().chain([&right_arp]) {
        assert!(came(frame), "{frame} did not come: {heard:?}");
    }
    for (what, frame) in &wrong {
        assert!(!came(frame), "{what} passed");
    }
}

/// Where a switch has no networks, tags are the guests' own affair; but none passes by the other rules with one that says
/// nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_free_switch_lets_tags_pass_but_none_that_is_none() {
    if !has_lab() {
        return;
    }
    let host = Host::new().await;
    let mut guests = Vec::new();
    for n in [1_u8, 2] {
        let mac = format!("52:54:00:00:00:{n:02x}");
        let (vnic, switch) = (Uuid::from_u128(n.into()), host.switch.switch);
        let tap = TapSpec { vnic, switch, mac: mac.clone(), addresses: None, config: None };
        let link = host.network.ensure_tap(&tap).await.unwrap().link;
        guests.push(Guest::new(&host.space, &link, &mac));
    }
    // A router of IPv6, which no guest is, with tags or without.
    let router = |tags: &str| {
        let body = "40000708000000000000000000000000";
        lab::icmp6("525400000001", tags, "fe80000000000000505400fffe000001", "86", body)
    };
    let right = frame(1, "81000005", "10.0.0.1", 1);
    let wrong = [
        frame(1, "81000000", "10.0.0.1", 2),
        frame(1, "88a80000", "10.0.0.1", 3),
        router(""),
        router("81000005"),
    ];
    let frames: Vec<&str> = wrong.iter().chain([&right]).map(String::as_str).collect();
    let heard = guests[1].hears("2", || guests[0].send(&frames));
    let came = |frame: &String| heard.iter().any(|it| lab::untagged(it).starts_with(&lab::untagged(frame)));
    assert!(came(&right), "{heard:?}");
    assert!(!wrong.iter().any(came), "{heard:?}");
}
