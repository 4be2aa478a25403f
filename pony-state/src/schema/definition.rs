//! A table of a checked schema: its declaration, and where its columns lie.

use super::{ColumnSchema, PartKind, TableSchema};
use crate::value::Value;
use hashbrown::{DefaultHashBuilder, HashMap};
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

/// A table's number in its schema.
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// # let mut state = house()?;
/// let id: TableId = state.table::<Switch>().def().id();
/// assert_eq!(state.any(id).unwrap().len(), 1);
/// # Ok::<_, SchemaError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableId(pub(crate) u16);

impl TableId {
    /// As an index into [`super::Schema::tables`].
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let id = state.table::<Switch>().def().id();
    /// assert_eq!(state.schema().tables()[id.index()].name(), "switch");
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where the columns of one name lie: at which place of the key, of the desired part, of the current part.
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// # let mut state = house()?;
/// let places = state.table::<Lamp>().def().places("percent").unwrap();
/// assert_eq!((places.key, places.desired, places.current), (None, Some(0), Some(0)));
/// # Ok::<_, SchemaError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ColumnPlaces {
    /// Place in the key.
    pub key: Option<usize>,
    /// Place in the desired part.
    pub desired: Option<usize>,
    /// Place in the current part.
    pub current: Option<usize>,
    /// Which index covers it.
    pub(crate) index: Option<usize>,
}

impl ColumnPlaces {
    /// Its place in a part.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let places = state.table::<Lamp>().def().places("colour").unwrap();
    /// assert_eq!(places.part(PartKind::Current), Some(1));
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub const fn part(&self, kind: PartKind) -> Option<usize> {
        match kind {
            PartKind::Desired => self.desired,
            PartKind::Current => self.current,
        }
    }
}

/// One of the two columns that a join table connects.
#[derive(Debug)]
pub(crate) struct JoinSide {
    column: String,
    pub(crate) places: ColumnPlaces,
    /// The table that it references.
    pub(crate) table: TableId,
}

/// A table of a checked schema.
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// # let mut state = house()?;
/// let def: &TableDef = state.table::<Lamp>().def();
/// assert_eq!((def.name(), def.schema().key.len()), ("lamp", 1));
/// # Ok::<_, SchemaError>(())
/// ```
#[derive(Debug)]
pub struct TableDef {
    id: TableId,
    schema: TableSchema,
    /// The name once more, for those who keep many copies of it.
    shared_name: Arc<str>,
    places: HashMap<String, ColumnPlaces>,
    /// The columns that have an index, in the order of indexes.
    indexed: Vec<(String, ColumnPlaces)>,
    join: Option<[JoinSide; 2]>,
    hasher: DefaultHashBuilder,
}

impl TableDef {
    pub(super) fn new(id: TableId, schema: TableSchema, tables: &HashMap<String, TableId>) -> Self {
        let mut def = Self {
            id,
            shared_name: schema.name.as_str().into(),
            schema,
            places: HashMap::new(),
            indexed: Vec::new(),
            join: None,
            hasher: DefaultHashBuilder::default(),
        };
        def.place_columns();
        let sides = def.schema.join.as_ref();
        def.join = sides.and_then(|(left, right)| Some([def.side(left, tables)?, def.side(right, tables)?]));
        def
    }

    fn side(&self, column: &str, tables: &HashMap<String, TableId>) -> Option<JoinSide> {
        let table = *tables.get(self.column(column)?.references.as_ref()?)?;
        Some(JoinSide { column: column.to_owned(), places: self.places(column)?, table })
    }

    /// For a join table: the side of a column, and the other one.
    #[inline]
    pub(crate) fn join_from(&self, column: &str) -> Option<(&JoinSide, &JoinSide)> {
        match self.join.as_ref()? {
            [left, right] if left.column == column => Some((left, right)),
            [left, right] if right.column == column => Some((right, left)),
            _ => None,
        }
    }

    fn place_columns(&mut self) {
        let mut names: Vec<(String, bool)> = Vec::new();
        let place = |columns: &[ColumnSchema], name: &str| columns.iter().position(|it| it.name == name);
        for column in self.schema.key.iter().map(|column| ColumnSchema { indexed: true, ..column.clone() }) {
            names.push((column.name, true));
        }
        for column in self.schema.desired.iter().chain(&self.schema.current) {
            let indexed = column.indexed || column.references.is_some();
            match names.iter_mut().find(|(name, _)| *name == column.name) {
                Some(known) => known.1 |= indexed,
                None => names.push((column.name.clone(), indexed)),
            }
        }
        for (name, indexed) in names {
            let mut places = ColumnPlaces {
                key: place(&self.schema.key, &name),
                desired: place(&self.schema.desired, &name),
                current: place(&self.schema.current, &name),
                index: None,
            };
            // The primary index finds rows by a key of one column already.
            if indexed && !(places.key.is_some() && self.schema.key.len() == 1) {
                places.index = Some(self.indexed.len());
                self.indexed.push((name.clone(), places));
            }
            self.places.insert(name, places);
        }
    }

    /// Its number.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// assert_eq!(state.table::<Lamp>().def().id().index(), 0);
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub const fn id(&self) -> TableId {
        self.id
    }

    /// Its name.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// assert_eq!(state.table::<Lamp>().def().name(), "lamp");
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn name(&self) -> &str {
        &self.schema.name
    }

    /// Its name, for keeping: a clone costs no memory.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// assert_eq!(&**state.table::<Lamp>().def().shared_name(), "lamp");
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub const fn shared_name(&self) -> &Arc<str> {
        &self.shared_name
    }

    /// Its declaration.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// assert_eq!(state.table::<Lamp>().def().schema().desired.len(), 2);
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub const fn schema(&self) -> &TableSchema {
        &self.schema
    }

    /// Where the columns of a name lie.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let def = state.table::<Lamp>().def();
    /// assert!(def.places("room").unwrap().key.is_some() && def.places("romo").is_none());
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn places(&self, column: &str) -> Option<ColumnPlaces> {
        self.places.get(column).copied()
    }

    /// A column by name: the key's, else the desired part's, else the current part's.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let colour = state.table::<Lamp>().def().column("colour").unwrap();
    /// assert!(colour.nullable && colour.indexed);
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&ColumnSchema> {
        let places = self.places(name)?;
        let desired = || places.desired.and_then(|place| self.schema.desired.get(place));
        let current = || places.current.and_then(|place| self.schema.current.get(place));
        places.key.and_then(|place| self.schema.key.get(place)).or_else(desired).or_else(current)
    }

    /// The indexed columns.
    pub(crate) fn indexed(&self) -> &[(String, ColumnPlaces)] {
        &self.indexed
    }

    /// The hash of a key or of an index value: the upper half of the hasher's 64 bits.
    #[inline]
    pub(crate) fn hash_of<K: Hash + ?Sized>(&self, key: &K) -> u32 {
        (self.hasher.hash_one(key) >> 32) as u32
    }

    /// The value of a filter given as text in a URL.
    ///
    /// # Errors
    /// [`crate::PartError`], where there is no such column, or the text does not fit it.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let def = state.table::<Lamp>().def();
    /// assert_eq!((def.parse_filter("percent", "80")?, def.parse_filter("colour", "null")?), (80.into(), Value::Null));
    /// assert!(def.parse_filter("percent", "dim").is_err());
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn parse_filter(&self, column: &str, text: &str) -> Result<Value, crate::PartError> {
        let schema = self.column(column).ok_or_else(|| self.unknown_column(column, None))?;
        let value =
            if schema.nullable && text == "null" { Ok(Value::Null) } else { Value::parse(&schema.ty, text) };
        value.map_err(|problem| self.wrong_value(column, problem))
    }
}
