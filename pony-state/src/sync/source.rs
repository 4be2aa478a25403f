//! Where a session reads the rows that it sends; the session itself holds none.

use super::row::{Part, RowId};
use crate::read::{AnyRow, Read};
use crate::schema::{PartKind, TableId};
use crate::state::Snapshot;
use crate::value::Key;
use std::vec::IntoIter;

/// The rows that one side originates for one peer, as they are now.
///
/// A session asks for a part at the moment it sends it: between a mark by [`Session::changed`](super::Session::changed)
/// and the message, any number of changes to the row cost one.
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// # let mut state = house()?;
/// use pony_state::sync::{FullRows, RowId, SnapshotRows, Source, SourceRow};
///
/// /// Desired parts of all rows.
/// struct Orders(Snapshot);
///
/// impl Source for Orders {
///     fn row(&self, row: &RowId) -> Option<SourceRow<'_>> {
///         let table = self.0.any(&*row.table)?;
///         table.get(&row.key(table.def()).ok()?).map(SourceRow::Row)
///     }
///
///     fn full(&self) -> Box<dyn FullRows> {
///         Box::new(SnapshotRows::all(self.0.clone(), PartKind::Desired))
///     }
/// }
/// # use pony_state::sync::Pkey;
/// # let orders = Orders(state.snapshot());
/// # assert!(orders.row(&RowId::new("lamp", Pkey::one("hall"))).is_some() && orders.full().next().is_some());
/// # Ok::<_, SchemaError>(())
/// ```
pub trait Source {
    /// The row, or `None` when it has no part to send or does not concern this peer (any more).
    ///
    /// ```
    /// # use pony_state::{sync::*, *};
    /// # use pony_state_docs::*;
    /// # let (mut state, mut sparkle, mut peer) = conversation()?;
    /// let source = Parts { snapshot: state.snapshot(), kind: PartKind::Current };
    /// assert!(source.row(&RowId::new("lamp", Pkey::one("hall"))).is_some());
    /// // The one in the attic does not shine: there is no current part to send.
    /// assert!(source.row(&RowId::new("lamp", Pkey::one("attic"))).is_none());
    /// # Ok::<_, SchemaError>(())
    /// ```
    fn row(&self, row: &RowId) -> Option<SourceRow<'_>>;

    /// All rows for this peer, as of now.
    ///
    /// They must not see later changes (a snapshot, or a copy): those follow as partial updates. The session keeps
    /// them only until the full state is sent, which takes several messages when it is large.
    ///
    /// ```
    /// # use pony_state::{sync::*, *};
    /// # use pony_state_docs::*;
    /// # let (mut state, mut sparkle, mut peer) = conversation()?;
    /// let source = Parts { snapshot: state.snapshot(), kind: PartKind::Desired };
    /// let (mut rows, mut count) = (source.full(), 0);
    /// while rows.next().is_some() {
    ///     count += 1;
    /// }
    /// assert_eq!(count, 4);
    /// # Ok::<_, SchemaError>(())
    /// ```
    fn full(&self) -> Box<dyn FullRows>;
}

/// A row to be sent.
///
/// ```
/// use pony_state::sync::{Part, Pkey, RowId, SourceRow};
///
/// // Of a row that lies elsewhere than in a table.
/// let part = Part::from(&serde_json::from_str(r#"{"room": "hall", "percent": 80}"#)?);
/// let row = SourceRow::Part(RowId::new("lamp", Pkey::one("hall")), part);
/// assert!(matches!(row, SourceRow::Part(..)));
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Debug, Clone)]
pub enum SourceRow<'a> {
    /// A row of a table of this crate: its part is written straight from its columns.
    Row(AnyRow<'a>),
    /// A row that its owner keeps in some other way.
    Part(RowId, Part),
}

impl SourceRow<'_> {
    pub(super) fn id(&self) -> RowId {
        match self {
            Self::Row(row) => RowId::of(row.def(), &row.key()),
            Self::Part(row, _) => row.clone(),
        }
    }

    pub(super) fn has(&self, kind: PartKind) -> bool {
        match self {
            Self::Row(row) => row.has(kind),
            Self::Part(..) => true,
        }
    }
}

/// The rows of a full state, one after another.
///
/// ```
/// use pony_state::sync::{FullRows, Part, Pkey, RowId};
///
/// let part = Part::from(&serde_json::from_str(r#"{"room": "hall", "percent": 80}"#)?);
/// let rows = vec![(RowId::new("lamp", Pkey::one("hall")), part)];
/// let mut rows: Box<dyn FullRows> = Box::new(rows.into_iter());
/// assert!(rows.next().is_some() && rows.next().is_none());
/// # Ok::<_, serde_json::Error>(())
/// ```
pub trait FullRows: Send {
    /// The next one. Rows without a part to send are passed over.
    ///
    /// ```
    /// # use pony_state::{sync::*, *};
    /// # use pony_state_docs::*;
    /// # let (mut state, mut sparkle, mut peer) = conversation()?;
    /// let mut rows = SnapshotRows::all(state.snapshot(), PartKind::Current);
    /// assert!(rows.next().is_some() && rows.next().is_none());
    /// # Ok::<_, SchemaError>(())
    /// ```
    fn next(&mut self) -> Option<SourceRow<'_>>;
}

impl<I: Iterator<Item = (RowId, Part)> + Send> FullRows for I {
    fn next(&mut self) -> Option<SourceRow<'_>> {
        Iterator::next(self).map(|(row, part)| SourceRow::Part(row, part))
    }
}

/// Rows of a snapshot as a full state.
///
/// ```
/// # use pony_state::{sync::*, *};
/// # use pony_state_docs::*;
/// # let (mut state, mut sparkle, mut peer) = conversation()?;
/// let mut rows = SnapshotRows::all(state.snapshot(), PartKind::Current);
/// let Some(SourceRow::Row(row)) = rows.next() else { unreachable!("the hall's lamp shines") };
/// assert_eq!(row.key(), Key::one("hall"));
/// # Ok::<_, SchemaError>(())
/// ```
#[derive(Debug)]
pub struct SnapshotRows {
    snapshot: Snapshot,
    /// Where they lie.
    rows: IntoIter<(TableId, u32)>,
}

impl SnapshotRows {
    /// All rows that have a part of that kind.
    ///
    /// ```
    /// # use pony_state::{sync::*, *};
    /// # use pony_state_docs::*;
    /// # let (mut state, mut sparkle, mut peer) = conversation()?;
    /// let mut rows = SnapshotRows::all(state.snapshot(), PartKind::Current);
    /// assert!(rows.next().is_some() && rows.next().is_none());
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn all(snapshot: Snapshot, kind: PartKind) -> Self {
        let mut rows = Vec::new();
        for table in snapshot.view().tables() {
            let has_part = |id: &u32| table.by_id(*id).is_some_and(|row| row.has(kind));
            rows.extend(table.ops().all_ids().filter(has_part).map(|id| (table.def().id(), id)));
        }
        Self { snapshot, rows: rows.into_iter() }
    }

    /// The rows of these keys, as far as there are any.
    ///
    /// ```
    /// # use pony_state::{sync::*, *};
    /// # use pony_state_docs::*;
    /// # let (mut state, mut sparkle, mut peer) = conversation()?;
    /// let (lamp, hall) = (state.table::<Lamp>().def().id(), Key::one("hall"));
    /// let mut rows = SnapshotRows::of(state.snapshot(), [(lamp, &hall), (lamp, &Key::one("cellar"))]);
    /// assert!(rows.next().is_some() && rows.next().is_none());
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn of<'k>(snapshot: Snapshot, keys: impl IntoIterator<Item = (TableId, &'k Key)>) -> Self {
        let place = |(table, key): (TableId, &'k Key)| {
            Some((table, snapshot.any(table)?.ops().id_of_any(key.values())?))
        };
        let rows: Vec<_> = keys.into_iter().filter_map(place).collect();
        Self { snapshot, rows: rows.into_iter() }
    }
}

impl FullRows for SnapshotRows {
    fn next(&mut self) -> Option<SourceRow<'_>> {
        let (table, id) = self.rows.next()?;
        self.snapshot.any(table)?.by_id(id).map(SourceRow::Row)
    }
}
