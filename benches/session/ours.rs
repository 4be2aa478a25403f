//! Our side: sessions, and what lies between them and typed rows.

use pony_benches::workload::{Instance, InstanceDesired};
use pony_state::sync::{
    Event, Frames, FullRows, Held, Limits, Message, Now, Role, RowId, Session, SnapshotRows, Source,
    SourceRow, WireChange,
};
use pony_state::{Entity, KeyColumns, PartKind, PartValues, Read, State, Value};
use uuid::Uuid;

pub(crate) const MACHINE: Uuid = Uuid::from_u128(1);
pub(crate) const INCARNATION: Uuid = Uuid::from_u128(2);

/// A row as a receiver keeps it.
pub(crate) type Received = (Uuid, InstanceDesired);

/// The desired parts of a state.
pub(crate) struct Rows<'a>(pub(crate) &'a State);

impl Source for Rows<'_> {
    fn row(&self, row: &RowId) -> Option<SourceRow<'_>> {
        let table = self.0.any(&*row.table)?;
        table.get(&row.key(table.def()).ok()?).map(SourceRow::Row)
    }

    fn full(&self) -> Box<dyn FullRows> {
        Box::new(SnapshotRows::all(self.0.snapshot(), PartKind::Desired))
    }
}

pub(crate) fn at(ms: u64) -> Now {
    Now { ms, unix_s: 1_700_000_000 + ms / 1000 }
}

pub(crate) fn sparkle() -> Session {
    Session::new(Role::Sparkle { peer: MACHINE, epoch: 1 }, INCARNATION, Limits::default(), at(0))
}

pub(crate) fn peer() -> Session {
    let role = Role::Peer { uuid: MACHINE, epoch_highest: 0 };
    Session::new(role, Uuid::from_u128(3), Limits::default(), at(0))
}

/// The messages of a full state, for a peer that asks for it.
pub(crate) fn encode(state: &State) -> Vec<Frames> {
    let (mut session, now) = (sparkle(), at(0));
    let request = Message::TwilightResync { uuid: MACHINE }.encode();
    session.handle_message(request.as_bytes(), now.unix_s, now);
    let rows = Rows(state);
    std::iter::from_fn(|| session.poll_transmit(now, &rows)).collect()
}

/// The changes that a peer makes of messages.
pub(crate) fn receive(session: &mut Session, messages: &[Frames], now: Now) -> Vec<WireChange> {
    let mut all = Vec::new();
    for Frames { body, sent_unix_s } in messages {
        session.handle_message(body.as_bytes(), *sent_unix_s, now);
        while let Some(event) = session.poll_event() {
            match event {
                Event::Full(full) => all = full.diff(PartKind::Desired, [], |_, _| Held::Different),
                Event::Changes(changes) => all.extend(changes),
                _ => {}
            }
        }
    }
    all
}

/// Typed rows of changes.
pub(crate) fn typed(state: &State, changes: &[WireChange]) -> anyhow::Result<Vec<Received>> {
    let def = state
        .any(Instance::TABLE)
        .map(pony_state::AnyTable::def)
        .ok_or_else(|| anyhow::anyhow!("no table"))?;
    let mut rows = Vec::with_capacity(changes.len());
    for WireChange { row, kind, part } in changes {
        let (key, Some(part)) = (row.key(def)?, part) else { continue };
        let values = def.part_from_text(*kind, part.text(), KeyColumns::Check(&key))?;
        let part = InstanceDesired::from_values(&values).map_err(|error| anyhow::anyhow!("{error:?}"))?;
        rows.push((key.values().first().and_then(Value::as_uuid).unwrap_or_default(), part));
    }
    Ok(rows)
}

/// What a receiver does in earnest: the changes as one transaction.
pub(crate) fn load(changes: &[WireChange]) -> anyhow::Result<usize> {
    let mut state = State::builder().table::<Instance>().build()?;
    let mut tx = state.transaction();
    for WireChange { row, kind, part } in changes {
        let def = tx.def(&*row.table)?;
        let key = row.key(&def)?;
        match part {
            Some(part) => tx.set_text(def.id(), &key, *kind, part.text())?,
            None => tx.remove_part(def.id(), &key, *kind)?,
        };
    }
    Ok(tx.commit().len())
}
