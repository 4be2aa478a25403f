//! The text of a domain, written by a serializer from own structs: names and paths are input, never markup.

use super::accel::Accel;
use super::elements::{
    Alias, AuthXml, BootOrder, Clock, Controller, Cpu, CpuFeature, CpuTune, Devices, Disk, DiskDriver,
    DiskSource, DiskTarget, DomainXml, Features, FirmwareChoice, FirmwareFeature, Graphics, InitiatorXml,
    Input, Interface, IqnXml, Mac, Metadata, Mib, Model, ModelType, Mtu, Os, OsType, Rng, RngBackend,
    SecretXml, Serial, SerialLog, SerialSource, ServerXml, SliceXml, Slices, SmBios, SysInfo, SystemEntry,
    SystemInfo, Tap, Vcpu, Video,
};
use super::error::order;
use super::metadata::OwnerXml;
use super::secrets;
use crate::Result;
use pony_core::host::{
    Boot, CpuSpec, DiskSpec, Firmware, InstanceSpec, Login, NicSpec, Place, Protocol, Slice, VolumeFormat,
};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Length of a domain's title: names may be longer than a person wants to read in a list.
const TITLE_CHARS_MAX: usize = 200;

/// Length of a link's name in the kernel, without the final zero.
const LINK_NAME_BYTES_MAX: usize = 15;

/// Length of a disk's serial number that virtio-blk shows to the guest.
const SERIAL_CHARS_MAX: usize = 20;

/// CPU time is given out per this period, µs; the kernel's default.
pub(super) const CPU_PERIOD_US: u64 = 100_000;

/// The CPU that TCG plays: x86-64-v2, what current distributions ask for, and the same on every host.
const TCG_CPU_MODEL: &str = "Nehalem";

/// CPUs that a guest may have while it runs, at least: those that it was not started with are empty sockets, which
/// cost it little memory.
const VCPU_SOCKETS_MIN: u32 = 8;

/// Free PCIe ports, for disks and cards that are plugged while the guest runs.
const FREE_PORTS: usize = 8;

/// PCIe ports for devices that every guest has.
const OWN_PORTS: usize = 5;

/// What cloud-init reads as the machine's serial number, and looks for a disc then, before there is a network. Without the mode
/// it would take nothing that images are made to ask for over HTTP.
const NOCLOUD: &str = "ds=nocloud;dsmode=net";

/// The serial number of that disc's drive, for people who wonder.
const SEED_SERIAL: &str = "cidata";

/// How guests of one host are made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recipe {
    /// Owner of the domain.
    pub(super) host: Uuid,
    /// What it runs on.
    pub(super) accel: Accel,
    /// Whether this machine's cgroups can hold a guest to its CPU share.
    pub(super) quota: bool,
}

/// Where the first serial port goes.
#[derive(Debug, Clone)]
pub(super) enum Console {
    /// A terminal; what nobody reads is lost.
    Pty,
    /// A socket for whoever wants to type, and a file with everything that was said.
    Socket {
        /// The socket.
        socket: PathBuf,
        /// The file.
        log: PathBuf,
    },
    /// A file only.
    File(PathBuf),
}

/// Where the files of a guest are that are not its disks.
#[derive(Debug)]
pub(super) struct Places {
    /// Its first serial port.
    pub(super) console: Console,
    /// The disc that tells it about itself.
    pub(super) seed: Option<PathBuf>,
}

/// The domain's name.
pub(super) fn domain_name(instance: Uuid) -> String {
    format!("pony-{instance}")
}

impl DomainXml {
    /// # Errors
    ///
    /// `Order` if the spec holds something that no domain can have.
    pub(super) fn new(recipe: Recipe, places: &Places, spec: &InstanceSpec) -> Result<Self> {
        if spec.vcpu == 0 || spec.mem_mib < 1 {
            let what = format!("{} vCPUs and {} MiB", spec.vcpu, spec.mem_mib);
            return Err(order(format!("an instance cannot have {what}: at least 1 of each")));
        }
        let owner = OwnerXml::new(recipe.host, recipe.accel, recipe.quota, spec)
            .map_err(|e| order(format!("the path of a disk is not UTF-8: {e}")))?;
        Ok(Self {
            domain_type: recipe.accel.domain_type(),
            name: domain_name(spec.instance),
            uuid: spec.instance,
            title: title(&spec.name),
            metadata: Metadata { owner },
            memory: Mib { unit: "MiB", value: spec.mem_mib },
            vcpu: Vcpu { current: spec.vcpu, most: spec.vcpu.max(VCPU_SOCKETS_MIN) },
            cputune: (recipe.quota && spec.cpu_percent > 0).then(|| cpu_tune(spec.cpu_percent)),
            sysinfo: places.seed.is_some().then(sysinfo),
            os: Os {
                smbios: places.seed.is_some().then_some(SmBios { mode: "sysinfo" }),
                ..os(spec.firmware)
            },
            features: Features { acpi: (), apic: () },
            cpu: spec.cpu.as_ref().map_or_else(|| cpu(recipe.accel), chosen_cpu),
            clock: Clock { offset: "utc" },
            on_poweroff: "destroy",
            on_reboot: "restart",
            on_crash: "destroy",
            devices: devices(spec, places)?,
        })
    }

    /// The text.
    ///
    /// # Errors
    ///
    /// `Order` if the serializer refuses the values.
    pub(super) fn text(&self) -> Result<String> {
        quick_xml::se::to_string(self)
            .map_err(|e| order(format!("cannot describe the instance to libvirt: {e}")))
    }

    /// What the domain will say about itself.
    pub(super) fn owner(&self) -> &OwnerXml {
        &self.metadata.owner
    }
}

/// A title is for people and takes no line breaks; the exact name is in the metadata.
fn title(name: &str) -> String {
    let plain = |c: char| if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') { '\u{fffd}' } else { c };
    name.chars().take(TITLE_CHARS_MAX).map(plain).collect()
}

fn cpu_tune(cpu_percent: u32) -> CpuTune {
    CpuTune { global_period: CPU_PERIOD_US, global_quota: u64::from(cpu_percent) * CPU_PERIOD_US / 100 }
}

fn cpu(accel: Accel) -> Cpu {
    match accel {
        Accel::Kvm => {
            Cpu { mode: "host-passthrough", matching: None, check: "none", model: None, feature: vec![] }
        }
        Accel::Tcg => {
            let model = Some(TCG_CPU_MODEL.to_owned());
            Cpu { mode: "custom", matching: Some("exact"), check: "none", model, feature: vec![] }
        }
    }
}

/// The same CPU on every host; a host that lacks something of it starts no guest.
fn chosen_cpu(cpu: &CpuSpec) -> Cpu {
    let feature = |name: &String| CpuFeature { policy: "require", name: name.clone() };
    Cpu {
        mode: "custom",
        matching: Some("exact"),
        check: "full",
        model: Some(cpu.model.clone()),
        feature: cpu.features.iter().map(feature).collect(),
    }
}

/// The CPU alone, as libvirt compares it.
pub(super) fn cpu_to_xml(cpu: &CpuSpec) -> std::result::Result<String, quick_xml::SeError> {
    quick_xml::se::to_string_with_root("cpu", &chosen_cpu(cpu))
}

fn sysinfo() -> SysInfo {
    let entry = SystemEntry { name: "serial", value: NOCLOUD };
    SysInfo { kind: "smbios", system: SystemInfo { entry } }
}

fn os(firmware: Firmware) -> Os {
    let kind = OsType { arch: "x86_64", machine: "q35", kind: "hvm" };
    match firmware {
        Firmware::Bios => Os { firmware: None, kind, choice: None, smbios: None },
        Firmware::Uefi => {
            let without = |name| FirmwareFeature { enabled: "no", name };
            let feature = vec![without("enrolled-keys"), without("secure-boot")];
            Os { firmware: Some("efi"), kind, choice: Some(FirmwareChoice { feature }), smbios: None }
        }
    }
}

fn devices(spec: &InstanceSpec, places: &Places) -> Result<Devices> {
    // What the order names first, then the other disks, as a real machine does.
    let first_disk = match spec.boot {
        Boot::Disk => 1,
        Boot::Network => 2,
    };
    let mut cds = 0..;
    let disk = spec.disks.iter().enumerate().map(|(n, disk)| {
        let place = if disk.read_only { cds.next().unwrap_or_default() } else { disk.index };
        disk_xml(disk, place, Some(first_disk + n))
    });
    let mut disk = disk.collect::<Result<Vec<_>>>()?;
    // The last drive, and nothing to boot from.
    disk.extend(places.seed.as_ref().map(|path| seed_xml(spec, path)).transpose()?);
    let nic = spec.nics.iter().enumerate().map(|(n, nic)| nic_xml(nic, n == 0 && spec.boot == Boot::Network));
    Ok(Devices {
        disk,
        interface: nic.collect::<Result<_>>()?,
        controller: controllers(spec, places.seed.is_some()),
        serial: serial_xml(&places.console)?,
        graphics: Graphics { kind: "vnc", listen: ModelType { kind: "none" } },
        // What every firmware and system has a driver for.
        video: Video { model: ModelType { kind: "vga" } },
        // A pointer with absolute positions: a mouse of its own would drift away from the viewer's.
        input: Input { kind: "tablet", bus: "virtio" },
        memballoon: Model { model: "virtio" },
        rng: Rng { model: "virtio", backend: RngBackend { model: "random", device: "/dev/urandom" } },
        panic: Model { model: "isa" },
    })
}

/// Ports are ordered one by one: libvirt makes no spare ones, and nothing could be plugged later.
fn controllers(spec: &InstanceSpec, has_seed: bool) -> Vec<Controller> {
    let ports = spec.disks.len() + spec.nics.len() + OWN_PORTS + FREE_PORTS;
    let port = |_| Controller { kind: "pci", model: "pcie-root-port" };
    let own = [Controller { kind: "usb", model: "none" }, Controller { kind: "pci", model: "pcie-root" }];
    let seed = has_seed.then_some(Controller { kind: "scsi", model: "virtio-scsi" });
    own.into_iter().chain(seed).chain((0..ports).map(port)).collect()
}

/// What a device is called that shows a row; libvirt asks for the prefix.
pub(super) fn alias(row: Uuid) -> String {
    format!("ua-{row}")
}

/// A disk, to be plugged into a guest that runs.
///
/// # Errors
///
/// `Order` if no domain can have such a disk.
pub(super) fn plugged_disk(disk: &DiskSpec) -> Result<String> {
    text_of("disk", &disk_xml(disk, disk.index, None)?)
}

/// A card, to be plugged into a guest that runs.
///
/// # Errors
///
/// `Order` if no domain can have such a card.
pub(super) fn plugged_nic(nic: &NicSpec) -> Result<String> {
    text_of("interface", &nic_xml(nic, false)?)
}

fn text_of(root: &str, device: &impl serde::Serialize) -> Result<String> {
    quick_xml::se::to_string_with_root(root, device)
        .map_err(|e| order(format!("cannot describe a {root} to libvirt: {e}")))
}

/// The name by which a guest's disk goes on its bus.
pub(super) fn target(disk: &DiskSpec) -> String {
    format!("vd{}", letters(disk.index))
}

fn disk_xml(disk: &DiskSpec, place: u32, boot: Option<usize>) -> Result<Disk> {
    let (device, prefix, bus) =
        if disk.read_only { ("cdrom", "sd", "sata") } else { ("disk", "vd", "virtio") };
    let format = match disk.format {
        VolumeFormat::Raw => "raw",
        VolumeFormat::Qcow2 => "qcow2",
    };
    let discard = if disk.read_only { "ignore" } else { "unmap" };
    let (kind, source) = source_xml(&disk.place)?;
    let cache = disk.place.path().map_or("none", cache_mode);
    Ok(Disk {
        kind,
        device,
        driver: DiskDriver { name: "qemu", format, cache, discard },
        source,
        target: DiskTarget { dev: format!("{prefix}{}", letters(place)), bus },
        readonly: disk.read_only.then_some(()),
        shareable: disk.shared.then_some(()),
        serial: disk.vdisk.simple().to_string().chars().take(SERIAL_CHARS_MAX).collect(),
        boot: boot.map(|order| BootOrder { order }),
        alias: Alias { name: alias(disk.vdisk) },
    })
}

/// Goes by the guest's own key, which is no disk's. On a bus that kernels made for clouds know: they have no driver for SATA.
fn seed_xml(spec: &InstanceSpec, path: &Path) -> Result<Disk> {
    let drives = spec.disks.iter().filter(|disk| disk.read_only).count();
    Ok(Disk {
        kind: "file",
        device: "cdrom",
        driver: DiskDriver { name: "qemu", format: "raw", cache: "writeback", discard: "ignore" },
        source: DiskSource { file: Some(path_text(path)?), ..DiskSource::default() },
        target: DiskTarget { dev: format!("sd{}", letters(u32::try_from(drives).unwrap_or(0))), bus: "scsi" },
        readonly: Some(()),
        shareable: None,
        serial: SEED_SERIAL.to_owned(),
        boot: None,
        alias: Alias { name: alias(spec.instance) },
    })
}

/// The drive with another disc, for a guest that runs and has these disks.
///
/// # Errors
///
/// `Order` if no domain can have such a disc.
pub(super) fn other_seed(spec: &InstanceSpec, path: &Path) -> Result<String> {
    text_of("disk", &seed_xml(spec, path)?)
}

/// The type of a disk, and where its bytes are.
fn source_xml(place: &Place) -> Result<(&'static str, DiskSource)> {
    Ok(match place {
        Place::File(path) => ("file", DiskSource { file: Some(path_text(path)?), ..DiskSource::default() }),
        Place::Block(path) => ("block", DiskSource { dev: Some(path_text(path)?), ..DiskSource::default() }),
        Place::Network(disk) => {
            let slice = |slice: Slice| SliceXml { kind: "storage", offset: slice.offset, size: slice.len };
            let source = DiskSource {
                protocol: Some(disk.protocol.as_str()),
                name: Some(name_text(&disk.name)?),
                host: disk.servers.iter().map(|server| server_xml(server)).collect::<Result<_>>()?,
                auth: disk.login.as_ref().map(|login| auth_xml(disk.protocol, login)).transpose()?,
                initiator: disk.initiator.as_deref().map(initiator_xml).transpose()?,
                slices: disk.slice.map(|it| Slices { slice: slice(it) }),
                ..DiskSource::default()
            };
            ("network", source)
        }
    })
}

/// The secret itself is told to libvirt in another way, and in no definition.
fn auth_xml(protocol: Protocol, login: &Login) -> Result<AuthXml> {
    let secret = SecretXml { kind: secrets::usage(protocol), uuid: secrets::uuid(protocol, login) };
    Ok(AuthXml { username: name_text(&login.user)?, secret })
}

fn initiator_xml(name: &str) -> Result<InitiatorXml> {
    Ok(InitiatorXml { iqn: IqnXml { name: name_text(name)? } })
}

/// `host:port`, where the host may be an IPv6 address in brackets.
fn server_xml(server: &str) -> Result<ServerXml> {
    let parts = server.rsplit_once(':').and_then(|(name, port)| Some((name, port.parse().ok()?)));
    match parts {
        Some((name, port)) if !name.is_empty() => {
            let name = name.trim_start_matches('[').trim_end_matches(']');
            Ok(ServerXml { name: name_text(name)?, port })
        }
        _ => Err(order(format!("{server:?} is not the address of a server: write host:port"))),
    }
}

fn name_text(name: &str) -> Result<String> {
    match name.chars().any(|c| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}')) {
        false => Ok(name.to_owned()),
        true => Err(order(format!("{name:?} is not a usable name: no control characters"))),
    }
}

/// Past the host's page cache where the file system can: what a guest flushed is then on the disk, and memory is
/// not spent twice. Otherwise through it, with flushes honoured, which is as safe and only slower.
fn cache_mode(path: &Path) -> &'static str {
    use std::os::unix::fs::OpenOptionsExt as _;
    let direct = nix::fcntl::OFlag::O_DIRECT.bits();
    match std::fs::OpenOptions::new().read(true).custom_flags(direct).open(path) {
        Ok(_) => "none",
        Err(_) => "writeback",
    }
}

fn nic_xml(nic: &NicSpec, boots: bool) -> Result<Interface> {
    let name_fits = (1..=LINK_NAME_BYTES_MAX).contains(&nic.tap.len());
    if !name_fits || !nic.tap.chars().all(|c| c.is_ascii_graphic() && c != '/') {
        return Err(order(format!("{:?} is not the name of a link (1 to 15 printable characters)", nic.tap)));
    }
    let octets: Vec<_> = nic.mac.split(':').collect();
    let is_octet = |o: &&str| o.len() == 2 && o.chars().all(|c| c.is_ascii_hexdigit());
    if octets.len() != 6 || !octets.iter().all(is_octet) {
        return Err(order(format!("{:?} is not a hardware address (such as 52:54:00:12:34:56)", nic.mac)));
    }
    Ok(Interface {
        kind: "ethernet",
        mac: Mac { address: nic.mac.clone() },
        target: Tap { dev: nic.tap.clone(), managed: "no" },
        mtu: nic.mtu.map(|size| Mtu { size }),
        model: ModelType { kind: "virtio" },
        boot: boots.then_some(BootOrder { order: 1 }),
        alias: Alias { name: alias(nic.vnic) },
    })
}

fn serial_xml(console: &Console) -> Result<Serial> {
    Ok(match console {
        Console::Pty => Serial { kind: "pty", source: None, log: None },
        Console::Socket { socket, log } => Serial {
            kind: "unix",
            source: Some(SerialSource { mode: Some("bind"), path: path_text(socket)? }),
            log: Some(SerialLog { file: path_text(log)?, append: "on" }),
        },
        Console::File(path) => Serial {
            kind: "file",
            source: Some(SerialSource { mode: None, path: path_text(path)? }),
            log: None,
        },
    })
}

/// XML folds line breaks in attributes and knows no control characters.
fn path_text(path: &Path) -> Result<String> {
    match path.to_str() {
        Some(text)
            if path.is_absolute()
                && !text.chars().any(|c| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}')) =>
        {
            Ok(text.to_owned())
        }
        _ => Err(order(format!("{path:?} is not a usable path: absolute, UTF-8, no control characters"))),
    }
}

/// `a` to `z`, `aa`…, as the kernel names disks.
fn letters(index: u32) -> String {
    let mut n = u64::from(index) + 1;
    let mut name = Vec::new();
    while n > 0 {
        n -= 1;
        name.push(char::from(b'a' + (n % 26) as u8));
        n /= 26;
    }
    name.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pony_core::host::NetworkDisk;

    #[test]
    fn disks_are_named_as_the_kernel_names_them() {
        let names: Vec<_> = [0, 1, 25, 26, 27, 701, 702, u32::MAX].map(letters).into();
        assert_eq!(names[..7], ["a", "b", "z", "aa", "ab", "zz", "aaa"]);
    }

    #[test]
    fn markup_in_values_stays_a_value() {
        let disk = DiskSpec {
            vdisk: Uuid::from_u128(2),
            index: 0,
            place: Place::File("/p'\"<>&/ü 𝕏".into()),
            format: VolumeFormat::Raw,
            read_only: false,
            shared: false,
        };
        let text = quick_xml::se::to_string(&disk_xml(&disk, 0, Some(1)).unwrap()).unwrap();
        assert!(!text.contains("<>") && text.contains("&lt;") && text.contains("&quot;"), "{text}");
        for path in ["relative", "/line\nbreak", "/nul\u{0}", "/not\u{ffff}xml"] {
            assert!(
                disk_xml(&DiskSpec { place: Place::File(path.into()), ..disk.clone() }, 0, Some(1)).is_err(),
                "{path:?}"
            );
        }
    }

    #[test]
    fn every_place_becomes_a_source_that_libvirt_knows() {
        let text = |place: Place| {
            let (kind, source) = source_xml(&place).unwrap();
            (kind, quick_xml::se::to_string(&source).unwrap())
        };
        let (kind, block) = text(Place::Block("/dev/vg/lv".into()));
        assert_eq!((kind, block.as_str()), ("block", r#"<DiskSource dev="/dev/vg/lv"/>"#));
        let slice = Some(Slice { offset: 1 << 20, len: 5 << 20 });
        let (name, servers) = ("iqn.2026-01.test:a/1".into(), vec!["[::1]:3260".into()]);
        let login = Some(Login { user: "pony".into(), secret: "san".into() });
        let initiator = Some("iqn.2026-01.test:host".into());
        let disk = NetworkDisk { protocol: Protocol::Iscsi, name, servers, slice, login, initiator };
        let (kind, network) = text(disk.clone().into());
        assert_eq!(kind, "network");
        let host = r#"<host name="::1" port="3260"/>"#;
        let slices = r#"<slices><slice type="storage" offset="1048576" size="5242880"/></slices>"#;
        let uuid = secrets::uuid(Protocol::Iscsi, disk.login.as_ref().unwrap());
        let auth = format!(r#"<auth username="pony"><secret type="iscsi" uuid="{uuid}"/></auth>"#);
        let called = r#"<initiator><iqn name="iqn.2026-01.test:host"/></initiator>"#;
        let expected = format!(
            r#"<DiskSource protocol="iscsi" name="iqn.2026-01.test:a/1">{host}{auth}{called}{slices}</DiskSource>"#
        );
        assert_eq!(network, expected);
        for server in ["", "host", ":1", "host:port", "host:70000"] {
            let disk = NetworkDisk { servers: vec![server.into()], ..disk.clone() };
            assert!(source_xml(&disk.into()).is_err(), "{server:?}");
        }
    }

    #[test]
    fn hostile_links_are_refused() {
        let nic = |tap: &str, mac: &str| NicSpec {
            vnic: Uuid::from_u128(3),
            index: 0,
            mac: mac.into(),
            tap: tap.into(),
            mtu: Some(1_450),
        };
        assert!(nic_xml(&nic("pt0123456789ab", "52:54:00:00:00:01"), false).is_ok());
        for (tap, mac) in [
            ("", "52:54:00:00:00:01"),
            ("0123456789abcdef", "52:54:00:00:00:01"),
            ("a/b", "52:54:00:00:00:01"),
            ("a b", "52:54:00:00:00:01"),
            ("a", "52:54:00:00:00"),
            ("a", "52:54:00:00:00:0g"),
            ("a", "52:54:00:00:00:01'/>"),
        ] {
            assert!(nic_xml(&nic(tap, mac), false).is_err(), "{tap:?} {mac:?}");
        }
    }
}
