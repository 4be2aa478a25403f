//! The receiving half: what of the peer's sequence was accepted, and putting full states together.

use super::bounds::Limits;
use super::full::FullState;
use super::row::{RowId, WireChange};
use super::wire::Update;
use hashbrown::HashSet;
use std::collections::BTreeMap;
use uuid::Uuid;

/// A place in a sender's sequence: what was last accepted of it, and what is expected next.
///
/// ```
/// # use pony_state::{sync::*, *};
/// # use pony_state_docs::*;
/// # let (mut state, mut sparkle, mut peer) = conversation()?;
/// let position: Position = peer.remote().unwrap();
/// assert_eq!((position.full, position.next_seq), (Some(1), 1));
/// # Ok::<_, SchemaError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The sender's process.
    pub incarnation: Uuid,
    /// The full state that this sequence goes on from (absent when the sender does not number them).
    pub full: Option<u64>,
    /// The only sequence number that the next partial update may have.
    pub next_seq: u64,
}

/// What became of an update.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// A partial update, accepted.
    Changes(Vec<WireChange>),
    /// A full state, complete and accepted.
    Full(FullState),
    /// A piece of a full state, kept.
    Piece,
    /// Part of a full state that is already held, or older than the one held: nothing in it is new.
    Superseded,
    /// A partial update out of sequence.
    Refused,
    /// A full state beyond the bounds.
    TooLarge,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    held: Option<Position>,
    assembly: Option<Box<Assembly>>,
}

impl Incoming {
    pub(crate) fn held(&self) -> Option<Position> {
        self.held
    }

    /// Judges an update, whose text was `bytes` long, and takes it in when it is in sequence.
    pub(crate) fn update(&mut self, update: Update, bytes: usize, limits: &Limits) -> Verdict {
        if update.seq == 0 { self.full(update, bytes, limits) } else { self.partial(update) }
    }

    fn partial(&mut self, update: Update) -> Verdict {
        let place = Position { incarnation: update.incarnation, full: update.full, next_seq: update.seq };
        match &mut self.held {
            Some(held) if *held == place => {
                held.next_seq += 1;
                Verdict::Changes(update.changes)
            }
            _ => {
                // A sender whose pieces carry no numbers sends nothing else between them: the rest got lost.
                if self.assembly.as_ref().is_some_and(|assembly| assembly.unnumbered.is_some()) {
                    self.assembly = None;
                }
                Verdict::Refused
            }
        }
    }

    fn full(&mut self, update: Update, bytes: usize, limits: &Limits) -> Verdict {
        let start = Position { incarnation: update.incarnation, full: update.full, next_seq: 1 };
        if self.supersedes(start) {
            return Verdict::Superseded;
        }
        let assembly = match self.assembly.take() {
            Some(assembly) if assembly.start == start && !assembly.repeats(&update) => assembly,
            _ => Box::new(Assembly::new(start)),
        };
        let assembly = self.assembly.insert(assembly);
        match assembly.add(update, bytes, limits) {
            Progress::Complete => {
                let mut changes = Vec::with_capacity(assembly.changes);
                std::mem::take(&mut assembly.pieces).into_values().for_each(|piece| changes.extend(piece));
                self.held = Some(start);
                self.assembly = None;
                Verdict::Full(FullState::new(changes))
            }
            Progress::More => Verdict::Piece,
            Progress::Nothing => Verdict::Superseded,
            Progress::TooLarge { finished } => {
                if finished {
                    self.assembly = None;
                }
                Verdict::TooLarge
            }
        }
    }

    /// Whether what is held, or being put together, is of the same process and at least as new (held) or newer.
    fn supersedes(&self, start: Position) -> bool {
        let held = self.held.is_some_and(|held| {
            held.incarnation == start.incarnation && start.full.is_some() && start.full <= held.full
        });
        held || self.assembly.as_ref().is_some_and(|assembly| {
            assembly.start.incarnation == start.incarnation && start.full < assembly.start.full
        })
    }
}

/// A full state that arrives in pieces.
#[derive(Debug)]
struct Assembly {
    start: Position,
    pieces: BTreeMap<u64, Vec<WireChange>>,
    /// The number of the last piece, once that came.
    last: Option<u64>,
    changes: usize,
    bytes: usize,
    /// The rows so far, where pieces carry no numbers; `None` where they do.
    unnumbered: Option<HashSet<RowId>>,
    overflown: bool,
}

enum Progress {
    Complete,
    More,
    Nothing,
    TooLarge { finished: bool },
}

impl Assembly {
    fn new(start: Position) -> Self {
        Self {
            start,
            pieces: BTreeMap::new(),
            last: None,
            changes: 0,
            bytes: 0,
            unnumbered: None,
            overflown: false,
        }
    }

    /// Whether an update without a number starts another full state: it brings a row that this one already has.
    fn repeats(&self, update: &Update) -> bool {
        let rows = self.unnumbered.as_ref();
        rows.is_some_and(|rows| update.changes.iter().any(|change| rows.contains(&change.row)))
    }

    fn add(&mut self, update: Update, bytes: usize, limits: &Limits) -> Progress {
        if update.piece.is_none() {
            self.unnumbered.get_or_insert_default();
        }
        let piece = update.piece.unwrap_or(self.pieces.len() as u64);
        if self.pieces.contains_key(&piece) {
            return Progress::Nothing;
        }
        self.bytes = self.bytes.saturating_add(bytes);
        self.changes = self.changes.saturating_add(update.changes.len());
        if self.overflown || self.bytes > limits.full_bytes || self.changes > limits.full_rows {
            return self.overflow(!update.more);
        }
        if !update.more {
            self.last = Some(piece);
        }
        if let Some(rows) = &mut self.unnumbered {
            rows.extend(update.changes.iter().map(|change| change.row.clone()));
        }
        self.pieces.insert(piece, update.changes);
        if self.is_complete() { Progress::Complete } else { Progress::More }
    }

    /// Keeps nothing but the knowledge that the rest must not be taken for a whole.
    fn overflow(&mut self, finished: bool) -> Progress {
        let unnumbered = self.unnumbered.as_ref().map(|_| HashSet::new());
        *self = Self { unnumbered, overflown: true, ..Self::new(self.start) };
        Progress::TooLarge { finished }
    }

    fn is_complete(&self) -> bool {
        self.last.is_some_and(|last| {
            let highest = self.pieces.last_key_value().map(|(piece, _)| *piece);
            highest == Some(last) && self.pieces.len() as u64 == last.saturating_add(1)
        })
    }
}
