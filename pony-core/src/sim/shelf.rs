//! What several simulated hosts reach: one pool that is nobody's own.
//!
//! Each host works on a copy of it, which is brought up to date before anything happens there, and put back afterwards. So
//! that one host does not see another's guests and fills, but what must never happen among them is found.

use crate::host::{Place, VolumeFact};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// A storage pool that several simulated hosts share. Clones are the same pool.
#[derive(Debug, Clone)]
pub struct SimShelf {
    pool: Uuid,
    inside: Arc<Mutex<Inside>>,
}

#[derive(Debug, Default)]
pub(super) struct Inside {
    /// Finished volumes.
    pub(super) volumes: BTreeMap<Uuid, VolumeFact>,
    /// Volumes with traces of a fill that did not finish.
    pub(super) unfinished: BTreeSet<Uuid>,
    /// Every volume that was ever begun in it.
    pub(super) begun: BTreeSet<Uuid>,
    /// What hosts do with it, by their seeds.
    pub(super) hosts: BTreeMap<u64, Doings>,
    /// How often any of it changed: who has seen the last change is up to date.
    pub(super) changes: u64,
}

/// What one host does with the pool.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Doings {
    /// What its guests may write to.
    pub(super) open: BTreeSet<Place>,
    /// Volumes that it makes.
    pub(super) fills: BTreeSet<Uuid>,
}

impl Inside {
    /// What a host made of it, and does with it.
    pub(super) fn put(
        &mut self,
        host: u64,
        volumes: BTreeMap<Uuid, VolumeFact>,
        unfinished: BTreeSet<Uuid>,
        doings: Doings,
    ) {
        let is_same = self.volumes == volumes && self.unfinished == unfinished;
        if !is_same || self.hosts.get(&host) != Some(&doings) {
            (self.volumes, self.unfinished) = (volumes, unfinished);
            self.hosts.insert(host, doings);
            self.changes += 1;
        }
    }
}

impl SimShelf {
    /// An empty pool.
    #[must_use]
    pub fn new(pool: Uuid) -> Self {
        Self { pool, inside: Arc::default() }
    }

    /// `storage_pool.uuid`.
    #[must_use]
    pub fn pool(&self) -> Uuid {
        self.pool
    }

    pub(super) fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
