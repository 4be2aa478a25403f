//! The ways to disks of storage networks: Fibre Channel ports, iSCSI initiators.

use crate::block::files;
use pony_core::host::{DiskTransport, Hba};
use std::collections::BTreeSet;
use std::path::Path;

/// Longest name of an initiator, bytes: that of an IQN (RFC 7143).
const NAME_MAX: usize = 223;

/// All of them, each once: several iSCSI adapters may go by one name.
pub(super) fn hbas(root: &Path) -> Vec<Hba> {
    let ports = files::entries(&root.join("sys/class/fc_host")).unwrap_or_default();
    let ports = ports.iter().filter_map(|(_, port)| fibre_channel(port));
    let adapters = files::entries(&root.join("sys/class/iscsi_host")).unwrap_or_default();
    let adapters = adapters.iter().filter_map(|(_, adapter)| files::known(&adapter.join("initiatorname")));
    let names = adapters.chain(own_name(root)).filter(|name| is_name(name));
    let iscsi = names.map(|name| Hba { transport: DiskTransport::Iscsi, name, state: None, speed: None });
    ports.chain(iscsi).collect::<BTreeSet<_>>().into_iter().collect()
}

fn fibre_channel(port: &Path) -> Option<Hba> {
    let name = files::known(&port.join("port_name")).filter(|name| is_name(name))?;
    let said = |what: &str| files::known(&port.join(what)).map(|text| files::printable(&text));
    Some(Hba { transport: DiskTransport::Fc, name, state: said("port_state"), speed: said("speed") })
}

/// What the kernel's own initiator goes by, as open-iscsi keeps it.
fn own_name(root: &Path) -> Option<String> {
    let text = files::known(&root.join("etc/iscsi/initiatorname.iscsi"))?;
    let names = text.lines().filter_map(|line| line.trim().strip_prefix("InitiatorName="));
    names.map(|name| name.trim().to_owned()).next()
}

/// `(null)` is what drivers say that do not know.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_MAX
        && name != "(null)"
        && name.chars().all(|c| c.is_ascii_graphic())
}
