//! The engine's errors as the exceptions of `ponycloud.errors`: here, and nowhere else, one becomes the other.

use pony_state::{FeedError, PartError, SchemaError};
use pyo3::prelude::*;

/// An exception of `ponycloud.errors`, or the reason why there is none.
pub(crate) fn exception(
    py: Python<'_>,
    class: &str,
    message: String,
    table: Option<&str>,
    column: Option<&str>,
) -> PyErr {
    let made = || py.import("ponycloud.errors")?.getattr(class)?.call1((message, table, column));
    made().map_or_else(|error| error, PyErr::from_value)
}

/// An error that has an exception.
pub(crate) trait Exception {
    fn exception(self, py: Python<'_>) -> PyErr;
}

pub(crate) trait Raise<T> {
    fn raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T, E: Exception> Raise<T> for Result<T, E> {
    fn raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| error.exception(py))
    }
}

impl Exception for PartError {
    fn exception(self, py: Python<'_>) -> PyErr {
        let (class, table) = match &self {
            Self::UnknownTable { table, .. } => ("UnknownTable", table),
            Self::NoPart { table, .. } => ("NoPart", table),
            Self::Absent { table, .. } => ("Absent", table),
            Self::NotAnObject { table, .. } | Self::NotARow { table, .. } => ("NotAnObject", table),
            Self::UnknownColumn { table, .. } => ("UnknownColumn", table),
            Self::Missing { table, .. } => ("Missing", table),
            Self::Value { table, .. } | Self::Count { table, .. } => ("WrongValue", table),
            Self::Key { table, .. } => ("WrongKey", table),
            Self::KeyMismatch { table, .. } => ("KeyMismatch", table),
        };
        exception(py, class, self.to_string(), Some(table), self.column())
    }
}

impl Exception for SchemaError {
    fn exception(self, py: Python<'_>) -> PyErr {
        exception(py, "SchemaError", self.to_string(), None, None)
    }
}

impl Exception for FeedError {
    fn exception(self, py: Python<'_>) -> PyErr {
        let class = if self == Self::Lagged { "Lagged" } else { "Closed" };
        exception(py, class, self.to_string(), None, None)
    }
}
