//! What rows of networks come to on a host.

use super::rig::*;
use crate::agent::*;
use crate::host::*;
use crate::sim::{Fate, SimConfig};
use crate::tables;
use pony_state::{PartKind, Read, State};
use serde_json::{Value as Json, json};

const HOST: u8 = 99;
const BOND: u8 = 30;
const ROLE: u8 = 31;

/// A host with a card of an instance in a switch.
struct Rows(State);

impl Rows {
    fn new(switch: &Json) -> Self {
        let mut rows = Self(tables::new_state().unwrap());
        rows.write("host", &json!({"uuid": id(HOST)}));
        rows.write("switch", switch);
        let instance =
            json!({"uuid": id(INST), "name": "web", "state": "running", "vcpu": 1, "rcpu": 1.0, "mem": 64});
        rows.write("instance", &instance);
        rows.write(
            "vnic",
            &json!({"uuid": id(VNIC), "instance": id(INST), "switch": id(SWITCH), "index": 0}),
        );
        rows.write("host_instance", &json!({"host": id(HOST), "instance": id(INST), "released": false}));
        rows
    }

    fn write(&mut self, table: &str, part: &Json) {
        let key = self.0.any(table).unwrap().def().key_of_part(PartKind::Desired, part).unwrap();
        let mut tx = self.0.transaction();
        tx.set_json(table, &key, PartKind::Desired, part).unwrap();
        tx.commit();
    }

    fn orders(&self) -> Orders {
        super::super::rows::orders(&self.0, id(HOST))
    }

    fn switch(&self) -> SwitchKind {
        self.orders().switches[&id(SWITCH)].kind.clone()
    }

    fn core(&mut self, vlan: &Json) {
        let role = json!({"uuid": id(ROLE), "bond": id(BOND), "role": "core", "vlan_id": vlan});
        self.write("net_role", &role);
    }
}

#[test]
fn a_switch_is_a_vlan_of_the_core_network_whatever_that_is() {
    let mut rows = Rows::new(&json!({"uuid": id(SWITCH), "name": "s", "type": "bridge", "tag": 9}));
    assert!(matches!(rows.switch(), SwitchKind::Unsupported(why) if why.contains("role `core`")));
    rows.write("bond", &json!({"uuid": id(BOND), "host": id(HOST), "mode": "active-backup"}));
    rows.core(&Json::Null);
    let inside = |within| SwitchKind::Vlan(UplinkId::Segment { bond: id(BOND), within, tag: 9 });
    assert_eq!(rows.switch(), inside(0));
    // One that is a VLAN itself carries those of switches within it, also one with its own number.
    rows.core(&json!(7));
    assert_eq!(rows.switch(), inside(7));
    rows.core(&json!(9));
    assert_eq!(rows.switch(), inside(9));
    // The host's own networks are nobody else's.
    rows.core(&Json::Null);
    let storage = json!({"uuid": id(32), "bond": id(BOND), "role": "storage", "vlan_id": 9});
    rows.write("net_role", &storage);
    assert!(matches!(rows.switch(), SwitchKind::Unsupported(why) if why.contains("the hosts themselves")));
}

#[test]
fn addresses_of_a_network_with_a_tag_are_used_under_it() {
    let mut rows = Rows::new(&json!({"uuid": id(SWITCH), "name": "s", "type": "bridge"}));
    let card = |rows: &Rows| rows.orders().instances[&id(INST)].hardware.as_ref().unwrap().nics[0].clone();
    assert_eq!(card(&rows).addresses, None, "a switch without networks checks no addresses");
    for (n, tag, range, ip) in
        [(40, Json::Null, "10.0.0.0/24", "10.0.0.5"), (41, json!(7), "10.7.0.0/24", "10.7.0.5")]
    {
        let network = json!({"uuid": id(n), "switch": id(SWITCH), "vlan_tag": tag, "range": range});
        rows.write("network", &network);
        rows.write("address", &json!({"uuid": id(n + 10), "network": id(n), "vnic": id(VNIC), "ip": ip}));
    }
    // One of a network that this host has not heard of yet.
    rows.write("address", &json!({"uuid": id(52), "network": id(42), "vnic": id(VNIC), "ip": "10.9.0.5"}));
    let nic = card(&rows);
    let addresses = [(0, "10.0.0.5".parse().unwrap()), (7, "10.7.0.5".parse().unwrap())];
    assert_eq!(nic.addresses, Some(addresses.into()));
    let told = &nic.config.as_ref().unwrap().cards[0];
    assert!(told.metadata);
    assert_eq!(told.addresses.iter().map(|it| (it.tag, it.ip)).collect::<Vec<_>>(), addresses);
}

fn nics(orders: &mut Orders) -> &mut Vec<NicOrder> {
    &mut orders.instances.get_mut(&id(INST)).unwrap().hardware.as_mut().unwrap().nics
}

/// A card was ordered into another switch, its tap could not be plugged in there, and the instance was stopped. The tap stayed
/// where it was, and with it the bridge of a switch that nothing was ordered to be in, until the instance was started again.
#[test]
fn a_tap_that_was_to_be_elsewhere_keeps_no_switch() {
    let mut rig = Rig::new(1, SimConfig::default());
    let mut wanted = orders(Target::Running);
    rig.order(&wanted);
    rig.expect(20_000, |rig| is(rig, Target::Running));
    rig.sim.set_fate("make the tap", Some(Fate::Fail));
    wanted.switches.insert(id(5), SwitchKind::Bridge.into());
    nics(&mut wanted)[0].switch = id(5);
    rig.order(&wanted);
    rig.run_for(3_000);
    wanted.instances.get_mut(&id(INST)).unwrap().target = Target::Stopped;
    rig.order(&wanted);
    rig.expect(30_000, |rig| is(rig, Target::Stopped) && rig.sim.world().switches.keys().eq([&id(5)]));
    assert!(rig.sim.world().taps.is_empty());
}

/// A guest that runs keeps its card while the switch cannot be made as ordered: its owner was told that all was well.
#[test]
fn a_switch_that_cannot_be_made_is_told_by_the_guests_in_it() {
    let mut rig = Rig::new(1, SimConfig::default());
    let mut wanted = orders(Target::Running);
    rig.order(&wanted);
    rig.expect(20_000, |rig| is(rig, Target::Running));
    let error = |rig: &Rig| rig.instance().and_then(|it| it.order.error);
    rig.expect(5_000, |rig| error(rig).is_none());
    wanted.switches.insert(id(SWITCH), SwitchKind::Unsupported("no such network".into()).into());
    rig.order(&wanted);
    let told = "is not as ordered: no such network";
    rig.expect(5_000, |rig| error(rig).is_some_and(|it| it.contains(told)));
    assert_eq!(rig.guest(), Some(GuestState::Running));
    wanted.switches.insert(id(SWITCH), SwitchKind::Bridge.into());
    rig.order(&wanted);
    rig.expect(5_000, |rig| error(rig).is_none());
}

/// Many cards come and go on a host: each is to cost what it concerns, whatever else is ordered.
#[test]
fn what_is_plugged_in_concerns_nothing_else() {
    let mut rig = Rig::new(1, SimConfig::default());
    let mut wanted = orders(Target::Running);
    rig.order(&wanted);
    rig.expect(20_000, |rig| is(rig, Target::Running));
    rig.run_for(10_000);
    let mut changes = |what: &str, is_light: bool, change: &dyn Fn(&mut Orders)| {
        change(&mut wanted);
        rig.keeper.set_orders(rig.now_ms, &wanted);
        assert_eq!(rig.keeper.doubts_everything(), !is_light, "{what}");
        rig.order(&wanted);
        rig.run_for(10_000);
    };
    changes("a switch", true, &|orders| drop(orders.switches.insert(id(5), SwitchKind::Bridge.into())));
    changes("a card in it", true, &|orders| {
        let first = nics(orders)[0].clone();
        nics(orders).push(NicOrder { vnic: id(VNIC + 1), index: 1, switch: id(5), ..first });
    });
    changes("no card in it", true, &|orders| nics(orders).truncate(1));
    changes("an instance without disks", true, &|orders| {
        let mut other = orders.instances[&id(INST)].clone();
        let hardware = other.hardware.as_mut().unwrap();
        hardware.disks.clear();
        hardware.nics[0].vnic = id(VNIC + 2);
        orders.instances.insert(id(INST + 40), other);
    });
    changes("it is gone", true, &|orders| drop(orders.instances.remove(&id(INST + 40))));
    changes("no switch", false, &|orders| drop(orders.switches.remove(&id(5))));
    changes("its volumes are free", false, &|orders| drop(orders.instances.remove(&id(INST))));
}
