//! A complete full state, and the smallest set of changes that leads to it from what is held.

use super::row::{Part, RowId, WireChange};
use crate::schema::PartKind;
use std::collections::{BTreeMap, HashSet};

/// Everything that the peer originates, as of one message (or several that take effect together).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FullState {
    rows: BTreeMap<RowId, Part>,
}

/// Whether a held part is what the peer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// The row has this very part.
    Same,
    /// The row has another part, or none.
    Different,
}

impl FullState {
    pub(crate) fn new(rows: BTreeMap<RowId, Part>) -> Self {
        Self { rows }
    }

    /// The rows, in order of table and key.
    #[must_use]
    pub fn rows(&self) -> &BTreeMap<RowId, Part> {
        &self.rows
    }

    /// The rows, to keep.
    #[must_use]
    pub fn into_rows(self) -> BTreeMap<RowId, Part> {
        self.rows
    }

    /// The smallest set of changes that makes the parts held from this peer equal to the full state.
    ///
    /// `held` names every row of which a part of this `kind` is held from this peer; `compare` looks at one of them.
    /// Removals come first, then the new and different parts, each in order of table and key; a row that stays
    /// the same causes no change.
    ///
    /// ```
    /// use pony_state::PartKind;
    /// use pony_state::sync::{FullState, Held, Pkey, RowId};
    ///
    /// let gone = RowId::new("disk", Pkey::one("wwn-1"));
    /// let changes = FullState::default().diff(PartKind::Current, [gone.clone()], |_, _| Held::Different);
    /// assert_eq!(changes.len(), 1);
    /// assert_eq!((&changes[0].row, &changes[0].part), (&gone, &None));
    /// ```
    pub fn diff(
        self,
        kind: PartKind,
        held: impl IntoIterator<Item = RowId>,
        mut compare: impl FnMut(&RowId, &Part) -> Held,
    ) -> Vec<WireChange> {
        let held: HashSet<RowId> = held.into_iter().collect();
        let mut gone: Vec<_> = held.iter().filter(|row| !self.rows.contains_key(row)).cloned().collect();
        gone.sort_unstable();
        let gone = gone.into_iter().map(|row| WireChange { row, kind, part: None });
        let new = self
            .rows
            .into_iter()
            .filter(|(row, part)| !held.contains(row) || compare(row, part) == Held::Different)
            .map(|(row, part)| WireChange { row, kind, part: Some(part) });
        gone.chain(new).collect()
    }
}
