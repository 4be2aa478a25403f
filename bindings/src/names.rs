//! The names of tables and columns as Python's own strings, made once: a row is a dictionary of them.

use pony_state::{PartKind, Schema, TableDef};
use pyo3::prelude::*;
use pyo3::types::PyString;

/// The names of all tables of a schema.
pub(crate) struct Names(Vec<TableNames>);

pub(crate) struct TableNames {
    pub(crate) table: Py<PyString>,
    /// The columns of the parts, in the order of [`PartKind::BOTH`].
    parts: [Vec<Py<PyString>>; 2],
}

impl Names {
    pub(crate) fn of(py: Python<'_>, schema: &Schema) -> Self {
        Self(schema.tables().iter().map(|table| TableNames::of(py, table)).collect())
    }

    /// Those of a table of this schema.
    pub(crate) fn table(&self, def: &TableDef) -> Option<&TableNames> {
        self.0.get(def.id().index())
    }
}

impl TableNames {
    fn of(py: Python<'_>, def: &TableDef) -> Self {
        let name = |text: &str| PyString::intern(py, text).unbind();
        let columns = |kind| def.schema().part(kind).iter().map(|column| name(&column.name)).collect();
        Self { table: name(def.name()), parts: PartKind::BOTH.map(columns) }
    }

    pub(crate) fn part(&self, kind: PartKind) -> &[Py<PyString>] {
        let [desired, current] = &self.parts;
        if kind == PartKind::Desired { desired } else { current }
    }
}
