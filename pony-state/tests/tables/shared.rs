//! One state, many threads: writers of both kinds that succeed and fail, readers, subscribers that keep up and that lag.

use pony_state::{
    Change, Entity, FeedError, Part, Read, SharedState, Snapshot, State, Subscription, Transaction,
};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

const ACCOUNTS: i64 = 150;
const OWNERS: i64 = 3;
const UNITS: i64 = 100;
/// Transactions of each writer.
const TRANSFERS: u64 = 1000;
const WRITERS: u64 = 3;
/// Subscriptions that a reader keeps, at most: each is told of everything.
const FEEDS_MAX: usize = 50;
/// The invariants are looked at in every so many snapshots: that walks through everything.
const SNAPSHOTS_PER_CHECK: u64 = 20;

#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "account")]
struct Account {
    #[entity(key)]
    id: i64,
    current: Option<Balance>,
}

#[derive(Debug, Clone, PartialEq, Part)]
struct Balance {
    units: i64,
    #[part(index)]
    owner: i64,
}

/// A transfer that is not to be.
#[derive(Debug)]
struct Declined;

/// A sequence of numbers that look random, of a seed.
struct Lots(u64);

impl Lots {
    fn draw(&mut self, below: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(self.0 >> 33).unwrap() % below
    }
}

fn opened() -> SharedState {
    let shared = SharedState::new(State::builder().table::<Account>().build().unwrap());
    let open = |tx: &mut Transaction<'_>| {
        for id in 0..ACCOUNTS {
            tx.set_current::<Account>(&id, Balance { units: UNITS, owner: id % OWNERS });
        }
        Ok::<_, Declined>(())
    };
    shared.write(open).unwrap();
    shared
}

/// Moves units from one account to another, and the account to another owner; declines where there are too few, after
/// it has written half.
fn transfer(tx: &mut Transaction<'_>, lots: &mut Lots) -> Result<(), Declined> {
    let (from, to, units) = (lots.draw(ACCOUNTS), lots.draw(ACCOUNTS), 1 + lots.draw(UNITS));
    let owner = lots.draw(OWNERS);
    tx.update_current::<Account>(&to, |it| (it.units, it.owner) = (it.units + units, owner));
    tx.update_current::<Account>(&from, |it| it.units -= units);
    let left = tx.get::<Account>(&from).and_then(|it| Some(it.current.as_ref()?.units)).unwrap();
    if left < 0 { Err(Declined) } else { Ok(()) }
}

/// Writes its transfers. Says how many changed something.
fn write(shared: &SharedState, seed: u64) -> u64 {
    let mut lots = Lots(seed);
    let mut done = 0;
    for number in 0..TRANSFERS {
        let result = match (number + seed) % 2 {
            0 => shared.write(|tx| transfer(tx, &mut lots)),
            _ => shared.write_aside(|tx| transfer(tx, &mut lots)),
        };
        done += u64::from(result.is_ok_and(|((), commit)| !commit.is_empty()));
    }
    done
}

fn check(snapshot: &Snapshot) {
    let accounts = snapshot.table::<Account>();
    let units = |it: &Account| it.current.as_ref().unwrap().units;
    assert_eq!(accounts.iter().map(units).sum::<i64>(), ACCOUNTS * UNITS);
    assert!(accounts.iter().all(|it| units(it) >= 0));
    let owned: usize = (0..OWNERS).map(|owner| accounts.find("owner", owner).count()).sum();
    assert_eq!(owned, accounts.len());
    if snapshot.version().is_multiple_of(SNAPSHOTS_PER_CHECK) {
        snapshot.check_invariants().unwrap();
    }
}

/// Takes snapshots until the last version is there.
fn read(shared: &SharedState, end: &AtomicU64) {
    let (mut last, mut kept, mut feeds) = (0, Vec::new(), Vec::new());
    while last < end.load(Ordering::SeqCst) {
        let (snapshot, feed) = shared.subscribe(usize::MAX);
        if feeds.len() < FEEDS_MAX {
            feeds.push((snapshot.version(), feed));
        }
        check(&snapshot);
        assert!(snapshot.version() >= last, "time runs forward");
        if snapshot.version() > last && kept.len() < 20 {
            kept.push((snapshot.clone(), picture(&snapshot)));
        }
        last = snapshot.version();
    }
    for (version, mut feed) in feeds {
        let next = feed.try_next().unwrap().map_or(version + 1, |commit| commit.version());
        assert_eq!(
            next,
            version + 1,
            "nothing happens between a subscription and the snapshot that comes with it"
        );
    }
    for (snapshot, then) in kept {
        assert_eq!(picture(&snapshot), then, "a snapshot never changes");
    }
}

type Picture = BTreeMap<i64, Balance>;

fn picture(snapshot: &Snapshot) -> Picture {
    snapshot.table::<Account>().iter().map(|it| (it.id, it.current.clone().unwrap())).collect()
}

/// Follows the changes until the last version is there. Says how often it had to start over.
fn follow(shared: &SharedState, (snapshot, mut feed): (Snapshot, Subscription), end: &AtomicU64) -> u64 {
    let (mut rows, mut version, mut restarts) = (picture(&snapshot), snapshot.version(), 0);
    loop {
        let end = end.load(Ordering::SeqCst);
        if version >= end {
            break;
        }
        match feed.try_next() {
            // All was committed before the last version was known.
            Ok(None) if end < u64::MAX => panic!("it was not told of {version} to {end}"),
            Ok(Some(commit)) => {
                assert_eq!(commit.version(), version + 1);
                version = commit.version();
                commit.iter().for_each(|change| apply(change, &mut rows));
            }
            Ok(None) => thread::yield_now(),
            Err(FeedError::Lagged) => {
                let snapshot = shared.snapshot();
                feed.skip_to(snapshot.version());
                (rows, version) = (picture(&snapshot), snapshot.version());
                restarts += 1;
            }
            Err(FeedError::Closed) => unreachable!("the state lives"),
        }
    }
    assert_eq!(rows, picture(&shared.snapshot()));
    restarts
}

fn apply(change: &Change, rows: &mut Picture) {
    let row = change.row::<Account>().unwrap();
    let (before, after) = (row.before.unwrap(), row.after.unwrap());
    assert_eq!(rows.insert(after.id, after.current.clone().unwrap()), before.current);
}

/// Lets nobody wait for an end that will not come.
struct StopOnPanic<'a>(&'a AtomicU64);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(0, Ordering::SeqCst);
        }
    }
}

#[test]
fn nothing_is_lost_or_torn_between_threads() {
    let shared = opened();
    // Not known before all writers are done: until then nobody may stop.
    let end = AtomicU64::new(u64::MAX);
    let restarts = thread::scope(|scope| {
        let _stop = StopOnPanic(&end);
        let readers = [(); 2].map(|()| scope.spawn(|| read(&shared, &end)));
        // Subscribed before anything is written, however late their threads may start.
        let followers = [1, 16, usize::MAX].map(|capacity| {
            let (shared, end, subscribed) = (&shared, &end, shared.subscribe(capacity));
            scope.spawn(move || follow(shared, subscribed, end))
        });
        let writers: Vec<_> = (0..WRITERS)
            .map(|seed| {
                scope.spawn({
                    let shared = &shared;
                    move || write(shared, seed)
                })
            })
            .collect();
        let done: u64 = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
        let last = shared.snapshot().version();
        assert_eq!(last, 1 + done, "one version for each transaction that changed something");
        end.store(last, Ordering::SeqCst);
        for reader in readers {
            reader.join().unwrap();
        }
        followers.map(|follower| follower.join().unwrap())
    });
    assert!(restarts[0] > 0, "who has place for one change cannot keep up with transactions of two");
    assert_eq!(restarts[2], 0, "who has place for everything never lags");
    let snapshot = shared.snapshot();
    check(&snapshot);
    snapshot.check_invariants().unwrap();
}
