//! Writing. A draft is a transaction that nobody else sees before its end, and that no other writer can overtake.

use crate::convert::{Changes, Row, from_commit};
use crate::declare::{Table, build};
use crate::error::{Raise, exception};
use crate::feed::Feed;
use crate::names::Names;
use crate::rows::Rows;
use crate::view::{Pairs, View, find, get, join, page};
use crate::write::{Write, apply_all};
use pony_state::{PartError, Read, RowValues, SharedState, TableDef, Transaction};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

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

    fn def(&self, py: Python<'_>, name: &str) -> PyResult<Arc<TableDef>> {
        Ok(Arc::clone(find(py, &self.state.snapshot(), name)?.def()))
    }

    /// Others may run meanwhile: it waits for whoever writes aside.
    fn write<T: Send>(
        &self,
        py: Python<'_>,
        change: impl FnOnce(&mut Transaction<'_>) -> Result<T, PartError> + Send,
    ) -> PyResult<T> {
        py.detach(|| self.state.write(change)).map(|(result, _)| result).raise(py)
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

    // Each of these is a transaction of its own.

    fn set(
        &self,
        table: &str,
        key: &Bound<'_, PyAny>,
        part: &str,
        columns: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let write = Write::set(self.def(key.py(), table)?, key, part, columns)?;
        self.write(key.py(), |tx| write.apply(tx))
    }

    fn patch(
        &self,
        table: &str,
        key: &Bound<'_, PyAny>,
        part: &str,
        columns: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let write = Write::patch(self.def(key.py(), table)?, key, part, columns)?;
        self.write(key.py(), |tx| write.apply(tx))
    }

    fn patch_all(&self, table: &str, part: &str, rows: &Bound<'_, PyDict>) -> PyResult<usize> {
        let writes = Write::patch_all(&self.def(rows.py(), table)?, part, rows)?;
        self.write(rows.py(), |tx| apply_all(writes, tx))
    }

    fn remove(&self, table: &str, key: &Bound<'_, PyAny>, part: Option<&str>) -> PyResult<bool> {
        let write = Write::remove(self.def(key.py(), table)?, key, part)?;
        self.write(key.py(), |tx| write.apply(tx))
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
            let rows = parse(loads)?;
            self.state.load(|tx| insert(tx, rows))
        };
        py.detach(load).map(|(count, _)| count).raise(py)
    }
}

type Loaded = Vec<(Vec<RowValues>, Arc<TableDef>)>;

/// Tables beside each other, as far as there are processors; no more threads than tables.
fn parse(texts: Vec<(Arc<TableDef>, Vec<u8>)>) -> Result<Loaded, PartError> {
    let rows = |(def, text): (Arc<TableDef>, Vec<u8>)| Ok((def.rows_from_text(utf8(&def, &text)?)?, def));
    thread::scope(|scope| {
        let running: Vec<_> = texts.into_iter().map(|text| scope.spawn(move || rows(text))).collect();
        let done = running.into_iter().map(|it| it.join().unwrap_or_else(|panic| resume_unwind(panic)));
        done.collect()
    })
}

fn utf8<'t>(def: &TableDef, text: &'t [u8]) -> Result<&'t str, PartError> {
    std::str::from_utf8(text)
        .map_err(|error| PartError::NotARow { table: def.name().to_owned(), found: error.to_string() })
}

fn insert(
    tx: &mut Transaction<'_>,
    tables: Vec<(Vec<RowValues>, Arc<TableDef>)>,
) -> Result<usize, PartError> {
    let count = tables.iter().map(|(rows, _)| rows.len()).sum();
    for (rows, def) in tables {
        for row in rows {
            tx.put_values(def.id(), row)?;
        }
    }
    Ok(count)
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
        let write = Write::set(self.def(key.py(), table)?, key, part, columns)?;
        self.write(key.py(), |tx| write.apply(tx))
    }

    fn patch(
        &mut self,
        table: &str,
        key: &Bound<'_, PyAny>,
        part: &str,
        columns: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let write = Write::patch(self.def(key.py(), table)?, key, part, columns)?;
        self.write(key.py(), |tx| write.apply(tx))
    }

    fn patch_all(&mut self, table: &str, part: &str, rows: &Bound<'_, PyDict>) -> PyResult<usize> {
        let writes = Write::patch_all(&self.def(rows.py(), table)?, part, rows)?;
        self.write(rows.py(), |tx| apply_all(writes, tx))
    }

    fn remove(&mut self, table: &str, key: &Bound<'_, PyAny>, part: Option<&str>) -> PyResult<bool> {
        let write = Write::remove(self.def(key.py(), table)?, key, part)?;
        self.write(key.py(), |tx| write.apply(tx))
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
