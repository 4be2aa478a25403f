//! Recomputing everything that is derived from the rows.

use super::TableData;
use crate::engine::index::values_of;
use crate::row::Row;
use crate::value::Value;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// Something derived from the rows is not what the rows say. This is a bug in this crate, or in a column type whose
/// equal values give different [`Value`]s.
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// # let mut state = house()?;
/// assert_eq!(state.check_invariants(), Ok::<(), InvariantError>(()));
/// # Ok::<_, SchemaError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvariantError {
    /// The primary index does not find a row by its key.
    #[error("table `{table}`: the primary index does not find the row `{key}`")]
    Primary {
        /// The table.
        table: String,
        /// The key.
        key: String,
    },
    /// A count is wrong.
    #[error("table `{table}` has {rows} rows, but its {what} has {found}")]
    Count {
        /// The table.
        table: String,
        /// What is counted.
        what: &'static str,
        /// How many rows there are.
        rows: usize,
        /// How many there seem to be.
        found: usize,
    },
    /// Rows are not in the order of their keys.
    #[error("table `{table}`: the order of keys is broken at `{key}`")]
    Order {
        /// The table.
        table: String,
        /// The key that is not greater than the one before.
        key: String,
    },
    /// A row without parts.
    #[error("table `{table}`: the row `{key}` has no part, but did not vanish")]
    NoPart {
        /// The table.
        table: String,
        /// The key.
        key: String,
    },
    /// An index lists other rows for a value than have it.
    #[error(
        "table `{table}`: the index of `{column}` lists rows {found:?} for `{value}`; those are {expected:?}"
    )]
    Index {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// The value.
        value: String,
        /// The ids of the rows that have it.
        expected: Vec<u32>,
        /// The ids that the index lists.
        found: Vec<u32>,
    },
    /// A transaction left something behind.
    #[error("table `{table}`: the log of a finished transaction is not empty")]
    Log {
        /// The table.
        table: String,
    },
}

impl<R: Row> TableData<R> {
    /// Recomputes every index from the rows.
    pub(super) fn check_invariants(&self) -> Result<(), InvariantError> {
        self.check_rows()?;
        self.check_order()?;
        (0..self.listed().indexes.len()).try_for_each(|place| self.check_index(place))
    }

    fn table_name(&self) -> String {
        self.def.name().to_owned()
    }

    fn check_rows(&self) -> Result<(), InvariantError> {
        for (id, row) in self.rows.iter() {
            let key = || R::untyped_key(&row.key()).to_string();
            if self.id_of(&row.key()) != Some(id) {
                return Err(InvariantError::Primary { table: self.table_name(), key: key() });
            }
            if row.desired().is_none() && row.current().is_none() {
                return Err(InvariantError::NoPart { table: self.table_name(), key: key() });
            }
        }
        let (rows, listed) = (self.rows.iter().count(), self.listed());
        let counts = [
            ("row counter", self.rows.len()),
            ("primary index", self.primary.len()),
            ("order of keys", listed.order.len()),
            ("list of ordered keys", listed.order.iter().count()),
        ];
        for (what, found) in counts {
            if found != rows {
                return Err(InvariantError::Count { table: self.table_name(), what, rows, found });
            }
        }
        if self.log.is_empty() { Ok(()) } else { Err(InvariantError::Log { table: self.table_name() }) }
    }

    fn check_order(&self) -> Result<(), InvariantError> {
        let mut last: Option<R::Key> = None;
        for listed in self.listed().order.iter() {
            let row = self.by_id(listed as u32);
            let rises = match (row, &last) {
                (Some(row), Some(last)) => row.cmp_key(last) == Ordering::Greater,
                (Some(_), None) => true,
                (None, _) => false,
            };
            let key = row.map(Row::key);
            let rank = key.as_ref().map(R::rank);
            if !rises || rank != Some((listed >> 32) as u32) {
                let key = key.map_or_else(String::new, |key| R::untyped_key(&key).to_string());
                return Err(InvariantError::Order { table: self.table_name(), key });
            }
            last = key;
        }
        Ok(())
    }

    fn check_index(&self, place: usize) -> Result<(), InvariantError> {
        let index = self.listed().indexes.get(place);
        let Some(((column, places), index)) = self.def.indexed().get(place).zip(index) else {
            return Ok(());
        };
        let mut expected: BTreeMap<Value, Vec<u32>> = BTreeMap::new();
        for (id, row) in self.rows.iter() {
            for value in values_of(row, *places).into_iter().flatten() {
                expected.entry(value).or_default().push(id);
            }
        }
        let found: BTreeMap<Value, Vec<u32>> =
            index.postings().map(|(value, rows)| (value.clone(), rows.iter().collect())).collect();
        let values: BTreeSet<&Value> = expected.keys().chain(found.keys()).collect();
        for value in values {
            let listed: Vec<u32> = index.find(&self.def, value).collect();
            let (expected, found) = (expected.get(value), found.get(value));
            if expected != found || expected != Some(&listed) {
                return Err(InvariantError::Index {
                    table: self.table_name(),
                    column: column.clone(),
                    value: value.to_string(),
                    expected: expected.cloned().unwrap_or_default(),
                    found: listed,
                });
            }
        }
        Ok(())
    }
}
