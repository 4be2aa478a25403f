//! Whether what is is what was ordered, of the tables that something acts on. For those who watch over the cloud: nothing
//! is decided by it.

use crate::tables::{
    DataStatus, Host, HostInstance, HostStatus, Instance, InstanceState, InstanceStatus, Volume, VolumeState,
};
use pony_state::{AnyRow, PartKind};

/// Whether a row is as ordered. Nothing for tables whose parts do not answer each other.
#[must_use]
pub fn is_converged(row: AnyRow<'_>) -> Option<bool> {
    if let Some(row) = row.row::<Instance>() {
        let Some(desired) = &row.desired else { return Some(false) };
        let wanted = match desired.state {
            InstanceState::Running => InstanceStatus::Running,
            InstanceState::Paused => InstanceStatus::Paused,
            InstanceState::Stopped => InstanceStatus::Stopped,
        };
        return Some(row.current.as_ref().is_some_and(|current| current.status == wanted));
    }
    if let Some(row) = row.row::<Volume>() {
        let there = row.desired.as_ref().is_some_and(|desired| desired.state != VolumeState::Deleted);
        let ready = row.current.as_ref().is_some_and(|current| current.status == DataStatus::Ready);
        return Some(there && ready);
    }
    if let Some(row) = row.row::<Host>() {
        let present = row.current.as_ref().is_some_and(|current| current.status == HostStatus::Present);
        return Some(row.desired.is_some() && present);
    }
    if let Some(row) = row.row::<HostInstance>() {
        // Without an order it is what a host has not let go of yet.
        let has_errors = row.current.as_ref().is_none_or(|current| current.error.is_some());
        return Some(row.desired.is_some() && !has_errors);
    }
    reported(row)
}

/// What hosts say of any other row that is ordered: it is there, and nothing is wrong with it. Of what is there without an
/// order (a card, a disk) nothing is wanted.
fn reported(row: AnyRow<'_>) -> Option<bool> {
    let schema = row.def().schema();
    if !(schema.has_desired && schema.has_current) {
        return None;
    }
    let is_wrong = || row.value(PartKind::Current, "error").is_some_and(|error| !error.is_null());
    Some(!row.has(PartKind::Desired) || (row.has(PartKind::Current) && !is_wrong()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::new_state;
    use pony_state::{Key, Read, State};
    use serde_json::json;
    use uuid::Uuid;

    fn set(state: &mut State, table: &str, key: &Key, kind: PartKind, part: &serde_json::Value) {
        let mut tx = state.transaction();
        tx.set_json(table, key, kind, part).unwrap();
        tx.commit();
    }

    fn told(state: &State, table: &str, key: &Key) -> Option<bool> {
        let view = state.view();
        let table = view.tables().find(|it| it.def().name() == table).unwrap();
        is_converged(table.get(key).unwrap())
    }

    /// Every table that has both parts says whether they answer each other; the others, nothing.
    #[test]
    fn a_row_is_as_ordered_once_it_is_reported_without_an_error() {
        let mut state = new_state().unwrap();
        let (key, host) = (Key::one(Uuid::from_u128(1)), Uuid::from_u128(2));
        let bond = json!({"host": host, "mode": "active-backup"});
        set(&mut state, "bond", &key, PartKind::Desired, &bond);
        assert_eq!(told(&state, "bond", &key), Some(false), "nobody has heard of it");
        set(&mut state, "bond", &key, PartKind::Current, &json!({"status": "broken", "error": "no link"}));
        assert_eq!(told(&state, "bond", &key), Some(false));
        set(&mut state, "bond", &key, PartKind::Current, &json!({"status": "active"}));
        assert_eq!(told(&state, "bond", &key), Some(true));
        let tenant = json!({"name": "t", "approved": true});
        set(&mut state, "tenant", &key, PartKind::Desired, &tenant);
        assert_eq!(told(&state, "tenant", &key), None, "nothing acts on it");
    }
}
