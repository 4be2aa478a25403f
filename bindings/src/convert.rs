//! Between Python's values and the engine's. Python sees what JSON has: UUIDs and addresses are `str`.

use pony_state::{AnyRow, Commit, Key, PartKind, Value};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use pyo3::{IntoPyObjectExt, prelude::*};
use serde_json::{Map, Value as Json};

/// Lists and dictionaries within each other, at most: as deep as JSON text may be, and no stack overflows.
const DEPTH_MAX: usize = 128;

/// Modules whose objects stand for their text.
const TEXTUAL: [&str; 2] = ["uuid", "ipaddress"];

pub(crate) fn to_json(value: &Bound<'_, PyAny>) -> PyResult<Json> {
    nested(value, DEPTH_MAX)
}

fn nested(value: &Bound<'_, PyAny>, depth: usize) -> PyResult<Json> {
    let too_deep = || PyValueError::new_err(format!("values are nested deeper than {DEPTH_MAX}"));
    let inner = depth.checked_sub(1).ok_or_else(too_deep)?;
    if value.is_none() {
        Ok(Json::Null)
    } else if value.is_instance_of::<PyBool>() {
        Ok(value.extract::<bool>()?.into())
    } else if value.is_instance_of::<PyString>() {
        Ok(value.extract::<String>()?.into())
    } else if value.is_instance_of::<PyInt>() {
        Ok(value.extract::<i64>()?.into())
    } else if value.is_instance_of::<PyFloat>() {
        let number = serde_json::Number::from_f64(value.extract()?).map(Json::Number);
        number.ok_or_else(|| PyValueError::new_err(format!("{value} is not a finite number")))
    } else if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        value.try_iter()?.map(|item| nested(&item?, inner)).collect()
    } else if let Ok(dict) = value.cast::<PyDict>() {
        let member = |(name, value): (Bound<'_, PyAny>, _)| Ok((name.extract()?, nested(&value, inner)?));
        Ok(Json::Object(dict.iter().map(member).collect::<PyResult<Map<_, _>>>()?))
    } else if TEXTUAL.contains(&value.get_type().module()?.extract::<String>()?.as_str()) {
        Ok(value.str()?.extract::<String>()?.into())
    } else {
        Err(PyTypeError::new_err(format!("{} is not a value of a column", value.repr()?)))
    }
}

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

fn from_value<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    match value {
        Value::Text(text) => (**text).into_bound_py_any(py),
        Value::Int(number) => number.into_bound_py_any(py),
        other => from_json(py, &other.to_json()),
    }
}

/// A value, or a tuple where the key is composite.
fn from_key<'py>(py: Python<'py>, key: &Key) -> PyResult<Bound<'py, PyAny>> {
    let values = key.values().iter().map(|value| from_value(py, value)).collect::<PyResult<Vec<_>>>()?;
    match <[_; 1]>::try_from(values) {
        Ok([value]) => Ok(value),
        Err(values) => Ok(PyTuple::new(py, values)?.into_any()),
    }
}

/// `(table, key, desired, current)`; a part is `None` or a dictionary.
pub(crate) type Row<'py> =
    (String, Bound<'py, PyAny>, Option<Bound<'py, PyDict>>, Option<Bound<'py, PyDict>>);

pub(crate) fn from_row<'py>(py: Python<'py>, row: AnyRow<'_>) -> PyResult<Row<'py>> {
    let part = |kind| -> PyResult<_> {
        let Some(values) = row.part(kind) else { return Ok(None) };
        let dict = PyDict::new(py);
        for (column, value) in row.def().schema().part(kind).iter().zip(&values) {
            dict.set_item(&column.name, from_value(py, value)?)?;
        }
        Ok(Some(dict))
    };
    let key = from_key(py, &row.key())?;
    Ok((row.def().name().to_owned(), key, part(PartKind::Desired)?, part(PartKind::Current)?))
}

/// `(table, key, before, after)`
type Change<'py> = (String, Bound<'py, PyAny>, Option<Row<'py>>, Option<Row<'py>>);

/// `(version, changes)`
pub(crate) fn from_commit<'py>(py: Python<'py>, commit: &Commit) -> PyResult<(u64, Vec<Change<'py>>)> {
    let change = |change: &pony_state::Change| {
        let row = |row: Option<AnyRow<'_>>| row.map(|row| from_row(py, row)).transpose();
        let (before, after) = (row(change.before())?, row(change.after())?);
        Ok((change.table().name().to_owned(), from_key(py, &change.key())?, before, after))
    };
    Ok((commit.version(), commit.iter().map(change).collect::<PyResult<_>>()?))
}
