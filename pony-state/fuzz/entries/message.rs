//! Any bytes as messages, one per line, to both ends of a relation in the middle of its life. The first byte says what is
//! between the lines: time, changes of one's own.

use pony_state::sync::{
    DecodeError, Event, Held, Limits, Message, Now, Part, Pkey, Role, RowId, Session, Source, SourceRow,
    claimed_uuid,
};
use pony_state::sync::{FullRows, Update};
use pony_state::{ColumnSchema, ColumnType, KeyColumns, PartKind, Read, State, TableSchema};
use serde::de::IgnoredAny;
use std::collections::BTreeMap;
use uuid::Uuid;

/// The machine that messages may come from.
pub(crate) const MACHINE: Uuid = Uuid::from_u128(0x9ece_4546_1199_42b0_acf5_1b68_f393_683a);
/// The process whose full state 1 is held.
pub(crate) const PROCESS: Uuid = Uuid::from_u128(0x35a4_46d6_6f8b_40bb_ac13_17ee_df2e_7c3e);

const LIMITS: Limits = Limits {
    message_bytes: 8 << 10,
    cut_bytes: 1 << 10,
    changes: 8,
    pending_rows: 4,
    full_rows: 16,
    full_bytes: 16 << 10,
    notifications: 4,
};

#[derive(Default)]
struct Rows(BTreeMap<RowId, Part>);

impl Source for Rows {
    fn row(&self, row: &RowId) -> Option<SourceRow<'_>> {
        self.0.get(row).map(|part| SourceRow::Part(row.clone(), part.clone()))
    }

    fn full(&self) -> Box<dyn FullRows> {
        Box::new(self.0.clone().into_iter())
    }
}

/// One end, what it tells, and what it holds of the other.
struct End {
    session: Session,
    rows: Rows,
    mirror: BTreeMap<RowId, Part>,
    now: Now,
}

impl End {
    fn new(role: Role) -> Self {
        let now = Now { ms: 0, unix_s: 1_000 };
        let session = Session::new(role, Uuid::from_u128(7), LIMITS, now);
        let mut end = Self { session, rows: Rows::default(), mirror: BTreeMap::new(), now };
        let update = Update { incarnation: PROCESS, full: Some(1), ..Update::default() };
        let first = match role {
            Role::Sparkle { .. } => Message::TwilightUpdate { uuid: MACHINE, update },
            Role::Peer { .. } => Message::SparkleUpdate { epoch: None, update },
        };
        end.hear(first.encode().as_bytes());
        assert!(end.session.remote().is_some(), "the full state was taken");
        end
    }

    /// Hears a message; whatever it is, it is counted once, and changes nothing unless it was taken.
    fn hear(&mut self, body: &[u8]) {
        let (before, place) = (self.session.counters(), self.session.remote());
        self.session.handle_message(body, self.now.unix_s, self.now);
        let after = self.session.counters();
        let dropped =
            |it: pony_state::sync::Counters| it.malformed + it.old_epoch + it.foreign_uuid + it.overrun;
        let taken = after.received - before.received;
        assert!(taken + dropped(after) - dropped(before) >= 1, "a message that nobody counted");
        let accepted =
            after.fulls_accepted + after.partials_accepted - before.fulls_accepted - before.partials_accepted;
        assert!(accepted > 0 || self.session.remote() == place, "a place that nobody took");
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(event) = self.session.poll_event() {
            let changes = match event {
                Event::Changes(changes) => changes,
                Event::Full(full) => {
                    let held: Vec<_> = self.mirror.keys().cloned().collect();
                    let kind = full.changes().first().map_or(PartKind::Desired, |it| it.kind);
                    full.diff(kind, held, |row, part| match self.mirror.get(row) {
                        Some(held) if held == part => Held::Same,
                        _ => Held::Different,
                    })
                }
                _ => continue,
            };
            for change in changes {
                if let Some(part) = &change.part {
                    read_both_ways(part);
                }
                match change.part {
                    Some(part) => drop(self.mirror.insert(change.row, part)),
                    None => drop(self.mirror.remove(&change.row)),
                }
            }
        }
    }

    /// Lets it say what it has to say, which must be readable.
    fn talk(&mut self) {
        let mut messages = 0;
        while let Some(frames) = self.session.poll_transmit(self.now, &self.rows) {
            assert!(frames.body.len() <= LIMITS.message_bytes, "a message of {} bytes", frames.body.len());
            Message::decode(frames.body.as_bytes(), &LIMITS).expect("what is sent can be read");
            messages += 1;
            assert!(messages < 100, "talks without end");
        }
        assert!(self.session.pending_rows() <= LIMITS.pending_rows);
        self.drain();
    }

    fn live(&mut self, byte: u8) {
        if byte & 1 > 0 {
            let passed_ms = u64::from(byte) * 100;
            self.now = Now { ms: self.now.ms + passed_ms, unix_s: self.now.unix_s + passed_ms / 1000 };
            self.session.handle_timeout(self.now);
        }
        if byte & 2 > 0 {
            let row = RowId::new("t", Pkey::one(&(byte >> 4).to_string()));
            self.rows.0.insert(row.clone(), Part::from(&serde_json::Map::new()));
            self.session.changed(&row);
        }
        if byte & 4 > 0 {
            self.session.handle_connected(self.now);
        }
        self.talk();
    }
}

/// A part means the same whether it is read from its text or from a tree.
fn read_both_ways(part: &Part) {
    thread_local! {
        static STATE: State = state();
    }
    STATE.with(|state| {
        let table = state.any("t").expect("declared below");
        let text = table.def().part_from_text(PartKind::Desired, part.text(), KeyColumns::Ignore);
        match part.columns() {
            Ok(columns) => {
                let tree = table.def().part_from_columns(PartKind::Desired, &columns, KeyColumns::Ignore);
                // Of a member that comes twice, a tree knows the last one only.
                if text != tree {
                    let written = serde_json::Value::from(columns).to_string();
                    let again = table.def().part_from_text(PartKind::Desired, &written, KeyColumns::Ignore);
                    assert_eq!(again, tree, "{}", part.text());
                }
            }
            Err(_) => assert!(text.is_err(), "{}", part.text()),
        }
    });
}

fn state() -> State {
    let types = [
        ("bool", ColumnType::Bool),
        ("mem", ColumnType::Int),
        ("float", ColumnType::Float),
        ("tenant", ColumnType::Uuid),
        ("name", ColumnType::Text),
        ("word", ColumnType::Enum(vec!["on".into(), "off".into()])),
        ("addr", ColumnType::Inet),
        ("net", ColumnType::Cidr),
        ("mac", ColumnType::Mac),
        ("range", ColumnType::Range),
        ("json", ColumnType::Json),
        ("ns", ColumnType::List(Box::new(ColumnType::Text))),
    ];
    let columns: Vec<_> =
        types.into_iter().map(|(name, ty)| ColumnSchema::new(name, ty).nullable()).collect();
    let table = TableSchema::new("t").key(ColumnSchema::new("uuid", ColumnType::Text)).desired(columns);
    State::builder().table_dyn(table).build().expect("a schema")
}

/// What can be read can be written, and read again as the same.
fn decode(body: &[u8]) {
    let message = match Message::decode(body, &LIMITS) {
        Ok(message) => message,
        Err(DecodeError::NotJson(_) | DecodeError::NotUtf8(_) | DecodeError::TooLong { .. }) => return,
        Err(error) => {
            assert!(serde_json::from_slice::<IgnoredAny>(body).is_ok(), "{error}");
            return;
        }
    };
    assert!(serde_json::from_slice::<IgnoredAny>(body).is_ok(), "what was read is JSON");
    // Other forms of a UUID are shorter than the one that is written.
    let room = Limits { message_bytes: 2 * LIMITS.message_bytes, ..LIMITS };
    let again = Message::decode(message.encode().as_bytes(), &room);
    assert_eq!(again.expect("what is written can be read"), message);
    let claimed = match message {
        Message::SparkleResync { .. } | Message::SparkleUpdate { .. } => return,
        Message::TwilightResync { uuid }
        | Message::TwilightUpdate { uuid, .. }
        | Message::TwilightNotify { uuid, .. } => uuid,
    };
    assert_eq!(claimed_uuid(body, &LIMITS).expect("readable"), Some(claimed));
}

/// The entry of the target.
pub(crate) fn run(data: &[u8]) {
    let Some((life, lines)) = data.split_first() else { return };
    let roles = [Role::Sparkle { peer: MACHINE, epoch: 3 }, Role::Peer { uuid: MACHINE, epoch_highest: 0 }];
    let mut ends = roles.map(End::new);
    for (place, line) in lines.split(|byte| *byte == b'\n').take(64).enumerate() {
        decode(line);
        for end in &mut ends {
            end.hear(line);
            end.live(life.rotate_left(place as u32));
        }
    }
}
