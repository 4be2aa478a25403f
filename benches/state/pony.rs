//! The engine that the bench is about.

use crate::peer::{Peer, Reads, Scanner};
use pony_benches::workload::{Instance, Member, Placement, Vdisk, Vnic, Volume};
use pony_state::{FeedError, Read, SharedState, Snapshot, State, Subscription, Transaction};
use std::convert::Infallible;
use uuid::Uuid;

/// More than one event never waits here.
const EVENTS_MAX: usize = 16;

pub(crate) struct Pony {
    shared: SharedState,
    events: Subscription,
}

impl Pony {
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.shared.snapshot()
    }

    fn write(&self, change: impl FnOnce(&mut Transaction<'_>)) {
        let Ok(_) = self.shared.write(|tx| {
            change(tx);
            Ok::<_, Infallible>(())
        });
    }

    fn load(&mut self, change: impl FnOnce(&mut Transaction<'_>)) -> anyhow::Result<()> {
        let Ok(_) = self.shared.load(|tx| {
            change(tx);
            Ok::<_, Infallible>(())
        });
        match self.events.try_next() {
            Err(FeedError::Lagged) => Ok(()),
            other => anyhow::bail!("not told to start over after loading, but {other:?}"),
        }
    }
}

fn put_satellites(tx: &mut Transaction<'_>, member: &Member) {
    for index in 0..member.volumes.len() {
        tx.put(member.volumes[index].clone());
        tx.put(member.vdisks[index].clone());
        tx.put(member.vnics[index].clone());
    }
    tx.put(member.placement.clone());
}

pub(crate) fn mem(instance: &Instance) -> i64 {
    instance.desired.as_ref().map_or(0, |desired| desired.mem)
}

pub(crate) fn size_mib(volume: &Volume) -> i64 {
    volume.desired.as_ref().map_or(0, |desired| desired.size_mib)
}

impl Reads for Snapshot {
    fn get(&self, instance: Uuid) -> anyhow::Result<i64> {
        Ok(Read::get::<Instance>(self, &instance).map_or(0, mem))
    }

    fn of_tenant(&self, tenant: Uuid) -> anyhow::Result<i64> {
        Ok(self.table::<Instance>().find("tenant", tenant).map(mem).sum())
    }

    fn on_host(&self, host: Uuid) -> anyhow::Result<i64> {
        Ok(self.table::<Instance>().find("host", host).map(mem).sum())
    }

    fn volumes_of(&self, instance: Uuid) -> anyhow::Result<i64> {
        let volumes = self.joined::<Vdisk, Volume>("instance", instance);
        Ok(volumes.map(|(_, volume)| size_mib(volume)).sum())
    }

    fn scan(&self) -> anyhow::Result<i64> {
        Ok(self.table::<Instance>().iter().map(mem).sum())
    }
}

impl Peer for Pony {
    const NAME: &'static str = "pony";

    fn create() -> anyhow::Result<Self> {
        let tables = State::builder().table::<Instance>().table::<Volume>().table::<Vdisk>();
        let shared = SharedState::new(tables.table::<Vnic>().table::<Placement>().build()?);
        let (_, events) = shared.subscribe(EVENTS_MAX);
        Ok(Self { shared, events })
    }

    fn add_instances(&mut self, members: &[Member]) -> anyhow::Result<()> {
        self.load(|tx| {
            for member in members {
                tx.put(member.instance.clone());
            }
        })
    }

    fn add_satellites(&mut self, members: &[Member]) -> anyhow::Result<()> {
        self.load(|tx| members.iter().for_each(|member| put_satellites(tx, member)))
    }

    fn read(&self, ask: &mut dyn FnMut(&dyn Reads) -> anyhow::Result<i64>) -> anyhow::Result<i64> {
        ask(&self.snapshot())
    }

    fn update(&mut self, instance: Uuid, host: Uuid) -> anyhow::Result<i64> {
        let mut attempts = 0;
        self.write(|tx| {
            tx.update_current::<Instance>(&instance, |current| {
                current.host = host;
                attempts = current.attempts;
            });
        });
        // None, where the instance was there already.
        drop(self.events.try_next()?);
        Ok(attempts)
    }

    fn scanner(&self) -> Option<Scanner> {
        let shared = self.shared.clone();
        Some(Box::new(move || Reads::scan(&shared.snapshot())))
    }
}
