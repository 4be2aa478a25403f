//! Rows as the wire names them: table, primary key, part. It knows no schema; the JSON border of the tables does.

use crate::codec::{PartError, write_json, write_part};
use crate::read::AnyRow;
use crate::row_op::Columns;
use crate::schema::{PartKind, TableDef};
use crate::value::{Key, Text, Value};
use serde::{Serialize, Serializer};
use serde_json::Value as Json;
use std::fmt;
use std::sync::Arc;

/// One part of a row as JSON text: an object, key columns included. Cheap to clone.
///
/// The session carries the text without looking into it; [`crate::Transaction::set_text`] reads it straight into a
/// row. Two parts are equal when their JSON is, however it is written. A part that was received shares the memory of
/// its whole message: who keeps parts for long should keep copies of their texts.
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// # let mut state = house()?;
/// use pony_state::sync;
///
/// let row = state.any("lamp").and_then(|lamps| lamps.get(&Key::one("hall"))).unwrap();
/// let part = sync::Part::of(row, PartKind::Desired).unwrap();
/// assert_eq!(part.columns()?["percent"], 80);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Part {
    message: Text,
    start: usize,
    end: usize,
}

impl Part {
    /// The JSON object that stands at this place of a message.
    pub(crate) fn within(message: &Text, start: usize, end: usize) -> Self {
        Self { message: message.clone(), start, end }
    }

    fn whole(text: Vec<u8>) -> Self {
        // Everything here was written as UTF-8; the fallback is what a reader refuses rather than misreads.
        let message: Text = String::from_utf8(text).unwrap_or_default().into();
        Self { start: 0, end: message.len(), message }
    }

    /// A part of a row; `None` where the row does not have it.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let row = state.any("lamp").and_then(|lamps| lamps.get(&Key::one("attic"))).unwrap();
    /// assert!(sync::Part::of(row, PartKind::Desired).is_some());
    /// assert!(sync::Part::of(row, PartKind::Current).is_none());
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn of(row: AnyRow<'_>, kind: PartKind) -> Option<Self> {
        let mut text = Vec::new();
        row.has(kind).then(|| write_part(row, kind, &mut text))?;
        Some(Self::whole(text))
    }

    /// The text.
    ///
    /// ```
    /// let columns = serde_json::from_str(r#"{"percent": 80}"#)?;
    /// assert_eq!(pony_state::sync::Part::from(&columns).text(), r#"{"percent":80}"#);
    /// # Ok::<_, serde_json::Error>(())
    /// ```
    #[must_use]
    pub fn text(&self) -> &str {
        self.message.get(self.start..self.end).unwrap_or_default()
    }

    /// The columns as a JSON tree.
    ///
    /// # Errors
    /// Where there is something in the text that a tree cannot hold: a number beyond all bounds, half a character.
    ///
    /// ```
    /// let columns = serde_json::from_str(r#"{"percent": 80}"#)?;
    /// assert_eq!(pony_state::sync::Part::from(&columns).columns()?, columns);
    /// # Ok::<_, serde_json::Error>(())
    /// ```
    pub fn columns(&self) -> Result<Columns, serde_json::Error> {
        serde_json::from_str(self.text())
    }
}

impl From<&Columns> for Part {
    fn from(columns: &Columns) -> Self {
        let mut text = Vec::new();
        write_json(columns, &mut text);
        Self::whole(text)
    }
}

impl PartialEq for Part {
    fn eq(&self, other: &Self) -> bool {
        let columns = || Some(self.columns().ok()? == other.columns().ok()?);
        self.text() == other.text() || columns() == Some(true)
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// One value of a composite primary key.
///
/// ```
/// use pony_state::sync::{KeyPart, Pkey};
///
/// let key = Pkey::many([KeyPart::text("door"), KeyPart::Int(1)]);
/// assert_eq!(key.to_json(), serde_json::json!(["door", 1]));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyPart {
    /// A whole number.
    Int(i64),
    /// Text; also UUIDs and addresses.
    Text(Text),
}

/// A primary key on the wire: a JSON string, or a list for a composite key.
///
/// ```
/// use pony_state::sync::Pkey;
///
/// assert_eq!(Pkey::one("hall").to_json(), serde_json::json!("hall"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Pkey {
    /// The key is one column.
    One(Text),
    /// The key is several columns, in the order of their declaration.
    Many(Arc<[KeyPart]>),
}

impl Pkey {
    /// The key of one column.
    ///
    /// ```
    /// use pony_state::sync::Pkey;
    ///
    /// assert_eq!(Pkey::one("hall"), Pkey::One("hall".into()));
    /// ```
    #[must_use]
    pub fn one(text: &str) -> Self {
        Self::One(text.into())
    }

    /// A composite key.
    ///
    /// ```
    /// use pony_state::sync::{KeyPart, Pkey};
    ///
    /// assert_eq!(Pkey::many([KeyPart::Int(1)]).to_json(), serde_json::json!([1]));
    /// ```
    #[must_use]
    pub fn many(parts: impl IntoIterator<Item = KeyPart>) -> Self {
        Self::Many(parts.into_iter().collect())
    }

    /// The key of a row of a table: a key of one column as its text, as it stands in URLs.
    ///
    /// ```
    /// use pony_state::Key;
    /// use pony_state::sync::Pkey;
    ///
    /// assert_eq!((Pkey::of(&Key::one("hall")), Pkey::of(&Key::one(7))), (Pkey::one("hall"), Pkey::one("7")));
    /// ```
    #[must_use]
    pub fn of(key: &Key) -> Self {
        match key.values() {
            [value] => match KeyPart::from(value) {
                KeyPart::Text(text) => Self::One(text),
                KeyPart::Int(number) => Self::one(&number.to_string()),
            },
            values => Self::many(values.iter().map(KeyPart::from)),
        }
    }

    /// Reads a key from JSON; `None` when it is neither a string nor a non-empty list of strings and whole numbers.
    ///
    /// ```
    /// use pony_state::sync::Pkey;
    /// use serde_json::json;
    ///
    /// assert_eq!(Pkey::from_json(&json!("hall")), Some(Pkey::one("hall")));
    /// assert_eq!((Pkey::from_json(&json!([])), Pkey::from_json(&json!(null))), (None, None));
    /// ```
    #[must_use]
    pub fn from_json(json: &Json) -> Option<Self> {
        match json {
            Json::String(text) => Some(Self::one(text)),
            Json::Array(parts) if !parts.is_empty() => {
                parts.iter().map(KeyPart::from_json).collect::<Option<Arc<[_]>>>().map(Self::Many)
            }
            _ => None,
        }
    }

    /// The key as JSON.
    ///
    /// ```
    /// assert_eq!(pony_state::sync::Pkey::one("hall").to_json(), "hall");
    /// ```
    #[must_use]
    pub fn to_json(&self) -> Json {
        match self {
            Self::One(text) => Json::from(&**text),
            Self::Many(parts) => parts.iter().map(KeyPart::to_json).collect(),
        }
    }
}

impl KeyPart {
    /// Text.
    ///
    /// ```
    /// use pony_state::sync::KeyPart;
    ///
    /// assert_eq!(KeyPart::text("door"), KeyPart::Text("door".into()));
    /// ```
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    fn from_json(json: &Json) -> Option<Self> {
        match json {
            Json::String(text) => Some(Self::text(text)),
            Json::Number(number) => number.as_i64().map(Self::Int),
            _ => None,
        }
    }

    fn to_json(&self) -> Json {
        match self {
            Self::Int(number) => Json::from(*number),
            Self::Text(text) => Json::from(&**text),
        }
    }
}

/// A whole number as it is, everything else as its text.
impl From<&Value> for KeyPart {
    fn from(value: &Value) -> Self {
        match value {
            Value::Int(number) => Self::Int(*number),
            Value::Text(text) => Self::Text(text.clone()),
            Value::Uuid(uuid) => {
                Self::text(uuid.hyphenated().encode_lower(&mut [0; uuid::fmt::Hyphenated::LENGTH]))
            }
            other => Self::Text(other.to_string().into()),
        }
    }
}

impl fmt::Display for KeyPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for Pkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(text) => f.write_str(text),
            Self::Many(parts) => {
                for (index, part) in parts.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(f, "{comma}{part}")?;
                }
                Ok(())
            }
        }
    }
}

impl Serialize for KeyPart {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Int(number) => serializer.serialize_i64(*number),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

impl Serialize for Pkey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::One(text) => serializer.serialize_str(text),
            Self::Many(parts) => serializer.collect_seq(parts.iter()),
        }
    }
}

/// The name of a row: its table and its primary key. Cheap to clone.
///
/// ```
/// use pony_state::sync::{Pkey, RowId};
///
/// assert_eq!(RowId::new("lamp", Pkey::one("hall")), RowId { table: "lamp".into(), pkey: Pkey::one("hall") });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowId {
    /// The table.
    pub table: Arc<str>,
    /// The primary key.
    pub pkey: Pkey,
}

impl RowId {
    /// A row's name. Callers with many rows share one `Arc<str>` per table.
    ///
    /// ```
    /// use pony_state::sync::{Pkey, RowId};
    ///
    /// assert_eq!(&*RowId::new("lamp", Pkey::one("hall")).table, "lamp");
    /// ```
    #[must_use]
    pub fn new(table: impl Into<Arc<str>>, pkey: Pkey) -> Self {
        Self { table: table.into(), pkey }
    }

    /// The name of a row of a table of this crate.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// use pony_state::sync::{Pkey, RowId};
    ///
    /// let lamp = RowId::of(state.table::<Lamp>().def(), &Key::one("hall"));
    /// assert_eq!(lamp, RowId::new("lamp", Pkey::one("hall")));
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn of(table: &TableDef, key: &Key) -> Self {
        Self { table: table.shared_name().clone(), pkey: Pkey::of(key) }
    }

    /// The key of the row that this names in a table of this crate.
    ///
    /// # Errors
    /// [`PartError::Key`], where it does not fit the table.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// use pony_state::sync::{Pkey, RowId};
    ///
    /// let lamp = RowId::new("lamp", Pkey::one("hall"));
    /// assert_eq!(lamp.key(state.table::<Lamp>().def())?, Key::one("hall"));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn key(&self, table: &TableDef) -> Result<Key, PartError> {
        let key = match &self.pkey {
            Pkey::One(text) => Key::collect(&table.schema().key, &[text], |ty, text| Value::parse(ty, text)),
            Pkey::Many(parts) => Key::collect(&table.schema().key, parts, |ty, part| match part {
                KeyPart::Int(number) => Value::from_json(ty, &Json::from(*number)),
                KeyPart::Text(text) => Value::parse(ty, text),
            }),
        };
        key.map_err(|problem| table.key_error(problem))
    }
}

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.table, self.pkey)
    }
}

/// A change on the wire: the row, which of its parts, and what that part now is (`None`: it is gone).
///
/// ```
/// use pony_state::PartKind;
/// use pony_state::sync::{Pkey, RowId, WireChange};
///
/// let row = RowId::new("lamp", Pkey::one("hall"));
/// let gone = WireChange { row, kind: PartKind::Desired, part: None };
/// assert!(gone.part.is_none());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct WireChange {
    /// The row.
    pub row: RowId,
    /// The part of it.
    pub kind: PartKind,
    /// The part's new content.
    pub part: Option<Part>,
}
