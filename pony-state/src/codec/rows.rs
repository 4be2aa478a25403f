//! Many rows as one JSON text: how the API lists a table, and how one is loaded.

use super::{KeyColumns, PartError};
use crate::schema::{PartKind, TableDef};
use crate::value::{Key, Value};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::fmt;

/// A row's key, and the values of the parts that it has.
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// let rows = house()?.table::<Lamp>().def().rows_from_text(r#"{"hall": {"desired": {"percent": 5}}}"#)?;
/// assert_eq!(rows, [RowValues { key: Key::one("hall"), parts: [Some(vec![5.into(), Value::Null]), None] }]);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowValues {
    /// The key.
    pub key: Key,
    /// The values of the parts, in the order of [`PartKind::BOTH`].
    pub parts: [Option<Vec<Value>>; 2],
}

impl TableDef {
    /// The rows in an object of rows, each under the text of its key (as [`Key`]'s `Display` prints it), each an object of
    /// `desired` and `current`, either of which may be missing or null. Other members are passed over.
    ///
    /// # Errors
    /// [`PartError`], for the first row that does not fit, or where `text` is no such object.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// let state = house()?;
    /// let wires = state.table::<Wire>().def();
    /// assert_eq!(wires.rows_from_text(r#"{"door,hall": {"desired": {}}}"#)?.len(), 1);
    /// assert!(wires.rows_from_text(r#"{"door,hall": {"desired": {"length": 5}}}"#).is_err());
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn rows_from_text(&self, text: &str) -> Result<Vec<RowValues>, PartError> {
        let mut json = serde_json::Deserializer::from_str(text);
        let rows = json.deserialize_map(RowsVisitor(self)).and_then(|rows| json.end().map(|()| rows));
        rows.unwrap_or_else(|error| {
            Err(PartError::NotARow { table: self.name().to_owned(), found: error.to_string() })
        })
    }
}

/// Stops at the first row that does not fit: what a stream of JSON says after that is of no interest, but has to be read.
type Outcome<T> = Result<T, PartError>;

struct RowsVisitor<'d>(&'d TableDef);

impl<'de> Visitor<'de> for RowsVisitor<'_> {
    type Value = Outcome<Vec<RowValues>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of rows")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut rows = Ok(Vec::new());
        while let Some(key) = members.next_key_seed(KeySeed(self.0))? {
            match (&mut rows, key) {
                (Ok(found), Ok(key)) => match members.next_value_seed(RowSeed { def: self.0, key })? {
                    Ok(row) => found.push(row),
                    Err(error) => rows = Err(error),
                },
                (_, key) => {
                    members.next_value::<IgnoredAny>()?;
                    rows = rows.and_then(|rows| key.map(|_| rows));
                }
            }
        }
        Ok(rows)
    }
}

struct KeySeed<'d>(&'d TableDef);

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = Outcome<Key>;

    fn deserialize<D: Deserializer<'de>>(self, name: D) -> Result<Self::Value, D::Error> {
        name.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = Outcome<Key>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row's key")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(self.0.parse_key(text))
    }
}

struct RowSeed<'d> {
    def: &'d TableDef,
    key: Key,
}

impl<'de> DeserializeSeed<'de> for RowSeed<'_> {
    type Value = Outcome<RowValues>;

    fn deserialize<D: Deserializer<'de>>(self, row: D) -> Result<Self::Value, D::Error> {
        row.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RowSeed<'_> {
    type Value = Outcome<RowValues>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of `desired` and `current`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let Self { def, key } = self;
        let (mut parts, mut wrong) = ([None, None], None);
        while let Some(name) = members.next_key::<std::borrow::Cow<'de, str>>()? {
            let Some(place) = PartKind::BOTH.iter().position(|kind| kind.as_str() == name) else {
                members.next_value::<IgnoredAny>()?;
                continue;
            };
            match members.next_value_seed(PartSeed { def, key: &key, kind: PartKind::BOTH[place] })? {
                Ok(part) => parts[place] = part,
                Err(error) => wrong = wrong.or(Some(error)),
            }
        }
        Ok(wrong.map_or(Ok(RowValues { key, parts }), Err))
    }
}

struct PartSeed<'k> {
    def: &'k TableDef,
    key: &'k Key,
    kind: PartKind,
}

impl<'de> DeserializeSeed<'de> for PartSeed<'_> {
    type Value = Outcome<Option<Vec<Value>>>;

    fn deserialize<D: Deserializer<'de>>(self, part: D) -> Result<Self::Value, D::Error> {
        part.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for PartSeed<'_> {
    type Value = Outcome<Option<Vec<Value>>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of columns, or null")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(Ok(None))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Ok(None))
    }

    fn visit_some<D: Deserializer<'de>>(self, part: D) -> Result<Self::Value, D::Error> {
        Ok(self.def.read_part(self.kind, KeyColumns::Check(self.key), part)?.map(Some))
    }
}
