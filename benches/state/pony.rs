//! The engine that the bench is about.

use crate::peer::{Peer, Reads, Scanner};
use pony_benches::workload::{Instance, Member, Placement, Vdisk, Vnic, Volume};
use pony_state::{
    FeedError, Finder, Joiner, Read, SharedState, Snapshot, State, Subscription, Table, Transaction,
};
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
        // Rows of a bulk are listed when somebody looks: that is a part of loading them.
        let listed = self.snapshot().view().tables().filter_map(|table| table.ordered().next()).count();
        anyhow::ensure!(listed > 0, "nothing was loaded");
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

/// One snapshot, and its tables and look-ups prepared.
struct View<'a> {
    instances: Table<'a, Instance>,
    by_tenant: Finder<'a, Instance>,
    by_host: Finder<'a, Instance>,
    volumes: Joiner<'a, Vdisk, Volume>,
}

impl<'a> View<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        let instances = snapshot.table::<Instance>();
        let (by_tenant, by_host) = (instances.finder("tenant"), instances.finder("host"));
        Self { instances, by_tenant, by_host, volumes: snapshot.joiner("instance") }
    }
}

impl Reads for View<'_> {
    fn get(&self, instance: Uuid) -> anyhow::Result<i64> {
        Ok(self.instances.get(&instance).map_or(0, mem))
    }

    fn of_tenant(&self, tenant: Uuid) -> anyhow::Result<i64> {
        Ok(self.by_tenant.find(tenant).map(mem).sum())
    }

    fn on_host(&self, host: Uuid) -> anyhow::Result<i64> {
        Ok(self.by_host.find(host).map(mem).sum())
    }

    fn volumes_of(&self, instance: Uuid) -> anyhow::Result<i64> {
        Ok(self.volumes.of(instance).map(|(_, volume)| size_mib(volume)).sum())
    }

    fn scan(&self) -> anyhow::Result<i64> {
        Ok(self.instances.iter().map(mem).sum())
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
        ask(&View::of(&self.snapshot()))
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
        Some(Box::new(move || View::of(&shared.snapshot()).scan()))
    }
}
