//! What every peer can do: the operations of the bench, each giving a number that all peers must agree in.

use pony_benches::workload::{Cloud, Member};
use std::time::Instant;
use uuid::Uuid;

/// Questions about the rows.
pub(crate) trait Reads {
    /// Memory of an instance, by its key.
    fn get(&self, instance: Uuid) -> anyhow::Result<i64>;

    /// Memory of all instances of a tenant.
    fn of_tenant(&self, tenant: Uuid) -> anyhow::Result<i64>;

    /// Memory of all instances that should be or are on a host.
    fn on_host(&self, host: Uuid) -> anyhow::Result<i64>;

    /// Size of all volumes of an instance, through the join table.
    fn volumes_of(&self, instance: Uuid) -> anyhow::Result<i64>;

    /// Memory of all instances.
    fn scan(&self) -> anyhow::Result<i64>;
}

/// Scans what the peer holds at the time of each call, on any thread.
pub(crate) type Scanner = Box<dyn FnMut() -> anyhow::Result<i64> + Send>;

/// A store in this process.
pub(crate) trait Peer: Sized {
    const NAME: &'static str;

    /// Holds nothing yet.
    fn create() -> anyhow::Result<Self>;

    /// Adds the instances, in one transaction where the peer has those.
    fn add_instances(&mut self, members: &[Member]) -> anyhow::Result<()>;

    /// Adds what belongs to them, in one transaction where the peer has those.
    fn add_satellites(&mut self, members: &[Member]) -> anyhow::Result<()>;

    /// Adds everything.
    fn add(&mut self, members: &[Member]) -> anyhow::Result<()> {
        self.add_instances(members)?;
        self.add_satellites(members)
    }

    /// Asks, on one consistent view where the peer has those.
    fn read(&self, ask: &mut dyn FnMut(&dyn Reads) -> anyhow::Result<i64>) -> anyhow::Result<i64>;

    /// Reports an instance to be on a host: one row, one index, and one event where the peer has events. Gives the
    /// number of attempts of the row that changed.
    fn update(&mut self, instance: Uuid, host: Uuid) -> anyhow::Result<i64>;

    /// Scans a snapshot of its own each time; `None` where the peer has no snapshots.
    fn scanner(&self) -> Option<Scanner> {
        None
    }
}

/// A measured operation, with what it is about.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Work<'a> {
    Load,
    Get(&'a [Uuid]),
    OfTenant(&'a [Uuid]),
    OnHost(&'a [Uuid]),
    VolumesOf(&'a [Uuid]),
    Scan,
    Update(&'a [(Uuid, Uuid)]),
}

impl Work<'_> {
    /// How many things it does.
    pub(crate) const fn units(&self) -> usize {
        match self {
            Self::Load | Self::Scan => 1,
            Self::Get(keys) | Self::OfTenant(keys) | Self::OnHost(keys) | Self::VolumesOf(keys) => keys.len(),
            Self::Update(moves) => moves.len(),
        }
    }
}

/// What an operation found, and how long it took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    pub(crate) found: i64,
    pub(crate) ns: f64,
}

/// What a reader and a writer take beside each other.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Beside {
    /// A scan of a new snapshot: the median.
    pub(crate) scan_ns: f64,
    /// An update: the median of batches.
    pub(crate) update_ns: f64,
}

/// A peer that is loaded, wherever it is.
pub(crate) trait Driver {
    fn name(&self) -> &'static str;
    fn run(&mut self, work: Work<'_>) -> anyhow::Result<Outcome>;

    /// Scans one snapshot after the other while updates go on; `None` where the peer has no snapshots.
    fn beside(&mut self, moves: &[(Uuid, Uuid)], scans: usize) -> anyhow::Result<Option<Beside>>;
}

/// A peer in this process.
pub(crate) struct Local<'a, P> {
    cloud: &'a Cloud,
    peer: P,
}

impl<'a, P: Peer> Local<'a, P> {
    pub(crate) const fn new(cloud: &'a Cloud, peer: P) -> Self {
        Self { cloud, peer }
    }

    /// With all rows of the cloud.
    pub(crate) fn load(cloud: &'a Cloud) -> anyhow::Result<Self> {
        let mut peer = P::create()?;
        peer.add(&cloud.members)?;
        Ok(Self { cloud, peer })
    }
}

fn sum<K: Copy>(keys: &[K], mut one: impl FnMut(K) -> anyhow::Result<i64>) -> anyhow::Result<i64> {
    keys.iter().try_fold(0, |sum, key| Ok(sum + one(*key)?))
}

fn ask(reads: &dyn Reads, work: Work<'_>) -> anyhow::Result<i64> {
    match work {
        Work::Get(keys) => sum(keys, |key| reads.get(key)),
        Work::OfTenant(keys) => sum(keys, |key| reads.of_tenant(key)),
        Work::OnHost(keys) => sum(keys, |key| reads.on_host(key)),
        Work::VolumesOf(keys) => sum(keys, |key| reads.volumes_of(key)),
        Work::Scan => reads.scan(),
        Work::Load | Work::Update(_) => Ok(0),
    }
}

impl<P: Peer> Driver for Local<'_, P> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn run(&mut self, work: Work<'_>) -> anyhow::Result<Outcome> {
        let mut fresh = P::create()?;
        let start = Instant::now();
        let found = match work {
            Work::Load => fresh.add(&self.cloud.members).map(|()| 0),
            Work::Update(moves) => sum(moves, |(instance, host)| self.peer.update(instance, host)),
            _ => self.peer.read(&mut |reads| ask(reads, work)),
        };
        let ns = start.elapsed().as_nanos() as f64;
        let found = if matches!(work, Work::Load) { fresh.read(&mut |reads| reads.scan())? } else { found? };
        Ok(Outcome { found, ns })
    }

    fn beside(&mut self, moves: &[(Uuid, Uuid)], scans: usize) -> anyhow::Result<Option<Beside>> {
        match self.peer.scanner() {
            Some(scanner) => crate::beside::measure(scanner, scans, || {
                sum(moves, |(instance, host)| self.peer.update(instance, host)).map(|_| moves.len())
            })
            .map(Some),
            None => Ok(None),
        }
    }
}
