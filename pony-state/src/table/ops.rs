//! A table without its row type.

use super::{Access, InvariantError, TableData};
use crate::change::Change;
use crate::codec::RowValues;
use crate::engine::id_set::Ids;
use crate::row::{ColumnError, PartValues, Row, RowOps};
use crate::schema::{ColumnPlaces, PartKind, TableDef};
use crate::value::{Key, Value};
use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

/// What states, transactions and the erased door need of a table. Keys and values given to it have been checked
/// against the schema.
pub(crate) trait TableOps: Any + Debug + Send + Sync {
    fn def(&self) -> &Arc<TableDef>;
    /// A copy that shares all pages.
    fn copy(&self) -> Box<dyn TableOps>;
    fn len(&self) -> usize;
    fn row(&self, id: u32) -> Option<&dyn RowOps>;
    fn id_of_any(&self, key: &[Value]) -> Option<u32>;
    fn all_ids(&self) -> Ids<'_>;
    fn ids_after_any(&self, after: Option<&Key>) -> Ids<'_>;
    /// Puts ids of rows into the order of their keys.
    fn sort_ids(&self, ids: &mut Vec<u32>);
    fn ids_with(&self, places: ColumnPlaces, value: &Value) -> Ids<'_>;
    fn cost(&self, places: ColumnPlaces, value: &Value) -> usize;
    fn holds(&self, id: u32, places: ColumnPlaces, value: &Value) -> bool;

    /// Sets or removes a part. Says the place of the log entry, if that changed anything.
    fn set_part(
        &mut self,
        key: &Key,
        kind: PartKind,
        values: Option<&[Value]>,
    ) -> Result<Option<usize>, ColumnError>;
    /// Makes a whole row what is given, as [`TableData::put`]; parts are in the order of [`PartKind::BOTH`]. The error
    /// says which of them is wrong, where it is not the key.
    fn put_values(&mut self, row: RowValues) -> Result<Option<usize>, (Option<PartKind>, ColumnError)>;
    /// Makes the row of a change what it is after that, and says the same, if that is a row of this table's type; `None`
    /// where it is not.
    fn apply(&mut self, change: &Change) -> Option<Option<usize>>;

    /// Ends the writing of a transaction whose changes are to be told: finds out which log entries say what.
    fn settle_log(&mut self);
    /// The change that an entry of a settled log stands for, if it is the first one of its row, and the row is not what it
    /// was.
    fn take_change(&mut self, place: usize) -> Option<Change>;
    /// The same for a transaction of one write; the log is empty then.
    fn take_only_change(&mut self) -> Option<Change>;
    /// Makes all rows what they were before the transaction.
    fn undo_all(&mut self);
    /// Ends the transaction: forgets its log.
    fn end(&mut self);
    /// The same for one that nobody hears the changes of.
    fn end_bulk(&mut self);

    fn check(&self) -> Result<(), InvariantError>;
}

impl<R: Row> TableOps for TableData<R> {
    fn def(&self) -> &Arc<TableDef> {
        self.table_def()
    }

    fn copy(&self) -> Box<dyn TableOps> {
        Box::new(self.clone())
    }

    fn len(&self) -> usize {
        self.row_count()
    }

    fn row(&self, id: u32) -> Option<&dyn RowOps> {
        self.by_id(id).map(|row| row as &dyn RowOps)
    }

    fn id_of_any(&self, key: &[Value]) -> Option<u32> {
        self.id_of(&R::key_of(key).ok()?)
    }

    fn all_ids(&self) -> Ids<'_> {
        Ids::Boxed(Box::new(self.ids()))
    }

    fn ids_after_any(&self, after: Option<&Key>) -> Ids<'_> {
        let after = after.and_then(|key| R::typed_key(key).ok());
        Ids::Boxed(Box::new(self.ids_after(after.as_ref())))
    }

    fn sort_ids(&self, ids: &mut Vec<u32>) {
        self.order_ids(ids);
    }

    fn ids_with(&self, places: ColumnPlaces, value: &Value) -> Ids<'_> {
        self.find_at(places, value)
    }

    fn cost(&self, places: ColumnPlaces, value: &Value) -> usize {
        self.find_cost(places, value)
    }

    fn holds(&self, id: u32, places: ColumnPlaces, value: &Value) -> bool {
        self.by_id(id).is_some_and(|row| places.hold(row, value))
    }

    fn set_part(
        &mut self,
        key: &Key,
        kind: PartKind,
        values: Option<&[Value]>,
    ) -> Result<Option<usize>, ColumnError> {
        let key = R::typed_key(key)?;
        Ok(match kind {
            PartKind::Desired => {
                let part = values.map(R::Desired::from_values).transpose()?;
                self.set(&key, &Access::DESIRED, part)
            }
            PartKind::Current => {
                let part = values.map(R::Current::from_values).transpose()?;
                self.set(&key, &Access::CURRENT, part)
            }
        })
    }

    fn put_values(&mut self, row: RowValues) -> Result<Option<usize>, (Option<PartKind>, ColumnError)> {
        let RowValues { key, parts: [desired, current] } = row;
        let of = |kind| move |error| (Some(kind), error);
        let key = R::typed_key(&key).map_err(|error| (None, error))?;
        let desired = desired.map(R::Desired::from_vec).transpose().map_err(of(PartKind::Desired))?;
        let current = current.map(R::Current::from_vec).transpose().map_err(of(PartKind::Current))?;
        Ok(self.put(&key, R::of(key.clone(), desired, current)))
    }

    fn apply(&mut self, change: &Change) -> Option<Option<usize>> {
        let versions = change.versions::<R>()?;
        Some(match &versions.after {
            Some(row) => self.put(&versions.key()?, row.clone()),
            None => self.remove(&versions.key()?),
        })
    }

    fn settle_log(&mut self) {
        self.log.settle();
    }

    fn take_change(&mut self, place: usize) -> Option<Change> {
        self.take_versions(place).map(Change::new)
    }

    fn take_only_change(&mut self) -> Option<Change> {
        let change = self.take_change(0);
        self.end();
        change
    }

    fn undo_all(&mut self) {
        Self::undo_all(self);
    }

    fn end(&mut self) {
        Self::end(self);
    }

    fn end_bulk(&mut self) {
        Self::end_bulk(self);
    }

    fn check(&self) -> Result<(), InvariantError> {
        self.check_invariants()
    }
}
