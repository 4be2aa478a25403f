//! The five messages and their JSON text: the meaning of each, and writing them. Reading is in `decode`.

use super::row::WireChange;
use serde::Serialize;
use serde_json::{Map, Value as Json};
use std::fmt::Write as _;
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
    #[must_use]
    pub fn encode(&self) -> String {
        match self {
            Self::SparkleResync { epoch } => resync(Origin::Sparkle { epoch: *epoch }),
            Self::TwilightResync { uuid } => resync(Origin::Twilight { uuid: *uuid }),
            Self::SparkleUpdate { epoch, update } => update.encode(Origin::Sparkle { epoch: *epoch }),
            Self::TwilightUpdate { uuid, update } => update.encode(Origin::Twilight { uuid: *uuid }),
            Self::TwilightNotify { uuid, notifications } => {
                let mut writer = ListWriter::new(notify_head(*uuid));
                notifications.iter().for_each(|one| writer.push(&json_text(one)));
                writer.finish("]}")
            }
        }
    }
}

impl Update {
    fn encode(&self, origin: Origin) -> String {
        let mut writer = ListWriter::new(update_head(origin, self));
        self.changes.iter().for_each(|change| writer.push(&json_text(change)));
        writer.finish(update_tail(self.more))
    }
}

/// The text of a resync request.
pub(crate) fn resync(origin: Origin) -> String {
    let mut text = head(origin, event::SPARKLE_RESYNC, event::TWILIGHT_RESYNC);
    text.push('}');
    text
}

/// The text of a notification message up to its list.
pub(crate) fn notify_head(uuid: Uuid) -> String {
    format!(r#"{{"event":"{}","uuid":"{uuid}","notifications":["#, event::TWILIGHT_NOTIFY)
}

/// The text of an update up to its changes; the changes and `more` in `update` are not looked at.
pub(crate) fn update_head(origin: Origin, update: &Update) -> String {
    let mut text = head(origin, event::SPARKLE_UPDATE, event::TWILIGHT_UPDATE);
    let _ = write!(text, r#","incarnation":"{}","seq":{}"#, update.incarnation, update.seq);
    for (name, value) in [("proto", update.proto), ("full", update.full), ("piece", update.piece)] {
        if let Some(value) = value {
            let _ = write!(text, r#","{name}":{value}"#);
        }
    }
    text.push_str(r#","changes":["#);
    text
}

/// The text of an update after its changes.
pub(crate) fn update_tail(more: bool) -> &'static str {
    if more { r#"],"more":true}"# } else { "]}" }
}

fn head(origin: Origin, sparkle: &str, twilight: &str) -> String {
    match origin {
        Origin::Sparkle { epoch: None } => format!(r#"{{"event":"{sparkle}""#),
        Origin::Sparkle { epoch: Some(epoch) } => format!(r#"{{"event":"{sparkle}","epoch":{epoch}"#),
        Origin::Twilight { uuid } => format!(r#"{{"event":"{twilight}","uuid":"{uuid}""#),
    }
}

/// The JSON text of a value of this module, all of which have string keys and finite numbers.
pub(crate) fn json_text<T: Serialize>(value: &T) -> String {
    // Only non-string keys or a failing `Serialize` make an error here, and these types have neither;
    // the fallback is what a reader refuses rather than misreads.
    serde_json::to_string(value).unwrap_or_default()
}

/// Text with a list in it that grows item by item, so that a sender can cut it at the right length.
#[derive(Debug)]
pub(crate) struct ListWriter {
    text: String,
    count: usize,
}

impl ListWriter {
    pub(crate) fn new(head: String) -> Self {
        Self { text: head, count: 0 }
    }

    pub(crate) fn push(&mut self, item: &str) {
        if self.count > 0 {
            self.text.push(',');
        }
        self.text.push_str(item);
        self.count += 1;
    }

    pub(crate) fn bytes(&self) -> usize {
        self.text.len()
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn finish(mut self, tail: &str) -> String {
        self.text.push_str(tail);
        self.text
    }
}

/// A JSON object, as decoding walks through it.
pub(crate) type Object = Map<String, Json>;
