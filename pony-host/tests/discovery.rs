//! Discovery on machines made of files.

#![allow(clippy::unwrap_used, clippy::expect_used)]
#![cfg(feature = "discovery")]

use pony_core::host::DriverErrorKind;
use pony_host::{Discovery, Machine, MachineOptions, machine_uuid};
use std::fs;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use uuid::Uuid;

fn write(root: &Path, path: &str, text: impl AsRef<[u8]>) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn write_all(root: &Path, dir: &str, files: &[(&str, &str)]) {
    for (name, text) in files {
        write(root, &format!("{dir}/{name}"), format!("{text}\n"));
    }
}

/// A machine with nothing but a processor and memory.
fn bare() -> TempDir {
    let root = TempDir::new().unwrap();
    write(root.path(), "proc/sys/kernel/hostname", "applejack\n");
    write(root.path(), "proc/meminfo", "MemTotal:       16323456 kB\nMemFree:  1 kB\n");
    write(root.path(), "proc/stat", "cpu  1 2 3\nctxt 5\nbtime 1763700000\nprocesses 7\n");
    write(root.path(), "sys/devices/system/cpu/online", "0-3,8,10-11\n");
    root
}

fn add_nic(root: &Path, name: &str, files: &[(&str, &str)]) {
    write(root, &format!("sys/class/net/{name}/device/vendor"), "0x8086");
    write_all(root, &format!("sys/class/net/{name}"), &[("type", "1"), ("flags", "0x1003")]);
    write_all(root, &format!("sys/class/net/{name}"), files);
}

fn add_disk(root: &Path, name: &str, files: &[(&str, &str)]) {
    write(root, &format!("sys/block/{name}/device/uevent"), "");
    write_all(root, &format!("sys/block/{name}"), files);
}

#[tokio::test]
async fn reads_the_machine() {
    let root = bare();
    let options = MachineOptions {
        root: root.path().into(),
        accel: "kvm".into(),
        version: "1.2".into(),
        ..Default::default()
    };
    let host = Machine::new(options).host().await.unwrap();
    assert_eq!(
        (host.hostname.as_str(), host.accel.as_str(), host.version.as_str()),
        ("applejack", "kvm", "1.2")
    );
    assert_eq!((host.cpus, host.mem_mib, host.boot_time), (7, 15940, 1_763_700_000));
}

#[tokio::test]
async fn says_what_does_not_look_as_expected() {
    let root = bare();
    write(root.path(), "sys/devices/system/cpu/online", "many\n");
    let error = Machine::at(root.path()).host().await.unwrap_err();
    assert_eq!(error.kind, DriverErrorKind::Transient);
    assert!(error.message.contains("cpu/online"), "{error}");
}

#[tokio::test]
async fn finds_the_cards_that_have_a_device() {
    let root = bare();
    assert_eq!(Machine::at(root.path()).nics().await.unwrap(), []);
    add_nic(root.path(), "eno1", &[("address", "AA:bb:00:00:00:01"), ("carrier", "1"), ("speed", "25000")]);
    add_nic(root.path(), "eno2", &[("address", "aa:bb:00:00:00:02"), ("flags", "0x1002"), ("speed", "-1")]);
    let slave = [("address", "aa:bb:00:00:00:01"), ("bonding_slave/perm_hwaddr", "aa:bb:00:00:00:03")];
    add_nic(root.path(), "eno3", &slave);
    add_nic(root.path(), "ib0", &[("address", "80:00"), ("type", "32")]);
    write_all(root.path(), "sys/class/net/br0", &[("address", "aa:bb:00:00:00:04"), ("type", "1")]);

    let nics = Machine::at(root.path()).nics().await.unwrap();
    let names: Vec<_> = nics.iter().map(|nic| (nic.link_name.as_str(), nic.hwaddr.as_str())).collect();
    let expected =
        [("eno1", "aa:bb:00:00:00:01"), ("eno2", "aa:bb:00:00:00:02"), ("eno3", "aa:bb:00:00:00:03")];
    assert_eq!(names, expected);
    assert_eq!((nics[0].up, nics[0].carrier, nics[0].speed_mbit), (true, true, Some(25_000)));
    assert_eq!((nics[1].up, nics[1].carrier, nics[1].speed_mbit), (false, false, None));
}

#[tokio::test]
async fn finds_the_disks_and_what_tells_them_apart() {
    let root = bare();
    let path = root.path();
    write(path, "etc/machine-id", "3d1219c7c4c5404aaa1f6d2a48adfda4\n");
    let wwn = [("size", "2097152"), ("device/wwid", "naa.5000c500a1b2c3d4"), ("device/model", "ST2000  ")];
    add_disk(path, "sda", &wwn);
    add_disk(path, "sdb", &wwn);
    add_disk(path, "nvme0n1", &[("size", "4096"), ("device/serial", "S4 X"), ("device/model", "SSD 970")]);
    add_disk(path, "vda", &[("size", "2048")]);
    add_disk(path, "sr0", &[("size", "2048"), ("device/type", "5")]);
    add_disk(path, "sdc", &[("size", "0")]);
    add_disk(path, "nvme0c0n1", &[("size", "4096"), ("hidden", "1")]);
    write_all(path, "sys/block/loop0", &[("size", "2048")]);
    write_all(path, "sys/block/zram0", &[("size", "2048")]);
    add_disk(path, "sdd", &[("size", "2048")]);
    write(path, "sys/block/sdd/device/vpd_pg80", b"\0\x80\0\x08 WD-1234\0");

    let disks = Machine::at(path).disks().await.unwrap();
    let machine = machine_uuid(path).unwrap();
    let found: Vec<_> =
        disks.iter().map(|disk| (disk.link_name.as_str(), disk.id.clone(), disk.size_mib)).collect();
    let expected = [
        ("nvme0n1", "SSD_970_S4_X".to_owned(), 2),
        ("sda", "naa.5000c500a1b2c3d4".to_owned(), 1024),
        ("sdd", "disk_WD-1234".to_owned(), 1),
        ("vda", format!("host-{machine}-vda"), 1),
    ];
    assert_eq!(found, expected);
    assert_eq!(disks[1].model.as_deref(), Some("ST2000"));
    assert_eq!(disks[2].serial.as_deref(), Some("WD-1234"));
}

#[test]
fn the_uuid_is_the_firmwares_or_derived_or_configured() {
    let root = bare();
    let path = root.path();
    assert_eq!(machine_uuid(path), None);
    assert_eq!(Machine::at(path).uuid().unwrap_err().kind, DriverErrorKind::Order);
    write(path, "etc/machine-id", "3d1219c7c4c5404aaa1f6d2a48adfda4\n");
    let derived = machine_uuid(path).unwrap();
    assert_ne!(derived.simple().to_string(), "3d1219c7c4c5404aaa1f6d2a48adfda4", "it must not be published");
    write(path, "sys/class/dmi/id/product_uuid", "03000200-0400-0500-0006-000700080009\n");
    assert_eq!(machine_uuid(path), Some(derived), "many boards say this one");
    write(path, "sys/class/dmi/id/product_uuid", "4C4C4544-0042-3010-8056-B4C04F4E3732\n");
    let firmware: Uuid = "4c4c4544-0042-3010-8056-b4c04f4e3732".parse().unwrap();
    assert_eq!(machine_uuid(path), Some(firmware));
    let given = Uuid::new_v4();
    let options = MachineOptions { root: path.into(), uuid: Some(given), ..Default::default() };
    assert_eq!(Machine::new(options).uuid().unwrap(), given);
}

#[tokio::test]
async fn tells_of_changes_and_of_nothing_else() {
    let root = bare();
    let poll = Duration::from_millis(20);
    let machine = Machine::new(MachineOptions { root: root.path().into(), poll, ..Default::default() });
    let mut events = machine.events();
    let silence = tokio::time::timeout(Duration::from_millis(300), events.recv()).await;
    assert!(silence.is_err(), "told of a change where there was none");
    add_disk(root.path(), "vda", &[("size", "2048")]);
    let told = tokio::time::timeout(Duration::from_secs(30), events.recv()).await;
    assert_eq!(told.unwrap(), Some(()));
}
