//! Rust types that columns may have. Embedders implement [`Column`] for their own.

use crate::net::{Cidr, Inet, Mac};
use crate::schema::ColumnType;
use crate::value::{Text, Value, ValueError};
use serde_json::Value as JsonValue;
use std::any::Any;
use std::fmt::Debug;
use std::ops::Deref;
use std::sync::Arc;
use uuid::Uuid;

/// A type of columns.
///
/// Values that are equal must give equal [`Value`]s: the engine leaves indexes alone where a column stays equal.
///
/// ```
/// use pony_state::{Column, ColumnType, Value, ValueError};
///
/// /// A VLAN tag.
/// #[derive(Debug, Clone, Copy, PartialEq, Eq)]
/// struct Tag(u16);
///
/// impl Column for Tag {
///     fn column_type() -> ColumnType {
///         ColumnType::Int
///     }
///
///     fn to_value(&self) -> Value {
///         Value::Int(i64::from(self.0))
///     }
///
///     fn from_value(value: &Value) -> Result<Self, ValueError> {
///         let number = i64::from_value(value)?;
///         let tag = u16::try_from(number).ok().filter(|tag| (1..4095).contains(tag));
///         tag.map(Self).ok_or(ValueError::OutOfRange { number, min: 1, max: 4094 })
///     }
/// }
/// assert_eq!(Tag::from_value(&Value::Int(7)), Ok(Tag(7)));
/// assert!(Tag::from_value(&Value::Int(5000)).is_err());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a type of columns",
    note = "for an enum without fields, derive `pony_state::Enum`; for other types, implement `pony_state::Column`"
)]
pub trait Column: Clone + PartialEq + Debug + Send + Sync + 'static {
    /// Whether the column may be absent. `Option` sets it.
    const NULLABLE: bool = false;

    /// What the schema says of it.
    ///
    /// ```
    /// use pony_state::{Column, ColumnType};
    ///
    /// assert_eq!(<Vec<u8>>::column_type(), ColumnType::List(Box::new(ColumnType::Int)));
    /// ```
    fn column_type() -> ColumnType;

    /// The value without its Rust type.
    ///
    /// ```
    /// use pony_state::{Column, Value};
    ///
    /// assert_eq!((7_u8.to_value(), None::<u8>.to_value()), (Value::Int(7), Value::Null));
    /// ```
    fn to_value(&self) -> Value;

    /// The other way round.
    ///
    /// # Errors
    /// [`ValueError`], where the value is not one of this type.
    ///
    /// ```
    /// use pony_state::{Column, Value};
    ///
    /// assert_eq!(u8::from_value(&Value::Int(7)), Ok(7));
    /// assert!(u8::from_value(&Value::Int(700)).is_err());
    /// ```
    fn from_value(value: &Value) -> Result<Self, ValueError>;

    /// Whether that is its value. Types for which this is cheaper than making a [`Value`] say how.
    ///
    /// ```
    /// use pony_state::{Column, Value};
    ///
    /// assert!(7_u8.is(&Value::Int(7)) && !Some(7_u8).is(&Value::Null));
    /// ```
    fn is(&self, value: &Value) -> bool {
        self.to_value() == *value
    }

    /// What is there, where that is a `K`; `None` for null.
    ///
    /// ```
    /// use pony_state::Column;
    ///
    /// assert_eq!((Some(7_u8).typed(), 7_u8.typed::<u16>()), (Some(&7_u8), None));
    /// assert!(None::<u8>.typed::<u8>().is_none());
    /// ```
    #[inline]
    fn typed<K: Any>(&self) -> Option<&K> {
        (self as &dyn Any).downcast_ref()
    }

    /// What comes first in the order of values, in a number: of two values the greater one never has the lesser rank. Of
    /// use for key columns alone, see [`crate::Row::rank`].
    ///
    /// ```
    /// use pony_state::Column;
    ///
    /// assert!((-1_i64).rank() < 1_i64.rank());
    /// ```
    fn rank(&self) -> u32 {
        0
    }
}

/// The rank of bytes that are ordered from the first one on.
fn rank_of_bytes(bytes: &[u8]) -> u32 {
    let at = |place: usize| bytes.get(place).copied().unwrap_or(0);
    u32::from_be_bytes([at(0), at(1), at(2), at(3)])
}

/// The rank of a number: its place among those of 32 bits, or at their end.
fn rank_of_number(number: i64) -> u32 {
    (number.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) - i64::from(i32::MIN)) as u32
}

/// A column type that is one variant of [`Value`].
macro_rules! plain_column {
    ($($type:ty, $variant:ident, |$it:ident| $rank:expr);* $(;)?) => {$(
        impl Column for $type {
            fn column_type() -> ColumnType {
                ColumnType::$variant
            }

            fn to_value(&self) -> Value {
                Value::from(self.clone())
            }

            fn from_value(value: &Value) -> Result<Self, ValueError> {
                if let Value::$variant(it) = value {
                    Ok(it.clone())
                } else {
                    Err(ValueError::wrong_type(&Self::column_type(), value))
                }
            }

            fn is(&self, value: &Value) -> bool {
                // Of numbers that are not equal to themselves one is like the other.
                matches!(value, Value::$variant(it) if it == self || it != it && self != self)
            }

            fn rank(&self) -> u32 {
                let $it = self;
                $rank
            }
        }
    )*};
}
plain_column! {
    bool, Bool, |it| u32::from(*it);
    i64, Int, |it| rank_of_number(*it);
    f64, Float, |_it| 0;
    Uuid, Uuid, |it| rank_of_bytes(it.as_bytes());
    Text, Text, |it| rank_of_bytes(it.as_bytes());
    Inet, Inet, |_it| 0;
    Cidr, Cidr, |_it| 0;
    Mac, Mac, |it| rank_of_bytes(&it.0);
}

/// A whole number of fewer bits.
macro_rules! small_int_column {
    ($($type:ty),*) => {$(
        impl Column for $type {
            fn column_type() -> ColumnType {
                ColumnType::Int
            }

            fn to_value(&self) -> Value {
                Value::Int(i64::from(*self))
            }

            fn from_value(value: &Value) -> Result<Self, ValueError> {
                let number = i64::from_value(value)?;
                Self::try_from(number).map_err(|_| ValueError::OutOfRange {
                    number,
                    min: i64::from(Self::MIN),
                    max: i64::from(Self::MAX),
                })
            }

            fn rank(&self) -> u32 {
                rank_of_number(i64::from(*self))
            }
        }
    )*};
}
small_int_column!(u8, u16, u32, i32);

impl Column for String {
    fn column_type() -> ColumnType {
        ColumnType::Text
    }

    fn to_value(&self) -> Value {
        Value::from(self.as_str())
    }

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        Text::from_value(value).map(|text| Self::from(&*text))
    }

    fn rank(&self) -> u32 {
        rank_of_bytes(self.as_bytes())
    }
}

impl<T: Column> Column for Option<T> {
    const NULLABLE: bool = true;

    fn column_type() -> ColumnType {
        T::column_type()
    }

    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::to_value)
    }

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        if value.is_null() { Ok(None) } else { T::from_value(value).map(Some) }
    }

    fn is(&self, value: &Value) -> bool {
        self.as_ref().map_or(value.is_null(), |it| it.is(value))
    }

    #[inline]
    fn typed<K: Any>(&self) -> Option<&K> {
        self.as_ref().and_then(T::typed)
    }
}

impl<T: Column> Column for Vec<T> {
    fn column_type() -> ColumnType {
        ColumnType::List(Box::new(T::column_type()))
    }

    fn to_value(&self) -> Value {
        Value::List(self.iter().map(T::to_value).collect())
    }

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        let Value::List(items) = value else {
            return Err(ValueError::wrong_type(&Self::column_type(), value));
        };
        let item = |(index, item)| {
            T::from_value(item).map_err(|problem| ValueError::Item { index, problem: Box::new(problem) })
        };
        items.iter().enumerate().map(item).collect()
    }
}

/// A half-open range of whole numbers, `start..end`; never empty.
///
/// ```
/// use pony_state::{Range, Value};
///
/// let blocks = Range::new(0, 8)?;
/// assert_eq!(Value::from(blocks).to_json(), serde_json::json!([0, 8]));
/// # Ok::<_, pony_state::ValueError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Range {
    start: i64,
    end: i64,
}

impl Range {
    /// The range from `start` up to, not including, `end`.
    ///
    /// # Errors
    /// [`ValueError::EmptyRange`], where there is nothing in between.
    ///
    /// ```
    /// use pony_state::{Range, ValueError};
    ///
    /// assert!(Range::new(0, 8).is_ok());
    /// assert_eq!(Range::new(8, 8), Err(ValueError::EmptyRange { start: 8, end: 8 }));
    /// ```
    pub const fn new(start: i64, end: i64) -> Result<Self, ValueError> {
        if start < end { Ok(Self { start, end }) } else { Err(ValueError::EmptyRange { start, end }) }
    }

    /// The first number in it.
    ///
    /// ```
    /// assert_eq!(pony_state::Range::new(2, 8)?.start(), 2);
    /// # Ok::<_, pony_state::ValueError>(())
    /// ```
    #[must_use]
    pub const fn start(self) -> i64 {
        self.start
    }

    /// The first number after it.
    ///
    /// ```
    /// assert_eq!(pony_state::Range::new(2, 8)?.end(), 8);
    /// # Ok::<_, pony_state::ValueError>(())
    /// ```
    #[must_use]
    pub const fn end(self) -> i64 {
        self.end
    }

    /// How many numbers are in it.
    ///
    /// ```
    /// assert_eq!(pony_state::Range::new(2, 8)?.len(), 6);
    /// # Ok::<_, pony_state::ValueError>(())
    /// ```
    #[must_use]
    pub const fn len(self) -> u64 {
        self.end.abs_diff(self.start)
    }

    /// Never: there are no empty ranges.
    ///
    /// ```
    /// assert!(!pony_state::Range::new(2, 8)?.is_empty());
    /// # Ok::<_, pony_state::ValueError>(())
    /// ```
    #[must_use]
    pub const fn is_empty(self) -> bool {
        false
    }

    /// Whether some number is in both.
    ///
    /// ```
    /// use pony_state::Range;
    ///
    /// let (one, two, three) = (Range::new(0, 8)?, Range::new(8, 16)?, Range::new(7, 9)?);
    /// assert!(!one.overlaps(two) && one.overlaps(three) && two.overlaps(three));
    /// # Ok::<_, pony_state::ValueError>(())
    /// ```
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }
}

impl Column for Range {
    fn column_type() -> ColumnType {
        ColumnType::Range
    }

    fn to_value(&self) -> Value {
        Value::Range(self.start, self.end)
    }

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        if let Value::Range(start, end) = value {
            Self::new(*start, *end)
        } else {
            Err(ValueError::wrong_type(&ColumnType::Range, value))
        }
    }
}

/// A column that holds any JSON but `null`. Clones share it.
///
/// ```
/// use pony_state::Json;
///
/// let options = Json::from(serde_json::json!({"quiet": true}));
/// assert_eq!(options["quiet"], true);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Json(pub Arc<JsonValue>);

impl From<JsonValue> for Json {
    fn from(json: JsonValue) -> Self {
        Self(Arc::new(json))
    }
}

impl Deref for Json {
    type Target = JsonValue;

    fn deref(&self) -> &JsonValue {
        &self.0
    }
}

impl Column for Json {
    fn column_type() -> ColumnType {
        ColumnType::Json
    }

    fn to_value(&self) -> Value {
        Value::Json(Arc::clone(&self.0))
    }

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        if let Value::Json(json) = value {
            Ok(Self(Arc::clone(json)))
        } else {
            Err(ValueError::wrong_type(&ColumnType::Json, value))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn there_and_back<T: Column>(it: T) {
        let value = it.to_value();
        assert!(value.is_null() && T::NULLABLE || T::column_type().admits(&value), "{value}");
        assert_eq!(T::from_value(&value), Ok(it));
    }

    #[test]
    fn columns_give_back_what_they_were_given() {
        there_and_back(true);
        there_and_back(-7_i64);
        there_and_back(7_u32);
        there_and_back(0.5);
        there_and_back(Uuid::from_u128(7));
        there_and_back(Text::from("a"));
        there_and_back(String::from("a"));
        there_and_back("10.0.0.1/8".parse::<Inet>().unwrap());
        there_and_back("10.0.0.0/8".parse::<Cidr>().unwrap());
        there_and_back(Mac([1, 2, 3, 4, 5, 6]));
        there_and_back(Range::new(-1, 5).unwrap());
        there_and_back(Json::from(json!({"a": null})));
        there_and_back(None::<i64>);
        there_and_back(Some(vec![String::from("a"), String::new()]));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(
            u32::from_value(&Value::Int(-1)).unwrap_err().to_string().contains("between 0 and 4294967295")
        );
        assert!(i64::from_value(&Value::Null).unwrap_err().to_string().contains("must not be null"));
        let list = Value::List(Arc::new([Value::Bool(true), Value::Int(1)]));
        assert_eq!(
            <Vec<bool>>::from_value(&list).unwrap_err().to_string(),
            "item 1: `1` is not `true` or `false`"
        );
        assert!(Range::new(3, 3).is_err());
    }
}
