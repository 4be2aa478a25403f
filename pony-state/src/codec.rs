//! Parts and keys at the JSON border: documents, the wire, the database's outbox.
//!
//! In JSON a part is an object that may hold the key columns beside its own; null members are left out. In memory
//! parts do not hold the key columns.

mod error;
mod rows;
mod text;

pub use error::PartError;
pub use rows::RowValues;
pub(crate) use text::{write_json, write_part};

use crate::read::AnyRow;
use crate::row::ColumnError;
use crate::row_op::Columns;
use crate::schema::{ColumnSchema, PartKind, TableDef, TableSchema};
use crate::value::{Key, Value};
use serde_json::Value as Json;

/// What to do with key columns in a JSON part that is read.
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// # let mut state = house()?;
/// let def = state.table::<Lamp>().def();
/// let part = serde_json::json!({"room": "attic", "percent": 5});
/// let (hall, kind) = (Key::one("hall"), PartKind::Desired);
/// assert!(def.part_from_json(kind, &part, KeyColumns::Ignore).is_ok());
/// assert!(def.part_from_json(kind, &part, KeyColumns::Check(&hall)).is_err());
/// # Ok::<_, SchemaError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub enum KeyColumns<'a> {
    /// They are of no interest.
    Ignore,
    /// Those that are there must be those of this key.
    Check(&'a Key),
}

impl TableDef {
    /// The key that `json` stands for: a value, or a list where it is composite.
    ///
    /// # Errors
    /// [`PartError::Key`].
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let key = state.table::<Wire>().def().key_from_json(&serde_json::json!(["door", "hall"]))?;
    /// assert_eq!(key, Key::of(["door".into(), "hall".into()]));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn key_from_json(&self, json: &Json) -> Result<Key, PartError> {
        Key::from_json(&self.schema().key, json).map_err(|problem| self.key_error(problem))
    }

    /// The key that a text in a URL stands for, as [`Key`]'s `Display` prints it.
    ///
    /// # Errors
    /// [`PartError::Key`].
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let def = state.table::<Wire>().def();
    /// assert_eq!(def.parse_key("door,hall")?, Key::of(["door".into(), "hall".into()]));
    /// assert!(def.parse_key("door").is_err());
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn parse_key(&self, text: &str) -> Result<Key, PartError> {
        Key::parse(&self.schema().key, text).map_err(|problem| self.key_error(problem))
    }

    /// The key in the key columns of a JSON part.
    ///
    /// # Errors
    /// [`PartError`], where one is missing or does not fit.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let part = serde_json::json!({"room": "hall", "percent": 80});
    /// let def = state.table::<Lamp>().def();
    /// assert_eq!(def.key_of_part(PartKind::Desired, &part)?, Key::one("hall"));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn key_of_part(&self, kind: PartKind, part: &Json) -> Result<Key, PartError> {
        self.key_of_columns(kind, self.object(part)?)
    }

    /// The same from the object's members.
    ///
    /// # Errors
    /// [`PartError`], where one is missing or does not fit.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let columns: Columns = serde_json::from_str(r#"{"room": "hall"}"#)?;
    /// let def = state.table::<Lamp>().def();
    /// assert_eq!(def.key_of_columns(PartKind::Desired, &columns)?, Key::one("hall"));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn key_of_columns(&self, kind: PartKind, columns: &Columns) -> Result<Key, PartError> {
        let read = |column: &ColumnSchema| {
            self.member(kind, column, columns.get(&column.name).unwrap_or(&Json::Null))
        };
        Ok(Key(self.schema().key.iter().map(read).collect::<Result<_, _>>()?))
    }

    /// A row's part as JSON, without key columns. `None` where the row has no such part.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let row = state.any("lamp").and_then(|lamps| lamps.get(&Key::one("hall"))).unwrap();
    /// let part = row.def().part_to_json(row, PartKind::Desired).unwrap();
    /// assert_eq!(serde_json::Value::from(part), serde_json::json!({"percent": 80}));
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn part_to_json(&self, row: AnyRow<'_>, kind: PartKind) -> Option<Columns> {
        row.part(kind).map(|values| self.values_to_json(kind, &values))
    }

    /// The same with key columns.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let row = state.any("lamp").and_then(|lamps| lamps.get(&Key::one("hall"))).unwrap();
    /// let part = row.def().part_to_json_with_key(row, PartKind::Desired).unwrap();
    /// assert_eq!(serde_json::Value::from(part), serde_json::json!({"room": "hall", "percent": 80}));
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn part_to_json_with_key(&self, row: AnyRow<'_>, kind: PartKind) -> Option<Columns> {
        let mut part = self.part_to_json(row, kind)?;
        self.add_key(&mut part, &row.key());
        Some(part)
    }

    /// The values of a part as JSON; nulls are left out.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let def = state.table::<Lamp>().def();
    /// let columns = def.values_to_json(PartKind::Desired, &[80.into(), Value::Null]);
    /// assert_eq!(serde_json::Value::from(columns), serde_json::json!({"percent": 80}));
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn values_to_json(&self, kind: PartKind, values: &[Value]) -> Columns {
        members(self.schema().part(kind), values).collect()
    }

    /// Puts key columns into a JSON part.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let mut columns = Columns::new();
    /// state.table::<Wire>().def().add_key(&mut columns, &Key::of(["door".into(), "hall".into()]));
    /// assert_eq!(serde_json::Value::from(columns), serde_json::json!({"switch": "door", "lamp": "hall"}));
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn add_key(&self, part: &mut Columns, key: &Key) {
        part.extend(members(&self.schema().key, key.values()));
    }

    /// The values of the part that a JSON object stands for, one for each column in order. Columns that it does not
    /// hold have their default, or are absent.
    ///
    /// # Errors
    /// [`PartError`], where a column is unknown, missing, or does not fit.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let def = state.table::<Lamp>().def();
    /// let part = |json: serde_json::Value| def.part_from_json(PartKind::Desired, &json, KeyColumns::Ignore);
    /// assert_eq!(part(serde_json::json!({"percent": 80}))?, [80.into(), Value::Null]);
    /// let error = part(serde_json::json!({"colour": "red"})).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "table `lamp`: column `percent` of the desired part is missing; a whole number of 64 bits is needed"
    /// );
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn part_from_json(
        &self,
        kind: PartKind,
        part: &Json,
        key_columns: KeyColumns<'_>,
    ) -> Result<Vec<Value>, PartError> {
        self.part_from_columns(kind, self.object(part)?, key_columns)
    }

    /// The same from the object's members.
    ///
    /// # Errors
    /// [`PartError`], where a column is unknown, missing, or does not fit.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let columns: Columns = serde_json::from_str(r#"{"percent": 80}"#)?;
    /// let def = state.table::<Lamp>().def();
    /// let values = def.part_from_columns(PartKind::Desired, &columns, KeyColumns::Ignore)?;
    /// assert_eq!(values, [80.into(), Value::Null]);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn part_from_columns(
        &self,
        kind: PartKind,
        part: &Columns,
        key_columns: KeyColumns<'_>,
    ) -> Result<Vec<Value>, PartError> {
        self.read_part(kind, key_columns, part).unwrap_or_else(|_| Err(self.not_an_object(&Json::Null)))
    }

    /// The values of a part after the columns that a JSON object names were changed in it; null removes a value.
    ///
    /// # Errors
    /// [`PartError`], where a column is unknown, must not be null, or does not fit.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let def = state.table::<Lamp>().def();
    /// let old = [80.into(), "red".into()];
    /// let patch = serde_json::json!({"colour": null});
    /// let new = def.patch_part(PartKind::Desired, &old, &patch, KeyColumns::Ignore)?;
    /// assert_eq!(new, [80.into(), Value::Null]);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn patch_part(
        &self,
        kind: PartKind,
        old: &[Value],
        columns: &Json,
        key_columns: KeyColumns<'_>,
    ) -> Result<Vec<Value>, PartError> {
        self.patch_columns(kind, old, self.object(columns)?, key_columns)
    }

    /// The same from the object's members.
    ///
    /// # Errors
    /// [`PartError`], where a column is unknown, must not be null, or does not fit.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let columns: Columns = serde_json::from_str(r#"{"percent": 90}"#)?;
    /// let def = state.table::<Lamp>().def();
    /// let new = def.patch_columns(PartKind::Desired, &[80.into(), "red".into()], &columns, KeyColumns::Ignore)?;
    /// assert_eq!(new, [90.into(), "red".into()]);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn patch_columns(
        &self,
        kind: PartKind,
        old: &[Value],
        columns: &Columns,
        key_columns: KeyColumns<'_>,
    ) -> Result<Vec<Value>, PartError> {
        self.check_columns(kind, columns, key_columns)?;
        self.check_part(kind, old)?;
        let read = |(column, old): (&ColumnSchema, &Value)| match columns.get(&column.name) {
            Some(member) => self.member(kind, column, member),
            None => Ok(old.clone()),
        };
        self.schema().part(kind).iter().zip(old).map(read).collect()
    }

    /// Whether values make a part of this table.
    ///
    /// # Errors
    /// [`PartError`], for the first that does not fit.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let def = state.table::<Lamp>().def();
    /// def.check_part(PartKind::Desired, &[80.into(), Value::Null])?;
    /// assert!(def.check_part(PartKind::Desired, &[Value::Null, Value::Null]).is_err());
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn check_part(&self, kind: PartKind, values: &[Value]) -> Result<(), PartError> {
        let columns = self.columns_of(kind)?;
        if columns.len() != values.len() {
            return Err(self.value_count(kind, values.len()));
        }
        for (column, value) in columns.iter().zip(values) {
            if !(column.ty.admits(value) || column.nullable && value.is_null()) {
                return Err(self.wrong_value(&column.name, crate::ValueError::wrong_type(&column.ty, value)));
            }
        }
        Ok(())
    }

    /// Whether a key is one of this table.
    ///
    /// # Errors
    /// [`PartError::Key`].
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let def = state.table::<Lamp>().def();
    /// def.check_key(&Key::one("hall"))?;
    /// assert!(def.check_key(&Key::one(5)).is_err());
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn check_key(&self, key: &Key) -> Result<(), PartError> {
        key.check(&self.schema().key).map_err(|problem| self.key_error(problem))
    }

    fn columns_of(&self, kind: PartKind) -> Result<&[ColumnSchema], PartError> {
        let schema: &TableSchema = self.schema();
        if schema.has_part(kind) { Ok(schema.part(kind)) } else { Err(self.no_part(kind)) }
    }

    fn object<'j>(&self, part: &'j Json) -> Result<&'j Columns, PartError> {
        part.as_object().ok_or_else(|| self.not_an_object(part))
    }

    /// Whether members are columns of the part, and key columns as they should be.
    fn check_columns(
        &self,
        kind: PartKind,
        members: &Columns,
        key_columns: KeyColumns<'_>,
    ) -> Result<(), PartError> {
        self.columns_of(kind)?;
        for (name, member) in members {
            let places = self.places(name).unwrap_or_default();
            match (places.key, key_columns) {
                (Some(place), KeyColumns::Check(key)) => {
                    let said = Value::from_json(&self.schema().key[place].ty, member);
                    self.check_key_column(place, said, key)?;
                }
                (Some(_), KeyColumns::Ignore) => {}
                (None, _) if places.part(kind).is_some() => {}
                (None, _) => return Err(self.unknown_column(name, Some(kind))),
            }
        }
        Ok(())
    }

    fn member(&self, kind: PartKind, column: &ColumnSchema, member: &Json) -> Result<Value, PartError> {
        match member {
            Json::Null if column.nullable => Ok(Value::Null),
            Json::Null => Err(self.missing(kind, column)),
            _ => Value::from_json(&column.ty, member)
                .map_err(|problem| self.wrong_value(&column.name, problem)),
        }
    }

    pub(crate) fn column_error(&self, kind: PartKind, error: ColumnError) -> PartError {
        let name = self.schema().part(kind).get(error.column).map_or("?", |column| &column.name);
        self.wrong_value(name, error.problem)
    }
}

/// The members of an object for those values that are not null.
fn members<'a>(
    columns: &'a [ColumnSchema],
    values: &'a [Value],
) -> impl Iterator<Item = (String, Json)> + use<'a> {
    let present = columns.iter().zip(values).filter(|(_, value)| !value.is_null());
    present.map(|(column, value)| (column.name.clone(), value.to_json()))
}
