//! Writing. A draft is a transaction that nobody else sees before its end, and that no other writer can overtake.

use crate::convert::{Changes, Row, from_commit};
use crate::declare::{Table, build};
use crate::error::{Raise, exception};
use crate::feed::Feed;
use crate::names::Names;
use crate::rows::Rows;
use crate::take::{patched, to_key, to_kind, to_part};
use crate::view::{Pairs, View, find, get, join, page};
use pony_state::{PartError, PartKind, Read, RowValues, SharedState, TableDef, Transaction};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::Arc;

#[pyclass(frozen)]
pub(crate) struct Engine {
    state: SharedState,
    names: Arc<Names>,
}

impl Engine {
    /// What others share with it.
    pub(crate) fn parts(&self) -> (SharedState, Arc<Names>) {
        (self.state.clone(), Arc::clone(&self.names))
    }
}

#[pymethods]
impl Engine {
    #[new]
    fn new(py: Python<'_>, tables: Vec<Table<'_>>) -> PyResult<Self> {
        let state = build(py, tables)?;
        let names = Arc::new(Names::of(py, state.schema()));
        Ok(Self { state: SharedState::new(state), names })
    }

    fn view(&self) -> View {
        View { snapshot: self.state.snapshot(), names: Arc::clone(&self.names) }
    }

    fn rows(&self, table: &str, filters: &Bound<'_, PyDict>, make: Py<PyAny>) -> PyResult<Rows> {
        Rows::of(self.state.snapshot(), &self.names, table, filters, make)
    }

    /// Waits for other writers.
    fn draft(&self, py: Python<'_>) -> Draft {
        Draft { draft: Some(py.detach(|| self.state.draft())), names: Arc::clone(&self.names) }
    }

    fn subscribe(&self, capacity: usize) -> (View, Feed) {
        let (snapshot, subscription) = self.state.subscribe(capacity);
        let view = View { snapshot, names: Arc::clone(&self.names) };
        (view, Feed::new(subscription, Arc::clone(&self.names)))
    }

    /// All rows of these texts, by table, or none. Gives how many there are.
    fn load(&self, py: Python<'_>, texts: Vec<(String, Vec<u8>)>) -> PyResult<usize> {
        let snapshot = self.state.snapshot();
        let mut loads = Vec::new();
        for (name, text) in texts {
            loads.push((Arc::clone(find(py, &snapshot, &name)?.def()), text));
        }
        drop(snapshot);
        let load = || {
            let rows =
                |(def, text): (Arc<TableDef>, Vec<u8>)| Ok((def.rows_from_text(utf8(&def, &text)?)?, def));
            let rows = loads.into_iter().map(rows).collect::<Result<Vec<_>, PartError>>()?;
            self.state.load(|tx| insert(tx, &rows))
        };
        py.detach(load).map(|(count, _)| count).raise(py)
    }
}

fn utf8<'t>(def: &TableDef, text: &'t [u8]) -> Result<&'t str, PartError> {
    std::str::from_utf8(text)
        .map_err(|error| PartError::NotARow { table: def.name().to_owned(), found: error.to_string() })
}

fn insert(tx: &mut Transaction<'_>, tables: &[(Vec<RowValues>, Arc<TableDef>)]) -> Result<usize, PartError> {
    for (rows, def) in tables {
        for RowValues { key, parts } in rows {
            for (kind, values) in PartKind::BOTH.into_iter().zip(parts) {
                if let Some(values) = values {
                    tx.set(def.id(), key, kind, values)?;
                }
            }
        }
    }
    Ok(tables.iter().map(|(rows, _)| rows.len()).sum())
}

#[pyclass]
pub(crate) struct Draft {
    /// None after the end.
    draft: Option<pony_state::Draft>,
    names: Arc<Names>,
}

fn ended(py: Python<'_>) -> PyErr {
    exception(py, "TransactionError", "the transaction has ended".to_owned(), None, None)
}

impl Draft {
    fn state(&self, py: Python<'_>) -> PyResult<&pony_state::Draft> {
        self.draft.as_ref().ok_or_else(|| ended(py))
    }

    fn def(&self, py: Python<'_>, name: &str) -> PyResult<Arc<TableDef>> {
        Ok(Arc::clone(find(py, self.state(py)?, name)?.def()))
    }

    fn write<T>(
        &mut self,
        py: Python<'_>,
        change: impl FnOnce(&mut Transaction<'_>) -> Result<T, PartError>,
    ) -> PyResult<T> {
        self.draft.as_mut().ok_or_else(|| ended(py))?.write(change).raise(py)
    }

    fn patch_one(
        &mut self,
        def: &TableDef,
        key: &Bound<'_, PyAny>,
        kind: PartKind,
        columns: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let (py, key) = (key.py(), to_key(def, key)?);
        let old = self.state(py)?.any(def.id()).and_then(|table| table.get(&key)?.part(kind));
        let Some(old) = old else {
            let part = serde_json::json!({});
            return self.write(py, |tx| tx.patch_json(def.id(), &key, kind, &part));
        };
        let values = patched(def, kind, &key, old, columns)?;
        self.write(py, |tx| tx.set(def.id(), &key, kind, &values))
    }
}

#[pymethods]
impl Draft {
    #[getter]
    fn version(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(self.state(py)?.version())
    }

    fn count(&self, py: Python<'_>, table: &str) -> PyResult<usize> {
        Ok(find(py, self.state(py)?, table)?.len())
    }

    fn get<'py>(&self, table: &str, key: &Bound<'py, PyAny>) -> PyResult<Option<Row<'py>>> {
        get(self.state(key.py())?, &self.names, table, key)
    }

    fn page<'py>(
        &self,
        table: &str,
        filters: &Bound<'py, PyDict>,
        after: &Bound<'py, PyAny>,
        limit: Option<usize>,
    ) -> PyResult<Vec<Row<'py>>> {
        page(self.state(filters.py())?, &self.names, table, filters, after, limit)
    }

    fn join<'py>(&self, table: &str, column: &str, key: &Bound<'py, PyAny>) -> PyResult<Pairs<'py>> {
        join(self.state(key.py())?, &self.names, table, column, key)
    }

    fn set(
        &mut self,
        table: &str,
        key: &Bound<'_, PyAny>,
        part: &str,
        columns: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let py = key.py();
        let (def, kind) = (self.def(py, table)?, to_kind(py, part)?);
        let key = to_key(&def, key)?;
        let values = to_part(&def, kind, &key, columns)?;
        self.write(py, |tx| tx.set(def.id(), &key, kind, &values))
    }

    fn patch(
        &mut self,
        table: &str,
        key: &Bound<'_, PyAny>,
        part: &str,
        columns: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let (def, kind) = (self.def(key.py(), table)?, to_kind(key.py(), part)?);
        self.patch_one(&def, key, kind, columns)
    }

    /// Changes columns of many rows. Gives how many changed.
    fn patch_all(&mut self, table: &str, part: &str, rows: &Bound<'_, PyDict>) -> PyResult<usize> {
        let (def, kind) = (self.def(rows.py(), table)?, to_kind(rows.py(), part)?);
        let mut changed = 0;
        for (key, columns) in rows {
            changed += usize::from(self.patch_one(&def, &key, kind, &columns)?);
        }
        Ok(changed)
    }

    /// Both parts, where none is named.
    fn remove(&mut self, table: &str, key: &Bound<'_, PyAny>, part: Option<&str>) -> PyResult<bool> {
        let py = key.py();
        let (def, kind) = (self.def(py, table)?, part.map(|part| to_kind(py, part)).transpose()?);
        let key = to_key(&def, key)?;
        self.write(py, |tx| match kind {
            Some(kind) => tx.remove_part(def.id(), &key, kind),
            None => tx.remove_row(def.id(), &key),
        })
    }

    fn commit(&mut self, py: Python<'_>) -> PyResult<Committed> {
        let draft = self.draft.take().ok_or_else(|| ended(py))?;
        let commit = py.detach(|| draft.commit());
        Ok(Committed { commit, names: Arc::clone(&self.names) })
    }

    /// Forgets what was written, and lets others write.
    fn drop(&mut self, py: Python<'_>) {
        let draft = self.draft.take();
        py.detach(|| drop(draft));
    }
}

/// What a transaction changed. It crosses the border where somebody wants to know.
#[pyclass(frozen)]
pub(crate) struct Committed {
    commit: pony_state::Commit,
    names: Arc<Names>,
}

#[pymethods]
impl Committed {
    fn changes<'py>(&self, py: Python<'py>) -> PyResult<Changes<'py>> {
        from_commit(py, &self.names, &self.commit)
    }
}
