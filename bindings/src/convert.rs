//! From the engine's values to Python's. Python sees what JSON has: UUIDs and addresses are `str`.

use crate::names::Names;
use pony_state::{AnyRow, Commit, Key, PartKind, TableDef, Value};
use pyo3::types::{PyDict, PyString, PyTuple};
use pyo3::{IntoPyObjectExt, prelude::*};
use serde_json::Value as Json;
use uuid::Uuid;
use uuid::fmt::Hyphenated;

fn from_json<'py>(py: Python<'py>, json: &Json) -> PyResult<Bound<'py, PyAny>> {
    match json {
        Json::Null => Ok(py.None().into_bound(py)),
        Json::Bool(truth) => truth.into_bound_py_any(py),
        Json::Number(number) if number.is_i64() => number.as_i64().into_bound_py_any(py),
        Json::Number(number) if number.is_u64() => number.as_u64().into_bound_py_any(py),
        Json::Number(number) => number.as_f64().into_bound_py_any(py),
        Json::String(text) => text.into_bound_py_any(py),
        Json::Array(items) => {
            let items = items.iter().map(|item| from_json(py, item)).collect::<PyResult<Vec<_>>>()?;
            items.into_bound_py_any(py)
        }
        Json::Object(members) => {
            let dict = PyDict::new(py);
            members.iter().try_for_each(|(name, value)| dict.set_item(name, from_json(py, value)?))?;
            Ok(dict.into_any())
        }
    }
}

fn from_uuid<'py>(py: Python<'py>, uuid: &Uuid) -> Bound<'py, PyAny> {
    let mut text = [0; Hyphenated::LENGTH];
    PyString::new(py, uuid.hyphenated().encode_lower(&mut text)).into_any()
}

pub(crate) fn from_value<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    match value {
        Value::Null => Ok(py.None().into_bound(py)),
        Value::Bool(truth) => truth.into_bound_py_any(py),
        Value::Text(text) => Ok(PyString::new(py, text).into_any()),
        Value::Int(number) => number.into_bound_py_any(py),
        Value::Float(number) => number.into_bound_py_any(py),
        Value::Uuid(uuid) => Ok(from_uuid(py, uuid)),
        other => from_json(py, &other.to_json()),
    }
}

/// A value, or a tuple where the key is composite.
pub(crate) fn from_key<'py>(py: Python<'py>, key: &Key) -> PyResult<Bound<'py, PyAny>> {
    if let [value] = key.values() {
        return from_value(py, value);
    }
    let values = key.values().iter().map(|value| from_value(py, value)).collect::<PyResult<Vec<_>>>()?;
    Ok(PyTuple::new(py, values)?.into_any())
}

/// `(table, key, desired, current)`; a part is `None` or a dictionary.
pub(crate) type Row<'py> =
    (Bound<'py, PyString>, Bound<'py, PyAny>, Option<Bound<'py, PyDict>>, Option<Bound<'py, PyDict>>);

fn from_part<'py>(
    py: Python<'py>,
    names: &Names,
    row: AnyRow<'_>,
    kind: PartKind,
) -> PyResult<Option<Bound<'py, PyDict>>> {
    let Some(values) = row.part(kind) else { return Ok(None) };
    let dict = PyDict::new(py);
    let columns = names.table(row.def()).map(|names| names.part(kind)).unwrap_or_default();
    for (column, value) in columns.iter().zip(&values) {
        dict.set_item(column, from_value(py, value)?)?;
    }
    Ok(Some(dict))
}

fn table_name<'py>(py: Python<'py>, names: &Names, def: &TableDef) -> Bound<'py, PyString> {
    names.table(def).map_or_else(|| PyString::new(py, def.name()), |names| names.table.bind(py).clone())
}

pub(crate) fn from_row<'py>(py: Python<'py>, names: &Names, row: AnyRow<'_>) -> PyResult<Row<'py>> {
    let part = |kind| from_part(py, names, row, kind);
    let (desired, current) = (part(PartKind::Desired)?, part(PartKind::Current)?);
    Ok((table_name(py, names, row.def()), from_key(py, &row.key())?, desired, current))
}

/// `(table, key, before, after)`
type Change<'py> = (Bound<'py, PyString>, Bound<'py, PyAny>, Option<Row<'py>>, Option<Row<'py>>);

/// `(version, changes)`
pub(crate) type Changes<'py> = (u64, Vec<Change<'py>>);

pub(crate) fn from_commit<'py>(py: Python<'py>, names: &Names, commit: &Commit) -> PyResult<Changes<'py>> {
    let change = |change: &pony_state::Change| {
        let row = |row: Option<AnyRow<'_>>| row.map(|row| from_row(py, names, row)).transpose();
        let (before, after) = (row(change.before())?, row(change.after())?);
        Ok((table_name(py, names, change.table()), from_key(py, &change.key())?, before, after))
    };
    Ok((commit.version(), commit.iter().map(change).collect::<PyResult<_>>()?))
}
