//! Rows as the wire names them: table, primary key, part. It knows no schema; the JSON border of the tables does.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value as Json};
use std::fmt;
use std::sync::Arc;

/// One part of a row as JSON, key columns included.
pub type Part = Map<String, Json>;

/// One value of a composite primary key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyPart {
    /// A whole number.
    Int(i64),
    /// Text; also UUIDs and addresses.
    Text(Arc<str>),
}

/// A primary key on the wire: a JSON string, or a list for a composite key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Pkey {
    /// The key is one column.
    One(Arc<str>),
    /// The key is several columns, in the order of their declaration.
    Many(Arc<[KeyPart]>),
}

impl Pkey {
    /// The key of one column.
    #[must_use]
    pub fn one(text: &str) -> Self {
        Self::One(text.into())
    }

    /// A composite key.
    #[must_use]
    pub fn many(parts: impl IntoIterator<Item = KeyPart>) -> Self {
        Self::Many(parts.into_iter().collect())
    }

    /// Reads a key from JSON; `None` when it is neither a string nor a non-empty list of strings and whole numbers.
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
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowId {
    /// The table.
    pub table: Arc<str>,
    /// The primary key.
    pub pkey: Pkey,
}

impl RowId {
    /// A row's name. Callers with many rows share one `Arc<str>` per table.
    #[must_use]
    pub fn new(table: impl Into<Arc<str>>, pkey: Pkey) -> Self {
        Self { table: table.into(), pkey }
    }
}

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.table, self.pkey)
    }
}

/// A change on the wire: the row, which of its parts, and what that part now is (`None`: it is gone).
#[derive(Debug, Clone, PartialEq)]
pub struct WireChange {
    /// The row.
    pub row: RowId,
    /// The part of it.
    pub kind: crate::schema::PartKind,
    /// The part's new content.
    pub part: Option<Part>,
}

impl Serialize for WireChange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&*self.row.table, &self.row.pkey, kind_word(self.kind), &self.part).serialize(serializer)
    }
}

/// The wire's word for a part.
pub(crate) fn kind_word(kind: crate::schema::PartKind) -> &'static str {
    match kind {
        crate::schema::PartKind::Desired => "desired",
        crate::schema::PartKind::Current => "current",
    }
}
