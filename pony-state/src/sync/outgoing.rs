//! The sending half: our own sequence, what of our rows the peer still lacks, and when to say something.

use super::bounds::{EVENTS_MAX, FULL_INTERVAL_MS, GREETING_INTERVAL_MS, KEEPALIVE_MS, Limits};
use super::pending::{Pending, Room};
use super::row::RowId;
use super::source::{FullRows, Source, SourceRow};
use super::timer::{Timer, Timers};
use super::wire::{ListWriter, Origin, PROTO, Update, write_change, write_row};
use crate::schema::PartKind;
use std::fmt;
use uuid::Uuid;

/// How far the peer has been told.
enum Phase {
    /// It never asked for anything: only keep-alives go out, and the first makes it ask.
    Unasked,
    /// A full state is to be sent.
    Asked,
    /// A full state is being sent.
    Sending {
        /// What remains of it.
        rows: Box<dyn FullRows>,
        /// The number of the next message.
        piece: u64,
        /// The change that no longer went into the last one: it begins the next.
        held_over: Vec<u8>,
    },
    /// The full state was sent: partial updates go out.
    Synchronized,
}

impl fmt::Debug for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unasked => "Unasked",
            Self::Asked => "Asked",
            Self::Sending { .. } => "Sending",
            Self::Synchronized => "Synchronized",
        })
    }
}

/// What stays the same in everything that a session sends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    pub(crate) origin: Origin,
    pub(crate) kind: PartKind,
    pub(crate) limits: Limits,
}

/// Rows whose parts were too long to be sent, with their length in bytes.
pub(crate) type Oversized = Vec<(RowId, usize)>;

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Outgoing {
    incarnation: Uuid,
    next_seq: u64,
    /// The number of the last full state begun; 0: none yet.
    full: u64,
    full_began_ms: Option<u64>,
    phase: Phase,
    /// Another full state is wanted after the one that is being sent.
    again: bool,
    pending: Pending,
    keepalive_due: bool,
    greeted_ms: Option<u64>,
}

impl Outgoing {
    /// A sequence at its start; the first thing to be sent is a keep-alive, so that the peer asks.
    pub(crate) fn new(incarnation: Uuid) -> Self {
        Self {
            incarnation,
            next_seq: 1,
            full: 0,
            full_began_ms: None,
            phase: Phase::Unasked,
            again: false,
            pending: Pending::default(),
            keepalive_due: true,
            greeted_ms: None,
        }
    }

    /// The peer asked for everything, or is known to lack too much.
    pub(crate) fn want_full(&mut self, timers: &mut Timers) {
        self.pending.clear();
        match self.phase {
            Phase::Sending { .. } => self.again = true,
            Phase::Asked => {}
            Phase::Unasked | Phase::Synchronized => self.await_full(timers),
        }
    }

    fn await_full(&mut self, timers: &mut Timers) {
        self.phase = Phase::Asked;
        self.again = false;
        if let Some(began_ms) = self.full_began_ms {
            timers.set(Timer::Full, began_ms.saturating_add(FULL_INTERVAL_MS));
        }
    }

    /// Marks a row as changed. Without a full state sent or being sent there is nothing to mark.
    pub(crate) fn mark(&mut self, row: &RowId, limits: &Limits, timers: &mut Timers) {
        let wanted = match self.phase {
            Phase::Unasked | Phase::Asked => false,
            Phase::Sending { .. } => !self.again,
            Phase::Synchronized => true,
        };
        if wanted && self.pending.mark(row, limits.pending_rows) == Room::Exceeded {
            self.want_full(timers);
        }
    }

    /// The owner lost track of its changes: whoever was sent a full state needs another.
    pub(crate) fn everything_changed(&mut self, timers: &mut Timers) {
        if !matches!(self.phase, Phase::Unasked) {
            self.want_full(timers);
        }
    }

    /// [`Timer::KeepAlive`] fell due.
    pub(crate) fn keepalive(&mut self) {
        self.keepalive_due = true;
    }

    /// The peer seems to be a new process: let it hear from us soon, so that it asks.
    pub(crate) fn greet(&mut self, now_ms: u64, timers: &mut Timers) {
        match self.greeted_ms.map(|greeted_ms| greeted_ms.saturating_add(GREETING_INTERVAL_MS)) {
            Some(earliest_ms) if now_ms < earliest_ms => timers.set_earlier(Timer::KeepAlive, earliest_ms),
            _ => {
                self.greeted_ms = Some(now_ms);
                self.keepalive_due = true;
            }
        }
    }

    pub(crate) fn is_synchronized(&self) -> bool {
        matches!(self.phase, Phase::Synchronized)
    }

    pub(crate) fn pending_rows(&self) -> usize {
        self.pending.len()
    }

    /// The number of full states begun so far.
    pub(crate) fn fulls_begun(&self) -> u64 {
        self.full
    }

    /// The next update to send now, if any.
    pub(crate) fn transmit(
        &mut self,
        now_ms: u64,
        source: &dyn Source,
        style: &Style,
        timers: &mut Timers,
        oversized: &mut Oversized,
    ) -> Option<String> {
        if matches!(self.phase, Phase::Asked) && self.may_begin(now_ms) {
            self.begin_full(now_ms, source, timers);
        }
        let text = match &self.phase {
            Phase::Asked => None,
            Phase::Sending { .. } => self.piece(style, timers, oversized),
            Phase::Synchronized if !self.pending.is_empty() => Some(self.partial(source, style, oversized)),
            Phase::Unasked | Phase::Synchronized => {
                self.keepalive_due.then(|| self.partial(source, style, oversized))
            }
        }?;
        self.keepalive_due = false;
        timers.set(Timer::KeepAlive, now_ms.saturating_add(KEEPALIVE_MS));
        Some(text)
    }

    fn may_begin(&self, now_ms: u64) -> bool {
        self.full_began_ms.is_none_or(|began_ms| now_ms >= began_ms.saturating_add(FULL_INTERVAL_MS))
    }

    fn begin_full(&mut self, now_ms: u64, source: &dyn Source, timers: &mut Timers) {
        timers.stop(Timer::Full);
        self.full += 1;
        self.full_began_ms = Some(now_ms);
        self.next_seq = 1;
        self.phase = Phase::Sending { rows: source.full(), piece: 0, held_over: Vec::new() };
    }

    fn number(&self) -> Option<u64> {
        (self.full > 0).then_some(self.full)
    }

    /// The next message of the full state that is being sent.
    fn piece(&mut self, style: &Style, timers: &mut Timers, oversized: &mut Oversized) -> Option<String> {
        let update = Update { proto: Some(PROTO), full: self.number(), ..self.update(0) };
        let Phase::Sending { rows, piece, held_over } = &mut self.phase else { return None };
        let mut body = Body::new(&update, style, oversized);
        if !held_over.is_empty() {
            body.changes.item(|text| text.append(held_over));
        }
        let more = loop {
            let Some(row) = rows.next() else { break false };
            let (was_cut, bytes) = (body.is_cut(), body.changes.bytes());
            body.push(&row);
            if was_cut && body.changes.bytes() > bytes {
                *held_over = body.changes.take_back(bytes);
                break true;
            }
        };
        let numbered = (more || *piece > 0).then_some(*piece);
        *piece += 1;
        if !more {
            self.full_sent(timers);
        }
        Some(body.changes.finish_update(numbered, more))
    }

    fn full_sent(&mut self, timers: &mut Timers) {
        self.phase = Phase::Synchronized;
        if self.again {
            self.pending.clear();
            self.await_full(timers);
        }
    }

    /// A partial update with the pending rows, as many as fit; without any it is a keep-alive.
    fn partial(&mut self, source: &dyn Source, style: &Style, oversized: &mut Oversized) -> String {
        let update = Update { full: self.number(), ..self.update(self.next_seq) };
        self.next_seq += 1;
        let mut body = Body::new(&update, style, oversized);
        while !body.is_cut() {
            let Some(row) = self.pending.pop() else { break };
            let sent = source.row(&row).is_some_and(|row| body.push(&row));
            if !sent {
                body.push_gone(&row);
            }
        }
        body.changes.finish()
    }

    fn update(&self, seq: u64) -> Update {
        Update { incarnation: self.incarnation, seq, ..Update::default() }
    }
}

/// The changes of a message that is being written.
struct Body<'a> {
    style: &'a Style,
    oversized: &'a mut Oversized,
    changes: ListWriter,
}

impl<'a> Body<'a> {
    fn new(update: &Update, style: &'a Style, oversized: &'a mut Oversized) -> Self {
        Self { style, oversized, changes: ListWriter::update(style.origin, update) }
    }

    fn is_cut(&self) -> bool {
        self.changes.bytes() >= self.style.limits.cut_bytes
            || self.changes.count() >= self.style.limits.changes
    }

    /// Adds a row, if it has a part that a message can hold; says whether it has. A part that is too long is reported.
    fn push(&mut self, row: &SourceRow<'_>) -> bool {
        let kind = self.style.kind;
        if !row.has(kind) {
            return false;
        }
        let bytes = self.add(|text| write_row(row, kind, text));
        let fits = bytes <= self.style.limits.change_bytes();
        if !fits && self.oversized.len() < EVENTS_MAX {
            self.oversized.push((row.id(), bytes));
        }
        fits
    }

    /// Adds that a row has no part; not even that, where its name alone is more than a message can hold.
    fn push_gone(&mut self, row: &RowId) {
        self.add(|text| write_change(row, self.style.kind, None, text));
    }

    /// Adds a change, unless it is too long for any message; says how long it is, in bytes.
    fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> usize {
        let before = self.changes.bytes();
        self.changes.item(write);
        let bytes = self.changes.bytes() - before - 1;
        if bytes > self.style.limits.change_bytes() {
            self.changes.take_back(before);
        }
        bytes
    }
}
