//! A disk that several simulated hosts see, and that whoever orders divides among volumes.
//!
//! Hosts have mappings of their own, which go with a reboot; what volumes have stays. What must never happen is found: a part
//! that two volumes have, one that is mapped before anybody overwrote it, and one that is overwritten after a guest may have
//! written to it.

use crate::host::{DiskFact, DiskTransport, Extent, VolumeSpec, made_extents};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// Size of the disk, MiB.
const SIZE_MIB: i64 = 1 << 20;

/// A disk that makes up a pool of type `plvm`. Clones are the same disk.
#[derive(Debug, Clone)]
pub struct SimLun {
    pool: Uuid,
    inside: Arc<Mutex<Inside>>,
}

#[derive(Debug, Default)]
struct Inside {
    /// Extents that do not show any more what lay there before.
    overwritten: BTreeSet<Uuid>,
    /// Extents that guests may have written to.
    written: BTreeSet<Uuid>,
    /// What hosts, by their numbers, have mapped of volumes.
    mapped: BTreeMap<(u64, Uuid), Vec<Extent>>,
}

impl SimLun {
    /// `disk.id`.
    pub const DISK: &'static str = "naa.51";

    /// A disk for a pool.
    #[must_use]
    pub fn new(pool: Uuid) -> Self {
        Self { pool, inside: Arc::default() }
    }

    /// `storage_pool.uuid`.
    #[must_use]
    pub fn pool(&self) -> Uuid {
        self.pool
    }

    /// The disk as a host sees it.
    pub(super) fn fact() -> DiskFact {
        DiskFact {
            id: Self::DISK.to_owned(),
            transport: DiskTransport::Fc,
            link_name: "sda".to_owned(),
            size_mib: SIZE_MIB,
            model: None,
            serial: None,
            fault: None,
            errors: None,
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A host made a volume, or more of it, or mapped what it has. Says what must not happen.
    pub(super) fn make(&self, host: u64, spec: &VolumeSpec) -> Vec<String> {
        let (mut inside, volume) = (self.inside(), spec.volume);
        let mut wrong = inside.shared(spec);
        for extent in &spec.extents {
            let (id, is_new) = (extent.extent, inside.overwritten.insert(extent.extent));
            if extent.made && is_new {
                wrong
                    .push(format!("extent {id} of volume {volume} is mapped, and nobody has overwritten it"));
            }
            let is_mapped = || inside.mapped.get(&(host, volume)).is_some_and(|it| it.contains(extent));
            if !extent.made && inside.written.contains(&id) && !is_mapped() {
                wrong.push(format!("extent {id} of volume {volume} is overwritten after a guest had it"));
            }
        }
        let made = made_extents(&spec.extents);
        let maps = if made.is_empty() { &spec.extents } else { made };
        let mapped = inside.mapped.entry((host, volume)).or_default();
        if mapped.len() < maps.len() {
            *mapped = maps.to_vec();
        }
        wrong
    }

    /// A guest of a host has the volume open.
    pub(super) fn write(&self, host: u64, volume: Uuid) {
        let mut inside = self.inside();
        let extents = inside.mapped.get(&(host, volume)).into_iter().flatten();
        let extents: Vec<Uuid> = extents.map(|it| it.extent).collect();
        inside.written.extend(extents);
    }

    /// A host has no mapping of the volume any more.
    pub(super) fn unmap(&self, host: u64, volume: Uuid) {
        self.inside().mapped.remove(&(host, volume));
    }

    /// A host starts anew.
    pub(super) fn reboot(&self, host: u64) {
        self.inside().mapped.retain(|(at, _), _| *at != host);
    }
}

impl Inside {
    /// What other volumes, as far as hosts have them mapped, share with this one.
    fn shared(&self, spec: &VolumeSpec) -> Vec<String> {
        let others = self.mapped.iter().filter(|((_, volume), _)| *volume != spec.volume);
        let shares = |extents: &[Extent]| {
            let overlaps = |one: &Extent, other: &Extent| {
                let behind = |a: &Extent, b: &Extent| a.start_mib >= b.start_mib + b.len_mib;
                one.disk == other.disk && !behind(one, other) && !behind(other, one)
            };
            extents.iter().any(|one| spec.extents.iter().any(|other| overlaps(one, other)))
        };
        let shared = others.filter(|(_, extents)| shares(extents));
        shared
            .map(|((host, volume), _)| {
                format!("volume {} is made of what host {host} has mapped of volume {volume}", spec.volume)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{PlvmPool, PoolBackend, PoolSpec, VolumeFormat};

    fn volume(n: u128, start_mib: i64, made: bool) -> VolumeSpec {
        let extent =
            Extent { extent: Uuid::from_u128(100 + n), disk: "a".to_owned(), start_mib, len_mib: 10, made };
        let backend = PoolBackend::Plvm(PlvmPool { disks: vec!["a".to_owned()] });
        VolumeSpec {
            volume: Uuid::from_u128(n),
            pool: PoolSpec { pool: Uuid::nil(), backend },
            format: VolumeFormat::Raw,
            size_mib: Some(10),
            extents: vec![extent],
        }
    }

    #[test]
    fn what_must_not_happen_is_found() {
        let lun = SimLun::new(Uuid::nil());
        assert!(lun.make(1, &volume(1, 1, false)).is_empty());
        assert!(lun.make(1, &volume(2, 11, false)).is_empty());
        assert_eq!(lun.make(2, &volume(3, 5, false)).len(), 2, "it lies on both");
        lun.write(1, Uuid::from_u128(1));
        assert!(lun.make(2, &volume(1, 1, true))[0].contains("volume 0"), "the third is mapped still");
        lun.unmap(2, Uuid::from_u128(3));
        assert!(lun.make(2, &volume(1, 1, true)).is_empty());
        lun.reboot(1);
        assert!(lun.make(1, &volume(1, 1, false))[0].contains("after a guest had it"));
        assert!(lun.make(1, &volume(4, 51, true))[0].contains("nobody has overwritten it"));
    }
}
