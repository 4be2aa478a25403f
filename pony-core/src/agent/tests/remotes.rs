//! Images that are read from another host.

use super::rig::*;
use crate::agent::*;
use crate::host::*;
use crate::sim::SimConfig;

/// The host that has a copy, and the copy.
const OTHER_HOST: u8 = 98;
const ITS_COPY: u8 = 97;

fn remote(way: &str) -> RemoteVolume {
    RemoteVolume { host: id(OTHER_HOST), volume: id(ITS_COPY), way: way.to_owned() }
}

/// A volume that is filled from an image of which there is no copy here.
fn reads(way: Option<&str>) -> Orders {
    let mut orders = orders(Target::Stopped);
    orders.volumes.remove(&id(COPY));
    orders.images.insert(id(IMAGE), ImageOrder { source_uri: None, remote: way.map(remote) });
    orders
}

/// What the volume is filled from at present, or next.
fn source(rig: &Rig) -> Option<&Source> {
    let mut runs = rig.sim.under_way().filter_map(|step| match step {
        Step::CreateVolume { spec, source } if spec.volume == id(ROOT) => Some(source),
        _ => None,
    });
    runs.next()
}

fn reading() -> Rig {
    let mut rig = Rig::new(2, SimConfig::default());
    rig.order(&reads(Some("way 1")));
    rig.expect(2_000, |it| source(it) == Some(&Source::Remote(remote("way 1"))));
    rig
}

#[test]
fn what_is_read_elsewhere_ends_at_once_with_the_right_to_it() {
    let mut rig = reading();
    rig.order(&reads(None));
    rig.expect(3_000, |it| source(it).is_none());
    rig.run_for(2_000);
    let why = rig.report().volumes[&id(ROOT)].order.error.clone().unwrap_or_default();
    assert!(why.contains("no other host that it is to be read from"), "{why}");
}

#[test]
fn a_host_that_is_reached_by_another_way_is_asked_anew_at_once() {
    let mut rig = reading();
    rig.order(&reads(Some("way 2")));
    rig.expect(3_000, |it| source(it) == Some(&Source::Remote(remote("way 2"))));
}

#[test]
fn a_volume_that_is_deleted_is_read_no_further() {
    let mut rig = reading();
    let mut orders = reads(Some("way 1"));
    orders.volumes.get_mut(&id(ROOT)).unwrap().wish = VolumeWish::Deleted;
    orders.instances.clear();
    rig.order(&orders);
    rig.expect(4_000, |it| it.report().volumes[&id(ROOT)].deleted);
    assert_eq!((source(&rig), rig.sim.world().unfinished.len()), (None, 0));
}

/// It crosses the network once.
#[test]
fn a_copy_that_is_on_its_way_here_is_waited_for() {
    let mut rig = Rig::new(2, SimConfig::default());
    let mut orders = reads(Some("way 1"));
    let copy = VolumeOrder { size_mib: None, image: Some(id(IMAGE)), ..volume() };
    orders.volumes.insert(id(COPY), copy);
    rig.order(&orders);
    rig.run_for(1_000);
    let copies = |step: &&Step| matches!(step, Step::CreateVolume { spec, source: Source::Remote(_) } if spec.volume == id(COPY));
    assert_eq!((source(&rig), rig.sim.under_way().filter(copies).count()), (None, 1));
}

#[test]
fn others_may_read_what_is_ordered_and_nothing_before_or_afterwards() {
    let mut keeper = Keeper::new(Config::default(), 1, 0);
    let pool = orders(Target::Stopped).pools[&id(POOL)].spec.clone();
    let export = Export { volume: id(COPY), pool, to: "way 1".to_owned() };
    let mut told = |exports: Vec<Export>| {
        keeper.set_orders(0, &Orders { exports, ..orders(Target::Stopped) });
        let commands = std::iter::from_fn(|| keeper.poll_command());
        let export = |it| if let Command::Export(volumes) = it { Some(volumes) } else { None };
        commands.filter_map(export).collect::<Vec<_>>()
    };
    assert!(told(vec![]).is_empty());
    assert_eq!(told(vec![export.clone()]), [vec![export.clone()]]);
    assert!(told(vec![export]).is_empty());
    assert_eq!(told(vec![]), [vec![]]);
}
