//! Spreads word of changed guests to whoever asked, and knows which guests are this agent's.

use pony_core::host::Ending;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;
use uuid::Uuid;

/// Changes waiting for one receiver; more are dropped, since a periodic list makes up for them. A start is three
/// events, so this is some eighty guests starting at once while the receiver sleeps.
const EVENTS_MAX: usize = 256;

/// Receivers at once; the agent needs one. The oldest is let go to make room.
const RECEIVERS_MAX: usize = 16;

/// Where events go.
#[derive(Debug, Default)]
pub(super) struct Hub(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    receivers: Vec<mpsc::Sender<Uuid>>,
    /// Own guests, with the number of the tick at which each was last heard of. As many as there are domains.
    known: HashMap<Uuid, u64>,
    tick: u64,
    /// How own guests that are off were seen to end.
    endings: HashMap<Uuid, Ending>,
}

/// What happened to a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// A run began.
    Started,
    /// A run ended.
    Ended(Ending),
    /// Something else.
    Other,
}

impl Hub {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new receiver of changes.
    pub(super) fn subscribe(&self) -> mpsc::Receiver<Uuid> {
        let (sender, receiver) = mpsc::channel(EVENTS_MAX);
        let mut inner = self.lock();
        inner.receivers.retain(|r| !r.is_closed());
        if inner.receivers.len() == RECEIVERS_MAX {
            inner.receivers.remove(0);
        }
        inner.receivers.push(sender);
        receiver
    }

    /// Ends all streams.
    pub(super) fn close(&self) {
        self.lock().receivers.clear();
    }

    /// Something happened to a domain, whosever it is.
    pub(super) fn changed(&self, domain: Uuid, turn: Turn) {
        let mut inner = self.lock();
        if inner.known.contains_key(&domain) {
            inner.note(domain, turn);
            inner.send(domain);
        }
    }

    /// How the last run of a guest was seen to end.
    pub(super) fn ending(&self, guest: Uuid) -> Option<Ending> {
        self.lock().endings.get(&guest).copied()
    }

    /// Events may have been lost: has all own guests looked at.
    pub(super) fn all_changed(&self) {
        let inner = self.lock();
        inner.known.keys().for_each(|guest| inner.send(*guest));
    }

    /// Whether a domain is one of this agent's.
    pub(super) fn is_known(&self, domain: Uuid) -> bool {
        self.lock().known.contains_key(&domain)
    }

    /// From now on `guest` is one of this agent's.
    pub(super) fn know(&self, guest: Uuid) {
        let mut inner = self.lock();
        inner.tick += 1;
        let tick = inner.tick;
        inner.known.insert(guest, tick);
    }

    /// To be called before listing: the answer is for [`know_exactly`](Self::know_exactly).
    pub(super) fn before_list(&self) -> u64 {
        self.lock().tick
    }

    /// The list is `guests`: forgets all others, but for those made since the list was asked for.
    pub(super) fn know_exactly(&self, guests: impl Iterator<Item = Uuid>, asked_at: u64) {
        let mut inner = self.lock();
        inner.known.retain(|_, tick| *tick > asked_at);
        let tick = inner.tick;
        guests.for_each(|guest| {
            inner.known.entry(guest).or_insert(tick);
        });
        let Inner { endings, known, .. } = &mut *inner;
        endings.retain(|guest, _| known.contains_key(guest));
    }
}

impl Inner {
    /// A panic is followed by the end of the emulator, which says less.
    fn note(&mut self, guest: Uuid, turn: Turn) {
        match turn {
            Turn::Started => drop(self.endings.remove(&guest)),
            Turn::Ended(_) if self.endings.get(&guest) == Some(&Ending::Panicked) => {}
            Turn::Ended(ending) => drop(self.endings.insert(guest, ending)),
            Turn::Other => {}
        }
    }

    fn send(&self, guest: Uuid) {
        for receiver in &self.receivers {
            // A full channel means that the receiver is behind and will list; a closed one is swept later.
            let _ = receiver.try_send(guest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Uuid = Uuid::from_u128(1);
    const NEW: Uuid = Uuid::from_u128(2);
    const FOREIGN: Uuid = Uuid::from_u128(3);

    #[test]
    fn only_own_guests_are_told_of() {
        let hub = Hub::default();
        let mut events = hub.subscribe();
        hub.know(OURS);
        hub.changed(FOREIGN, Turn::Other);
        hub.changed(OURS, Turn::Other);
        assert_eq!(events.try_recv().ok(), Some(OURS));
        assert!(events.try_recv().is_err());
    }

    #[test]
    fn how_a_run_ended_is_kept_until_the_next_one() {
        let hub = Hub::default();
        hub.know(OURS);
        hub.changed(OURS, Turn::Ended(Ending::Panicked));
        hub.changed(OURS, Turn::Ended(Ending::Killed));
        assert_eq!(hub.ending(OURS), Some(Ending::Panicked), "the panic is why the emulator ended");
        hub.changed(OURS, Turn::Started);
        assert_eq!(hub.ending(OURS), None);
        hub.changed(OURS, Turn::Ended(Ending::ShutDown));
        let asked_at = hub.before_list();
        hub.know_exactly([].into_iter(), asked_at);
        assert_eq!(hub.ending(OURS), None, "a guest that is gone is forgotten");
    }

    #[test]
    fn a_list_does_not_forget_a_guest_made_meanwhile() {
        let hub = Hub::default();
        hub.know(OURS);
        let asked_at = hub.before_list();
        hub.know(NEW);
        hub.know_exactly([].into_iter(), asked_at);
        let mut events = hub.subscribe();
        hub.all_changed();
        assert_eq!(events.try_recv().ok(), Some(NEW));
        assert!(events.try_recv().is_err(), "the guest that is gone is forgotten");
    }

    #[test]
    fn a_sleeping_receiver_costs_nothing_but_its_events() {
        let hub = Hub::default();
        let mut events = hub.subscribe();
        hub.know(OURS);
        (0..EVENTS_MAX * 2).for_each(|_| hub.changed(OURS, Turn::Other));
        assert_eq!(std::iter::from_fn(|| events.try_recv().ok()).count(), EVENTS_MAX);
        hub.close();
        assert!(events.try_recv().is_err() && events.is_closed());
    }
}
