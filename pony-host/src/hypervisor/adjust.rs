//! Changes of a guest that runs: disks and cards are plugged and unplugged, CPUs and memory given and taken.
//!
//! What the guest has is read from the domain each time. Its metadata name a device before it is plugged and until
//! it is gone, so that at no moment a disk is in use which nobody knows of.

use super::domain::{Maker, doing};
use super::error::{from_virt, transient};
use super::ffi;
use super::live::Live;
use super::metadata::{OWNER_KEY, OWNER_NS, OwnerXml};
use super::xml::{CPU_PERIOD_US, alias, other_seed, plugged_disk, plugged_nic, target};
use super::{error::order, facts};
use crate::Result;
use pony_core::host::{DiskSpec, InstanceSpec, NicSpec};
use std::collections::BTreeSet;
use uuid::Uuid;
use virt::connect::Connect;
use virt::domain::{Domain, SchedBandwidth, SchedulerInfo};
use virt::error::ErrorNumber;
use virt_sys as sys;

const LIVE: u32 = sys::VIR_DOMAIN_AFFECT_LIVE;

/// What the guest has, and what it is to have.
struct Change<'a> {
    domain: Domain,
    live: Live,
    has: InstanceSpec,
    quota: bool,
    want: &'a InstanceSpec,
}

impl Maker {
    /// Does what can be done now. Answers what the guest has been asked for and has not done yet; `asked` are those
    /// that it was asked for before.
    pub(super) fn adjust(
        &self,
        conn: &Connect,
        want: &InstanceSpec,
        asked: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>> {
        let change = self.look(conn, want)?;
        let mut waiting = BTreeSet::new();
        change.unplug(asked, &mut waiting)?;
        self.tell_secrets(conn, change.new_disks())?;
        let said = self.claim(&change)?;
        change.plug(&said)?;
        self.change_disc(&change)?;
        change.set_cpus(asked, &mut waiting)?;
        change.set_memory(asked, &mut waiting)?;
        Ok(waiting)
    }

    fn look<'a>(&self, conn: &Connect, want: &'a InstanceSpec) -> Result<Change<'a>> {
        let domain = self.running(conn, want.instance, "change")?;
        let failed = |e: &virt::error::Error| from_virt(&doing("look at", want.instance), e);
        let owner = facts::live_owner(&domain).map_err(|e| failed(&e))?;
        let live = domain.get_xml_desc(0).map_err(|e| failed(&e))?;
        let (Some(owner), Some(live)) = (owner, Live::parse(&live)) else {
            return Err(transient(format!(
                "instance {} runs, and what it has is not readable",
                want.instance
            )));
        };
        let Some(said) = owner.spec() else {
            return Err(transient(format!("instance {} was started by a newer agent", want.instance)));
        };
        Ok(Change { has: live.spec(said), quota: owner.quota, domain, live, want })
    }

    /// Puts another disc into the drive that tells the guest about itself, whether it has locked it or not: it reads the
    /// disc when it starts, and at once from then on.
    fn change_disc(&self, change: &Change<'_>) -> Result<()> {
        let (Some(old), Some(new)) = (&change.has.seed, &change.want.seed) else { return Ok(()) };
        if old != new {
            self.make_seed(change.want)?;
            let disc = other_seed(&change.has, &self.seeds.place(change.want.instance, new))?;
            let forced = LIVE | sys::VIR_DOMAIN_DEVICE_MODIFY_FORCE;
            let done = change.domain.update_device_flags(&disc, forced);
            done.map_err(|e| change.fail("change the CD-ROM of", &e))?;
        }
        let next =
            facts::owner(&change.domain).ok().flatten().and_then(|it| it.spec()).and_then(|it| it.seed);
        let kept: Vec<_> = [Some(new), next.as_ref()].into_iter().flatten().collect();
        self.seeds.keep(change.want.instance, &kept);
        Ok(())
    }

    /// Says in the domain's metadata what it has and is about to get.
    fn claim(&self, change: &Change<'_>) -> Result<InstanceSpec> {
        let said = change.said();
        let doing = doing("change", said.instance);
        let owner = OwnerXml::new(self.recipe.host, self.recipe.accel, change.quota, &said)
            .map_err(|e| order(format!("the path of a disk is not UTF-8: {e}")))?;
        let text = owner.bare().map_err(|e| order(format!("cannot {doing}: {e}")))?;
        let kind = sys::VIR_DOMAIN_METADATA_ELEMENT as i32;
        change
            .domain
            .set_metadata(kind, Some(&text), Some(OWNER_KEY), Some(OWNER_NS), LIVE)
            .map_err(|e| from_virt(&doing, &e))?;
        Ok(said)
    }

    /// The emulator grows what it has open, file and all, and tells the guest.
    pub(super) fn grow_disk(
        &self,
        conn: &Connect,
        instance: Uuid,
        disk: &DiskSpec,
        size_mib: i64,
    ) -> Result<()> {
        let domain = self.running(conn, instance, "grow a disk of")?;
        let Ok(size_mib) = u64::try_from(size_mib) else {
            return Err(order(format!("a disk of instance {instance} cannot have {size_mib} MiB")));
        };
        domain
            .block_resize(&target(disk), size_mib << 20, sys::VIR_DOMAIN_BLOCK_RESIZE_BYTES)
            .map(drop)
            .map_err(|e| from_virt(&doing("grow a disk of", instance), &e))
    }
}

impl Change<'_> {
    fn fail(&self, what: &str, error: &virt::error::Error) -> pony_core::host::DriverError {
        from_virt(&format!("{what} instance {}", self.want.instance), error)
    }

    /// Asks the guest to let go of what it is not to have.
    fn unplug(&self, asked: &BTreeSet<String>, waiting: &mut BTreeSet<String>) -> Result<()> {
        let disks = self.has.disks.iter().filter(|it| !self.want.disks.contains(it));
        let nics = self.has.nics.iter().filter(|it| !self.want.nics.contains(it));
        let disks = disks.map(|it| (it.vdisk, format!("let go of disk {} ({})", it.index, it.vdisk)));
        for (row, what) in
            disks.chain(nics.map(|it| (it.vnic, format!("let go of card {} ({})", it.index, it.vnic))))
        {
            if !asked.contains(&what)
                && let Err(error) = ffi::unplug(&self.domain, &alias(row))
                && !is_under_way(&error)
            {
                return Err(self.fail("unplug a device of", &error));
            }
            waiting.insert(what);
        }
        Ok(())
    }

    /// Disks and cards that are to be there, are not, and are not in the way of themselves.
    fn new_disks(&self) -> impl Iterator<Item = &DiskSpec> {
        self.want.disks.iter().filter(|it| !self.has.disks.iter().any(|has| has.vdisk == it.vdisk))
    }

    fn new_nics(&self) -> impl Iterator<Item = &NicSpec> {
        self.want.nics.iter().filter(|it| !self.has.nics.iter().any(|has| has.vnic == it.vnic))
    }

    /// What it has and is about to get.
    fn said(&self) -> InstanceSpec {
        let mut disks: Vec<_> = self.has.disks.iter().chain(self.new_disks()).cloned().collect();
        disks.sort_by_key(|disk| disk.index);
        let mut nics: Vec<_> = self.has.nics.iter().chain(self.new_nics()).cloned().collect();
        nics.sort_by_key(|nic| nic.index);
        InstanceSpec { disks, nics, ..self.want.clone() }
    }

    fn plug(&self, said: &InstanceSpec) -> Result<()> {
        debug_assert_eq!(said.instance, self.want.instance);
        let disks = self.new_disks().map(plugged_disk);
        for device in disks.chain(self.new_nics().map(plugged_nic)) {
            self.domain
                .attach_device_flags(&device?, LIVE)
                .map_err(|e| self.fail("plug a device into", &e))?;
        }
        Ok(())
    }

    fn set_cpus(&self, asked: &BTreeSet<String>, waiting: &mut BTreeSet<String>) -> Result<()> {
        let what = format!("make do with {} CPUs", self.want.vcpu);
        match self.live.vcpu() == self.want.vcpu {
            true => {}
            false if asked.contains(&what) => drop(waiting.insert(what)),
            false => match self.domain.set_vcpus_flags(self.want.vcpu, LIVE) {
                Ok(_) => {}
                // libvirt waits a few seconds only, and the guest may take longer.
                Err(error) if error.code() == ErrorNumber::OperationTimeout => drop(waiting.insert(what)),
                Err(error) => return Err(self.fail("change the CPUs of", &error)),
            },
        }
        self.set_share()
    }

    fn set_share(&self) -> Result<()> {
        if self.quota && self.has.cpu_percent != self.want.cpu_percent {
            let quota =
                i64::from(self.want.cpu_percent) * i64::try_from(CPU_PERIOD_US).unwrap_or(i64::MAX) / 100;
            let global_bw = SchedBandwidth { period: Some(CPU_PERIOD_US), quota: Some(quota) };
            let share = SchedulerInfo { global_bw, ..SchedulerInfo::default() };
            self.domain
                .set_scheduler_parameters_flags(&share, LIVE)
                .map_err(|e| self.fail("change the CPU share of", &e))?;
        }
        Ok(())
    }

    fn set_memory(&self, asked: &BTreeSet<String>, waiting: &mut BTreeSet<String>) -> Result<()> {
        let (has, want) = (self.live.mem_mib(), self.want.mem_mib);
        if has == want {
            return Ok(());
        }
        let what = format!("make do with {want} MiB of memory");
        if !asked.contains(&what) {
            let kib = u64::try_from(want).unwrap_or(0) * 1024;
            self.domain.set_memory_flags(kib, LIVE).map_err(|e| self.fail("change the memory of", &e))?;
        }
        waiting.insert(what);
        Ok(())
    }
}

/// The guest was asked before, and thinks about it.
fn is_under_way(error: &virt::error::Error) -> bool {
    error.message().contains("in the process of unplug")
}
