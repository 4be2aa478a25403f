//! Subscribers, snapshots and handles on many threads.

use crate::cloud::{Nic, NicStatus, mac, nic_current, state};
use pony_state::{Commit, FeedError, PartKind, Read, SharedState, State, Subscription};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Commits one change.
fn touch(state: &mut State, number: u8, speed: i64) -> Commit {
    let mut tx = state.transaction();
    let mut part = nic_current(1, NicStatus::Ready);
    part.speed = speed;
    tx.set_current::<Nic>(&mac(number), part);
    tx.commit()
}

fn versions(feed: &mut Subscription) -> Vec<u64> {
    std::iter::from_fn(|| feed.try_next().unwrap()).map(|commit| commit.version()).collect()
}

#[test]
fn every_subscriber_hears_of_every_commit_in_order() {
    let mut state = state();
    touch(&mut state, 1, 1);
    let (mut one, mut two) = (state.subscribe(10), state.subscribe(10));
    for speed in 2..5 {
        touch(&mut state, 1, speed);
    }
    touch(&mut state, 1, 4);
    assert_eq!(versions(&mut one), [2, 3, 4]);
    assert_eq!(versions(&mut two), [2, 3, 4]);
}

#[test]
fn a_slow_subscriber_is_told_once_and_starts_over_without_a_gap() {
    let mut state = state();
    let mut feed = state.subscribe(2);
    for speed in 0..3 {
        touch(&mut state, 1, speed);
    }
    assert_eq!(feed.try_next().unwrap_err(), FeedError::Lagged);
    // Between the news and the snapshot the world goes on.
    touch(&mut state, 1, 10);
    let snapshot = state.snapshot();
    feed.skip_to(snapshot.version());
    touch(&mut state, 1, 11);
    assert_eq!(snapshot.version(), 4);
    assert_eq!(versions(&mut feed), [5]);
}

#[test]
fn a_transaction_larger_than_the_capacity_lags() {
    let mut state = state();
    let (mut small, mut large) = (state.subscribe(2), state.subscribe(3));
    let mut tx = state.transaction();
    for number in 0..3 {
        tx.set_current::<Nic>(&mac(number), nic_current(1, NicStatus::Ready));
    }
    tx.commit();
    assert_eq!(small.try_next().unwrap_err(), FeedError::Lagged);
    assert_eq!(large.try_next().unwrap().unwrap().len(), 3);
}

#[test]
fn the_end_of_the_state_follows_its_last_commit() {
    let mut state = state();
    let mut feed = state.subscribe(2);
    touch(&mut state, 1, 1);
    drop(state);
    assert_eq!(versions_until_closed(&mut feed), [1]);
    assert_eq!(feed.try_next().unwrap_err(), FeedError::Closed);
}

fn versions_until_closed(feed: &mut Subscription) -> Vec<u64> {
    std::iter::from_fn(|| feed.try_next().ok().flatten()).map(|commit| commit.version()).collect()
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn who_waits_is_woken_by_a_commit_and_by_the_end() {
    let mut state = state();
    let mut feed = state.subscribe(2);
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut context = Context::from_waker(&waker);
    assert!(feed.poll_next(&mut context).is_pending());
    touch(&mut state, 1, 1);
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
    assert!(matches!(feed.poll_next(&mut context), Poll::Ready(Ok(commit)) if commit.version() == 1));
    assert!(feed.poll_next(&mut context).is_pending());
    drop(state);
    assert_eq!(wakes.0.load(Ordering::SeqCst), 2);
    assert!(matches!(feed.poll_next(&mut context), Poll::Ready(Err(FeedError::Closed))));
}

#[test]
fn readers_see_whole_transactions_while_a_writer_writes() {
    const ROWS: u8 = 100;
    const ROUNDS: i64 = 60;
    let shared = SharedState::new(state());
    let write = |round: i64| {
        let change = |tx: &mut pony_state::Transaction<'_>| {
            for number in 0..ROWS {
                let mut part = nic_current(1, NicStatus::Ready);
                part.speed = round;
                tx.set_current::<Nic>(&mac(number), part);
            }
            Ok::<_, Infallible>(())
        };
        let written = if round % 2 == 0 { shared.write(change) } else { shared.write_aside(change) };
        assert_eq!(written.unwrap().1.version(), u64::try_from(round).unwrap());
    };
    write(1);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut last = 0;
                while last < ROUNDS {
                    let snapshot = shared.snapshot();
                    let rows: Vec<_> = snapshot.table::<Nic>().iter().collect();
                    let speed = i64::try_from(snapshot.version()).unwrap();
                    assert_eq!(rows.len(), usize::from(ROWS));
                    assert!(
                        rows.iter().all(|nic| nic.current.as_ref().is_some_and(|part| part.speed == speed))
                    );
                    assert!(speed >= last);
                    last = speed;
                }
            });
        }
        scope.spawn(|| (2..=ROUNDS).for_each(write));
    });
    shared.snapshot().check_invariants().unwrap();
}

#[test]
fn a_reader_does_not_wait_for_a_long_transaction() {
    let shared = SharedState::new(state());
    let (_, mut feed) = shared.subscribe(10);
    let reader = shared.clone();
    let result = shared.write_aside(|tx| {
        tx.set_current::<Nic>(&mac(1), nic_current(1, NicStatus::Ready));
        // Would wait for ever if the writer stood in the way.
        let snapshot = reader.snapshot();
        assert_eq!((snapshot.version(), snapshot.table::<Nic>().len()), (0, 0));
        Ok::<_, Infallible>(())
    });
    assert_eq!(result.unwrap().1.len(), 1);
    assert_eq!(shared.snapshot().table::<Nic>().len(), 1);
    assert_eq!(feed.try_next().unwrap().unwrap().version(), 1);
}

#[test]
fn what_fails_leaves_nothing_whichever_way_it_was_written() {
    let shared = SharedState::new(state());
    let change = |tx: &mut pony_state::Transaction<'_>| {
        tx.set_current::<Nic>(&mac(1), nic_current(1, NicStatus::Ready));
        Err::<(), _>("no")
    };
    assert_eq!(shared.write(change).unwrap_err(), "no");
    assert_eq!(shared.write_aside(change).unwrap_err(), "no");
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = shared.write(|tx| {
            tx.set_current::<Nic>(&mac(1), nic_current(1, NicStatus::Ready));
            if tx.any("nic").is_some_and(|table| table.len() == 1) {
                panic!("half-way");
            }
            Ok::<_, Infallible>(())
        });
    }));
    assert!(panicked.is_err());
    let snapshot = shared.snapshot();
    assert_eq!((snapshot.version(), snapshot.table::<Nic>().len()), (0, 0));
    snapshot.check_invariants().unwrap();
    shared.write(|tx| tx.remove_part("nic", &pony_state::Key::one(mac(1)), PartKind::Current)).unwrap();
}

#[test]
fn handles_go_to_other_threads() {
    fn assert_send_sync<T: Send + Sync + Clone>() {}
    assert_send_sync::<pony_state::Snapshot>();
    assert_send_sync::<SharedState>();
    assert_send_sync::<pony_state::Change>();
    assert_send_sync::<Commit>();
}
