//! The rows whose changes are still to be sent: each once, first marked first served, bounded.

use super::row::RowId;
use std::collections::{HashSet, VecDeque};

/// Whether a mark still fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    Enough,
    Exceeded,
}

/// See the module's documentation. Empty, it holds no memory.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    queue: VecDeque<RowId>,
    marked: HashSet<RowId>,
}

impl Pending {
    /// Marks a row. Beyond `max` rows everything is forgotten, and the caller must send a full state.
    pub(crate) fn mark(&mut self, row: &RowId, max: usize) -> Room {
        if self.marked.contains(row) {
            return Room::Enough;
        }
        if self.queue.len() >= max {
            self.clear();
            return Room::Exceeded;
        }
        self.marked.insert(row.clone());
        self.queue.push_back(row.clone());
        Room::Enough
    }

    pub(crate) fn pop(&mut self) -> Option<RowId> {
        let row = self.queue.pop_front()?;
        self.marked.remove(&row);
        if self.queue.is_empty() {
            self.clear();
        }
        Some(row)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Forgets all rows, and gives their memory back.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
