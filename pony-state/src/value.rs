//! Column values without their Rust types: what indexes, keys, the wire, SQL and bindings are made of.

mod convert;
mod key;

pub use convert::ValueError;
pub(crate) use convert::{ValueSeed, quote};
pub use key::{Key, KeyError};

use crate::column::Range;
use crate::net::{Cidr, Inet, Mac};
use serde_json::Value as Json;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use uuid::Uuid;

/// An immutable string. Up to 23 bytes lie in place, longer ones are shared: cloning one never allocates.
///
/// ```
/// use pony_state::Text;
///
/// let (one, two): (Text, Text) = ("hall".into(), "hall".to_owned().into());
/// assert_eq!(one, two);
/// ```
pub type Text = smol_str::SmolStr;

/// The value of one column.
///
/// `Null` stands for an absent member; it is never stored in a column that is not nullable.
/// Values are totally ordered (by kind first), so that they can key an index and sort a listing;
/// floats order by [`f64::total_cmp`].
///
/// ```
/// use pony_state::Value;
///
/// assert_eq!(Value::from("hall"), Value::Text("hall".into()));
/// assert_eq!(Value::from(None::<i64>), Value::Null);
/// assert!(Value::from(2) < Value::from(10) && Value::from(10) < Value::from("2"));
/// ```
#[derive(Debug, Clone, Default)]
pub enum Value {
    /// No value.
    #[default]
    Null,
    /// Truth.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating-point number; never NaN or infinite once it passed a schema.
    Float(f64),
    /// A UUID.
    Uuid(Uuid),
    /// Text; also the value of an enumeration.
    Text(Text),
    /// An address with an optional prefix length.
    Inet(Inet),
    /// An address range in CIDR notation.
    Cidr(Cidr),
    /// A MAC address.
    Mac(Mac),
    /// A half-open range of whole numbers, `start..end`.
    Range(i64, i64),
    /// A JSON value with no further schema.
    Json(Arc<Json>),
    /// A list of values of one type.
    List(Arc<[Value]>),
}

impl Value {
    /// Whether it is [`Value::Null`].
    ///
    /// ```
    /// use pony_state::Value;
    ///
    /// assert!(Value::Null.is_null() && !Value::Bool(false).is_null());
    /// ```
    #[must_use]
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The UUID that it holds.
    ///
    /// ```
    /// use pony_state::Value;
    /// use uuid::Uuid;
    ///
    /// assert_eq!(Value::from(Uuid::from_u128(7)).as_uuid(), Some(Uuid::from_u128(7)));
    /// assert_eq!(Value::from(7).as_uuid(), None);
    /// ```
    #[must_use]
    pub const fn as_uuid(&self) -> Option<Uuid> {
        if let Self::Uuid(uuid) = self { Some(*uuid) } else { None }
    }

    /// The text that it holds.
    ///
    /// ```
    /// use pony_state::Value;
    ///
    /// assert_eq!((Value::from("hall").as_text(), Value::from(7).as_text()), (Some("hall"), None));
    /// ```
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The whole number that it holds.
    ///
    /// ```
    /// use pony_state::Value;
    ///
    /// assert_eq!((Value::from(7).as_int(), Value::from("7").as_int()), (Some(7), None));
    /// ```
    #[must_use]
    pub const fn as_int(&self) -> Option<i64> {
        if let Self::Int(number) = self { Some(*number) } else { None }
    }

    /// Its kind's place in the order of kinds.
    const fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(_) => 1,
            Self::Int(_) => 2,
            Self::Float(_) => 3,
            Self::Uuid(_) => 4,
            Self::Text(_) => 5,
            Self::Inet(_) => 6,
            Self::Cidr(_) => 7,
            Self::Mac(_) => 8,
            Self::Range(..) => 9,
            Self::Json(_) => 10,
            Self::List(_) => 11,
        }
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            (Self::Float(a), Self::Float(b)) => a.total_cmp(b),
            (Self::Uuid(a), Self::Uuid(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Inet(a), Self::Inet(b)) => a.cmp(b),
            (Self::Cidr(a), Self::Cidr(b)) => a.cmp(b),
            (Self::Mac(a), Self::Mac(b)) => a.cmp(b),
            (Self::Range(a, b), Self::Range(c, d)) => (a, b).cmp(&(c, d)),
            // JSON has no order of its own: that of its text serves, but equality must be equality of content.
            (Self::Json(a), Self::Json(b)) if a == b => Ordering::Equal,
            (Self::Json(a), Self::Json(b)) => a.to_string().cmp(&b.to_string()),
            (Self::List(a), Self::List(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// As the order says, at less cost.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Uuid(a), Self::Uuid(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Inet(a), Self::Inet(b)) => a == b,
            (Self::Cidr(a), Self::Cidr(b)) => a == b,
            (Self::Mac(a), Self::Mac(b)) => a == b,
            (Self::Range(a, b), Self::Range(c, d)) => a == c && b == d,
            (Self::Json(a), Self::Json(b)) => a == b,
            (Self::List(a), Self::List(b)) => a == b,
            _ => self.rank() == other.rank(),
        }
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // A number each, where the value is one; equal bits of different kinds may well collide.
        match self {
            Self::Null => state.write_u8(0),
            Self::Bool(it) => state.write_u8(u8::from(*it)),
            Self::Int(it) => state.write_i64(*it),
            Self::Float(it) => state.write_u64(it.to_bits()),
            Self::Uuid(it) => state.write_u128(it.as_u128()),
            Self::Text(it) => it.hash(state),
            Self::Inet(it) => it.hash(state),
            Self::Cidr(it) => it.hash(state),
            Self::Mac(it) => it.hash(state),
            Self::Range(start, end) => (start, end).hash(state),
            Self::Json(it) => it.hash(state),
            Self::List(it) => it.hash(state),
        }
    }
}

/// The text form, as it stands in URLs: what [`Value::parse`] reads.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(it) => it.fmt(f),
            Self::Int(it) => it.fmt(f),
            Self::Float(it) => it.fmt(f),
            Self::Uuid(it) => it.fmt(f),
            Self::Text(it) => f.write_str(it),
            Self::Inet(it) => it.fmt(f),
            Self::Cidr(it) => it.fmt(f),
            Self::Mac(it) => it.fmt(f),
            Self::Range(..) | Self::List(_) => self.to_json().fmt(f),
            Self::Json(it) => it.fmt(f),
        }
    }
}

/// As JSON; `Null` as `null`.
impl serde::Serialize for Value {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(it) => serializer.serialize_bool(*it),
            Self::Int(it) => serializer.serialize_i64(*it),
            Self::Float(it) => serializer.serialize_f64(*it),
            Self::Uuid(it) => it.serialize(serializer),
            Self::Text(it) => serializer.serialize_str(it),
            Self::Inet(it) => it.serialize(serializer),
            Self::Cidr(it) => it.serialize(serializer),
            Self::Mac(it) => it.serialize(serializer),
            Self::Range(start, end) => [start, end].serialize(serializer),
            Self::Json(it) => it.serialize(serializer),
            Self::List(it) => serializer.collect_seq(it.iter()),
        }
    }
}

/// `From` for the types that a value holds.
macro_rules! value_from {
    ($($type:ty => |$it:ident| $value:expr),* $(,)?) => {$(
        impl From<$type> for Value {
            fn from($it: $type) -> Self {
                $value
            }
        }
    )*};
}
value_from! {
    bool => |it| Self::Bool(it),
    i64 => |it| Self::Int(it),
    u8 => |it| Self::Int(i64::from(it)),
    u16 => |it| Self::Int(i64::from(it)),
    u32 => |it| Self::Int(i64::from(it)),
    i32 => |it| Self::Int(i64::from(it)),
    Uuid => |it| Self::Uuid(it),
    &Uuid => |it| Self::Uuid(*it),
    &str => |it| Self::Text(it.into()),
    String => |it| Self::Text(it.into()),
    Text => |it| Self::Text(it),
    &Text => |it| Self::Text(it.clone()),
    Inet => |it| Self::Inet(it),
    Cidr => |it| Self::Cidr(it),
    Mac => |it| Self::Mac(it),
    Range => |it| Self::Range(it.start(), it.end()),
    // -0 equals 0 and must find the same rows.
    f64 => |it| Self::Float(it + 0.0),
}

impl<T: Into<Self>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(it: Option<T>) -> Self {
        it.map_or(Self::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ColumnType;
    use serde_json::json;

    fn samples() -> Vec<(ColumnType, Json)> {
        vec![
            (ColumnType::Bool, json!(true)),
            (ColumnType::Int, json!(-5)),
            (ColumnType::Float, json!(0.5)),
            (ColumnType::Uuid, json!("6b7c1a52-1f11-4c3e-9f8e-0a4d0c1b2e3f")),
            (ColumnType::Text, json!("a, b")),
            (ColumnType::Enum(vec!["on".into(), "off".into()]), json!("off")),
            (ColumnType::Inet, json!("10.0.0.1/8")),
            (ColumnType::Cidr, json!("10.0.0.0/8")),
            (ColumnType::Mac, json!("52:54:00:12:34:56")),
            (ColumnType::Range, json!([0, 128])),
            (ColumnType::Json, json!({"a": [1, null]})),
            (ColumnType::List(Box::new(ColumnType::Int)), json!([3, 1, 2])),
        ]
    }

    #[test]
    fn json_and_text_give_back_what_they_were_given() {
        for (ty, json) in samples() {
            let value = Value::from_json(&ty, &json).unwrap();
            assert_eq!(value.to_json(), json);
            assert_eq!(serde_json::to_value(&value).unwrap(), json);
            assert_eq!(Value::parse(&ty, &value.to_string()).unwrap(), value, "{value}");
            assert!(ty.admits(&value));
        }
    }

    #[test]
    fn values_of_different_kinds_differ_and_are_ordered() {
        let values: Vec<Value> =
            samples().iter().map(|(ty, json)| Value::from_json(ty, json).unwrap()).collect();
        for (i, a) in values.iter().enumerate() {
            for (j, b) in values.iter().enumerate() {
                assert_eq!(a == b, i == j, "{a} {b}");
                assert_eq!(a.cmp(b), b.cmp(a).reverse());
            }
        }
        assert!(Value::from(2) < Value::from(10) && Value::from("10") < Value::from("2"));
    }

    #[test]
    fn negative_zero_is_zero() {
        assert_eq!(Value::from(-0.0), Value::from(0.0));
        assert_eq!(Value::from_json(&ColumnType::Float, &json!(-0.0)).unwrap(), Value::from(0.0));
    }
}
