//! What the watchers of a group were told lately, put together once for all of them, wherever each of them is.

use super::cursor::Id;
use super::group::{Format, Piece, Step, StepKind, with_id};
use axum::extract::ws::Utf8Bytes;
use std::collections::VecDeque;
use std::fmt::Write;

/// What is kept of it, bytes: a group costs no more, and whoever is further behind is served without it.
const KEPT_BYTES: usize = 256 << 10;
/// The same in events: most may concern nobody of the group.
const KEPT_EVENTS: u64 = 8_192;
/// A piece of so many bytes is worth sending alone. Shorter ones are joined.
const ENOUGH_BYTES: usize = 16 << 10;
/// Bytes after which nothing more is joined.
const JOINED_BYTES: usize = 64 << 10;

/// See the module. Its stretches follow each other without a gap.
#[derive(Default)]
pub(super) struct Tape(VecDeque<Stretch>);

/// Consecutive events, as they are told.
#[derive(Debug)]
pub(super) struct Stretch {
    from: u64,
    to: u64,
    piece: Piece,
    /// Where in the piece each of the events begins; those that are not told take no room.
    starts: Vec<usize>,
}

impl Tape {
    /// What comes after a place, if that is kept.
    pub(super) fn step(&mut self, from: u64) -> Option<Step> {
        let at = self.0.partition_point(|it| it.to <= from);
        let stretch = self.0.get(at).filter(|it| it.from <= from)?;
        if stretch.after(from).bytes() < ENOUGH_BYTES {
            self.join(at);
        }
        self.0.get(at).map(|it| it.step(from))
    }

    /// Keeps what was put together after a place, unless newer things are there.
    pub(super) fn keep(&mut self, stretch: Stretch) {
        let end = self.0.back().map(|it| it.to);
        if stretch.from == stretch.to || end.is_some_and(|end| stretch.from < end) {
            return;
        }
        if end != Some(stretch.from) {
            self.0.clear();
        }
        let newest = stretch.to;
        self.0.push_back(stretch);
        let mut bytes: usize = self.0.iter().map(|it| it.piece.bytes()).sum();
        while let Some(oldest) = self.0.front().filter(|it| it.to < newest)
            && (bytes > KEPT_BYTES || newest - oldest.from > KEPT_EVENTS)
        {
            bytes -= oldest.piece.bytes();
            self.0.pop_front();
        }
    }

    /// Joins a stretch with those that follow it.
    fn join(&mut self, at: usize) {
        let mut bytes = 0;
        let fits = |it: &&Stretch| {
            bytes += it.piece.bytes();
            bytes <= JOINED_BYTES
        };
        let count = self.0.range(at..).take_while(fits).count();
        if count > 1 {
            let joined = Stretch::join(&self.0.drain(at..at + count).collect::<Vec<_>>());
            self.0.insert(at, joined);
        }
    }
}

impl Stretch {
    /// The place after it.
    pub(super) const fn to(&self) -> u64 {
        self.to
    }

    /// What comes after a place that is in it, or at its end.
    pub(super) fn step(&self, from: u64) -> Step {
        Step { to: self.to, kind: StepKind::Piece(self.after(from)) }
    }

    fn after(&self, from: u64) -> Piece {
        let number = usize::try_from(from - self.from).ok();
        let start = number.and_then(|number| self.starts.get(number));
        self.piece.after(start.copied().unwrap_or_else(|| self.piece.units()))
    }

    /// Of one at least, without a gap.
    fn join(stretches: &[Self]) -> Self {
        let (mut starts, mut units) = (Vec::new(), 0);
        for stretch in stretches {
            starts.extend(stretch.starts.iter().map(|start| start + units));
            units += stretch.piece.units();
        }
        let from = stretches.first().map_or(0, |it| it.from);
        let to = stretches.last().map_or(0, |it| it.to);
        let pieces: Vec<&Piece> = stretches.iter().map(|it| &it.piece).collect();
        Self { from, to, piece: Piece::join(&pieces), starts }
    }
}

/// Puts a stretch together.
pub(super) struct Writer {
    from: u64,
    starts: Vec<usize>,
    told: Told,
}

enum Told {
    Sse(String),
    Messages(Vec<Utf8Bytes>, usize),
}

impl Writer {
    pub(super) const fn new(format: Format, from: u64) -> Self {
        let told = match format {
            Format::Sse => Told::Sse(String::new()),
            Format::Messages => Told::Messages(Vec::new(), 0),
        };
        Self { from, starts: Vec::new(), told }
    }

    /// The place after what was taken so far.
    pub(super) const fn to(&self) -> u64 {
        self.from + self.starts.len() as u64
    }

    /// The next event, and how it is told, if it is.
    pub(super) fn take(&mut self, id: Id, event: Option<&str>) {
        match &mut self.told {
            Told::Sse(text) => {
                self.starts.push(text.len());
                if let Some(event) = event {
                    // Memory does not fail to be written. JSON has no line breaks of its own.
                    let _ = write!(text, "id: {id}\ndata: {event}\n\n");
                }
            }
            Told::Messages(messages, bytes) => {
                self.starts.push(messages.len());
                if let Some(event) = event {
                    let message = with_id(id, event);
                    *bytes += message.len();
                    messages.push(message.into());
                }
            }
        }
    }

    pub(super) const fn bytes(&self) -> usize {
        match &self.told {
            Told::Sse(text) => text.len(),
            Told::Messages(_, bytes) => *bytes,
        }
    }

    pub(super) fn finish(self) -> Stretch {
        let to = self.to();
        let piece = match self.told {
            Told::Sse(text) => Piece::Sse(text.into()),
            Told::Messages(messages, _) => Piece::Messages(messages.into()),
        };
        Stretch { from: self.from, to, piece, starts: self.starts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::group::Digest;

    /// Event number n is told in n % 4 kilobytes.
    fn event(number: u64) -> Option<String> {
        (!number.is_multiple_of(4))
            .then(|| format!("{{\"n\":{number},\"x\":\"{}\"}}", "x".repeat((number as usize % 4) << 10)))
    }

    fn stretch(format: Format, from: u64, to: u64) -> Stretch {
        let mut writer = Writer::new(format, from);
        for number in from..to {
            writer.take(Id { epoch: 1, last: number, digest: Digest::NONE }, event(number).as_deref());
        }
        assert_eq!(writer.to(), to);
        writer.finish()
    }

    fn told(step: &Step) -> Vec<String> {
        match &step.kind {
            StepKind::Piece(Piece::Sse(bytes)) => {
                std::str::from_utf8(bytes).unwrap().split_terminator("\n\n").map(str::to_owned).collect()
            }
            StepKind::Piece(Piece::Messages(messages)) => messages.iter().map(ToString::to_string).collect(),
            other => panic!("{other:?}"),
        }
    }

    /// Whatever the lengths of stretches, and from wherever one reads: all of it, in order, once.
    #[test]
    fn from_every_place_the_same_is_read() {
        for format in [Format::Sse, Format::Messages] {
            for lengths in [&[1_u64, 2, 3, 4, 5][..], &[1; 60], &[40, 1, 1, 1, 30]] {
                let mut tape = Tape::default();
                let mut at = 10;
                for length in lengths {
                    tape.keep(stretch(format, at, at + length));
                    at += length;
                }
                let all = told(&stretch(format, 10, at).step(10));
                // Joining changes what the next one finds.
                for from in (10..at).rev().chain(10..at) {
                    let (mut place, mut read) = (from, Vec::new());
                    while let Some(step) = tape.step(place) {
                        assert!(step.to > place);
                        read.extend(told(&step));
                        place = step.to;
                    }
                    assert_eq!(place, at);
                    let rest = (from..at).filter_map(event).count();
                    assert_eq!(read, all[all.len() - rest..]);
                }
            }
        }
    }

    #[test]
    fn it_stays_short_and_has_no_gaps() {
        let mut tape = Tape::default();
        for number in 0..2_000 {
            tape.keep(stretch(Format::Sse, number, number + 1));
            if number % 7 == 0 {
                tape.step(number.saturating_sub(20));
            }
            assert!(tape.0.iter().map(|it| it.piece.bytes()).sum::<usize>() <= KEPT_BYTES);
            assert!(tape.0.iter().zip(tape.0.iter().skip(1)).all(|(a, b)| a.to == b.from));
        }
        assert!(tape.step(0).is_none() && tape.step(2_000).is_none());
        // What an older place led to is not wanted; what comes after a gap replaces all.
        tape.keep(stretch(Format::Sse, 5, 9));
        assert!(tape.step(5).is_none() && tape.step(1_999).is_some());
        tape.keep(stretch(Format::Sse, 2_001, 2_002));
        assert!(tape.step(1_999).is_none() && tape.step(2_001).is_some());
        for number in 0..40 {
            let mut nothing = Writer::new(Format::Sse, 2_002 + number * 1_000);
            (0..1_000).for_each(|_| nothing.take(Id::STRANGE, None));
            tape.keep(nothing.finish());
        }
        assert!(tape.0.len() <= 9, "{}", tape.0.len());
    }
}
