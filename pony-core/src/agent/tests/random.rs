//! Random orders on a host on which much goes wrong: what must never happen is checked after every event, and
//! once the faults end, everything is as ordered, and stays so without anything being done.

use super::rig::*;
use crate::agent::*;
use crate::host::{GuestState, SwitchKind};
use crate::reconcile::SplitMix64;
use crate::seeds;
use crate::sim::SimConfig;
use uuid::Uuid;

const INSTANCES: u8 = 3;

/// A switch for second cards, which is ordered sooner or later.
const OTHER: u8 = 5;

fn instance(n: u8) -> Uuid {
    id(100 + n)
}

/// A random change of the orders of a user.
fn change(orders: &mut Orders, random: &mut SplitMix64) {
    let n = u8::try_from(random.below(u64::from(INSTANCES))).unwrap();
    let root = id(120 + n);
    match random.below(15) {
        0..=2 => drop(orders.instances.insert(instance(n), order(n, Target::Running))),
        3 => drop(orders.instances.insert(instance(n), order(n, Target::Paused))),
        4 | 5 => drop(orders.instances.insert(instance(n), order(n, Target::Stopped))),
        6 => drop(orders.instances.insert(
            instance(n),
            InstanceOrder { target: Target::Released, placement: placed(Target::Released), hardware: None },
        )),
        7 => drop(orders.instances.remove(&instance(n))),
        8 => {
            if let Some(hardware) = orders.instances.get_mut(&instance(n)).and_then(|o| o.hardware.as_mut()) {
                hardware.mem_mib = 512 + i64::try_from(random.below(3)).unwrap() * 256;
            }
        }
        9 if !orders.instances.contains_key(&instance(n)) => {
            orders.volumes.get_mut(&root).unwrap().wish = VolumeWish::Deleted;
        }
        10 => orders.volumes.get_mut(&id(130)).unwrap().base_volume = Some(root),
        11 | 12 => {
            if let Some(hardware) = orders.instances.get_mut(&instance(n)).and_then(|o| o.hardware.as_mut()) {
                plug(&mut hardware.nics, n);
            }
        }
        13 => {
            let left_out = Some("a host of the other family".to_owned()).filter(|_| random.below(2) == 0);
            orders.switches.insert(id(OTHER), SwitchOrder { kind: SwitchKind::Bridge, left_out });
        }
        _ => orders.volumes.get_mut(&root).unwrap().wish = VolumeWish::Present,
    }
}

/// Plugs a second card into a switch of its own, or takes it out.
fn plug(nics: &mut Vec<NicOrder>, n: u8) {
    if nics.len() > 1 {
        return nics.truncate(1);
    }
    let Some(first) = nics.first().cloned() else { return };
    nics.push(NicOrder { vnic: id(160 + n), index: 1, switch: id(OTHER), ..first });
}

fn order(n: u8, target: Target) -> InstanceOrder {
    let mac = format!("52:54:00:00:00:{n:02x}");
    let disks = vec![DiskOrder { vdisk: id(140 + n), index: 0, data: DiskData::Volume(id(120 + n)) }];
    let nics = vec![NicOrder {
        vnic: id(150 + n),
        index: 0,
        switch: id(SWITCH),
        mac,
        addresses: None,
        config: None,
    }];
    InstanceOrder {
        target,
        placement: placed(target),
        hardware: Some(Hardware { disks, nics, ..hardware() }),
    }
}

fn start() -> Orders {
    let mut orders = orders(Target::Stopped);
    orders.instances.clear();
    orders.volumes.remove(&id(ROOT));
    for n in 0..INSTANCES {
        orders.volumes.insert(id(120 + n), VolumeOrder { base_image: Some(id(IMAGE)), ..volume() });
    }
    orders.volumes.insert(id(130), VolumeOrder { base_volume: Some(id(120)), ..volume() });
    orders
}

fn history(seed: u64) -> (Rig, Orders) {
    let mut random = SplitMix64::new(seed);
    let config = Config { shutdown_grace_ms: 3_000, ..Config::default() };
    let (mut rig, mut orders) = (Rig::with_config(seed, SimConfig::troubled(), config), start());
    for _ in 0..60 {
        match random.below(20) {
            0 => rig.restart_agent(),
            1 if random.below(3) == 0 => {
                rig.sim.reboot(rig.now_ms);
                rig.restart_agent();
            }
            _ => {
                change(&mut orders, &mut random);
                rig.order(&orders);
            }
        }
        let scale = random.below(14);
        rig.run_for(random.below(1 << scale));
    }
    orders.switches.insert(id(OTHER), SwitchKind::Bridge.into());
    (rig, orders)
}

/// Where the orders contradict each other, the way it is resolved counts as well.
fn converged(rig: &Rig, orders: &Orders) -> Result<(), String> {
    let world = rig.sim.world();
    for n in 0..INSTANCES {
        let deleted = orders.volumes[&id(120 + n)].wish == VolumeWish::Deleted;
        let state = world.guests.get(&instance(n)).map(|g| g.state);
        let target = orders.target(instance(n));
        let ok = match target {
            Target::Running | Target::Paused if deleted => true,
            Target::Running => state == Some(GuestState::Running),
            Target::Paused => state == Some(GuestState::Paused),
            Target::Incoming => state == Some(GuestState::Incoming),
            Target::Stopped => !matches!(state, Some(GuestState::Running | GuestState::Paused)),
            Target::Released => {
                state.is_none() && rig.report().instances.get(&instance(n)).is_none_or(|told| told.released)
            }
        };
        if !ok {
            return Err(format!("instance {n} is {state:?}, ordered {target:?}"));
        }
        let there = world.volumes.contains_key(&id(120 + n));
        let lost = rig.report().volumes.get(&id(120 + n)).is_some_and(|v| v.status == DataHealth::Broken);
        if there == deleted && !(deleted && target.is_up()) || lost {
            return Err(format!("volume {n} there: {there}, to be deleted: {deleted}, lost: {lost}"));
        }
    }
    let cards = orders.placed().map(|(_, _, hardware)| hardware.nics.len()).sum();
    if world.taps.len() > cards || (cards == 0 && !world.switches.is_empty()) {
        return Err(format!("links are left over: {:?}", world.taps));
    }
    Ok(())
}

fn check(seed: u64) {
    println!("seed {seed}");
    let (mut rig, orders) = history(seed);
    rig.sim.set_faults(false);
    rig.order(&orders);
    let limit = 600_000;
    if rig.run_until(limit, |r| converged(r, &orders).is_ok()).is_none() {
        let why = converged(&rig, &orders);
        panic!("seed {seed}: {why:?}\n{:#?}\n{:#?}", rig.report(), rig.sim.world());
    }
    // Guests that were started while faults were on may still crash.
    rig.run_for(60_000);
    rig.run_until(limit, |r| converged(r, &orders).is_ok());
    // A step that hung while faults were on is given up only after its lane's silence.
    rig.run_for(700_000);
    let (effects, redundant) = (rig.effects(), rig.sim.world().redundant);
    rig.restart_agent();
    rig.order(&orders);
    rig.run_for(300_000);
    assert_eq!(converged(&rig, &orders), Ok(()), "seed {seed}");
    let new: Vec<_> = rig.effects().into_iter().filter(|(what, n)| effects.get(what) != Some(n)).collect();
    assert!(new.is_empty(), "seed {seed}: a restart repeats nothing, but did {new:?}: {orders:#?}");
    let deleted = orders.volumes.values().filter(|v| v.wish == VolumeWish::Deleted).count();
    let repeated = rig.sim.world().redundant - redundant;
    assert!(repeated as usize <= deleted, "seed {seed}: {repeated} needless steps");
}

#[test]
fn random_histories_with_faults_converge_and_break_nothing() {
    seeds::run(40, check);
}
