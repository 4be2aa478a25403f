//! Reading: all tables at one moment.

use crate::convert::{Row, from_row, to_json};
use crate::error::{Raise, exception};
use pony_state::{AnyTable, Key, PartError, Read, Snapshot, TableDef, Value};
use pyo3::prelude::*;
use pyo3::types::PyDict;

#[pyclass(frozen)]
pub(crate) struct View(pub(crate) Snapshot);

fn unknown_column(def: &TableDef, column: &str) -> PartError {
    let known = def.schema().columns().map(|column| column.name.clone()).collect();
    PartError::UnknownColumn { table: def.name().to_owned(), column: column.to_owned(), known }
}

/// What to look for in a column.
fn to_value(def: &TableDef, column: &str, value: &Bound<'_, PyAny>) -> PyResult<Value> {
    let known = def.column(column).ok_or_else(|| unknown_column(def, column)).raise(value.py())?;
    let json = to_json(value)?;
    if json.is_null() {
        return Ok(Value::Null);
    }
    let wrong =
        |problem| PartError::Value { table: def.name().to_owned(), column: column.to_owned(), problem };
    Value::from_json(&known.ty, &json).map_err(wrong).raise(value.py())
}

impl View {
    fn table(&self, py: Python<'_>, name: &str) -> PyResult<AnyTable<'_>> {
        let known = || self.0.schema().tables().iter().map(|table| table.name().to_owned()).collect();
        let unknown = || PartError::UnknownTable { table: name.to_owned(), known: known() };
        self.0.any(name).ok_or_else(unknown).raise(py)
    }

    pub(crate) fn key(&self, table: &str, key: &Bound<'_, PyAny>) -> PyResult<Key> {
        self.table(key.py(), table)?.def().key_from_json(&to_json(key)?).raise(key.py())
    }
}

#[pymethods]
impl View {
    #[getter]
    fn version(&self) -> u64 {
        self.0.version()
    }

    fn count(&self, py: Python<'_>, table: &str) -> PyResult<usize> {
        Ok(self.table(py, table)?.len())
    }

    fn get<'py>(&self, table: &str, key: &Bound<'py, PyAny>) -> PyResult<Option<Row<'py>>> {
        let row = self.table(key.py(), table)?.get(&self.key(table, key)?);
        row.map(|row| from_row(key.py(), row)).transpose()
    }

    fn filter<'py>(
        &self,
        table: &str,
        filters: &Bound<'py, PyDict>,
        after: &Bound<'py, PyAny>,
        limit: Option<usize>,
    ) -> PyResult<Vec<Row<'py>>> {
        let (name, py) = (table, filters.py());
        let table = self.table(py, name)?;
        let after = if after.is_none() { None } else { Some(self.key(name, after)?) };
        let mut wanted = Vec::new();
        for (column, value) in filters {
            let column: String = column.extract()?;
            let value = to_value(table.def(), &column, &value)?;
            wanted.push((column, value));
        }
        let wanted: Vec<_> = wanted.iter().map(|(column, value)| (column.as_str(), value.clone())).collect();
        let rows = py.detach(|| table.page(&wanted, after.as_ref(), limit.unwrap_or(usize::MAX)));
        let rows = rows.map_err(|error| unknown_column(table.def(), &error.column)).raise(py)?;
        rows.into_iter().map(|row| from_row(py, row)).collect()
    }

    fn join<'py>(
        &self,
        table: &str,
        column: &str,
        key: &Bound<'py, PyAny>,
    ) -> PyResult<Vec<(Row<'py>, Row<'py>)>> {
        let py = key.py();
        let key = to_value(self.table(py, table)?.def(), column, key)?;
        let pairs = py.detach(|| self.0.view().joined_any(table, column, &key)).ok_or_else(|| {
            let message = format!("table `{table}` does not join by column `{column}`");
            exception(py, "NotAJoin", message, Some(table), Some(column))
        })?;
        pairs.into_iter().map(|(join, row)| Ok((from_row(py, join)?, from_row(py, row)?))).collect()
    }
}
