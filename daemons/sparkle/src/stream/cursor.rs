//! A watcher's place in the log.

use super::Seat;
use super::group::{Digest, Format, Group, Piece, StepKind, with_id};
use super::log::Log;
use serde_json::json;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How often a watcher hears something, at least: proxies close connections on which nothing happens for a minute. It
/// also carries the place in the log, so that a watcher whom nothing concerns can resume all the same.
const HEARTBEAT: Duration = Duration::from_secs(20);
/// How long a stream lasts: whoever watches has to show again who he is. He resumes, and misses nothing.
const STREAM_MAX: Duration = Duration::from_secs(3_600);

/// The id of an event: which log, the event's number, and for whom it was written. What somebody saw with other rights
/// or other filters cannot be resumed: rows may have come into sight that never changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Id {
    pub(super) epoch: u32,
    pub(super) last: u64,
    pub(super) digest: Digest,
}

impl Id {
    /// One that no event has.
    pub(crate) const STRANGE: Self = Self { epoch: 0, last: 0, digest: Digest::NONE };
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{}-{}", self.epoch, self.last, self.digest)
    }
}

/// Not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no id of an event; leave it out to watch from now on")]
pub(crate) struct NoId;

impl FromStr for Id {
    type Err = NoId;

    fn from_str(text: &str) -> Result<Self, NoId> {
        let mut parts = text.split('-');
        let mut part = || parts.next().ok_or(NoId);
        let epoch = u32::from_str_radix(part()?, 16).map_err(|_| NoId)?;
        let last = part()?.parse().map_err(|_| NoId)?;
        let digest = Digest(u128::from_str_radix(part()?, 16).map_err(|_| NoId)?);
        if parts.next().is_some() { Err(NoId) } else { Ok(Self { epoch, last, digest }) }
    }
}

/// What a watcher has to do next.
#[derive(Debug)]
pub(crate) enum Next {
    /// Send this.
    Piece(Piece),
    /// Send this and close.
    Last(Option<Piece>),
}

/// See the module.
pub(crate) struct Cursor {
    _seat: Seat,
    log: Arc<Log>,
    group: Arc<Group>,
    head: watch::Receiver<u64>,
    /// The number of the next event to look at.
    from: u64,
    /// What to say before anything else.
    greeting: Option<Piece>,
    heard: Instant,
    until: Instant,
}

impl Cursor {
    pub(super) fn new(
        seat: Seat,
        log: Arc<Log>,
        group: Arc<Group>,
        head: watch::Receiver<u64>,
        after: Option<Id>,
    ) -> Self {
        let next = log.next();
        let own = |id: &Id| (id.epoch, id.digest) == (log.epoch(), group.digest()) && id.last < next;
        let from = after.map_or(next, |id| if own(&id) { id.last + 1 } else { 0 });
        let now = Instant::now();
        let (heard, until) = (now, now + STREAM_MAX);
        let mut cursor = Self { _seat: seat, log, group, head, from, greeting: None, heard, until };
        cursor.greeting = (from == next).then(|| cursor.heartbeat());
        cursor
    }

    /// Waits for what to do next.
    pub(crate) async fn next(&mut self) -> Next {
        if let Some(piece) = self.greeting.take() {
            return Next::Piece(piece);
        }
        loop {
            self.head.mark_unchanged();
            let step = self.group.step(&self.log, self.from);
            let moved = step.to > self.from;
            self.from = step.to;
            let piece = match step.kind {
                StepKind::Piece(piece) => piece,
                StepKind::Reset(why) => self.reset(why),
                StepKind::End => return Next::Last(None),
            };
            if !piece.is_empty() {
                self.heard = Instant::now();
                return Next::Piece(piece);
            }
            if moved {
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                changed = self.head.changed() => if changed.is_err() { return Next::Last(None) },
                () = tokio::time::sleep_until(self.heard + HEARTBEAT) => {
                    self.heard = Instant::now();
                    return Next::Piece(self.heartbeat());
                }
                () = tokio::time::sleep_until(self.until) => return Next::Last(Some(self.heartbeat())),
            }
        }
    }

    /// The last event that it has looked at.
    fn id(&self) -> Id {
        Id { epoch: self.log.epoch(), last: self.from.saturating_sub(1), digest: self.group.digest() }
    }

    fn heartbeat(&self) -> Piece {
        self.say("heartbeat", None)
    }

    fn reset(&self, why: &str) -> Piece {
        self.say("reset", Some(&format!("{why}; read anew what you want to know, then go on from here")))
    }

    /// Something that is no row. A heartbeat in Server-Sent Events has no data: clients take the id, and see no event.
    fn say(&self, word: &str, reason: Option<&str>) -> Piece {
        let id = self.id();
        let mut object = json!({"type": word});
        if let Some(reason) = reason {
            object["reason"] = json!(reason);
        }
        match (self.group.format(), reason) {
            (Format::Messages, _) => Piece::Messages([with_id(id, &object.to_string()).into()].into()),
            (Format::Sse, None) => Piece::Sse(format!("id: {id}\n\n").into()),
            (Format::Sse, Some(_)) => {
                Piece::Sse(format!("id: {id}\nevent: {word}\ndata: {object}\n\n").into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::log::events_of_tenants;
    use crate::stream::{Crowded, Streams, WATCHERS_OF_CALLER_MAX};
    use pony_core::document::{Caller, Tree, Watch};
    use pony_core::tables::new_state;
    use pony_state::Read;
    use std::collections::BTreeMap;

    fn streams(events_max: usize) -> (Streams, Arc<Log>, watch::Sender<u64>) {
        let tree = Arc::new(Tree::new(Arc::clone(new_state().unwrap().schema())).unwrap());
        let log = Arc::new(Log::new(7, events_max));
        let (head, woken) = watch::channel(log.next());
        (Streams::new(tree, Arc::clone(&log), woken), log, head)
    }

    fn watch_of(caller: Caller) -> Watch {
        let state = new_state().unwrap();
        let tree = Tree::new(Arc::clone(state.schema())).unwrap();
        Watch::new(&tree, &state, caller, &[], None).unwrap()
    }

    async fn text(cursor: &mut Cursor) -> String {
        match cursor.next().await {
            Next::Piece(Piece::Sse(bytes)) => String::from_utf8(bytes.to_vec()).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn whoever_is_too_slow_is_told_and_goes_on() {
        let (streams, log, _head) = streams(1_000);
        let watch = watch_of(Caller::alicorn("a@x"));
        let mut slow = streams.watch(watch.clone(), Format::Sse, None).unwrap();
        let mut quick = streams.watch(watch.clone(), Format::Sse, None).unwrap();
        assert!(text(&mut slow).await.starts_with("id: 00000007-0-"));
        assert!(text(&mut quick).await.starts_with("id: 00000007-0-"));
        for _ in 0..4 {
            log.append(events_of_tenants(400));
            assert_eq!(text(&mut quick).await.matches("\ndata: ").count(), 400);
        }
        let told = text(&mut slow).await;
        assert!(told.contains("event: reset\n") && told.starts_with("id: 00000007-1600-"), "{told}");
        log.append(events_of_tenants(1));
        assert_eq!(text(&mut slow).await, text(&mut quick).await);
        log.break_off();
        assert!(text(&mut quick).await.contains("event: reset"), "what was missed is missed by all");
        assert!(log.size().0 <= 1_000);
    }

    #[tokio::test]
    async fn one_resumes_where_he_was_but_not_as_another() {
        let (streams, log, _head) = streams(10);
        let watch = watch_of(Caller::alicorn("a@x"));
        let mut cursor = streams.watch(watch.clone(), Format::Sse, None).unwrap();
        text(&mut cursor).await;
        log.append(events_of_tenants(3));
        let told = text(&mut cursor).await;
        let ids: Vec<Id> = told.lines().filter_map(|line| line.strip_prefix("id: ")?.parse().ok()).collect();
        assert_eq!(ids.iter().map(|id| id.last).collect::<Vec<_>>(), [1, 2, 3]);
        let mut again = streams.watch(watch, Format::Messages, Some(ids[0])).unwrap();
        let Next::Piece(Piece::Messages(messages)) = again.next().await else { panic!("messages") };
        assert_eq!(messages.len(), 2);
        assert!(messages[0].starts_with(&format!("{{\"id\":\"{}\",", ids[1])), "{}", messages[0]);
        let other = watch_of(Caller::alicorn("b@x"));
        let mut other = streams.watch(other, Format::Sse, Some(ids[0])).unwrap();
        assert!(text(&mut other).await.contains("event: reset"));
        assert_eq!("x-1-2".parse::<Id>(), Err(NoId));
    }

    #[tokio::test]
    async fn streams_of_a_caller_are_bounded() {
        let (streams, ..) = streams(10);
        let caller = |email: &str| {
            let memberships = BTreeMap::new();
            watch_of(Caller::User { email: email.into(), alicorn: false, memberships })
        };
        let open = |email: &str| streams.watch(caller(email), Format::Sse, None);
        let mut held: Vec<Cursor> = (0..WATCHERS_OF_CALLER_MAX).map(|_| open("a@x").unwrap()).collect();
        assert_eq!(open("a@x").err(), Some(Crowded::Caller));
        assert!(open("b@x").is_ok());
        held.pop();
        assert!(open("a@x").is_ok());
    }
}
