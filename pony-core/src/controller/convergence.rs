//! Whether what is is what was ordered, of the tables that something acts on. For those who watch over the cloud: nothing
//! is decided by it.

use crate::tables::{
    DataStatus, Host, HostStatus, Instance, InstanceState, InstanceStatus, Volume, VolumeState,
};
use pony_state::AnyRow;

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
    let row = row.row::<Host>()?;
    let present = row.current.as_ref().is_some_and(|current| current.status == HostStatus::Present);
    Some(row.desired.is_some() && present)
}
