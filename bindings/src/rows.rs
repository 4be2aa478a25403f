//! The answer to a look-up: which rows, in which snapshot. A row crosses the border when it is looked at, and only then:
//! that is what costs.

use crate::convert::{from_key, from_row, from_value};
use crate::error::Raise;
use crate::names::Names;
use crate::take::to_kind;
use crate::view::{find, named, wanted};
use pony_state::{AnyRow, RowList, Snapshot, TableDef};
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PySlice};
use std::sync::{Arc, OnceLock};

/// From so many rows on others may run while they are put into order.
const DETACH_ROWS_MIN: usize = 10_000;

#[pyclass(frozen, sequence, generic)]
pub(crate) struct Rows {
    found: RowList,
    /// The same in the order of keys, once somebody wants to see them.
    ordered: OnceLock<RowList>,
    names: Arc<Names>,
    /// What makes a row of a tuple.
    make: Py<PyAny>,
}

fn is_indexed(def: &TableDef, column: &str) -> bool {
    let is_key = def.schema().key.iter().any(|key| key.name == column);
    is_key || def.column(column).is_some_and(|column| column.indexed || column.references.is_some())
}

impl Rows {
    pub(crate) fn of(
        snapshot: Snapshot,
        names: &Arc<Names>,
        name: &str,
        filters: &Bound<'_, PyDict>,
        make: Py<PyAny>,
    ) -> PyResult<Self> {
        let py = filters.py();
        let def = Arc::clone(find(py, &snapshot, name)?.def());
        let wanted = wanted(&def, filters)?;
        let is_quick = wanted.iter().any(|(column, _)| is_indexed(&def, column));
        let list = || snapshot.list(def.id(), &named(&wanted));
        // Giving the interpreter away costs more than a look-up by an index.
        let found = if is_quick { list() } else { py.detach(list) };
        Ok(Self { found: found.raise(py)?, ordered: OnceLock::new(), names: Arc::clone(names), make })
    }

    fn ordered(&self, py: Python<'_>) -> &RowList {
        let order = || {
            let mut list = self.found.clone();
            list.sort();
            list
        };
        if self.found.len() < DETACH_ROWS_MIN {
            return self.ordered.get_or_init(order);
        }
        py.detach(|| self.ordered.get_or_init(order))
    }

    fn make<'py>(&self, py: Python<'py>, row: AnyRow<'_>) -> PyResult<Bound<'py, PyAny>> {
        self.make.bind(py).call1((from_row(py, &self.names, row)?,))
    }

    /// Where that row is.
    fn places(&self, value: &Bound<'_, PyAny>) -> PyResult<Vec<usize>> {
        let py = value.py();
        let mut places = Vec::new();
        for (place, row) in self.ordered(py).iter().enumerate() {
            if self.make(py, row)?.eq(value)? {
                places.push(place);
            }
        }
        Ok(places)
    }

    fn item<'py>(&self, py: Python<'py>, place: isize) -> PyResult<Option<Bound<'py, PyAny>>> {
        let place = if place < 0 { place + self.found.len() as isize } else { place };
        let row = usize::try_from(place).ok().and_then(|place| self.ordered(py).get(place));
        row.map(|row| self.make(py, row)).transpose()
    }
}

#[pymethods]
impl Rows {
    fn __len__(&self) -> usize {
        self.found.len()
    }

    fn __getitem__<'py>(&self, place: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = place.py();
        let Ok(slice) = place.cast::<PySlice>() else {
            let none = || PyIndexError::new_err(format!("there are {} rows", self.found.len()));
            return self.item(py, place.extract()?)?.ok_or_else(none);
        };
        let slice = slice.indices(self.found.len() as isize)?;
        let places = (0..slice.slicelength as isize).map(|number| slice.start + number * slice.step);
        let rows =
            places.filter_map(|place| self.item(py, place).transpose()).collect::<PyResult<Vec<_>>>()?;
        Ok(PyList::new(py, rows)?.into_any())
    }

    fn __iter__(slf: &Bound<'_, Self>) -> RowsIter {
        RowsIter { rows: slf.clone().unbind(), next: 0 }
    }

    fn index(&self, value: &Bound<'_, PyAny>) -> PyResult<usize> {
        let none = || PyValueError::new_err("there is no such row");
        self.places(value)?.into_iter().next().ok_or_else(none)
    }

    fn count(&self, value: &Bound<'_, PyAny>) -> PyResult<usize> {
        Ok(self.places(value)?.len())
    }

    /// The keys of all rows, in order.
    fn keys<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        self.ordered(py).iter().map(|row| from_key(py, &row.key())).collect()
    }

    /// One column of a part of all rows, in order; `None` where a row has none.
    fn column<'py>(
        &self,
        py: Python<'py>,
        part: &str,
        column: &str,
    ) -> PyResult<Vec<Option<Bound<'py, PyAny>>>> {
        let kind = to_kind(py, part)?;
        let values = self.ordered(py).column(kind, column).raise(py)?;
        values.map(|value| value.map(|value| from_value(py, &value)).transpose()).collect()
    }
}

#[pyclass]
pub(crate) struct RowsIter {
    rows: Py<Rows>,
    next: isize,
}

#[pymethods]
impl RowsIter {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.next += 1;
        self.rows.get().item(py, self.next - 1)
    }
}
