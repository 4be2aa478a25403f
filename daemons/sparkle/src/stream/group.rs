//! Watchers with the same rights who ask for the same: what they are told is put together once.

use super::cursor::Id;
use super::log::Log;
use super::tape::{Stretch, Tape, Writer};
use axum::body::Bytes;
use axum::extract::ws::Utf8Bytes;
use pony_core::document::{Event, Sight, Tree, Watch};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Events looked at for one piece: bounds the time for which others of the group wait for it.
const EVENTS_AT_ONCE: usize = 1_024;
/// Bytes after which a piece takes no further event.
const PIECE_BYTES: usize = 256 << 10;

/// What identifies a group: who watches, with which rights, and what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Digest(pub(super) u128);

impl Digest {
    /// Of nobody.
    pub(super) const NONE: Self = Self(0);

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
        self.units() == 0
    }

    /// Its length in what it can be cut into: bytes, or messages.
    pub(super) fn units(&self) -> usize {
        match self {
            Self::Sse(bytes) => bytes.len(),
            Self::Messages(messages) => messages.len(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Sse(bytes) => bytes.len(),
            Self::Messages(messages) => messages.iter().map(|it| it.as_str().len()).sum(),
        }
    }

    /// Without so many of the first units.
    pub(super) fn after(&self, units: usize) -> Self {
        match self {
            _ if units == 0 => self.clone(),
            Self::Sse(bytes) => Self::Sse(bytes.slice(units..)),
            Self::Messages(messages) => Self::Messages(messages[units..].into()),
        }
    }

    /// One after the other. All are of one format.
    pub(super) fn join(pieces: &[&Self]) -> Self {
        let (mut text, mut all) = (Vec::new(), Vec::new());
        for piece in pieces {
            match piece {
                Self::Sse(bytes) => text.extend_from_slice(bytes),
                Self::Messages(messages) => all.extend_from_slice(messages),
            }
        }
        match pieces.first() {
            Some(Self::Messages(_)) => Self::Messages(all.into()),
            Some(Self::Sse(_)) | None => Self::Sse(text.into()),
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
    tape: Mutex<Tape>,
}

impl Group {
    pub(super) fn new(tree: Arc<Tree>, watch: Watch, digest: Digest, format: Format) -> Self {
        Self { tree, watch, digest, format, tape: Mutex::default() }
    }

    pub(super) const fn digest(&self) -> Digest {
        self.digest
    }

    pub(super) const fn format(&self) -> Format {
        self.format
    }

    /// What comes after `from`. The first watcher who gets there puts it together, while the others wait.
    pub(super) fn step(&self, log: &Log, from: u64) -> Step {
        let mut tape = self.tape.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(step) = tape.step(from) {
            return step;
        }
        let Ok(events) = log.range(from, EVENTS_AT_ONCE) else {
            return Step { to: log.next(), kind: StepKind::Reset("events were missed") };
        };
        let (stretch, ends) = self.put_together(log.epoch(), from, &events);
        match ends.filter(|_| stretch.to() == from) {
            Some(kind) => Step { to: from + 1, kind },
            None => {
                let step = stretch.step(from);
                tape.keep(stretch);
                step
            }
        }
    }

    /// Up to an event that cannot be told, with what is to be done there. What was before is sent first.
    fn put_together(&self, epoch: u32, from: u64, events: &[Arc<Event>]) -> (Stretch, Option<StepKind>) {
        let mut writer = Writer::new(self.format, from);
        for event in events {
            let ends = self.watch.rights_changed(event).then_some(StepKind::End);
            let told = match self.watch.sight(&self.tree, event) {
                _ if ends.is_some() => return (writer.finish(), ends),
                Sight::Reset => return (writer.finish(), Some(StepKind::Reset("rows changed hands"))),
                Sight::Shown => Some(event.shown()),
                Sight::Gone => Some(event.gone()),
                Sight::Nothing => None,
            };
            writer.take(Id { epoch, last: writer.to(), digest: self.digest }, told);
            if writer.bytes() >= PIECE_BYTES {
                break;
            }
        }
        (writer.finish(), None)
    }
}

/// An object with its id as its first member.
pub(super) fn with_id(id: Id, object: &str) -> String {
    let members = object.strip_prefix('{').unwrap_or_default();
    format!("{{\"id\":\"{id}\",{members}")
}
