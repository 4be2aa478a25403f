//! Writes, as data: taken from Python first, so that others may run while they are carried out.

use crate::take::{Patch, to_key, to_kind, to_part, to_patch};
use pony_state::{Key, PartError, PartKind, Read, TableDef, Transaction, Value};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::Arc;

/// A write to one row.
pub(crate) struct Write {
    def: Arc<TableDef>,
    key: Key,
    what: What,
}

enum What {
    Set(PartKind, Vec<Value>),
    Patch(PartKind, Patch),
    Remove(Option<PartKind>),
}

impl Write {
    pub(crate) fn set(
        def: Arc<TableDef>,
        key: &Bound<'_, PyAny>,
        part: &str,
        columns: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let (kind, key) = (to_kind(key.py(), part)?, to_key(&def, key)?);
        let what = What::Set(kind, to_part(&def, kind, &key, columns)?);
        Ok(Self { def, key, what })
    }

    pub(crate) fn patch(
        def: Arc<TableDef>,
        key: &Bound<'_, PyAny>,
        part: &str,
        columns: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let (kind, key) = (to_kind(key.py(), part)?, to_key(&def, key)?);
        let what = What::Patch(kind, to_patch(&def, kind, columns)?);
        Ok(Self { def, key, what })
    }

    /// One for each row, by its key.
    pub(crate) fn patch_all(
        def: &Arc<TableDef>,
        part: &str,
        rows: &Bound<'_, PyDict>,
    ) -> PyResult<Vec<Self>> {
        rows.iter().map(|(key, columns)| Self::patch(Arc::clone(def), &key, part, &columns)).collect()
    }

    /// Both parts, where none is named.
    pub(crate) fn remove(def: Arc<TableDef>, key: &Bound<'_, PyAny>, part: Option<&str>) -> PyResult<Self> {
        let kind = part.map(|part| to_kind(key.py(), part)).transpose()?;
        let key = to_key(&def, key)?;
        Ok(Self { def, key, what: What::Remove(kind) })
    }

    /// Says whether that changed anything.
    pub(crate) fn apply(self, tx: &mut Transaction<'_>) -> Result<bool, PartError> {
        let Self { def, key, what } = self;
        match what {
            What::Set(kind, values) => tx.set(def.id(), &key, kind, &values),
            What::Patch(kind, Patch::Json(columns)) => tx.patch_json(def.id(), &key, kind, &columns),
            What::Patch(kind, Patch::Places(news)) => {
                match tx.any(def.id()).and_then(|table| table.get(&key)?.part(kind)) {
                    Some(mut values) => {
                        news.into_iter().for_each(|(place, new)| values[place] = new);
                        tx.set(def.id(), &key, kind, &values)
                    }
                    // It says why not.
                    None => tx.patch_json(def.id(), &key, kind, &serde_json::json!({})),
                }
            }
            What::Remove(Some(kind)) => tx.remove_part(def.id(), &key, kind),
            What::Remove(None) => tx.remove_row(def.id(), &key),
        }
    }
}

/// Gives how many of them changed something.
pub(crate) fn apply_all(writes: Vec<Write>, tx: &mut Transaction<'_>) -> Result<usize, PartError> {
    writes.into_iter().try_fold(0, |changed, write| Ok(changed + usize::from(write.apply(tx)?)))
}
