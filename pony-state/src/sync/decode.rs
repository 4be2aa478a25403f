//! Reading messages: an error names the member, and what would have been right. One pass finds the pieces of the
//! text; parts among them are not looked into.

use super::bounds::Limits;
use super::row::{KeyPart, Part, Pkey, RowId, WireChange};
use super::wire::{Message, Notification, Update, event};
use crate::schema::PartKind;
use crate::value::Text;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value as Json;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::str::Utf8Error;
use std::sync::Arc;
use uuid::Uuid;

/// Why a message could not be read. Nothing of such a message is used.
///
/// ```
/// use pony_state::sync::{DecodeError, Limits, Message};
///
/// let error: DecodeError = Message::decode(b"[]", &Limits::default()).unwrap_err();
/// assert!(matches!(error, DecodeError::NotAnObject { .. }));
/// ```
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
    /// The text is not UTF-8.
    #[error("message is not UTF-8")]
    NotUtf8(#[source] Utf8Error),
    /// The text is not JSON, or an object in it holds a member twice.
    #[error("message is not JSON")]
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
    ///
    /// ```
    /// use pony_state::sync::{Limits, Message};
    ///
    /// let message = Message::decode(br#"{"event":"sparkle-resync","epoch":7}"#, &Limits::default())?;
    /// assert_eq!(message, Message::SparkleResync { epoch: Some(7) });
    /// assert!(Message::decode(br#"{"event":"sparkle-resync","epoch":"x"}"#, &Limits::default()).is_err());
    /// # Ok::<_, pony_state::sync::DecodeError>(())
    /// ```
    pub fn decode(text: &[u8], limits: &Limits) -> Result<Self, DecodeError> {
        if text.len() > limits.message_bytes {
            return Err(DecodeError::TooLong { bytes: text.len(), max: limits.message_bytes });
        }
        let text = std::str::from_utf8(text).map_err(DecodeError::NotUtf8)?;
        let found = kind_of(text.trim_ascii_start());
        if found != kind_of("{") {
            serde_json::from_str::<IgnoredAny>(text).map_err(DecodeError::NotJson)?;
            return Err(DecodeError::NotAnObject { found });
        }
        match serde_json::from_str::<Members<'_, Vec<Items<'_>>>>(text) {
            Ok(members) => members.message(text, limits),
            Err(error) => Err(explain(text, error)),
        }
    }

    /// The event's name.
    ///
    /// ```
    /// assert_eq!(pony_state::sync::Message::SparkleResync { epoch: None }.event(), "sparkle-resync");
    /// ```
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
///
/// ```
/// use pony_state::sync::{Limits, claimed_uuid};
/// use uuid::Uuid;
///
/// let text = br#"{"event":"twilight-resync","uuid":"00000000-0000-0000-0000-000000000001"}"#;
/// assert_eq!(claimed_uuid(text, &Limits::default())?, Some(Uuid::from_u128(1)));
/// # Ok::<_, pony_state::sync::DecodeError>(())
/// ```
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

/// One change as it stands in the text: table, key, kind, part.
type Items<'a> = [&'a RawValue; 4];

/// The members of a message, each as it stands in the text; null as if it were not there.
#[derive(Deserialize)]
#[serde(bound(deserialize = "C: Deserialize<'de>"))]
struct Members<'a, C> {
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    #[serde(borrow)]
    uuid: Option<&'a RawValue>,
    #[serde(borrow)]
    epoch: Option<&'a RawValue>,
    #[serde(borrow)]
    incarnation: Option<&'a RawValue>,
    #[serde(borrow)]
    seq: Option<&'a RawValue>,
    #[serde(borrow)]
    proto: Option<&'a RawValue>,
    #[serde(borrow)]
    full: Option<&'a RawValue>,
    #[serde(borrow)]
    piece: Option<&'a RawValue>,
    #[serde(borrow)]
    more: Option<&'a RawValue>,
    #[serde(borrow)]
    notifications: Option<&'a RawValue>,
    changes: Option<C>,
}

impl<C> Members<'_, C> {
    fn event(&self) -> Result<&'static str, DecodeError> {
        let raw = self.event.map_or("(none)", RawValue::get);
        let name = self.event.and_then(text_of).unwrap_or_else(|| raw.into());
        known_event(&name).ok_or_else(|| DecodeError::UnknownEvent { event: quote(&name) })
    }
}

impl Members<'_, Vec<Items<'_>>> {
    fn message(self, text: &str, limits: &Limits) -> Result<Message, DecodeError> {
        let event = self.event()?;
        let reader = Reader { event };
        let epoch = || reader.number("epoch", self.epoch);
        let uuid = || reader.uuid("uuid", self.uuid);
        Ok(match event {
            event::SPARKLE_RESYNC => Message::SparkleResync { epoch: epoch()? },
            event::TWILIGHT_RESYNC => Message::TwilightResync { uuid: uuid()? },
            event::SPARKLE_UPDATE => {
                Message::SparkleUpdate { epoch: epoch()?, update: self.update(reader, text, limits)? }
            }
            event::TWILIGHT_UPDATE => {
                Message::TwilightUpdate { uuid: uuid()?, update: self.update(reader, text, limits)? }
            }
            _ => {
                let notifications = reader.notifications(self.notifications, limits)?;
                Message::TwilightNotify { uuid: uuid()?, notifications }
            }
        })
    }

    fn update(&self, reader: Reader, text: &str, limits: &Limits) -> Result<Update, DecodeError> {
        let list = self.changes.as_ref().ok_or_else(|| reader.absent("changes", "a list"))?;
        reader.check_count("changes", list.len(), limits.changes)?;
        let mut changes = Vec::with_capacity(list.len());
        let mut shared = Shared::of(if list.is_empty() { "" } else { text });
        for (index, items) in list.iter().enumerate() {
            changes.push(reader.change(index, *items, &mut shared)?);
        }
        let seq = reader.number("seq", self.seq)?;
        Ok(Update {
            incarnation: reader.uuid("incarnation", self.incarnation)?,
            seq: seq.ok_or_else(|| reader.absent("seq", "a whole number from 0"))?,
            proto: reader.number("proto", self.proto)?,
            full: reader.number("full", self.full)?,
            piece: reader.number("piece", self.piece)?,
            more: reader.flag("more", self.more)?,
            changes,
        })
    }
}

/// What is wrong with a text that is not even of the right shape.
fn explain(text: &str, error: serde_json::Error) -> DecodeError {
    let members: Members<'_, &RawValue> = match serde_json::from_str(text) {
        Ok(members) => members,
        Err(error) => return DecodeError::NotJson(error),
    };
    let event = match members.event() {
        Ok(event) => event,
        Err(error) => return error,
    };
    let Some(changes) = members.changes else { return DecodeError::NotJson(error) };
    let wrong = |path: String, found: String, expected| DecodeError::Wrong { event, path, found, expected };
    let Ok(list) = serde_json::from_str::<Vec<&RawValue>>(changes.get()) else {
        return wrong("changes".into(), kind_of(changes.get()).into(), "a list");
    };
    for (index, change) in list.into_iter().enumerate() {
        let found = match serde_json::from_str::<Vec<&RawValue>>(change.get()) {
            Ok(items) if items.len() == 4 => continue,
            Ok(items) => format!("a list of {} items", items.len()),
            Err(_) => kind_of(change.get()).to_owned(),
        };
        return wrong(format!("changes[{index}]"), found, "[table, pkey, \"desired\"|\"current\", part]");
    }
    DecodeError::NotJson(error)
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

/// What the changes of a message share.
struct Shared<'a> {
    text: &'a str,
    /// The same, for parts to keep.
    message: Text,
    /// The table of the last change: the name as it stands in the text, and what it means.
    table: (&'a str, Text),
}

impl<'a> Shared<'a> {
    fn of(text: &'a str) -> Self {
        let message: Text = text.into();
        Self { text, table: ("", message.clone()), message }
    }

    /// The part that a piece of the text is.
    fn part(&self, raw: &'a RawValue) -> Part {
        let start = raw.get().as_ptr().addr().saturating_sub(self.text.as_ptr().addr());
        Part::within(&self.message, start, start + raw.get().len())
    }
}

/// Reads members of a message of this event.
#[derive(Clone, Copy)]
struct Reader {
    event: &'static str,
}

impl Reader {
    fn absent(self, path: impl Into<String>, expected: &'static str) -> DecodeError {
        DecodeError::Absent { event: self.event, path: path.into(), expected }
    }

    fn wrong(self, path: impl Into<String>, found: &str, expected: &'static str) -> DecodeError {
        let found = match found.as_bytes() {
            [b'[' | b'{', ..] => kind_of(found).to_owned(),
            _ => quote(found),
        };
        DecodeError::Wrong { event: self.event, path: path.into(), found, expected }
    }

    fn number(self, name: &'static str, raw: Option<&RawValue>) -> Result<Option<u64>, DecodeError> {
        let number = |raw: &RawValue| {
            raw.get().parse().map_err(|_| self.wrong(name, raw.get(), "a whole number from 0"))
        };
        raw.map(number).transpose()
    }

    fn flag(self, name: &'static str, raw: Option<&RawValue>) -> Result<bool, DecodeError> {
        match raw.map(RawValue::get) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(self.wrong(name, other, "true or false")),
        }
    }

    fn uuid(self, name: &'static str, raw: Option<&RawValue>) -> Result<Uuid, DecodeError> {
        let raw = raw.ok_or_else(|| self.absent(name, "a UUID"))?;
        let uuid = text_of(raw).and_then(|text| Uuid::try_parse(&text).ok());
        uuid.ok_or_else(|| self.wrong(name, raw.get(), "a UUID"))
    }

    fn check_count(self, path: &'static str, count: usize, max: usize) -> Result<(), DecodeError> {
        if count <= max { Ok(()) } else { Err(DecodeError::TooMany { event: self.event, path, count, max }) }
    }

    fn change<'a>(
        self,
        index: usize,
        [table, pkey, kind, part]: Items<'a>,
        shared: &mut Shared<'a>,
    ) -> Result<WireChange, DecodeError> {
        let wrong = |item: usize, raw: &RawValue, expected| {
            self.wrong(format!("changes[{index}][{item}]"), raw.get(), expected)
        };
        if shared.table.0 != table.get() {
            let name = text_of(table).ok_or_else(|| wrong(0, table, "a table's name"))?;
            shared.table = (table.get(), name.into());
        }
        let key =
            key_of(pkey).ok_or_else(|| wrong(1, pkey, "a string or a list of strings and whole numbers"))?;
        let kind = match text_of(kind).as_deref() {
            Some("desired") => PartKind::Desired,
            Some("current") => PartKind::Current,
            _ => return Err(wrong(2, kind, "\"desired\" or \"current\"")),
        };
        let part = match part.get().as_bytes() {
            [b'{', ..] => Some(shared.part(part)),
            b"null" => None,
            _ => return Err(wrong(3, part, "an object or null")),
        };
        Ok(WireChange { row: RowId::new(shared.table.1.clone(), key), kind, part })
    }

    fn notifications(
        self,
        raw: Option<&RawValue>,
        limits: &Limits,
    ) -> Result<Vec<Notification>, DecodeError> {
        let raw = raw.ok_or_else(|| self.absent("notifications", "a list"))?;
        let list: Vec<&RawValue> =
            serde_json::from_str(raw.get()).map_err(|_| self.wrong("notifications", raw.get(), "a list"))?;
        self.check_count("notifications", list.len(), limits.notifications)?;
        list.into_iter().enumerate().map(|(index, raw)| self.notification(index, raw)).collect()
    }

    fn notification(self, index: usize, raw: &RawValue) -> Result<Notification, DecodeError> {
        let path = |member: &str| format!("notifications[{index}]{member}");
        let Json::Object(mut object) = serde_json::from_str(raw.get()).map_err(DecodeError::NotJson)? else {
            return Err(self.wrong(path(""), raw.get(), "an object"));
        };
        let instance = match object.get("instance") {
            None | Some(Json::Null) => None,
            Some(json) => {
                let uuid = json.as_str().and_then(|text| Uuid::try_parse(text).ok());
                let wrong = || self.wrong(path(".instance"), &json.to_string(), "a UUID or null");
                Some(uuid.ok_or_else(wrong)?)
            }
        };
        let kind = match object.remove("type") {
            Some(Json::String(kind)) => kind,
            Some(other) => return Err(self.wrong(path(".type"), &other.to_string(), "text")),
            None => return Err(self.absent(path(".type"), "text")),
        };
        let data = object.remove("data").ok_or_else(|| self.absent(path(".data"), "any JSON"))?;
        Ok(Notification { instance, kind, data })
    }
}

/// The text that a JSON string stands for; `None` of other JSON.
fn text_of(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        return serde_json::from_str(raw.get()).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}

fn key_of(raw: &RawValue) -> Option<Pkey> {
    if let Some(text) = text_of(raw) {
        return Some(Pkey::one(&text));
    }
    let parts: Vec<&RawValue> = serde_json::from_str(raw.get()).ok()?;
    let part = |raw: &RawValue| match text_of(raw) {
        Some(text) => Some(KeyPart::text(&text)),
        None => raw.get().parse().ok().map(KeyPart::Int),
    };
    let parts = parts.into_iter().map(part).collect::<Option<Arc<[_]>>>()?;
    (!parts.is_empty()).then_some(Pkey::Many(parts))
}

/// The kind of JSON that a text is, by its first character.
fn kind_of(text: &str) -> &'static str {
    match text.as_bytes() {
        [b'n', ..] => "null",
        [b't' | b'f', ..] => "a boolean",
        [b'"', ..] => "text",
        [b'[', ..] => "a list",
        [b'{', ..] => "an object",
        _ => "a number",
    }
}

fn quote(text: &str) -> String {
    text.chars().take(QUOTE_CHARS_MAX).collect()
}
