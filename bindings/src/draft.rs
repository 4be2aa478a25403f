//! Writing. The engine's transaction borrows the state, which nothing that Python owns can do: a draft is a fork of it,
//! which sees its own writes, and whose changes are applied to the state in one step at the end.
//!
//! Python sees to it that there is one draft at a time, so that the state is then still what the fork began as.

use crate::convert::{from_commit, to_json};
use crate::declare::{Table, build};
use crate::error::{Raise, exception};
use crate::feed::Feed;
use crate::view::View;
use pony_state::{Commit, PartError, PartKind, SharedState, State, Transaction};
use pyo3::prelude::*;

#[pyclass(frozen)]
pub(crate) struct Engine(SharedState);

#[pymethods]
impl Engine {
    #[new]
    fn new(py: Python<'_>, tables: Vec<Table<'_>>) -> PyResult<Self> {
        Ok(Self(SharedState::new(build(py, tables)?)))
    }

    fn view(&self, py: Python<'_>) -> View {
        View(py.detach(|| self.0.snapshot()))
    }

    fn draft(&self, py: Python<'_>) -> Draft {
        Draft {
            state: self.0.clone(),
            fork: Some(py.detach(|| self.0.snapshot()).fork()),
            commits: Vec::new(),
        }
    }

    fn subscribe(&self, py: Python<'_>, capacity: usize) -> (View, Feed) {
        let (snapshot, subscription) = py.detach(|| self.0.subscribe(capacity));
        (View(snapshot), Feed::new(subscription))
    }
}

#[pyclass]
pub(crate) struct Draft {
    state: SharedState,
    /// None after the commit.
    fork: Option<State>,
    commits: Vec<Commit>,
}

impl Draft {
    fn write(
        &mut self,
        py: Python<'_>,
        change: impl FnOnce(&mut Transaction<'_>) -> Result<bool, PartError>,
    ) -> PyResult<bool> {
        let fork = self.fork.as_mut().ok_or_else(|| ended(py))?;
        let mut tx = fork.transaction();
        let changed = change(&mut tx).raise(py)?;
        self.commits.push(tx.commit());
        Ok(changed)
    }
}

fn ended(py: Python<'_>) -> PyErr {
    exception(py, "TransactionError", "the transaction has ended".to_owned(), None, None)
}

fn kind_of(py: Python<'_>, part: &str) -> PyResult<PartKind> {
    let kind = PartKind::BOTH.into_iter().find(|kind| kind.as_str() == part);
    let wrong = || format!("`{part}` is not a part; those are `desired` and `current`");
    kind.ok_or_else(|| exception(py, "NoPart", wrong(), None, None))
}

#[pymethods]
impl Draft {
    fn view(&self, py: Python<'_>) -> PyResult<View> {
        self.fork.as_ref().map(|fork| View(fork.snapshot())).ok_or_else(|| ended(py))
    }

    fn set(
        &mut self,
        table: &str,
        key: &Bound<'_, PyAny>,
        part: &str,
        columns: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let py = key.py();
        let (key, kind, columns) = (self.view(py)?.key(table, key)?, kind_of(py, part)?, to_json(columns)?);
        self.write(py, |tx| tx.set_json(table, &key, kind, &columns))
    }

    fn patch(
        &mut self,
        table: &str,
        key: &Bound<'_, PyAny>,
        part: &str,
        columns: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let py = key.py();
        let (key, kind, columns) = (self.view(py)?.key(table, key)?, kind_of(py, part)?, to_json(columns)?);
        self.write(py, |tx| tx.patch_json(table, &key, kind, &columns))
    }

    /// Both parts, where none is named.
    fn remove(&mut self, table: &str, key: &Bound<'_, PyAny>, part: Option<&str>) -> PyResult<bool> {
        let py = key.py();
        let (key, kind) = (self.view(py)?.key(table, key)?, part.map(|part| kind_of(py, part)).transpose()?);
        self.write(py, |tx| match kind {
            Some(kind) => tx.remove_part(table, &key, kind),
            None => tx.remove_row(table, &key),
        })
    }

    /// The fork goes before the state is written to: its pages would be copied else.
    fn commit<'py>(&mut self, py: Python<'py>) -> PyResult<impl IntoPyObject<'py>> {
        drop(self.fork.take().ok_or_else(|| ended(py))?);
        let (state, commits) = (&self.state, std::mem::take(&mut self.commits));
        let apply = |tx: &mut Transaction<'_>| {
            commits.iter().flat_map(|commit| commit.iter()).try_for_each(|change| tx.apply(change).map(drop))
        };
        let ((), commit) = py.detach(|| state.write(apply)).raise(py)?;
        from_commit(py, &commit)
    }
}
