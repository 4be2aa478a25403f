//! A table without its row type.

use super::{InvariantError, TableData, Written};
use crate::change::Change;
use crate::engine::id_set::Ids;
use crate::row::{ColumnError, PartValues, Row, RowOps};
use crate::schema::{PartKind, TableDef};
use crate::value::{Key, Value};
use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

/// What states, transactions and the erased door need of a table. Keys and values given to it have been checked
/// against the schema.
pub(crate) trait TableOps: Any + Debug + Send + Sync {
    fn def(&self) -> &Arc<TableDef>;
    /// A copy that shares all pages.
    fn copy(&self) -> Arc<dyn TableOps>;
    fn len(&self) -> usize;
    fn row(&self, id: u32) -> Option<&dyn RowOps>;
    fn id_of_any(&self, key: &Key) -> Option<u32>;
    fn all_ids(&self) -> Ids<'_>;
    fn ids_after_any(&self, after: Option<&Key>) -> Ids<'_>;
    fn find_ids(&self, column: &str, value: &Value) -> Option<Ids<'_>>;
    fn cost(&self, column: &str, value: &Value) -> usize;
    fn holds(&self, id: u32, column: &str, value: &Value) -> bool;

    /// Sets or removes a part.
    fn set_part(
        &mut self,
        key: &Key,
        kind: PartKind,
        values: Option<&[Value]>,
    ) -> Result<Written, ColumnError>;
    /// Makes the row of a key what `row` is, if that is a row of this table's type; `None` where it is not.
    fn put_any(&mut self, key: &Key, row: Option<&dyn RowOps>) -> Option<Written>;

    /// The change that a log entry stands for, if the row is not what it was.
    fn take_change(&mut self, place: usize) -> Option<Change>;
    /// Makes a row what it was.
    fn undo(&mut self, place: usize);
    fn clear_log(&mut self);

    fn check(&self) -> Result<(), InvariantError>;
}

impl<R: Row> TableOps for TableData<R> {
    fn def(&self) -> &Arc<TableDef> {
        self.table_def()
    }

    fn copy(&self) -> Arc<dyn TableOps> {
        Arc::new(self.clone())
    }

    fn len(&self) -> usize {
        self.row_count()
    }

    fn row(&self, id: u32) -> Option<&dyn RowOps> {
        self.by_id(id).map(|row| row as &dyn RowOps)
    }

    fn id_of_any(&self, key: &Key) -> Option<u32> {
        self.id_of(&R::typed_key(key).ok()?)
    }

    fn all_ids(&self) -> Ids<'_> {
        Ids::Boxed(Box::new(self.ids()))
    }

    fn ids_after_any(&self, after: Option<&Key>) -> Ids<'_> {
        // A key that does not fit the table stands before all rows, like none.
        let after = after.and_then(|key| R::typed_key(key).ok());
        Ids::Boxed(Box::new(self.ids_after(after.as_ref())))
    }

    fn find_ids(&self, column: &str, value: &Value) -> Option<Ids<'_>> {
        self.find(column, value)
    }

    fn cost(&self, column: &str, value: &Value) -> usize {
        self.find_cost(column, value)
    }

    fn holds(&self, id: u32, column: &str, value: &Value) -> bool {
        let places = self.def.places(column);
        places.zip(self.by_id(id)).is_some_and(|(places, row)| places.hold(row, value))
    }

    fn set_part(
        &mut self,
        key: &Key,
        kind: PartKind,
        values: Option<&[Value]>,
    ) -> Result<Written, ColumnError> {
        let key = R::typed_key(key)?;
        Ok(match kind {
            PartKind::Desired => {
                let part = values.map(R::Desired::from_values).transpose()?;
                self.write(&key, |row| row.set_desired(part))
            }
            PartKind::Current => {
                let part = values.map(R::Current::from_values).transpose()?;
                self.write(&key, |row| row.set_current(part))
            }
        })
    }

    fn put_any(&mut self, key: &Key, row: Option<&dyn RowOps>) -> Option<Written> {
        let key = R::typed_key(key).ok()?;
        let new = match row {
            Some(row) => (row as &dyn Any).downcast_ref::<R>()?.clone(),
            None => R::new(key.clone()),
        };
        Some(self.write(&key, |row| *row = new))
    }

    fn take_change(&mut self, place: usize) -> Option<Change> {
        let (key, before) = self.log.take(place)?;
        let after = self.get(&key);
        if before.as_ref() == after {
            return None;
        }
        Some(Change::new(Arc::clone(&self.def), key, before, after.cloned()))
    }

    fn undo(&mut self, place: usize) {
        if let Some((key, before)) = self.log.take(place) {
            let before = before.unwrap_or_else(|| R::new(key.clone()));
            self.write(&key, |row| *row = before);
        }
    }

    fn clear_log(&mut self) {
        self.log.clear();
    }

    fn check(&self) -> Result<(), InvariantError> {
        self.check_invariants()
    }
}
