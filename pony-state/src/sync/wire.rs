//! The five messages and their JSON text: the meaning of each, and writing them. Reading is in `decode`.

use super::row::{Part, Pkey, RowId, WireChange};
use super::source::SourceRow;
use crate::codec::{write_json, write_part};
use crate::read::AnyRow;
use crate::schema::PartKind;
use crate::value::Value;
use serde::Serialize;
use serde_json::Value as Json;
use std::fmt;
use std::io::Write as _;
use uuid::Uuid;

/// The version of the protocol that this code speaks. Later versions only add members.
pub const PROTO: u64 = 1;

/// A message of the state exchange.
///
/// ```
/// use pony_state::sync::{Limits, Message};
///
/// let text = r#"{"event":"sparkle-resync","epoch":7,"added-later":true}"#;
/// let message = Message::decode(text.as_bytes(), &Limits::default())?;
/// assert_eq!(message, Message::SparkleResync { epoch: Some(7) });
/// assert_eq!(message.encode(), r#"{"event":"sparkle-resync","epoch":7}"#);
/// # Ok::<(), pony_state::sync::DecodeError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// `sparkle-resync`: send me everything.
    SparkleResync {
        /// The sender's epoch; hosts refuse older ones.
        epoch: Option<u64>,
    },
    /// `twilight-resync`: send me everything.
    TwilightResync {
        /// The machine.
        uuid: Uuid,
    },
    /// `sparkle-update-state`: desired parts.
    SparkleUpdate {
        /// The sender's epoch; hosts refuse older ones.
        epoch: Option<u64>,
        /// What is new.
        update: Update,
    },
    /// `twilight-update-state`: current parts.
    TwilightUpdate {
        /// The machine.
        uuid: Uuid,
        /// What is new.
        update: Update,
    },
    /// `twilight-notify`: one-time events, outside the sequence.
    TwilightNotify {
        /// The machine.
        uuid: Uuid,
        /// The events.
        notifications: Vec<Notification>,
    },
}

/// What an `update-state` of either direction says.
///
/// ```
/// use pony_state::sync::{Limits, Message, Update};
/// use uuid::Uuid;
///
/// let update = Update { incarnation: Uuid::from_u128(2), seq: 5, full: Some(1), ..Update::default() };
/// let message = Message::SparkleUpdate { epoch: Some(1), update };
/// assert_eq!(Message::decode(message.encode().as_bytes(), &Limits::default())?, message);
/// # Ok::<_, pony_state::sync::DecodeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Update {
    /// The sender's process.
    pub incarnation: Uuid,
    /// 0: a full state (or a piece of one). Otherwise the number of this partial update since the full state.
    pub seq: u64,
    /// The version of the protocol, in full states.
    pub proto: Option<u64>,
    /// Which full state of this incarnation this is, or this partial update follows; counts from 1.
    pub full: Option<u64>,
    /// Which piece of a full state that is cut into several messages; counts from 0.
    pub piece: Option<u64>,
    /// Whether further pieces of the same full state follow.
    pub more: bool,
    /// The changes.
    pub changes: Vec<WireChange>,
}

/// A one-time event, such as the crash of an instance.
///
/// ```
/// use pony_state::sync::Notification;
///
/// let crash = Notification { instance: None, kind: "crash".into(), data: serde_json::json!({"signal": 6}) };
/// assert_eq!(serde_json::to_string(&crash)?, r#"{"type":"crash","data":{"signal":6}}"#);
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Notification {
    /// The instance concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<Uuid>,
    /// What happened, a word of the application's.
    #[serde(rename = "type")]
    pub kind: String,
    /// The circumstances.
    pub data: Json,
}

/// Who a message is from, as its text says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Sparkle { epoch: Option<u64> },
    Twilight { uuid: Uuid },
}

/// The names of the events.
pub(crate) mod event {
    pub(crate) const SPARKLE_RESYNC: &str = "sparkle-resync";
    pub(crate) const TWILIGHT_RESYNC: &str = "twilight-resync";
    pub(crate) const SPARKLE_UPDATE: &str = "sparkle-update-state";
    pub(crate) const TWILIGHT_UPDATE: &str = "twilight-update-state";
    pub(crate) const TWILIGHT_NOTIFY: &str = "twilight-notify";
}

impl Message {
    /// The message as JSON text.
    ///
    /// ```
    /// use pony_state::sync::Message;
    ///
    /// assert_eq!(Message::SparkleResync { epoch: None }.encode(), r#"{"event":"sparkle-resync"}"#);
    /// ```
    #[must_use]
    pub fn encode(&self) -> String {
        match self {
            Self::SparkleResync { epoch } => resync(Origin::Sparkle { epoch: *epoch }),
            Self::TwilightResync { uuid } => resync(Origin::Twilight { uuid: *uuid }),
            Self::SparkleUpdate { epoch, update } => update.encode(Origin::Sparkle { epoch: *epoch }),
            Self::TwilightUpdate { uuid, update } => update.encode(Origin::Twilight { uuid: *uuid }),
            Self::TwilightNotify { uuid, notifications } => {
                let mut list = ListWriter::notifications(*uuid);
                notifications.iter().for_each(|one| list.item(|text| write_json(one, text)));
                list.finish()
            }
        }
    }
}

impl Update {
    fn encode(&self, origin: Origin) -> String {
        let mut list = ListWriter::update(origin, self);
        for WireChange { row, kind, part } in &self.changes {
            list.item(|text| write_change(row, *kind, part.as_ref(), text));
        }
        list.finish_update(self.piece, self.more)
    }
}

/// The text of a resync request.
pub(crate) fn resync(origin: Origin) -> String {
    let event = origin.event(event::SPARKLE_RESYNC, event::TWILIGHT_RESYNC);
    format!(r#"{{"event":"{event}"{origin}}}"#)
}

impl Origin {
    fn event(self, sparkle: &'static str, twilight: &'static str) -> &'static str {
        match self {
            Self::Sparkle { .. } => sparkle,
            Self::Twilight { .. } => twilight,
        }
    }
}

/// As the member that says so, after the event.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sparkle { epoch: None } => Ok(()),
            Self::Sparkle { epoch: Some(epoch) } => write!(f, r#","epoch":{epoch}"#),
            Self::Twilight { uuid } => write!(f, r#","uuid":"{uuid}""#),
        }
    }
}

/// Room for a message of one row, in bytes: most are such.
const SHORT_BYTES: usize = 1 << 10;

/// Text with a list in it that grows item by item, so that a sender can cut it at the right length.
#[derive(Debug)]
pub(crate) struct ListWriter {
    text: Vec<u8>,
    count: usize,
}

impl ListWriter {
    /// A notification message up to its list.
    pub(crate) fn notifications(uuid: Uuid) -> Self {
        Self::new(format_args!(r#""event":"{}","uuid":"{uuid}","notifications""#, event::TWILIGHT_NOTIFY))
    }

    /// An update up to its changes. What is only known after them stands behind them.
    pub(crate) fn update(origin: Origin, update: &Update) -> Self {
        let event = origin.event(event::SPARKLE_UPDATE, event::TWILIGHT_UPDATE);
        let (incarnation, seq) = (update.incarnation, update.seq);
        let (proto, full) = (Member("proto", update.proto), Member("full", update.full));
        Self::new(format_args!(
            r#""event":"{event}"{origin},"incarnation":"{incarnation}","seq":{seq}{proto}{full},"changes""#
        ))
    }

    fn new(head: fmt::Arguments<'_>) -> Self {
        let mut text = Vec::with_capacity(SHORT_BYTES);
        // Memory does not fail to be written.
        let _ = write!(text, "{{{head}:[");
        Self { text, count: 0 }
    }

    /// Appends an item.
    pub(crate) fn item(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.text);
        self.text.push(b',');
        self.count += 1;
    }

    /// Takes the last item out again; `bytes` was the length before it.
    pub(crate) fn take_back(&mut self, bytes: usize) -> Vec<u8> {
        self.count -= 1;
        let mut item = self.text.split_off(bytes);
        item.pop();
        item
    }

    pub(crate) fn bytes(&self) -> usize {
        self.text.len()
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The text of a notification message.
    pub(crate) fn finish(self) -> String {
        self.finish_update(None, false)
    }

    /// The text of an update.
    pub(crate) fn finish_update(mut self, piece: Option<u64>, more: bool) -> String {
        if self.count > 0 {
            self.text.pop();
        }
        let more = if more { r#","more":true"# } else { "" };
        let _ = write!(self.text, "]{}{more}}}", Member("piece", piece));
        // Everything here was written as UTF-8; the fallback is what a reader refuses rather than misreads.
        String::from_utf8(self.text).unwrap_or_default()
    }
}

/// A member that may be absent, after others.
struct Member(&'static str, Option<u64>);

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.1.map_or(Ok(()), |value| write!(f, r#","{}":{value}"#, self.0))
    }
}

/// Appends a change of that part of a row; `None`: it is gone.
pub(crate) fn write_change(row: &RowId, kind: PartKind, part: Option<&Part>, text: &mut Vec<u8>) {
    write_head(&row.table, kind, |text| write_json(&row.pkey, text), text);
    text.extend_from_slice(part.map_or("null", Part::text).as_bytes());
    text.push(b']');
}

/// The same of a row that is to be sent with its part.
pub(crate) fn write_row(row: &SourceRow<'_>, kind: PartKind, text: &mut Vec<u8>) {
    match row {
        SourceRow::Part(row, part) => write_change(row, kind, Some(part), text),
        SourceRow::Row(row) => {
            write_head(row.def().name(), kind, |text| write_key(*row, text), text);
            write_part(*row, kind, text);
            text.push(b']');
        }
    }
}

fn write_head(table: &str, kind: PartKind, key: impl FnOnce(&mut Vec<u8>), text: &mut Vec<u8>) {
    text.push(b'[');
    write_json(table, text);
    text.push(b',');
    key(text);
    text.extend_from_slice(match kind {
        PartKind::Desired => br#","desired","#,
        PartKind::Current => br#","current","#,
    });
}

/// What [`Pkey::of`] gives, without making it where most keys are.
fn write_key(row: AnyRow<'_>, text: &mut Vec<u8>) {
    let alone = row.def().schema().key.len() == 1;
    match row.key_value(0) {
        value @ (Value::Uuid(_) | Value::Text(_)) if alone => value.write_json(text),
        _ => write_json(&Pkey::of(&row.key()), text),
    }
}
