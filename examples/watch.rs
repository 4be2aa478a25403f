//! One writer, one watcher that keeps a picture of its own: first a snapshot, then the changes that follow it. Where
//! the watcher is too slow it is told so, and starts over from a snapshot.

use pony_state::{
    Commit, Entity, FeedError, Part, PartKind, Read, SharedState, Snapshot, State, Subscription, Text,
};
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

/// A lamp: how bright it should be, and how bright it is.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "lamp", user_key)]
struct Lamp {
    #[entity(key)]
    room: Text,
    desired: Option<Light>,
    current: Option<Light>,
}

#[derive(Debug, Clone, PartialEq, Part)]
struct Light {
    percent: i64,
}

/// How many changes may wait for the watcher. Small, to show what happens beyond it.
const WAITING_MAX: usize = 8;

const ROOMS: [&str; 3] = ["attic", "cellar", "hall"];

/// Wakes a thread: what a subscription needs of a runtime, where there is none.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for the next commit. In async code this is `subscription.next().await`.
fn next(subscription: &mut Subscription) -> Result<Commit, FeedError> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match subscription.poll_next(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => return result,
            Poll::Pending => thread::park(),
        }
    }
}

/// The lamps that shine, and how bright.
type Picture = BTreeMap<Text, i64>;

fn picture_of(snapshot: &Snapshot) -> Picture {
    let shining = |lamp: &Lamp| Some((lamp.room.clone(), lamp.current.as_ref()?.percent));
    snapshot.table::<Lamp>().iter().filter_map(shining).collect()
}

fn follow(picture: &mut Picture, commit: &Commit) {
    for change in commit.iter().filter(|change| change.part_changed(PartKind::Current)) {
        let Some(lamp) = change.row::<Lamp>() else { continue };
        match lamp.after.and_then(|lamp| Some((lamp.room.clone(), lamp.current.as_ref()?.percent))) {
            Some((room, percent)) => picture.insert(room, percent),
            None => lamp.before.and_then(|lamp| picture.remove(&lamp.room)),
        };
    }
}

/// Follows the state until nobody can write to it any more. Says how often it had to start over.
fn watch(shared: SharedState) -> (Picture, u32) {
    let (snapshot, mut subscription) = shared.subscribe(WAITING_MAX);
    let (mut picture, mut restarts) = (picture_of(&snapshot), 0);
    let mut reader = Some(shared);
    loop {
        // The writer's last act is to switch the hall off. Our handle would keep the state alive.
        if picture.get("hall") == Some(&0) {
            reader = None;
        }
        match next(&mut subscription) {
            Ok(commit) => follow(&mut picture, &commit),
            Err(FeedError::Lagged) => {
                let Some(snapshot) = reader.as_ref().map(SharedState::snapshot) else { continue };
                picture = picture_of(&snapshot);
                subscription.skip_to(snapshot.version());
                restarts += 1;
            }
            Err(FeedError::Closed) => return (picture, restarts),
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let shared = SharedState::new(State::builder().table::<Lamp>().build()?);
    shared.write(|tx| {
        for room in ROOMS {
            tx.set_desired::<Lamp>(&room.into(), Light { percent: 80 });
        }
        Ok::<_, FeedError>(())
    })?;

    // A snapshot is what the state was, however much happens later, and however long it is kept.
    let dark = shared.snapshot();
    let watcher = thread::spawn({
        let shared = shared.clone();
        move || watch(shared)
    });
    for percent in (0..=80).rev() {
        shared.write(|tx| {
            for room in ROOMS {
                tx.set_current::<Lamp>(&room.into(), Light { percent });
            }
            Ok::<_, FeedError>(())
        })?;
    }
    let last = shared.snapshot();
    drop(shared);

    let (picture, restarts) = watcher.join().map_err(|_| "the watcher panicked")?;
    println!("at version {}: {:?}", dark.version(), picture_of(&dark));
    println!("at version {}: {:?}", last.version(), picture_of(&last));
    println!("watched:       {picture:?}");
    eprintln!("the watcher started over {restarts} times");
    Ok(())
}
