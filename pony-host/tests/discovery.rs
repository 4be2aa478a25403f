//! Discovery on machines made of files.

#![allow(clippy::unwrap_used, clippy::expect_used)]
#![cfg(feature = "discovery")]

use pony_core::host::{DiskTransport, DriverErrorKind, VirtualFunctions};
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
    write(root.path(), "proc/sys/kernel/osrelease", "6.1.0-42-amd64\n");
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
    assert_eq!(host.kernel.as_deref(), Some("6.1.0-42-amd64"));
    assert_eq!((host.cpu, host.numa, host.hbas), Default::default(), "nobody said anything of these");
}

#[tokio::test]
async fn reads_the_processors_and_what_is_near_them() {
    let root = bare();
    let path = root.path();
    write(
        path,
        "proc/cpuinfo",
        "processor\t: 0\nmodel name\t: Pony 3000\nflags\t\t: vmx aes avx2\n\nprocessor\t: 1\n",
    );
    for (cpu, package, core) in [(0, 0, 0), (1, 0, 1), (2, 1, 0), (3, 1, 0)] {
        let dir = format!("sys/devices/system/cpu/cpu{cpu}/topology");
        write_all(
            path,
            &dir,
            &[("physical_package_id", &package.to_string()), ("core_id", &core.to_string())],
        );
    }
    write(path, "sys/devices/system/cpu/cpufreq/topology/core_id", "9\n");
    for (node, cpus) in [("node0", "0-1"), ("node10", "4"), ("node1", "2-3")] {
        let number = &node[4..];
        let meminfo = format!("Node {number} MemTotal:       2097152 kB\nNode {number} MemFree: 1 kB\n");
        write(path, &format!("sys/devices/system/node/{node}/meminfo"), meminfo);
        write(path, &format!("sys/devices/system/node/{node}/cpulist"), format!("{cpus}\n"));
    }
    let host = Machine::at(path).host().await.unwrap();
    assert_eq!(host.cpu.model.as_deref(), Some("Pony 3000"));
    assert_eq!(host.cpu.features, ["aes", "avx2", "vmx"]);
    assert_eq!((host.cpu.sockets, host.cpu.cores), (Some(2), Some(3)));
    let nodes: Vec<_> = host.numa.iter().map(|node| (node.node, node.cpus.as_str(), node.mem)).collect();
    assert_eq!(nodes, [(0, "0-1", 2048), (1, "2-3", 2048), (10, "4", 2048)]);
}

#[tokio::test]
async fn finds_the_ways_to_storage_networks() {
    let root = bare();
    let path = root.path();
    let port = [("port_name", "0x10000090fa1b2c3d"), ("port_state", "Online"), ("speed", "16 Gbit")];
    write_all(path, "sys/class/fc_host/host3", &port);
    write_all(path, "sys/class/iscsi_host/host4", &[("initiatorname", "iqn.2026-01.example:a")]);
    write_all(path, "sys/class/iscsi_host/host5", &[("initiatorname", "(null)")]);
    write(path, "etc/iscsi/initiatorname.iscsi", "# ours\nInitiatorName=iqn.2026-01.example:a\n");
    let hbas = Machine::at(path).host().await.unwrap().hbas;
    let found: Vec<_> = hbas.iter().map(|it| (it.transport, it.name.as_str(), it.state.as_deref())).collect();
    let fc = (DiskTransport::Fc, "0x10000090fa1b2c3d", Some("Online"));
    assert_eq!(found, [fc, (DiskTransport::Iscsi, "iqn.2026-01.example:a", None)]);
}

#[tokio::test]
async fn knows_cards_that_are_parts_of_others() {
    let root = bare();
    let path = root.path();
    add_nic(path, "ens1f0", &[("address", "aa:bb:00:00:00:01")]);
    write_all(path, "sys/class/net/ens1f0/device", &[("sriov_totalvfs", "8"), ("sriov_numvfs", "1")]);
    add_nic(path, "ens1f0v0", &[("address", "aa:bb:00:00:00:02")]);
    write(path, "sys/class/net/ens1f0v0/device/physfn/net/ens1f0/ifindex", "2\n");
    add_nic(path, "zz", &[("address", "aa:bb:00:00:00:01")]);
    let nics = Machine::at(path).nics().await.unwrap();
    assert_eq!(nics.len(), 2, "one address is one card: {nics:?}");
    assert_eq!(nics[0].functions, Some(VirtualFunctions { count: 1, max: 8 }));
    assert_eq!((nics[1].functions, nics[1].part_of.as_deref()), (None, Some("ens1f0")));
}

#[tokio::test]
async fn takes_what_udev_noted_and_what_the_kernel_gave_up() {
    let root = bare();
    let path = root.path();
    add_disk(path, "sda", &[("size", "2048"), ("dev", "8:0"), ("device/state", "running")]);
    write(
        path,
        "run/udev/data/b8:0",
        "S:disk/by-id/x\nE:ID_MODEL=Old\nE:ID_WWN=0x5000\nE:ID_SERIAL_SHORT=S1\n",
    );
    add_disk(
        path,
        "sdb",
        &[("size", "2048"), ("dev", "8:16"), ("device/state", "offline"), ("device/wwid", "naa.6")],
    );
    let disks = Machine::at(path).disks().await.unwrap();
    assert_eq!((disks[0].id.as_str(), disks[0].serial.as_deref()), ("naa.5000", Some("S1")));
    assert_eq!((disks[0].model.as_deref(), &disks[0].fault), (Some("Old"), &None));
    assert!(disks[1].fault.as_ref().unwrap().contains("offline"), "{disks:?}");
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
    let machine =
        Machine::new(MachineOptions { root: root.path().into(), poll, listen: false, ..Default::default() });
    let mut events = machine.events();
    let silence = tokio::time::timeout(Duration::from_millis(300), events.recv()).await;
    assert!(silence.is_err(), "told of a change where there was none");
    add_disk(root.path(), "vda", &[("size", "2048")]);
    let told = tokio::time::timeout(Duration::from_secs(30), events.recv()).await;
    assert_eq!(told.unwrap(), Some(()));
}
