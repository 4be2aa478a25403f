//! What the engine needs to know of rows and their parts. `#[derive(Entity)]` and `#[derive(Part)]` implement
//! these traits; [`crate::DynRow`] does for tables that are declared at run time.

use crate::column::Column;
use crate::derived::TableHint;
use crate::schema::{ColumnPlaces, ColumnSchema, PartKind, TableSchema};
use crate::value::{Key, Value, ValueError};
use std::any::Any;
use std::cmp::Ordering;
use std::fmt::Debug;
use std::hash::Hash;

/// A value does not fit one of the columns that it was meant for.
///
/// ```
/// use pony_state::{ColumnError, ValueError, Value, read_column};
///
/// let error = read_column::<bool>(&[Value::Null], 0).unwrap_err();
/// assert!(matches!(error, ColumnError { column: 0, problem: ValueError::Null { .. } }));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnError {
    /// The column's place among those of the part, or of the key.
    pub column: usize,
    /// What is wrong with the value.
    pub problem: ValueError,
}

/// The columns of one part of one row.
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// # let mut state = house()?;
/// let (old, new) = (light(20), light(80));
/// assert_eq!(new.value(0), 80.into());
/// assert!(!new.same(&old, 0) && new.same(&old, 1));
/// # Ok::<_, SchemaError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a part of rows",
    note = "derive `pony_state::Part`, or implement it"
)]
pub trait PartValues: Clone + PartialEq + Debug + Send + Sync + 'static {
    /// The value of a column; null for a column that does not exist.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// assert_eq!((light(20).value(0), light(20).value(9)), (20.into(), Value::Null));
    /// # Ok::<_, SchemaError>(())
    /// ```
    fn value(&self, column: usize) -> Value;

    /// Whether a column has that value. Cheaper than comparing [`PartValues::value`].
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// assert!(light(20).is(0, &20.into()) && !light(20).is(0, &80.into()));
    /// # Ok::<_, SchemaError>(())
    /// ```
    fn is(&self, column: usize, value: &Value) -> bool {
        self.value(column) == *value
    }

    /// A column as a `K`, where the part knows that it is one and the column is not null.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// assert_eq!((light(20).typed(0), light(20).typed::<Text>(0)), (Some(&20_i64), None));
    /// # Ok::<_, SchemaError>(())
    /// ```
    fn typed<K: Any>(&self, _column: usize) -> Option<&K> {
        None
    }

    /// Whether a column is the same in both. Cheaper than comparing [`PartValues::value`]s.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// assert!(light(20).same(&light(20), 0) && !light(20).same(&light(80), 0));
    /// # Ok::<_, SchemaError>(())
    /// ```
    fn same(&self, other: &Self, column: usize) -> bool;

    /// The part that consists of these values, one for each column, in order.
    ///
    /// # Errors
    /// [`ColumnError`] for the first value that does not fit.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// assert_eq!(Light::from_values(&[20.into(), Value::Null]), Ok(light(20)));
    /// assert_eq!(Light::from_values(&["dim".into(), Value::Null]).unwrap_err().column, 0);
    /// # Ok::<_, SchemaError>(())
    /// ```
    fn from_values(values: &[Value]) -> Result<Self, ColumnError>;

    /// The same of values that nobody else needs.
    ///
    /// # Errors
    /// [`ColumnError`] for the first value that does not fit.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// assert_eq!(Light::from_vec(vec![20.into(), Value::Null]), Ok(light(20)));
    /// ```
    fn from_vec(values: Vec<Value>) -> Result<Self, ColumnError> {
        Self::from_values(&values)
    }
}

/// A part whose columns were declared as a Rust struct.
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// # let mut state = house()?;
/// assert_eq!(Light::NAMES, ["percent", "colour"]);
/// # Ok::<_, SchemaError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a part of rows",
    note = "derive `pony_state::Part`, or implement it"
)]
pub trait Part: PartValues {
    /// The names of its columns, in order: the derives check by them what a declaration names.
    const NAMES: &'static [&'static str];

    /// Its columns, in order.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// assert_eq!((Light::columns()[1].nullable, Light::columns()[1].indexed), (true, true));
    /// # Ok::<_, SchemaError>(())
    /// ```
    fn columns() -> Vec<ColumnSchema>;
}

/// The part that an entity does not have.
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// # let mut state = house()?;
/// /// Whether rows of a type may have current parts.
/// fn is_reported<R: Row>() -> bool {
///     std::any::TypeId::of::<R::Current>() != std::any::TypeId::of::<NoPart>()
/// }
/// assert!(is_reported::<Lamp>() && !is_reported::<Switch>());
/// # Ok::<_, SchemaError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPart {}

impl PartValues for NoPart {
    fn value(&self, _: usize) -> Value {
        match *self {}
    }

    fn same(&self, _: &Self, _: usize) -> bool {
        match *self {}
    }

    fn from_values(_: &[Value]) -> Result<Self, ColumnError> {
        let problem = ValueError::Refused { found: "a part".into(), reason: "the table has none".into() };
        Err(ColumnError { column: 0, problem })
    }
}

impl Part for NoPart {
    const NAMES: &'static [&'static str] = &[];

    fn columns() -> Vec<ColumnSchema> {
        Vec::new()
    }
}

/// A row: key columns and two parts, each of which may be absent.
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// # let mut state = house()?;
/// fn is_settled<R: Row<Current = <R as Row>::Desired>>(row: &R) -> bool {
///     row.desired() == row.current()
/// }
/// assert!(!is_settled(state.get::<Lamp>(&"hall".into()).unwrap()));
/// # Ok::<_, SchemaError>(())
/// ```
pub trait Row: Clone + PartialEq + Debug + Send + Sync + 'static {
    /// The key: the column's type, or a tuple of the columns' types. It must be ordered like the [`Value`]s that it
    /// becomes, as all types of this crate are: listings of both doors agree then.
    type Key: Clone + Eq + Ord + Hash + Debug + Send + Sync + 'static;
    /// The desired part.
    type Desired: PartValues;
    /// The current part.
    type Current: PartValues;

    /// A row of these parts.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let lamp = Lamp::of("hall".into(), Some(light(80)), None);
    /// assert_eq!(lamp, Lamp { room: "hall".into(), desired: Some(light(80)), current: None });
    /// # Ok::<_, SchemaError>(())
    /// ```
    fn of(key: Self::Key, desired: Option<Self::Desired>, current: Option<Self::Current>) -> Self;

    /// A row without parts.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// assert_eq!(Lamp::new("hall".into()), Lamp { room: "hall".into(), desired: None, current: None });
    /// # Ok::<_, SchemaError>(())
    /// ```
    fn new(key: Self::Key) -> Self {
        Self::of(key, None, None)
    }

    /// Its key.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// assert_eq!(Lamp::new("hall".into()).key(), Text::from("hall"));
    /// # Ok::<_, SchemaError>(())
    /// ```
    fn key(&self) -> Self::Key;

    /// Compares its key with another.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// assert!(Lamp::new("attic".into()).cmp_key(&"hall".into()).is_lt());
    /// # Ok::<_, SchemaError>(())
    /// ```
    fn cmp_key(&self, key: &Self::Key) -> Ordering;

    /// Whether that is its key.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// assert!(Lamp::new("attic".into()).has_key(&"attic".into()));
    /// ```
    fn has_key(&self, key: &Self::Key) -> bool {
        self.cmp_key(key) == Ordering::Equal
    }

    /// What comes first in the order of keys, in a number: of two keys the greater one never has the lesser rank. Most
    /// comparisons of a search in that order are settled by ranks, without a look at rows.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// assert!(Lamp::rank(&"attic".into()) < Lamp::rank(&"hall".into()));
    /// assert_eq!(Lamp::rank(&"hall of fame".into()), Lamp::rank(&"hall".into()));
    /// ```
    fn rank(_key: &Self::Key) -> u32 {
        0
    }

    /// The rank of its key.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// assert_eq!(Lamp::new("hall".into()).own_rank(), Lamp::rank(&"hall".into()));
    /// ```
    fn own_rank(&self) -> u32 {
        Self::rank(&self.key())
    }

    /// The value of one key column.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// assert_eq!(Wire::new(("door".into(), "hall".into())).key_value(1), "hall".into());
    /// # Ok::<_, SchemaError>(())
    /// ```
    fn key_value(&self, column: usize) -> Value;

    /// The desired part.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// assert_eq!(state.get::<Lamp>(&"hall".into()).and_then(Row::desired), Some(&light(80)));
    /// # Ok::<_, SchemaError>(())
    /// ```
    fn desired(&self) -> Option<&Self::Desired>;

    /// The current part.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// assert_eq!(state.get::<Lamp>(&"hall".into()).and_then(Row::current), Some(&light(20)));
    /// # Ok::<_, SchemaError>(())
    /// ```
    fn current(&self) -> Option<&Self::Current>;

    /// The desired part, to change it.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let mut lamp = state.get::<Lamp>(&"hall".into()).unwrap().clone();
    /// lamp.desired_mut().unwrap().percent = 50;
    /// assert_eq!(lamp.desired, Some(light(50)));
    /// # Ok::<_, SchemaError>(())
    /// ```
    fn desired_mut(&mut self) -> Option<&mut Self::Desired>;

    /// The current part, to change it.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let mut lamp = state.get::<Lamp>(&"hall".into()).unwrap().clone();
    /// lamp.current_mut().unwrap().percent = 50;
    /// assert_eq!(lamp.current, Some(light(50)));
    /// # Ok::<_, SchemaError>(())
    /// ```
    fn current_mut(&mut self) -> Option<&mut Self::Current>;

    /// Puts a desired part into the place of what was there.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let mut lamp = Lamp::new("hall".into());
    /// lamp.set_desired(Some(light(80)));
    /// assert_eq!(lamp.desired, Some(light(80)));
    /// # Ok::<_, SchemaError>(())
    /// ```
    fn set_desired(&mut self, part: Option<Self::Desired>);

    /// Puts a current part into the place of what was there.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let mut lamp = Lamp::new("hall".into());
    /// lamp.set_current(Some(light(20)));
    /// assert_eq!(lamp.current, Some(light(20)));
    /// # Ok::<_, SchemaError>(())
    /// ```
    fn set_current(&mut self, part: Option<Self::Current>);

    /// A key without its Rust type.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let key = Wire::untyped_key(&("door".into(), "hall".into()));
    /// assert_eq!(key, Key::of(["door".into(), "hall".into()]));
    /// # Ok::<_, SchemaError>(())
    /// ```
    fn untyped_key(key: &Self::Key) -> Key;

    /// The key that consists of these values, one for each key column, in order.
    ///
    /// # Errors
    /// [`ColumnError`] for the first value that does not fit.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// assert_eq!(Wire::key_of(&["door".into(), "hall".into()]), Ok(("door".into(), "hall".into())));
    /// assert!(Wire::key_of(&["door".into()]).is_err());
    /// ```
    fn key_of(values: &[Value]) -> Result<Self::Key, ColumnError>;

    /// A key with its Rust type.
    ///
    /// # Errors
    /// As [`Row::key_of`].
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let key = Key::of(["door".into(), "hall".into()]);
    /// assert_eq!(Wire::typed_key(&key), Ok(("door".into(), "hall".into())));
    /// assert!(Wire::typed_key(&Key::one("door")).is_err());
    /// # Ok::<_, SchemaError>(())
    /// ```
    fn typed_key(key: &Key) -> Result<Self::Key, ColumnError> {
        Self::key_of(key.values())
    }
}

/// A row type that declares its table.
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// # let mut state = house()?;
/// fn count<R: Entity>(state: &State) -> String {
///     format!("{}: {}", R::TABLE, state.table::<R>().len())
/// }
/// assert_eq!(count::<Lamp>(&state), "lamp: 2");
/// # Ok::<_, SchemaError>(())
/// ```
pub trait Entity: Row {
    /// The table's name.
    const TABLE: &'static str;

    /// The table's declaration.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// assert_eq!(Lamp::schema().current, Light::columns());
    /// # Ok::<_, SchemaError>(())
    /// ```
    fn schema() -> TableSchema;

    /// Where a look-up of the type's table begins.
    #[doc(hidden)]
    fn hint() -> &'static TableHint {
        static OF_ALL_THAT_HAVE_NONE: TableHint = TableHint::new();
        &OF_ALL_THAT_HAVE_NONE
    }
}

/// A row without its Rust type.
pub(crate) trait RowOps: Any + Debug + Send + Sync {
    /// Its key.
    fn any_key(&self) -> Key;
    /// The value of a key column.
    fn any_key_value(&self, column: usize) -> Value;
    /// Whether it has that part.
    fn has_part(&self, kind: PartKind) -> bool;
    /// The value of a column of a part, if the part is there.
    fn part_value(&self, kind: PartKind, column: usize) -> Option<Value>;

    /// The value of a column in the key or else in a part, if that is there.
    #[inline]
    fn value_at(&self, kind: PartKind, places: ColumnPlaces) -> Option<Value> {
        match places.key {
            Some(place) => Some(self.any_key_value(place)),
            None => self.part_value(kind, places.part(kind)?),
        }
    }

    /// The values of `to` in those parts whose `from` is `value`; each once, and none that is null. The typed door does
    /// the same in [`crate::Joined`].
    fn opposite(&self, from: ColumnPlaces, value: &Value, to: ColumnPlaces) -> [Option<Value>; 2] {
        let end = |kind| {
            // Without the part only a key can have both columns.
            if !self.has_part(kind) && (from.key.is_none() || to.key.is_none()) {
                return None;
            }
            let matches = self.value_at(kind, from).as_ref() == Some(value);
            if matches { self.value_at(kind, to).filter(|it| !it.is_null()) } else { None }
        };
        let desired = end(PartKind::Desired);
        let current = end(PartKind::Current).filter(|it| desired.as_ref() != Some(it));
        [desired, current]
    }
}

impl<R: Row> RowOps for R {
    fn any_key(&self) -> Key {
        R::untyped_key(&self.key())
    }

    fn any_key_value(&self, column: usize) -> Value {
        self.key_value(column)
    }

    fn has_part(&self, kind: PartKind) -> bool {
        match kind {
            PartKind::Desired => self.desired().is_some(),
            PartKind::Current => self.current().is_some(),
        }
    }

    fn part_value(&self, kind: PartKind, column: usize) -> Option<Value> {
        match kind {
            PartKind::Desired => self.desired().map(|part| part.value(column)),
            PartKind::Current => self.current().map(|part| part.value(column)),
        }
    }
}

/// Reads one column of a part or key from its place in a slice: what the derives generate calls of.
///
/// # Errors
/// [`ColumnError`], where the value is missing or does not fit.
///
/// ```
/// use pony_state::{Value, read_column};
///
/// let values = [Value::from(7), Value::Null];
/// assert_eq!(read_column::<u8>(&values, 0), Ok(7));
/// assert_eq!(read_column::<Option<u8>>(&values, 1), Ok(None));
/// assert_eq!(read_column::<u8>(&values, 2).unwrap_err().column, 2);
/// ```
pub fn read_column<T: Column>(values: &[Value], column: usize) -> Result<T, ColumnError> {
    T::from_value(values.get(column).unwrap_or(&Value::Null))
        .map_err(|problem| ColumnError { column, problem })
}
