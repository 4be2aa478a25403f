//! What the same operations cost at least: bare arrays of the same rows with posting lists beside them. No
//! transactions to roll back, no snapshots, no tables by name, no order of keys; only the event of a change, since that is
//! part of the work.

use crate::peer::{Peer, Reads};
use crate::pony::{mem, size_mib};
use hashbrown::HashMap;
use pony_benches::workload::{
    Instance, InstanceCurrent, InstanceDesired, Member, Placement, Vdisk, Vnic, Volume,
};
use std::collections::VecDeque;
use std::hash::Hash;
use uuid::Uuid;

/// Row numbers by a column's value, and where in its list each row's number stands, to remove it at once.
#[derive(Default)]
struct Postings {
    lists: HashMap<Uuid, Vec<u32>>,
    places: Vec<u32>,
}

impl Postings {
    fn add(&mut self, value: Uuid, row: u32) {
        let list = self.lists.entry(value).or_default();
        if self.places.len() <= row as usize {
            self.places.resize(row as usize + 1, 0);
        }
        self.places[row as usize] = list.len() as u32;
        list.push(row);
    }

    fn remove(&mut self, value: Uuid, row: u32) {
        let Some(list) = self.lists.get_mut(&value) else { return };
        let place = self.places[row as usize] as usize;
        list.swap_remove(place);
        if let Some(moved) = list.get(place) {
            self.places[*moved as usize] = place as u32;
        }
    }

    fn of(&self, value: Uuid) -> &[u32] {
        self.lists.get(&value).map_or(&[], Vec::as_slice)
    }
}

/// Rows by key.
struct Rows<K, R> {
    rows: Vec<R>,
    by_key: HashMap<K, u32>,
}

impl<K, R> Default for Rows<K, R> {
    fn default() -> Self {
        Self { rows: Vec::new(), by_key: HashMap::new() }
    }
}

impl<K: Hash + Eq, R> Rows<K, R> {
    /// Adds a row and says its number.
    fn add(&mut self, key: K, row: R) -> u32 {
        let number = self.rows.len() as u32;
        self.rows.push(row);
        self.by_key.insert(key, number);
        number
    }

    fn number(&self, key: &K) -> Option<u32> {
        self.by_key.get(key).copied()
    }

    fn get(&self, key: &K) -> Option<&R> {
        self.number(key).map(|number| &self.rows[number as usize])
    }
}

#[derive(Default)]
pub(crate) struct Limit {
    instances: Rows<Uuid, Instance>,
    by_tenant: Postings,
    by_ordered_host: Postings,
    by_present_host: Postings,
    volumes: Rows<Uuid, Volume>,
    volumes_by_pool: Postings,
    vdisks: Rows<Uuid, Vdisk>,
    vdisks_by_instance: Postings,
    vdisks_by_volume: Postings,
    vnics: Rows<Uuid, Vnic>,
    vnics_by_instance: Postings,
    vnics_by_switch: Postings,
    placements: Rows<(Uuid, Uuid), Placement>,
    placements_by_host: Postings,
    placements_by_instance: Postings,
    events: VecDeque<(Instance, Instance)>,
}

fn desired(row: &Instance) -> &InstanceDesired {
    match &row.desired {
        Some(desired) => desired,
        None => unreachable!("the workload has no instance without an order"),
    }
}

fn current(row: &Instance) -> &InstanceCurrent {
    match &row.current {
        Some(current) => current,
        None => unreachable!("the workload has no instance that is not reported"),
    }
}

impl Limit {
    fn sum(&self, rows: &[u32]) -> i64 {
        rows.iter().map(|row| mem(&self.instances.rows[*row as usize])).sum()
    }

    fn add_instance(&mut self, row: &Instance) {
        let number = self.instances.add(row.uuid, row.clone());
        self.by_tenant.add(desired(row).tenant, number);
        self.by_ordered_host.add(desired(row).host, number);
        self.by_present_host.add(current(row).host, number);
    }

    fn add_satellites_of(&mut self, member: &Member) {
        for row in &member.volumes {
            let number = self.volumes.add(row.uuid, row.clone());
            let Some(part) = &row.desired else { continue };
            self.volumes_by_pool.add(part.storage_pool, number);
        }
        for row in &member.vdisks {
            let number = self.vdisks.add(row.uuid, row.clone());
            let Some(part) = &row.desired else { continue };
            self.vdisks_by_instance.add(part.instance, number);
            self.vdisks_by_volume.add(part.volume, number);
        }
        for row in &member.vnics {
            let number = self.vnics.add(row.uuid, row.clone());
            let Some(part) = &row.desired else { continue };
            self.vnics_by_instance.add(part.instance, number);
            self.vnics_by_switch.add(part.switch, number);
        }
        let row = &member.placement;
        let number = self.placements.add((row.host, row.instance), row.clone());
        self.placements_by_host.add(row.host, number);
        self.placements_by_instance.add(row.instance, number);
    }
}

impl Reads for Limit {
    fn get(&self, instance: Uuid) -> anyhow::Result<i64> {
        Ok(self.instances.get(&instance).map_or(0, mem))
    }

    fn of_tenant(&self, tenant: Uuid) -> anyhow::Result<i64> {
        Ok(self.sum(self.by_tenant.of(tenant)))
    }

    fn on_host(&self, host: Uuid) -> anyhow::Result<i64> {
        let ordered = self.sum(self.by_ordered_host.of(host));
        let present = self.by_present_host.of(host).iter().map(|row| &self.instances.rows[*row as usize]);
        Ok(ordered + present.filter(|row| desired(row).host != host).map(mem).sum::<i64>())
    }

    fn volumes_of(&self, instance: Uuid) -> anyhow::Result<i64> {
        let rows = self.vdisks_by_instance.of(instance).iter();
        let vdisks = rows.filter_map(|row| self.vdisks.rows[*row as usize].desired.as_ref());
        Ok(vdisks.filter_map(|desired| self.volumes.get(&desired.volume)).map(size_mib).sum())
    }

    fn scan(&self) -> anyhow::Result<i64> {
        Ok(self.instances.rows.iter().map(mem).sum())
    }
}

impl Peer for Limit {
    const NAME: &'static str = "limit";

    fn create() -> anyhow::Result<Self> {
        Ok(Self::default())
    }

    fn add_instances(&mut self, members: &[Member]) -> anyhow::Result<()> {
        members.iter().for_each(|member| self.add_instance(&member.instance));
        Ok(())
    }

    fn add_satellites(&mut self, members: &[Member]) -> anyhow::Result<()> {
        members.iter().for_each(|member| self.add_satellites_of(member));
        Ok(())
    }

    fn read(&self, ask: &mut dyn FnMut(&dyn Reads) -> anyhow::Result<i64>) -> anyhow::Result<i64> {
        ask(self)
    }

    fn update(&mut self, instance: Uuid, host: Uuid) -> anyhow::Result<i64> {
        let Some(number) = self.instances.number(&instance) else { return Ok(0) };
        let row = &mut self.instances.rows[number as usize];
        let before = row.clone();
        let Some(part) = &mut row.current else { return Ok(0) };
        let left = std::mem::replace(&mut part.host, host);
        let attempts = part.attempts;
        self.events.push_back((before, row.clone()));
        self.by_present_host.remove(left, number);
        self.by_present_host.add(host, number);
        while self.events.pop_front().is_some() {}
        Ok(attempts)
    }
}
