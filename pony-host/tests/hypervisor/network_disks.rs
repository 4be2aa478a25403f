//! Guests whose disks are on other machines.

use crate::bench::Bench;
use crate::suite;
use crate::target::{DATA, SECRET, Target};
use pony_core::host::{DiskSpec, DriverErrorKind, GuestState, InstanceSpec, Slice, VolumeFormat};
use pony_host::{Hypervisor as _, marker_boot_sector};
use std::process::Command;
use uuid::Uuid;

fn disk(target: &Target, lun: u8, index: u32) -> DiskSpec {
    let slice = Slice { offset: DATA as u64, len: 2 << 20 };
    DiskSpec {
        vdisk: Uuid::new_v4(),
        index,
        place: target.pool(&[lun]).disk(lun, slice).into(),
        format: VolumeFormat::Raw,
        read_only: false,
        shared: false,
    }
}

/// What the emulators of this instance were started with.
fn command_lines(instance: Uuid) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|it| std::fs::read(it.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).into_owned());
    lines.filter(|line| line.contains("qemu-system") && line.contains(&instance.to_string())).collect()
}

/// It boots from a LUN, gets another one while it runs, and gives it back; nobody is shown the secret.
#[tokio::test]
async fn a_guest_has_its_disks_on_an_iscsi_target() {
    let Some(bench) = Bench::new().await else { return };
    let dir = bench.path("");
    let Some(target) = Target::start_in(Some(&bench.daemon.network()), &dir, 2, 4) else { return };
    target.write(1, &marker_boot_sector(&bench.marker), DATA as u64);
    let local = bench.spec("iscsi");
    let spec = InstanceSpec { disks: vec![disk(&target, 1, 0)], ..local };
    bench.run(&spec).await;
    bench.says(&spec, &bench.marker).await;
    assert_eq!(bench.fact(&spec).await.unwrap().live.as_ref(), Some(&spec));

    let two = vec![spec.disks[0].clone(), disk(&target, 2, 1)];
    let more = InstanceSpec { disks: two, ..spec.clone() };
    bench.libvirt.define(&more).await.unwrap();
    bench.libvirt.adjust(&more).await.unwrap();
    assert_eq!(bench.fact(&spec).await.unwrap().live.as_ref(), Some(&more));

    let lines = command_lines(spec.instance);
    assert!(lines.len() == 1 && lines[0].contains("iscsi"), "{lines:?}");
    let uri = bench.daemon.uri();
    let virsh = |args: &[&str]| {
        let output = Command::new("virsh").args(["-c", &uri]).args(args).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    let name = format!("pony-{}", spec.instance);
    let shown = virsh(&["dumpxml", "--security-info", &name]) + &virsh(&["secret-list"]) + &lines[0];
    assert!(shown.contains("san") && !shown.contains(SECRET), "{shown}");
    bench.libvirt.destroy(spec.instance).await.unwrap();
    bench.is(&spec, GuestState::Off).await;
}

#[tokio::test]
async fn a_guest_whose_secret_is_missing_says_so() {
    let Some(bench) = Bench::new().await else { return };
    let dir = bench.path("");
    let Some(target) = Target::start_in(Some(&bench.daemon.network()), &dir, 1, 4) else { return };
    let local = bench.spec("no secret");
    let spec = InstanceSpec { disks: vec![disk(&target, 1, 0)], ..local };
    std::fs::remove_file(dir.join("secrets/san")).unwrap();
    bench.libvirt.define(&spec).await.unwrap();
    let words = suite::assert_refused(bench.libvirt.start(spec.instance).await, DriverErrorKind::Transient);
    assert!(words.contains("secrets/san is not on this host"), "{words}");
}
