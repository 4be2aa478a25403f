//! Reading: the same for a [`crate::State`], a running [`crate::Transaction`] and a [`crate::Snapshot`].

mod any;
mod filter;
mod prepared;
mod typed;

pub use any::{AnyRow, AnyRows, AnyTable};
pub use filter::UnknownColumn;
pub use prepared::{Finder, Joined, Joiner};
pub use typed::{Rows, Table};

use crate::row::Entity;
use crate::schema::{Schema, TableId};
use crate::state::Root;
use crate::table::{InvariantError, TableData};
use crate::value::Value;
use std::any::{Any, TypeId};
use std::sync::Arc;

/// All tables at one moment, for reading. Copying it costs nothing.
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// # let mut state = house()?;
/// fn rows(view: View<'_>) -> usize {
///     view.tables().map(AnyTable::len).sum()
/// }
/// assert_eq!(rows(state.view()), 4);
/// # Ok::<_, SchemaError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct View<'a>(pub(crate) &'a Root);

/// The name or the number of a table.
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// # let mut state = house()?;
/// let id = state.any("lamp").unwrap().def().id();
/// assert_eq!(state.any(id).unwrap().len(), state.any("lamp").unwrap().len());
/// # Ok::<_, SchemaError>(())
/// ```
pub trait TableName {
    /// Its number in a schema.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// assert_eq!("lamp".resolve(state.schema()), Some(state.table::<Lamp>().def().id()));
    /// assert_eq!("lmap".resolve(state.schema()), None);
    /// # Ok::<_, SchemaError>(())
    /// ```
    fn resolve(&self, schema: &Schema) -> Option<TableId>;

    /// What a message calls it.
    ///
    /// ```
    /// use pony_state::TableName;
    ///
    /// assert_eq!("lamp".shown(), "lamp");
    /// ```
    fn shown(&self) -> String;
}

impl TableName for str {
    fn resolve(&self, schema: &Schema) -> Option<TableId> {
        schema.table(self).map(|table| table.id())
    }

    fn shown(&self) -> String {
        self.to_owned()
    }
}

impl TableName for String {
    fn resolve(&self, schema: &Schema) -> Option<TableId> {
        self.as_str().resolve(schema)
    }

    fn shown(&self) -> String {
        self.clone()
    }
}

impl TableName for TableId {
    fn resolve(&self, schema: &Schema) -> Option<TableId> {
        schema.get(*self).map(|_| *self)
    }

    fn shown(&self) -> String {
        format!("#{}", self.index())
    }
}

impl<T: TableName + ?Sized> TableName for &T {
    fn resolve(&self, schema: &Schema) -> Option<TableId> {
        (**self).resolve(schema)
    }

    fn shown(&self) -> String {
        (**self).shown()
    }
}

impl<'a> View<'a> {
    /// The schema.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// assert_eq!(state.view().schema().tables().len(), 3);
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn schema(self) -> &'a Arc<Schema> {
        &self.0.catalog.schema
    }

    /// How many transactions changed something before this moment.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// assert_eq!(state.view().version(), 1);
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub const fn version(self) -> u64 {
        self.0.version
    }

    /// A table by its row type.
    ///
    /// # Panics
    /// Where the schema was built without `R`: a mistake in the program, like an index out of bounds.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// assert_eq!(state.view().table::<Lamp>().len(), 2);
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn table<R: Entity>(self) -> Table<'a, R> {
        match self.try_table() {
            Some(table) => table,
            None => panic!("table `{}` is not part of this state's schema", R::TABLE),
        }
    }

    /// A table by its row type, if the schema was built with it.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// assert!(state.view().try_table::<Lamp>().is_some());
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn try_table<R: Entity>(self) -> Option<Table<'a, R>> {
        let at = |id: TableId| {
            let table: &dyn Any = &***self.0.tables.get(id.index())?;
            table.downcast_ref::<TableData<R>>().map(Table::new)
        };
        at(R::hint().get()).or_else(|| at(self.0.catalog.search(Some(TypeId::of::<R>()), R::hint())?))
    }

    /// A table by name or number, without its row type.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// assert_eq!(state.view().any("lamp").map(AnyTable::len), Some(2));
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn any(self, table: impl TableName) -> Option<AnyTable<'a>> {
        let id = table.resolve(self.schema())?;
        self.0.tables.get(id.index()).map(|table| AnyTable::new(&***table))
    }

    /// All tables, in the order of their numbers.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// assert!(state.view().tables().map(|table| table.def().name()).eq(["lamp", "switch", "wire"]));
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn tables(self) -> impl Iterator<Item = AnyTable<'a>> {
        self.0.tables.iter().map(|table| AnyTable::new(&***table))
    }

    /// Follows the join table `J` from a row of one side to the rows of the other; see [`Read::joined`].
    ///
    /// # Panics
    /// Where either table is not in the schema, or `J` does not join `from` with `T`.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let lamps: Vec<_> = state.view().joined::<Wire, Lamp>("switch", "door").collect();
    /// assert_eq!((&*lamps[0].0.switch, &*lamps[0].1.room), ("door", "hall"));
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn joined<J: Entity, T: Entity>(self, from: &str, key: impl Into<Value>) -> Joined<'a, J, T> {
        self.joiner(from).of(key)
    }

    /// [`Self::joined`], prepared for many rows of that side.
    ///
    /// # Panics
    /// Where either table is not in the schema, or `J` does not join `from` with `T`.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let lamps_of = state.view().joiner::<Wire, Lamp>("switch");
    /// assert_eq!(["door", "bed"].map(|switch| lamps_of.of(switch).count()), [1, 0]);
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn joiner<J: Entity, T: Entity>(self, from: &str) -> Joiner<'a, J, T> {
        match Joiner::new(self.table(), self.table(), from) {
            Some(joiner) => joiner,
            None => panic!("table `{}` does not join column `{from}` with table `{}`", J::TABLE, T::TABLE),
        }
    }

    /// The same without Rust types. `None` where `join` is not a join table with a column `from`.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let lamps = state.view().joined_any("wire", "switch", &"door".into()).unwrap();
    /// assert_eq!(lamps[0].1.key(), Key::one("hall"));
    /// assert!(state.view().joined_any("lamp", "room", &"hall".into()).is_none());
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn joined_any(
        self,
        join: impl TableName,
        from: &str,
        key: &Value,
    ) -> Option<Vec<(AnyRow<'a>, AnyRow<'a>)>> {
        let join = self.any(join)?;
        let (from, to) = join.def().join_from(from)?;
        let target = self.any(to.table)?;
        let mut rows = Vec::new();
        for row in join.rows_with(from.places, key) {
            for end in row.ops().opposite(from.places, key, to.places).into_iter().flatten() {
                rows.extend(target.get_by(std::slice::from_ref(&end)).map(|other| (row, other)));
            }
        }
        Some(rows)
    }

    /// Recomputes every index of every table from the rows.
    ///
    /// # Errors
    /// [`InvariantError`], the first deviation that is found.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// state.view().check_invariants()?;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn check_invariants(self) -> Result<(), InvariantError> {
        self.0.tables.iter().try_for_each(|table| table.check())
    }
}

/// Reading tables, typed (`table`) and without Rust types (`any`).
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// # let mut state = house()?;
/// fn dark(read: &impl Read) -> usize {
///     read.table::<Lamp>().iter().filter(|lamp| lamp.current.is_none()).count()
/// }
/// assert_eq!((dark(&state), dark(&state.snapshot()), dark(&state.transaction())), (1, 1, 1));
/// # Ok::<_, SchemaError>(())
/// ```
pub trait Read {
    /// All tables, for reading.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// assert_eq!(state.view().version(), state.version());
    /// # Ok::<_, SchemaError>(())
    /// ```
    fn view(&self) -> View<'_>;

    /// A table by its row type.
    ///
    /// # Panics
    /// Where the schema was built without `R`: a mistake in the program, like an index out of bounds.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// assert!(state.table::<Lamp>().contains(&"hall".into()));
    /// # Ok::<_, SchemaError>(())
    /// ```
    fn table<R: Entity>(&self) -> Table<'_, R> {
        self.view().table()
    }

    /// A table by name or number, without its row type.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let row = state.any("lamp").and_then(|lamps| lamps.get(&Key::one("hall")));
    /// assert_eq!(row.and_then(|row| row.value(PartKind::Desired, "percent")), Some(80.into()));
    /// # Ok::<_, SchemaError>(())
    /// ```
    fn any(&self, table: impl TableName) -> Option<AnyTable<'_>> {
        self.view().any(table)
    }

    /// The row of a key.
    ///
    /// # Panics
    /// Where the schema was built without `R`: a mistake in the program, like an index out of bounds.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let lamp = state.get::<Lamp>(&"hall".into()).unwrap();
    /// assert_eq!((&lamp.desired, &lamp.current), (&Some(light(80)), &Some(light(20))));
    /// # Ok::<_, SchemaError>(())
    /// ```
    fn get<R: Entity>(&self, key: &R::Key) -> Option<&R> {
        self.view().table().get(key)
    }

    /// Follows the join table `J` from one side to the other: the rows of `T` that join rows lead to whose column
    /// `from` is `key`, each with its join row. Both columns are taken from the same part of the join row (or from
    /// its key); a row of `T` that does not exist is left out, one that several join rows lead to comes several times.
    ///
    /// # Panics
    /// Where either table is not in the schema, or `J` does not join `from` with `T`.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let lamps = state.joined::<Wire, Lamp>("switch", "door");
    /// assert!(lamps.map(|(_, lamp)| &*lamp.room).eq(["hall"]));
    /// let switches = state.joined::<Wire, Switch>("lamp", "hall");
    /// assert!(switches.map(|(_, switch)| &*switch.name).eq(["door"]));
    /// # Ok::<_, SchemaError>(())
    /// ```
    fn joined<J: Entity, T: Entity>(&self, from: &str, key: impl Into<Value>) -> Joined<'_, J, T> {
        self.view().joined::<J, T>(from, key)
    }

    /// [`Self::joined`], prepared for many rows of that side.
    ///
    /// # Panics
    /// Where either table is not in the schema, or `J` does not join `from` with `T`.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let switches_of = state.joiner::<Wire, Switch>("lamp");
    /// assert!(switches_of.of("hall").map(|(_, switch)| &*switch.name).eq(["door"]));
    /// # Ok::<_, SchemaError>(())
    /// ```
    fn joiner<J: Entity, T: Entity>(&self, from: &str) -> Joiner<'_, J, T> {
        self.view().joiner(from)
    }

    /// The same without Rust types. `None` where `join` is not a join table with a column `from`.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let lamps = state.joined_any("wire", "switch", &"door".into()).unwrap();
    /// assert_eq!(lamps[0].1.key(), Key::one("hall"));
    /// # Ok::<_, SchemaError>(())
    /// ```
    fn joined_any(
        &self,
        join: impl TableName,
        from: &str,
        key: &Value,
    ) -> Option<Vec<(AnyRow<'_>, AnyRow<'_>)>> {
        self.view().joined_any(join, from, key)
    }

    /// The schema.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let lamp = state.schema().table("lamp").unwrap();
    /// assert_eq!(lamp.schema().key[0].name, "room");
    /// # Ok::<_, SchemaError>(())
    /// ```
    fn schema(&self) -> &Arc<Schema> {
        self.view().schema()
    }

    /// How many transactions changed something before this moment.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let before = state.version();
    /// let mut tx = state.transaction();
    /// tx.remove::<Lamp>(&"attic".into());
    /// tx.commit();
    /// assert_eq!(state.version(), before + 1);
    /// # Ok::<_, SchemaError>(())
    /// ```
    fn version(&self) -> u64 {
        self.view().version()
    }

    /// Recomputes every index of every table from the rows.
    ///
    /// # Errors
    /// [`InvariantError`], the first deviation that is found.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// // After each step of a test, say.
    /// state.check_invariants()?;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    fn check_invariants(&self) -> Result<(), InvariantError> {
        self.view().check_invariants()
    }
}

impl Read for View<'_> {
    fn view(&self) -> View<'_> {
        *self
    }
}

impl<T: Read> Read for &T {
    fn view(&self) -> View<'_> {
        (**self).view()
    }
}
