//! Uplinks, and changes of them that are rolled back.

use super::rig::*;
use crate::agent::*;
use crate::host::*;
use crate::reconcile::SplitMix64;
use crate::seeds;
use crate::sim::{Fate, SimConfig};
use std::collections::BTreeSet;

const BOND: u8 = 30;
const MACS: [&str; 2] = ["02:00:00:00:00:01", "02:00:00:00:00:02"];

fn bond_id() -> UplinkId {
    UplinkId::Bond(id(BOND))
}

fn segment_id(tag: u16) -> UplinkId {
    UplinkId::Segment { bond: id(BOND), within: 0, tag }
}

/// A bond of so many cards, and what is on it under these tags.
fn uplinks(cards: usize, tags: &[u16]) -> Uplinks {
    let nics = MACS[..cards].iter().map(|mac| (*mac).to_owned()).collect();
    let bond = UplinkSpec::Bond(BondSpec { bond: id(BOND), mode: BondMode::ActiveBackup, nics });
    let segment = |tag: &u16| {
        let addresses = [("10.0.0.5".parse().unwrap(), 24)].into();
        UplinkSpec::Segment(SegmentSpec { bond: id(BOND), within: 0, tag: *tag, bridged: true, addresses })
    };
    tags.iter().map(segment).chain([bond]).map(|spec| (spec.id(), spec)).collect()
}

fn ordered(uplinks: Uplinks) -> Orders {
    Orders { links: LinkOrders { uplinks, ..LinkOrders::default() }, ..Orders::default() }
}

fn rig() -> Rig {
    with_cards(Rig::new(1, SimConfig::default()))
}

fn with_cards(mut rig: Rig) -> Rig {
    let card = |mac: &&str| NicFact {
        hwaddr: (*mac).to_owned(),
        link_name: "eno".to_owned(),
        up: true,
        carrier: true,
        ..NicFact::default()
    };
    rig.sim.world_mut().nics = MACS.iter().map(card).collect();
    rig.run_for(100);
    rig
}

fn found(rig: &Rig) -> BTreeSet<UplinkId> {
    rig.sim.world().uplinks.keys().copied().collect()
}

fn health(rig: &Rig, id: UplinkId) -> Option<UplinkHealth> {
    rig.report().uplinks.get(&id).map(|told| told.status)
}

/// Whether what is there is what is ordered.
fn is(rig: &Rig, wanted: &Uplinks) -> bool {
    let world = &rig.sim.world().uplinks;
    world.len() == wanted.len()
        && wanted.iter().all(|(id, spec)| world.get(id).is_some_and(|fact| fact.is_as_ordered(spec)))
}

#[test]
fn what_is_needed_first_is_made_first_and_removed_last() {
    let mut rig = rig();
    let wanted = uplinks(2, &[0, 7]);
    rig.order(&ordered(wanted.clone()));
    rig.expect(5_000, |rig| is(rig, &wanted) && health(rig, segment_id(7)) == Some(UplinkHealth::Active));
    rig.answers = true;
    rig.run_for(5_000);
    rig.order(&Orders::default());
    rig.expect(5_000, |rig| found(rig).is_empty());
}

/// A VLAN that was ordered away has no row any more that could say why it is still there.
#[test]
fn what_cannot_be_removed_from_a_bond_is_told_by_the_bond() {
    let mut rig = rig();
    rig.answers = true;
    rig.order(&ordered(uplinks(1, &[0, 7])));
    rig.expect(5_000, |rig| found(rig).len() == 3);
    rig.run_for(5_000);
    rig.sim.set_fate("remove the uplink", Some(Fate::Fail));
    rig.order(&ordered(uplinks(1, &[0])));
    let error = |rig: &Rig| rig.report().uplinks[&bond_id()].order.error.clone();
    let told = "VLAN 7 on it, which is ordered no more, is still there: it failed, as simulated";
    rig.expect(5_000, |rig| error(rig).is_some_and(|it| it.contains(told)));
    rig.sim.set_fate("remove the uplink", None);
    rig.expect(30_000, |rig| found(rig).len() == 2 && error(rig).is_none());
}

#[test]
fn cards_that_are_not_there_are_left_out_and_told() {
    let mut rig = rig();
    rig.sim.world_mut().nics.truncate(1);
    rig.keeper.handle_hint(rig.now_ms, Hint::Links);
    rig.run_for(1_000);
    let mut orders = ordered(uplinks(2, &[]));
    orders.links.nics = MACS.iter().map(|it| (*it).to_owned()).collect();
    rig.order(&orders);
    rig.expect(5_000, |rig| health(rig, bond_id()) == Some(UplinkHealth::Active));
    let report = rig.report();
    assert!(report.uplinks[&bond_id()].order.error.as_ref().unwrap().contains(MACS[1]), "{report:?}");
    assert_eq!(report.nics_missing, [MACS[1].to_owned()].into());
}

#[test]
fn a_change_under_which_nobody_answers_is_rolled_back_and_tried_again_much_later() {
    let mut rig = rig();
    let (good, bad) = (uplinks(1, &[0]), uplinks(1, &[5]));
    rig.answers = true;
    rig.order(&ordered(good.clone()));
    rig.run_for(5_000);
    assert_eq!(rig.record().proven.len(), 2);
    rig.answers = false;
    rig.order(&ordered(bad.clone()));
    rig.expect(5_000, |rig| is(rig, &bad));
    let took = rig.expect(80_000, |rig| is(rig, &good));
    assert!(took > 50_000, "{took}");
    let told = &rig.report().uplinks[&segment_id(5)];
    assert_eq!(told.status, UplinkHealth::Broken);
    assert!(told.order.error.as_ref().unwrap().starts_with("rolled back"), "{told:?}");
    assert!(rig.news.iter().any(|it| it.kind == "uplinks-rolled-back"));
    // What is the same in both is as ordered.
    assert_eq!(health(&rig, bond_id()), Some(UplinkHealth::Active));
    rig.run_for(500_000);
    assert!(is(&rig, &good), "it is tried again too soon");
    rig.expect(120_000, |rig| is(rig, &bad));
    rig.expect(80_000, |rig| is(rig, &good));
    // Whatever broke it is mended: it holds.
    rig.answers = true;
    rig.expect(1_400_000, |rig| is(rig, &bad));
    rig.run_for(300_000);
    assert!(is(&rig, &bad));
    assert_eq!(rig.record().refused, None);
}

#[test]
fn another_order_is_tried_at_once_and_the_one_before_needs_no_trial() {
    let mut rig = rig();
    let (good, bad) = (uplinks(1, &[0]), uplinks(1, &[5]));
    rig.answers = true;
    rig.order(&ordered(good.clone()));
    rig.run_for(5_000);
    rig.answers = false;
    rig.order(&ordered(bad));
    rig.run_for(70_000);
    assert!(is(&rig, &good));
    let other = uplinks(2, &[0]);
    rig.answers = true;
    rig.order(&ordered(other.clone()));
    rig.expect(5_000, |rig| is(rig, &other));
    rig.run_for(100_000);
    assert!(is(&rig, &other));
    rig.order(&ordered(good.clone()));
    rig.expect(5_000, |rig| is(rig, &good));
}

#[test]
fn a_restart_in_the_middle_rolls_back_too_and_a_machine_that_starts_needs_nobody() {
    let mut rig = rig();
    let (good, bad) = (uplinks(1, &[0]), uplinks(1, &[5]));
    rig.answers = true;
    rig.order(&ordered(good.clone()));
    rig.run_for(5_000);
    rig.answers = false;
    rig.order(&ordered(bad.clone()));
    rig.expect(5_000, |rig| is(rig, &bad));
    rig.restart_agent();
    rig.expect(80_000, |rig| is(rig, &good));
    // Without an order: what was proven is made, and nothing else is touched.
    rig.sim.reboot(rig.now_ms);
    rig.restart_agent();
    rig.expect(80_000, |rig| is(rig, &good));
    assert!(rig.steps.iter().all(|(_, step)| step.uplink().is_some()));
}

#[test]
fn nothing_is_touched_before_it_is_written_how_to_take_it_back() {
    let mut rig = rig();
    rig.disk_full = true;
    rig.order(&ordered(uplinks(1, &[0])));
    rig.run_for(100_000);
    assert_eq!(found(&rig), BTreeSet::new());
    rig.disk_full = false;
    rig.answers = true;
    rig.expect(100_000, |rig| is(rig, &uplinks(1, &[0])));
}

#[test]
fn a_vlan_is_there_for_as_long_as_a_switch_needs_it() {
    for vlan in [segment_id(9), UplinkId::Segment { bond: id(BOND), within: 7, tag: 9 }] {
        let mut rig = rig();
        rig.answers = true;
        let mut orders = orders(Target::Running);
        orders.links.uplinks = uplinks(1, &[0, 7]);
        orders.switches.insert(id(SWITCH), SwitchKind::Vlan(vlan).into());
        rig.order(&orders);
        rig.expect(30_000, |rig| is(rig, Target::Running) && found(rig).contains(&vlan));
        assert_eq!(rig.sim.world().switches[&id(SWITCH)].segment, Some(vlan));
        assert_eq!(rig.record().proven.len(), 3, "guests' networks are not on trial");
        orders.instances.clear();
        // From the inside out: the simulated host minds what is removed under something else.
        orders.links.uplinks.clear();
        rig.order(&orders);
        rig.expect(60_000, |rig| found(rig).is_empty());
    }

    fn is(rig: &Rig, target: Target) -> bool {
        super::rig::is(rig, target)
    }
}

#[test]
fn a_later_order_wins_whatever_the_earlier_is_stuck_in() {
    for verb in ["make the bond", "make the uplink"] {
        let mut rig = rig();
        rig.answers = true;
        rig.sim.set_fate(verb, Some(Fate::HangAfter));
        rig.order(&ordered(uplinks(1, &[0])));
        rig.run_until(5_000, |rig| rig.steps.iter().any(|(_, step)| step.verb() == verb));
        let later = uplinks(2, &[7]);
        rig.order(&ordered(later.clone()));
        rig.sim.set_fate(verb, None);
        rig.expect(30_000, |rig| is(rig, &later));
    }
}

/// Random orders, restarts and outages on a host on which much goes wrong; then none of these.
fn check(seed: u64) {
    let mut random = SplitMix64::new(seed);
    let config = Config { refused_first_ms: 5_000, refused_cap_ms: 60_000, ..Config::default() };
    let mut rig = with_cards(Rig::with_config(seed, SimConfig::troubled(), config));
    let mut wanted = Uplinks::new();
    for _ in 0..40 {
        match random.below(8) {
            0 => rig.restart_agent(),
            1 => {
                rig.sim.reboot(rig.now_ms);
                rig.restart_agent();
            }
            2 => rig.answers = !rig.answers,
            3 => wanted = Uplinks::new(),
            n => {
                let tags = [0, 5, 7].into_iter().filter(|_| random.below(2) == 0).collect::<Vec<_>>();
                wanted = uplinks(usize::from(n % 2 == 0) + 1, &tags);
            }
        }
        rig.order(&ordered(wanted.clone()));
        let scale = random.below(18);
        rig.run_for(random.below(1 << scale));
    }
    rig.sim.set_faults(false);
    rig.answers = true;
    rig.expect(1_000_000, |rig| is(rig, &wanted) && rig.record().trial.is_none());
    rig.run_for(300_000);
    assert!(is(&rig, &wanted), "seed {seed}: {:#?}", rig.sim.world().uplinks);
    assert_eq!(rig.record().proven.len(), wanted.len(), "seed {seed}");
}

#[test]
fn random_histories_with_faults_converge_and_break_nothing() {
    seeds::run(40, check);
}
