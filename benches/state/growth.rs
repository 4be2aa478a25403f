//! What a look-up and an update cost in a large table against a small one. Twice: of some rows again and again, which is what
//! the engine does for them; and of rows drawn from all, where the processor's caches hold the small table and not the
//! large one. The latter is what memory costs, for the bare limit too, and no promise is made of it.

use crate::limit::Limit;
use crate::peer::{Driver, Local, Peer, Work};
use crate::pony::Pony;
use pony_benches::workload::{Cloud, Members};
use pony_benches::{Report, Rng, Sense, median};
use uuid::Uuid;

const SMALL: usize = 10_000;
const LARGE: usize = 1_000_000;

/// Look-ups or updates in one run: enough to touch rows everywhere in the large table.
const KEYS: usize = 20_000;

/// Rows that are asked for again and again.
const NEAR: usize = 100;

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
    let moves = crate::moves(&keys, &hosts, KEYS, &mut rng);
    Ok((Local::new(cloud, peer), moves))
}

/// Medians of a look-up and of an update, in nanoseconds.
#[derive(Clone, Copy)]
struct Cost {
    get: f64,
    update: f64,
}

fn cost<P: Peer>(peer: &mut Local<'_, P>, moves: &[(Uuid, Uuid)]) -> anyhow::Result<Cost> {
    let keys: Vec<Uuid> = moves.iter().map(|(instance, _)| *instance).collect();
    let (mut gets, mut updates) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        gets.push(peer.run(Work::Get(&keys))?.ns / moves.len() as f64);
        updates.push(peer.run(Work::Update(moves))?.ns / moves.len() as f64);
    }
    Ok(Cost { get: median(&gets), update: median(&updates) })
}

/// The costs of rows that are near, and of any.
fn costs<P: Peer>(instances: usize) -> anyhow::Result<[Cost; 2]> {
    let cloud = Cloud::generate(0, crate::SEED);
    let (mut peer, moves) = load::<P>(&cloud, instances)?;
    // One half goes there, the other half back: the near ones likewise.
    let (there, back) = moves.split_at(moves.len() / 2);
    let near = [there, back].map(|half| half.get(..NEAR / 2).unwrap_or_default()).concat();
    Ok([cost(&mut peer, &near.repeat(KEYS / NEAR))?, cost(&mut peer, &moves)?])
}

pub(crate) fn measure(report: &mut Report) -> anyhow::Result<()> {
    let (small, large) = (costs::<Pony>(SMALL)?, costs::<Pony>(LARGE)?);
    let (least_small, least_large) = (costs::<Limit>(SMALL)?, costs::<Limit>(LARGE)?);
    for (place, which) in ["some", "any"].into_iter().enumerate() {
        for (rows, ours, least) in [("10 k", &small, &least_small), ("1 M", &large, &least_large)] {
            let (ours, least) = (ours[place], least[place]);
            report.figures(
                &format!("get by key, {which} of {rows} rows"),
                [("pony", ours.get), ("limit", least.get)],
            );
            let update = [("pony", ours.update), ("limit", least.update)];
            report.figures(&format!("update, {which} of {rows} rows"), update);
        }
    }
    report.target("get by key: 1 M rows against 10 k", large[0].get / small[0].get, 2.0, Sense::Max);
    report.target("update: 1 M rows against 10 k", large[0].update / small[0].update, 2.0, Sense::Max);
    Ok(())
}
