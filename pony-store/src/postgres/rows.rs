//! Rows as the outbox keeps them, and from which database they are.

use crate::ddl::plan::{Column, Table};
use pony_state::{ColumnType, Columns, Value};
use serde_json::Value as Json;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio_postgres::{Client, Error};
use uuid::Uuid;

/// The row of an outbox entry, in its one form, nulls left out.
pub(super) fn columns(table: &Table, row: &str) -> Columns {
    let mut row: Columns = serde_json::from_str(row).unwrap_or_default();
    let present = table.columns.iter().filter_map(|column| {
        let json = row.remove(&column.name).filter(|json| !json.is_null())?;
        Some((column.name.clone(), value(column, json)))
    });
    present.collect()
}

/// The key of an outbox entry.
pub(super) fn key(table: &Table, key: &str) -> Vec<Json> {
    let key: Vec<Json> = serde_json::from_str(key).unwrap_or_default();
    table.key().iter().zip(key).map(|(column, json)| value(column, json)).collect()
}

/// A value in its one form; what is none of its type, which somebody must have put there by hand, is given as it is,
/// for whoever reads it to complain about.
fn value(column: &Column, json: Json) -> Json {
    let json = match (&column.ty, json) {
        (ColumnType::Range, Json::String(text)) => range(&text).unwrap_or(Json::String(text)),
        (_, json) => json,
    };
    match Value::from_json(&column.ty, &json) {
        Ok(value) => value.to_json(),
        Err(_) => json,
    }
}

/// `[1,5)` as `[1, 5]`.
fn range(text: &str) -> Option<Json> {
    let (start, end) = text.strip_prefix('[')?.strip_suffix(')')?.split_once(',')?;
    Some(Json::from(vec![start.parse::<i64>().ok()?, end.parse::<i64>().ok()?]))
}

/// Which history of which database positions belong to: after a failover that lost transactions, or a restored backup,
/// the same numbers stand for other changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct History {
    identity: Uuid,
    /// The server's timeline; unknown on one that only repeats another's.
    timeline: Option<String>,
}

impl History {
    /// That of the database that the session is with.
    pub(super) async fn read(client: &Client) -> Result<Self, Error> {
        let sql = "SELECT \"identity\"::text, CASE WHEN pg_is_in_recovery() THEN NULL \
                   ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END FROM \"_meta\"";
        let row = client.query_one(sql, &[]).await?;
        let identity: String = row.try_get(0)?;
        Ok(Self { identity: identity.parse().unwrap_or_default(), timeline: row.try_get(1)? })
    }

    /// Whether positions of the one are good in the other, as far as is known.
    pub(super) fn continues(&self, other: &Self) -> bool {
        let same_line = match (&self.timeline, &other.timeline) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        };
        self.identity == other.identity && same_line
    }

    /// The same, and both are known.
    pub(super) fn is_of_same_line(&self, other: &Self) -> bool {
        self == other && self.timeline.is_some()
    }
}

/// The history that the reader's positions are of.
#[derive(Debug)]
pub(super) struct Origin(Mutex<Known>);

#[derive(Debug)]
struct Known {
    history: History,
    /// Another history was met: the reader has to load before it can follow.
    is_stale: bool,
}

impl Origin {
    pub(super) fn new(history: History) -> Self {
        Self(Mutex::new(Known { history, is_stale: false }))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the history of a new session. Says whether positions hold no more.
    pub(super) fn meet(&self, met: &History) -> bool {
        let mut known = self.known();
        if !met.continues(&known.history) {
            known.is_stale = true;
        }
        known.is_stale
    }

    /// A load begins, of that history: what follows it is told.
    pub(super) fn begin(&self, history: History) {
        *self.known() = Known { history, is_stale: false };
    }

    pub(super) fn is_stale(&self) -> bool {
        self.known().is_stale
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(timeline: Option<&str>) -> History {
        History { identity: Uuid::from_u128(1), timeline: timeline.map(str::to_owned) }
    }

    #[test]
    fn another_history_asks_for_a_load() {
        let origin = Origin::new(history(Some("00000001")));
        assert!(!origin.meet(&history(None)), "a standby repeats the same");
        assert!(origin.meet(&history(Some("00000002"))));
        assert!(origin.meet(&history(Some("00000001"))), "once doubted, only a load helps");
        origin.begin(history(Some("00000002")));
        assert!(!origin.is_stale() && !origin.meet(&history(Some("00000002"))));
        assert!(origin.meet(&History { identity: Uuid::from_u128(2), timeline: None }));
    }

    #[test]
    fn ranges_are_read_as_they_are_written() {
        assert_eq!(range("[-5,7)"), Some(serde_json::json!([-5, 7])));
        assert_eq!((range("empty"), range("(1,2)"), range("[1,)")), (None, None, None));
    }
}
