//! What a look-up and an update cost in a large table against a small one: keys are drawn from all rows, so that the
//! processor's caches hold the small table and not the large one.

use crate::limit::Limit;
use crate::peer::{Driver, Local, Peer, Work};
use crate::pony::Pony;
use pony_benches::workload::{Cloud, Members};
use pony_benches::{Report, Rng, Sense};
use uuid::Uuid;

const SMALL: usize = 10_000;
const LARGE: usize = 1_000_000;

/// Look-ups or updates in one run: enough to touch rows everywhere in the large table.
const KEYS: usize = 20_000;
const RUNS: usize = 9;

/// Rows are made for so many instances at a time.
const BATCH: usize = 1000;

/// Instances, and hosts for them to be on.
type Moves = Vec<(Uuid, Uuid)>;

/// A peer with the instances of a cloud and nothing else, and some moves of them.
fn load<P: Peer>(cloud: &Cloud, instances: usize) -> anyhow::Result<(Local<'_, P>, Moves)> {
    let (mut peer, mut rng) = (P::create()?, Rng::new(crate::SEED + 2));
    let mut members = Members::new(instances, crate::SEED);
    let hosts = members.hosts.clone();
    let mut keys = Vec::with_capacity(instances);
    loop {
        let batch: Vec<_> = members.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            break;
        }
        keys.extend(batch.iter().map(|member| member.instance.uuid));
        peer.add_instances(&batch)?;
    }
    let mut some = |of: &[Uuid]| rng.pick(of).copied().unwrap_or_default();
    let moves = (0..KEYS).map(|_| (some(&keys), some(&hosts))).collect();
    Ok((Local::new(cloud, peer), moves))
}

/// The medians of a look-up and of an update.
fn cost<P: Peer>(instances: usize) -> anyhow::Result<(f64, f64)> {
    let cloud = Cloud::generate(0, crate::SEED);
    let (mut peer, moves) = load::<P>(&cloud, instances)?;
    let keys: Vec<Uuid> = moves.iter().map(|(instance, _)| *instance).collect();
    let (mut gets, mut updates) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        gets.push(peer.run(Work::Get(&keys))?.ns / KEYS as f64);
        updates.push(peer.run(Work::Update(&moves))?.ns / KEYS as f64);
    }
    Ok((pony_benches::median(&gets), pony_benches::median(&updates)))
}

pub(crate) fn measure(report: &mut Report) -> anyhow::Result<()> {
    let (small, large) = (cost::<Pony>(SMALL)?, cost::<Pony>(LARGE)?);
    let (least_small, least_large) = (cost::<Limit>(SMALL)?, cost::<Limit>(LARGE)?);
    report.figures("get by key, any of 10 k rows", [("pony", small.0), ("limit", least_small.0)]);
    report.figures("get by key, any of 1 M rows", [("pony", large.0), ("limit", least_large.0)]);
    report.figures("update, any of 10 k rows", [("pony", small.1), ("limit", least_small.1)]);
    report.figures("update, any of 1 M rows", [("pony", large.1), ("limit", least_large.1)]);
    report.target("get by key: 1 M rows against 10 k", large.0 / small.0, 2.0, Sense::Max);
    report.target("update: 1 M rows against 10 k", large.1 / small.1, 2.0, Sense::Max);
    Ok(())
}
