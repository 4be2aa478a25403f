//! What a reader of the store holds: loaded once, then kept up by the feed.

use crate::error::FeedError;
use crate::store::{Change, DesiredStore, Position};
use pony_state::{Columns, TableSchema};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// Rows by table and key.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Replica {
    /// The rows; the key as JSON text.
    pub rows: BTreeMap<(String, String), Columns>,
    /// Up to where it is.
    pub position: Position,
}

impl Replica {
    /// Everything that there is.
    ///
    /// # Panics
    /// Where loading fails, or gives a row twice.
    pub async fn load(store: &dyn DesiredStore, tables: &[TableSchema]) -> Self {
        let mut load = store.load().await.expect("a load begins");
        let mut replica = Self { rows: BTreeMap::new(), position: load.position() };
        while let Some(batch) = load.next().await.expect("a batch is read") {
            let schema = tables.iter().find(|it| *it.name == *batch.table).expect("a table of ours");
            for row in batch.rows().map(|row| batch.to_columns(row)) {
                let key: Vec<Json> = schema.key.iter().map(|column| row[&column.name].clone()).collect();
                let before = replica.rows.insert(slot(&batch.table, &key), row);
                assert_eq!(before, None, "{} {key:?} is loaded twice", batch.table);
            }
        }
        replica
    }

    /// Takes up all changes since, `limit` at a time, and returns them.
    ///
    /// # Errors
    /// [`FeedError::Gap`].
    ///
    /// # Panics
    /// Where the feed removes what is not there, or is not in order.
    pub async fn follow(&mut self, store: &dyn DesiredStore, limit: usize) -> Result<Vec<Change>, FeedError> {
        let mut all = Vec::new();
        loop {
            let batch = store.changes_after(self.position, limit).await?;
            for change in &batch.changes {
                assert!(change.position > self.position, "{change:?} is not behind {}", self.position);
                self.position = change.position;
                self.apply(change);
            }
            assert_eq!(batch.position, self.position);
            all.extend(batch.changes);
            if !batch.more {
                return Ok(all);
            }
        }
    }

    fn apply(&mut self, change: &Change) {
        let slot = slot(&change.table, &change.key);
        match &change.row {
            Some(row) => drop(self.rows.insert(slot, row.clone())),
            None => assert!(self.rows.remove(&slot).is_some(), "{slot:?} was not there"),
        }
    }

    /// The row of that key.
    #[must_use]
    pub fn row(&self, table: &str, key: &[Json]) -> Option<&Columns> {
        self.rows.get(&slot(table, key))
    }
}

fn slot(table: &str, key: &[Json]) -> (String, String) {
    (table.to_owned(), Json::from(key).to_string())
}
