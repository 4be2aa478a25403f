//! Parts as JSON text, without a tree in between: what the wire is made of.

use super::{KeyColumns, PartError};
use crate::read::AnyRow;
use crate::schema::{ColumnSchema, PartKind, TableDef};
use crate::value::{Key, Value, ValueError, ValueSeed};
use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::fmt;
use uuid::fmt::Hyphenated;

impl TableDef {
    /// The values of the part that a JSON object stands for, one for each column in order. Columns that it does not
    /// hold have their default, or are absent.
    ///
    /// # Errors
    /// [`PartError`], where `text` is not JSON, or a column is unknown, missing, or does not fit.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let def = state.table::<Lamp>().def();
    /// let values = def.part_from_text(PartKind::Desired, r#"{"percent": 80}"#, KeyColumns::Ignore)?;
    /// assert_eq!(values, [80.into(), Value::Null]);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn part_from_text(
        &self,
        kind: PartKind,
        text: &str,
        key_columns: KeyColumns<'_>,
    ) -> Result<Vec<Value>, PartError> {
        let mut json = serde_json::Deserializer::from_str(text);
        let part = self.read_part(kind, key_columns, &mut json).and_then(|part| json.end().map(|()| part));
        part.unwrap_or_else(|_| Err(self.not_an_object(&serde_json::Value::from(text))))
    }

    /// Appends a part of a row as a JSON object, with the columns that `shown` lets through: those of the key before its
    /// own, nulls left out. Appends nothing where the row has no such part, and says so.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let row = state.any("lamp").and_then(|lamps| lamps.get(&Key::one("hall"))).unwrap();
    /// let mut text = Vec::new();
    /// assert!(row.def().write_part(row, PartKind::Desired, |column| !column.secret, &mut text));
    /// assert_eq!(text, br#"{"room":"hall","percent":80}"#);
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn write_part(
        &self,
        row: AnyRow<'_>,
        kind: PartKind,
        shown: impl Fn(&ColumnSchema) -> bool,
        text: &mut Vec<u8>,
    ) -> bool {
        let has = row.has(kind);
        if has {
            write_columns(row, kind, shown, text);
        }
        has
    }

    /// The same from any JSON; fails only where that is broken or no object.
    pub(super) fn read_part<'de, D: Deserializer<'de>>(
        &self,
        kind: PartKind,
        key_columns: KeyColumns<'_>,
        json: D,
    ) -> Result<Result<Vec<Value>, PartError>, D::Error> {
        match self.columns_of(kind) {
            Ok(columns) => json.deserialize_map(PartVisitor { def: self, kind, columns, key_columns }),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Whether a key column in a part says what the row's key does.
    pub(super) fn check_key_column(
        &self,
        place: usize,
        said: Result<Value, ValueError>,
        key: &Key,
    ) -> Result<(), PartError> {
        let (Some(column), Some(expected)) = (self.schema().key.get(place), key.values().get(place)) else {
            return Ok(());
        };
        let value = said.map_err(|problem| self.wrong_value(&column.name, problem))?;
        if *expected == value { Ok(()) } else { Err(self.key_mismatch(&column.name, &value, expected)) }
    }

    /// The value of a column that an object does not hold, or holds as null.
    fn absent_value(&self, kind: PartKind, column: &ColumnSchema) -> Result<Value, PartError> {
        self.member(kind, column, column.default.as_ref().unwrap_or(&serde_json::Value::Null))
    }
}

/// Where a member of a part belongs.
enum Place {
    Key(usize),
    Column(usize),
    Unknown(PartError),
}

struct PartVisitor<'a> {
    def: &'a TableDef,
    kind: PartKind,
    columns: &'a [ColumnSchema],
    key_columns: KeyColumns<'a>,
}

/// How many columns after the last one are compared with a name before it is looked up.
const GAP_MAX: usize = 4;

/// Finds a member's place by its name. Members mostly come in the order of the columns: `hint` is tried first.
struct PlaceSeed<'v, 'a> {
    part: &'v PartVisitor<'a>,
    hint: usize,
}

impl<'de> DeserializeSeed<'de> for PlaceSeed<'_, '_> {
    type Value = Place;

    fn deserialize<D: Deserializer<'de>>(self, name: D) -> Result<Place, D::Error> {
        name.deserialize_str(self)
    }
}

impl Visitor<'_> for PlaceSeed<'_, '_> {
    type Value = Place;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a column's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Place, E> {
        let PartVisitor { def, kind, columns, .. } = self.part;
        // Those that are absent leave a gap.
        let is_it = |column: &ColumnSchema| column.name == name;
        if let Some(gap) = columns.get(self.hint..).and_then(|rest| rest.iter().take(GAP_MAX).position(is_it))
        {
            return Ok(Place::Column(self.hint + gap));
        }
        let places = def.places(name).unwrap_or_default();
        let place = places.key.map(Place::Key).or_else(|| places.part(*kind).map(Place::Column));
        Ok(place.unwrap_or_else(|| Place::Unknown(def.unknown_column(name, Some(*kind)))))
    }
}

impl PartVisitor<'_> {
    /// Reads the members. Null stays in place of values that are absent, or wrong: of these, the first column's
    /// problem is told, as are unknown members and foreign keys before them.
    fn members<'de, A: MapAccess<'de>>(
        &self,
        mut members: A,
    ) -> Result<Result<Vec<Value>, PartError>, A::Error> {
        let mut values = vec![Value::Null; self.columns.len()];
        let (mut hint, mut stop, mut wrong) = (0, None, None::<(usize, ValueError)>);
        while let Some(place) = members.next_key_seed(PlaceSeed { part: self, hint })? {
            match place {
                Place::Column(place) => {
                    hint = place + 1;
                    match members.next_value_seed(ValueSeed(&self.columns[place].ty))? {
                        Ok(value) => values[place] = value,
                        Err(ValueError::Null { .. }) => values[place] = Value::Null,
                        Err(problem) if wrong.as_ref().is_none_or(|(first, _)| place < *first) => {
                            wrong = Some((place, problem));
                        }
                        Err(_) => {}
                    }
                }
                Place::Key(place) => {
                    let checked = match self.key_columns {
                        KeyColumns::Check(key) => {
                            let seed = ValueSeed(&self.def.schema().key[place].ty);
                            self.def.check_key_column(place, members.next_value_seed(seed)?, key)
                        }
                        KeyColumns::Ignore => members.next_value::<IgnoredAny>().map(|_| Ok(()))?,
                    };
                    stop = stop.or(checked.err());
                }
                Place::Unknown(error) => {
                    members.next_value::<IgnoredAny>()?;
                    stop = stop.or(Some(error));
                }
            }
        }
        Ok(stop.map_or_else(|| self.complete(values, wrong), Err))
    }

    fn complete(
        &self,
        mut values: Vec<Value>,
        mut wrong: Option<(usize, ValueError)>,
    ) -> Result<Vec<Value>, PartError> {
        for (place, (value, column)) in values.iter_mut().zip(self.columns).enumerate() {
            if let Some((_, problem)) = wrong.take_if(|(at, _)| *at == place) {
                return Err(self.def.wrong_value(&column.name, problem));
            }
            if value.is_null() && (!column.nullable || column.default.is_some()) {
                *value = self.def.absent_value(self.kind, column)?;
            }
        }
        Ok(values)
    }
}

impl<'de> Visitor<'de> for PartVisitor<'_> {
    type Value = Result<Vec<Value>, PartError>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of columns")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
        self.members(members)
    }
}

/// Appends a part of a row as a JSON object: key columns before its own, nulls left out. An empty object where the
/// row has no such part.
pub(crate) fn write_part(row: AnyRow<'_>, kind: PartKind, text: &mut Vec<u8>) {
    write_columns(row, kind, |_| true, text);
}

fn write_columns(row: AnyRow<'_>, kind: PartKind, shown: impl Fn(&ColumnSchema) -> bool, text: &mut Vec<u8>) {
    let schema = row.def().schema();
    let key = schema.key.iter().enumerate().map(|(place, column)| (column, Some(row.key_value(place))));
    let part = schema.part(kind).iter().enumerate();
    text.push(b'{');
    let mut comma: &[u8] = b"";
    for (column, value) in key.chain(part.map(|(place, column)| (column, row.part_value(kind, place)))) {
        if let Some(value) = value.filter(|value| !value.is_null() && shown(column)) {
            text.extend_from_slice(comma);
            // Names of columns need no escapes: a schema takes lower-case letters, digits and underscores.
            text.push(b'"');
            text.extend_from_slice(column.name.as_bytes());
            text.extend_from_slice(b"\":");
            value.write_json(text);
            comma = b",";
        }
    }
    text.push(b'}');
}

impl Value {
    /// Appends it as JSON text: that of [`Value::to_json`].
    ///
    /// ```
    /// use pony_state::Value;
    ///
    /// let mut text = b"name: ".to_vec();
    /// Value::from("the \"hall\"").write_json(&mut text);
    /// assert_eq!(text, br#"name: "the \"hall\"""#);
    /// ```
    pub fn write_json(&self, text: &mut Vec<u8>) {
        // Most are UUIDs, in which there is nothing to escape.
        let Self::Uuid(uuid) = self else { return write_json(self, text) };
        let mut quoted = [b'"'; Hyphenated::LENGTH + 2];
        uuid.hyphenated().encode_lower(&mut quoted[1..]);
        text.extend_from_slice(&quoted);
    }
}

/// Appends anything as JSON text.
pub(crate) fn write_json<T: Serialize + ?Sized>(value: &T, text: &mut Vec<u8>) {
    let start = text.len();
    // Memory does not fail to be written; keys that are not strings do, and what is left is what a reader refuses.
    if serde_json::to_writer(&mut *text, value).is_err() {
        text.truncate(start);
    }
}
