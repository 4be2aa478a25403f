//! Reading messages: hand-written, so that an error names the member and what would have been right.

use super::bounds::Limits;
use super::row::{Pkey, RowId, WireChange};
use super::wire::{Message, Notification, Object, Update, event};
use crate::schema::PartKind;
use serde::Deserialize;
use serde_json::Value as Json;
use std::sync::Arc;
use uuid::Uuid;

/// Why a message could not be read. Nothing of such a message is used.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The text is too long.
    #[error("message of {bytes} bytes exceeds the {max} that are read")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// The text is not JSON.
    #[error("message is not JSON in UTF-8")]
    NotJson(#[source] serde_json::Error),
    /// The JSON is not an object.
    #[error("message is {found}, expected an object")]
    NotAnObject {
        /// The kind of JSON it is.
        found: &'static str,
    },
    /// The event is none of the five.
    #[error(
        "event {event:?} is unknown, expected sparkle- or twilight-resync, -update-state, or twilight-notify"
    )]
    UnknownEvent {
        /// What was there, cut to a sensible length.
        event: String,
    },
    /// A member is not there.
    #[error("{event}: {path} is missing, expected {expected}")]
    Absent {
        /// The event of the message.
        event: &'static str,
        /// Where.
        path: String,
        /// What belongs there.
        expected: &'static str,
    },
    /// A member has the wrong type or form.
    #[error("{event}: {path} is {found}, expected {expected}")]
    Wrong {
        /// The event of the message.
        event: &'static str,
        /// Where.
        path: String,
        /// What was there.
        found: String,
        /// What belongs there.
        expected: &'static str,
    },
    /// There are too many changes or notifications in one message.
    #[error("{event}: {path} has {count} items, at most {max} are read")]
    TooMany {
        /// The event of the message.
        event: &'static str,
        /// Which list.
        path: &'static str,
        /// Its length.
        count: usize,
        /// The bound.
        max: usize,
    },
    /// The third frame is not a Unix time.
    #[error("time frame is {found:?}, expected whole seconds since 1970 as decimal text")]
    Time {
        /// What was there, cut to a sensible length.
        found: String,
    },
    /// The event is one that only the other side sends.
    #[error("event {event} goes from this side to the peer, not the other way")]
    Direction {
        /// The event.
        event: &'static str,
    },
    /// A change is of the part that the receiver originates itself.
    #[error("changes[{index}] of row {row} writes the part that only its receiver may write")]
    ForeignPart {
        /// Which change.
        index: usize,
        /// Its row.
        row: String,
    },
    /// A full state is larger than what is put together for one peer.
    #[error("full state of more than {rows} rows or {bytes} bytes: the bounds of one peer")]
    FullTooLarge {
        /// The bound on rows.
        rows: usize,
        /// The bound on bytes.
        bytes: usize,
    },
}

/// How much of a wrong text an error quotes, in characters.
const QUOTE_CHARS_MAX: usize = 80;

impl Message {
    /// Reads a message from JSON text. Members that it does not know are ignored.
    ///
    /// # Errors
    /// When the text is too long, is not JSON, or a member is not what the protocol says; the error says which.
    pub fn decode(text: &[u8], limits: &Limits) -> Result<Self, DecodeError> {
        if text.len() > limits.message_bytes {
            return Err(DecodeError::TooLong { bytes: text.len(), max: limits.message_bytes });
        }
        match serde_json::from_slice(text).map_err(DecodeError::NotJson)? {
            Json::Object(object) => from_object(object, limits),
            other => Err(DecodeError::NotAnObject { found: kind_of(&other) }),
        }
    }

    /// The event's name.
    #[must_use]
    pub fn event(&self) -> &'static str {
        match self {
            Self::SparkleResync { .. } => event::SPARKLE_RESYNC,
            Self::TwilightResync { .. } => event::TWILIGHT_RESYNC,
            Self::SparkleUpdate { .. } => event::SPARKLE_UPDATE,
            Self::TwilightUpdate { .. } => event::TWILIGHT_UPDATE,
            Self::TwilightNotify { .. } => event::TWILIGHT_NOTIFY,
        }
    }
}

/// The `uuid` that a message claims, for finding its session; everything else in it is skipped unread.
///
/// # Errors
/// When the text is too long, is not a JSON object, or its `uuid` is not a UUID.
pub fn claimed_uuid(text: &[u8], limits: &Limits) -> Result<Option<Uuid>, DecodeError> {
    #[derive(Deserialize)]
    struct Claim {
        uuid: Option<Uuid>,
    }
    if text.len() > limits.message_bytes {
        return Err(DecodeError::TooLong { bytes: text.len(), max: limits.message_bytes });
    }
    serde_json::from_slice::<Claim>(text).map(|claim| claim.uuid).map_err(DecodeError::NotJson)
}

/// Reads the third frame.
pub(crate) fn unix_time(frame: &[u8]) -> Result<u64, DecodeError> {
    let text = std::str::from_utf8(frame).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| DecodeError::Time { found: quote(&String::from_utf8_lossy(frame)) })
}

fn from_object(mut object: Object, limits: &Limits) -> Result<Message, DecodeError> {
    let Some(Json::String(name)) = object.get("event") else {
        let event = object.get("event").map_or_else(|| "(none)".to_owned(), |json| quote(&json.to_string()));
        return Err(DecodeError::UnknownEvent { event });
    };
    let Some(event) = known_event(name) else {
        return Err(DecodeError::UnknownEvent { event: quote(name) });
    };
    let mut members = Members { event, object: &mut object };
    Ok(match event {
        event::SPARKLE_RESYNC => Message::SparkleResync { epoch: members.number("epoch")? },
        event::TWILIGHT_RESYNC => Message::TwilightResync { uuid: members.uuid("uuid")? },
        event::SPARKLE_UPDATE => {
            Message::SparkleUpdate { epoch: members.number("epoch")?, update: members.update(limits)? }
        }
        event::TWILIGHT_UPDATE => {
            Message::TwilightUpdate { uuid: members.uuid("uuid")?, update: members.update(limits)? }
        }
        _ => Message::TwilightNotify {
            uuid: members.uuid("uuid")?,
            notifications: members.notifications(limits)?,
        },
    })
}

fn known_event(name: &str) -> Option<&'static str> {
    let all = [
        event::SPARKLE_RESYNC,
        event::TWILIGHT_RESYNC,
        event::SPARKLE_UPDATE,
        event::TWILIGHT_UPDATE,
        event::TWILIGHT_NOTIFY,
    ];
    all.into_iter().find(|known| *known == name)
}

/// The members of a message that is being read.
struct Members<'a> {
    event: &'static str,
    object: &'a mut Object,
}

impl Members<'_> {
    fn absent(&self, path: impl Into<String>, expected: &'static str) -> DecodeError {
        DecodeError::Absent { event: self.event, path: path.into(), expected }
    }

    fn wrong(&self, path: impl Into<String>, found: &Json, expected: &'static str) -> DecodeError {
        let found = match found {
            Json::Array(_) | Json::Object(_) => kind_of(found).to_owned(),
            plain => quote(&plain.to_string()),
        };
        DecodeError::Wrong { event: self.event, path: path.into(), found, expected }
    }

    fn number(&self, name: &'static str) -> Result<Option<u64>, DecodeError> {
        match self.object.get(name) {
            None | Some(Json::Null) => Ok(None),
            Some(json) => {
                json.as_u64().map(Some).ok_or_else(|| self.wrong(name, json, "a whole number from 0"))
            }
        }
    }

    fn flag(&self, name: &'static str) -> Result<bool, DecodeError> {
        match self.object.get(name) {
            None | Some(Json::Null) => Ok(false),
            Some(Json::Bool(flag)) => Ok(*flag),
            Some(json) => Err(self.wrong(name, json, "true or false")),
        }
    }

    fn uuid(&self, name: &'static str) -> Result<Uuid, DecodeError> {
        let json = self.object.get(name).ok_or_else(|| self.absent(name, "a UUID"))?;
        as_uuid(json).ok_or_else(|| self.wrong(name, json, "a UUID"))
    }

    fn list(&mut self, name: &'static str, max: usize) -> Result<Vec<Json>, DecodeError> {
        match self.object.remove(name) {
            None => Err(self.absent(name, "a list")),
            Some(Json::Array(list)) if list.len() <= max => Ok(list),
            Some(Json::Array(list)) => {
                Err(DecodeError::TooMany { event: self.event, path: name, count: list.len(), max })
            }
            Some(json) => Err(self.wrong(name, &json, "a list")),
        }
    }

    fn update(&mut self, limits: &Limits) -> Result<Update, DecodeError> {
        let list = self.list("changes", limits.changes)?;
        let mut last_table: Arc<str> = "".into();
        let mut changes = Vec::with_capacity(list.len());
        for (index, json) in list.into_iter().enumerate() {
            changes.push(self.change(index, json, &mut last_table)?);
        }
        Ok(Update {
            incarnation: self.uuid("incarnation")?,
            seq: self.number("seq")?.ok_or_else(|| self.absent("seq", "a whole number from 0"))?,
            proto: self.number("proto")?,
            full: self.number("full")?,
            piece: self.number("piece")?,
            more: self.flag("more")?,
            changes,
        })
    }

    /// Reads one change. Consecutive changes to one table share its name's memory through `last_table`.
    fn change(&self, index: usize, json: Json, last_table: &mut Arc<str>) -> Result<WireChange, DecodeError> {
        const SHAPE: &str = "[table, pkey, \"desired\"|\"current\", part]";
        let items = match json {
            Json::Array(items) => <[Json; 4]>::try_from(items).map_err(Json::Array),
            other => Err(other),
        };
        let [table, pkey, kind, part] = items.map_err(|found| {
            let found = found.as_array().map_or_else(
                || kind_of(&found).to_owned(),
                |items| format!("a list of {} items", items.len()),
            );
            DecodeError::Wrong {
                event: self.event,
                path: format!("changes[{index}]"),
                found,
                expected: SHAPE,
            }
        })?;
        let path = |item: usize| format!("changes[{index}][{item}]");
        let name = table.as_str().ok_or_else(|| self.wrong(path(0), &table, "a table's name"))?;
        if **last_table != *name {
            *last_table = name.into();
        }
        let key = Pkey::from_json(&pkey)
            .ok_or_else(|| self.wrong(path(1), &pkey, "a string or a list of strings and whole numbers"))?;
        let kind = as_kind(&kind).ok_or_else(|| self.wrong(path(2), &kind, "\"desired\" or \"current\""))?;
        let part = match part {
            Json::Object(part) => Some(part),
            Json::Null => None,
            other => return Err(self.wrong(path(3), &other, "an object or null")),
        };
        Ok(WireChange { row: RowId::new(last_table.clone(), key), kind, part })
    }

    fn notifications(&mut self, limits: &Limits) -> Result<Vec<Notification>, DecodeError> {
        let list = self.list("notifications", limits.notifications)?;
        list.into_iter().enumerate().map(|(index, json)| self.notification(index, json)).collect()
    }

    fn notification(&self, index: usize, json: Json) -> Result<Notification, DecodeError> {
        let path = |member: &str| format!("notifications[{index}]{member}");
        let mut object = match json {
            Json::Object(object) => object,
            other => return Err(self.wrong(path(""), &other, "an object")),
        };
        let instance = match object.get("instance") {
            None | Some(Json::Null) => None,
            Some(json) => {
                Some(as_uuid(json).ok_or_else(|| self.wrong(path(".instance"), json, "a UUID or null"))?)
            }
        };
        let kind = match object.remove("type") {
            Some(Json::String(kind)) => kind,
            Some(other) => return Err(self.wrong(path(".type"), &other, "text")),
            None => return Err(self.absent(path(".type"), "text")),
        };
        let data = object.remove("data").ok_or_else(|| self.absent(path(".data"), "any JSON"))?;
        Ok(Notification { instance, kind, data })
    }
}

fn as_uuid(json: &Json) -> Option<Uuid> {
    json.as_str().and_then(|text| Uuid::try_parse(text).ok())
}

fn as_kind(json: &Json) -> Option<PartKind> {
    match json.as_str() {
        Some("desired") => Some(PartKind::Desired),
        Some("current") => Some(PartKind::Current),
        _ => None,
    }
}

fn kind_of(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "text",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}

fn quote(text: &str) -> String {
    text.chars().take(QUOTE_CHARS_MAX).collect()
}
