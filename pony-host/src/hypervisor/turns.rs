//! One step at a time for each guest, also for steps whose callers have gone.
//!
//! A call into libvirt cannot be taken back: a dropped future leaves it running on its thread. The next step for
//! the same guest must not overtake it, or an old `define` could undo a new `undefine`; unless it hangs (see `held`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};
use uuid::Uuid;

/// Guests with a step under way.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<Uuid, Weak<Turn<()>>>>);

impl Turns {
    /// Waits for all earlier steps for `guest`, which go first in the order in which they came.
    pub(super) async fn take(&self, guest: Uuid) -> OwnedMutexGuard<()> {
        self.of(guest).lock_owned().await
    }

    fn of(&self, guest: Uuid) -> Arc<Turn<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = turns.get(&guest).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::new(Turn::new(()));
        turns.insert(guest, Arc::downgrade(&turn));
        turn
    }
}
