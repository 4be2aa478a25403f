//! The agent's rows as the session reads and names them, and what the session received as changes of rows.

use pony_state::sync::{FullRows, Held, Part, RowId, SnapshotRows, Source, SourceRow, WireChange};
use pony_state::{AnyTable, Commit, Key, KeyColumns, PartKind, Read, State, TableId};

/// The current parts, which this host originates.
pub(super) struct Told<'a>(pub(super) &'a State);

impl Source for Told<'_> {
    fn row(&self, row: &RowId) -> Option<SourceRow<'_>> {
        let (table, key) = locate(self.0, row)?;
        self.0.any(table)?.get(&key).map(SourceRow::Row)
    }

    fn full(&self) -> Box<dyn FullRows> {
        Box::new(SnapshotRows::all(self.0.snapshot(), PartKind::Current))
    }
}

fn locate(rows: &impl Read, row: &RowId) -> Option<(TableId, Key)> {
    let def = rows.any(&*row.table)?.def();
    Some((def.id(), row.key(def).ok()?))
}

/// The rows whose desired part is held.
pub(super) fn ordered(state: &State) -> Vec<RowId> {
    let rows = state.view().tables().flat_map(AnyTable::iter);
    rows.filter(|row| row.has(PartKind::Desired)).map(|row| RowId::of(row.def(), &row.key())).collect()
}

/// Whether the desired part that is held is what was received.
pub(super) fn compare(state: &State, row: &RowId, part: &Part) -> Held {
    let same = locate(state, row).and_then(|(table, key)| {
        let table = state.any(table)?;
        let held = table.get(&key)?.part(PartKind::Desired)?;
        let said =
            table.def().part_from_text(PartKind::Desired, part.text(), KeyColumns::Check(&key)).ok()?;
        (held == said).then_some(())
    });
    if same.is_some() { Held::Same } else { Held::Different }
}

/// A row that was received and cannot be held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The row.
    pub row: RowId,
    /// What is wrong with it.
    pub error: String,
}

/// Writes the desired parts that were received. A row that this version does not understand is left out, and
/// what is held of it removed: an order that cannot be read is not replaced by an older one.
pub(super) fn apply(state: &mut State, changes: Vec<WireChange>) -> (Commit, Vec<Refused>) {
    let mut refused = Vec::new();
    let mut tx = state.transaction();
    for change in changes.into_iter().filter(|change| change.kind == PartKind::Desired) {
        let Some((table, key)) = locate(&tx, &change.row) else {
            let error = "no such table, or not its key".to_owned();
            refused.push(Refused { row: change.row, error });
            continue;
        };
        let done = match change.part {
            Some(part) => tx.set_text(table, &key, PartKind::Desired, part.text()),
            None => tx.remove_part(table, &key, PartKind::Desired),
        };
        if let Err(error) = done {
            refused.push(Refused { row: change.row, error: error.to_string() });
            let _ = tx.remove_part(table, &key, PartKind::Desired);
        }
    }
    (tx.commit(), refused)
}

/// The names of the rows whose current part a commit changed.
pub(super) fn told_by(commit: &Commit) -> impl Iterator<Item = RowId> {
    let changed = commit.changes().iter().filter(|change| change.part_changed(PartKind::Current));
    changed.map(|change| RowId::of(change.table(), &change.key()))
}
