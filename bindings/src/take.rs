//! From Python's values to the engine's.
//!
//! What a column takes mostly comes as the one type of Python that fits it, and is read straight. Everything else goes
//! through JSON, where the engine itself says what is wrong.

use crate::error::{Raise, exception};
use pony_state::{ColumnSchema, ColumnType, Key, KeyColumns, PartError, PartKind, TableDef, Value};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyMapping, PyRange, PyString, PyTuple};
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
    } else if let Some(plain) = stands_for(value)? {
        nested(&plain, inner)
    } else if let Ok(mapping) = value.cast::<PyMapping>() {
        nested(&PyDict::from_sequence(mapping.items()?.as_any())?.into_any(), inner)
    } else {
        Err(PyTypeError::new_err(format!("{} is not a value of a column", value.repr()?)))
    }
}

/// What a member of an enumeration or a range stands for.
fn stands_for<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let kind = value.get_type();
    if kind.get_type().module()? == "enum" {
        return value.getattr("value").map(Some);
    }
    if !kind.is(value.py().get_type::<PyRange>()) {
        return Ok(None);
    }
    let bounds = [value.getattr("start")?, value.getattr("stop")?];
    Ok(Some(PyList::new(value.py(), bounds)?.into_any()))
}

/// A value of the one type that mostly comes for a column; `None` for everything else.
fn expected(ty: &ColumnType, value: &Bound<'_, PyAny>) -> Option<Value> {
    match ty {
        ColumnType::Text | ColumnType::Enum(_) | ColumnType::Uuid | ColumnType::Inet | ColumnType::Mac => {
            Value::parse(ty, value.cast_exact::<PyString>().ok()?.to_str().ok()?).ok()
        }
        ColumnType::Int => Some(Value::Int(value.cast_exact::<PyInt>().ok()?.extract().ok()?)),
        ColumnType::Float => {
            let number: f64 = value.cast_exact::<PyFloat>().ok()?.extract().ok()?;
            number.is_finite().then_some(Value::Float(number))
        }
        ColumnType::Bool => Some(Value::Bool(value.cast_exact::<PyBool>().ok()?.is_true())),
        _ => None,
    }
}

fn unknown_column(def: &TableDef, column: &str) -> PartError {
    let known = def.schema().columns().map(|column| column.name.clone()).collect();
    PartError::UnknownColumn { table: def.name().to_owned(), column: column.to_owned(), known }
}

/// What to look for in a column.
pub(crate) fn to_value(def: &TableDef, column: &str, value: &Bound<'_, PyAny>) -> PyResult<Value> {
    let known = def.column(column).ok_or_else(|| unknown_column(def, column)).raise(value.py())?;
    if value.is_none() {
        return Ok(Value::Null);
    }
    if let Some(value) = expected(&known.ty, value) {
        return Ok(value);
    }
    let wrong =
        |problem| PartError::Value { table: def.name().to_owned(), column: column.to_owned(), problem };
    Value::from_json(&known.ty, &to_json(value)?).map_err(wrong).raise(value.py())
}

/// The key that a value, or a tuple or list of them where it is composite, stands for.
pub(crate) fn to_key(def: &TableDef, key: &Bound<'_, PyAny>) -> PyResult<Key> {
    if let [column] = def.schema().key.as_slice()
        && let Some(value) = expected(&column.ty, key)
    {
        return Ok(Key::one(value));
    }
    def.key_from_json(&to_json(key)?).raise(key.py())
}

/// The values of all columns; `None` where they are not all there as they are expected, or where there are others.
fn all_expected(columns: &[ColumnSchema], part: &Bound<'_, PyDict>) -> Option<Vec<Value>> {
    let value = |column: &ColumnSchema| match part.get_item(&column.name).ok()? {
        Some(value) if value.is_none() && column.nullable => Some(Value::Null),
        Some(value) => expected(&column.ty, &value),
        None => None,
    };
    (columns.len() == part.len()).then(|| columns.iter().map(value).collect())?
}

/// The values of a part.
pub(crate) fn to_part(
    def: &TableDef,
    kind: PartKind,
    key: &Key,
    part: &Bound<'_, PyAny>,
) -> PyResult<Vec<Value>> {
    let columns = def.schema().part(kind);
    if let Ok(part) = part.cast::<PyDict>()
        && let Some(values) = all_expected(columns, part)
    {
        return Ok(values);
    }
    def.part_from_json(kind, &to_json(part)?, KeyColumns::Check(key)).raise(part.py())
}

/// Changes of some columns.
pub(crate) enum Patch {
    /// Values at their places.
    Places(Vec<(usize, Value)>),
    /// What the engine has to look into.
    Json(Json),
}

pub(crate) fn to_patch(def: &TableDef, kind: PartKind, columns: &Bound<'_, PyAny>) -> PyResult<Patch> {
    if let Ok(columns) = columns.cast::<PyDict>()
        && let Some(places) = expected_columns(def, kind, columns)
    {
        return Ok(Patch::Places(places));
    }
    to_json(columns).map(Patch::Json)
}

/// The places and values of some columns; `None` where they are not as they are expected.
fn expected_columns(
    def: &TableDef,
    kind: PartKind,
    columns: &Bound<'_, PyDict>,
) -> Option<Vec<(usize, Value)>> {
    let schema = def.schema().part(kind);
    let value = |(name, value): (Bound<'_, PyAny>, Bound<'_, PyAny>)| {
        let places = def.places(name.cast::<PyString>().ok()?.to_str().ok()?)?;
        let place = places.part(kind).filter(|_| places.key.is_none())?;
        Some((place, expected(&schema.get(place)?.ty, &value)?))
    };
    columns.iter().map(value).collect()
}

pub(crate) fn to_kind(py: Python<'_>, part: &str) -> PyResult<PartKind> {
    let kind = PartKind::BOTH.into_iter().find(|kind| kind.as_str() == part);
    let wrong = || format!("`{part}` is not a part; those are `desired` and `current`");
    kind.ok_or_else(|| exception(py, "NoPart", wrong(), None, None))
}
