//! What the simulated world uses: its memory is real to it; nothing else is counted there, and is 0.

use super::world::World;
use crate::{DiskUsage, GuestUsage, HostUsage, MemoryUsage, NicUsage};

const MIB: u64 = 1 << 20;

impl World {
    pub(super) fn usage(&self) -> HostUsage {
        let bytes = |mib: i64| u64::try_from(mib).unwrap_or_default().saturating_mul(MIB);
        let taken: u64 = self.guest_usage().iter().map(|guest| guest.memory_bytes).sum();
        let total = bytes(self.options.mem_mib);
        let disks = self.options.disks.iter();
        let nics = self.options.nics.iter();
        HostUsage {
            memory: MemoryUsage { total, available: total.saturating_sub(taken) },
            disks: disks.map(|it| DiskUsage { name: it.link_name.clone(), ..DiskUsage::default() }).collect(),
            nics: nics.map(|it| NicUsage { name: it.link_name.clone(), ..NicUsage::default() }).collect(),
            ..HostUsage::default()
        }
    }

    pub(super) fn guest_usage(&self) -> Vec<GuestUsage> {
        let up = self.guests.iter().filter(|(_, guest)| guest.is_active());
        up.filter_map(|(instance, guest)| {
            let live = guest.live.as_ref()?;
            let memory_bytes = u64::try_from(live.mem_mib).unwrap_or_default().saturating_mul(MIB);
            Some(GuestUsage {
                instance: *instance,
                vcpus: live.vcpu.into(),
                memory_bytes,
                resident_bytes: memory_bytes,
                ..GuestUsage::default()
            })
        })
        .collect()
    }
}
