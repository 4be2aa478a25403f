//! Two ends of a state exchange in one process, for the examples of `pony_state::sync`.

use pony_state::sync::{FullRows, Limits, Now, Role, RowId, Session, SnapshotRows, Source, SourceRow};
use pony_state::{PartKind, Read, SchemaError, Snapshot, State};
use uuid::Uuid;

/// Messages that go to and fro, at most: far more than any example needs.
const MESSAGES_MAX: usize = 1000;

/// The parts of one kind in a snapshot, for a session to send.
#[derive(Debug)]
pub struct Parts {
    /// What there is.
    pub snapshot: Snapshot,
    /// What of it is sent.
    pub kind: PartKind,
}

impl Source for Parts {
    fn row(&self, row: &RowId) -> Option<SourceRow<'_>> {
        let table = self.snapshot.any(&*row.table)?;
        table.get(&row.key(table.def()).ok()?).filter(|row| row.has(self.kind)).map(SourceRow::Row)
    }

    fn full(&self) -> Box<dyn FullRows> {
        Box::new(SnapshotRows::all(self.snapshot.clone(), self.kind))
    }
}

/// Sparkle's end, and that of machine 1.
#[must_use]
pub fn sessions() -> (Session, Session) {
    let (machine, start) = (Uuid::from_u128(1), Now::default());
    let sparkle = Role::Sparkle { peer: machine, epoch: 1 };
    let peer = Role::Peer { uuid: machine, epoch_highest: 0 };
    let session =
        |role, incarnation| Session::new(role, Uuid::from_u128(incarnation), Limits::default(), start);
    (session(sparkle, 2), session(peer, 3))
}

/// Hands over messages until neither end has more to say. Both read the same state: desired parts go one way, current
/// ones the other.
pub fn exchange(sparkle: &mut Session, peer: &mut Session, state: &State, now: Now) {
    for _ in 0..MESSAGES_MAX {
        let source = |kind| Parts { snapshot: state.snapshot(), kind };
        if let Some(frames) = sparkle.poll_transmit(now, &source(PartKind::Desired)) {
            peer.handle_message(frames.body.as_bytes(), frames.sent_unix_s, now);
        } else if let Some(frames) = peer.poll_transmit(now, &source(PartKind::Current)) {
            sparkle.handle_message(frames.body.as_bytes(), frames.sent_unix_s, now);
        } else {
            return;
        }
    }
}

/// The house, and the two ends after they have told each other everything.
///
/// # Errors
/// None: the tables fit.
pub fn conversation() -> Result<(State, Session, Session), SchemaError> {
    let (state, (mut sparkle, mut peer)) = (crate::house()?, sessions());
    sparkle.handle_connected(Now::default());
    exchange(&mut sparkle, &mut peer, &state, Now::default());
    Ok((state, sparkle, peer))
}
