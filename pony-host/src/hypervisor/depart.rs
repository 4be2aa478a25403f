//! Sending a guest that runs to another libvirt, as blocking calls into this one, which does the work by itself.

use super::domain::{Maker, doing};
use super::error::{from_virt, is_gone, transient};
use super::{disks, facts, ffi, xml};
use crate::Result;
use crate::peers::Way;
use pony_core::host::DiskSpec;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use uuid::Uuid;
use virt::connect::Connect;
use virt::domain::{JobStats, MigrateParameters};
use virt::error::ErrorNumber;
use virt_sys as sys;

/// libvirt speaks with the other one itself, the guest runs on meanwhile (and is slowed down where it writes faster than it
/// is sent), its definition moves along, and it is given up where a disk fails. That its disks can be had on both hosts was
/// found out before: libvirt could not know. Over there it stands still until it is resumed: where the connection is lost at
/// the very end, libvirt has it go on here, and does not know whether it runs there. Until then the emulator there has its
/// disks open without taking them (`late-block-activate`): it neither reads nor writes, and this one can go on with them.
const FLAGS: u32 = sys::VIR_MIGRATE_LIVE
    | sys::VIR_MIGRATE_PEER2PEER
    | sys::VIR_MIGRATE_PERSIST_DEST
    | sys::VIR_MIGRATE_UNDEFINE_SOURCE
    | sys::VIR_MIGRATE_ABORT_ON_ERROR
    | sys::VIR_MIGRATE_AUTO_CONVERGE
    | sys::VIR_MIGRATE_PAUSED
    | sys::VIR_MIGRATE_UNSAFE;

/// Where a guest goes, and by which sockets, as libvirt sees them.
#[derive(Debug)]
pub(super) struct Road {
    /// What its disks are over there.
    pub(super) disks: Vec<DiskSpec>,
    /// Those that are copied, by their `vdisk`.
    pub(super) copied: BTreeSet<Uuid>,
    pub(super) host: Uuid,
    pub(super) way: Way,
    pub(super) control: PathBuf,
    pub(super) memory: PathBuf,
    pub(super) data: PathBuf,
}

impl Maker {
    /// Sends the guest away; it is gone from here when this succeeds.
    pub(super) fn depart(&self, conn: &Connect, instance: Uuid, road: &Road) -> Result<()> {
        let domain = self.running(conn, instance, "send away")?;
        let from =
            |error: &_| from_virt(&format!("{} to host {}", doing("send", instance), road.host), error);
        let live = facts::live_owner(&domain).map_err(|it| from(&it))?.and_then(|it| it.spec());
        let live = live.ok_or_else(|| transient(format!("instance {instance} does not tell what it has")))?;
        let renames = disks::renames(&live.disks, &road.disks)?;
        let read = |flags: u32| {
            let xml =
                domain.get_xml_desc(flags | sys::VIR_DOMAIN_XML_MIGRATABLE | sys::VIR_DOMAIN_XML_SECURE);
            xml.map(|xml| self.adapt(&xml, road, &renames))
        };
        // The other emulator takes them by NBD, and what is written meanwhile goes to both until the guest is over there.
        let copied = live.disks.iter().filter(|it| road.copied.contains(&it.vdisk));
        let copied: Vec<String> = copied.map(xml::target).collect();
        let (flags, data) = match copied.is_empty() {
            true => (FLAGS, None),
            false => {
                (FLAGS | sys::VIR_MIGRATE_NON_SHARED_DISK, Some(format!("unix://{}", road.data.display())))
            }
        };
        let parameters = MigrateParameters {
            migrate_disks: copied,
            disks_uri: data,
            uri: Some(format!("unix://{}", road.memory.display())),
            dest_xml: Some(read(0).map_err(|it| from(&it))?),
            persist_xml: Some(read(sys::VIR_DOMAIN_XML_INACTIVE).map_err(|it| from(&it))?),
            ..MigrateParameters::default()
        };
        let control = format!("qemu+unix:///system?socket={}", road.control.display());
        domain.migrate_to_uri3(Some(&control), parameters, flags).map_err(|it| from(&it))?;
        self.remove_files(instance);
        Ok(())
    }

    /// What it is over there: somebody else's, with a console elsewhere, and disks that have other names.
    fn adapt(&self, xml: &str, road: &Road, renames: &[(String, String)]) -> String {
        let xml = xml.replace(&self.host().to_string(), &road.host.to_string());
        let xml = renames.iter().fold(xml, |xml, (here, there)| xml.replace(here, there));
        match (self.consoles(), &road.way.consoles) {
            (Some(here), Some(there)) if here != there => xml.replace(&quoted(here), &quoted(there)),
            _ => xml,
        }
    }

    /// Has the sending of a guest end, if it is under way.
    pub(super) fn call_off(&self, conn: &Connect, instance: Uuid) -> Result<()> {
        let Some(domain) = self.find(conn, instance)? else { return Ok(()) };
        match ffi::abort_job(&domain) {
            Err(error) if error.code() != ErrorNumber::OperationInvalid && !is_gone(&error) => {
                Err(from_virt(&doing("keep", instance), &error))
            }
            _ => Ok(()),
        }
    }

    /// How much has been sent, bytes, and how far it has come; `None` where nothing is told.
    pub(super) fn sent(&self, conn: &Connect, instance: Uuid) -> Result<Option<Sent>> {
        let Some(domain) = self.find(conn, instance)? else { return Ok(None) };
        // Not `get_job_stats`, which makes a list of a null pointer where there is no job.
        Ok(domain.get_job_info().ok().and_then(|stats| sent(&stats)))
    }
}

/// A directory as an attribute's beginning has it.
fn quoted(dir: &Path) -> String {
    format!("{}/", quick_xml::escape::escape(dir.display().to_string()))
}

/// How far a move has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sent {
    /// Bytes that went; more than the guest has, where it writes meanwhile.
    pub(super) bytes: u64,
    /// How much need not be sent any more, from 0 to 1.
    pub(super) fraction: f64,
}

#[allow(clippy::cast_precision_loss, reason = "for people")]
fn sent(stats: &JobStats) -> Option<Sent> {
    // Memory, and what is copied of disks.
    let (total, left) = (stats.data_total.filter(|it| *it > 0)?, stats.data_remaining?);
    let fraction = 1.0 - left as f64 / total as f64;
    Some(Sent { bytes: stats.data_processed?, fraction: fraction.clamp(0.0, 1.0) })
}
