//! A Sparkle and a peer, joined by a network that a seed tells when to fail. Time is simulated.
//!
//! After every event the world checks what must always hold: what a side holds of the other is exactly what the
//! other had sent up to the accepted place in its sequence; requests and full states keep their rates; the
//! smallest set of changes is the smallest.

use pony_state::PartKind;
use pony_state::sync::{
    Counters, Event, FULL_INTERVAL_MS, Frames, FullRows, Held, KeyPart, Limits, Message, Now, Part, Pkey,
    Position, RESYNC_INTERVAL_MS, Role, RowId, Session, Source, SourceRow, Update, WireChange,
};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// Tiny limits, so that a few rows need pieces, cuts and collapses.
pub(crate) const LIMITS: Limits = Limits {
    message_bytes: 4096,
    cut_bytes: 400,
    changes: 3,
    pending_rows: 6,
    full_rows: 1000,
    full_bytes: 100_000,
    notifications: 4,
};

/// The delay of a working network, one way.
pub(crate) const LATENCY_MS: u64 = 40;

/// How long stragglers from before the healing may still arrive after it.
pub(crate) const STRAGGLE_MS: u64 = 1_000;

const UNIX_START_S: u64 = 1_700_000_000;
const MACHINE: Uuid = Uuid::from_u128(0x6d61_6368);

/// SplitMix64: enough randomness for a schedule, and the same on every machine.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    fn uuid(&mut self) -> Uuid {
        Uuid::from_u64_pair(self.next(), self.next())
    }
}

/// The rows that one side originates.
#[derive(Default, Clone, PartialEq, Debug)]
pub(crate) struct Rows(pub(crate) BTreeMap<RowId, Part>);

impl Source for Rows {
    fn row(&self, row: &RowId) -> Option<SourceRow<'_>> {
        self.0.get(row).map(|part| SourceRow::Part(row.clone(), part.clone()))
    }

    fn full(&self) -> Box<dyn FullRows> {
        Box::new(self.0.clone().into_iter())
    }
}

/// What the network does, in percent of messages.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Faults {
    pub(crate) drop: u64,
    pub(crate) duplicate: u64,
    pub(crate) corrupt: u64,
    /// Delayed by up to 20 s, so that some arrive too old.
    pub(crate) hold: u64,
    /// Delayed by up to 500 ms, which reorders.
    pub(crate) jitter: u64,
    /// After which the link takes no more for now: full states stop between two pieces.
    pub(crate) congest: u64,
}

struct Flight {
    /// How many were sent before.
    number: u64,
    at_ms: u64,
    to: usize,
    frames: Frames,
}

pub(crate) struct Node {
    pub(crate) rows: Rows,
    /// What is held of the other side's rows.
    pub(crate) mirror: BTreeMap<RowId, Part>,
    pub(crate) session: Session,
    /// The link takes nothing: what is to be sent must wait.
    pub(crate) blocked: bool,
    pub(crate) changes_applied: u64,
    born_ms: u64,
    epoch: u64,
    clock_start_ms: u64,
    /// How far the node's Unix time is from the right one.
    clock_skew_s: i64,
    /// How long it was asleep, with its monotonic clock running on.
    leapt_ms: u64,
    /// What the other side holds if it accepted everything so far, and the pieces of a full state under way.
    sent: BTreeMap<RowId, Part>,
    sent_pieces: BTreeMap<RowId, Part>,
}

/// What a schedule did, and what the sessions made of it: a test in which some of it never happens proves nothing of it.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Deeds {
    lost: u64,
    duplicated: u64,
    /// Messages that arrived before one that was sent earlier.
    overtaken: u64,
    restarts: u64,
    clock_jumps: u64,
    leaps: u64,
    late: u64,
    malformed: u64,
    old_epoch: u64,
    refused: u64,
    superseded: u64,
    fulls_accepted: u64,
    partials_accepted: u64,
}

impl Deeds {
    pub(crate) fn add(self, other: Self) -> Self {
        Self {
            lost: self.lost + other.lost,
            duplicated: self.duplicated + other.duplicated,
            overtaken: self.overtaken + other.overtaken,
            restarts: self.restarts + other.restarts,
            clock_jumps: self.clock_jumps + other.clock_jumps,
            leaps: self.leaps + other.leaps,
            late: self.late + other.late,
            malformed: self.malformed + other.malformed,
            old_epoch: self.old_epoch + other.old_epoch,
            refused: self.refused + other.refused,
            superseded: self.superseded + other.superseded,
            fulls_accepted: self.fulls_accepted + other.fulls_accepted,
            partials_accepted: self.partials_accepted + other.partials_accepted,
        }
    }

    fn count(self, counters: Counters) -> Self {
        let Counters {
            late,
            malformed,
            old_epoch,
            refused,
            superseded,
            fulls_accepted,
            partials_accepted,
            ..
        } = counters;
        self.add(Self {
            late,
            malformed,
            old_epoch,
            refused,
            superseded,
            fulls_accepted,
            partials_accepted,
            ..Self::default()
        })
    }

    pub(crate) fn assert_everything_happened(&self) {
        let text = format!("{self:?}");
        assert!(!text.contains(": 0,") && !text.contains(": 0 "), "something never happened: {text}");
    }
}

pub(crate) const SPARKLE: usize = 0;
pub(crate) const PEER: usize = 1;

pub(crate) struct World {
    pub(crate) now_ms: u64,
    pub(crate) rng: Rng,
    pub(crate) faults: Faults,
    pub(crate) nodes: [Node; 2],
    deeds: Deeds,
    messages: u64,
    flights: Vec<Flight>,
    /// The state at each place in each sequence ever sent.
    history: HashMap<(Uuid, Option<u64>, u64), BTreeMap<RowId, Part>>,
}

fn kind(node: usize) -> PartKind {
    if node == SPARKLE { PartKind::Desired } else { PartKind::Current }
}

impl World {
    pub(crate) fn new(seed: u64, faults: Faults) -> Self {
        let mut rng = Rng(seed);
        let nodes = [0, 1].map(|index| Node::new(index, &mut rng));
        Self {
            now_ms: 0,
            rng,
            faults,
            nodes,
            deeds: Deeds::default(),
            messages: 0,
            flights: Vec::new(),
            history: HashMap::new(),
        }
    }

    /// Lets time pass up to `until_ms`, with everything that falls due on the way.
    pub(crate) fn run(&mut self, until_ms: u64) {
        for index in [0, 1] {
            self.pump(index);
        }
        while let Some(at_ms) = self.next_event().filter(|at_ms| *at_ms <= until_ms) {
            self.now_ms = self.now_ms.max(at_ms);
            self.deliver_due();
            for index in [0, 1] {
                let now = self.clock(index);
                self.nodes[index].session.handle_timeout(now);
                self.pump(index);
            }
        }
        self.now_ms = until_ms;
    }

    /// The network works from now on; what is still under way is lost or arrives within [`STRAGGLE_MS`].
    pub(crate) fn heal(&mut self) {
        self.faults = Faults::default();
        let (now_ms, rng) = (self.now_ms, &mut self.rng);
        self.flights.retain(|_| rng.percent(50));
        for flight in &mut self.flights {
            flight.at_ms = now_ms + rng.below(STRAGGLE_MS);
        }
        for node in &mut self.nodes {
            node.blocked = false;
            node.clock_skew_s = rng.below(4) as i64;
        }
    }

    /// Somebody sets the Unix time of a node wrong, by seconds or hours, back or forth.
    pub(crate) fn set_clock(&mut self, index: usize) {
        let range_s = [4, 40, 7_200][self.rng.below(3) as usize];
        self.nodes[index].clock_skew_s = self.rng.below(2 * range_s) as i64 - range_s as i64;
        self.deeds.clock_jumps += 1;
    }

    /// A node sleeps: for all that its clock tells, much time has passed at once.
    pub(crate) fn leap(&mut self, index: usize) {
        let leap_ms = self.rng.below(120_000);
        let node = &mut self.nodes[index];
        node.clock_start_ms += leap_ms;
        node.leapt_ms += leap_ms;
        self.deeds.leaps += 1;
    }

    /// What happened so far.
    pub(crate) fn deeds(&self) -> Deeds {
        self.nodes.iter().fold(self.deeds, |deeds, node| deeds.count(node.session.counters()))
    }

    /// Writes or removes one random row.
    pub(crate) fn write(&mut self, index: usize) {
        let table = ["instance", "volume", "vlan"][self.rng.below(3) as usize];
        let number = self.rng.below(4);
        let pkey = match table {
            "vlan" => Pkey::many([KeyPart::text("bond"), KeyPart::Int(number as i64)]),
            _ => Pkey::one(&format!("key-{number}")),
        };
        let row = RowId::new(table, pkey);
        let node = &mut self.nodes[index];
        if self.rng.percent(30) {
            node.rows.0.remove(&row);
        } else {
            let part = json!({"value": self.rng.below(5), "pad": "x".repeat(self.rng.below(90) as usize)});
            node.rows.0.insert(row.clone(), Part::from(part.as_object().expect("an object")));
        }
        node.session.changed(&row);
        self.pump(index);
    }

    /// A new process: a new incarnation. What it holds of the other side may be durable, or gone.
    pub(crate) fn restart(&mut self, index: usize, keep_mirror: bool) {
        let node = &mut self.nodes[index];
        self.deeds = Deeds { restarts: self.deeds.restarts + 1, ..self.deeds.count(node.session.counters()) };
        let rows = std::mem::take(&mut node.rows);
        let mirror = std::mem::take(&mut node.mirror);
        let epoch = node.epoch + u64::from(index == SPARKLE);
        *node = Node::build(index, epoch, self.now_ms, &mut self.rng);
        node.rows = rows;
        if keep_mirror {
            node.mirror = mirror;
        }
        self.pump(index);
    }

    /// The link says that it is up again, to both sides.
    pub(crate) fn reconnect(&mut self) {
        for index in [SPARKLE, PEER] {
            let now = self.clock(index);
            self.nodes[index].session.handle_connected(now);
            self.pump(index);
        }
    }

    /// Whether both sides hold what the other has.
    pub(crate) fn is_converged(&self) -> bool {
        let [sparkle, peer] = &self.nodes;
        let in_sequence = self.nodes.iter().all(|node| node.session.remote().is_some());
        in_sequence && sparkle.rows.0 == peer.mirror && peer.rows.0 == sparkle.mirror
    }

    /// Sends what there is to send, and applies what was received.
    pub(crate) fn pump(&mut self, index: usize) {
        self.apply_events(index);
        let now = self.clock(index);
        while !self.nodes[index].blocked {
            let node = &mut self.nodes[index];
            let Some(frames) = node.session.poll_transmit(now, &node.rows) else { break };
            self.record(index, &frames);
            self.send(1 - index, &frames);
            if self.rng.percent(self.faults.congest) {
                break;
            }
        }
        self.check(index);
    }

    fn clock(&self, index: usize) -> Now {
        let node = &self.nodes[index];
        Now {
            ms: node.clock_start_ms + self.now_ms - node.born_ms,
            unix_s: (UNIX_START_S + self.now_ms / 1000).saturating_add_signed(node.clock_skew_s),
        }
    }

    fn next_event(&self) -> Option<u64> {
        let flights = self.flights.iter().map(|flight| flight.at_ms);
        let timers = self.nodes.iter().filter_map(|node| {
            node.session.poll_timeout().map(|at_ms| at_ms.saturating_sub(node.clock_start_ms) + node.born_ms)
        });
        flights.chain(timers).min()
    }

    fn deliver_due(&mut self) {
        let (due, later) = std::mem::take(&mut self.flights)
            .into_iter()
            .partition::<Vec<_>, _>(|flight| flight.at_ms <= self.now_ms);
        self.flights = later;
        for flight in due {
            self.deeds.overtaken += u64::from(self.flights.iter().any(|it| it.number < flight.number));
            let now = self.clock(flight.to);
            let Frames { body, sent_unix_s } = flight.frames;
            self.nodes[flight.to].session.handle_message(body.as_bytes(), sent_unix_s, now);
            self.pump(flight.to);
        }
    }

    fn send(&mut self, to: usize, frames: &Frames) {
        let copies = if self.rng.percent(self.faults.duplicate) { 2 } else { 1 };
        self.deeds.duplicated += copies - 1;
        for _ in 0..copies {
            if self.rng.percent(self.faults.drop) {
                self.deeds.lost += 1;
                continue;
            }
            let delay_ms = if self.rng.percent(self.faults.hold) {
                self.rng.below(20_000)
            } else if self.rng.percent(self.faults.jitter) {
                self.rng.below(500)
            } else {
                LATENCY_MS
            };
            let mut frames = frames.clone();
            if self.rng.percent(self.faults.corrupt) {
                frames.body.truncate(self.rng.below(frames.body.len() as u64) as usize);
            }
            self.messages += 1;
            self.flights.push(Flight { number: self.messages, at_ms: self.now_ms + delay_ms, to, frames });
        }
    }

    /// Notes what the receiver must hold once it accepted this message.
    fn record(&mut self, index: usize, frames: &Frames) {
        let message = Message::decode(frames.body.as_bytes(), &LIMITS).expect("what we send can be read");
        let (Message::SparkleUpdate { update, .. } | Message::TwilightUpdate { update, .. }) = message else {
            return;
        };
        let Update { incarnation, seq, full, piece, more, changes, .. } = update;
        let node = &mut self.nodes[index];
        if seq > 0 {
            changes.into_iter().for_each(|change| apply(&mut node.sent, change));
        } else {
            if piece.unwrap_or(0) == 0 {
                node.sent_pieces.clear();
            }
            changes.into_iter().for_each(|change| apply(&mut node.sent_pieces, change));
            if more {
                return;
            }
            node.sent = std::mem::take(&mut node.sent_pieces);
        }
        let clash = self.history.insert((incarnation, full, seq + 1), node.sent.clone());
        assert_eq!(clash, None, "two messages of node {index} share a place in the sequence");
    }

    fn apply_events(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        while let Some(event) = node.session.poll_event() {
            let changes = match event {
                Event::Changes(changes) => changes,
                Event::Full(full) => {
                    let held: Vec<_> = node.mirror.keys().cloned().collect();
                    let changes = full.diff(kind(1 - index), held, |row, part| match node.mirror.get(row) {
                        Some(held) if held == part => Held::Same,
                        _ => Held::Different,
                    });
                    for change in &changes {
                        assert_ne!(node.mirror.get(&change.row), change.part.as_ref(), "a needless change");
                    }
                    changes
                }
                Event::EpochRaised(epoch) => {
                    node.epoch = epoch;
                    continue;
                }
                _ => continue,
            };
            node.changes_applied += changes.len() as u64;
            changes.into_iter().for_each(|change| apply(&mut node.mirror, change));
        }
    }

    fn check(&self, index: usize) {
        let node = &self.nodes[index];
        if let Some(Position { incarnation, full, next_seq }) = node.session.remote() {
            let sent = &self.history[&(incarnation, full, next_seq)];
            assert_eq!(sent, &node.mirror, "node {index} holds something else than it was sent");
        }
        let (age_ms, counters) = (self.now_ms - node.born_ms + node.leapt_ms, node.session.counters());
        assert!(counters.resyncs_sent <= 1 + age_ms / RESYNC_INTERVAL_MS, "resync storm at node {index}");
        assert!(counters.fulls_sent <= 1 + age_ms / FULL_INTERVAL_MS, "full state storm at node {index}");
        assert!(node.session.pending_rows() <= LIMITS.pending_rows, "unbounded backlog at node {index}");
        assert_eq!(counters.overrun, 0, "events were fetched after each message");
    }
}

impl Node {
    fn new(index: usize, rng: &mut Rng) -> Self {
        Self::build(index, u64::from(index == SPARKLE), 0, rng)
    }

    fn build(index: usize, epoch: u64, now_ms: u64, rng: &mut Rng) -> Self {
        let (clock_start_ms, clock_skew_s) = (rng.below(1 << 40), rng.below(4) as i64);
        let role = match index {
            SPARKLE => Role::Sparkle { peer: MACHINE, epoch },
            _ => Role::Peer { uuid: MACHINE, epoch_highest: epoch },
        };
        let unix_s = (UNIX_START_S + now_ms / 1000).saturating_add_signed(clock_skew_s);
        let now = Now { ms: clock_start_ms, unix_s };
        Self {
            rows: Rows::default(),
            mirror: BTreeMap::new(),
            session: Session::new(role, rng.uuid(), LIMITS, now),
            blocked: false,
            changes_applied: 0,
            born_ms: now_ms,
            epoch,
            clock_start_ms,
            clock_skew_s,
            leapt_ms: 0,
            sent: BTreeMap::new(),
            sent_pieces: BTreeMap::new(),
        }
    }
}

fn apply(rows: &mut BTreeMap<RowId, Part>, change: WireChange) {
    match change.part {
        Some(part) => rows.insert(change.row, part),
        None => rows.remove(&change.row),
    };
}
