//! What a guest that runs is made of, read from the text that libvirt has of it.

use super::seeds::seed_at;
use super::xml::alias;
use pony_core::host::{InstanceSpec, Room, Seed};
use serde::Deserialize;
use uuid::Uuid;

/// What is read of it.
#[derive(Debug, Deserialize)]
pub(super) struct Live {
    memory: Kib,
    #[serde(rename = "currentMemory")]
    current_memory: Kib,
    vcpu: Vcpu,
    #[serde(default)]
    vcpus: Vcpus,
    devices: Devices,
}

/// libvirt always gives KiB.
#[derive(Debug, Deserialize)]
struct Kib {
    #[serde(rename = "$text")]
    value: i64,
}

#[derive(Debug, Deserialize)]
struct Vcpu {
    #[serde(rename = "@current")]
    current: Option<u32>,
    #[serde(rename = "$text")]
    most: u32,
}

#[derive(Debug, Default, Deserialize)]
struct Vcpus {
    #[serde(default)]
    vcpu: Vec<Socket>,
}

#[derive(Debug, Deserialize)]
struct Socket {
    #[serde(rename = "@enabled")]
    enabled: String,
    #[serde(rename = "@hotpluggable")]
    hotpluggable: String,
}

#[derive(Debug, Deserialize)]
struct Devices {
    #[serde(default)]
    disk: Vec<Device>,
    #[serde(default)]
    interface: Vec<Device>,
}

#[derive(Debug, Deserialize)]
struct Device {
    alias: Option<Alias>,
    source: Option<Source>,
}

#[derive(Debug, Deserialize)]
struct Source {
    #[serde(rename = "@file")]
    file: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Alias {
    #[serde(rename = "@name")]
    name: String,
}

impl Live {
    /// `None` where the text is not as expected.
    pub(super) fn parse(xml: &str) -> Option<Self> {
        quick_xml::de::from_str(xml)
            .inspect_err(|error| tracing::debug!(%error, "a domain is not readable"))
            .ok()
    }

    /// What the guest really has of what its metadata say: they name a device before it is plugged, and until it
    /// is gone.
    pub(super) fn spec(&self, said: InstanceSpec) -> InstanceSpec {
        let drive = self.device(said.instance);
        let disc = drive.and_then(|it| seed_at(it.source.as_ref()?.file.as_ref()?, said.instance));
        // A drive that somebody emptied is there.
        let seed = disc.or_else(|| drive.map(|_| Seed::from(0)));
        let mut spec = InstanceSpec { vcpu: self.vcpu(), mem_mib: self.mem_mib(), seed, ..said };
        if self.names_devices() {
            spec.disks.retain(|disk| self.has(disk.vdisk));
            spec.nics.retain(|nic| self.has(nic.vnic));
        }
        spec
    }

    /// Whether devices go by the rows that they show, as in all guests but those of older agents.
    fn names_devices(&self) -> bool {
        let mut all = self.devices.disk.iter().chain(&self.devices.interface).peekable();
        all.peek().is_none()
            || all.any(|it| it.alias.as_ref().is_some_and(|alias| alias.name.starts_with("ua-")))
    }

    /// Whether a device is there that shows the row.
    pub(super) fn has(&self, row: Uuid) -> bool {
        self.device(row).is_some()
    }

    fn device(&self, row: Uuid) -> Option<&Device> {
        let name = alias(row);
        let mut all = self.devices.disk.iter().chain(&self.devices.interface);
        all.find(|it| it.alias.as_ref().is_some_and(|alias| alias.name == name))
    }

    pub(super) fn vcpu(&self) -> u32 {
        self.vcpu.current.unwrap_or(self.vcpu.most)
    }

    pub(super) fn mem_mib(&self) -> i64 {
        self.current_memory.value / 1024
    }

    pub(super) fn room(&self) -> Room {
        let fixed =
            self.vcpus.vcpu.iter().filter(|it| it.enabled == "yes" && it.hotpluggable == "no").count();
        let fixed = u32::try_from(fixed).unwrap_or(u32::MAX);
        Room {
            vcpu_min: if fixed == 0 { self.vcpu() } else { fixed },
            vcpu_max: self.vcpu.most,
            mem_max_mib: self.memory.value / 1024,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_domain_is_read() {
        let row = Uuid::from_u128(7);
        let xml = format!(
            "<domain type='qemu' id='3'><name>n</name><memory unit='KiB'>262144</memory>\
             <currentMemory unit='KiB'>131072</currentMemory><vcpu placement='static' current='2'>4</vcpu>\
             <vcpus><vcpu id='0' enabled='yes' hotpluggable='no' order='1'/>\
             <vcpu id='1' enabled='yes' hotpluggable='yes' order='2'/>\
             <vcpu id='2' enabled='no' hotpluggable='yes'/><vcpu id='3' enabled='no' hotpluggable='yes'/></vcpus>\
             <devices><emulator>/q</emulator><disk type='file'><source file='/a'/><alias name='ua-{row}'/></disk>\
             <controller type='usb'/><interface type='ethernet'><alias name='net0'/></interface></devices></domain>"
        );
        let live = Live::parse(&xml).unwrap();
        assert_eq!((live.vcpu(), live.mem_mib()), (2, 128));
        assert_eq!(live.room(), Room { vcpu_min: 1, vcpu_max: 4, mem_max_mib: 256 });
        assert!(live.has(row) && !live.has(Uuid::nil()) && live.names_devices());
    }
}
