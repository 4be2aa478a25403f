//! What the derives generate calls of, beside what they implement. Not for anybody else, hence not documented.

use crate::row::ColumnError;
use crate::schema::TableId;
use crate::value::{Value, ValueError};
use std::sync::atomic::{AtomicU16, Ordering};

pub use crate::schema::{is_mount_path, is_name};

/// Whether a name is among the names of some lists.
#[must_use]
pub const fn is_among(name: &str, lists: &[&[&str]]) -> bool {
    let mut list = 0;
    while list < lists.len() {
        let mut place = 0;
        while place < lists[list].len() {
            if equal(lists[list][place].as_bytes(), name.as_bytes()) {
                return true;
            }
            place += 1;
        }
        list += 1;
    }
    false
}

const fn equal(a: &[u8], b: &[u8]) -> bool {
    let mut place = 0;
    while place < a.len() && place < b.len() && a[place] == b[place] {
        place += 1;
    }
    a.len() == b.len() && place == a.len()
}

/// The value of what may be absent, by a function in place of [`crate::Column`].
#[must_use]
pub fn optional_to_value<T>(it: &Option<T>, to_value: impl FnOnce(&T) -> Value) -> Value {
    it.as_ref().map_or(Value::Null, to_value)
}

/// [`crate::read_column`] by a function in place of [`crate::Column`].
///
/// # Errors
/// [`ColumnError`], where the value is missing or does not fit.
pub fn read_with<T>(
    values: &[Value],
    column: usize,
    from_value: impl FnOnce(&Value) -> Result<T, ValueError>,
) -> Result<T, ColumnError> {
    from_value(values.get(column).unwrap_or(&Value::Null)).map_err(|problem| ColumnError { column, problem })
}

/// The same for what may be absent.
///
/// # Errors
/// [`ColumnError`], where the value does not fit.
pub fn read_optional_with<T>(
    values: &[Value],
    column: usize,
    from_value: impl FnOnce(&Value) -> Result<T, ValueError>,
) -> Result<Option<T>, ColumnError> {
    match values.get(column) {
        None | Some(Value::Null) => Ok(None),
        Some(_) => read_with(values, column, from_value).map(Some),
    }
}

/// The number of a type's table in the state that was asked last: a guess, true in programs that have one kind of state.
#[derive(Debug)]
pub struct TableHint(AtomicU16);

impl TableHint {
    /// The first table, for a beginning.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "for statics")]
    pub const fn new() -> Self {
        Self(AtomicU16::new(0))
    }

    /// A number that says nothing but itself: no order with other memory is needed.
    #[inline]
    pub(crate) fn get(&self) -> TableId {
        TableId(self.0.load(Ordering::Relaxed))
    }

    pub(crate) fn set(&self, id: TableId) {
        self.0.store(id.0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_whole() {
        let lists: &[&[&str]] = &[&[], &["host", "bond"], &["speed"]];
        assert!(["host", "bond", "speed"].iter().all(|name| is_among(name, lists)));
        assert!(["", "hos", "hosts", "x"].iter().all(|name| !is_among(name, lists)));
        assert!(!is_among("x", &[]));
    }
}
