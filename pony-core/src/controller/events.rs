//! The `event` log: what hosts notify, equal notifications counted in one row, the oldest rows dropped.

use super::ops;
use super::writes::WRITE_OPS_MAX;
use crate::tables::Event;
use pony_state::sync::Notification;
use pony_state::{Read, RowOp};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Rows that the log keeps; the least recent go first. Enough for weeks of a cloud of hundreds of hosts.
pub const EVENT_ROWS_MAX: usize = 10_000;
/// Different events that wait to be written; more are counted as dropped.
pub const EVENTS_WAITING_MAX: usize = 1_024;

/// An event that waits to be written.
#[derive(Debug, Clone)]
struct Waiting {
    host: Uuid,
    notification: Notification,
    count: i64,
    at_unix_s: i64,
}

/// Collects notifications.
#[derive(Debug, Default)]
pub(crate) struct EventLog {
    waiting: BTreeMap<String, Waiting>,
    /// Whether some were dropped since the last were taken.
    dropping: bool,
}

impl EventLog {
    /// Takes in a notification; says whether it is the first that is dropped for a while.
    pub(crate) fn note(&mut self, host: Uuid, notification: Notification, unix_s: u64) -> bool {
        let hash = hash(host, &notification);
        if self.waiting.len() >= EVENTS_WAITING_MAX && !self.waiting.contains_key(&hash) {
            return !std::mem::replace(&mut self.dropping, true);
        }
        let at_unix_s = i64::try_from(unix_s).unwrap_or(i64::MAX);
        let waiting = self.waiting.entry(hash).or_insert(Waiting { host, notification, count: 0, at_unix_s });
        waiting.count += 1;
        waiting.at_unix_s = at_unix_s;
        false
    }

    /// Takes up to `most` events as row operations. They are not seen again: an event that then cannot be
    /// written is lost, which a log of hints can bear and an endless retry could not.
    pub(crate) fn take(&mut self, view: &impl Read, most: usize) -> Vec<RowOp> {
        self.dropping = false;
        let mut ops = Vec::new();
        let mut fresh = 0;
        while ops.len() < most {
            let Some((hash, waiting)) = self.waiting.pop_first() else { break };
            let known = view.get::<Event>(&hash.as_str().into()).and_then(|row| row.desired.as_ref());
            fresh += usize::from(known.is_none());
            ops.push(match known {
                Some(known) => ops::update(
                    "event",
                    [("hash", json!(hash))],
                    [("mtime", json!(waiting.at_unix_s)), ("count", json!(known.count + waiting.count))],
                ),
                None => insert(&hash, &waiting),
            });
        }
        ops.extend(oldest(view, fresh));
        ops
    }
}

fn insert(hash: &str, waiting: &Waiting) -> RowOp {
    let notification = &waiting.notification;
    ops::insert(
        "event",
        [
            ("hash", json!(hash)),
            ("ctime", json!(waiting.at_unix_s)),
            ("mtime", json!(waiting.at_unix_s)),
            ("count", json!(waiting.count)),
            ("type", json!(notification.kind)),
            ("host", json!(waiting.host)),
            ("instance", notification.instance.map_or(Json::Null, |it| json!(it))),
            ("data", notification.data.clone()),
        ],
    )
}

/// Removals that make room for `fresh` further rows; after a load of far too many, not all at once.
fn oldest(view: &impl Read, fresh: usize) -> Vec<RowOp> {
    let table = view.table::<Event>();
    let excess = (table.len() + fresh).saturating_sub(EVENT_ROWS_MAX);
    if excess == 0 {
        return Vec::new();
    }
    let mut rows: Vec<_> =
        table.iter().filter_map(|row| row.desired.as_ref().map(|it| (it.mtime, row.hash.clone()))).collect();
    rows.sort_unstable();
    rows.into_iter()
        .take(excess.min(WRITE_OPS_MAX))
        .map(|(_, hash)| ops::delete("event", [("hash", json!(&*hash))]))
        .collect()
}

/// Events of one host, type, instance and content are one event.
fn hash(host: Uuid, notification: &Notification) -> String {
    let mut sha = Sha256::new();
    sha.update(host.as_bytes());
    sha.update(notification.instance.unwrap_or_default().as_bytes());
    sha.update(notification.kind.as_bytes());
    sha.update([0]);
    sha.update(notification.data.to_string());
    sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
