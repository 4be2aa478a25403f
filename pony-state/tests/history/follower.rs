//! A subscriber that keeps the rows by what it is told alone.

use crate::model::{self, Model};
use pony_state::{AnyRow, Change, FeedError, PartKind, Read, State, Subscription};

pub(crate) struct Follower {
    feed: Subscription,
    rows: Model,
    version: u64,
    /// Told that it lagged, and has not yet started over.
    lost: bool,
}

pub(crate) fn model_of(read: &impl Read) -> Model {
    Model(read.view().tables().map(|table| table.iter().map(model::row).collect()).collect())
}

impl Follower {
    pub(crate) fn new(state: &mut State, capacity: usize) -> Self {
        let feed = state.subscribe(capacity);
        Self { feed, rows: model_of(state), version: state.version(), lost: false }
    }

    /// Takes up to so many commits. Where it is told that it lagged it starts over, but only the next time, so that
    /// commits come in between.
    pub(crate) fn receive(&mut self, state: &State, commits: usize) {
        for _ in 0..commits {
            if std::mem::take(&mut self.lost) {
                let snapshot = state.snapshot();
                self.feed.skip_to(snapshot.version());
                (self.rows, self.version) = (model_of(&snapshot), snapshot.version());
            }
            match self.feed.try_next() {
                Ok(Some(commit)) => {
                    assert_eq!(commit.version(), self.version + 1, "none is missed, none comes twice");
                    self.version = commit.version();
                    commit.iter().for_each(|change| self.follow(change));
                }
                Ok(None) => return,
                Err(FeedError::Lagged) => {
                    self.lost = true;
                    return;
                }
                Err(FeedError::Closed) => unreachable!("the state lives"),
            }
        }
    }

    fn follow(&mut self, change: &Change) {
        let (table, key) = (change.table().id().index(), change.key());
        let parts = |row: Option<AnyRow<'_>>| row.map(|row| model::row(row).1).unwrap_or_default();
        let (before, after) = (parts(change.before()), parts(change.after()));
        assert_eq!(self.rows.0[table].get(&key).cloned().unwrap_or_default(), before);
        for kind in PartKind::BOTH {
            let place = model::place(kind);
            assert_eq!(change.part_changed(kind), before[place] != after[place]);
        }
        assert!(self.rows.put(table, &key, &after), "a change changes something");
    }

    /// Takes everything, however often it has to start over, and has missed nothing.
    pub(crate) fn catch_up(&mut self, state: &State, model: &Model) {
        // Twice: the first may end with the news that it lagged.
        self.receive(state, usize::MAX);
        self.receive(state, usize::MAX);
        assert_eq!((&self.rows, self.version), (model, state.version()));
    }
}
