//! Watchers with the same rights who ask for the same: what they are told is put together once.

use super::cursor::Id;
use super::log::{Forgotten, Log};
use axum::body::Bytes;
use axum::extract::ws::Utf8Bytes;
use pony_core::document::{Event, Sight, Tree, Watch};
use sha2::{Digest as _, Sha256};
use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// Events looked at for one piece: bounds the time for which others of the group wait for it.
const EVENTS_AT_ONCE: usize = 1_024;
/// Bytes after which a piece takes no further event.
const PIECE_BYTES: usize = 256 << 10;

/// What identifies a group: who watches, with which rights, and what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Digest(pub(super) u128);

impl Digest {
    pub(super) fn of(watch: &Watch) -> Self {
        let hash = Sha256::digest(format!("{watch:?}").as_bytes());
        Self(hash.iter().take(16).fold(0, |all, byte| (all << 8) | u128::from(*byte)))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Format {
    /// As Server-Sent Events.
    Sse,
    /// As the texts of WebSocket messages.
    Messages,
}

/// What a watcher is to be sent next.
#[derive(Debug, Clone)]
pub(crate) enum Piece {
    /// A piece of a stream of Server-Sent Events.
    Sse(Bytes),
    /// Messages.
    Messages(Arc<[Utf8Bytes]>),
}

impl Piece {
    /// Whether nothing is in it.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Sse(bytes) => bytes.is_empty(),
            Self::Messages(messages) => messages.is_empty(),
        }
    }
}

/// What comes after a place in the log.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// The place after it.
    pub(super) to: u64,
    pub(super) kind: StepKind,
}

#[derive(Debug, Clone)]
pub(super) enum StepKind {
    /// To be sent; may be empty, where nothing of the log concerns the group.
    Piece(Piece),
    /// The watcher has to read anew.
    Reset(&'static str),
    /// What the watcher may see has changed: he has to come again, and show who he is.
    End,
}

/// See the module.
pub(crate) struct Group {
    tree: Arc<Tree>,
    watch: Watch,
    digest: Digest,
    format: Format,
    /// The step that was put together last, and from where.
    last: Mutex<Option<(u64, Step)>>,
}

impl Group {
    pub(super) fn new(tree: Arc<Tree>, watch: Watch, digest: Digest, format: Format) -> Self {
        Self { tree, watch, digest, format, last: Mutex::default() }
    }

    pub(super) const fn digest(&self) -> Digest {
        self.digest
    }

    pub(super) const fn format(&self) -> Format {
        self.format
    }

    /// What comes after `from`. Most watchers of a group are at the same place: the first of them puts it together
    /// while the others wait.
    pub(super) fn step(&self, log: &Log, from: u64) -> Step {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, step)) = last.as_ref().filter(|(at, step)| *at == from && step.to > from) {
            return step.clone();
        }
        let step = match log.range(from, EVENTS_AT_ONCE) {
            Ok(events) => self.put_together(log.epoch(), from, &events),
            Err(Forgotten) => Step { to: log.next(), kind: StepKind::Reset("events were missed") },
        };
        // Those who lag do not drive out what all others want.
        if last.as_ref().is_none_or(|(at, _)| *at <= from) {
            *last = Some((from, step.clone()));
        }
        step
    }

    fn put_together(&self, epoch: u32, from: u64, events: &[Arc<Event>]) -> Step {
        let mut writer = PieceWriter::new(self.format);
        let mut to = from;
        for event in events {
            let id = Id { epoch, last: to, digest: self.digest };
            let ends = self.watch.rights_changed(event).then_some(StepKind::End);
            let sight = self.watch.sight(&self.tree, event);
            let resets = (sight == Sight::Reset).then_some(StepKind::Reset("rows changed hands"));
            if let Some(kind) = ends.or(resets) {
                // What was before is sent first.
                return if to > from { writer.finish(to) } else { Step { to: to + 1, kind } };
            }
            match sight {
                Sight::Shown => writer.put(id, event.shown()),
                Sight::Gone => writer.put(id, event.gone()),
                Sight::Nothing | Sight::Reset => {}
            }
            to += 1;
            if writer.len() >= PIECE_BYTES {
                break;
            }
        }
        writer.finish(to)
    }
}

/// Writes a piece.
enum PieceWriter {
    Sse(String),
    Messages(Vec<Utf8Bytes>, usize),
}

impl PieceWriter {
    const fn new(format: Format) -> Self {
        match format {
            Format::Sse => Self::Sse(String::new()),
            Format::Messages => Self::Messages(Vec::new(), 0),
        }
    }

    fn put(&mut self, id: Id, event: &str) {
        match self {
            Self::Sse(text) => {
                // Memory does not fail to be written. JSON has no line breaks of its own.
                let _ = write!(text, "id: {id}\ndata: {event}\n\n");
            }
            Self::Messages(messages, bytes) => {
                let message = with_id(id, event);
                *bytes += message.len();
                messages.push(message.into());
            }
        }
    }

    const fn len(&self) -> usize {
        match self {
            Self::Sse(text) => text.len(),
            Self::Messages(_, bytes) => *bytes,
        }
    }

    fn finish(self, to: u64) -> Step {
        let piece = match self {
            Self::Sse(text) => Piece::Sse(text.into()),
            Self::Messages(messages, _) => Piece::Messages(messages.into()),
        };
        Step { to, kind: StepKind::Piece(piece) }
    }
}

/// An object with its id as its first member.
pub(super) fn with_id(id: Id, object: &str) -> String {
    let members = object.strip_prefix('{').unwrap_or_default();
    format!("{{\"id\":\"{id}\",{members}")
}
