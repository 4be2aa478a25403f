//! What a network keeps.

use super::{assert_fails, assert_refused};
use pony_core::host::{DriverErrorKind, SwitchKind, SwitchSpec, TapFact, TapSpec};
use pony_host::Network;
use uuid::Uuid;

/// Makes switches and taps of its own, and removes them.
pub async fn network(network: &dyn Network) {
    let unsupported =
        SwitchSpec { switch: Uuid::new_v4(), kind: SwitchKind::Unsupported("no overlays".into()) };
    assert_refused(network.ensure_switch(&unsupported).await, DriverErrorKind::Unsupported);

    let (one, two) = (bridge(network).await, bridge(network).await);
    let tap = TapSpec {
        vnic: Uuid::new_v4(),
        switch: Uuid::new_v4(),
        mac: "52:54:00:12:34:56".into(),
        addresses: None,
        config: None,
    };
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

async fn bridge(network: &dyn Network) -> Uuid {
    let spec = SwitchSpec { switch: Uuid::new_v4(), kind: SwitchKind::Bridge };
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
