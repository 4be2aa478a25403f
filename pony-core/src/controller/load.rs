//! Taking over all that the database has, and taking over from another Sparkle.

use super::{Controller, StoredRow, first_serial};
use pony_state::sync::Now;
use pony_state::{AnyTable, Commit, Key, PartError, PartKind, Read, TableId, Transaction, Value};
use serde_json::Value as Json;
use std::collections::HashSet;
use uuid::Uuid;

/// A row as the database gives it: its table, and the values of the key columns followed by those of the others.
pub type LoadedRow<'a> = (&'a str, &'a [Value]);

impl Controller {
    /// Makes all desired state that of the database, in one step: after a gap in its feed, or to be sure. Rows that stay
    /// the same cause no change.
    ///
    /// # Errors
    /// [`PartError`] when a row does not fit its table; nothing has changed then.
    pub fn load(&mut self, rows: &[StoredRow], now: Now) -> Result<(), PartError> {
        let commit = self.replace(|tx, kept| {
            for stored in rows {
                let key = write_row(tx, stored)?;
                kept.insert((tx.def(stored.table.as_str())?.id(), key));
            }
            Ok(())
        })?;
        self.absorb(&commit, now);
        Ok(())
    }

    /// The same of rows as values. Says how many rows that changed.
    ///
    /// # Errors
    /// [`PartError`] when a row does not fit its table; nothing has changed then.
    pub fn reload<'a>(
        &mut self,
        rows: impl Iterator<Item = LoadedRow<'a>>,
        now: Now,
    ) -> Result<usize, PartError> {
        let commit = self.replace(|tx, kept| {
            for row in rows {
                kept.insert(write_values(tx, row)?);
            }
            Ok(())
        })?;
        self.absorb(&commit, now);
        Ok(commit.changes().len())
    }

    fn replace(
        &self,
        write: impl FnOnce(&mut Transaction<'_>, &mut HashSet<(TableId, Key)>) -> Result<(), PartError>,
    ) -> Result<Commit, PartError> {
        let held = self.shared.snapshot();
        let ((), commit) = self.shared.write_aside(|tx| {
            let mut kept = HashSet::new();
            write(tx, &mut kept)?;
            for table in held.view().tables() {
                for row in table.iter().filter(|row| row.has(PartKind::Desired)) {
                    if !kept.contains(&(table.def().id(), row.key())) {
                        tx.remove_part(table.def().id(), &row.key(), PartKind::Desired)?;
                    }
                }
            }
            Ok::<_, PartError>(())
        })?;
        Ok(commit)
    }

    /// Takes in a piece of all that the database has, at the very start, before anybody reads: what follows from all of
    /// it is found out once [`Controller::loaded`] says that this was all. (One transaction of everything would hold
    /// everything twice.)
    ///
    /// # Errors
    /// [`PartError`] when a row does not fit its table; nothing of the piece was taken in then.
    pub fn load_piece<'a>(&mut self, rows: impl Iterator<Item = LoadedRow<'a>>) -> Result<(), PartError> {
        let mut rows = rows;
        self.shared.load(|tx| rows.try_for_each(|row| write_values(tx, row).map(|_| ()))).map(|_| ())
    }

    /// All pieces are there.
    pub fn loaded(&mut self, now: Now) {
        self.note_time(now);
        let snapshot = self.shared.snapshot();
        self.distribution.load(&snapshot);
        for table in snapshot.view().tables() {
            self.damage.note(&snapshot, table.iter());
        }
        // Sessions that begin have told nothing, and silenced nobody, yet.
        for row in snapshot.any("host").into_iter().flat_map(AnyTable::iter) {
            self.follow_host(&row, now);
        }
        self.settle();
    }

    /// Begins to command, in that epoch: a Sparkle that stood by takes over. Every host is spoken to anew.
    /// `incarnation` is random.
    pub fn lead(&mut self, incarnation: Uuid, epoch: u64, now: Now) {
        (self.incarnation, self.epoch, self.serial) = (incarnation, epoch, first_serial(epoch));
        let hosts: Vec<Uuid> = self.peers.keys().copied().collect();
        for host in hosts {
            self.begin_session(host, now);
            self.ready.insert(host);
        }
    }
}

/// Writes one row of the database; answers with its key.
pub(super) fn write_row(tx: &mut Transaction<'_>, stored: &StoredRow) -> Result<Key, PartError> {
    let def = tx.def(stored.table.as_str())?;
    let key = def.key_of_part(PartKind::Desired, &Json::Object(stored.key.clone()))?;
    match &stored.row {
        Some(row) => tx.set_json(def.id(), &key, PartKind::Desired, &Json::Object(row.clone()))?,
        None => tx.remove_part(def.id(), &key, PartKind::Desired)?,
    };
    Ok(key)
}

fn write_values(
    tx: &mut Transaction<'_>,
    (table, values): LoadedRow<'_>,
) -> Result<(TableId, Key), PartError> {
    let def = tx.def(table)?;
    let (key, part) = values.split_at(def.schema().key.len().min(values.len()));
    let key = Key::of(key.iter().cloned());
    tx.set(def.id(), &key, PartKind::Desired, part)?;
    Ok((def.id(), key))
}
