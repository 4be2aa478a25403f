//! Reading messages: an error names the member, and what would have been right. One pass finds the pieces of the
//! text; parts among them are not looked into.

use super::bounds::Limits;
use super::row::{KeyPart, Part, Pkey, RowId, WireChange};
use super::scan::Scanner;
use super::wire::{Message, Notification, Update, event};
use crate::schema::PartKind;
use crate::value::Text;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value as Json;
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
        Members::scan(text).ok_or_else(|| not_json(text))?.message(text, limits)
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

/// What is wrong with a text that is not a message's.
fn not_json(text: &str) -> DecodeError {
    let error = serde_json::from_str::<IgnoredAny>(text).err();
    let other = || serde::de::Error::custom("a member comes twice, or values lie too deep in each other");
    DecodeError::NotJson(error.unwrap_or_else(other))
}

/// One change as it stands in the text: table, key, kind, part.
type Items<'a> = [&'a str; 4];

/// The first change that is not a list of four, or that there is no list of them: where, and what is there.
type Misshapen = (String, String);

/// The members of a message, each as it stands in the text; null as if it were not there.
#[derive(Default)]
struct Members<'a> {
    event: Option<&'a str>,
    uuid: Option<&'a str>,
    epoch: Option<&'a str>,
    incarnation: Option<&'a str>,
    seq: Option<&'a str>,
    proto: Option<&'a str>,
    full: Option<&'a str>,
    piece: Option<&'a str>,
    more: Option<&'a str>,
    notifications: Option<&'a str>,
    changes: Option<Result<Vec<Items<'a>>, Misshapen>>,
}

impl<'a> Members<'a> {
    /// Finds them; `None` where the text is not JSON, or has one twice.
    fn scan(text: &'a str) -> Option<Self> {
        let mut members = Self::default();
        let mut seen = 0_u16;
        let mut scanner = Scanner::new(text);
        scanner.object(|scanner, name| {
            let name = text_of(name)?;
            let (bit, slot) = match &*name {
                "changes" => {
                    members.changes = scan_changes(scanner)?;
                    let again = seen & 1 > 0;
                    seen |= 1;
                    return (!again).then_some(());
                }
                "event" => (1, &mut members.event),
                "uuid" => (2, &mut members.uuid),
                "epoch" => (3, &mut members.epoch),
                "incarnation" => (4, &mut members.incarnation),
                "seq" => (5, &mut members.seq),
                "proto" => (6, &mut members.proto),
                "full" => (7, &mut members.full),
                "piece" => (8, &mut members.piece),
                "more" => (9, &mut members.more),
                "notifications" => (10, &mut members.notifications),
                _ => return scanner.value().map(drop),
            };
            *slot = scanner.value().map(|value| (value != "null").then_some(value))?;
            let again = seen & 1 << bit > 0;
            seen |= 1 << bit;
            (!again).then_some(())
        })?;
        scanner.is_at_end().then_some(members)
    }

    fn message(self, text: &str, limits: &Limits) -> Result<Message, DecodeError> {
        let name = self.event.and_then(text_of).unwrap_or_else(|| self.event.unwrap_or("(none)").into());
        let event = known_event(&name).ok_or_else(|| DecodeError::UnknownEvent { event: quote(&name) })?;
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
        let list = match self.changes.as_ref().ok_or_else(|| reader.absent("changes", "a list"))? {
            Ok(list) => list,
            Err((path, found)) => {
                let list = path == "changes";
                let expected = if list { "a list" } else { "[table, pkey, \"desired\"|\"current\", part]" };
                let (event, path, found) = (reader.event, path.clone(), found.clone());
                return Err(DecodeError::Wrong { event, path, found, expected });
            }
        };
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

/// The list of changes: `None` where it is not JSON, `Some(None)` where it is null.
fn scan_changes<'a>(scanner: &mut Scanner<'a>) -> Option<Option<Result<Vec<Items<'a>>, Misshapen>>> {
    if scanner.peek()? != b'[' {
        let value = scanner.value()?;
        return Some((value != "null").then(|| Err(("changes".to_owned(), kind_of(value).to_owned()))));
    }
    let mut list = Vec::new();
    let mut wrong = None;
    let mut index = 0;
    scanner.array(|scanner| {
        let (mut items, mut count) = ([""; 4], 0);
        let mut found = None;
        if scanner.peek()? == b'[' {
            scanner.array(|scanner| {
                let value = scanner.value()?;
                if let Some(item) = items.get_mut(count) {
                    *item = value;
                }
                count += 1;
                Some(())
            })?;
        } else {
            found = Some(kind_of(scanner.value()?).to_owned());
        }
        match count {
            4 => list.push(items),
            _ => {
                let found = found.unwrap_or_else(|| format!("a list of {count} items"));
                wrong.get_or_insert((format!("changes[{index}]"), found));
            }
        }
        index += 1;
        Some(())
    })?;
    Some(Some(wrong.map_or(Ok(list), Err)))
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
    fn part(&self, raw: &'a str) -> Part {
        let start = raw.as_ptr().addr().saturating_sub(self.text.as_ptr().addr());
        Part::within(&self.message, start, start + raw.len())
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

    fn number(self, name: &'static str, raw: Option<&str>) -> Result<Option<u64>, DecodeError> {
        let number = |raw: &str| raw.parse().map_err(|_| self.wrong(name, raw, "a whole number from 0"));
        raw.map(number).transpose()
    }

    fn flag(self, name: &'static str, raw: Option<&str>) -> Result<bool, DecodeError> {
        match raw {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(self.wrong(name, other, "true or false")),
        }
    }

    fn uuid(self, name: &'static str, raw: Option<&str>) -> Result<Uuid, DecodeError> {
        let raw = raw.ok_or_else(|| self.absent(name, "a UUID"))?;
        let uuid = text_of(raw).and_then(|text| Uuid::try_parse(&text).ok());
        uuid.ok_or_else(|| self.wrong(name, raw, "a UUID"))
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
        let wrong =
            |item: usize, raw: &str, expected| self.wrong(format!("changes[{index}][{item}]"), raw, expected);
        if shared.table.0 != table {
            let name = text_of(table).ok_or_else(|| wrong(0, table, "a table's name"))?;
            shared.table = (table, name.into());
        }
        let key =
            key_of(pkey).ok_or_else(|| wrong(1, pkey, "a string or a list of strings and whole numbers"))?;
        let kind = match text_of(kind).as_deref() {
            Some("desired") => PartKind::Desired,
            Some("current") => PartKind::Current,
            _ => return Err(wrong(2, kind, "\"desired\" or \"current\"")),
        };
        let part = match part.as_bytes() {
            [b'{', ..] => Some(shared.part(part)),
            b"null" => None,
            _ => return Err(wrong(3, part, "an object or null")),
        };
        Ok(WireChange { row: RowId::new(shared.table.1.clone(), key), kind, part })
    }

    fn notifications(self, raw: Option<&str>, limits: &Limits) -> Result<Vec<Notification>, DecodeError> {
        let raw = raw.ok_or_else(|| self.absent("notifications", "a list"))?;
        let list = list_of(raw).ok_or_else(|| self.wrong("notifications", raw, "a list"))?;
        self.check_count("notifications", list.len(), limits.notifications)?;
        list.into_iter().enumerate().map(|(index, raw)| self.notification(index, raw)).collect()
    }

    fn notification(self, index: usize, raw: &str) -> Result<Notification, DecodeError> {
        let path = |member: &str| format!("notifications[{index}]{member}");
        let Json::Object(mut object) = serde_json::from_str(raw).map_err(DecodeError::NotJson)? else {
            return Err(self.wrong(path(""), raw, "an object"));
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
fn text_of(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        return serde_json::from_str(raw).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}

/// The items of a list, each as it stands in the text.
fn list_of(raw: &str) -> Option<Vec<&str>> {
    let mut items = Vec::new();
    Scanner::new(raw).array(|scanner| scanner.value().map(|item| items.push(item)))?;
    Some(items)
}

fn key_of(raw: &str) -> Option<Pkey> {
    if let Some(text) = text_of(raw) {
        return Some(Pkey::one(&text));
    }
    let parts = list_of(raw)?;
    let part = |raw: &str| match text_of(raw) {
        Some(text) => Some(KeyPart::text(&text)),
        None => raw.parse().ok().map(KeyPart::Int),
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
