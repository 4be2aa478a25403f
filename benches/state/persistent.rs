//! Persistent maps (`imbl`), as somebody would build such a store of them: rows behind an `Arc` by key, and for each index a
//! map from values to ordered sets of keys. A clone is a snapshot.

use crate::peer::{Peer, Reads, Scanner};
use crate::pony::{mem, size_mib};
use imbl::{HashMap, OrdSet};
use pony_benches::workload::{Instance, Member, Placement, Vdisk, Vnic, Volume};
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use uuid::Uuid;

type Postings<K> = HashMap<Uuid, OrdSet<K>>;

fn post<K: Hash + Eq + Ord + Clone>(index: &mut Postings<K>, value: Uuid, key: K) {
    index.entry(value).or_default().insert(key);
}

fn unpost<K: Hash + Eq + Ord + Clone>(index: &mut Postings<K>, value: Uuid, key: &K) {
    if let Some(keys) = index.get_mut(&value) {
        keys.remove(key);
    }
}

#[derive(Clone, Default)]
struct Tables {
    instances: HashMap<Uuid, Arc<Instance>>,
    by_tenant: Postings<Uuid>,
    by_host: Postings<Uuid>,
    volumes: HashMap<Uuid, Arc<Volume>>,
    volumes_by_pool: Postings<Uuid>,
    vdisks: HashMap<Uuid, Arc<Vdisk>>,
    vdisks_by_instance: Postings<Uuid>,
    vdisks_by_volume: Postings<Uuid>,
    vnics: HashMap<Uuid, Arc<Vnic>>,
    vnics_by_instance: Postings<Uuid>,
    vnics_by_switch: Postings<Uuid>,
    placements: HashMap<(Uuid, Uuid), Arc<Placement>>,
    placements_by_host: Postings<(Uuid, Uuid)>,
    placements_by_instance: Postings<(Uuid, Uuid)>,
}

impl Tables {
    fn add_instance(&mut self, member: &Member) {
        let (Some(desired), Some(current)) = (&member.instance.desired, &member.instance.current) else {
            return;
        };
        let uuid = member.instance.uuid;
        self.instances.insert(uuid, Arc::new(member.instance.clone()));
        post(&mut self.by_tenant, desired.tenant, uuid);
        post(&mut self.by_host, desired.host, uuid);
        post(&mut self.by_host, current.host, uuid);
    }

    fn add_satellites(&mut self, member: &Member) {
        for row in &member.volumes {
            let Some(part) = &row.desired else { continue };
            self.volumes.insert(row.uuid, Arc::new(row.clone()));
            post(&mut self.volumes_by_pool, part.storage_pool, row.uuid);
        }
        for row in &member.vdisks {
            let Some(part) = &row.desired else { continue };
            self.vdisks.insert(row.uuid, Arc::new(row.clone()));
            post(&mut self.vdisks_by_instance, part.instance, row.uuid);
            post(&mut self.vdisks_by_volume, part.volume, row.uuid);
        }
        for row in &member.vnics {
            let Some(part) = &row.desired else { continue };
            self.vnics.insert(row.uuid, Arc::new(row.clone()));
            post(&mut self.vnics_by_instance, part.instance, row.uuid);
            post(&mut self.vnics_by_switch, part.switch, row.uuid);
        }
        let key = (member.placement.host, member.placement.instance);
        self.placements.insert(key, Arc::new(member.placement.clone()));
        post(&mut self.placements_by_host, key.0, key);
        post(&mut self.placements_by_instance, key.1, key);
    }

    fn sum(&self, keys: Option<&OrdSet<Uuid>>) -> i64 {
        let keys = keys.into_iter().flat_map(OrdSet::iter);
        keys.filter_map(|key| self.instances.get(key)).map(|row| mem(row)).sum()
    }
}

impl Reads for Tables {
    fn get(&self, instance: Uuid) -> anyhow::Result<i64> {
        Ok(self.instances.get(&instance).map_or(0, |row| mem(row)))
    }

    fn of_tenant(&self, tenant: Uuid) -> anyhow::Result<i64> {
        Ok(self.sum(self.by_tenant.get(&tenant)))
    }

    fn on_host(&self, host: Uuid) -> anyhow::Result<i64> {
        Ok(self.sum(self.by_host.get(&host)))
    }

    fn volumes_of(&self, instance: Uuid) -> anyhow::Result<i64> {
        let keys = self.vdisks_by_instance.get(&instance).into_iter().flat_map(OrdSet::iter);
        let vdisks = keys.filter_map(|key| self.vdisks.get(key)?.desired.as_ref());
        Ok(vdisks.filter_map(|desired| self.volumes.get(&desired.volume)).map(|row| size_mib(row)).sum())
    }

    fn scan(&self) -> anyhow::Result<i64> {
        Ok(self.instances.values().map(|row| mem(row)).sum())
    }
}

pub(crate) struct Persistent {
    tables: Tables,
    /// What readers see.
    root: Arc<Mutex<Tables>>,
}

impl Persistent {
    fn publish(&self) {
        *self.root.lock().unwrap_or_else(PoisonError::into_inner) = self.tables.clone();
    }
}

impl Peer for Persistent {
    const NAME: &'static str = "imbl";

    fn create() -> anyhow::Result<Self> {
        Ok(Self { tables: Tables::default(), root: Arc::default() })
    }

    fn add_instances(&mut self, members: &[Member]) -> anyhow::Result<()> {
        members.iter().for_each(|member| self.tables.add_instance(member));
        self.publish();
        Ok(())
    }

    fn add_satellites(&mut self, members: &[Member]) -> anyhow::Result<()> {
        members.iter().for_each(|member| self.tables.add_satellites(member));
        self.publish();
        Ok(())
    }

    fn read(&self, ask: &mut dyn FnMut(&dyn Reads) -> anyhow::Result<i64>) -> anyhow::Result<i64> {
        ask(&self.tables)
    }

    fn update(&mut self, instance: Uuid, host: Uuid) -> anyhow::Result<i64> {
        let Some(row) = self.tables.instances.get(&instance) else { return Ok(0) };
        let mut moved = Instance::clone(row);
        let ordered = moved.desired.as_ref().map(|desired| desired.host);
        let Some(current) = &mut moved.current else { return Ok(0) };
        let (left, attempts) = (std::mem::replace(&mut current.host, host), current.attempts);
        self.tables.instances.insert(instance, Arc::new(moved));
        // The other part may stand for the same value.
        if ordered != Some(left) {
            unpost(&mut self.tables.by_host, left, &instance);
        }
        post(&mut self.tables.by_host, host, instance);
        self.publish();
        Ok(attempts)
    }

    fn scanner(&self) -> Option<Scanner> {
        let root = Arc::clone(&self.root);
        Some(Box::new(move || {
            let tables = root.lock().unwrap_or_else(PoisonError::into_inner).clone();
            tables.scan()
        }))
    }
}
