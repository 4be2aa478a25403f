//! Reading: all tables at one moment, lists of rows that lie in them.

use crate::convert::{Row, from_row};
use crate::error::{Raise, exception};
use crate::names::Names;
use crate::rows::Rows;
use crate::take::{to_key, to_value};
use pony_state::{AnyTable, PartError, Read, Snapshot, TableDef, Value};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::Arc;

#[pyclass(frozen)]
pub(crate) struct View {
    pub(crate) snapshot: Snapshot,
    pub(crate) names: Arc<Names>,
}

/// Pairs of a row of a join table, and the row that it leads to.
pub(crate) type Pairs<'py> = Vec<(Row<'py>, Row<'py>)>;

pub(crate) fn find<'s>(py: Python<'_>, state: &'s impl Read, name: &str) -> PyResult<AnyTable<'s>> {
    let known = || state.schema().tables().iter().map(|table| table.name().to_owned()).collect();
    let unknown = || PartError::UnknownTable { table: name.to_owned(), known: known() };
    state.any(name).ok_or_else(unknown).raise(py)
}

/// What a row must have in which columns.
pub(crate) fn wanted(def: &TableDef, filters: &Bound<'_, PyDict>) -> PyResult<Vec<(String, Value)>> {
    let filter = |(column, value): (Bound<'_, PyAny>, Bound<'_, PyAny>)| {
        let column: String = column.extract()?;
        let value = to_value(def, &column, &value)?;
        Ok((column, value))
    };
    filters.iter().map(filter).collect()
}

pub(crate) fn named(wanted: &[(String, Value)]) -> Vec<(&str, Value)> {
    wanted.iter().map(|(column, value)| (column.as_str(), value.clone())).collect()
}

pub(crate) fn get<'py>(
    state: &impl Read,
    names: &Names,
    name: &str,
    key: &Bound<'py, PyAny>,
) -> PyResult<Option<Row<'py>>> {
    let table = find(key.py(), state, name)?;
    let row = table.get(&to_key(table.def(), key)?);
    row.map(|row| from_row(key.py(), names, row)).transpose()
}

/// Up to so many rows in the order of keys, after a key.
pub(crate) fn page<'py>(
    state: &(impl Read + Sync),
    names: &Names,
    name: &str,
    filters: &Bound<'py, PyDict>,
    after: &Bound<'py, PyAny>,
    limit: Option<usize>,
) -> PyResult<Vec<Row<'py>>> {
    let py = filters.py();
    let table = find(py, state, name)?;
    let after = if after.is_none() { None } else { Some(to_key(table.def(), after)?) };
    let wanted = wanted(table.def(), filters)?;
    let rows: Vec<_> = py.detach(|| {
        // Its columns were looked at before.
        let rows = table.select(&named(&wanted), after.as_ref()).into_iter().flatten();
        rows.take(limit.unwrap_or(usize::MAX)).collect()
    });
    rows.into_iter().map(|row| from_row(py, names, row)).collect()
}

pub(crate) fn join<'py>(
    state: &(impl Read + Sync),
    names: &Names,
    name: &str,
    column: &str,
    key: &Bound<'py, PyAny>,
) -> PyResult<Pairs<'py>> {
    let py = key.py();
    let key = to_value(find(py, state, name)?.def(), column, key)?;
    let pairs = py.detach(|| state.view().joined_any(name, column, &key)).ok_or_else(|| {
        let message = format!("table `{name}` does not join by column `{column}`");
        exception(py, "NotAJoin", message, Some(name), Some(column))
    })?;
    pairs.into_iter().map(|(join, row)| Ok((from_row(py, names, join)?, from_row(py, names, row)?))).collect()
}

#[pymethods]
impl View {
    #[getter]
    fn version(&self) -> u64 {
        self.snapshot.version()
    }

    fn count(&self, py: Python<'_>, table: &str) -> PyResult<usize> {
        Ok(find(py, &self.snapshot, table)?.len())
    }

    fn get<'py>(&self, table: &str, key: &Bound<'py, PyAny>) -> PyResult<Option<Row<'py>>> {
        get(&self.snapshot, &self.names, table, key)
    }

    fn rows(&self, table: &str, filters: &Bound<'_, PyDict>, make: Py<PyAny>) -> PyResult<Rows> {
        Rows::of(self.snapshot.clone(), &self.names, table, filters, make)
    }

    fn page<'py>(
        &self,
        table: &str,
        filters: &Bound<'py, PyDict>,
        after: &Bound<'py, PyAny>,
        limit: Option<usize>,
    ) -> PyResult<Vec<Row<'py>>> {
        page(&self.snapshot, &self.names, table, filters, after, limit)
    }

    fn join<'py>(&self, table: &str, column: &str, key: &Bound<'py, PyAny>) -> PyResult<Pairs<'py>> {
        join(&self.snapshot, &self.names, table, column, key)
    }

    fn check(&self, py: Python<'_>) -> PyResult<()> {
        let broken = |error: pony_state::InvariantError| {
            pyo3::exceptions::PyAssertionError::new_err(error.to_string())
        };
        py.detach(|| self.snapshot.check_invariants()).map_err(broken)
    }
}
