//! Changes of guests that nobody waits for any more and that still go on.
//!
//! What such a guest has open cannot be told from what it is seen to have: a disk may be about to be plugged in.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use uuid::Uuid;

/// Changes under way.
#[derive(Debug, Default)]
pub(super) struct Flights(Mutex<Vec<Flight>>);

#[derive(Debug)]
struct Flight {
    guest: Uuid,
    call: Weak<()>,
    waiting: Weak<()>,
}

impl Flights {
    /// A change of a guest begins. The first token is the call's, the second belongs to who waits for it.
    pub(super) fn begin(&self, guest: Uuid) -> (Arc<()>, Arc<()>) {
        let (call, waiting) = (Arc::new(()), Arc::new(()));
        let flight = Flight { guest, call: Arc::downgrade(&call), waiting: Arc::downgrade(&waiting) };
        self.lock().push(flight);
        (call, waiting)
    }

    /// Whether there may be more to a guest soon than there is seen to be.
    pub(super) fn is_unattended(&self, guest: Uuid) -> bool {
        self.lock().iter().any(|it| it.guest == guest && it.waiting.strong_count() == 0)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Flight>> {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        flights.retain(|it| it.call.strong_count() > 0);
        flights
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_unattended_from_when_nobody_waits_to_its_end() {
        let (flights, guest) = (Flights::default(), Uuid::from_u128(1));
        let (call, waiting) = flights.begin(guest);
        let done = flights.begin(guest);
        assert!(!flights.is_unattended(guest));
        drop((done, waiting));
        assert!(flights.is_unattended(guest) && !flights.is_unattended(Uuid::from_u128(2)));
        drop(call);
        assert!(!flights.is_unattended(guest));
    }
}
