//! How many rows there are, by table and part, and since when rows differ from what was ordered: kept up to date with each
//! commit, since counting a large cloud for each scrape would take long.

use super::{Metrics, TableLabel};
use pony_core::controller::is_converged;
use pony_state::{AnyRow, Commit, Key, PartKind, Read};
use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// Rows that differ of which it is remembered since when; beyond it they are only counted from when there is room.
const DIFFERING_MAX: usize = 100_000;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Census {
    tables: HashMap<String, Counts>,
    differing: usize,
}

#[derive(Debug, Default)]
struct Counts {
    desired: i64,
    current: i64,
    /// Since when which rows differ.
    differing: HashMap<Key, Instant>,
}

/// What there is of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableCount {
    pub(super) table: String,
    pub(super) desired: i64,
    pub(super) current: i64,
    /// How many rows differ, and for how long the oldest has; nothing for tables that nothing acts on.
    pub(super) differing: usize,
    pub(super) oldest: Duration,
}

impl Census {
    /// Counts everything.
    fn count(view: &impl Read, now: Instant) -> Self {
        let mut census = Self::default();
        for table in view.view().tables() {
            census.tables.entry(table.def().name().to_owned()).or_default();
            for row in table.iter() {
                census.add(row, 1);
                census.differs(row.def().name(), &row.key(), is_converged(row) == Some(false), now);
            }
        }
        census
    }

    fn add(&mut self, row: AnyRow<'_>, by: i64) {
        let counts = self.tables.entry(row.def().name().to_owned()).or_default();
        counts.desired += if row.has(PartKind::Desired) { by } else { 0 };
        counts.current += if row.has(PartKind::Current) { by } else { 0 };
    }

    /// Notes whether a row differs. Gives back since when it had, where it does no longer.
    fn differs(&mut self, table: &str, key: &Key, differs: bool, now: Instant) -> Option<Instant> {
        let counts = self.tables.get_mut(table)?;
        if !differs {
            let since = counts.differing.remove(key);
            self.differing -= usize::from(since.is_some());
            return since;
        }
        if self.differing < DIFFERING_MAX && !counts.differing.contains_key(key) {
            counts.differing.insert(key.clone(), now);
            self.differing += 1;
        }
        None
    }

    pub(super) fn counts(&self, now: Instant) -> Vec<TableCount> {
        let count = |(table, counts): (&String, &Counts)| TableCount {
            table: table.clone(),
            desired: counts.desired,
            current: counts.current,
            differing: counts.differing.len(),
            oldest: counts
                .differing
                .values()
                .min()
                .map_or(Duration::ZERO, |since| now.saturating_duration_since(*since)),
        };
        let mut counts: Vec<TableCount> = self.tables.iter().map(count).collect();
        counts.sort_by(|a, b| a.table.cmp(&b.table));
        counts
    }
}

impl Metrics {
    /// Counts anew.
    pub(crate) fn recount(&self, view: &impl Read) {
        let counted = Census::count(view, Instant::now());
        *self.census.lock().unwrap_or_else(PoisonError::into_inner) = counted;
    }

    /// Takes in a commit.
    pub(crate) fn changed(&self, commit: &Commit) {
        let now = Instant::now();
        let mut census = self.census.lock().unwrap_or_else(PoisonError::into_inner);
        for change in commit.iter() {
            let (before, after) = (change.before(), change.after());
            before.into_iter().for_each(|row| census.add(row, -1));
            after.into_iter().for_each(|row| census.add(row, 1));
            let differs = after.is_some_and(|row| is_converged(row) == Some(false));
            let table = change.table().name();
            if let Some(since) = census.differs(table, &change.key(), differs, now) {
                let took = now.saturating_duration_since(since).as_secs_f64();
                self.converged.get_or_create(&TableLabel { table: table.to_owned() }).observe(took);
            }
        }
    }

    pub(super) fn counts(&self) -> Vec<TableCount> {
        self.census.lock().unwrap_or_else(PoisonError::into_inner).counts(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pony_core::tables::{Host, new_state};
    use pony_state::{Entity, State};
    use serde_json::json;
    use uuid::Uuid;

    fn write(state: &mut State, kind: PartKind, part: &serde_json::Value) -> Commit {
        let mut tx = state.transaction();
        tx.set_json(Host::TABLE, &Key::one(Uuid::from_u128(1)), kind, part).unwrap();
        tx.commit()
    }

    fn hosts(metrics: &Metrics) -> (i64, i64, usize) {
        let counts = metrics.counts();
        let hosts = counts.iter().find(|count| count.table == "host").unwrap();
        (hosts.desired, hosts.current, hosts.differing)
    }

    #[test]
    fn what_is_counted_commit_by_commit_is_what_a_recount_finds() {
        let mut state = new_state().unwrap();
        let metrics = Metrics::new();
        metrics.recount(&state);
        assert_eq!(hosts(&metrics), (0, 0, 0));
        metrics.changed(&write(&mut state, PartKind::Desired, &json!({"state": "present"})));
        assert_eq!(hosts(&metrics), (1, 0, 1));
        metrics.changed(&write(&mut state, PartKind::Current, &json!({"status": "present"})));
        assert_eq!(hosts(&metrics), (1, 1, 0));
        metrics.changed(&write(&mut state, PartKind::Current, &json!({"status": "missing"})));
        assert_eq!(hosts(&metrics), (1, 1, 1));
        let kept = hosts(&metrics);
        metrics.recount(&state);
        assert_eq!(hosts(&metrics), kept);
        let mut tx = state.transaction();
        tx.remove::<Host>(&Uuid::from_u128(1));
        metrics.changed(&tx.commit());
        assert_eq!(hosts(&metrics), (0, 0, 0));
    }
}
