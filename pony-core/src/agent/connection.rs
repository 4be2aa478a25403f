//! The agent's rows as the session reads and names them, and what the session received as changes of rows.

use pony_state::sync::{Held, Part, Pkey, RowId, Source, WireChange};
use pony_state::{Commit, Key, PartKind, Read, Snapshot, State, TableDef, TableId};
use serde_json::Value as Json;

/// The current parts, which this host originates.
pub(super) struct Told<'a>(pub(super) &'a State);

impl Source for Told<'_> {
    fn part(&self, row: &RowId) -> Option<Part> {
        let (table, key) = locate(self.0, row)?;
        part(self.0, table, &key)
    }

    fn full(&self) -> Box<dyn Iterator<Item = (RowId, Part)> + Send> {
        let rows: Vec<(RowId, Part)> = held(&self.0.snapshot(), PartKind::Current)
            .filter_map(|(row, table, key)| Some((row, part(self.0, table, &key)?)))
            .collect();
        Box::new(rows.into_iter())
    }
}

fn part(rows: &impl Read, table: TableId, key: &Key) -> Option<Part> {
    let table = rows.any(table)?;
    table.def().part_to_json_with_key(table.get(key)?, PartKind::Current)
}

fn locate(rows: &impl Read, row: &RowId) -> Option<(TableId, Key)> {
    let def = rows.any(&*row.table)?.def();
    Some((def.id(), def.key_from_json(&row.pkey.to_json()).ok()?))
}

fn name(def: &TableDef, key: &Key) -> Option<RowId> {
    Some(RowId::new(def.name(), Pkey::from_json(&key.to_json())?))
}

/// All rows that have such a part.
fn held(rows: &Snapshot, kind: PartKind) -> impl Iterator<Item = (RowId, TableId, Key)> {
    rows.view().tables().flat_map(move |table| {
        let def = table.def();
        table.iter().filter(move |row| row.has(kind)).filter_map(move |row| {
            let key = row.key();
            Some((name(def, &key)?, def.id(), key))
        })
    })
}

/// The rows whose desired part is held.
pub(super) fn ordered(state: &State) -> Vec<RowId> {
    held(&state.snapshot(), PartKind::Desired).map(|(row, ..)| row).collect()
}

/// Whether the desired part that is held is what was received.
pub(super) fn compare(state: &State, row: &RowId, part: &Part) -> Held {
    let same = locate(state, row).and_then(|(table, key)| {
        let table = state.any(table)?;
        let held = table.def().part_to_json_with_key(table.get(&key)?, PartKind::Desired)?;
        (held == *part).then_some(())
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
            Some(part) => tx.set_json(table, &key, PartKind::Desired, &Json::Object(part)),
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
    changed.filter_map(|change| name(change.table(), &change.key()))
}
