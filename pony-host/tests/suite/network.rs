//! What a network keeps.

use super::{assert_fails, assert_refused, eventually, poll_some};
use pony_core::host::{DriverErrorKind, SwitchKind, SwitchSpec, TapFact, TapSpec, UplinkId};
use pony_host::{Network, Result};
use std::cmp::Reverse;
use uuid::Uuid;

/// Makes switches and taps of its own, and removes them.
pub async fn network(network: &dyn Network) {
    let unsupported =
        SwitchSpec { switch: Uuid::new_v4(), kind: SwitchKind::Unsupported("no overlays".into()) };
    assert_refused(network.ensure_switch(&unsupported).await, DriverErrorKind::Unsupported);

    let (one, two) = (bridge(network).await, bridge(network).await);
    let tap = tap(Uuid::new_v4());
    assert_fails(network.ensure_tap(&tap).await);
    assert!(find(network, &tap).await.is_none(), "a tap without a switch was left behind");

    plug(network, &tap, one).await;
    plug(network, &tap, two).await;
    unplug(network, &tap, two).await;

    network.remove_tap(tap.vnic).await.unwrap();
    network.remove_tap(tap.vnic).await.unwrap();
    assert!(find(network, &tap).await.is_none());
    network.remove_switch(one).await.unwrap();
    assert!(switch_names(network, one).await.is_empty());
}

/// A card in a switch.
fn tap(switch: Uuid) -> TapSpec {
    let (vnic, mac) = (Uuid::new_v4(), "52:54:00:12:34:56".into());
    TapSpec { vnic, switch, mac, addresses: None, config: None }
}

fn switch() -> SwitchSpec {
    SwitchSpec { switch: Uuid::new_v4(), kind: SwitchKind::Bridge }
}

/// Wherever an agent dies that makes links, or removes them: the next one sees what is there. So it can go on, and where
/// nobody wants it any more, what it removes is all. `born`: a driver of the same host that knows nothing yet. `left`: what is
/// there, however it can be seen.
pub async fn network_of_agents_that_die<N: Network>(born: impl Fn() -> N, left: impl Fn() -> String) {
    let before = left();
    let mut polls = 0;
    loop {
        let switch = switch();
        let tap = tap(switch.switch);
        let network = born();
        let made = poll_some(polls, make(&network, &switch, &tap)).await;
        drop(network);
        is_cleared(&born, &left, &before).await;

        make(&born(), &switch, &tap).await.unwrap();
        let network = born();
        let removed = poll_some(polls, remove(&network, switch.switch, tap.vnic)).await;
        drop(network);
        is_cleared(&born, &left, &before).await;
        if made.is_some() && removed.is_some() {
            assert!(polls > 5, "nothing was cut off: this shows nothing");
            return;
        }
        polls += 1 + polls / 8;
    }
}

async fn make(network: &dyn Network, switch: &SwitchSpec, tap: &TapSpec) -> Result<()> {
    network.ensure_switch(switch).await?;
    network.ensure_tap(tap).await.map(drop)
}

async fn remove(network: &dyn Network, switch: Uuid, vnic: Uuid) -> Result<()> {
    network.remove_tap(vnic).await?;
    network.remove_switch(switch).await
}

/// Once all that a new driver sees is removed, nothing is there. (What the old one was at may still end.)
async fn is_cleared<N: Network>(born: impl Fn() -> N, left: impl Fn() -> String, before: &str) {
    eventually("nothing is left that is not seen", async || {
        clear(&born()).await.unwrap();
        left() == before
    })
    .await;
}

/// Removes what a network says that there is, as an agent without orders does.
pub async fn clear(network: &dyn Network) -> Result<()> {
    for tap in network.list_taps().await? {
        network.remove_tap(tap.vnic).await?;
    }
    for switch in network.list_switches().await? {
        network.remove_switch(switch.switch).await?;
    }
    let mut uplinks: Vec<UplinkId> = network.list_uplinks().await?.iter().map(|it| it.spec.id()).collect();
    // What is on another first.
    uplinks.sort_by_key(|it| Reverse(height(*it)));
    for uplink in uplinks {
        network.remove_uplink(uplink).await?;
    }
    Ok(())
}

/// How many uplinks an uplink is on.
fn height(uplink: UplinkId) -> u32 {
    uplink.below().map_or(0, |below| 1 + height(below))
}

async fn bridge(network: &dyn Network) -> Uuid {
    let spec = switch();
    let fact = network.ensure_switch(&spec).await.unwrap();
    assert_eq!(fact.switch, spec.switch);
    assert_eq!(network.ensure_switch(&spec).await.unwrap(), fact, "asked twice, it is the same one");
    assert_eq!(switch_names(network, spec.switch).await, [fact.bridge]);
    spec.switch
}

async fn switch_names(network: &dyn Network, switch: Uuid) -> Vec<String> {
    let switches = network.list_switches().await.unwrap();
    switches.into_iter().filter(|fact| fact.switch == switch).map(|fact| fact.bridge).collect()
}

/// Plugs a tap into a switch, wherever it was before; twice.
async fn plug(network: &dyn Network, tap: &TapSpec, switch: Uuid) {
    let spec = TapSpec { switch, ..tap.clone() };
    let fact = network.ensure_tap(&spec).await.unwrap();
    assert_eq!(fact.bridge.as_ref(), switch_names(network, switch).await.first());
    assert_eq!(network.ensure_tap(&spec).await.unwrap(), fact);
    let listed = find(network, tap).await.unwrap();
    assert_eq!((listed.link, listed.bridge), (fact.link, fact.bridge));
}

/// Removes the switch below a tap: the tap stays, without one.
async fn unplug(network: &dyn Network, tap: &TapSpec, switch: Uuid) {
    network.remove_switch(switch).await.unwrap();
    network.remove_switch(switch).await.unwrap();
    assert!(switch_names(network, switch).await.is_empty());
    assert_eq!(find(network, tap).await.unwrap().bridge, None);
}

/// The tap in the list. `TapFact::vnic` holds as much of the uuid as the link's name tells: links tell them apart.
async fn find(network: &dyn Network, tap: &TapSpec) -> Option<TapFact> {
    let vnic = tap.vnic.simple().to_string();
    let tail = &vnic[vnic.len() - 8..];
    let taps = network.list_taps().await.unwrap();
    taps.into_iter().find(|fact| {
        let told = fact.vnic.simple().to_string();
        told.ends_with(tail) || told.starts_with(&vnic[..8])
    })
}
