//! What an order makes happen, in which order, and what is told.

use super::rig::*;
use crate::agent::*;
use crate::host::*;
use crate::sim::{Fate, SimConfig};

fn quiet() -> Rig {
    Rig::new(1, SimConfig::default())
}

fn running() -> Rig {
    let mut rig = quiet();
    rig.order(&orders(Target::Running));
    rig.expect(20_000, |r| is(r, Target::Running));
    rig.run_for(1_000);
    rig.verbs();
    rig
}

fn with_hardware(target: Target, change: impl FnOnce(&mut Hardware)) -> Orders {
    let mut orders = orders(target);
    let mut hardware = hardware();
    change(&mut hardware);
    orders
        .instances
        .insert(id(INST), InstanceOrder { target, placement: placed(target), hardware: Some(hardware) });
    orders
}

#[test]
fn an_instance_starts_once_its_image_its_volume_and_its_links_are_there() {
    let mut rig = quiet();
    rig.order(&orders(Target::Running));
    rig.expect(1_500, |r| {
        let error = r.instance().and_then(|i| i.order.error).unwrap_or_default();
        error.contains(&format!("waiting for volume {}", id(ROOT)))
    });
    assert_eq!(rig.instance().unwrap().status, InstanceHealth::Starting);
    let error = |r: &Rig| r.instance().and_then(|i| i.order.error).unwrap_or_default();
    rig.expect(5_000, |r| {
        error(r).contains(&format!("volume {}: ", id(ROOT))) && error(r).contains(" % filled")
    });
    rig.expect(10_000, |r| is(r, Target::Running));
    rig.run_for(60_000);
    let verbs = rig.verbs();
    let at = |verb| verbs.iter().position(|v| *v == verb).unwrap();
    assert!(at("make the switch") < at("make the tap") && at("make the tap") < at("define"), "{verbs:?}");
    assert!(at("fill") < at("define") && at("define") < at("start"), "{verbs:?}");
    assert_eq!(verbs.len(), 6, "nothing is done twice: {verbs:?}");
    let report = rig.report();
    let volume = &report.volumes[&id(ROOT)];
    assert_eq!((volume.status, volume.progress, volume.size_mib), (DataHealth::Ready, Some(1.0), Some(200)));
    assert!(volume.path.is_some());
    assert_eq!(report.images[&id(IMAGE)].status, DataHealth::Ready);
    assert_eq!(report.pools[&id(POOL)].status, PoolHealth::Ready);
    assert!(report.switches[&id(SWITCH)].ready);
    assert_eq!(rig.instance().unwrap().order, Progress::default());
    assert!(rig.instance().unwrap().console.is_some());
    let filled = rig.news.iter().filter(|n| n.kind == "volume-filled").count();
    assert_eq!(filled, 2, "{:?}", rig.news);
}

/// It said "waiting for the tap of vnic …" for ever, and nobody why there was none.
#[test]
fn a_card_that_cannot_be_made_is_explained_by_its_instance() {
    for (verb, waits) in [("make the tap", "waiting for the tap"), ("make the switch", "waiting for switch")]
    {
        let mut rig = quiet();
        rig.sim.set_fate(verb, Some(Fate::Fail));
        rig.order(&orders(Target::Running));
        rig.expect(20_000, |r| {
            let order = r.instance().map(|i| i.order).unwrap_or_default();
            let error = order.error.unwrap_or_default();
            error.contains(waits) && error.contains("it failed, as simulated") && order.attempts > 1
        });
        rig.sim.set_fate(verb, None);
        rig.expect(60_000, |r| is(r, Target::Running));
        assert_eq!(rig.instance().unwrap().order.error, None);
    }
}

#[test]
fn without_an_order_nothing_is_done_and_everything_is_told() {
    let mut rig = running();
    rig.restart_agent();
    rig.run_for(120_000);
    assert_eq!(rig.verbs(), Vec::<&str>::new());
    assert_eq!(rig.instance().unwrap().status, InstanceHealth::Running);
    assert_eq!(rig.guest(), Some(GuestState::Running));
}

#[test]
fn a_restarted_agent_repeats_nothing() {
    let mut rig = running();
    let (before, redundant) = (rig.effects(), rig.sim.world().redundant);
    rig.restart_agent();
    rig.run_for(500);
    rig.order(&orders(Target::Running));
    rig.run_for(120_000);
    assert_eq!(rig.effects(), before);
    assert_eq!(rig.sim.world().redundant, redundant, "{:?}", rig.steps);
    assert!(is(&rig, Target::Running));
}

#[test]
fn stopping_presses_the_button_and_then_pulls_the_plug() {
    let mut rig = running();
    rig.order(&orders(Target::Stopped));
    rig.run_for(500);
    assert_eq!(rig.instance().unwrap().status, InstanceHealth::Stopping);
    rig.expect(3_000, |r| is(r, Target::Stopped));
    assert_eq!(rig.verbs(), ["shut down"]);

    let mut rig = running();
    rig.sim.set_fate("shut down", Some(Fate::Fail));
    rig.order(&orders(Target::Stopped));
    let took = rig.expect(12_000, |r| is(r, Target::Stopped));
    assert!(took >= 10_000, "it had its time: {took}");
    assert_eq!(rig.verbs().last(), Some(&"switch off"));
}

#[test]
fn without_grace_the_plug_is_pulled_at_once() {
    let config = Config { shutdown_grace_ms: 0, ..Config::default() };
    let mut rig = Rig::with_config(1, SimConfig::default(), config);
    rig.order(&orders(Target::Running));
    rig.expect(20_000, |r| is(r, Target::Running));
    rig.verbs();
    rig.order(&orders(Target::Stopped));
    rig.expect(500, |r| is(r, Target::Stopped));
    assert_eq!(rig.verbs(), ["switch off"]);
}

#[test]
fn a_stop_taken_back_leaves_it_running_or_starts_it_again() {
    let mut rig = running();
    rig.order(&orders(Target::Stopped));
    rig.run_for(500);
    rig.order(&orders(Target::Running));
    rig.run_for(5_000);
    rig.expect(20_000, |r| is(r, Target::Running));
}

#[test]
fn pausing_works_from_any_state() {
    let mut rig = running();
    rig.order(&orders(Target::Paused));
    rig.expect(500, |r| is(r, Target::Paused));
    rig.order(&orders(Target::Stopped));
    rig.expect(5_000, |r| is(r, Target::Stopped));
    rig.verbs();
    rig.order(&orders(Target::Paused));
    rig.expect(1_000, |r| is(r, Target::Paused));
    assert_eq!(rig.verbs(), ["start", "pause"]);
    rig.order(&orders(Target::Running));
    rig.expect(500, |r| is(r, Target::Running));
}

#[test]
fn letting_go_removes_guest_and_links_and_leaves_the_data() {
    let mut rig = running();
    let mut without = orders(Target::Released);
    without.instances.get_mut(&id(INST)).unwrap().hardware = None;
    rig.order(&without);
    rig.expect(2_000, |r| is(r, Target::Released) && r.sim.world().switches.is_empty());
    let verbs = rig.verbs();
    assert_eq!((verbs.len(), verbs[0], verbs[3]), (4, "switch off", "remove the switch"), "{verbs:?}");
    assert_eq!(rig.sim.world().volumes.len(), 2);
}

#[test]
fn a_guest_without_an_order_is_let_go_of_even_by_a_fresh_agent() {
    let mut rig = running();
    rig.restart_agent();
    rig.order(&Orders::default());
    rig.expect(3_000, |r| is(r, Target::Released) && r.sim.world().switches.is_empty());
    assert_eq!(rig.sim.world().volumes.len(), 2, "absence of a row never deletes data");
}

#[test]
fn a_change_waits_for_the_next_start_and_says_so() {
    let mut rig = running();
    rig.order(&with_hardware(Target::Running, |h| h.mem_mib = 1024));
    rig.expect(1_000, |r| r.sim.world().guests[&id(INST)].spec.mem_mib == 1024);
    rig.run_for(1_000);
    let told = rig.instance().unwrap();
    assert_eq!(told.status, InstanceHealth::Running);
    assert_eq!(told.pending_restart.unwrap(), "mem: running with 512, 1024 after the next stop/start");
    assert_eq!((told.order.error, rig.verbs()), (None, vec!["define"]));
    rig.order(&with_hardware(Target::Stopped, |h| h.mem_mib = 1024));
    rig.expect(5_000, |r| is(r, Target::Stopped));
    rig.order(&with_hardware(Target::Running, |h| h.mem_mib = 1024));
    rig.expect(1_000, |r| is(r, Target::Running));
    assert_eq!(rig.instance().unwrap().pending_restart, None);
    assert_eq!(rig.sim.world().guests[&id(INST)].live.as_ref().unwrap().mem_mib, 1024);
}

#[test]
fn what_can_be_changed_while_it_runs_is_and_only_the_rest_is_pending() {
    let mut rig = running();
    let change = |h: &mut Hardware| {
        (h.vcpu, h.cpu_percent, h.mem_mib, h.boot) = (4, 50, 256, Boot::Network);
    };
    rig.order(&with_hardware(Target::Running, change));
    let live = |r: &Rig| r.sim.world().guests[&id(INST)].live.clone().unwrap();
    rig.expect(1_000, |r| live(r).vcpu == 4);
    rig.run_for(1_000);
    let now = live(&rig);
    assert_eq!((now.cpu_percent, now.mem_mib, now.boot), (50, 256, Boot::Disk));
    let told = rig.instance().unwrap();
    assert_eq!(told.pending_restart.unwrap(), "boot: running with disk, network after the next stop/start");
    assert_eq!(rig.verbs(), ["define", "change while it runs"]);
    rig.run_for(120_000);
    assert_eq!(rig.verbs(), Vec::<&str>::new(), "nothing is done over and over");
}

#[test]
fn a_disk_is_plugged_once_its_volume_is_there_and_let_go_of_before_another_guest_has_it() {
    let mut rig = running();
    let mut more = with_hardware(Target::Running, |h| {
        h.disks.push(DiskOrder { vdisk: id(40), index: 1, data: DiskData::Volume(id(41)) });
    });
    more.volumes.insert(id(41), VolumeOrder { base_image: Some(id(IMAGE)), ..volume() });
    rig.order(&more);
    let disks = |r: &Rig| r.sim.world().guests[&id(INST)].live.as_ref().map_or(0, |live| live.disks.len());
    rig.run_for(1_000);
    assert_eq!(disks(&rig), 1, "its volume is not filled yet");
    rig.expect(10_000, |r| disks(r) == 2);

    rig.sim.set_fate("change while it runs", Some(Fate::Hang));
    let mut other = hardware();
    (other.nics, other.disks) =
        (vec![], vec![DiskOrder { vdisk: id(42), index: 0, data: DiskData::Volume(id(41)) }]);
    let mut moved = orders(Target::Running);
    moved.volumes.insert(id(41), more.volumes[&id(41)].clone());
    let placement = placed(Target::Running);
    let second = InstanceOrder { target: Target::Running, placement, hardware: Some(other) };
    moved.instances.insert(id(43), second);
    rig.order(&moved);
    rig.run_for(30_000);
    assert_eq!((disks(&rig), rig.sim.world().up().count()), (2, 1), "the guest still has it");
    rig.sim.set_fate("change while it runs", None);
    rig.expect(200_000, |r| disks(r) == 1 && r.sim.world().up().count() == 2);
}

#[test]
fn a_card_taken_out_is_unplugged_and_then_its_tap_goes() {
    let mut rig = running();
    rig.order(&with_hardware(Target::Running, |h| h.nics.clear()));
    rig.expect(5_000, |r| r.sim.world().taps.is_empty() && r.sim.world().switches.is_empty());
    assert_eq!(rig.verbs(), ["define", "change while it runs", "remove the tap", "remove the switch"]);
    assert!(is(&rig, Target::Running));
}

#[test]
fn a_later_order_wins_over_a_guest_that_lets_go_of_nothing() {
    let mut rig = running();
    rig.sim.set_fate("change while it runs", Some(Fate::Hang));
    rig.order(&with_hardware(Target::Running, |h| h.nics.clear()));
    rig.run_for(2_000);
    assert_eq!(rig.sim.world().taps.len(), 1);
    rig.order(&with_hardware(Target::Stopped, |h| h.nics.clear()));
    rig.expect(5_000, |r| r.sim.world().taps.is_empty() && is(r, Target::Stopped));
}

#[test]
fn a_crashed_guest_is_started_again_with_back_off_and_news() {
    let mut rig = running();
    rig.sim.crash(rig.now_ms, id(INST));
    rig.expect(500, |r| r.guest() == Some(GuestState::Crashed));
    rig.run_for(300);
    let told = rig.instance().unwrap();
    assert_eq!((told.status, told.order.attempts), (InstanceHealth::Starting, 1));
    assert!(told.order.error.unwrap().contains("crashed") && told.order.next_retry_ms.is_some());
    rig.expect(2_000, |r| is(r, Target::Running));
    rig.run_for(200);
    rig.sim.crash(rig.now_ms, id(INST));
    let took = rig.expect(5_000, |r| r.guest() == Some(GuestState::Crashed))
        + rig.expect(5_000, |r| is(r, Target::Running));
    assert!(took >= 1_500, "the second time it waits longer: {took}");
    let crashes = rig.news.iter().filter(|n| n.kind == "instance-crashed" && n.instance == Some(id(INST)));
    assert_eq!(crashes.count(), 1, "the same news is not told twice within a minute");
}

#[test]
fn a_reboot_of_the_host_brings_everything_back() {
    let mut rig = running();
    rig.sim.reboot(rig.now_ms);
    rig.restart_agent();
    rig.order(&orders(Target::Running));
    rig.expect(2_000, |r| is(r, Target::Running));
    assert_eq!(rig.verbs(), ["make the switch", "make the tap", "start"]);
}

#[test]
fn what_cannot_be_is_told_as_broken() {
    let mut rig = quiet();
    let mut bad = orders(Target::Running);
    bad.switches.insert(id(SWITCH), SwitchKind::Unsupported("no VXLAN here".to_owned()).into());
    rig.order(&bad);
    rig.run_for(20_000);
    let told = rig.instance().unwrap();
    assert_eq!(told.status, InstanceHealth::Starting);
    assert!(told.order.error.unwrap().contains("no VXLAN here"));
    assert!(rig.report().switches[&id(SWITCH)].unsupported);
    rig.order(&with_hardware(Target::Running, |h| h.disks[0].data = DiskData::Template));
    rig.run_for(20_000);
    assert_eq!(rig.instance().unwrap().status, InstanceHealth::Broken);
}

#[test]
fn a_failing_step_is_told_once() {
    let mut rig = quiet();
    rig.sim.set_fate("start", Some(Fate::Fail));
    rig.order(&orders(Target::Running));
    rig.run_for(60_000);
    let told = rig.instance().unwrap();
    assert!(told.order.attempts > 3 && told.order.next_retry_ms.is_some(), "{told:?}");
    assert_eq!(rig.news.iter().filter(|n| n.kind == "step-failing").count(), 1);
    rig.sim.set_fate("start", None);
    rig.expect(70_000, |r| is(r, Target::Running));
    rig.run_for(100_000);
    assert_eq!(rig.instance().unwrap().order.attempts, 0);
}

#[test]
fn a_fresh_agent_lets_go_as_ordered() {
    let mut rig = running();
    rig.restart_agent();
    rig.order(&orders(Target::Released));
    rig.expect(3_000, |r| is(r, Target::Released));
}

#[test]
fn looks_that_fail_are_told_and_nothing_is_decided_without_them() {
    let mut rig = Rig::new(1, SimConfig { look_fail_rate: 1_000, ..SimConfig::default() });
    rig.order(&orders(Target::Running));
    rig.run_for(100_000);
    assert_eq!(rig.verbs(), Vec::<&str>::new());
    assert!(!rig.keeper.knows_guests() && rig.report().instances.is_empty());
    rig.sim.set_faults(false);
    rig.expect(60_000, |r| is(r, Target::Running));
}
