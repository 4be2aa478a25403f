//! Declaring the tables of a state.

use super::{Catalog, Root, State};
use crate::dynamic::DynRow;
use crate::row::{Entity, Row};
use crate::schema::{Schema, SchemaError, TableDef, TableSchema};
use crate::table::{TableData, TableOps};
use std::any::TypeId;
use std::sync::Arc;
use triomphe::Arc as Shared;

type MakeTable = fn(Arc<TableDef>) -> Box<dyn TableOps>;

/// Collects tables, typed and declared at run time, for one [`State`].
///
/// ```
/// use pony_state::{ColumnSchema, ColumnType, Read, StateBuilder, TableSchema};
///
/// let names = ["lamp", "switch"];
/// let table = |name: &str| TableSchema::new(name).key(ColumnSchema::new("id", ColumnType::Int)).current([]);
/// let state = names.map(table).into_iter().fold(StateBuilder::default(), StateBuilder::table_dyn).build()?;
/// assert_eq!(state.schema().tables().len(), 2);
/// # Ok::<_, pony_state::SchemaError>(())
/// ```
#[derive(Debug, Default)]
pub struct StateBuilder {
    tables: Vec<(TableSchema, Option<TypeId>, MakeTable)>,
}

fn make<R: Row>(def: Arc<TableDef>) -> Box<dyn TableOps> {
    Box::new(TableData::<R>::new(def))
}

impl StateBuilder {
    /// Adds the table of a row type.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let state = State::builder().table::<Lamp>().build()?;
    /// assert!(state.table::<Lamp>().is_empty());
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn table<R: Entity>(mut self) -> Self {
        self.tables.push((R::schema(), Some(TypeId::of::<R>()), make::<R>));
        self
    }

    /// Adds a table that has no row type of its own; its rows are [`DynRow`]s.
    ///
    /// ```
    /// use pony_state::{ColumnSchema, ColumnType, Key, PartKind, Read, State, TableSchema};
    /// use serde_json::json;
    ///
    /// let lamp = TableSchema::new("lamp")
    ///     .key(ColumnSchema::new("room", ColumnType::Text))
    ///     .desired([ColumnSchema::new("percent", ColumnType::Int)]);
    /// let mut state = State::builder().table_dyn(lamp).build()?;
    /// let mut tx = state.transaction();
    /// tx.set_json("lamp", &Key::one("hall"), PartKind::Desired, &json!({"percent": 80}))?;
    /// tx.commit();
    /// assert_eq!(state.any("lamp").unwrap().find("percent", &80.into())?.count(), 1);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn table_dyn(mut self, schema: TableSchema) -> Self {
        self.tables.push((schema, None, make::<DynRow>));
        self
    }

    /// Checks the tables as a whole and makes an empty state of them.
    ///
    /// # Errors
    /// [`SchemaError`], the first that is found.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let error = State::builder().table::<Lamp>().table::<Wire>().build().unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "table `wire`: column `switch` references table `switch`, which does not exist"
    /// );
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn build(self) -> Result<State, SchemaError> {
        let schema = Schema::new(self.tables.iter().map(|(schema, ..)| schema.clone()).collect())?;
        let types = self.tables.iter().map(|(_, ty, _)| *ty).collect();
        let tables = self
            .tables
            .iter()
            .zip(schema.tables())
            .map(|((.., make), def)| Shared::new(make(Arc::clone(def))))
            .collect();
        let catalog = Arc::new(Catalog { schema: Arc::new(schema), types });
        Ok(State::of(Shared::new(Root { catalog, tables, version: 0 })))
    }
}
