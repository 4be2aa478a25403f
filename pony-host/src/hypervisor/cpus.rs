//! Which hypervisor there is, and which CPUs guests can be shown on it.

use super::accel::Accel;
use super::error::{from_virt, transient};
use super::ffi;
use super::xml::cpu_to_xml;
use crate::Result;
use pony_core::host::CpuSpec;
use std::collections::BTreeMap;
use uuid::Uuid;
use virt::connect::Connect;
use virt::error::{Error, ErrorDomain, ErrorNumber};

/// `QEMU 7.2.0, libvirt 9.0.0`.
pub(super) fn version(conn: &Connect) -> Result<String> {
    let wrong = |error: Error| from_virt("ask for the hypervisor's version", &error);
    let kind = conn.get_type().map_err(wrong)?;
    let emulator = conn.get_hyp_version().map_err(wrong)?;
    let libvirt = conn.get_lib_version().map_err(wrong)?;
    Ok(format!("{kind} {}, libvirt {}", numbers(emulator), numbers(libvirt)))
}

/// libvirt's way to write 7.2.0: 7002000.
fn numbers(version: u32) -> String {
    format!("{}.{}.{}", version / 1_000_000, version / 1_000 % 1_000, version % 1_000)
}

/// Which of these CPUs guests can be shown.
pub(super) fn offers(
    conn: &Connect,
    accel: Accel,
    cpus: &BTreeMap<Uuid, CpuSpec>,
) -> Result<BTreeMap<Uuid, bool>> {
    cpus.iter().map(|(profile, cpu)| Ok((*profile, offer(conn, accel, cpu)?))).collect()
}

fn offer(conn: &Connect, accel: Accel, cpu: &CpuSpec) -> Result<bool> {
    let xml =
        cpu_to_xml(cpu).map_err(|error| transient(format!("cannot describe CPU {}: {error}", cpu.model)))?;
    match ffi::can_show(conn, accel.domain_type(), &xml) {
        Ok(can) => Ok(can),
        // There is no such model, or no such feature.
        Err(error) if is_about_cpu(&error) => Ok(false),
        Err(error) => Err(from_virt(&format!("compare CPU {}", cpu.model), &error)),
    }
}

/// Whether it was the question that libvirt did not like, and not the way to it.
fn is_about_cpu(error: &Error) -> bool {
    use ErrorNumber as E;
    let word = matches!(
        error.code(),
        E::InternalError
            | E::XmlError
            | E::XmlDetail
            | E::InvalidArg
            | E::ConfigUnsupported
            | E::CpuIncompatible
    );
    word && error.domain() != ErrorDomain::Rpc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_written_as_people_do() {
        assert_eq!(numbers(7_002_015), "7.2.15");
    }
}
