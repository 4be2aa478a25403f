//! A complete full state, and the smallest set of changes that leads to it from what is held.

use super::row::{Part, RowId, WireChange};
use crate::schema::PartKind;
use hashbrown::HashSet;

/// Everything that the peer originates, as of one message (or several that take effect together).
///
/// ```
/// # use pony_state::{sync::*, *};
/// # use pony_state_docs::*;
/// # let (mut state, mut sparkle, mut peer) = conversation()?;
/// # let mut seen = false;
/// while let Some(event) = peer.poll_event() {
///     let Event::Full(full) = event else { continue };
///     // Nothing is held yet.
///     let changes = full.diff(PartKind::Desired, [], |_, _| Held::Different);
///     assert_eq!(changes.len(), 4);
///     # seen = true;
/// }
/// # assert!(seen);
/// # Ok::<_, SchemaError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FullState {
    changes: Vec<WireChange>,
}

/// Whether a held part is what the peer says.
///
/// ```
/// use pony_state::sync::Held;
///
/// let same = |ours: &str, theirs: &str| if ours == theirs { Held::Same } else { Held::Different };
/// assert_eq!(same("a", "b"), Held::Different);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// The row has this very part.
    Same,
    /// The row has another part, or none.
    Different,
}

impl FullState {
    pub(crate) fn new(changes: Vec<WireChange>) -> Self {
        Self { changes }
    }

    /// The changes that lead to it from nothing, in the order in which the peer sent them. Were a row among them
    /// twice, which no peer of this crate does, the last one would count.
    ///
    /// ```
    /// assert!(pony_state::sync::FullState::default().changes().is_empty());
    /// ```
    #[must_use]
    pub fn changes(&self) -> &[WireChange] {
        &self.changes
    }

    /// The smallest set of changes that makes the parts held from this peer equal to the full state.
    ///
    /// `held` names every row of which a part of this `kind` is held from this peer; `compare` looks at one of them.
    /// Removals come first, in order of table and key, then the new and different parts, in the order in which the
    /// peer sent them; a row that stays the same causes no change.
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
    #[must_use]
    pub fn diff(
        self,
        kind: PartKind,
        held: impl IntoIterator<Item = RowId>,
        mut compare: impl FnMut(&RowId, &Part) -> Held,
    ) -> Vec<WireChange> {
        let mut unseen: HashSet<RowId> = held.into_iter().collect();
        let mut changes = self.changes;
        // What is said of a row after its first mention is not compared: the first may have changed it.
        changes.retain(|WireChange { row, part, .. }| match (unseen.remove(row), part) {
            (true, Some(part)) => compare(row, part) == Held::Different,
            (_, _) => true,
        });
        if unseen.is_empty() {
            return changes;
        }
        let mut gone: Vec<RowId> = unseen.into_iter().collect();
        gone.sort_unstable();
        let gone = gone.into_iter().map(|row| WireChange { row, kind, part: None });
        gone.chain(changes).collect()
    }
}
