//! Reading parts of rows, so that whoever reads may be somebody who notes what was read.

use pony_state::{Entity, PartKind, Read, Value};

/// Parts of rows by key, and desired parts by the value of a column. Nothing else of a row is shown, so that what is
/// made of what was read depends on nothing else.
pub(crate) trait Lookup {
    /// The desired part of a row.
    fn desired<R: Entity>(&self, key: &R::Key) -> Option<&R::Desired>;

    /// The keys and desired parts of the rows that are ordered with this value in a column (also one of the key), in the
    /// order of their keys.
    fn desired_with<R: Entity>(
        &self,
        column: &'static str,
        value: impl Into<Value>,
    ) -> Vec<(R::Key, &R::Desired)>;

    /// The current part of a row.
    fn current<R: Entity>(&self, key: &R::Key) -> Option<&R::Current>;
}

impl<T: Read> Lookup for T {
    fn desired<R: Entity>(&self, key: &R::Key) -> Option<&R::Desired> {
        self.get::<R>(key)?.desired()
    }

    fn desired_with<R: Entity>(
        &self,
        column: &'static str,
        value: impl Into<Value>,
    ) -> Vec<(R::Key, &R::Desired)> {
        let value = value.into();
        let found = self.any(R::TABLE).and_then(|table| table.find(column, &value).ok());
        // A row may also be found by what is told of it.
        let ordered = found.into_iter().flatten().filter(|row| {
            row.has(PartKind::Desired) && row.value(PartKind::Desired, column).as_ref() == Some(&value)
        });
        let typed = ordered.filter_map(pony_state::AnyRow::row::<R>);
        let mut parts: Vec<_> = typed.filter_map(|row| Some((row.key(), row.desired()?))).collect();
        parts.sort_by(|(one, _), (other, _)| one.cmp(other));
        parts
    }

    fn current<R: Entity>(&self, key: &R::Key) -> Option<&R::Current> {
        self.get::<R>(key)?.current()
    }
}
