//! Follows the database: every committed transaction, in commit order, whoever made it; after a gap, or after it was
//! away, everything, which the controller compares with what it has.

use pony_core::controller::{LoadedRow, StoredRow};
use pony_state::TableSchema;
use pony_store::{Batch, Change, DesiredStore, FeedError, Position};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Changes read at once: bounds the memory of a step, while whole transactions stay together.
const CHANGES_AT_ONCE: usize = 4_096;
/// The wait after the database failed to answer, at first and at most; it doubles in between. (The store waits and
/// jitters by itself before it bothers the server; and it wakes whoever waits here once it has a session again.)
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// Rows that a load may hold before the controller takes them over: a million instances with their satellites.
const LOAD_ROWS_MAX: usize = 10_000_000;

/// What the database has, or what changed in it.
#[derive(Debug)]
pub(crate) enum Feed {
    /// All rows, as of the position.
    All(Vec<Batch>, Position),
    /// Changes that lead up to the position.
    Changes(Vec<StoredRow>, Position),
    /// The database does not answer.
    Away,
}

/// Names the key columns of rows.
#[derive(Debug, Clone)]
pub(crate) struct Keys(Arc<HashMap<String, Vec<String>>>);

impl Keys {
    pub(crate) fn new(tables: &[TableSchema]) -> Self {
        let names = |table: &TableSchema| table.key.iter().map(|column| column.name.clone()).collect();
        Self(Arc::new(tables.iter().map(|table| (table.name.clone(), names(table))).collect()))
    }

    fn of(&self, table: &str) -> &[String] {
        self.0.get(table).map_or(&[], Vec::as_slice)
    }

    fn stored(&self, change: Change) -> StoredRow {
        let key = self.of(&change.table).iter().cloned().zip(change.key).collect();
        StoredRow { table: change.table.to_string(), key, row: change.row }
    }
}

/// The rows of a batch, as the controller takes them.
pub(crate) fn rows(batch: &Batch) -> impl Iterator<Item = LoadedRow<'_>> {
    batch.rows().map(|row| (&*batch.table, row))
}

/// Reads everything, for a controller that has something already.
async fn load(store: &dyn DesiredStore) -> anyhow::Result<(Vec<Batch>, Position)> {
    let mut load = store.load().await?;
    let (position, mut count, mut batches) = (load.position(), 0, Vec::new());
    while let Some(batch) = load.next().await? {
        count += batch.len();
        anyhow::ensure!(count <= LOAD_ROWS_MAX, "the database holds more than {LOAD_ROWS_MAX} rows");
        batches.push(batch);
    }
    Ok((batches, position))
}

/// Follows the store from `position` until nobody listens any more.
pub(crate) async fn follow(
    store: Arc<dyn DesiredStore>,
    keys: Keys,
    mut position: Position,
    out: mpsc::Sender<Feed>,
) {
    let mut woken = store.subscribe();
    let mut retry = RETRY_MIN;
    // Whether the database was away, and what is here has not been compared with it since.
    let mut doubted = false;
    loop {
        woken.mark_unchanged();
        let item = match store.changes_after(position, CHANGES_AT_ONCE).await {
            Ok(_) if doubted => reload(&*store, "was away").await,
            Ok(changes) if changes.changes.is_empty() && !changes.more && changes.position == position => {
                tokio::select! {
                    changed = woken.changed() => if changed.is_err() { return },
                    () = out.closed() => return,
                }
                continue;
            }
            Ok(changes) => {
                let rows = changes.changes.into_iter().map(|change| keys.stored(change)).collect();
                Ok(Feed::Changes(rows, changes.position))
            }
            Err(FeedError::Gap { .. }) => reload(&*store, "has a gap in its feed").await,
            Err(error) => Err(error.into()),
        };
        let item = match item {
            Ok(item) => {
                (retry, doubted) = (RETRY_MIN, false);
                item
            }
            Err(error) => {
                if !doubted {
                    tracing::warn!("the database's feed cannot be read: {error:#}");
                }
                doubted = true;
                Feed::Away
            }
        };
        if let Feed::All(_, at) | Feed::Changes(_, at) = &item {
            position = *at;
        }
        if out.send(item).await.is_err() {
            return;
        }
        if doubted {
            pause(&mut woken, &mut retry).await;
        }
    }
}

async fn reload(store: &dyn DesiredStore, why: &str) -> anyhow::Result<Feed> {
    let (batches, position) = load(store).await?;
    tracing::warn!("the database {why}: everything was read again");
    Ok(Feed::All(batches, position))
}

/// Waits before the next attempt, or until the store has news.
async fn pause(woken: &mut watch::Receiver<Position>, retry: &mut Duration) {
    tokio::select! {
        () = tokio::time::sleep(*retry) => {}
        _ = woken.changed() => tokio::time::sleep(RETRY_MIN).await,
    }
    *retry = (*retry * 2).min(RETRY_MAX);
}
