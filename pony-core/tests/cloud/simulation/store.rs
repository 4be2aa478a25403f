//! The database as Sparkle has it: it refuses, is away, loses answers, and its feed lags. What it committed it keeps,
//! and it does one thing after the other.

use crate::database::Database;
use pony_core::controller::{StoredRow, WriteId};
use pony_state::RowOp;
use std::collections::VecDeque;

#[derive(Debug)]
struct Write {
    at_ms: u64,
    id: WriteId,
    ops: Vec<RowOp>,
    /// What becomes of it: how it ends, and when Sparkle hears of that.
    ended: Option<Result<(), String>>,
}

/// What the database does while there is trouble, per thousand writes.
const REFUSED: u64 = 60;
const ANSWER_LOST: u64 = 60;

pub(super) struct Store {
    pub(super) database: Database,
    pub(super) trouble: bool,
    pub(super) away_until_ms: u64,
    writes: VecDeque<Write>,
    feed: VecDeque<(u64, Vec<StoredRow>)>,
    fed_ms: u64,
}

impl Store {
    pub(super) fn new() -> Self {
        Self {
            database: Database::new(),
            trouble: false,
            away_until_ms: 0,
            writes: VecDeque::new(),
            feed: VecDeque::new(),
            fed_ms: 0,
        }
    }

    /// Commits, and feeds what changed after a while.
    pub(super) fn commit(&mut self, now_ms: u64, lag_ms: u64, ops: &[RowOp]) -> Result<(), String> {
        if now_ms < self.away_until_ms {
            return Err("the database is away".to_owned());
        }
        let changes = self.database.commit(ops)?;
        self.fed_ms = self.fed_ms.max(now_ms + lag_ms);
        self.feed.push_back((self.fed_ms, changes));
        Ok(())
    }

    /// Takes a write of Sparkle.
    pub(super) fn begin(&mut self, at_ms: u64, id: WriteId, ops: Vec<RowOp>) {
        assert!(self.writes.is_empty(), "the controller has one write under way at most");
        self.writes.push_back(Write { at_ms, id, ops, ended: None });
    }

    pub(super) fn next_ms(&self) -> Option<u64> {
        let writes = self.writes.front().map(|it| it.at_ms);
        [writes, self.feed.front().map(|(at, _)| *at)].into_iter().flatten().min()
    }

    /// Changes that Sparkle sees now.
    pub(super) fn feed(&mut self, now_ms: u64) -> Option<Vec<StoredRow>> {
        self.feed.front().filter(|(at, _)| *at <= now_ms)?;
        self.feed.pop_front().map(|(_, changes)| changes)
    }

    /// Operations of a write of Sparkle that come to the database now.
    pub(super) fn due(&mut self, now_ms: u64) -> Option<Vec<RowOp>> {
        self.writes.front().filter(|it| it.at_ms <= now_ms && it.ended.is_none()).map(|it| it.ops.clone())
    }

    /// Does it. Sparkle hears of it when the feed has come as far.
    pub(super) fn settle(&mut self, now_ms: u64, lag_ms: u64, dice: u64) {
        let Some(mut write) = self.writes.pop_front() else { return };
        let result = match dice {
            _ if !self.trouble => self.commit(now_ms, lag_ms, &write.ops),
            it if it < REFUSED => Err("the database refuses, as simulated".to_owned()),
            it if it < REFUSED + ANSWER_LOST => {
                let _ = self.commit(now_ms, lag_ms, &write.ops);
                Err("the answer was lost, as simulated".to_owned())
            }
            _ => self.commit(now_ms, lag_ms, &write.ops),
        };
        let fed = result.is_ok() && !(self.trouble && dice % 20 == 19);
        write.at_ms = if fed { self.fed_ms.max(now_ms) } else { now_ms };
        write.ended = Some(result);
        self.writes.push_front(write);
    }

    /// How a write of Sparkle ended.
    pub(super) fn ended(&mut self, now_ms: u64) -> Option<(WriteId, Result<(), String>)> {
        self.writes.front().filter(|it| it.at_ms <= now_ms && it.ended.is_some())?;
        let write = self.writes.pop_front()?;
        Some((write.id, write.ended?))
    }

    /// Sparkle is gone. What it had under way was done, or will never be.
    pub(super) fn forget_sparkle(&mut self, now_ms: u64, done: bool) {
        if let Some(write) = self.writes.pop_front().filter(|it| done && it.ended.is_none()) {
            let _ = self.commit(now_ms, 0, &write.ops);
        }
        self.writes.clear();
        self.feed.clear();
    }
}
