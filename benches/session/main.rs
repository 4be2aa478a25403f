//! The state exchange: a full state and single rows against serde_json on the same rows as structs, and what idle
//! sessions cost.
//!
//! `PONY_BENCH_ROWS` sets the size of the full state.

mod idle;
mod ours;
mod peer;

use ours::{INCARNATION, Rows, at};
use peer::{Message, Part};
use pony_benches::workload::{Cloud, Instance};
use pony_benches::{Op, Report, Sense, compare, heap};
use pony_state::sync::{Frames, RowId, Session};
use pony_state::{Read, State};
use uuid::Uuid;

#[global_allocator]
static HEAP: heap::CountingHeap = heap::CountingHeap;

const SEED: u64 = 7;
const ROWS: usize = 100_000;
const RUNS: usize = 11;

/// Single rows in one run.
const BATCH: usize = 1_000;

/// Allocations for one changed row, from its name to the message and from the message to the change.
const SEND_ALLOCATIONS_MAX: f64 = 8.0;
const RECEIVE_ALLOCATIONS_MAX: f64 = 8.0;

/// The same rows as both peers hold them.
struct Rig {
    state: State,
    parts: Vec<Part>,
}

impl Rig {
    fn new(rows: usize) -> anyhow::Result<Self> {
        let cloud = Cloud::generate(rows, SEED);
        let mut state = State::builder().table::<Instance>().build()?;
        let mut tx = state.transaction();
        for row in cloud.members.iter().map(|member| &member.instance) {
            tx.put(row.clone());
        }
        tx.commit();
        // In the order in which our side sends them.
        let parts = state.table::<Instance>().iter().filter_map(Part::new).collect();
        Ok(Self { state, parts })
    }

    /// The peer's messages: the same rows in each as in ours.
    fn peer_encode(&self, counts: &[usize]) -> anyhow::Result<Vec<String>> {
        let mut rest = &self.parts[..];
        let mut texts = Vec::with_capacity(counts.len());
        for (piece, count) in counts.iter().enumerate() {
            let (these, others) = rest.split_at(*count);
            rest = others;
            let message = Message::piece(INCARNATION, piece as u64, !rest.is_empty(), these);
            texts.push(serde_json::to_string(&message)?);
        }
        Ok(texts)
    }
}

fn peer_decode(texts: &[String]) -> anyhow::Result<Vec<Part>> {
    let mut parts = Vec::new();
    for text in texts {
        let message: Message<'_, Part> = serde_json::from_str(text)?;
        parts.extend(message.changes.into_iter().map(|(.., part)| part));
    }
    Ok(parts)
}

/// What a run found; a peer that fails finds what no other does.
fn found(result: anyhow::Result<i64>) -> i64 {
    result.unwrap_or_else(|error| {
        eprintln!("a peer failed: {error:#}");
        i64::MIN
    })
}

fn measure_full(report: &mut Report, rig: &Rig) -> anyhow::Result<()> {
    let frames = ours::encode(&rig.state);
    let counts: Vec<usize> = frames.iter().map(|it| it.body.matches(r#"["instance","#).count()).collect();
    let texts = rig.peer_encode(&counts)?;
    anyhow::ensure!(frames.iter().map(|it| &it.body).eq(&texts), "the peers write different messages");

    let units = rig.parts.len();
    let mut encode = [
        Op::new("pony", || ours::encode(&rig.state).len() as i64),
        Op::new("serde_json", || found(rig.peer_encode(&counts).map(|texts| texts.len() as i64))),
    ];
    report.figures("full state: encode, per row", compare(RUNS, units, &mut encode));

    let receive = |frames: &[Frames]| ours::receive(&mut ours::peer(), frames, at(0));
    let decode = || Ok(ours::typed(&rig.state, &receive(&frames))?.iter().map(|(_, part)| part.mem).sum());
    let mut decode = [
        Op::new("pony", || found(decode())),
        Op::new("serde_json", || found(peer_decode(&texts).map(|parts| parts.iter().map(|it| it.mem).sum()))),
    ];
    report.figures("full state: decode, per row", compare(RUNS, units, &mut decode));

    let mut load = [Op::new("pony", || found(ours::load(&receive(&frames)).map(|rows| rows as i64)))];
    report.figures("full state: decode and load, per row", compare(RUNS, units, &mut load));
    Ok(())
}

/// A pair of sessions between which changes flow.
fn synchronized(rig: &Rig) -> (Session, Session) {
    let (mut from, mut to) = (ours::sparkle(), ours::peer());
    let request = pony_state::sync::Message::TwilightResync { uuid: ours::MACHINE }.encode();
    from.handle_message(request.as_bytes(), at(0).unix_s, at(0));
    while let Some(frames) = from.poll_transmit(at(0), &Rows(&rig.state)) {
        ours::receive(&mut to, &[frames], at(0));
    }
    (from, to)
}

fn send(rig: &Rig, from: &mut Session, uuid: Uuid) -> Option<Frames> {
    from.changed(&RowId::of(rig.state.any("instance")?.def(), &pony_state::Key::one(uuid)));
    from.poll_transmit(at(0), &Rows(&rig.state))
}

/// One row after another, each in a message of its own; counts the allocations of both ends for one of them.
fn measure_partial(report: &mut Report, rig: &Rig) -> anyhow::Result<()> {
    let uuids: Vec<Uuid> = rig.state.table::<Instance>().iter().map(|row| row.uuid).take(BATCH).collect();
    let (mut from, mut to) = synchronized(rig);
    let mut counts = [0.0; 2];
    for uuid in &uuids {
        let before = heap::allocations();
        let frames = send(rig, &mut from, *uuid).ok_or_else(|| anyhow::anyhow!("nothing to send"))?;
        let sent = heap::allocations();
        let changes = ours::receive(&mut to, std::slice::from_ref(&frames), at(0));
        anyhow::ensure!(changes.len() == 1, "{} changes for one row", changes.len());
        counts[0] += (sent - before) as f64 / uuids.len() as f64;
        counts[1] += (heap::allocations() - sent) as f64 / uuids.len() as f64;
    }
    let mut ours = |uuid: &Uuid| {
        let frames = send(rig, &mut from, *uuid).into_iter().collect::<Vec<_>>();
        ours::typed(&rig.state, &ours::receive(&mut to, &frames, at(0))).map(|rows| rows[0].1.mem)
    };
    let theirs = |part: &Part| {
        let text = serde_json::to_string(&Message::partial(INCARNATION, 1, std::slice::from_ref(part)))?;
        peer_decode(&[text]).map(|parts| parts[0].mem)
    };
    let mut ops = [
        Op::new("pony", || found(uuids.iter().map(&mut ours).sum())),
        Op::new("serde_json", || found(rig.parts[..uuids.len()].iter().map(theirs).sum())),
    ];
    report.figures("partial update of a row, there and back", compare(RUNS, uuids.len(), &mut ops));
    report.figures("allocations to send a row", [("pony", counts[0])]);
    report.figures("allocations to receive it", [("pony", counts[1])]);
    report.target("allocations to send a row", counts[0], SEND_ALLOCATIONS_MAX, Sense::Max);
    report.target("allocations to receive it", counts[1], RECEIVE_ALLOCATIONS_MAX, Sense::Max);
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let rows = std::env::var("PONY_BENCH_ROWS").map_or(Ok(ROWS), |text| text.parse())?;
    let rig = Rig::new(rows)?;
    let mut report = Report::new("session", "ns");
    measure_full(&mut report, &rig)?;
    let sum = |peer: &str| {
        let of = |op: &str| report.figure(&format!("full state: {op}, per row"), peer);
        Some(of("encode")? + of("decode")?)
    };
    if let (Some(ours), Some(theirs)) = (sum("pony"), sum("serde_json")) {
        report.target("full state, encode + decode against serde_json", ours / theirs, 1.5, Sense::Max);
    }
    measure_partial(&mut report, &rig)?;
    idle::measure(&mut report)?;
    Ok(report.finish()?)
}
