//! The elements of a domain, as libvirt's schema names them; only those that are used.

use super::metadata::OwnerXml;
use serde::Serialize;
use uuid::Uuid;

/// A whole domain.
#[derive(Debug, Serialize)]
#[serde(rename = "domain")]
pub(super) struct DomainXml {
    #[serde(rename = "@type")]
    pub(super) domain_type: &'static str,
    pub(super) name: String,
    pub(super) uuid: Uuid,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) title: String,
    pub(super) metadata: Metadata,
    pub(super) memory: Mib,
    pub(super) vcpu: Vcpu,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cputune: Option<CpuTune>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sysinfo: Option<SysInfo>,
    pub(super) os: Os,
    pub(super) features: Features,
    pub(super) cpu: Cpu,
    pub(super) clock: Clock,
    pub(super) on_poweroff: &'static str,
    pub(super) on_reboot: &'static str,
    /// Not `preserve`: a broken guest must not hold memory and disks; that it broke stays known (`Crashed`).
    pub(super) on_crash: &'static str,
    pub(super) devices: Devices,
}

#[derive(Debug, Serialize)]
pub(super) struct Metadata {
    #[serde(rename = "pony:instance")]
    pub(super) owner: OwnerXml,
}

#[derive(Debug, Serialize)]
pub(super) struct Mib {
    #[serde(rename = "@unit")]
    pub(super) unit: &'static str,
    #[serde(rename = "$text")]
    pub(super) value: i64,
}

#[derive(Debug, Serialize)]
pub(super) struct Vcpu {
    #[serde(rename = "@current")]
    pub(super) current: u32,
    #[serde(rename = "$text")]
    pub(super) most: u32,
}

#[derive(Debug, Serialize)]
pub(super) struct CpuTune {
    pub(super) global_period: u64,
    pub(super) global_quota: u64,
}

/// What the firmware says about the machine.
#[derive(Debug, Serialize)]
pub(super) struct SysInfo {
    #[serde(rename = "@type")]
    pub(super) kind: &'static str,
    pub(super) system: SystemInfo,
}

#[derive(Debug, Serialize)]
pub(super) struct SystemInfo {
    pub(super) entry: SystemEntry,
}

#[derive(Debug, Serialize)]
pub(super) struct SystemEntry {
    #[serde(rename = "@name")]
    pub(super) name: &'static str,
    #[serde(rename = "$text")]
    pub(super) value: &'static str,
}

/// Whose words about the machine the firmware repeats.
#[derive(Debug, Serialize)]
pub(super) struct SmBios {
    #[serde(rename = "@mode")]
    pub(super) mode: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct Os {
    /// Has libvirt choose an image of it.
    #[serde(rename = "@firmware", skip_serializing_if = "Option::is_none")]
    pub(super) firmware: Option<&'static str>,
    #[serde(rename = "type")]
    pub(super) kind: OsType,
    #[serde(rename = "firmware", skip_serializing_if = "Option::is_none")]
    pub(super) choice: Option<FirmwareChoice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) smbios: Option<SmBios>,
}

/// What an image of a firmware must be like.
#[derive(Debug, Serialize)]
pub(super) struct FirmwareChoice {
    pub(super) feature: Vec<FirmwareFeature>,
}

#[derive(Debug, Serialize)]
pub(super) struct FirmwareFeature {
    #[serde(rename = "@enabled")]
    pub(super) enabled: &'static str,
    #[serde(rename = "@name")]
    pub(super) name: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct OsType {
    #[serde(rename = "@arch")]
    pub(super) arch: &'static str,
    #[serde(rename = "@machine")]
    pub(super) machine: &'static str,
    #[serde(rename = "$text")]
    pub(super) kind: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct Features {
    pub(super) acpi: (),
    pub(super) apic: (),
}

#[derive(Debug, Serialize)]
pub(super) struct Cpu {
    #[serde(rename = "@mode")]
    pub(super) mode: &'static str,
    #[serde(rename = "@match", skip_serializing_if = "Option::is_none")]
    pub(super) matching: Option<&'static str>,
    #[serde(rename = "@check")]
    pub(super) check: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) model: Option<String>,
    pub(super) feature: Vec<CpuFeature>,
}

#[derive(Debug, Serialize)]
pub(super) struct CpuFeature {
    #[serde(rename = "@policy")]
    pub(super) policy: &'static str,
    #[serde(rename = "@name")]
    pub(super) name: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Clock {
    #[serde(rename = "@offset")]
    pub(super) offset: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct Devices {
    pub(super) disk: Vec<Disk>,
    pub(super) interface: Vec<Interface>,
    pub(super) controller: Vec<Controller>,
    pub(super) serial: Serial,
    pub(super) graphics: Graphics,
    pub(super) video: Video,
    pub(super) input: Input,
    pub(super) memballoon: Model,
    pub(super) rng: Rng,
    pub(super) panic: Model,
}

#[derive(Debug, Serialize)]
pub(super) struct Model {
    #[serde(rename = "@model")]
    pub(super) model: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct Controller {
    #[serde(rename = "@type")]
    pub(super) kind: &'static str,
    #[serde(rename = "@model")]
    pub(super) model: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct Rng {
    #[serde(rename = "@model")]
    pub(super) model: &'static str,
    pub(super) backend: RngBackend,
}

#[derive(Debug, Serialize)]
pub(super) struct RngBackend {
    #[serde(rename = "@model")]
    pub(super) model: &'static str,
    #[serde(rename = "$text")]
    pub(super) device: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct Disk {
    #[serde(rename = "@type")]
    pub(super) kind: &'static str,
    #[serde(rename = "@device")]
    pub(super) device: &'static str,
    pub(super) driver: DiskDriver,
    pub(super) source: DiskSource,
    pub(super) target: DiskTarget,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) readonly: Option<()>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) shareable: Option<()>,
    pub(super) serial: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) boot: Option<BootOrder>,
    pub(super) alias: Alias,
}

/// By what a device is found again in the guest that runs.
#[derive(Debug, Serialize)]
pub(super) struct Alias {
    #[serde(rename = "@name")]
    pub(super) name: String,
}

#[derive(Debug, Serialize)]
pub(super) struct DiskDriver {
    #[serde(rename = "@name")]
    pub(super) name: &'static str,
    #[serde(rename = "@type")]
    pub(super) format: &'static str,
    #[serde(rename = "@cache")]
    pub(super) cache: &'static str,
    #[serde(rename = "@discard")]
    pub(super) discard: &'static str,
}

/// Where the bytes of a disk are: a file, a device, or something on another machine, by the disk's type.
#[derive(Debug, Default, Serialize)]
pub(super) struct DiskSource {
    #[serde(rename = "@file", skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<String>,
    #[serde(rename = "@dev", skip_serializing_if = "Option::is_none")]
    pub(super) dev: Option<String>,
    #[serde(rename = "@protocol", skip_serializing_if = "Option::is_none")]
    pub(super) protocol: Option<&'static str>,
    #[serde(rename = "@name", skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    pub(super) host: Vec<ServerXml>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) auth: Option<AuthXml>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) initiator: Option<InitiatorXml>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) slices: Option<Slices>,
}

/// As whom the emulator signs in at a server.
#[derive(Debug, Serialize)]
pub(super) struct AuthXml {
    #[serde(rename = "@username")]
    pub(super) username: String,
    pub(super) secret: SecretXml,
}

/// A secret that libvirt was told before.
#[derive(Debug, Serialize)]
pub(super) struct SecretXml {
    #[serde(rename = "@type")]
    pub(super) kind: &'static str,
    #[serde(rename = "@uuid")]
    pub(super) uuid: Uuid,
}

/// What the emulator calls itself at a server.
#[derive(Debug, Serialize)]
pub(super) struct InitiatorXml {
    pub(super) iqn: IqnXml,
}

#[derive(Debug, Serialize)]
pub(super) struct IqnXml {
    #[serde(rename = "@name")]
    pub(super) name: String,
}

#[derive(Debug, Serialize)]
pub(super) struct ServerXml {
    #[serde(rename = "@name")]
    pub(super) name: String,
    #[serde(rename = "@port")]
    pub(super) port: u16,
}

#[derive(Debug, Serialize)]
pub(super) struct Slices {
    pub(super) slice: SliceXml,
}

#[derive(Debug, Serialize)]
pub(super) struct SliceXml {
    #[serde(rename = "@type")]
    pub(super) kind: &'static str,
    #[serde(rename = "@offset")]
    pub(super) offset: u64,
    #[serde(rename = "@size")]
    pub(super) size: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct DiskTarget {
    #[serde(rename = "@dev")]
    pub(super) dev: String,
    #[serde(rename = "@bus")]
    pub(super) bus: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct BootOrder {
    #[serde(rename = "@order")]
    pub(super) order: usize,
}

#[derive(Debug, Serialize)]
pub(super) struct Interface {
    #[serde(rename = "@type")]
    pub(super) kind: &'static str,
    pub(super) mac: Mac,
    pub(super) target: Tap,
    /// What the guest's driver is told that the card carries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mtu: Option<Mtu>,
    pub(super) model: ModelType,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) boot: Option<BootOrder>,
    pub(super) alias: Alias,
}

#[derive(Debug, Serialize)]
pub(super) struct Mtu {
    #[serde(rename = "@size")]
    pub(super) size: u32,
}

#[derive(Debug, Serialize)]
pub(super) struct Mac {
    #[serde(rename = "@address")]
    pub(super) address: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Tap {
    #[serde(rename = "@dev")]
    pub(super) dev: String,
    /// The tap is the network driver's: libvirt neither makes nor removes it.
    #[serde(rename = "@managed")]
    pub(super) managed: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct ModelType {
    #[serde(rename = "@type")]
    pub(super) kind: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct Serial {
    #[serde(rename = "@type")]
    pub(super) kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) source: Option<SerialSource>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) log: Option<SerialLog>,
}

/// A screen to which libvirt gives connections, and nobody else: nothing listens anywhere.
#[derive(Debug, Serialize)]
pub(super) struct Graphics {
    #[serde(rename = "@type")]
    pub(super) kind: &'static str,
    pub(super) listen: ModelType,
}

#[derive(Debug, Serialize)]
pub(super) struct Video {
    pub(super) model: ModelType,
}

#[derive(Debug, Serialize)]
pub(super) struct Input {
    #[serde(rename = "@type")]
    pub(super) kind: &'static str,
    #[serde(rename = "@bus")]
    pub(super) bus: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct SerialSource {
    #[serde(rename = "@mode", skip_serializing_if = "Option::is_none")]
    pub(super) mode: Option<&'static str>,
    #[serde(rename = "@path")]
    pub(super) path: String,
}

#[derive(Debug, Serialize)]
pub(super) struct SerialLog {
    #[serde(rename = "@file")]
    pub(super) file: String,
    #[serde(rename = "@append")]
    pub(super) append: &'static str,
}
