//! What a guest that runs sees of changes: a real kernel, asked on its serial console.

use crate::bench::Bench;
use crate::suite;
use pony_core::host::{DiskSpec, DriverErrorKind, Firmware, InstanceSpec, NicSpec, Place, VolumeFormat};
use pony_host::Hypervisor as _;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// What the demo guest says once it is up.
const READY: &str = "PONY-GUEST-READY";

/// The demo guest, where it was built.
fn image() -> Result<PathBuf, String> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
    let image = target.join("guest/guest.raw");
    if image.exists() { Ok(image) } else { Err("there is no demo guest; .ci/guest builds it".to_owned()) }
}

/// An instance that boots the demo guest; `None`, saying why, where there is none.
fn booting(bench: &Bench, name: &str) -> Option<InstanceSpec> {
    let image = image().map_err(suite::skipped).ok()?;
    let spec = InstanceSpec { mem_mib: 192, ..bench.spec(name) };
    std::fs::copy(image, file(&spec.disks[0])).unwrap();
    Some(spec)
}

/// What the guest's shell says when it listens. What is typed before may be torn apart, and has been seen to keep an emulated
/// serial port silent for good.
const PROMPT: &str = "/ # ";

/// Has the guest's shell work out something, and waits until it says `expected`.
async fn asks(bench: &Bench, spec: &InstanceSpec, what: &str, expected: &str) {
    bench.says(spec, PROMPT).await;
    let typing = UnixStream::connect(bench.console(spec, "sock")).unwrap();
    let number = Uuid::new_v4().simple().to_string();
    let (mark, log) = (&number[..8], bench.console(spec, "log"));
    let ask = || async {
        // Its echo has quotes where the answer has none.
        writeln!(&typing, "echo {mark}'='$({what})").unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        let said = std::fs::read(&log).unwrap_or_default();
        String::from_utf8_lossy(&said).contains(&format!("{mark}={expected}\r"))
    };
    let asking = async { while !ask().await {} };
    if tokio::time::timeout(suite::EVENTUALLY, asking).await.is_err() {
        let said = std::fs::read(&log).unwrap_or_default();
        let said = String::from_utf8_lossy(&said).into_owned();
        panic!("{what} was never {expected}: {}", &said[said.len().saturating_sub(1_500)..]);
    }
}

fn file(disk: &DiskSpec) -> &Path {
    let Place::File(path) = &disk.place else { panic!("{disk:?} is no file") };
    path
}

fn data_disk(bench: &Bench, name: &str, index: u32) -> DiskSpec {
    let path = bench.path(name);
    std::fs::File::create(&path).unwrap().set_len(8 << 20).unwrap();
    DiskSpec {
        vdisk: Uuid::new_v4(),
        index,
        place: Place::File(path),
        format: VolumeFormat::Raw,
        read_only: false,
        shared: false,
    }
}

#[tokio::test]
async fn a_running_guest_sees_what_is_plugged_grown_and_taken_away() {
    let Some(bench) = Bench::new().await else { return };
    let Some(spec) = booting(&bench, "changes") else { return };
    bench.run(&spec).await;
    bench.says(&spec, READY).await;
    asks(&bench, &spec, "ls /sys/block | grep -c ^vd", "1").await;

    let disk = data_disk(&bench, "data.img", 1);
    let with_disk = InstanceSpec { disks: vec![spec.disks[0].clone(), disk.clone()], ..spec.clone() };
    bench.libvirt.adjust(&with_disk).await.unwrap();
    asks(&bench, &spec, "cat /sys/block/vdb/size", "16384").await;
    assert_eq!(bench.fact(&spec).await.unwrap().live.as_ref(), Some(&with_disk));
    assert_eq!(bench.another().await.list().await.unwrap()[0].live.as_ref(), Some(&with_disk));

    bench.libvirt.grow_disk(spec.instance, &disk, 16).await.unwrap();
    asks(&bench, &spec, "cat /sys/block/vdb/size", "32768").await;
    assert_eq!(file(&disk).metadata().unwrap().len(), 16 << 20);

    bench.libvirt.adjust(&spec).await.unwrap();
    assert_eq!(bench.fact(&spec).await.unwrap().live.as_ref(), Some(&spec));
    asks(&bench, &spec, "ls /sys/block | grep -c ^vd", "1").await;

    let smaller = InstanceSpec { vcpu: 2, mem_mib: 128, ..spec.clone() };
    bench.libvirt.adjust(&smaller).await.unwrap();
    assert_eq!(bench.fact(&spec).await.unwrap().live.as_ref(), Some(&smaller));
    // (That a CPU is taken away is not tried: this guest lets go of it most of the time, and does not at others.)
    asks(&bench, &spec, "ls -d /sys/devices/system/cpu/cpu[0-9] | grep -c .", "2").await;
}

/// A tap where the private libvirtd sees it.
fn tap(bench: &Bench, name: &str) {
    let ip = |args: &[&str]| {
        let done = bench.daemon.command(Path::new("/sbin/ip")).args(args).output().unwrap();
        assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
    };
    ip(&["tuntap", "add", name, "mode", "tap", "vnet_hdr"]);
    ip(&["link", "set", name, "up"]);
}

#[tokio::test]
async fn a_running_guest_sees_cards_that_are_plugged_and_taken_away() {
    let Some(bench) = Bench::new().await else { return };
    let Some(spec) = booting(&bench, "cards") else { return };
    bench.run(&spec).await;
    bench.says(&spec, READY).await;
    let cards = "ls /sys/class/net | grep -c ^eth";
    asks(&bench, &spec, cards, "0").await;
    let name = format!("pt{}", &Uuid::new_v4().simple().to_string()[..8]);
    tap(&bench, &name);
    let mac = "52:54:00:12:34:56";
    let nic = NicSpec { vnic: Uuid::new_v4(), index: 0, mac: mac.to_owned(), tap: name, mtu: Some(1_450) };
    let with_nic = InstanceSpec { nics: vec![nic], ..spec.clone() };
    bench.libvirt.adjust(&with_nic).await.unwrap();
    assert_eq!(bench.fact(&spec).await.unwrap().live.as_ref(), Some(&with_nic));
    asks(&bench, &spec, "cat /sys/class/net/eth*/address", mac).await;
    asks(&bench, &spec, "cat /sys/class/net/eth*/mtu", "1450").await;
    bench.libvirt.adjust(&spec).await.unwrap();
    assert_eq!(bench.fact(&spec).await.unwrap().live.as_ref(), Some(&spec));
    asks(&bench, &spec, cards, "0").await;
}

#[tokio::test]
async fn guests_share_a_disk_where_they_may_and_only_there() {
    let Some(bench) = Bench::new().await else { return };
    let Some(one) = booting(&bench, "one") else { return };
    let Some(other) = booting(&bench, "other") else { return };
    let disk = DiskSpec { shared: true, ..data_disk(&bench, "shared.img", 1) };
    let with = |spec: &InstanceSpec, disk: &DiskSpec| {
        let disk = DiskSpec { vdisk: Uuid::new_v4(), ..disk.clone() };
        InstanceSpec { disks: vec![spec.disks[0].clone(), disk], ..spec.clone() }
    };
    let (one, alone) = (with(&one, &disk), with(&other, &DiskSpec { shared: false, ..disk.clone() }));
    let other = with(&other, &disk);
    bench.run(&one).await;
    bench.libvirt.define(&alone).await.unwrap();
    let refused =
        suite::assert_refused(bench.libvirt.start(alone.instance).await, DriverErrorKind::Transient);
    assert!(refused.contains("lock"), "{refused}");
    bench.run(&other).await;
    for guest in [&one, &other] {
        bench.says(guest, READY).await;
    }
    asks(&bench, &one, "echo from-the-first > /dev/vdb && sync && echo written", "written").await;
    asks(&bench, &other, "head -n 1 /dev/vdb", "from-the-first").await;
    // Beyond what either has in its cache.
    let block = "dd bs=4096 count=1";
    asks(
        &bench,
        &other,
        &format!(
            "echo from-the-other | {block} conv=sync of=/dev/vdb seek=256 2> /dev/null; sync; echo written"
        ),
        "written",
    )
    .await;
    asks(&bench, &one, &format!("{block} if=/dev/vdb skip=256 2> /dev/null | head -n 1"), "from-the-other")
        .await;
}

/// A guest that halted lets go of nothing: that is told in time, and the disk stays known as in use.
#[tokio::test]
async fn a_guest_that_lets_go_of_nothing_is_told_of() {
    let Some(bench) = Bench::new().await else { return };
    let mut spec = bench.spec("keeps its disks");
    spec.disks.push(data_disk(&bench, "kept.img", 1));
    bench.run(&spec).await;
    bench.says(&spec, &bench.marker).await;
    let less = InstanceSpec { disks: vec![spec.disks[0].clone()], ..spec.clone() };
    let refused = bench.libvirt.adjust(&less).await;
    let message = suite::assert_refused(refused, DriverErrorKind::Transient);
    assert!(message.contains(&spec.disks[1].vdisk.to_string()), "{message}");
    assert_eq!(bench.fact(&spec).await.unwrap().live.as_ref(), Some(&spec));
}

#[tokio::test]
async fn a_guest_boots_by_uefi() {
    let Some(bench) = Bench::new().await else { return };
    if !Path::new("/usr/share/OVMF/OVMF_CODE_4M.fd").exists() {
        return suite::skipped("the firmware is missing: package ovmf");
    }
    let spec = InstanceSpec { firmware: Firmware::Uefi, mem_mib: 128, ..bench.spec("uefi") };
    bench.run(&spec).await;
    bench.says(&spec, "BdsDxe").await;
    bench.libvirt.destroy(spec.instance).await.unwrap();
    bench.libvirt.undefine(spec.instance).await.unwrap();
}

/// What a guest is told is on a disc of its own: made before it starts, exchanged while it runs, gone with it.
#[tokio::test(flavor = "multi_thread")]
async fn the_disc_that_tells_a_guest_about_itself_comes_changes_and_goes() {
    let Some(bench) = Bench::new().await else { return };
    let spec = bench.spec("told");
    let told = |name: &str| InstanceSpec { seed: Some(bench.seed(&spec, name)), ..spec.clone() };
    let refused = InstanceSpec { vcpu: 0, ..told("first") };
    bench.libvirt.define(&refused).await.unwrap_err();
    assert_eq!(bench.seeds(), Vec::<std::path::PathBuf>::new());

    bench.run(&told("first")).await;
    let fact = bench.fact(&spec).await.unwrap();
    assert_eq!((fact.spec.as_ref(), fact.live.as_ref()), (Some(&told("first")), Some(&told("first"))));
    let disc = std::fs::read(&bench.seeds()[0]).unwrap();
    assert!(String::from_utf8_lossy(&disc).contains("\"first\""));

    bench.libvirt.define(&told("second")).await.unwrap();
    let fact = bench.fact(&spec).await.unwrap();
    assert_eq!((fact.spec.as_ref(), fact.live.as_ref()), (Some(&told("second")), Some(&told("first"))));
    assert_eq!(bench.seeds().len(), 2, "it may read what it has");
    bench.libvirt.adjust(&told("second")).await.unwrap();
    assert_eq!(bench.fact(&spec).await.unwrap().live, Some(told("second")));
    assert_eq!(bench.seeds().len(), 1);

    // What nobody has any more goes when the agent starts anew; what somebody has stays.
    let gone = InstanceSpec { instance: uuid::Uuid::new_v4(), ..spec.clone() };
    std::fs::write(bench.seeds()[0].with_file_name(format!("{}.0.iso", gone.instance)), "").unwrap();
    let ends = ["log", "log.0", "sock"];
    ends.iter().for_each(|end| std::fs::write(bench.console(&gone, end), "").unwrap());
    let _another = bench.another().await;
    assert_eq!(bench.seeds().len(), 1);
    assert!(
        ends.iter().all(|end| !bench.console(&gone, end).exists()) && bench.console(&spec, "log").exists()
    );

    // One that is lost is made again, by whoever knows what is on it.
    bench.libvirt.destroy(spec.instance).await.unwrap();
    std::fs::remove_file(&bench.seeds()[0]).unwrap();
    assert_eq!(bench.fact(&spec).await.unwrap().spec, Some(spec.clone()), "to be defined anew");
    bench.libvirt.define(&told("second")).await.unwrap();
    bench.libvirt.start(spec.instance).await.unwrap();
    bench.libvirt.destroy(spec.instance).await.unwrap();
    bench.libvirt.undefine(spec.instance).await.unwrap();
    assert_eq!(bench.seeds(), Vec::<std::path::PathBuf>::new());
}
