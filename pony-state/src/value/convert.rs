//! Between [`Value`]s and JSON, and from text in URLs, as a [`ColumnType`] says.

use super::Value;
use crate::net::NetError;
use crate::schema::ColumnType;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value as Json};
use std::fmt;
use std::sync::Arc;
use uuid::Uuid;

/// Characters of a wrong value that a message quotes: enough to recognise it, too few to flood a log.
const QUOTE_CHARS_MAX: usize = 80;

/// Beyond this a float does not hold every whole number, so one that arrives as a float may have been rounded.
const EXACT_FLOAT_MAX: f64 = 9_007_199_254_740_992.0;

/// Why a value does not fit a column.
///
/// ```
/// use pony_state::{Column, Value, ValueError};
///
/// let error: ValueError = u8::from_value(&Value::Int(700)).unwrap_err();
/// assert_eq!(error.to_string(), "700 is out of range; it must lie between 0 and 255");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// It is of another type.
    #[error("{found} is not {expected}")]
    Type {
        /// What the column takes.
        expected: String,
        /// What was given.
        found: String,
    },
    /// It is null, or missing.
    #[error("it must not be null; {expected} is needed")]
    Null {
        /// What the column takes.
        expected: String,
    },
    /// A number beyond the column's bounds.
    #[error("{number} is out of range; it must lie between {min} and {max}")]
    OutOfRange {
        /// The number given.
        number: i64,
        /// The least allowed.
        min: i64,
        /// The greatest allowed.
        max: i64,
    },
    /// Not an address.
    #[error(transparent)]
    Net(#[from] NetError),
    /// A range that ends before it starts, or at once.
    #[error("the range [{start}, {end}] is empty; its end must be greater than its start")]
    EmptyRange {
        /// Where it starts.
        start: i64,
        /// Where it ends, exclusively.
        end: i64,
    },
    /// Text with a character that databases cannot keep.
    #[error("text must not contain the character U+0000")]
    Nul,
    /// A list's item is wrong.
    #[error("item {index}: {problem}")]
    Item {
        /// Its place, counted from 0.
        index: usize,
        /// What is wrong with it.
        problem: Box<ValueError>,
    },
    /// A condition of an embedder's own column type is not fulfilled.
    #[error("{found} is not allowed: {reason}")]
    Refused {
        /// What was given.
        found: String,
        /// Why not, and what would be right.
        reason: String,
    },
}

impl ValueError {
    /// `found` is of the wrong type for `expected`.
    ///
    /// ```
    /// use pony_state::{ColumnType, Value, ValueError};
    ///
    /// let error = ValueError::wrong_type(&ColumnType::Int, &Value::from("x"));
    /// assert_eq!(error.to_string(), "`\"x\"` is not a whole number of 64 bits");
    /// ```
    #[must_use]
    pub fn wrong_type(expected: &ColumnType, found: &Value) -> Self {
        if found.is_null() {
            Self::Null { expected: expected.to_string() }
        } else {
            Self::Type { expected: expected.to_string(), found: quote(&found.to_json()) }
        }
    }

    /// The same for JSON.
    fn wrong_json(expected: &ColumnType, found: &Json) -> Self {
        if found.is_null() {
            Self::Null { expected: expected.to_string() }
        } else {
            Self::Type { expected: expected.to_string(), found: quote(found) }
        }
    }
}

/// JSON for a message, shortened.
pub(crate) fn quote(json: &Json) -> String {
    let text = json.to_string();
    match text.char_indices().nth(QUOTE_CHARS_MAX) {
        Some((end, _)) => format!("`{}…`", &text[..end]),
        None => format!("`{text}`"),
    }
}

/// What a column takes, for messages.
impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("`true` or `false`"),
            Self::Int => f.write_str("a whole number of 64 bits"),
            Self::Float => f.write_str("a number"),
            Self::Uuid => f.write_str("a UUID"),
            Self::Text => f.write_str("text"),
            Self::Enum(words) => write!(f, "one of `{}`", words.join("`, `")),
            Self::Inet => f.write_str("an IP address like `192.168.0.1` or `192.168.0.1/24`"),
            Self::Cidr => f.write_str("an address range like `192.168.0.0/24`"),
            Self::Mac => f.write_str("a MAC address like `52:54:00:12:34:56`"),
            Self::Range => f.write_str("a range `[start, end]` of two whole numbers"),
            Self::Json => f.write_str("a JSON value"),
            Self::List(item) => write!(f, "a list, each item {item}"),
        }
    }
}

impl ColumnType {
    /// Whether a value that is not null is of this type.
    ///
    /// ```
    /// use pony_state::{ColumnType, Value};
    ///
    /// let switch = ColumnType::Enum(vec!["on".into(), "off".into()]);
    /// assert!(switch.admits(&"on".into()) && !switch.admits(&"of".into()) && !switch.admits(&Value::Null));
    /// ```
    #[must_use]
    pub fn admits(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Bool, Value::Bool(_))
            | (Self::Int, Value::Int(_))
            | (Self::Uuid, Value::Uuid(_))
            | (Self::Text, Value::Text(_))
            | (Self::Inet, Value::Inet(_))
            | (Self::Cidr, Value::Cidr(_))
            | (Self::Mac, Value::Mac(_))
            | (Self::Json, Value::Json(_)) => true,
            (Self::Float, Value::Float(number)) => number.is_finite(),
            (Self::Range, Value::Range(start, end)) => start < end,
            (Self::Enum(words), Value::Text(word)) => words.iter().any(|it| **it == **word),
            (Self::List(item), Value::List(values)) => values.iter().all(|value| item.admits(value)),
            _ => false,
        }
    }
}

impl Value {
    /// The value that a column of type `ty` takes from `json`. `null` is an error here: whether a column may be
    /// absent is its [`crate::ColumnSchema`]'s affair.
    ///
    /// # Errors
    /// [`ValueError`], where `json` does not fit.
    ///
    /// ```
    /// use pony_state::{ColumnType, Value};
    /// use serde_json::json;
    ///
    /// assert_eq!(Value::from_json(&ColumnType::Range, &json!([0, 8]))?, Value::Range(0, 8));
    /// assert_eq!(Value::from_json(&ColumnType::Int, &json!(5.0))?, Value::Int(5));
    /// assert!(Value::from_json(&ColumnType::Int, &json!("5")).is_err());
    /// # Ok::<_, pony_state::ValueError>(())
    /// ```
    pub fn from_json(ty: &ColumnType, json: &Json) -> Result<Self, ValueError> {
        ValueSeed(ty).deserialize(json).unwrap_or_else(|_| Err(ValueError::wrong_json(ty, json)))
    }

    /// The types that JSON strings carry.
    fn from_text(ty: &ColumnType, text: &str) -> Result<Self, ValueError> {
        let wrong = || ValueError::wrong_json(ty, &Json::from(text));
        match ty {
            ColumnType::Text if text.contains('\0') => Err(ValueError::Nul),
            ColumnType::Text => Ok(Self::Text(text.into())),
            ColumnType::Enum(words) if words.iter().any(|word| word == text) => Ok(Self::Text(text.into())),
            ColumnType::Uuid => Uuid::try_parse(text).map(Self::Uuid).map_err(|_| wrong()),
            ColumnType::Inet => Ok(Self::Inet(text.parse()?)),
            ColumnType::Cidr => Ok(Self::Cidr(text.parse()?)),
            ColumnType::Mac => Ok(Self::Mac(text.parse()?)),
            _ => Err(wrong()),
        }
    }

    /// The value that a column of type `ty` takes from text in a URL.
    ///
    /// # Errors
    /// [`ValueError`], where the text does not fit.
    ///
    /// ```
    /// use pony_state::{ColumnType, Value};
    ///
    /// assert_eq!(Value::parse(&ColumnType::Int, "5")?, Value::Int(5));
    /// assert_eq!(Value::parse(&ColumnType::Text, "5")?, Value::from("5"));
    /// # Ok::<_, pony_state::ValueError>(())
    /// ```
    pub fn parse(ty: &ColumnType, text: &str) -> Result<Self, ValueError> {
        match ty {
            ColumnType::Bool
            | ColumnType::Int
            | ColumnType::Float
            | ColumnType::Range
            | ColumnType::Json
            | ColumnType::List(_) => {
                let json = serde_json::from_str(text).unwrap_or_else(|_| Json::String(text.to_owned()));
                Self::from_json(ty, &json)
            }
            _ => Self::from_text(ty, text),
        }
    }

    /// As JSON; `Null` as `null`.
    ///
    /// ```
    /// use pony_state::{Mac, Value};
    ///
    /// assert_eq!(Value::from(Mac([2, 0, 0, 0, 0, 1])).to_json(), "02:00:00:00:00:01");
    /// ```
    #[must_use]
    pub fn to_json(&self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Bool(it) => Json::Bool(*it),
            Self::Int(it) => Json::from(*it),
            Self::Float(it) => Number::from_f64(*it).map_or(Json::Null, Json::Number),
            Self::Uuid(it) => Json::String(it.to_string()),
            Self::Text(it) => Json::String(String::from(&**it)),
            Self::Inet(it) => Json::String(it.to_string()),
            Self::Cidr(it) => Json::String(it.to_string()),
            Self::Mac(it) => Json::String(it.to_string()),
            Self::Range(start, end) => Json::from(vec![*start, *end]),
            Self::Json(it) => Json::clone(it),
            Self::List(it) => it.iter().map(Self::to_json).collect(),
        }
    }
}

/// Reads the value of a column of this type from JSON, be it text or a tree. What does not fit the column is not an
/// error of the JSON: it is consumed all the same, and the answer says what is wrong.
#[derive(Clone, Copy)]
pub(crate) struct ValueSeed<'t>(pub(crate) &'t ColumnType);

impl ValueSeed<'_> {
    fn wrong(self, found: impl Into<Json>) -> Result<Value, ValueError> {
        Err(ValueError::wrong_json(self.0, &found.into()))
    }
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = Result<Value, ValueError>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        if !matches!(self.0, ColumnType::Json) {
            return json.deserialize_any(self);
        }
        let json = Json::deserialize(json)?;
        Ok(if json.is_null() { self.wrong(json) } else { Ok(Value::Json(Arc::new(json))) })
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = Result<Value, ValueError>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(self.wrong(Json::Null))
    }

    fn visit_bool<E>(self, it: bool) -> Result<Self::Value, E> {
        Ok(if matches!(self.0, ColumnType::Bool) { Ok(Value::Bool(it)) } else { self.wrong(it) })
    }

    fn visit_i64<E>(self, it: i64) -> Result<Self::Value, E> {
        Ok(match self.0 {
            ColumnType::Int => Ok(Value::Int(it)),
            ColumnType::Float => Ok(Value::from(it as f64)),
            _ => self.wrong(it),
        })
    }

    fn visit_u64<E: serde::de::Error>(self, it: u64) -> Result<Self::Value, E> {
        match i64::try_from(it) {
            Ok(it) => self.visit_i64(it),
            Err(_) if matches!(self.0, ColumnType::Float) => Ok(Ok(Value::from(it as f64))),
            Err(_) => Ok(self.wrong(it)),
        }
    }

    fn visit_f64<E>(self, it: f64) -> Result<Self::Value, E> {
        let whole = || whole_float(it).map_or_else(|| self.wrong(it), |it| Ok(Value::Int(it)));
        Ok(match self.0 {
            ColumnType::Int => whole(),
            ColumnType::Float => Ok(Value::from(it)),
            _ => self.wrong(it),
        })
    }

    fn visit_str<E>(self, it: &str) -> Result<Self::Value, E> {
        Ok(Value::from_text(self.0, it))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let ColumnType::List(item) = self.0 else {
            let json = Vec::<Json>::deserialize(SeqAccessDeserializer::new(items))?;
            let is_range = matches!(self.0, ColumnType::Range);
            return Ok(if is_range { range_from_json(&json) } else { self.wrong(json) });
        };
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(ValueSeed(item))? {
            match value {
                Ok(value) => values.push(value),
                Err(problem) => {
                    while items.next_element::<IgnoredAny>()?.is_some() {}
                    return Ok(Err(ValueError::Item { index: values.len(), problem: Box::new(problem) }));
                }
            }
        }
        Ok(Ok(Value::List(values.into())))
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
        let json = serde_json::Map::deserialize(MapAccessDeserializer::new(members))?;
        Ok(self.wrong(json))
    }
}

/// A whole number, where a client wrote it as `5.0`.
fn whole_float(float: f64) -> Option<i64> {
    (float.fract() == 0.0 && float.abs() <= EXACT_FLOAT_MAX).then_some(float as i64)
}

fn range_from_json(ends: &[Json]) -> Result<Value, ValueError> {
    let whole = |end: &Json| end.as_i64().or_else(|| whole_float(end.as_f64()?));
    match ends.iter().map(whole).collect::<Option<Vec<i64>>>().as_deref() {
        Some(&[start, end]) if start < end => Ok(Value::Range(start, end)),
        Some(&[start, end]) => Err(ValueError::EmptyRange { start, end }),
        _ => Err(ValueError::wrong_json(&ColumnType::Range, &Json::from(ends))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn whole_numbers_may_be_written_as_floats() {
        assert_eq!(Value::from_json(&ColumnType::Int, &json!(5.0)).unwrap(), Value::Int(5));
        for wrong in [json!(5.5), json!(1e300), json!(u64::MAX), json!("5"), json!(true)] {
            assert!(Value::from_json(&ColumnType::Int, &wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn messages_say_what_would_be_right() {
        let words = ColumnType::Enum(vec!["on".into(), "off".into()]);
        let message = |ty: &ColumnType, json| Value::from_json(ty, &json).unwrap_err().to_string();
        assert_eq!(message(&words, json!("of")), "`\"of\"` is not one of `on`, `off`");
        assert_eq!(message(&ColumnType::Uuid, json!("x")), "`\"x\"` is not a UUID");
        assert_eq!(
            message(&ColumnType::Int, Json::Null),
            "it must not be null; a whole number of 64 bits is needed"
        );
        let list = ColumnType::List(Box::new(ColumnType::Bool));
        assert_eq!(message(&list, json!([true, 1])), "item 1: `1` is not `true` or `false`");
        let range = message(&ColumnType::Range, json!([5, 5]));
        assert_eq!(range, "the range [5, 5] is empty; its end must be greater than its start");
        assert_eq!(message(&ColumnType::Text, json!("a\u{0}")), "text must not contain the character U+0000");
        assert!(message(&ColumnType::Bool, json!("x".repeat(1000))).len() < 200);
    }
}
