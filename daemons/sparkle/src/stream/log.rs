//! The last events, numbered, for all who watch.

use pony_core::document::Event;
use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// Events kept: at a thousand changes a second, a watcher may be away for a minute.
pub(crate) const EVENTS_MAX: usize = 65_536;
/// Bytes of their texts kept.
pub(crate) const BYTES_MAX: usize = 64 << 20;

/// What a watcher wants is there no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Forgotten;

/// See the module.
pub(crate) struct Log {
    /// Differs from process to process, so that no number of another one is taken for one of this.
    epoch: u32,
    ring: RwLock<Ring>,
}

struct Ring {
    events: VecDeque<Arc<Event>>,
    bytes: usize,
    /// The number of the next event.
    next: u64,
    events_max: usize,
}

impl Ring {
    fn first(&self) -> u64 {
        self.next - self.events.len() as u64
    }
}

impl Log {
    pub(crate) fn new(epoch: u32, events_max: usize) -> Self {
        // Number 0 is for those who have seen nothing.
        let ring = Ring { events: VecDeque::new(), bytes: 0, next: 1, events_max };
        Self { epoch, ring: RwLock::new(ring) }
    }

    pub(crate) const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The number of the next event that there will be.
    pub(crate) fn next(&self) -> u64 {
        self.read().next
    }

    /// Events and bytes that it holds.
    pub(crate) fn size(&self) -> (usize, usize) {
        let ring = self.read();
        (ring.events.len(), ring.bytes)
    }

    pub(crate) fn append(&self, events: Vec<Event>) {
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            ring.bytes += size(&event);
            ring.events.push_back(Arc::new(event));
            ring.next += 1;
            while ring.events.len() > ring.events_max || ring.bytes > BYTES_MAX {
                let Some(old) = ring.events.pop_front() else { break };
                ring.bytes -= size(&old);
            }
        }
    }

    /// Forgets everything, since something was missed: all watchers have to start over.
    pub(crate) fn break_off(&self) {
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        ring.events.clear();
        ring.bytes = 0;
        // Also those who have seen all so far.
        ring.next += 1;
    }

    /// At most `count` events from number `from` on.
    pub(crate) fn range(&self, from: u64, count: usize) -> Result<Vec<Arc<Event>>, Forgotten> {
        let ring = self.read();
        let skipped = from.checked_sub(ring.first()).ok_or(Forgotten)?;
        if from > ring.next {
            return Err(Forgotten);
        }
        let skipped = usize::try_from(skipped).map_err(|_| Forgotten)?;
        Ok(ring.events.iter().skip(skipped).take(count).cloned().collect())
    }

    fn read(&self) -> RwLockReadGuard<'_, Ring> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn size(event: &Event) -> usize {
    event.shown().len() + event.gone().len()
}

/// Events of `count` new tenants.
#[cfg(test)]
pub(super) fn events_of_tenants(count: u128) -> Vec<Event> {
    use pony_core::document::{Replay, Tree};
    use pony_core::tables::{Tenant, TenantDesired, new_state};
    use pony_state::Read;
    let mut state = new_state().unwrap();
    let tree = Tree::new(Arc::clone(state.schema())).unwrap();
    let base = state.snapshot();
    let mut tx = state.transaction();
    for number in 0..count {
        let tenant = TenantDesired { name: "t".into(), approved: true };
        tx.set_desired::<Tenant>(&uuid::Uuid::from_u128(number), tenant);
    }
    Replay::new(&tree, &base).take(&tx.commit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_events_are_kept() {
        let log = Log::new(1, 10);
        assert_eq!(log.range(1, 5).unwrap().len(), 0);
        log.append(events_of_tenants(4));
        assert_eq!((log.next(), log.range(1, 100).unwrap().len()), (5, 4));
        assert_eq!(log.range(2, 2).unwrap().len(), 2);
        log.append(events_of_tenants(8));
        assert_eq!(log.range(2, 1).unwrap_err(), Forgotten);
        assert_eq!(log.range(3, 100).unwrap().len(), 10);
        assert_eq!((log.range(13, 1).unwrap().len(), log.range(14, 1).unwrap_err()), (0, Forgotten));
        let (count, bytes) = log.size();
        assert_eq!(count, 10);
        assert_eq!(bytes, log.range(3, 10).unwrap().iter().map(|event| size(event)).sum::<usize>());
    }

    #[test]
    fn after_a_break_nobody_goes_on() {
        let log = Log::new(1, 10);
        log.append(events_of_tenants(4));
        log.break_off();
        assert_eq!(log.range(5, 1).unwrap_err(), Forgotten, "one who had seen all missed something, too");
        assert_eq!(log.range(log.next(), 1).unwrap().len(), 0);
        assert_eq!(log.size(), (0, 0));
    }
}
