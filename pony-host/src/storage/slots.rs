//! One slot per volume: who is at work on it, and whose work still counts.

use super::error::StorageError;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The slots of all volumes that somebody is at work on.
#[derive(Default)]
pub(super) struct Slots(Mutex<HashMap<Uuid, Weak<Slot>>>);

/// The slot of one volume. It lives as long as anybody, even an abandoned thread, is at work on the volume.
pub(super) struct Slot {
    pub(super) volume: Uuid,
    /// Fills of one volume take turns.
    pub(super) turn: tokio::sync::Mutex<()>,
    current: Mutex<Current>,
}

/// Whose work counts: that of the ticket given out last, until it is revoked.
type Current = CancellationToken;

/// The right to finish a volume.
#[derive(Clone)]
pub(super) struct Ticket {
    pub(super) slot: Arc<Slot>,
    /// Fires when the right is gone: dropped, deleted, or taken over.
    pub(super) revoked: CancellationToken,
}

impl Slots {
    pub(super) fn slot(&self, volume: Uuid) -> Arc<Slot> {
        let mut slots = lock(&self.0);
        // Bounded by the calls and the abandoned threads that there are at one time.
        slots.retain(|_, slot| slot.strong_count() > 0);
        if let Some(slot) = slots.get(&volume).and_then(Weak::upgrade) {
            return slot;
        }
        let slot = Arc::new(Slot { volume, turn: tokio::sync::Mutex::default(), current: Mutex::default() });
        slots.insert(volume, Arc::downgrade(&slot));
        slot
    }

    /// Whether anybody is at work on a volume.
    pub(super) fn is_busy(&self, volume: Uuid) -> bool {
        lock(&self.0).get(&volume).is_some_and(|slot| slot.strong_count() > 0)
    }
}

impl Slot {
    /// Gives out a ticket that `revoked` ends: all earlier ones are void. Who was abandoned before it came here
    /// gets none, so that it cannot void the ticket of whoever came after it.
    pub(super) fn ticket(self: &Arc<Self>, revoked: CancellationToken) -> Result<Ticket, StorageError> {
        let mut current = lock(&self.current);
        let ticket = Ticket { slot: self.clone(), revoked };
        ticket.check()?;
        std::mem::replace(&mut *current, ticket.revoked.clone()).cancel();
        Ok(ticket)
    }

    /// Voids all tickets, and does something before any new work can count.
    pub(super) fn revoke<T>(&self, then: impl FnOnce() -> T) -> T {
        let current = lock(&self.current);
        current.cancel();
        then()
    }
}

impl Ticket {
    /// Fails where this work does not count any more.
    pub(super) fn check(&self) -> Result<(), StorageError> {
        match self.revoked.is_cancelled() {
            true => Err(StorageError::Overtaken { volume: self.slot.volume }),
            false => Ok(()),
        }
    }

    /// Does what only the current work may do; nothing overtakes it meanwhile. Brief and blocking.
    pub(super) fn if_current<T>(
        &self,
        then: impl FnOnce() -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let _current = lock(&self.slot.current);
        self.check()?;
        then()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(slots: &Slots, volume: u128) -> Ticket {
        slots.slot(Uuid::from_u128(volume)).ticket(CancellationToken::new()).unwrap()
    }

    #[test]
    fn a_later_ticket_or_a_deletion_voids_an_earlier_one() {
        let slots = Slots::default();
        let first = ticket(&slots, 1);
        assert!(first.check().is_ok());
        let second = ticket(&slots, 1);
        assert!(first.if_current(|| Ok(())).is_err());
        assert!(second.if_current(|| Ok(())).is_ok());
        slots.slot(Uuid::from_u128(1)).revoke(|| ());
        assert!(second.if_current(|| Ok(())).is_err());
        assert!(ticket(&slots, 1).check().is_ok());
    }

    #[test]
    fn who_comes_late_voids_nobody() {
        let slots = Slots::default();
        let current = ticket(&slots, 1);
        let dropped = CancellationToken::new();
        dropped.cancel();
        assert!(current.slot.ticket(dropped).is_err());
        assert!(current.check().is_ok());
    }

    #[test]
    fn slots_are_forgotten_when_nobody_is_at_work() {
        let slots = Slots::default();
        let ticket = ticket(&slots, 1);
        assert!(slots.is_busy(Uuid::from_u128(1)));
        drop(ticket);
        assert!(!slots.is_busy(Uuid::from_u128(1)));
        slots.slot(Uuid::from_u128(2));
        assert_eq!(lock(&slots.0).len(), 1);
    }
}
