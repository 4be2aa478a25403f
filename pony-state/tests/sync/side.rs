//! A single session with its rows and its clock, fed by hand.

use pony_state::PartKind;
use pony_state::sync::{
    Event, FullRows, Limits, Message, Now, Part, Pkey, Role, RowId, Session, Source, SourceRow, Update,
    WireChange,
};
use serde_json::json;
use std::collections::BTreeMap;
use uuid::Uuid;

pub(crate) const MACHINE: Uuid = Uuid::from_u128(1);
pub(crate) const OURS: Uuid = Uuid::from_u128(2);
pub(crate) const THEIRS: Uuid = Uuid::from_u128(3);
pub(crate) const NEXT: Uuid = Uuid::from_u128(4);
pub(crate) const UNIX_S: u64 = 1_700_000_000;

#[derive(Default)]
pub(crate) struct Rows(pub(crate) BTreeMap<RowId, Part>);

impl Source for Rows {
    fn row(&self, row: &RowId) -> Option<SourceRow<'_>> {
        self.0.get(row).map(|part| SourceRow::Part(row.clone(), part.clone()))
    }

    fn full(&self) -> Box<dyn FullRows> {
        Box::new(self.0.clone().into_iter())
    }
}

/// A session with its rows and its clock.
pub(crate) struct Side {
    pub(crate) session: Session,
    pub(crate) rows: Rows,
    pub(crate) now: Now,
}

pub(crate) fn at(ms: u64) -> Now {
    Now { ms, unix_s: UNIX_S + ms / 1000 }
}

pub(crate) fn row(key: &str) -> RowId {
    RowId::new("instance", Pkey::one(key))
}

pub(crate) fn part(value: u64) -> Part {
    Part::from(json!({ "value": value }).as_object().unwrap())
}

pub(crate) fn desired(key: &str, value: u64) -> WireChange {
    WireChange { row: row(key), kind: PartKind::Desired, part: Some(part(value)) }
}

pub(crate) fn update(incarnation: Uuid, seq: u64, changes: Vec<WireChange>) -> Update {
    Update { incarnation, seq, changes, ..Update::default() }
}

pub(crate) fn numbered(full: u64, seq: u64, changes: Vec<WireChange>) -> Update {
    Update { full: Some(full), ..update(THEIRS, seq, changes) }
}

impl Side {
    pub(crate) fn new(role: Role, limits: Limits) -> Self {
        Self { session: Session::new(role, OURS, limits, at(0)), rows: Rows::default(), now: at(0) }
    }

    pub(crate) fn peer() -> Self {
        Self::new(Role::Peer { uuid: MACHINE, epoch_highest: 0 }, Limits::default())
    }

    pub(crate) fn sparkle() -> Self {
        Self::new(Role::Sparkle { peer: MACHINE, epoch: 5 }, Limits::default())
    }

    pub(crate) fn wait(&mut self, ms: u64) -> &mut Self {
        self.now = at(self.now.ms + ms);
        self.session.handle_timeout(self.now);
        self
    }

    pub(crate) fn hear(&mut self, message: &Message) -> &mut Self {
        let time = self.now.unix_s.to_string();
        self.session.handle_frames(message.encode().as_bytes(), time.as_bytes(), self.now);
        self
    }

    /// Hears an update from Sparkle.
    pub(crate) fn told(&mut self, update: Update) -> &mut Self {
        self.hear(&Message::SparkleUpdate { epoch: None, update })
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.session.poll_event()).collect()
    }

    pub(crate) fn set(&mut self, key: &str, value: u64) {
        self.set_part(key, part(value));
    }

    pub(crate) fn set_part(&mut self, key: &str, part: Part) {
        self.rows.0.insert(row(key), part);
        self.session.changed(&row(key));
    }

    /// All that is to be sent.
    pub(crate) fn says(&mut self) -> Vec<Message> {
        let mut all = Vec::new();
        while let Some(frames) = self.session.poll_transmit(self.now, &self.rows) {
            assert_eq!(frames.sent_unix_s, self.now.unix_s);
            all.push(Message::decode(frames.body.as_bytes(), &Limits::default()).unwrap());
            assert!(all.len() < 1000, "talks without end");
        }
        all
    }

    /// The updates among all that is to be sent.
    pub(crate) fn updates(&mut self) -> Vec<Update> {
        let updates = self.says().into_iter().filter_map(|message| match message {
            Message::SparkleUpdate { update, .. } | Message::TwilightUpdate { update, .. } => Some(update),
            _ => None,
        });
        updates.collect()
    }

    /// How many resync requests are to be sent; nothing else is looked at.
    pub(crate) fn requests(&mut self) -> usize {
        self.says().iter().filter(|message| message.event().ends_with("-resync")).count()
    }

    /// A peer that has accepted a full state of Sparkle's and been asked for its own.
    pub(crate) fn settled(mut self) -> Self {
        self.told(update(THEIRS, 0, vec![desired("a", 1)]));
        self.hear(&Message::SparkleResync { epoch: None });
        self.says();
        self.events();
        self
    }
}

pub(crate) fn full_rows(event: &Event) -> BTreeMap<RowId, Part> {
    match event {
        Event::Full(full) => {
            full.changes().iter().map(|it| (it.row.clone(), it.part.clone().unwrap())).collect()
        }
        other => panic!("{other:?} instead of a full state"),
    }
}
