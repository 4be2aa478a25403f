//! The simulated host does as it is told: fails, hangs, crashes, reboots; and counts what really happened.

#![allow(clippy::unwrap_used, clippy::expect_used)]
#![cfg(feature = "sim")]

use pony_core::host::{
    Boot, DiskSpec, DriverErrorKind, Firmware, GuestState, InstanceSpec, NicSpec, Place, PoolBackend,
    PoolSpec, Source, VolumeFormat, VolumeSpec,
};
use pony_host::{Discovery, Hypervisor, Progress, SimHost, SimOp, SimOptions, Storage};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

fn unheard() -> Progress {
    Arc::new(|_| {})
}

fn host() -> SimHost {
    SimHost::new(SimOptions::numbered(7, 1))
}

fn volume(size_mib: i64) -> VolumeSpec {
    let pool = PoolSpec { pool: Uuid::nil(), backend: PoolBackend::Dir { path: "/pool".into() } };
    VolumeSpec {
        volume: Uuid::new_v4(),
        pool,
        format: VolumeFormat::Raw,
        size_mib: Some(size_mib),
        extents: Vec::new(),
    }
}

fn instance(mem_mib: i64) -> InstanceSpec {
    InstanceSpec {
        instance: Uuid::new_v4(),
        name: "guest".into(),
        vcpu: 1,
        cpu_percent: 100,
        mem_mib,
        boot: Boot::Network,
        firmware: Firmware::default(),
        cpu: None,
        disks: vec![],
        nics: vec![],
        seed: None,
    }
}

async fn running(host: &SimHost) -> Uuid {
    let spec = instance(64);
    host.define(&spec).await.unwrap();
    host.start(spec.instance).await.unwrap();
    spec.instance
}

async fn state(host: &SimHost, instance: Uuid) -> GuestState {
    let guests = host.list().await.unwrap();
    guests.into_iter().find(|guest| guest.instance == instance).unwrap().state
}

#[tokio::test(start_paused = true)]
async fn counts_what_changed_and_not_what_was_asked() {
    let host = host();
    let guest = running(&host).await;
    host.start(guest).await.unwrap();
    host.define(&InstanceSpec { instance: guest, ..instance(64) }).await.unwrap();
    assert_eq!((host.effects(SimOp::Start), host.effects_of(SimOp::Define, guest)), (1, 1));
    host.destroy(guest).await.unwrap();
    host.destroy(guest).await.unwrap();
    assert_eq!(host.effects_of(SimOp::Destroy, guest), 1);
    assert_eq!(host.effects_of(SimOp::Destroy, Uuid::new_v4()), 0);
}

#[tokio::test(start_paused = true)]
async fn fails_once_as_told_and_changes_nothing() {
    let host = host();
    let spec = instance(64);
    host.define(&spec).await.unwrap();
    host.fail_next(SimOp::Start, DriverErrorKind::Order);
    let error = host.start(spec.instance).await.unwrap_err();
    assert_eq!(error.kind, DriverErrorKind::Order);
    assert_eq!((state(&host, spec.instance).await, host.effects(SimOp::Start)), (GuestState::Off, 0));
    host.start(spec.instance).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn hangs_until_dropped_or_released() {
    let host = host();
    let spec = instance(64);
    host.define(&spec).await.unwrap();
    host.hang(SimOp::Start);
    assert!(tokio::time::timeout(Duration::from_secs(3600), host.start(spec.instance)).await.is_err());
    assert_eq!(host.effects(SimOp::Start), 0);
    let release = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        host.release(SimOp::Start);
    };
    let (started, ()) = tokio::join!(host.start(spec.instance), release);
    started.unwrap();
    assert_eq!(host.effects(SimOp::Start), 1);
}

#[tokio::test(start_paused = true)]
async fn a_guest_without_its_disk_tap_or_memory_does_not_start() {
    let host = host();
    let mem_mib = host.host().await.unwrap().mem_mib;
    let disk = DiskSpec {
        vdisk: Uuid::new_v4(),
        index: 0,
        place: Place::File("/pool/volumes/none.raw".into()),
        format: VolumeFormat::Raw,
        read_only: false,
        shared: false,
    };
    let nic = NicSpec {
        vnic: Uuid::new_v4(),
        index: 0,
        mac: "52:54:00:00:00:01".into(),
        tap: "none".into(),
        mtu: None,
    };
    let cases = [
        InstanceSpec { disks: vec![disk], ..instance(64) },
        InstanceSpec { nics: vec![nic], ..instance(64) },
        instance(mem_mib + 1),
    ];
    for spec in cases {
        host.define(&spec).await.unwrap();
        assert_eq!(host.start(spec.instance).await.unwrap_err().kind, DriverErrorKind::Transient);
        assert_eq!(state(&host, spec.instance).await, GuestState::Off);
    }
}

#[tokio::test(start_paused = true)]
async fn crashes_as_told_and_by_the_seed() {
    let host = host();
    let guest = running(&host).await;
    let mut events = Hypervisor::events(&host);
    host.crash(guest);
    assert_eq!(events.recv().await, Some(guest));
    assert_eq!(state(&host, guest).await, GuestState::Crashed);
    host.set_rates(0.0, 0.0, 1.0);
    host.start(guest).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(state(&host, guest).await, GuestState::Crashed);
}

#[tokio::test(start_paused = true)]
async fn heeds_the_power_button_unless_deaf() {
    let host = host();
    let (heeds, deaf) = (running(&host).await, running(&host).await);
    host.set_deaf(deaf, true);
    for guest in [heeds, deaf] {
        host.shutdown(guest).await.unwrap();
        assert_eq!(state(&host, guest).await, GuestState::ShuttingDown);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(state(&host, heeds).await, GuestState::Off);
    assert_eq!(state(&host, deaf).await, GuestState::ShuttingDown);
}

#[tokio::test(start_paused = true)]
async fn a_reboot_ends_guests_and_keeps_volumes() {
    let host = host();
    let guest = running(&host).await;
    let boot = host.host().await.unwrap().boot_time;
    let kept = volume(10);
    host.create_volume(&kept, &Source::Empty, unheard()).await.unwrap();
    let half = volume(100);
    let source = Source::Uri("http://images.example/one".into());
    let filling = host.create_volume(&half, &source, unheard());
    assert!(tokio::time::timeout(Duration::from_millis(10), filling).await.is_err());
    assert_eq!(host.unfinished_volumes(), [half.volume]);

    let restarted = host.clone();
    drop(host);
    restarted.reboot();
    assert!(restarted.active_guests().is_empty());
    assert_eq!(state(&restarted, guest).await, GuestState::Off);
    assert!(restarted.host().await.unwrap().boot_time > boot);
    assert_eq!(restarted.finished_volumes().len(), 1);
    assert!(restarted.unfinished_volumes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_deletion_overtakes_a_fill_and_a_full_pool_refuses() {
    let host = host();
    let spec = volume(100);
    let source = Source::Uri("http://images.example/one".into());
    host.hang(SimOp::CreateVolume);
    let delete = async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        host.delete_volume(&spec).await.unwrap();
        host.release(SimOp::CreateVolume);
    };
    let (made, ()) = tokio::join!(host.create_volume(&spec, &source, unheard()), delete);
    assert_eq!(made.unwrap_err().kind, DriverErrorKind::Transient);
    assert_eq!((host.finished_volumes(), host.unfinished_volumes()), (vec![], vec![]));

    let capacity = host.open_pool(&spec.pool).await.unwrap().capacity_mib;
    let error = host.create_volume(&volume(capacity + 1), &Source::Empty, unheard()).await.unwrap_err();
    assert!(error.message.contains(&capacity.to_string()), "{error}");
}

/// The same seed fails the same operations; about as many as told, and some after they took effect.
#[tokio::test(start_paused = true)]
async fn a_seed_determines_the_faults() {
    async fn history(seed: u64) -> (Vec<bool>, u64) {
        let host = SimHost::new(SimOptions { failure_rate: 0.3, ..SimOptions::numbered(seed, 0) });
        let mut fine = Vec::new();
        for _ in 0..200 {
            fine.push(host.create_volume(&volume(1), &Source::Empty, unheard()).await.is_ok());
        }
        (fine, host.effects(SimOp::CreateVolume))
    }
    let (one, made) = history(1).await;
    assert_eq!(one, history(1).await.0);
    assert_ne!(one, history(2).await.0);
    let well = one.iter().filter(|fine| **fine).count() as u64;
    assert!((110..170).contains(&well), "{well} of 200 went well");
    assert!(made > well, "no answer was lost");
}

#[test]
fn hosts_of_a_cloud_differ() {
    let hosts: Vec<_> = (0..50).map(|number| SimOptions::numbered(9, number)).collect();
    for (number, host) in hosts.iter().enumerate() {
        for other in &hosts[..number] {
            assert_ne!(host.uuid, other.uuid);
            assert_ne!(host.mem_mib, other.mem_mib);
            assert_ne!(host.nics[0].hwaddr, other.nics[0].hwaddr);
            assert_ne!(host.disks[0].id, other.disks[0].id);
        }
    }
}
