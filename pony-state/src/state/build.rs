//! Declaring the tables of a state.

use super::{Catalog, Root, State};
use crate::dynamic::DynRow;
use crate::feed::Feed;
use crate::row::{Entity, Row};
use crate::schema::{Schema, SchemaError, TableDef, TableSchema};
use crate::table::{TableData, TableOps};
use hashbrown::HashMap;
use std::any::TypeId;
use std::sync::Arc;

type MakeTable = fn(Arc<TableDef>) -> Arc<dyn TableOps>;

/// Collects tables, typed and declared at run time, for one [`State`].
#[derive(Debug, Default)]
pub struct StateBuilder {
    tables: Vec<(TableSchema, Option<TypeId>, MakeTable)>,
}

fn make<R: Row>(def: Arc<TableDef>) -> Arc<dyn TableOps> {
    Arc::new(TableData::<R>::new(def))
}

impl StateBuilder {
    /// Adds the table of a row type.
    #[must_use]
    pub fn table<R: Entity>(mut self) -> Self {
        self.tables.push((R::schema(), Some(TypeId::of::<R>()), make::<R>));
        self
    }

    /// Adds a table that has no row type of its own; its rows are [`DynRow`]s.
    #[must_use]
    pub fn table_dyn(mut self, schema: TableSchema) -> Self {
        self.tables.push((schema, None, make::<DynRow>));
        self
    }

    /// Checks the tables as a whole and makes an empty state of them.
    ///
    /// # Errors
    /// [`SchemaError`], the first that is found.
    pub fn build(self) -> Result<State, SchemaError> {
        let schema = Schema::new(self.tables.iter().map(|(schema, ..)| schema.clone()).collect())?;
        let mut by_type = HashMap::new();
        let mut tables = Vec::new();
        for ((_, ty, make), def) in self.tables.iter().zip(schema.tables()) {
            by_type.extend(ty.map(|ty| (ty, def.id())));
            tables.push(make(Arc::clone(def)));
        }
        let catalog = Arc::new(Catalog { schema: Arc::new(schema), by_type });
        Ok(State { root: Arc::new(Root { catalog, tables, version: 0 }), feed: Feed::default() })
    }
}
