//! Where the cards of vxlan switches are: a row of `switch_port` for each card whose instance is placed.
//!
//! Like all that the controller decides, it is compared with what the database has whenever something that it follows
//! from changed: placements, cards, addresses, and where the hosts' ends of the overlay are.

use super::damage::Changed;
use super::ops;
use crate::tables::{
    Address, Bond, Host, HostInstance, NetRole, Network, Switch, SwitchPort, SwitchPortDesired, SwitchType,
    Vnic, mac_of, overlay_address,
};
use pony_state::{Inet, Read, RowOp};
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Calls `damaged` with the cards whose port may have become wrong by a change.
pub(crate) fn note(view: &impl Read, change: &impl Changed, mut damaged: impl FnMut(Uuid)) {
    if let Some(row) = change.row::<Vnic>() {
        row.before.iter().chain(&row.after).for_each(|it| damaged(it.uuid));
    } else if let Some(row) = change.row::<SwitchPort>() {
        row.before.iter().chain(&row.after).for_each(|it| damaged(it.vnic));
    } else if let Some(row) = change.row::<Address>() {
        let desired = row.before.iter().chain(&row.after).filter_map(|it| it.desired.as_ref());
        desired.filter_map(|it| it.vnic).for_each(damaged);
    } else if let Some(row) = change.row::<Network>() {
        let tag = |row: Option<&Network>| row.and_then(|it| it.desired.as_ref()?.vlan_tag);
        if tag(row.before) != tag(row.after) {
            let networks = row.before.iter().chain(&row.after).map(|it| it.uuid);
            let rows = networks.flat_map(|it| view.table::<Address>().find("network", it));
            rows.filter_map(|it| it.desired.as_ref()?.vnic).for_each(damaged);
        }
    } else if let Some(row) = change.row::<HostInstance>() {
        let placement = |row: Option<&HostInstance>| row.and_then(|it| Some(it.desired.as_ref()?.released));
        if placement(row.before) != placement(row.after) {
            let instances = row.before.iter().chain(&row.after).map(|it| it.instance);
            instances.for_each(|it| cards(view, it).for_each(&mut damaged));
        }
    } else if let Some(row) = change.row::<Host>() {
        let address = |row: Option<&Host>| row.and_then(|it| it.current.as_ref()?.address);
        if address(row.before) != address(row.after) {
            row.after.or(row.before).iter().for_each(|it| cards_on(view, it.uuid).for_each(&mut damaged));
        }
    } else if let Some(row) = change.row::<NetRole>() {
        let desired = row.before.iter().chain(&row.after).filter_map(|it| it.desired.as_ref());
        let hosts: BTreeSet<Uuid> = desired.filter_map(|it| host_of(view, it.bond)).collect();
        hosts.into_iter().for_each(|it| cards_on(view, it).for_each(&mut damaged));
    } else if let Some(row) = change.row::<Bond>() {
        let desired = row.before.iter().chain(&row.after).filter_map(|it| it.desired.as_ref());
        desired.for_each(|it| cards_on(view, it.host).for_each(&mut damaged));
    }
}

/// What to write about a card's port.
pub(crate) fn decide(view: &impl Read, vnic: Uuid) -> Option<RowOp> {
    let held = view.get::<SwitchPort>(&vnic).and_then(|row| row.desired.as_ref());
    let key = ("vnic", json!(vnic));
    match (held, wanted(view, vnic, held)) {
        (None, None) => None,
        (Some(held), Some(wanted)) if *held == wanted => None,
        (Some(_), None) => Some(ops::delete("switch_port", [key])),
        (Some(_), Some(wanted)) => Some(ops::update("switch_port", [key], columns(&wanted))),
        (None, Some(wanted)) => {
            let [switch, host, address, macaddr, ips] = columns(&wanted);
            Some(ops::insert("switch_port", [key, switch, host, address, macaddr, ips]))
        }
    }
}

fn columns(port: &SwitchPortDesired) -> [(&'static str, Json); 5] {
    let ips: Vec<String> = port.ips.iter().map(ToString::to_string).collect();
    [
        ("switch", json!(port.switch)),
        ("host", json!(port.host)),
        ("address", json!(port.address.to_string())),
        ("macaddr", json!(port.macaddr.to_string())),
        ("ips", json!(ips)),
    ]
}

/// Where a card is: `None` where its switch needs no port, or its instance is nowhere.
fn wanted(view: &impl Read, vnic: Uuid, held: Option<&SwitchPortDesired>) -> Option<SwitchPortDesired> {
    let card = view.get::<Vnic>(&vnic)?.desired.as_ref()?;
    let switch = view.get::<Switch>(&card.switch)?.desired.as_ref()?;
    if switch.kind != SwitchType::Vxlan {
        return None;
    }
    let placed = |row: &&HostInstance| row.desired.as_ref().is_some_and(|it| !it.released);
    let host = view.table::<HostInstance>().find("instance", card.instance).find(placed)?.host;
    // A Sparkle that has just started has not heard of the host's address yet; what was written holds until then.
    let known = || held.filter(|port| port.host == host).map(|port| port.address);
    // Who asks under a tag must not be answered for: the kernel would do it without.
    let untagged = |network: Uuid| {
        let network = view.get::<Network>(&network).and_then(|row| row.desired.as_ref());
        network.is_some_and(|it| it.vlan_tag.is_none())
    };
    let addresses = view.table::<Address>().find("vnic", vnic).filter_map(|row| row.desired.as_ref());
    let ips = addresses.filter(|it| untagged(it.network)).filter_map(|it| it.ip);
    let ips: BTreeSet<Inet> = ips.map(|ip| Inet::from(ip.addr())).collect();
    Some(SwitchPortDesired {
        switch: card.switch,
        host,
        address: overlay_address(view, host).or_else(known)?,
        macaddr: mac_of(vnic, card),
        ips: ips.into_iter().collect(),
    })
}

fn cards(view: &impl Read, instance: Uuid) -> impl Iterator<Item = Uuid> {
    view.table::<Vnic>().find("instance", instance).map(|row| row.uuid)
}

fn cards_on(view: &impl Read, host: Uuid) -> impl Iterator<Item = Uuid> {
    view.table::<HostInstance>().find("host", host).flat_map(move |row| cards(view, row.instance))
}

fn host_of(view: &impl Read, bond: Uuid) -> Option<Uuid> {
    Some(view.get::<Bond>(&bond)?.desired.as_ref()?.host)
}
