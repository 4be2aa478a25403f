//! Where data come from, when they go, and who has them meanwhile.

use super::rig::*;
use crate::agent::*;
use crate::host::*;
use crate::sim::{Fate, SimConfig};

const OTHER: u8 = 20;

fn quiet() -> Rig {
    Rig::new(2, SimConfig::default())
}

fn reason(rig: &Rig, volume: u8) -> String {
    rig.report().volumes.get(&id(volume)).and_then(|v| v.order.error.clone()).unwrap_or_default()
}

fn status(rig: &Rig, volume: u8) -> Option<DataHealth> {
    rig.report().volumes.get(&id(volume)).map(|v| v.status)
}

fn wish(orders: &mut Orders, volume: u8, wish: VolumeWish) {
    orders.volumes.get_mut(&id(volume)).unwrap().wish = wish;
}

fn sources(rig: &Rig, volume: u8) -> Vec<Source> {
    let source = |step: &Step| match step {
        Step::CreateVolume { spec, source } if spec.volume == id(volume) => Some(source.clone()),
        _ => None,
    };
    rig.steps.iter().filter_map(|(_, step)| source(step)).collect()
}

#[test]
fn a_volume_is_copied_from_the_image_here_or_else_fetched_by_itself() {
    let mut rig = quiet();
    rig.order(&orders(Target::Stopped));
    rig.expect(10_000, |r| status(r, ROOT) == Some(DataHealth::Ready));
    assert!(matches!(&sources(&rig, ROOT)[..], [Source::Volume(v)] if v.volume == id(COPY)));
    assert_eq!(sources(&rig, COPY), [Source::Uri(URI.to_owned())]);

    let mut rig = quiet();
    let mut alone = orders(Target::Stopped);
    alone.volumes.remove(&id(COPY));
    rig.order(&alone);
    rig.expect(10_000, |r| status(r, ROOT) == Some(DataHealth::Ready));
    assert_eq!(sources(&rig, ROOT), [Source::Uri(URI.to_owned())]);

    let mut rig = quiet();
    let mut nowhere = orders(Target::Stopped);
    nowhere.volumes.remove(&id(COPY));
    nowhere.images.insert(id(IMAGE), ImageOrder { source_uri: None, remote: None });
    rig.order(&nowhere);
    rig.run_for(10_000);
    assert_eq!(status(&rig, ROOT), Some(DataHealth::Initializing));
    assert!(reason(&rig, ROOT).contains("no finished copy here"), "{}", reason(&rig, ROOT));
}

#[test]
fn an_image_copy_in_trouble_holds_up_nobody() {
    let mut rig = quiet();
    let mut orders = orders(Target::Stopped);
    let elsewhere = PoolSpec { pool: id(30), backend: PoolBackend::Unsupported("rbd".to_owned()) };
    orders
        .pools
        .insert(id(30), PoolOrder { spec: elsewhere, shareable: false, fault: Some("no rbd".to_owned()) });
    orders.volumes.get_mut(&id(COPY)).unwrap().pool = id(30);
    rig.order(&orders);
    rig.expect(10_000, |r| status(r, ROOT) == Some(DataHealth::Ready));
    assert_eq!(rig.report().pools[&id(30)].status, PoolHealth::Unsupported);
    assert_eq!(status(&rig, COPY), Some(DataHealth::Broken));
    wish(&mut orders, COPY, VolumeWish::Deleted);
    rig.order(&orders);
    rig.expect(1_000, |r| status(r, COPY) == Some(DataHealth::Absent));
}

#[test]
fn nulling_the_source_afterwards_changes_nothing() {
    let mut rig = quiet();
    rig.order(&orders(Target::Running));
    rig.run_for(1_000);
    let mut nulled = orders(Target::Running);
    nulled.images.insert(id(IMAGE), ImageOrder { source_uri: None, remote: None });
    rig.order(&nulled);
    rig.expect(10_000, |r| is(r, Target::Running));
    nulled.volumes.get_mut(&id(ROOT)).unwrap().base_image = None;
    rig.verbs();
    rig.order(&nulled);
    rig.run_for(60_000);
    assert_eq!(rig.verbs(), Vec::<&str>::new());
    assert!(is(&rig, Target::Running));
}

#[test]
fn another_source_cancels_the_fill_from_a_server_that_never_answers() {
    let mut rig = quiet();
    rig.sim.set_dead(URI, true);
    rig.order(&orders(Target::Running));
    rig.run_for(5_000);
    let mut other = orders(Target::Running);
    other.images.insert(id(IMAGE), ImageOrder { source_uri: Some("file:/b".to_owned()), remote: None });
    rig.order(&other);
    rig.expect(10_000, |r| is(r, Target::Running));
    assert_eq!(rig.effects()[&("fill", id(COPY))], 1);
}

#[test]
fn deletion_cancels_the_fill_and_removes_its_traces() {
    let mut rig = quiet();
    rig.sim.set_dead(URI, true);
    rig.order(&orders(Target::Stopped));
    rig.run_for(5_000);
    assert!(!rig.sim.world().unfinished.is_empty());
    let mut gone = orders(Target::Stopped);
    wish(&mut gone, COPY, VolumeWish::Deleted);
    wish(&mut gone, ROOT, VolumeWish::Deleted);
    rig.order(&gone);
    let absent = |r: &Rig, v| status(r, v) == Some(DataHealth::Absent);
    rig.expect(2_000, |r| absent(r, COPY) && absent(r, ROOT));
    assert!(rig.sim.world().unfinished.is_empty());
}

#[test]
fn a_deletion_waits_for_the_guest_and_is_confirmed_only_when_done() {
    let mut rig = quiet();
    rig.order(&orders(Target::Running));
    rig.expect(10_000, |r| is(r, Target::Running));
    let mut gone = orders(Target::Running);
    wish(&mut gone, ROOT, VolumeWish::Deleted);
    rig.order(&gone);
    rig.run_for(30_000);
    assert!(rig.sim.world().volumes.contains_key(&id(ROOT)));
    assert_eq!(status(&rig, ROOT), Some(DataHealth::Ready));
    assert!(reason(&rig, ROOT).contains("still uses it"), "{}", reason(&rig, ROOT));
    gone.instances.clear();
    rig.order(&gone);
    rig.expect(2_000, |r| status(r, ROOT) == Some(DataHealth::Absent));
    assert!(!rig.sim.world().volumes.contains_key(&id(ROOT)));
}

#[test]
fn a_row_that_is_absent_deletes_nothing() {
    let mut rig = quiet();
    rig.order(&orders(Target::Stopped));
    rig.expect(10_000, |r| status(r, ROOT) == Some(DataHealth::Ready));
    rig.verbs();
    rig.order(&Orders::default());
    rig.run_for(60_000);
    assert_eq!(rig.verbs(), ["remove the switch"]);
    assert_eq!(rig.sim.world().volumes.len(), 2);
}

#[test]
fn optional_volumes_are_made_when_something_needs_them() {
    let mut rig = quiet();
    let mut orders = orders(Target::Stopped);
    wish(&mut orders, COPY, VolumeWish::Optional);
    let mut unneeded = orders.clone();
    unneeded.volumes.remove(&id(ROOT));
    rig.order(&unneeded);
    rig.run_for(20_000);
    assert_eq!(status(&rig, COPY), Some(DataHealth::Absent));
    rig.order(&orders);
    rig.expect(10_000, |r| status(r, ROOT) == Some(DataHealth::Ready));
    orders.volumes.remove(&id(ROOT));
    rig.order(&orders);
    rig.run_for(20_000);
    assert_eq!(status(&rig, COPY), Some(DataHealth::Ready), "it stays until it is ordered deleted");
}

#[test]
fn a_copy_waits_for_the_writer_and_yields_to_it() {
    let mut rig = quiet();
    rig.order(&orders(Target::Running));
    rig.expect(10_000, |r| is(r, Target::Running));
    let copy = VolumeOrder { base_volume: Some(id(ROOT)), ..volume() };
    let with_copy = |target| {
        let mut orders = orders(target);
        orders.volumes.insert(id(OTHER), copy.clone());
        orders
    };
    rig.order(&with_copy(Target::Running));
    rig.run_for(20_000);
    assert!(reason(&rig, OTHER).contains("writes to volume"), "{}", reason(&rig, OTHER));
    rig.order(&with_copy(Target::Stopped));
    rig.run_for(3_000);
    assert_eq!(sources(&rig, OTHER).len(), 1);
    assert_eq!(status(&rig, OTHER), Some(DataHealth::Initializing));
    rig.order(&with_copy(Target::Running));
    rig.expect(1_500, |r| is(r, Target::Running));
    rig.order(&with_copy(Target::Stopped));
    rig.expect(10_000, |r| status(r, OTHER) == Some(DataHealth::Ready));
}

/// Fills cross pools of a host, and take the copy of the image that is in their own pool where there is one.
#[test]
fn the_nearest_copy_of_an_image_is_used() {
    const SECOND: u8 = 30;
    const FIRST_COPY: u8 = 1;
    let mut rig = quiet();
    let mut orders = orders(Target::Stopped);
    let backend = PoolBackend::Lvm { vg: "data".to_owned(), thin_pool: None };
    let spec = PoolSpec { pool: id(SECOND), backend };
    orders.pools.insert(id(SECOND), PoolOrder { spec, shareable: false, fault: None });
    orders.volumes.remove(&id(ROOT));
    rig.order(&orders);
    rig.expect(10_000, |r| status(r, COPY) == Some(DataHealth::Ready));
    let in_second = |order: VolumeOrder| VolumeOrder { pool: id(SECOND), ..order };
    let filled = VolumeOrder { base_image: Some(id(IMAGE)), ..volume() };
    orders.images.insert(id(IMAGE), ImageOrder { source_uri: None, remote: None });
    orders.volumes.insert(id(ROOT), in_second(filled.clone()));
    rig.order(&orders);
    rig.expect(10_000, |r| status(r, ROOT) == Some(DataHealth::Ready));
    assert!(matches!(&sources(&rig, ROOT)[..], [Source::Volume(from)] if from.volume == id(COPY)));

    // A second backing volume, by its key the first that comes to mind.
    let second = VolumeOrder { size_mib: None, image: Some(id(IMAGE)), ..volume() };
    orders.volumes.insert(id(FIRST_COPY), in_second(second));
    rig.order(&orders);
    rig.expect(10_000, |r| status(r, FIRST_COPY) == Some(DataHealth::Ready));
    assert!(matches!(&sources(&rig, FIRST_COPY)[..], [Source::Volume(from)] if from.volume == id(COPY)));
    orders.volumes.insert(id(OTHER), filled.clone());
    orders.volumes.insert(id(OTHER + 1), in_second(filled));
    rig.order(&orders);
    rig.expect(10_000, |r| [OTHER, OTHER + 1].iter().all(|it| status(r, *it) == Some(DataHealth::Ready)));
    assert!(matches!(&sources(&rig, OTHER)[..], [Source::Volume(from)] if from.volume == id(COPY)));
    assert!(matches!(&sources(&rig, OTHER + 1)[..], [Source::Volume(from)] if from.volume == id(FIRST_COPY)));
    let format = |volume: u8| rig.sim.world().volumes[&id(volume)].format;
    assert_eq!(
        (format(OTHER), format(OTHER + 1)),
        (VolumeFormat::Qcow2, VolumeFormat::Raw),
        "as pools like it"
    );
}

#[test]
fn an_image_is_made_from_a_volume_uri() {
    let mut rig = quiet();
    let mut orders = orders(Target::Stopped);
    orders.volumes.insert(id(OTHER), volume());
    orders
        .images
        .insert(id(IMAGE), ImageOrder { source_uri: Some(format!("volume:{}", id(OTHER))), remote: None });
    rig.order(&orders);
    rig.expect(10_000, |r| status(r, ROOT) == Some(DataHealth::Ready));
    assert!(matches!(&sources(&rig, COPY)[..], [Source::Volume(v)] if v.volume == id(OTHER)));
}

#[test]
fn two_instances_never_write_to_one_volume() {
    let mut rig = quiet();
    let mut orders = orders(Target::Running);
    let mut second = hardware();
    second.nics.clear();
    let second =
        InstanceOrder { target: Target::Running, placement: placed(Target::Running), hardware: Some(second) };
    orders.instances.insert(id(OTHER), second);
    rig.order(&orders);
    rig.run_for(60_000);
    assert_eq!(rig.sim.world().up().count(), 1);
    let waiting =
        rig.report().instances.into_values().find(|i| i.status == InstanceHealth::Starting).unwrap();
    assert!(waiting.order.error.unwrap().contains("is in use by instance"));
    orders.instances.remove(&id(INST));
    rig.order(&orders);
    rig.expect(5_000, |r| r.sim.world().up().eq([id(OTHER)]));
}

#[test]
fn a_cd_rom_shows_the_copy_of_its_image() {
    let mut rig = quiet();
    let mut orders = orders(Target::Running);
    let mut hardware = hardware();
    hardware.disks.push(DiskOrder { vdisk: id(OTHER), index: 1, data: DiskData::Image(id(IMAGE)) });
    orders.instances.insert(
        id(INST),
        InstanceOrder {
            target: Target::Running,
            placement: placed(Target::Running),
            hardware: Some(hardware),
        },
    );
    rig.order(&orders);
    rig.expect(10_000, |r| is(r, Target::Running));
    let live = rig.sim.world().guests[&id(INST)].live.clone().unwrap();
    assert!(live.disks[1].read_only && !live.disks[0].read_only);
    assert_eq!(live.disks[1].place, rig.sim.world().volumes[&id(COPY)].place);
}

#[test]
fn a_volume_grows_also_while_a_guest_uses_it_and_never_shrinks() {
    let mut rig = quiet();
    rig.order(&orders(Target::Running));
    rig.expect(10_000, |r| is(r, Target::Running));
    let sized = |target, size| {
        let mut orders = orders(target);
        orders.volumes.get_mut(&id(ROOT)).unwrap().size_mib = Some(size);
        orders
    };
    rig.order(&sized(Target::Running, 400));
    rig.expect(5_000, |r| r.sim.world().volumes[&id(ROOT)].size_mib == 400);
    assert_eq!(rig.effects().get(&("grow-disk", id(ROOT))), Some(&1));
    rig.order(&sized(Target::Stopped, 400));
    rig.expect(5_000, |r| is(r, Target::Stopped));
    rig.order(&sized(Target::Stopped, 600));
    rig.expect(5_000, |r| r.sim.world().volumes[&id(ROOT)].size_mib == 600);
    assert_eq!(rig.effects().get(&("grow", id(ROOT))), Some(&1));
    rig.order(&sized(Target::Running, 100));
    rig.expect(5_000, |r| is(r, Target::Running));
    assert!(reason(&rig, ROOT).contains("does not shrink"), "{}", reason(&rig, ROOT));
}

/// Sizes in a volume group are multiples of its extents: what is larger than ordered by less than one is as ordered.
#[test]
fn a_device_grows_by_whole_extents_once_also_while_a_guest_uses_it() {
    let mut rig = quiet();
    let sized = |size| {
        let mut orders = orders(Target::Running);
        let backend = PoolBackend::Lvm { vg: "data".to_owned(), thin_pool: None };
        orders.pools.get_mut(&id(POOL)).unwrap().spec.backend = backend;
        orders.volumes.get_mut(&id(ROOT)).unwrap().size_mib = Some(size);
        orders
    };
    rig.order(&sized(201));
    rig.expect(10_000, |r| is(r, Target::Running));
    assert_eq!(rig.sim.world().volumes[&id(ROOT)].size_mib, 204);
    assert_eq!(rig.effects().get(&("grow", id(ROOT))), None);
    rig.order(&sized(401));
    rig.expect(5_000, |r| r.sim.world().volumes[&id(ROOT)].size_mib == 404);
    rig.run_for(60_000);
    assert_eq!(rig.effects().get(&("grow-disk", id(ROOT))), Some(&1));
    assert_eq!(reason(&rig, ROOT), "");
}

#[test]
fn data_that_vanish_are_not_replaced_by_nothing() {
    let mut rig = quiet();
    rig.order(&orders(Target::Stopped));
    rig.expect(10_000, |r| status(r, ROOT) == Some(DataHealth::Ready));
    let kept = rig.sim.world_mut().volumes.remove(&id(ROOT)).unwrap();
    rig.run_for(60_000);
    assert_eq!(status(&rig, ROOT), Some(DataHealth::Broken));
    assert!(reason(&rig, ROOT).contains("are gone"), "{}", reason(&rig, ROOT));
    rig.sim.world_mut().volumes.insert(id(ROOT), kept);
    rig.expect(60_000, |r| status(r, ROOT) == Some(DataHealth::Ready));
}

#[test]
fn hung_fills_do_not_delay_deletions() {
    let mut rig = quiet();
    let mut orders = orders(Target::Stopped);
    for n in 40..60 {
        orders.volumes.insert(id(n), VolumeOrder { base_image: Some(id(IMAGE)), ..volume() });
    }
    rig.sim.set_fate("fill", Some(Fate::Hang));
    rig.order(&orders);
    rig.run_for(5_000);
    orders.volumes.insert(id(OTHER), volume());
    rig.sim.set_fate("make", None);
    wish(&mut orders, OTHER, VolumeWish::Deleted);
    wish(&mut orders, 45, VolumeWish::Deleted);
    rig.order(&orders);
    rig.expect(1_000, |r| {
        status(r, OTHER) == Some(DataHealth::Absent) && status(r, 45) == Some(DataHealth::Absent)
    });
}

/// Found by the matrix: the download of an image went on, or hung, after all that waited for it had been deleted.
#[test]
fn a_copy_that_nobody_waits_for_any_more_is_given_up() {
    let mut rig = quiet();
    rig.sim.set_dead(URI, true);
    let mut wanted = orders(Target::Running);
    wish(&mut wanted, COPY, VolumeWish::Optional);
    rig.order(&wanted);
    rig.expect(5_000, |r| sources(r, COPY).len() == 1);
    let mut deleted = wanted.clone();
    deleted.instances.clear();
    wish(&mut deleted, ROOT, VolumeWish::Deleted);
    rig.order(&deleted);
    rig.expect(1_000, |r| r.sim.under_way().len() == 0);
    // Somebody wants it again, and the server is back.
    rig.sim.set_dead(URI, false);
    rig.order(&wanted);
    rig.expect(10_000, |r| status(r, COPY) == Some(DataHealth::Ready) && is(r, Target::Running));
}
