//! The network driver on the real thing: this kernel, in network namespaces of the tests' own. Says `skipped: test: why`
//! where there can be none.

#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]
#![cfg(feature = "network")]

#[allow(unused_imports)]
mod suite;

use nix::sched::{CloneFlags, unshare};
use pony_core::host::{DriverErrorKind, GuestCard, GuestConfig, SwitchKind, SwitchSpec, TapSpec};
use pony_host::{Netlink, Network as _};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const HOST: Uuid = Uuid::from_u128(0xa);

/// Runs a test on a thread with a network namespace of its own, which ends with the thread.
fn in_namespace<F: Future<Output = ()>>(test: impl FnOnce(Netlink) -> F + Send + 'static) {
    if !nix::unistd::geteuid().is_root() || !Path::new("/dev/net/tun").exists() {
        return suite::skipped("only root makes links, and only with /dev/net/tun");
    }
    let isolated = move || {
        if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
            return suite::skipped(format!("no network namespace: {error}"));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test(Netlink::new(HOST).unwrap()));
    };
    let name = std::thread::current().name().unwrap_or("?").to_owned();
    std::thread::Builder::new().name(name).spawn(isolated).unwrap().join().unwrap();
}

/// `ip …` in the namespace of this thread.
fn ip(args: &str) -> String {
    let output = Command::new("ip").args(args.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "ip {args}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn has(text: &str, words: &[&str]) {
    words.iter().for_each(|word| assert!(text.contains(word), "{word:?} is not in {text}"));
}

fn has_not(text: &str, words: &[&str]) {
    words.iter().for_each(|word| assert!(!text.contains(word), "{word:?} is in {text}"));
}

fn switch() -> SwitchSpec {
    SwitchSpec { switch: Uuid::new_v4(), kind: SwitchKind::Bridge }
}

fn tap(switch: &SwitchSpec) -> TapSpec {
    TapSpec {
        vnic: Uuid::new_v4(),
        switch: switch.switch,
        mac: "52:54:00:12:34:56".into(),
        addresses: None,
        config: None,
    }
}

#[test]
fn the_driver_conforms() {
    in_namespace(|network| async move { suite::network(&network).await });
}

/// Whoever was killed while he made the rules for a card, and was to remove the card next, left them for ever: nobody saw
/// rules without a link. Bridges without an alias were the same.
#[test]
fn an_agent_that_is_killed_leaves_nothing_that_the_next_one_does_not_see() {
    in_namespace(|network| async move {
        drop(network);
        let left = || ip("-br link") + &nft("list ruleset");
        suite::network_of_agents_that_die(|| Netlink::new(HOST).unwrap(), left).await;
    });
}

#[test]
fn rules_without_a_link_are_seen_and_mended() {
    in_namespace(|network| async move {
        let switch = switch();
        network.ensure_switch(&switch).await.unwrap();
        let tap = tap(&switch);
        let fact = network.ensure_tap(&tap).await.unwrap();
        ip(&format!("link delete {}", fact.link));
        let found = network.list_taps().await.unwrap();
        assert_eq!(
            (found.len(), found[0].vnic, &found[0].bridge, found[0].guard),
            (1, tap.vnic, &None, None)
        );
        assert_eq!(network.ensure_tap(&tap).await.unwrap(), fact);
        assert_eq!(network.list_taps().await.unwrap(), [fact]);
    });
}

#[test]
fn links_are_made_as_promised() {
    in_namespace(|network| async move {
        let switch = switch();
        let tap = tap(&switch);
        let bridge = network.ensure_switch(&switch).await.unwrap().bridge;
        let fact = network.ensure_tap(&tap).await.unwrap();
        assert_eq!((fact.vnic, fact.bridge.as_deref()), (tap.vnic, Some(bridge.as_str())));

        let found = ip(&format!("-d link show {bridge}"));
        has(&found, &[",UP", "NOARP", "stp_state 0", "forward_delay 0", "addrgenmode none"]);
        has(&found, &[&format!("alias pony:{HOST}:{}", switch.switch)]);
        let found = ip(&format!("-d link show {}", fact.link));
        has(&found, &[",UP", "tun type tap", "vnet_hdr on", "persist on", "addrgenmode none"]);
        has(&found, &[&format!("master {bridge}"), &format!("alias pony:{HOST}:{}", tap.vnic)]);
        has_not(&ip("address"), &["inet6"]);
        let off = std::fs::read_to_string(format!("/proc/sys/net/ipv6/conf/{bridge}/disable_ipv6"));
        assert!(off.map_or(true, |off| off.trim() == "1"), "router advertisements would be heeded");
    });
}

#[test]
fn what_somebody_broke_is_mended() {
    in_namespace(|network| async move {
        let (one, two) = (switch(), switch());
        let tap = tap(&one);
        let bridge = network.ensure_switch(&one).await.unwrap().bridge;
        network.ensure_switch(&two).await.unwrap();
        let link = network.ensure_tap(&tap).await.unwrap().link;
        let broken = ["{b} down", "{b} type bridge stp_state 1", "{b} type bridge forward_delay 500"];
        for damage in broken {
            ip(&format!("link set {}", damage.replace("{b}", &bridge)));
            let found = network.list_switches().await.unwrap();
            assert!(
                found.iter().any(|it| it.bridge == bridge && !it.whole),
                "{damage} is not seen: {found:?}"
            );
            network.ensure_switch(&one).await.unwrap();
            has(&ip(&format!("-d link show {bridge}")), &[",UP", "stp_state 0", "forward_delay 0"]);
        }
        for damage in ["nomaster", "down"] {
            ip(&format!("link set {link} {damage}"));
            network.ensure_tap(&tap).await.unwrap();
            has(&ip(&format!("link show {link}")), &[",UP", &format!("master {bridge}")]);
        }
        // Half made, as after a crash.
        network.remove_switch(two.switch).await.unwrap();
        let bridge = network.ensure_switch(&two).await.unwrap().bridge;
        network.remove_switch(two.switch).await.unwrap();
        ip(&format!("link add {bridge} type bridge"));
        assert!(network.list_switches().await.unwrap().iter().all(|fact| fact.switch != two.switch));
        network.ensure_switch(&two).await.unwrap();
        has(&ip(&format!("link show {bridge}")), &["alias pony:", ",UP"]);
    });
}

#[test]
fn links_of_others_are_neither_seen_nor_touched() {
    in_namespace(|network| async move {
        let other = Netlink::new(Uuid::from_u128(0xb)).unwrap();
        let (switch, mine) = (switch(), switch());
        let tap = tap(&switch);
        let bridge = other.ensure_switch(&switch).await.unwrap().bridge;
        let link = other.ensure_tap(&tap).await.unwrap().link;
        ip("link add stranger type bridge");
        assert_eq!(network.list_switches().await, Ok(vec![]));
        assert_eq!(network.list_taps().await, Ok(vec![]));

        let refused = network.ensure_switch(&switch).await;
        assert!(suite::assert_refused(refused, DriverErrorKind::Order).contains(&bridge));
        suite::assert_refused(network.ensure_tap(&tap).await, DriverErrorKind::Transient);
        network.ensure_switch(&mine).await.unwrap();
        let refused = network.ensure_tap(&TapSpec { switch: mine.switch, ..tap.clone() }).await;
        assert!(suite::assert_refused(refused, DriverErrorKind::Order).contains(&link));
        network.remove_switch(switch.switch).await.unwrap();
        network.remove_tap(tap.vnic).await.unwrap();
        assert_eq!(other.list_switches().await.unwrap().len(), 1);
        assert_eq!(other.list_taps().await.unwrap().len(), 1);
        ip("link show stranger");

        // A link of another kind that only has the name.
        other.remove_switch(switch.switch).await.unwrap();
        ip(&format!("link add {bridge} type veth peer name peer"));
        suite::assert_refused(network.ensure_switch(&switch).await, DriverErrorKind::Order);
        network.remove_switch(switch.switch).await.unwrap();
        ip(&format!("link show {bridge}"));
    });
}

/// Wherever a call is dropped: no half-made tap stays, and the next call for the same thing succeeds.
#[test]
fn dropped_calls_leave_nothing_half_made() {
    in_namespace(|network| async move {
        let switch = switch();
        network.ensure_switch(&switch).await.unwrap();
        let mut cut_off = 0;
        for polls in 0..60 {
            let tap = tap(&switch);
            cut_off += u32::from(suite::poll_some(polls, network.ensure_tap(&tap)).await.is_none());
            let fact = network.ensure_tap(&tap).await.unwrap();
            has(&ip(&format!("-d link show {}", fact.link)), &["persist on", "alias pony:", ",UP"]);
            let _ = suite::poll_some(polls, network.remove_tap(tap.vnic)).await;
            network.remove_tap(tap.vnic).await.unwrap();
        }
        assert!(cut_off > 5, "{cut_off} of 60 calls were cut off: this shows nothing");
        for polls in 0..20 {
            let tap = tap(&switch);
            if suite::poll_some(polls, network.ensure_tap(&tap)).await.is_none() {
                tokio::time::sleep(Duration::from_millis(20)).await;
                let kept = network.list_taps().await.unwrap();
                let kept = kept.iter().filter(|it| it.bridge.is_some()).count();
                assert_eq!(ip("-br link").matches("pt").count(), kept, "a tap was left half made");
            }
            network.remove_tap(tap.vnic).await.unwrap();
        }
    });
}

#[test]
fn many_links_are_listed() {
    in_namespace(|network| async move {
        let switches: Vec<_> = (0..100).map(|_| switch()).collect();
        for switch in &switches {
            network.ensure_switch(switch).await.unwrap();
        }
        let taps: Vec<_> = switches.iter().map(tap).collect();
        for tap in &taps {
            network.ensure_tap(tap).await.unwrap();
        }
        let facts = network.list_taps().await.unwrap();
        assert!(
            taps.iter().all(|tap| facts.iter().any(|fact| fact.vnic == tap.vnic && fact.bridge.is_some()))
        );
        assert_eq!(facts.len(), taps.len());
    });
}

/// The service that tells guests of themselves comes with the first of them and goes with the last, whatever was left of
/// an earlier one; one that was torn off is seen to be, and made anew.
#[test]
fn guests_are_told_of_themselves_as_long_as_they_are_there() {
    in_namespace(|network| async move {
        let before = ip("-br link");
        let switch = switch();
        let bridge = network.ensure_switch(&switch).await.unwrap().bridge;
        let card = GuestCard { mac: "52:54:00:12:34:56".into(), metadata: true, addresses: vec![] };
        let config = GuestConfig {
            instance: Uuid::new_v4(),
            hostname: "guest".into(),
            user_data: None,
            name_servers: vec![],
            cards: vec![card],
        };
        let told = Some(config.stamp());
        let tap = TapSpec { config: Some(Arc::new(config)), addresses: Some([].into()), ..tap(&switch) };
        let fact = network.ensure_tap(&tap).await.unwrap();
        assert_eq!((fact.told, fact.guard), (told, Some(tap.guard())));
        assert_eq!(network.list_taps().await.unwrap(), std::slice::from_ref(&fact));
        has(&ip(&format!("-d link show master {bridge} type veth")), &[",UP", "isolated on"]);
        // Somebody removes it, and the rules.
        let service = ip(&format!("-br link show master {bridge} type veth"));
        ip(&format!("link delete {}", service.split('@').next().unwrap()));
        assert!(Command::new("nft").args(["flush", "ruleset"]).status().unwrap().success());
        let found = network.list_taps().await.unwrap().remove(0);
        assert_eq!((found.told, found.guard), (None, None));
        assert_eq!(network.ensure_tap(&tap).await.unwrap(), fact);
        assert_eq!(network.list_taps().await.unwrap(), [fact]);
        // Another process begins anew.
        let other = Netlink::new(HOST).unwrap();
        assert_eq!(other.list_taps().await.unwrap().remove(0).told, None);
        drop(network);
        other.ensure_tap(&tap).await.unwrap();
        other.remove_tap(tap.vnic).await.unwrap();
        other.remove_switch(switch.switch).await.unwrap();
        assert_eq!(ip("-br link"), before);
        let rules = Command::new("nft").args(["list", "ruleset"]).output().unwrap().stdout;
        assert!(rules.is_empty(), "{}", String::from_utf8_lossy(&rules));
    });
}

/// What nft says.
fn nft(args: &str) -> String {
    let output = Command::new("nft").args(args.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "nft {args}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_rule_that_somebody_removed_is_missed() {
    in_namespace(|network| async move {
        let switch = switch();
        network.ensure_switch(&switch).await.unwrap();
        let taps = [tap(&switch), tap(&switch)];
        for tap in &taps {
            network.ensure_tap(tap).await.unwrap();
        }
        let guards = async || -> Vec<Option<u64>> {
            let found = network.list_taps().await.unwrap();
            let guard = |tap: &TapSpec| found.iter().find(|it| it.vnic == tap.vnic).unwrap().guard;
            taps.iter().map(guard).collect()
        };
        let whole: Vec<_> = taps.iter().map(|tap| Some(tap.guard())).collect();
        assert_eq!(guards().await, whole);
        let before = nft("list ruleset");
        let table = format!("bridge pony_{}", HOST.simple());
        // One rule of the first tap's chain.
        let link = network.ensure_tap(&taps[0]).await.unwrap().link;
        let rules = nft(&format!("-a list table {table}"));
        let chain = rules.split("\n\tchain ").find(|it| it.starts_with(&link)).unwrap();
        let rule = chain.lines().find(|it| it.contains("drop") && it.contains("# handle")).unwrap();
        let (name, handle) = (chain.split(' ').next().unwrap(), rule.rsplit(' ').next().unwrap());
        nft(&format!("delete rule {table} {name} handle {handle}"));
        assert_eq!(guards().await, [None, whole[1]]);
        network.ensure_tap(&taps[0]).await.unwrap();
        assert_eq!(
            (guards().await, nft("list ruleset").lines().count()),
            (whole.clone(), before.lines().count())
        );
        // What leads to all chains.
        nft(&format!("flush chain {table} from_guests"));
        assert_eq!(guards().await, [None, None]);
        for tap in &taps {
            network.ensure_tap(tap).await.unwrap();
        }
        assert_eq!(guards().await, whole);
        assert_eq!(nft("list ruleset").lines().count(), before.lines().count());
    });
}
