//! Volumes that consist of extents: what a host maps, overwrites, and lets go of.

use super::rig::*;
use crate::agent::orders::{Grant, Hold, Orders, PoolOrder, Target, VolumeOrder, VolumeWish};
use crate::agent::report::DataHealth;
use crate::agent::step::Step;
use crate::host::{Extent, PlvmPool, PoolBackend, PoolSpec, Source};
use crate::sim::SimConfig;

const LUNS: u8 = 60;

fn extent(n: u8, len_mib: i64, made: bool) -> Extent {
    let start_mib = 1 + i64::from(n) * 100;
    Extent { extent: id(100 + n), disk: "naa.1".to_owned(), start_mib, len_mib, made }
}

fn whole(serial: i64) -> Grant {
    Grant::Given { hold: Hold::Whole, serial, made: false }
}

/// The instance's volume lies in a pool of extents, and is filled from the image.
fn orders(target: Target, grant: Grant, extents: Vec<Extent>) -> Orders {
    let mut orders = super::rig::orders(target);
    let backend = PoolBackend::Plvm(PlvmPool { disks: vec!["naa.1".to_owned()] });
    let spec = PoolSpec { pool: id(LUNS), backend };
    orders.pools.insert(id(LUNS), PoolOrder { spec, shareable: false, fault: None });
    let size_mib = Some(extents.iter().map(|it| it.len_mib).sum());
    let root = orders.volumes.remove(&id(ROOT)).unwrap();
    orders.volumes.insert(id(ROOT), VolumeOrder { pool: id(LUNS), grant, size_mib, extents, ..root });
    orders
}

fn rig() -> Rig {
    Rig::new(1, SimConfig::default())
}

fn status(rig: &Rig) -> Option<DataHealth> {
    rig.report().volumes.get(&id(ROOT)).map(|it| it.status)
}

fn overwritten(rig: &Rig, n: u8) -> bool {
    rig.report().extents.get(&id(100 + n)) == Some(&true)
}

fn mapped(rig: &Rig) -> Option<i64> {
    rig.sim.world().volumes.get(&id(ROOT)).map(|it| it.size_mib)
}

/// The steps about the volume so far: of what it was made, or that its mapping went.
fn made_of(rig: &Rig) -> Vec<Option<(usize, bool)>> {
    let of = |step: &Step| match step {
        Step::CreateVolume { spec, source } if spec.volume == id(ROOT) => {
            Some(Some((spec.extents.len(), *source != Source::Empty)))
        }
        Step::DeleteVolume(spec) if spec.volume == id(ROOT) => Some(None),
        _ => None,
    };
    rig.steps.iter().filter_map(|(_, step)| of(step)).collect()
}

#[test]
fn a_guest_has_it_once_that_is_written_down() {
    let mut rig = rig();
    rig.order(&orders(Target::Running, whole(1), vec![extent(0, 200, false)]));
    rig.expect(60_000, |it| overwritten(it, 0));
    rig.run_for(30_000);
    assert!(!is(&rig, Target::Running));
    assert_eq!(status(&rig), Some(DataHealth::Initializing));
    rig.order(&orders(Target::Running, whole(1), vec![extent(0, 200, true)]));
    rig.expect(30_000, |it| is(it, Target::Running));
    assert_eq!((status(&rig), made_of(&rig)), (Some(DataHealth::Ready), vec![Some((1, true))]));
}

/// What a new process finds it takes up; what a new machine does not have it maps, and writes nothing to it.
#[test]
fn what_is_written_down_is_never_made_again() {
    let mut rig = rig();
    let made = orders(Target::Stopped, whole(1), vec![extent(0, 200, true)]);
    rig.order(&made);
    rig.expect(30_000, |it| mapped(it) == Some(200));
    assert_eq!(made_of(&rig), [Some((1, false))], "nothing is filled");
    rig.restart_agent();
    rig.order(&made);
    rig.run_for(30_000);
    assert_eq!((made_of(&rig).len(), status(&rig)), (1, Some(DataHealth::Ready)));
}

#[test]
fn what_is_added_is_blank_before_it_is_seen_also_by_a_guest_that_runs() {
    let mut rig = rig();
    rig.order(&orders(Target::Running, whole(1), vec![extent(0, 200, true)]));
    rig.expect(30_000, |it| is(it, Target::Running));
    rig.steps.clear();
    rig.order(&orders(Target::Running, whole(1), vec![extent(0, 200, true), extent(1, 50, false)]));
    rig.expect(30_000, |it| overwritten(it, 1));
    rig.run_for(30_000);
    assert_eq!((mapped(&rig), made_of(&rig)), (Some(200), vec![Some((2, false))]));
    // Whoever has forgotten that it is blank makes it so again: nobody has seen it.
    rig.restart_agent();
    rig.order(&orders(Target::Running, whole(1), vec![extent(0, 200, true), extent(1, 50, false)]));
    rig.expect(30_000, |it| overwritten(it, 1));
    rig.steps.clear();
    rig.order(&orders(Target::Running, whole(1), vec![extent(0, 200, true), extent(1, 50, true)]));
    rig.expect(30_000, |it| mapped(it) == Some(250));
    assert_eq!(rig.verbs(), ["grow while it is used"]);
}

#[test]
fn the_mapping_goes_before_the_host_says_that_it_let_go() {
    let mut rig = rig();
    let extents = || vec![extent(0, 200, true)];
    rig.order(&orders(Target::Running, whole(1), extents()));
    rig.expect(30_000, |it| is(it, Target::Running));
    let released = Grant::Given { hold: Hold::Released, serial: 1, made: true };
    rig.order(&orders(Target::Running, released, extents()));
    rig.run_for(10_000);
    let told = |rig: &Rig| rig.report().volumes[&id(ROOT)].released;
    assert!(!told(&rig) && mapped(&rig).is_some(), "the guest has it open");
    rig.order(&orders(Target::Stopped, released, extents()));
    rig.expect(120_000, told);
    assert_eq!(mapped(&rig), None);
    // One that only looks says how it is without having it.
    let look = Grant::Given { hold: Hold::Look, serial: 2, made: true };
    rig.order(&orders(Target::Stopped, look, extents()));
    rig.run_for(10_000);
    assert_eq!((mapped(&rig), status(&rig)), (None, Some(DataHealth::Ready)));
}

#[test]
fn a_mapping_without_an_order_goes() {
    let mut rig = rig();
    let mut all = orders(Target::Stopped, whole(1), vec![extent(0, 200, true)]);
    rig.order(&all);
    rig.expect(30_000, |it| mapped(it).is_some());
    all.volumes.remove(&id(ROOT));
    all.instances.clear();
    rig.order(&all);
    rig.expect(30_000, |it| mapped(it).is_none());
}

#[test]
fn a_deletion_wins_over_a_fill_and_is_told_once_nothing_is_mapped() {
    let mut rig = rig();
    let mut all = orders(Target::Stopped, whole(1), vec![extent(0, 200, false)]);
    rig.order(&all);
    rig.expect(30_000, |it| made_of(it).len() == 1);
    all.volumes.get_mut(&id(ROOT)).unwrap().wish = VolumeWish::Deleted;
    rig.order(&all);
    rig.expect(30_000, |it| it.report().volumes[&id(ROOT)].deleted);
    assert_eq!(mapped(&rig), None);
    assert!(rig.report().extents.values().all(|is| !is));
}

/// What a host overwrote under one grant counts for nothing under another: somebody else had the volume in between.
#[test]
fn what_was_overwritten_under_another_grant_is_overwritten_again() {
    let mut rig = rig();
    let with = |grant| orders(Target::Stopped, grant, vec![extent(0, 200, false)]);
    rig.order(&with(whole(1)));
    rig.expect(60_000, |it| overwritten(it, 0));
    rig.order(&with(Grant::Given { hold: Hold::Released, serial: 1, made: false }));
    rig.expect(60_000, |it| it.report().volumes[&id(ROOT)].released);
    rig.steps.clear();
    rig.order(&with(whole(3)));
    assert!(!overwritten(&rig, 0));
    rig.expect(60_000, |it| overwritten(it, 0));
    assert_eq!(made_of(&rig), [Some((1, true))]);
}
