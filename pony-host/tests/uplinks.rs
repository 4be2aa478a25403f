//! Bonds, VLANs and bridges of the host itself: in a guest, since not every kernel has bonds and VLANs. Hosts are network
//! namespaces, their cards the ends of pairs, and "far" is what they are joined with.

#![allow(clippy::unwrap_used, clippy::expect_used)]
#![cfg(feature = "network")]

mod namespace;
mod suite;

use namespace::{in_guest, is_inside, run};
use nix::sched::{CloneFlags, unshare};
use pony_core::host::{
    BondMode, BondSpec, DriverErrorKind, SegmentSpec, SwitchKind, SwitchSpec, UplinkId, UplinkSpec, XmitHash,
};
use pony_host::{Netlink, Network as _};
use std::collections::BTreeSet;
use std::future::Future;
use std::io::Write as _;
use std::pin::pin;
use std::process::{Command, Stdio};
use std::task::Poll;
use std::time::{Duration, Instant};
use uuid::Uuid;

const HOST: Uuid = Uuid::from_u128(0xa);
const BOND: Uuid = Uuid::from_u128(0xb);
const MODULES: &str = "bonding 8021q veth bridge nft_meta_bridge nf_tables";
const ONE: &str = "02:00:00:00:00:01";
const TWO: &str = "02:00:00:00:00:02";

/// Within this a bond notices what became of its cards, on a busy machine.
const SOON: Duration = Duration::from_secs(60);

#[test]
#[ignore = "takes minutes where guests are emulated: make test-long runs it"]
fn uplinks_are_made_and_what_cards_were_used_for_goes_on() {
    in_guest("uplinks_inside", MODULES, "", 500);
}

fn ip(line: &str) -> String {
    run("ip", &line.split_whitespace().collect::<Vec<_>>())
}

/// Several lines at once: starting a program takes long in an emulated guest.
fn batch(namespace: &[&str], lines: &str) {
    let mut ip =
        Command::new("ip").args(namespace).args(["-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    ip.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(ip.wait().unwrap().success(), "{lines}");
}

/// Two cards, `one` with an address and a way out, and far away a switch that they are plugged into.
fn cables() {
    ip("netns add far");
    batch(
        &[],
        &format!(
            "link set lo up
             link add one address {ONE} type veth peer name far1 netns far
             link add two address {TWO} type veth peer name far2 netns far"
        ),
    );
    batch(
        &["-n", "far"],
        "link add far type bridge forward_delay 0 mcast_snooping 0
         link set far1 master far up
         link set far2 master far up
         address add 10.9.0.1/24 dev far
         link set far up
         link add link far name far.7 type vlan id 7
         address add 10.7.0.1/24 dev far.7
         link set far.7 up",
    );
    batch(
        &[],
        "link set one up
         address add 10.9.0.5/24 dev one
         route add default via 10.9.0.1
         route add 172.16.0.0/12 via 10.9.0.1 metric 7",
    );
}

fn no_cables() {
    batch(&[], "link delete one\nlink delete two\nnetns delete far");
}

fn reaches(address: &str) -> bool {
    Command::new("busybox").args(["ping", "-c", "1", "-W", "1", address]).output().unwrap().status.success()
}

#[track_caller]
fn soon_reaches(address: &str) {
    let began = Instant::now();
    while !reaches(address) {
        assert!(began.elapsed() < SOON, "{address} cannot be reached: {}{}", ip("address"), ip("route"));
    }
}

fn bond(mode: BondMode, nics: &[&str]) -> UplinkSpec {
    let nics: BTreeSet<String> = nics.iter().map(|mac| (*mac).to_owned()).collect();
    UplinkSpec::Bond(BondSpec { bond: BOND, mode, nics })
}

fn segment(tag: u16, addresses: &[(&str, u8)]) -> UplinkSpec {
    let addresses = addresses.iter().map(|(ip, prefix)| (ip.parse().unwrap(), *prefix)).collect();
    UplinkSpec::Segment(SegmentSpec { bond: BOND, within: 0, tag, bridged: true, addresses })
}

const BACKUP: BondMode = BondMode::ActiveBackup;
const LACP: BondMode = BondMode::Lacp { fast: true, hash: XmitHash::Layer34 };

/// What there is, but for the state of links: the kernel finds out a moment later whether a new one is up.
fn without_state(what: &str) -> String {
    let list = ip(&format!("-o -br {what}"));
    let line = |line: &str| {
        let words = line.split_whitespace().enumerate().filter(|(place, _)| *place != 1);
        words.map(|(_, word)| word).collect::<Vec<_>>().join(" ")
    };
    list.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Makes it; it is as ordered then, and making it again changes nothing.
async fn make(network: &Netlink, spec: &UplinkSpec) -> String {
    let fact = network.ensure_uplink(spec).await.unwrap();
    assert!(fact.is_as_ordered(spec), "{fact:?}");
    let list = network.list_uplinks().await.unwrap();
    let listed = list.iter().find(|it| it.spec.id() == spec.id()).unwrap();
    assert!(listed.is_as_ordered(spec), "{listed:?} is not {spec:?}");
    assert_eq!((&listed.link, &listed.below), (&fact.link, &fact.below));
    let seen = || [without_state("link"), without_state("address"), ip("route")];
    let before = seen();
    network.ensure_uplink(spec).await.unwrap();
    assert_eq!(seen(), before);
    fact.link
}

async fn remove_all(network: &Netlink) {
    let list = network.list_uplinks().await.unwrap();
    let (bonds, rest): (Vec<_>, Vec<_>) =
        list.iter().map(|it| it.spec.id()).partition(|it| matches!(it, UplinkId::Bond(_)));
    for uplink in rest.into_iter().chain(bonds) {
        network.remove_uplink(uplink).await.unwrap();
        network.remove_uplink(uplink).await.unwrap();
    }
    assert_eq!(network.list_uplinks().await.unwrap(), []);
}

/// As it was before anything was ordered.
#[track_caller]
fn assert_as_before() {
    assert!(ip("-o -4 address show dev one").contains("10.9.0.5/24"), "{}", ip("address"));
    assert!(ip("route").contains("default via 10.9.0.1 dev one"), "{}", ip("route"));
    assert!(ip("route").contains("172.16.0.0/12 via 10.9.0.1 dev one metric 7"), "{}", ip("route"));
    assert!(!ip("-d link").contains("alias pony:"), "{}", ip("-d link"));
    soon_reaches("10.9.0.1");
}

/// Each part in a namespace of its own.
fn part<F: Future<Output = ()>>(test: impl FnOnce(Netlink) -> F + Send + 'static) {
    let isolated = move || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        cables();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test(Netlink::new(HOST).unwrap()));
        no_cables();
    };
    std::thread::spawn(isolated).join().unwrap();
}

#[test]
#[ignore = "is run by another test, in a guest"]
fn uplinks_inside() {
    if !is_inside() {
        return;
    }
    part(|network| async move { what_a_card_was_used_for_goes_on(&network).await });
    part(|network| async move { cards_stand_in_for_each_other(&network).await });
    part(|network| async move { a_card_goes_to_another_bond(&network).await });
    part(|network| async move { modes_and_options(&network).await });
    part(|network| async move { vlans_join_hosts_and_switches(&network).await });
    part(|network| async move { others_are_left_alone(&network).await });
    part(|network| async move { dropped_anywhere(&network).await });
    part(|_| killed_anywhere());
}

async fn what_a_card_was_used_for_goes_on(network: &Netlink) {
    ip("link set one mtu 1400");
    let link = make(network, &bond(BACKUP, &[ONE])).await;
    assert!(ip("route").contains(&format!("default via 10.9.0.1 dev {link}")), "{}", ip("route"));
    assert_eq!(ip("-o -4 address show dev one"), "");
    assert!(ip(&format!("link show {link}")).contains(ONE), "neighbours would have to learn another address");
    soon_reaches("10.9.0.1");

    let bridge = make(network, &segment(0, &[("10.9.0.6", 24), ("fd00::6", 64)])).await;
    assert!(ip("route").contains(&format!("default via 10.9.0.1 dev {bridge}")), "{}", ip("route"));
    for address in ["10.9.0.5/24", "10.9.0.6/24", "fd00::6/64"] {
        assert!(ip(&format!("-o address show dev {bridge}")).contains(address), "{address}");
    }
    for link in [&link, &bridge] {
        assert!(ip(&format!("link show {link}")).contains("mtu 1400"), "{link}");
    }
    soon_reaches("10.9.0.1");
    // Another address, and one that is both ordered and somebody's.
    let spec = segment(0, &[("10.9.0.5", 24)]);
    make(network, &spec).await;
    assert!(!ip("address").contains("10.9.0.6"));
    ip(&format!("address add 10.9.0.77/24 dev {bridge}"));
    make(network, &segment(0, &[])).await;
    assert!(
        ip(&format!("-o address show dev {bridge}")).contains("10.9.0.77/24"),
        "somebody's address is gone"
    );
    ip(&format!("address del 10.9.0.77/24 dev {bridge}"));
    remove_all(network).await;
    assert_as_before();
}

async fn cards_stand_in_for_each_other(network: &Netlink) {
    let link = make(network, &bond(BACKUP, &[ONE, TWO])).await;
    soon_reaches("10.9.0.1");
    for far in ["far1", "far2"] {
        ip(&format!("-n far link set {far} down"));
        soon_reaches("10.9.0.1");
        ip(&format!("-n far link set {far} up"));
        let began = Instant::now();
        while ip(&format!("-o link show master {link}")).contains("NO-CARRIER") {
            assert!(began.elapsed() < SOON);
        }
    }
    // One is let go of, and what remains goes on.
    make(network, &bond(BACKUP, &[TWO])).await;
    assert!(!ip("-o link show one").contains("master"));
    soon_reaches("10.9.0.1");
    // The one that had the addresses gets them back.
    remove_all(network).await;
    assert_as_before();
}

/// A bond that was ordered away and in again is another one, and was made while the first could not be removed yet: then what the
/// card had from others was lost with the first.
async fn a_card_goes_to_another_bond(network: &Netlink) {
    let other = Uuid::from_u128(0xbb);
    let again = BondSpec { bond: other, mode: BACKUP, nics: [ONE.to_owned()].into() };
    make(network, &bond(BACKUP, &[ONE])).await;
    make(network, &segment(0, &[])).await;
    // The first hears nothing any more, which is seen a moment later.
    let link = network.ensure_uplink(&UplinkSpec::Bond(again)).await.unwrap().link;
    for uplink in [segment(0, &[]).id(), UplinkId::Bond(BOND)] {
        network.remove_uplink(uplink).await.unwrap();
    }
    assert!(ip(&format!("-o -4 address show dev {link}")).contains("10.9.0.5/24"), "{}", ip("address"));
    assert!(ip("route").contains(&format!("default via 10.9.0.1 dev {link}")), "{}", ip("route"));
    soon_reaches("10.9.0.1");
    remove_all(network).await;
    assert_as_before();
}

async fn modes_and_options(network: &Netlink) {
    ip("-n far link set far1 nomaster down");
    ip("-n far link set far2 nomaster down");
    ip("-n far address flush dev far");
    ip("-n far link add partner type bond mode 802.3ad lacp_rate fast miimon 100");
    ip("-n far link set far1 master partner");
    ip("-n far link set far2 master partner");
    ip("-n far link set partner up");
    ip("-n far address add 10.9.0.1/24 dev partner");
    let link = make(network, &bond(LACP, &[ONE, TWO])).await;
    soon_reaches("10.9.0.1");
    let said = std::fs::read_to_string(format!("/proc/thread-self/net/bonding/{link}")).unwrap();
    for word in ["802.3ad", "LACP rate: fast", "layer3+4"] {
        assert!(said.contains(word), "{word} is not in {said}");
    }
    let began = Instant::now();
    while ip(&format!("-d link show {link}")).contains("ad_partner_mac 00:00:00:00:00:00") {
        assert!(began.elapsed() < SOON, "no partner is found");
    }
    make(network, &bond(BondMode::Lacp { fast: false, hash: XmitHash::Layer23 }, &[ONE, TWO])).await;
    assert!(ip("route").contains(&format!("default via 10.9.0.1 dev {link}")), "{}", ip("route"));
    soon_reaches("10.9.0.1");
    make(network, &bond(BACKUP, &[ONE, TWO])).await;
    assert!(ip(&format!("-d link show {link}")).contains("mode active-backup"));
    remove_all(network).await;
}

async fn vlans_join_hosts_and_switches(network: &Netlink) {
    make(network, &bond(BACKUP, &[ONE])).await;
    make(network, &segment(0, &[])).await;
    let spec = segment(7, &[("10.7.0.5", 24)]);
    make(network, &spec).await;
    soon_reaches("10.7.0.1");
    soon_reaches("10.9.0.1");
    // Somebody breaks it.
    let below = network.ensure_uplink(&spec).await.unwrap().below;
    ip(&format!("link delete {below}"));
    let broken = network.list_uplinks().await.unwrap();
    assert!(broken.iter().any(|it| it.spec.id() == spec.id() && !it.whole), "{broken:?}");
    make(network, &spec).await;
    soon_reaches("10.7.0.1");

    // A switch of guests is another VLAN: nothing of the host is on it.
    let plain = UplinkSpec::Segment(SegmentSpec::plain(BOND, 0, 8));
    let below = make(network, &plain).await;
    let switch = SwitchSpec { switch: Uuid::new_v4(), kind: SwitchKind::Vlan(plain.id()) };
    let fact = network.ensure_switch(&switch).await.unwrap();
    assert!(fact.is_joined(&switch.kind));
    assert_eq!(network.list_switches().await.unwrap(), std::slice::from_ref(&fact));
    assert!(ip(&format!("-o link show {below}")).contains(&format!("master {}", fact.bridge)));
    let rules = run("nft", &["list", "ruleset"]);
    assert!(rules.contains(&below), "what comes from the VLAN would be for this host: {rules}");
    assert_eq!(ip(&format!("-o address show dev {}", fact.bridge)), "");
    network.remove_switch(switch.switch).await.unwrap();
    vlan_in_a_vlan(network).await;
    remove_all(network).await;
    assert!(!run("nft", &["list", "ruleset"]).contains("pony"));
    assert_as_before();
}

/// Where the core network is VLAN 7, which the host itself is on, a switch is a VLAN in that: frames have both tags.
async fn vlan_in_a_vlan(network: &Netlink) {
    let inner = UplinkSpec::Segment(SegmentSpec::plain(BOND, 7, 8));
    let below = make(network, &inner).await;
    assert!(ip(&format!("link show {below}")).contains("mtu 1496"), "two tags are longer than cards carry");
    let switch = SwitchSpec { switch: Uuid::new_v4(), kind: SwitchKind::Vlan(inner.id()) };
    let bridge = network.ensure_switch(&switch).await.unwrap().bridge;
    assert!(ip(&format!("-o link show {below}")).contains(&format!("master {bridge}")));
    // A guest in this switch, and one far away.
    batch(
        &[],
        &format!(
            "netns add guest
             link add guest7 type veth peer name eth0 netns guest
             link set guest7 master {bridge} up"
        ),
    );
    batch(&["-n", "guest"], "address add 10.8.0.5/24 dev eth0\nlink set eth0 mtu 1496 up");
    batch(
        &["-n", "far"],
        "link add link far.7 name far.7.8 type vlan id 8
         address add 10.8.0.1/24 dev far.7.8
         link set far.7.8 up",
    );
    let reached = |size: &str| {
        let words =
            ["netns", "exec", "guest", "busybox", "ping", "-c", "3", "-W", "5", "-s", size, "10.8.0.1"];
        Command::new("ip").args(words).output().unwrap().status.success()
    };
    assert!(reached("56") && reached("1468"), "{}", ip("-d link"));
    soon_reaches("10.7.0.1");
    batch(&[], "netns delete guest");
    network.remove_switch(switch.switch).await.unwrap();
}

async fn others_are_left_alone(network: &Netlink) {
    ip("link add foreign type bridge");
    ip("link set two master foreign");
    let refused = network.ensure_uplink(&bond(BACKUP, &[TWO])).await;
    assert!(suite::assert_refused(refused, DriverErrorKind::Order).contains("foreign"));
    let refused = network.ensure_uplink(&segment(7, &[])).await;
    suite::assert_refused(refused, DriverErrorKind::Transient);
    let absent = network.ensure_uplink(&bond(BACKUP, &["02:00:00:00:00:99"])).await;
    assert!(suite::assert_refused(absent, DriverErrorKind::Transient).contains("02:00:00:00:00:99"));
    let other = Netlink::new(Uuid::from_u128(0xff)).unwrap();
    make(&other, &bond(BACKUP, &[ONE])).await;
    assert_eq!(network.list_uplinks().await.unwrap(), []);
    network.remove_uplink(UplinkId::Bond(BOND)).await.unwrap();
    let refused = network.ensure_uplink(&bond(BACKUP, &[])).await;
    suite::assert_refused(refused, DriverErrorKind::Order);
    remove_all(&other).await;
    ip("link delete foreign");
    assert_as_before();
}

/// Lets a future go on so often, and drops it then. Returns whether it came to its end.
async fn up_to<F: Future>(polls: usize, future: F) -> bool {
    let mut future = pin!(future);
    let mut polled = 0;
    std::future::poll_fn(|context| {
        if polled == polls {
            return Poll::Ready(false);
        }
        polled += 1;
        future.as_mut().poll(context).map(|_| true)
    })
    .await
}

/// What [`assert_as_before`] sees of `one`, without starting a program.
#[track_caller]
fn assert_card_has_what_it_had() {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap();
    let routes = read("route");
    // The kernel writes 10.9.0.1 in this way.
    assert!(routes.contains("one\t00000000\t0100090A"), "{routes}");
    assert!(read("fib_trie").contains("10.9.0.5"), "{}", ip("address"));
}

/// Every step, dropped where it waits, and then taken up again: at each of the first places, and at ever fewer of those behind
/// them, since this takes long in an emulated guest.
async fn dropped_anywhere(network: &Netlink) {
    let steps = [bond(BACKUP, &[ONE, TWO]), segment(0, &[("10.9.0.6", 24)]), segment(7, &[("10.7.0.5", 24)])];
    let mut polls = 0;
    loop {
        polls += 1 + polls / 8;
        let mut whole = true;
        for step in &steps {
            whole &= up_to(polls, network.ensure_uplink(step)).await;
            let fact = network.ensure_uplink(step).await.unwrap();
            assert!(fact.is_as_ordered(step), "{fact:?}");
        }
        let list = network.list_uplinks().await.unwrap();
        for step in &steps {
            let listed = list.iter().find(|it| it.spec.id() == step.id()).unwrap();
            assert!(listed.is_as_ordered(step), "{listed:?} is not {step:?} after {polls} polls");
        }
        for step in steps.iter().rev() {
            whole &= up_to(polls, network.remove_uplink(step.id())).await;
            network.remove_uplink(step.id()).await.unwrap();
        }
        assert_eq!(network.list_uplinks().await.unwrap(), []);
        assert_card_has_what_it_had();
        if whole {
            return assert_as_before();
        }
    }
}

/// Links that an agent makes, whoever knows of them.
fn links_of_agents() -> Vec<String> {
    let all = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let names = all.lines().filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned()));
    names.filter(|name| ["po", "pl", "pr"].iter().any(|it| name.starts_with(it))).collect()
}

/// Every step, ended by the death of who is at it, where nobody wants it any more: the next one sees all that is there, and
/// takes it back.
async fn killed_anywhere() {
    ip("link set two up");
    let steps = [bond(BACKUP, &[ONE, TWO]), segment(0, &[("10.9.0.6", 24)]), segment(7, &[("10.7.0.5", 24)])];
    let mut polls = 0;
    loop {
        polls += 1 + polls / 4;
        let mut whole = true;
        for (n, step) in steps.iter().enumerate() {
            let network = Netlink::new(HOST).unwrap();
            for before in &steps[..n] {
                network.ensure_uplink(before).await.unwrap();
            }
            whole &= up_to(polls, network.ensure_uplink(step)).await;
            drop(network);
            // What it was at may still end.
            suite::eventually("nothing is left that is not seen", async || {
                suite::clear(&Netlink::new(HOST).unwrap()).await.unwrap();
                links_of_agents().is_empty()
            })
            .await;
            assert_card_has_what_it_had();
            assert!(ip("-o link show two").contains(",UP"), "{}", ip("link"));
        }
        if whole {
            return assert_as_before();
        }
    }
}
