//! What a call into libvirt holds until it is through: a place among the calls, and its guest's turn.
//!
//! A call cannot be taken back, and may hang for as long as libvirt does. One that nobody waits for any more is given some
//! time to end by itself, so that the next step comes after it; then it is forsaken: what it held goes to others, and only
//! its thread waits on. What it still brings about is found by looking, as everything is.

use std::any::Any;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// How long a call may go on that nobody waits for. What answers at all answers sooner, on a busy machine too; and a
/// person waits that long for a later order.
const FORSAKE_AFTER: Duration = Duration::from_secs(5);

/// Forsaken calls at once. Each is a thread here and a worker of libvirtd, which has 20; beyond it calls hold what they
/// have until they end.
const FORSAKEN_MAX: usize = 8;

/// Room for forsaken calls.
#[derive(Debug, Clone)]
pub(super) struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(FORSAKEN_MAX)))
    }
}

/// What is held, or instead of it a place among the forsaken; nothing once the call is through.
type Slot = Arc<Mutex<Option<Box<dyn Any + Send>>>>;

/// The call's end of it: dropped when the call is through.
pub(super) struct Held(Slot);

/// The end of who waits for the call: dropped when nobody does any more.
pub(super) struct Waiting(Option<(Slot, Room)>);

/// Both ends. Without `room` it is held until the call is through, whoever waits.
pub(super) fn hold(held: impl Any + Send, room: Option<&Room>) -> (Held, Waiting) {
    let slot: Slot = Arc::new(Mutex::new(Some(Box::new(held))));
    let waiting = room.map(|room| (Arc::clone(&slot), room.clone()));
    (Held(slot), Waiting(waiting))
}

fn lock(slot: &Slot) -> MutexGuard<'_, Option<Box<dyn Any + Send>>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Held {
    fn drop(&mut self) {
        lock(&self.0).take();
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Some((slot, room)) = self.0.take().filter(|(slot, _)| lock(slot).is_some()) else { return };
        // Without a runtime everything ends.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            tokio::time::sleep(FORSAKE_AFTER).await;
            forsake(&slot, &room);
        });
    }
}

/// Lets go of what is held, where there is room for one more whose end nobody waits for.
fn forsake(slot: &Slot, room: &Room) {
    let mut held = lock(slot);
    if held.is_none() {
        return;
    }
    match Arc::clone(&room.0).try_acquire_owned() {
        Ok(place) => *held = Some(Box::new(place)),
        Err(_) => {
            tracing::warn!("{FORSAKEN_MAX} calls into libvirt hang: one more holds up what comes after it");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Something whose end shows.
    fn turn() -> (Arc<()>, impl Fn() -> bool) {
        let turn = Arc::new(());
        let weak = Arc::downgrade(&turn);
        (turn, move || weak.strong_count() > 0)
    }

    async fn pass(time: Duration) {
        tokio::time::sleep(time + Duration::from_millis(1)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_waited_for_holds_what_it_has_until_it_is_through() {
        let (turn, is_held) = turn();
        let (held, waiting) = hold(turn, Some(&Room::default()));
        pass(FORSAKE_AFTER * 10).await;
        assert!(is_held());
        drop(held);
        assert!(!is_held());
        drop(waiting);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_hangs_and_nobody_waits_for_is_forsaken() {
        let ((turn, is_held), room) = (turn(), Room::default());
        let (held, waiting) = hold(turn, Some(&room));
        drop(waiting);
        pass(FORSAKE_AFTER / 2).await;
        assert!(is_held(), "it may still end by itself");
        pass(FORSAKE_AFTER / 2).await;
        assert!(!is_held());
        assert_eq!(room.0.available_permits(), FORSAKEN_MAX - 1);
        drop(held);
        assert_eq!(room.0.available_permits(), FORSAKEN_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn few_are_forsaken_and_some_calls_never() {
        let room = Room::default();
        let mut hanging: Vec<Held> = Vec::new();
        for _ in 0..FORSAKEN_MAX {
            hanging.push(hold((), Some(&room)).0);
        }
        pass(FORSAKE_AFTER).await;
        assert_eq!(room.0.available_permits(), 0);
        let ((one_more, is_held), (start, is_start_held)) = (turn(), turn());
        hanging.push(hold(one_more, Some(&room)).0);
        hanging.push(hold(start, None).0);
        pass(FORSAKE_AFTER).await;
        assert!(is_held() && is_start_held());
        hanging.clear();
        assert!(!is_held() && !is_start_held());
    }
}
