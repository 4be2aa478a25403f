//! Finished volumes: those of the host's own pools, and those of pools that several hosts reach.

use pony_core::host::VolumeFact;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// What pools hold that several simulated hosts reach. Clones are the same; each host that is told nothing else has one
/// of its own, and so nothing in common with others.
#[derive(Debug, Clone, Default)]
pub struct SimStore(Arc<Mutex<BTreeMap<Uuid, VolumeFact>>>);

impl SimStore {
    fn inside(&self) -> MutexGuard<'_, BTreeMap<Uuid, VolumeFact>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All finished volumes that a host reaches.
#[derive(Debug, Default)]
pub(super) struct Volumes {
    own: BTreeMap<Uuid, VolumeFact>,
    store: SimStore,
}

impl Volumes {
    pub(super) fn new(store: SimStore) -> Self {
        Self { own: BTreeMap::new(), store }
    }

    pub(super) fn get(&self, volume: Uuid) -> Option<VolumeFact> {
        self.own.get(&volume).cloned().or_else(|| self.store.inside().get(&volume).cloned())
    }

    pub(super) fn all(&self) -> Vec<VolumeFact> {
        self.own.values().cloned().chain(self.store.inside().values().cloned()).collect()
    }

    /// A volume is finished. `shared`: in a pool that others may reach.
    pub(super) fn put(&mut self, fact: VolumeFact, shared: bool) {
        if shared {
            self.store.inside().insert(fact.volume, fact);
        } else {
            self.own.insert(fact.volume, fact);
        }
    }

    /// Grows one, if it is there.
    pub(super) fn grow(&mut self, volume: Uuid, size_mib: i64) -> Option<VolumeFact> {
        let mut store = self.store.inside();
        let fact = self.own.get_mut(&volume).or_else(|| store.get_mut(&volume))?;
        fact.size_mib = fact.size_mib.max(size_mib);
        Some(fact.clone())
    }

    /// Removes one; says whether it was there.
    pub(super) fn remove(&mut self, volume: Uuid) -> bool {
        self.own.remove(&volume).is_some() || self.store.inside().remove(&volume).is_some()
    }
}
