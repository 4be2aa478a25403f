//! The drivers under the conformance suite.

#![allow(clippy::unwrap_used, clippy::expect_used)]
#![cfg(all(feature = "sim", feature = "discovery"))]

mod suite;

use pony_core::host::{
    Boot, DiskSpec, Firmware, InstanceSpec, IscsiMode, IscsiPool, NicSpec, PoolBackend, PoolSpec, Source,
    SwitchKind, SwitchSpec, TapSpec, VolumeFormat, VolumeSpec,
};
use pony_host::{Discovery, Machine, Network, SimFabric, SimHost, SimOp, SimOptions, Storage};
use uuid::Uuid;

fn sim_pool() -> PoolSpec {
    PoolSpec { pool: Uuid::new_v4(), backend: PoolBackend::Dir { path: "/pool".into() } }
}

/// An instance with a disk and a card that are there.
async fn startable(host: &SimHost) -> InstanceSpec {
    let volume = VolumeSpec {
        volume: Uuid::new_v4(),
        pool: sim_pool(),
        format: VolumeFormat::Qcow2,
        size_mib: Some(100),
        extents: Vec::new(),
    };
    let volume = host.create_volume(&volume, &Source::Empty, suite::unheard()).await.unwrap();
    let switch = SwitchSpec { switch: Uuid::new_v4(), kind: SwitchKind::Bridge };
    host.ensure_switch(&switch).await.unwrap();
    let mac = "52:54:00:00:00:01".to_owned();
    let tap = TapSpec {
        vnic: Uuid::new_v4(),
        switch: switch.switch,
        mac: mac.clone(),
        addresses: None,
        config: None,
    };
    let tap = host.ensure_tap(&tap).await.unwrap();
    InstanceSpec {
        instance: Uuid::new_v4(),
        name: "guest".into(),
        vcpu: 1,
        cpu_percent: 100,
        mem_mib: 64,
        boot: Boot::Disk,
        firmware: Firmware::default(),
        cpu: None,
        disks: vec![DiskSpec {
            vdisk: Uuid::new_v4(),
            index: 0,
            place: volume.place,
            format: volume.format,
            read_only: false,
            shared: false,
        }],
        nics: vec![NicSpec { vnic: tap.vnic, index: 0, mac, tap: tap.link, mtu: None }],
        seed: None,
    }
}

#[tokio::test]
async fn the_simulated_hypervisor_conforms() {
    let host = SimHost::new(SimOptions::numbered(1, 1));
    let spec = startable(&host).await;
    suite::hypervisor(&host, &spec).await;
}

#[tokio::test]
async fn the_simulated_network_conforms() {
    suite::network(&SimHost::new(SimOptions::numbered(1, 2))).await;
}

#[tokio::test]
async fn a_simulated_agent_that_dies_leaves_nothing_that_the_next_one_does_not_see() {
    let host = SimHost::new(SimOptions::numbered(1, 9));
    let there = |made, removed| host.effects(made) - host.effects(removed);
    let left = || {
        let switches = there(SimOp::EnsureSwitch, SimOp::RemoveSwitch);
        format!("{switches} switches, {} taps", there(SimOp::EnsureTap, SimOp::RemoveTap))
    };
    suite::network_of_agents_that_die(|| host.clone(), left).await;
}

#[tokio::test]
async fn the_simulated_storage_conforms() {
    let options = SimOptions::numbered(1, 3);
    let image_mib = options.image_mib;
    let host = SimHost::new(options);
    let uri = "http://images.example/one".into();
    suite::storage(&suite::StorageBench::new(&host, sim_pool(), uri, image_mib)).await;
}

#[tokio::test]
async fn simulated_storages_of_two_hosts_conform() {
    let fabric = SimFabric::default();
    let [owner, reader, other] = [6, 7, 8].map(|number| {
        let host = SimHost::new(SimOptions::numbered(1, number));
        host.join(&fabric);
        host
    });
    let image_mib = SimOptions::numbered(1, 6).image_mib;
    let bench =
        |host| suite::StorageBench::new(host, sim_pool(), "http://images.example/one".into(), image_mib);
    let way = async |host: &SimHost| host.host().await.unwrap().migration.unwrap();
    let pair = suite::Pair {
        owner: bench(&owner),
        reader: bench(&reader),
        owner_host: owner.uuid(),
        owner_way: way(&owner).await,
        reader_way: way(&reader).await,
        other_way: way(&other).await,
    };
    suite::remote(&pair).await;
}

/// LUNs are devices, which are raw.
#[tokio::test]
async fn the_simulated_pool_of_luns_conforms() {
    let options = SimOptions::numbered(1, 5);
    let image_mib = options.image_mib;
    let host = SimHost::new(options);
    let (portal, target) = ("192.0.2.1:3260".into(), "iqn.2026-01.test:a".into());
    let luns =
        IscsiPool { portal, target, luns: vec![1, 2], login: None, initiator: None, mode: IscsiMode::Direct };
    let pool = PoolSpec { pool: Uuid::new_v4(), backend: luns.into() };
    let suite = suite::StorageBench::new(&host, pool, "http://images.example/one".into(), image_mib);
    suite::storage(&suite::StorageBench { formats: &[VolumeFormat::Raw], ..suite }).await;
}

#[tokio::test]
async fn the_simulated_discovery_conforms() {
    suite::discovery(&SimHost::new(SimOptions::numbered(1, 4))).await;
}

#[tokio::test]
async fn the_discovery_of_this_machine_conforms() {
    suite::discovery(&Machine::at("/")).await;
}
