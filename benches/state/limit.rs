//! What the same operations cost at least: a bare array of the same rows with posting lists beside it. No
//! transactions to roll back, no snapshots, no tables by name; only the event of a change, since that is part of the work.

use crate::peer::Peer;
use crate::pony::{mem, size_mib};
use hashbrown::HashMap;
use pony_benches::workload::{Cloud, Instance, InstanceCurrent, InstanceDesired, Vdisk, Volume};
use std::collections::VecDeque;
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
        let needed = self.places.len().max(row as usize + 1);
        self.places.resize(needed, 0);
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

#[derive(Default)]
pub(crate) struct Limit {
    instances: Vec<Instance>,
    volumes: Vec<Volume>,
    by_key: HashMap<Uuid, u32>,
    by_tenant: Postings,
    by_ordered_host: Postings,
    by_present_host: Postings,
    vdisks: Vec<Vdisk>,
    vdisks_of: Postings,
    volume_by_key: HashMap<Uuid, u32>,
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
        rows.iter().map(|row| mem(&self.instances[*row as usize])).sum()
    }
}

impl Peer for Limit {
    fn load(cloud: &Cloud) -> anyhow::Result<Self> {
        let mut limit = Self::default();
        for row in &cloud.instances {
            let number = limit.instances.len() as u32;
            limit.by_key.insert(row.uuid, number);
            limit.by_tenant.add(desired(row).tenant, number);
            limit.by_ordered_host.add(desired(row).host, number);
            limit.by_present_host.add(current(row).host, number);
            limit.instances.push(row.clone());
        }
        for row in &cloud.volumes {
            limit.volume_by_key.insert(row.uuid, limit.volumes.len() as u32);
            limit.volumes.push(row.clone());
        }
        for row in &cloud.vdisks {
            limit.vdisks_of.add(row.instance, limit.vdisks.len() as u32);
            limit.vdisks.push(row.clone());
        }
        Ok(limit)
    }

    fn get(&self, instance: Uuid) -> anyhow::Result<i64> {
        Ok(self.by_key.get(&instance).map_or(0, |row| mem(&self.instances[*row as usize])))
    }

    fn of_tenant(&self, tenant: Uuid) -> anyhow::Result<i64> {
        Ok(self.sum(self.by_tenant.of(tenant)))
    }

    fn on_host(&self, host: Uuid) -> anyhow::Result<i64> {
        let ordered = self.sum(self.by_ordered_host.of(host));
        let present = self.by_present_host.of(host).iter().map(|row| &self.instances[*row as usize]);
        Ok(ordered + present.filter(|row| desired(row).host != host).map(mem).sum::<i64>())
    }

    fn volumes_of(&self, instance: Uuid) -> anyhow::Result<i64> {
        let vdisks =
            self.vdisks_of.of(instance).iter().filter_map(|row| self.vdisks[*row as usize].desired.as_ref());
        let volumes = vdisks.filter_map(|desired| self.volume_by_key.get(&desired.volume));
        Ok(volumes.map(|row| size_mib(&self.volumes[*row as usize])).sum())
    }

    fn update(&mut self, instance: Uuid, host: Uuid) -> anyhow::Result<i64> {
        let Some(number) = self.by_key.get(&instance).copied() else { return Ok(0) };
        let row = &mut self.instances[number as usize];
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

    fn scan(&self) -> anyhow::Result<i64> {
        Ok(self.instances.iter().map(mem).sum())
    }
}
