//! Primary keys without their Rust types.

use super::{Value, ValueError};
use crate::schema::ColumnSchema;
use serde_json::Value as Json;
use std::fmt;

/// A primary key: the values of the key columns in declaration order (mostly one, sometimes two).
///
/// ```
/// use pony_state::Key;
///
/// let wire = Key::of(["door".into(), "hall".into()]);
/// assert_eq!((wire.to_string(), Key::one(7).to_string()), ("door,hall".into(), "7".into()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub Box<[Value]>);

/// Why something is not a key of a table.
///
/// ```
/// use pony_state::{ColumnSchema, ColumnType, Key, KeyError};
///
/// let columns = [ColumnSchema::new("room", ColumnType::Text)];
/// let error: KeyError = Key::one(5).check(&columns).unwrap_err();
/// assert_eq!(error.to_string(), "key column `room`: `5` is not text");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Too few or too many columns.
    #[error("the key has {found} column(s); {} are needed: {}", .columns.len(), .columns.join(", "))]
    Count {
        /// The names of the key columns.
        columns: Vec<String>,
        /// How many values were given.
        found: usize,
    },
    /// A column's value is wrong.
    #[error("key column `{column}`: {problem}")]
    Value {
        /// The column.
        column: String,
        /// What is wrong with it.
        problem: ValueError,
    },
}

impl Key {
    /// A key of one column.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// assert!(state.any("lamp").unwrap().get(&Key::one("hall")).is_some());
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn one(value: impl Into<Value>) -> Self {
        Self(Box::new([value.into()]))
    }

    /// A key of several columns.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let key = Key::of(["door".into(), "hall".into()]);
    /// assert!(state.any("wire").unwrap().get(&key).is_some());
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn of(values: impl IntoIterator<Item = Value>) -> Self {
        Self(values.into_iter().collect())
    }

    /// Its values.
    ///
    /// ```
    /// use pony_state::{Key, Value};
    ///
    /// assert_eq!(Key::one("hall").values(), [Value::from("hall")]);
    /// ```
    #[must_use]
    pub fn values(&self) -> &[Value] {
        &self.0
    }

    /// As JSON: the value of a key of one column, a list for a composite key.
    ///
    /// ```
    /// use pony_state::Key;
    /// use serde_json::json;
    ///
    /// assert_eq!(Key::one("hall").to_json(), json!("hall"));
    /// assert_eq!(Key::of(["door".into(), "hall".into()]).to_json(), json!(["door", "hall"]));
    /// ```
    #[must_use]
    pub fn to_json(&self) -> Json {
        match &*self.0 {
            [value] => value.to_json(),
            values => values.iter().map(Value::to_json).collect(),
        }
    }

    /// The key that `json` stands for.
    ///
    /// # Errors
    /// [`KeyError`], where it does not fit the key columns.
    ///
    /// ```
    /// use pony_state::{ColumnSchema, ColumnType, Key};
    ///
    /// let columns = ["switch", "lamp"].map(|name| ColumnSchema::new(name, ColumnType::Text));
    /// let key = Key::from_json(&columns, &serde_json::json!(["door", "hall"]))?;
    /// assert_eq!(key, Key::of(["door".into(), "hall".into()]));
    /// # Ok::<_, pony_state::KeyError>(())
    /// ```
    pub fn from_json(columns: &[ColumnSchema], json: &Json) -> Result<Self, KeyError> {
        match (columns, json) {
            ([_], _) => Self::collect(columns, std::slice::from_ref(json), Value::from_json),
            (_, Json::Array(items)) => Self::collect(columns, items, Value::from_json),
            _ => Err(Self::count(columns, 1)),
        }
    }

    /// The key that a text in a URL stands for: what [`Key`]'s `Display` prints.
    ///
    /// # Errors
    /// [`KeyError`], where it does not fit the key columns.
    ///
    /// ```
    /// use pony_state::{ColumnSchema, ColumnType, Key};
    ///
    /// let columns = ["switch", "lamp"].map(|name| ColumnSchema::new(name, ColumnType::Text));
    /// // A comma within a value is escaped.
    /// let key = Key::parse(&columns, "door\\, left,hall")?;
    /// assert_eq!(key, Key::of(["door, left".into(), "hall".into()]));
    /// # Ok::<_, pony_state::KeyError>(())
    /// ```
    pub fn parse(columns: &[ColumnSchema], text: &str) -> Result<Self, KeyError> {
        match columns {
            [_] => Self::collect(columns, &[text], |ty, text| Value::parse(ty, text)),
            _ => Self::collect(columns, &split(text), |ty, text| Value::parse(ty, text)),
        }
    }

    /// Whether it fits the key columns.
    ///
    /// # Errors
    /// [`KeyError`], where it does not.
    ///
    /// ```
    /// use pony_state::{ColumnSchema, ColumnType, Key};
    ///
    /// let columns = [ColumnSchema::new("room", ColumnType::Text)];
    /// assert!(Key::one("hall").check(&columns).is_ok() && Key::one(5).check(&columns).is_err());
    /// ```
    pub fn check(&self, columns: &[ColumnSchema]) -> Result<(), KeyError> {
        if self.0.len() != columns.len() {
            return Err(Self::count(columns, self.0.len()));
        }
        for (column, value) in columns.iter().zip(&self.0) {
            if !column.ty.admits(value) {
                let problem = ValueError::wrong_type(&column.ty, value);
                return Err(KeyError::Value { column: column.name.clone(), problem });
            }
        }
        Ok(())
    }

    pub(crate) fn collect<T>(
        columns: &[ColumnSchema],
        items: &[T],
        convert: impl Fn(&crate::ColumnType, &T) -> Result<Value, ValueError>,
    ) -> Result<Self, KeyError> {
        if items.len() != columns.len() {
            return Err(Self::count(columns, items.len()));
        }
        let values = columns.iter().zip(items).map(|(column, item)| {
            convert(&column.ty, item)
                .map_err(|problem| KeyError::Value { column: column.name.clone(), problem })
        });
        Ok(Self(values.collect::<Result<_, _>>()?))
    }

    fn count(columns: &[ColumnSchema], found: usize) -> KeyError {
        KeyError::Count { columns: columns.iter().map(|column| column.name.clone()).collect(), found }
    }
}

/// The form in URLs: the text of the value; those of a composite key are separated by commas, commas and
/// backslashes within them escaped by a backslash.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [value] = &*self.0 {
            return value.fmt(f);
        }
        for (place, value) in self.0.iter().enumerate() {
            let text = value.to_string().replace('\\', "\\\\").replace(',', "\\,");
            write!(f, "{}{text}", if place == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl serde::Serialize for Key {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &*self.0 {
            [value] => value.serialize(serializer),
            values => serializer.collect_seq(values),
        }
    }
}

/// Splits at commas that are not escaped.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        if char == ',' {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.extend(if char == '\\' { chars.next() } else { Some(char) });
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ColumnType;
    use serde_json::json;

    fn columns(types: &[ColumnType]) -> Vec<ColumnSchema> {
        types.iter().map(|ty| ColumnSchema::new("k", ty.clone())).collect()
    }

    #[test]
    fn keys_survive_json_and_urls() {
        let one = columns(&[ColumnType::Text]);
        let two = columns(&[ColumnType::Text, ColumnType::Int]);
        let three = columns(&[ColumnType::Text, ColumnType::Text, ColumnType::Text]);
        let text = |text: &str| Value::from(text);
        for (columns, key) in [
            (&one, Key::one("a,b\\c/d")),
            (&two, Key::of([text("a,b\\"), Value::Int(-1)])),
            (&three, Key::of([text(""), text(",\\,"), text("")])),
        ] {
            assert_eq!(Key::parse(columns, &key.to_string()).unwrap(), key, "{key}");
            assert_eq!(Key::from_json(columns, &key.to_json()).unwrap(), key);
            assert_eq!(serde_json::to_value(&key).unwrap(), key.to_json());
            key.check(columns).unwrap();
        }
        assert_eq!(Key::one("a,b").to_string(), "a,b");
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_column() {
        let two = columns(&[ColumnType::Text, ColumnType::Int]);
        for json in [json!("a"), json!(["a"]), json!(["a", 1, 2]), json!(["a", "b"]), json!(null)] {
            assert!(Key::from_json(&two, &json).is_err(), "{json}");
        }
        let error = Key::parse(&two, "a,b").unwrap_err();
        assert_eq!(error.to_string(), "key column `k`: `\"b\"` is not a whole number of 64 bits");
        let error = Key::one("a").check(&two).unwrap_err();
        assert_eq!(error.to_string(), "the key has 1 column(s); 2 are needed: k, k");
    }
}
