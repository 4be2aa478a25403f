//! The libvirt driver on the real thing: a libvirtd and QEMU of its own. Says `skipped: test: why` where there can be none.

#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]
#![cfg(feature = "hypervisor")]

#[path = "hypervisor/bench.rs"]
mod bench;
#[path = "hypervisor/daemon.rs"]
mod daemon;
#[path = "hypervisor/hangs.rs"]
mod hangs;
#[path = "hypervisor/live.rs"]
mod live;
#[path = "hypervisor/moves.rs"]
mod moves;
#[path = "hypervisor/network_disks.rs"]
mod network_disks;
#[allow(unused_imports)]
mod suite;
mod target;
mod traces;
#[path = "hypervisor/writes.rs"]
mod writes;

use bench::{Bench, GUEST_ECHOES, GUEST_PANICS, GUEST_POWERS_OFF};
use daemon::Daemon;
use pony_core::host::{
    Boot, ConsoleKind, CpuSpec, DiskSpec, DriverErrorKind, Ending, GuestState, InstanceSpec, NicSpec, Place,
    VolumeFormat,
};
use pony_host::{Accel, DaemonFound, Hypervisor as _, Libvirt, LibvirtOptions, ensure_libvirtd, probe_accel};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use uuid::Uuid;

#[tokio::test]
async fn the_driver_conforms() {
    let Some(bench) = Bench::new().await else { return };
    suite::hypervisor(&bench.libvirt, &bench.spec("conforms")).await;
}

#[tokio::test]
async fn it_says_which_cpus_it_offers() {
    let Some(bench) = Bench::new().await else { return };
    let version = bench.libvirt.version().await.unwrap();
    assert!(version.starts_with("QEMU ") && version.contains("libvirt "), "{version}");
    let cpu = |model: &str, features: &[&str]| CpuSpec {
        model: model.into(),
        features: features.iter().map(|it| (*it).into()).collect(),
    };
    let cpus = [
        (cpu("qemu64", &[]), true),
        (cpu("qemu64", &["sse4.2"]), true),
        // The emulator knows none of its registers.
        (cpu("qemu64", &["amx-tile"]), false),
        (cpu("Skylake-Server", &[]), false),
        (cpu("no-such-model", &[]), false),
        (cpu("qemu64", &["no-such-feature"]), false),
    ];
    let asked =
        cpus.iter().enumerate().map(|(n, (cpu, _))| (Uuid::from_u128(n as u128), cpu.clone())).collect();
    let found: Vec<bool> = bench.libvirt.offers(&asked).await.unwrap().into_values().collect();
    assert_eq!(found, cpus.map(|(_, can)| can));
}

#[tokio::test]
async fn it_says_what_guests_use() {
    let Some(bench) = Bench::new().await else { return };
    let spec = bench.spec("uses");
    assert_eq!(bench.libvirt.usage().await.unwrap(), []);
    bench.run(&spec).await;
    bench.says(&spec, &bench.marker).await;
    let usage = bench.libvirt.usage().await.unwrap().remove(0);
    assert_eq!((usage.instance, usage.vcpus), (spec.instance, u64::from(spec.vcpu)));
    assert_eq!(usage.memory_bytes, u64::try_from(spec.mem_mib).unwrap() << 20);
    assert!(usage.cpu_s > 0.0 && usage.resident_bytes > 0, "{usage:?}");
    assert!(usage.disks.len() == spec.disks.len() && usage.disks[0].read_bytes > 0, "{usage:?}");
}

#[tokio::test]
async fn a_guest_boots_and_its_console_is_kept() {
    let Some(bench) = Bench::new().await else { return };
    let spec = bench.spec("boots");
    bench.run(&spec).await;
    bench.says(&spec, &bench.marker).await;
    let console = bench.fact(&spec).await.unwrap().console.unwrap();
    assert_eq!(console, bench.console(&spec, "sock").to_str().unwrap());
    std::os::unix::net::UnixStream::connect(&console).unwrap();

    bench.libvirt.destroy(spec.instance).await.unwrap();
    assert!(bench.console(&spec, "log").exists(), "what it said outlives the run");
    bench.libvirt.undefine(spec.instance).await.unwrap();
    assert!(!bench.console(&spec, "log").exists(), "but not the instance");
    assert!(spec.disks[0].place.path().unwrap().exists(), "disks are never touched");
}

/// What is typed reaches the guest, what it says reaches all who look, and who comes later, or after the agent was
/// restarted, is shown what it said before.
#[tokio::test]
async fn a_guest_is_used_by_its_serial_console() {
    let Some(bench) = Bench::new().await else { return };
    let spec = bench.spec("echoes");
    bench.write_boot_code(&spec, &GUEST_ECHOES);
    bench.run(&spec).await;
    let mut first = bench.libvirt.console(spec.instance, ConsoleKind::Serial).await.unwrap();
    let mut second = bench.libvirt.console(spec.instance, ConsoleKind::Serial).await.unwrap();
    // The firmware, which runs first, takes no input.
    let mut shown = String::new();
    while !shown.contains("ponies") {
        first.write_all(b"ponies\n").await.unwrap();
        shown = bench::shown(&mut second, Duration::from_millis(200)).await;
    }
    drop((first, second));
    bench.says(&spec, "ponies").await;

    let restarted = bench.another().await;
    let mut third = restarted.console(spec.instance, ConsoleKind::Serial).await.unwrap();
    assert!(bench::shown(&mut third, Duration::from_secs(1)).await.contains("ponies"));
}

#[tokio::test]
async fn a_killed_emulator_is_a_crash_and_is_told() {
    let Some(bench) = Bench::new().await else { return };
    let spec = bench.spec("killed");
    bench.run(&spec).await;
    let mut events = bench.libvirt.events();
    bench.kill_emulator(&spec);
    bench.is(&spec, GuestState::Crashed).await;
    bench.ended(&spec, Ending::Killed).await;
    assert_eq!(bench::next(&mut events).await, Some(spec.instance));
    assert_eq!(bench.fact(&spec).await.unwrap().spec.as_ref(), Some(&spec));

    bench.libvirt.start(spec.instance).await.unwrap();
    assert_eq!(bench.fact(&spec).await.unwrap().state, GuestState::Running);
}

#[tokio::test]
async fn a_panicking_guest_is_a_crash() {
    let Some(bench) = Bench::new().await else { return };
    let spec = bench.spec("panics");
    bench.write_boot_code(&spec, &GUEST_PANICS);
    bench.run(&spec).await;
    bench.is(&spec, GuestState::Crashed).await;
    bench.ended(&spec, Ending::Panicked).await;
}

#[tokio::test]
async fn a_guest_that_powers_off_is_off() {
    let Some(bench) = Bench::new().await else { return };
    let spec = bench.spec("powers off");
    bench.write_boot_code(&spec, &GUEST_POWERS_OFF);
    let mut events = bench.libvirt.events();
    bench.run(&spec).await;
    bench.is(&spec, GuestState::Off).await;
    bench.ended(&spec, Ending::ShutDown).await;
    assert_eq!(bench::next(&mut events).await, Some(spec.instance));
}

/// A guest that ignores the power button is shutting down until a later order says otherwise.
#[tokio::test]
async fn an_order_to_shut_down_is_seen_and_can_be_taken_back() {
    let Some(bench) = Bench::new().await else { return };
    let spec = bench.spec("ignores the button");
    bench.run(&spec).await;
    bench.says(&spec, &bench.marker).await;
    for _ in 0..2 {
        bench.libvirt.shutdown(spec.instance).await.unwrap();
        assert_eq!(bench.fact(&spec).await.unwrap().state, GuestState::ShuttingDown);
    }
    let restarted = bench.another().await;
    let seen = restarted.list().await.unwrap();
    let seen = seen.iter().find(|fact| fact.instance == spec.instance).unwrap();
    assert_eq!(seen.state, GuestState::ShuttingDown, "a restarted agent knows");

    bench.libvirt.start(spec.instance).await.unwrap();
    assert_eq!(bench.fact(&spec).await.unwrap().state, GuestState::Running);
    bench.libvirt.shutdown(spec.instance).await.unwrap();
    bench.libvirt.destroy(spec.instance).await.unwrap();
    bench.libvirt.start(spec.instance).await.unwrap();
    assert_eq!(bench.fact(&spec).await.unwrap().state, GuestState::Running, "the mark went with the run");
}

#[tokio::test]
async fn hostile_names_survive() {
    let Some(bench) = Bench::new().await else { return };
    let names =
        ["<b>&amp;\"'</domain>", "two\nlines\t\r\u{0}\u{1}\u{7f}", "ünï𝕏\u{202e}\u{ffff}", "]]>", "", " "];
    for name in names.map(str::to_owned).into_iter().chain(["ü".repeat(10_000)]) {
        let spec = bench.spec(&name);
        bench.libvirt.define(&spec).await.unwrap();
        assert_eq!(bench.fact(&spec).await.unwrap().spec, Some(spec.clone()), "{name:?}");
        bench.libvirt.undefine(spec.instance).await.unwrap();
    }
}

#[tokio::test]
async fn guests_of_others_are_neither_seen_nor_touched() {
    let Some(bench) = Bench::new().await else { return };
    let theirs = bench.spec("theirs");
    let options = LibvirtOptions::new(Uuid::new_v4(), Accel::Tcg);
    let other = Libvirt::connect(&bench.daemon.uri(), options).await.unwrap();
    other.define(&theirs).await.unwrap();
    other.start(theirs.instance).await.unwrap();
    let strangers = bench.define_by_hand();

    let mut events = bench.libvirt.events();
    assert!(bench.libvirt.list().await.unwrap().is_empty());
    for guest in [theirs.instance, strangers] {
        bench.libvirt.shutdown(guest).await.unwrap();
        bench.libvirt.destroy(guest).await.unwrap();
        bench.libvirt.undefine(guest).await.unwrap();
        suite::assert_fails(bench.libvirt.start(guest).await);
        suite::assert_fails(bench.libvirt.pause(guest).await);
        let spec = InstanceSpec { instance: guest, ..bench.spec("usurper") };
        suite::assert_refused(bench.libvirt.define(&spec).await, DriverErrorKind::Order);
    }
    let running = other.list().await.unwrap();
    assert_eq!(running.iter().map(|f| f.state).collect::<Vec<_>>(), [GuestState::Running]);
    assert!(bench.exists(strangers));
    other.destroy(theirs.instance).await.unwrap();
    other.undefine(theirs.instance).await.unwrap();
    assert!(events.try_recv().is_err(), "events of others were told");
}

/// A later order wins over whatever an abandoned call is still doing.
#[tokio::test]
async fn dropped_calls_do_no_harm() {
    let Some(bench) = Bench::new().await else { return };
    for wait_ms in [0, 1, 5, 50, 300] {
        let spec = bench.spec("dropped");
        let after = Duration::from_millis(wait_ms);
        let _ = tokio::time::timeout(after, bench.libvirt.define(&spec)).await;
        bench.libvirt.define(&spec).await.unwrap();
        let _ = tokio::time::timeout(after, bench.libvirt.start(spec.instance)).await;
        bench.libvirt.destroy(spec.instance).await.unwrap();
        assert_eq!(bench.fact(&spec).await.unwrap().state, GuestState::Off);
        let _ = tokio::time::timeout(after, bench.libvirt.undefine(spec.instance)).await;
        suite::eventually("undefined", || async { bench.libvirt.undefine(spec.instance).await.is_ok() })
            .await;
        suite::eventually("gone", || async { bench.fact(&spec).await.is_none() }).await;
    }
}

#[tokio::test]
async fn what_is_missing_is_named_and_can_be_mended() {
    let Some(bench) = Bench::new().await else { return };
    let spec = bench.spec("incomplete");
    let disk = spec.disks[0].place.path().unwrap().to_owned();
    let aside = disk.with_extension("aside");
    std::fs::rename(&disk, &aside).unwrap();
    bench.libvirt.define(&spec).await.unwrap();
    let refused = bench.libvirt.start(spec.instance).await;
    let message = suite::assert_refused(refused, DriverErrorKind::Transient);
    assert!(message.contains(disk.to_str().unwrap()), "{message}");
    assert_eq!(bench.fact(&spec).await.unwrap().state, GuestState::Off);

    std::fs::rename(&aside, &disk).unwrap();
    bench.libvirt.start(spec.instance).await.unwrap();
    assert_eq!(bench.fact(&spec).await.unwrap().state, GuestState::Running);
}

/// The tap is the network driver's: libvirt opens it, and neither makes nor removes it.
#[cfg(feature = "network")]
#[tokio::test]
async fn a_guest_is_plugged_into_its_tap() {
    use pony_core::host::{SwitchKind, SwitchSpec, TapSpec};
    use pony_host::{Netlink, Network as _};
    let Some(bench) = Bench::new().await else { return };
    let namespace = bench.daemon.network();
    let enter = move || {
        nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        Netlink::new(Uuid::new_v4()).unwrap()
    };
    let network = std::thread::spawn(enter).join().unwrap();
    let switch = SwitchSpec { switch: Uuid::new_v4(), kind: SwitchKind::Bridge };
    let mac = "52:54:00:12:34:56".to_owned();
    let tap = TapSpec {
        vnic: Uuid::new_v4(),
        switch: switch.switch,
        mac: mac.clone(),
        addresses: None,
        config: None,
    };
    network.ensure_switch(&switch).await.unwrap();
    let link = network.ensure_tap(&tap).await.unwrap().link;
    let nic = NicSpec { vnic: tap.vnic, index: 0, mac, tap: link, mtu: None };
    let spec = InstanceSpec { nics: vec![nic], ..bench.spec("plugged") };
    bench.run(&spec).await;
    bench.says(&spec, &bench.marker).await;
    bench.libvirt.destroy(spec.instance).await.unwrap();
    assert_eq!(network.list_taps().await.unwrap().len(), 1, "the tap outlives the run");
    bench.libvirt.start(spec.instance).await.unwrap();
    bench.libvirt.destroy(spec.instance).await.unwrap();

    network.remove_tap(tap.vnic).await.unwrap();
    let refused = bench.libvirt.start(spec.instance).await;
    assert!(suite::assert_refused(refused, DriverErrorKind::Transient).contains("the tap of one"));
    network.remove_switch(switch.switch).await.unwrap();
}

#[tokio::test]
async fn impossible_orders_are_refused_as_such() {
    let Some(bench) = Bench::new().await else { return };
    let good = bench.spec("impossible");
    let nic =
        NicSpec { vnic: Uuid::new_v4(), index: 0, mac: "nonsense".into(), tap: "pt0".into(), mtu: None };
    let bad = [
        InstanceSpec { vcpu: 0, ..good.clone() },
        InstanceSpec { mem_mib: 0, ..good.clone() },
        InstanceSpec { nics: vec![nic], ..good.clone() },
        InstanceSpec {
            disks: vec![DiskSpec { place: Place::File("rel".into()), ..good.disks[0].clone() }],
            ..good.clone()
        },
    ];
    for spec in bad {
        suite::assert_refused(bench.libvirt.define(&spec).await, DriverErrorKind::Order);
        assert!(bench.fact(&spec).await.is_none());
    }
}

#[tokio::test]
async fn several_disks_of_all_kinds_start() {
    let Some(bench) = Bench::new().await else { return };
    let one = bench.spec("disks");
    let (data, cd) = (bench.spec("data"), bench.spec("cd"));
    let disk = |from: &InstanceSpec, index, read_only| DiskSpec { index, read_only, ..from.disks[0].clone() };
    let qcow2 = DiskSpec {
        vdisk: Uuid::new_v4(),
        place: Place::File(bench.qcow2()),
        format: VolumeFormat::Qcow2,
        ..disk(&data, 27, false)
    };
    let disks = vec![disk(&one, 0, false), disk(&data, 1, false), disk(&cd, 2, true), qcow2];
    let spec = InstanceSpec { disks, boot: Boot::Network, ..one };
    bench.run(&spec).await;
    bench.says(&spec, &bench.marker).await;
}

/// Whatever the machine offers: what the probe found does run guests.
#[tokio::test]
async fn the_probe_tells_what_guests_run_on() {
    let Some(bench) = Bench::new().await else { return };
    let accel = probe_accel(&bench.daemon.uri()).await.unwrap();
    println!("guests run on {accel}");
    let options = LibvirtOptions { accel, ..bench.options() };
    let libvirt = Libvirt::connect(&bench.daemon.uri(), options).await.unwrap();
    let spec = bench.spec("as probed");
    libvirt.define(&spec).await.unwrap();
    libvirt.start(spec.instance).await.unwrap();
    bench.says(&spec, &bench.marker).await;
}

/// Guests run on when libvirtd is killed; steps fail in the meantime, and everything goes on when it is back.
#[tokio::test]
async fn libvirtd_may_go_away_and_come_back() {
    let daemon = match Daemon::new() {
        Ok(daemon) => Arc::new(daemon),
        Err(why) => return suite::skipped(why),
    };
    let bench = Bench::on(Arc::clone(&daemon)).await;
    let spec = bench.spec("stays up");
    bench.run(&spec).await;
    bench.says(&spec, &bench.marker).await;
    let mut events = bench.libvirt.events();

    daemon.stop();
    let message = suite::assert_refused(bench.libvirt.list().await, DriverErrorKind::Transient);
    assert!(message.contains("libvirt-sock"), "{message}");
    suite::assert_refused(bench.libvirt.start(spec.instance).await, DriverErrorKind::Transient);
    while events.try_recv().is_ok() {}

    daemon.start();
    assert_eq!(bench::next(&mut events).await, Some(spec.instance), "it has to be looked at again");
    let fact = bench.fact(&spec).await.unwrap();
    assert_eq!((fact.state, fact.live.as_ref()), (GuestState::Running, Some(&spec)));
    while events.try_recv().is_ok() {}
    // Not the kill: libvirtd tells nobody of an emulator that it loses before it has found it again.
    bench.libvirt.pause(spec.instance).await.unwrap();
    assert_eq!(bench::next(&mut events).await, Some(spec.instance), "events go on");
    bench.kill_emulator(&spec);
    bench.is(&spec, GuestState::Crashed).await;
}

/// Calls that were under way together when libvirtd stood still killed the whole agent once it went on: libvirt's
/// client leaves a pointer to a dead stack behind when it gives up a connection that several threads use.
#[tokio::test]
async fn libvirtd_may_stand_still_and_go_on() {
    let daemon = match Daemon::new() {
        Ok(daemon) => Arc::new(daemon),
        Err(why) => return suite::skipped(why),
    };
    let bench = Bench::on(Arc::clone(&daemon)).await;
    let (up, new) = (bench.spec("stays up"), bench.spec("comes later"));
    bench.run(&up).await;
    daemon.freeze();
    // Longer than a connection may be silent.
    let calls = futures::future::join_all((0..4).map(|_| bench.libvirt.list()));
    let answers = tokio::time::timeout(Duration::from_secs(30), calls).await;
    assert!(answers.is_err() || answers.unwrap().iter().all(Result::is_err));
    daemon.thaw();
    suite::eventually("libvirt answers", || async { bench.libvirt.list().await.is_ok() }).await;
    bench.libvirt.define(&new).await.unwrap();
    let mut events = bench.libvirt.events();
    bench.libvirt.start(new.instance).await.unwrap();
    assert_eq!(bench::next(&mut events).await, Some(new.instance), "events go on");
    bench.libvirt.destroy(up.instance).await.unwrap();
    assert_eq!(bench.fact(&up).await.unwrap().state, GuestState::Off);
}

/// Starts that hang took all the places that calls have, and nobody could be switched off until they ended.
#[tokio::test]
async fn guests_whose_starts_hang_are_in_nobody_elses_way() {
    const MORE_THAN_CALLS: usize = 10;
    let daemon = match Daemon::new() {
        Ok(daemon) => Arc::new(daemon),
        Err(why) => return suite::skipped(why),
    };
    let bench = Bench::on(Arc::clone(&daemon)).await;
    let up = bench.spec("is up");
    bench.run(&up).await;
    let stuck: Vec<_> = (0..MORE_THAN_CALLS).map(|_| bench.spec("hangs")).collect();
    for spec in &stuck {
        bench.libvirt.define(spec).await.unwrap();
    }
    daemon.hold_starts(true);
    let starts = futures::future::join_all(stuck.iter().map(|spec| bench.libvirt.start(spec.instance)));
    let other = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        // They hang until then, however long that takes on a busy machine.
        let stopped = tokio::time::timeout(Duration::from_secs(60), bench.libvirt.destroy(up.instance)).await;
        daemon.hold_starts(false);
        stopped
    };
    let (started, stopped) = tokio::join!(starts, other);
    assert_eq!(stopped, Ok(Ok(())));
    assert_eq!(started, vec![Ok(()); MORE_THAN_CALLS]);
}

/// The machine's own daemon, started if need be where nobody else does.
#[tokio::test]
async fn the_machines_daemon_is_found_or_started() {
    if !nix::unistd::geteuid().is_root() {
        return suite::skipped("only root may start libvirtd");
    }
    let uri = "qemu:///system";
    match ensure_libvirtd(uri).await {
        Ok(found) => println!("libvirtd: {found:?}"),
        Err(why) if why.kind == DriverErrorKind::Order => return suite::skipped(why),
        Err(why) => panic!("{why}"),
    }
    assert_eq!(ensure_libvirtd(uri).await, Ok(DaemonFound::Running));
    let options = LibvirtOptions::new(Uuid::new_v4(), Accel::Tcg);
    let libvirt = Libvirt::connect(uri, options).await.unwrap();
    assert_eq!(libvirt.list().await, Ok(vec![]), "a new host has no guests");
    let elsewhere = ensure_libvirtd("qemu+unix:///system?socket=/nonexistent/sock").await;
    suite::assert_refused(elsewhere, DriverErrorKind::Transient);
}

#[tokio::test]
async fn events_end_with_the_driver() {
    let Some(bench) = Bench::new().await else { return };
    let another = bench.another().await;
    let mut events = another.events();
    drop(another);
    assert_eq!(bench::next(&mut events).await, None);
}

#[tokio::test]
async fn nobody_at_home_is_transient() {
    let options = LibvirtOptions::new(Uuid::new_v4(), Accel::Tcg);
    let uri = "qemu+unix:///system?socket=/nonexistent/libvirt-sock";
    let refused = Libvirt::connect(uri, options).await;
    let message = suite::assert_refused(refused, DriverErrorKind::Transient);
    assert!(message.contains("/nonexistent/libvirt-sock"), "{message}");
}
