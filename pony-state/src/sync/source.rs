//! Where a session reads the rows that it sends; the session itself holds none.

use super::row::{Part, RowId};

/// The rows that one side originates for one peer, as they are now.
///
/// A session asks for a part at the moment it sends it: between a mark by [`Session::changed`](super::Session::changed)
/// and the message, any number of changes to the row cost one.
pub trait Source {
    /// The row's part, or `None` when it has none or does not concern this peer (any more).
    fn part(&self, row: &RowId) -> Option<Part>;

    /// All rows for this peer, as of now.
    ///
    /// The iterator must not see later changes (a snapshot, or a copy): they follow as partial updates. The
    /// session keeps it only until the full state is sent, which takes several messages when it is large.
    fn full(&self) -> Box<dyn Iterator<Item = (RowId, Part)> + Send>;
}
