//! The engine that the bench is about.

use crate::peer::Peer;
use pony_benches::workload::{Cloud, Instance, Vdisk, Volume};
use pony_state::{Read, Snapshot, State, Subscription};
use uuid::Uuid;

/// More than one event never waits here.
const EVENTS_MAX: usize = 16;

pub(crate) struct Pony {
    state: State,
    events: Subscription,
}

impl Pony {
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.state.snapshot()
    }
}

pub(crate) fn mem(instance: &Instance) -> i64 {
    instance.desired.as_ref().map_or(0, |desired| desired.mem)
}

pub(crate) fn size_mib(volume: &Volume) -> i64 {
    volume.desired.as_ref().map_or(0, |desired| desired.size_mib)
}

impl Peer for Pony {
    fn load(cloud: &Cloud) -> anyhow::Result<Self> {
        let mut state = State::builder().table::<Instance>().table::<Volume>().table::<Vdisk>().build()?;
        let mut tx = state.transaction();
        for row in &cloud.instances {
            tx.put(row.clone());
        }
        for row in &cloud.volumes {
            tx.put(row.clone());
        }
        for row in &cloud.vdisks {
            tx.put(row.clone());
        }
        tx.commit();
        let events = state.subscribe(EVENTS_MAX);
        Ok(Self { state, events })
    }

    fn get(&self, instance: Uuid) -> anyhow::Result<i64> {
        Ok(self.state.get::<Instance>(&instance).map_or(0, mem))
    }

    fn of_tenant(&self, tenant: Uuid) -> anyhow::Result<i64> {
        Ok(self.state.table::<Instance>().find("tenant", tenant).map(mem).sum())
    }

    fn on_host(&self, host: Uuid) -> anyhow::Result<i64> {
        Ok(self.state.table::<Instance>().find("host", host).map(mem).sum())
    }

    fn volumes_of(&self, instance: Uuid) -> anyhow::Result<i64> {
        let volumes = self.state.joined::<Vdisk, Volume>("instance", instance);
        Ok(volumes.map(|(_, volume)| size_mib(volume)).sum())
    }

    fn update(&mut self, instance: Uuid, host: Uuid) -> anyhow::Result<i64> {
        let mut tx = self.state.transaction();
        tx.update_current::<Instance>(&instance, |current| current.host = host);
        tx.commit();
        while self.events.try_next()?.is_some() {}
        Ok(self
            .state
            .get::<Instance>(&instance)
            .and_then(|row| row.current.as_ref())
            .map_or(0, |it| it.attempts))
    }

    fn scan(&self) -> anyhow::Result<i64> {
        Ok(self.state.table::<Instance>().iter().map(mem).sum())
    }
}
