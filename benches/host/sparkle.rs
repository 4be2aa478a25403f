//! A Sparkle that is no more than a session over the rows that it orders of one host.

use pony_core::tables::{self, HostSwitch, LinkStatus};
use pony_state::sync::{
    Event, Frames, FullRows, Limits, Now, Role, RowId, Session, SnapshotRows, Source, SourceRow, WireChange,
};
use pony_state::{PartKind, Read, State};
use serde_json::Value as Json;
use std::collections::BTreeSet;
use uuid::Uuid;

/// Its epoch.
const EPOCH: u64 = 1;

pub(crate) struct Orders {
    state: State,
    session: Session,
    /// The switches of which the host says that they are there.
    pub(crate) ready: BTreeSet<Uuid>,
}

struct Desired<'a>(&'a State);

impl Source for Desired<'_> {
    fn row(&self, row: &RowId) -> Option<SourceRow<'_>> {
        let table = self.0.any(&*row.table)?;
        table.get(&row.key(table.def()).ok()?).map(SourceRow::Row)
    }

    fn full(&self) -> Box<dyn FullRows> {
        Box::new(SnapshotRows::all(self.0.snapshot(), PartKind::Desired))
    }
}

impl Orders {
    pub(crate) fn of(host: Uuid, now: Now) -> anyhow::Result<Self> {
        let role = Role::Sparkle { peer: host, epoch: EPOCH };
        let session = Session::new(role, Uuid::from_u128(2), Limits::default(), now);
        Ok(Self { state: tables::new_state()?, session, ready: BTreeSet::new() })
    }

    /// Orders rows, all at once.
    pub(crate) fn write(&mut self, rows: &[(&'static str, Json)]) -> anyhow::Result<()> {
        let mut tx = self.state.transaction();
        let mut changed = Vec::new();
        for (table, part) in rows {
            let def =
                tx.any(*table).ok_or_else(|| anyhow::anyhow!("there is no table {table}"))?.def().clone();
            let key = def.key_of_part(PartKind::Desired, part)?;
            tx.set_json(*table, &key, PartKind::Desired, part)?;
            changed.push(RowId::of(&def, &key));
        }
        tx.commit();
        changed.iter().for_each(|row| self.session.changed(row));
        Ok(())
    }

    pub(crate) fn poll_transmit(&mut self, now: Now) -> Option<Frames> {
        self.session.handle_timeout(now);
        self.session.poll_transmit(now, &Desired(&self.state))
    }

    /// Takes a message of the host.
    pub(crate) fn hear(&mut self, frames: &Frames, now: Now) -> anyhow::Result<()> {
        self.session.handle_message(frames.body.as_bytes(), frames.sent_unix_s, now);
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Full(full) => self.take(full.changes())?,
                Event::Changes(changes) => self.take(&changes)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn take(&mut self, changes: &[WireChange]) -> anyhow::Result<()> {
        let mut tx = self.state.transaction();
        for WireChange { row, kind, part } in changes {
            let Some(def) = tx.any(&*row.table).map(|table| table.def().clone()) else { continue };
            let key = row.key(&def)?;
            match part {
                Some(part) => tx.set_text(&*row.table, &key, *kind, part.text())?,
                None => tx.remove_part(&*row.table, &key, *kind)?,
            };
        }
        for change in tx.commit().changes() {
            let Some(row) = change.row::<HostSwitch>().and_then(|row| row.after) else { continue };
            if row.current.as_ref().is_some_and(|it| it.status == LinkStatus::Active) {
                self.ready.insert(row.switch);
            }
        }
        Ok(())
    }
}
