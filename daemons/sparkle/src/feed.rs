//! Follows the database: every committed transaction, in commit order, whoever made it; after a gap, everything.

use pony_core::controller::StoredRow;
use pony_state::{Columns, TableSchema};
use pony_store::{Change, DesiredStore, FeedError, Load, LoadError, Position};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Changes read at once: bounds the memory of a step, while whole transactions stay together.
const CHANGES_AT_ONCE: usize = 4_096;
/// The wait after the database failed to answer, at first and at most; it doubles in between.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// Rows that a load may hold before the controller takes them over: a million instances with their satellites.
const LOAD_ROWS_MAX: usize = 10_000_000;

/// What the database has, or what changed in it.
#[derive(Debug)]
pub(crate) enum Feed {
    /// All rows, as of the position.
    All(Vec<StoredRow>, Position),
    /// Changes that lead up to the position.
    Changes(Vec<StoredRow>, Position),
    /// The database does not answer, or does again.
    Available(bool),
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

    fn loaded(&self, table: &str, row: Columns) -> StoredRow {
        let pick = |name: &String| Some((name.clone(), row.get(name)?.clone()));
        StoredRow {
            table: table.to_owned(),
            key: self.of(table).iter().filter_map(pick).collect(),
            row: Some(row),
        }
    }
}

/// Reads everything.
///
/// # Errors
/// When the database cannot be read, or holds more than [`LOAD_ROWS_MAX`] rows.
pub(crate) async fn load(
    store: &dyn DesiredStore,
    keys: &Keys,
) -> anyhow::Result<(Vec<StoredRow>, Position)> {
    let mut load: Load = store.load().await?;
    let position = load.position();
    let mut rows = Vec::new();
    while let Some(batch) = next(&mut load).await? {
        rows.extend(batch.rows().map(|row| keys.loaded(&batch.table, batch.to_columns(row))));
        anyhow::ensure!(rows.len() <= LOAD_ROWS_MAX, "the database holds more than {LOAD_ROWS_MAX} rows");
    }
    Ok((rows, position))
}

async fn next(load: &mut Load) -> Result<Option<pony_store::Batch>, LoadError> {
    load.next().await
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
    loop {
        let item = match store.changes_after(position, CHANGES_AT_ONCE).await {
            Ok(changes) if changes.changes.is_empty() && !changes.more && changes.position == position => {
                tokio::select! {
                    changed = woken.changed() => if changed.is_err() { return },
                    () = out.closed() => return,
                }
                continue;
            }
            Ok(changes) => {
                position = changes.position;
                let rows = changes.changes.into_iter().map(|change| keys.stored(change)).collect();
                Feed::Changes(rows, position)
            }
            Err(FeedError::Gap { .. }) => match load(&*store, &keys).await {
                Ok((rows, at)) => {
                    tracing::warn!("the database's feed had a gap: everything was read again");
                    position = at;
                    Feed::All(rows, at)
                }
                Err(error) => unavailable(&error, &mut retry).await,
            },
            Err(error) => unavailable(&error.into(), &mut retry).await,
        };
        if !matches!(item, Feed::Available(_)) {
            retry = RETRY_MIN;
        }
        if out.send(item).await.is_err() {
            return;
        }
    }
}

async fn unavailable(error: &anyhow::Error, retry: &mut Duration) -> Feed {
    tracing::warn!("the database's feed cannot be read, next try in {} ms: {error:#}", retry.as_millis());
    tokio::time::sleep(*retry).await;
    *retry = (*retry * 2).min(RETRY_MAX);
    Feed::Available(false)
}
