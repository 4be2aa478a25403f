//! What a commit is to those who watch the document: each changed row as it is afterwards, and where in the document
//! it was and is.
//!
//! Commits are replayed over the snapshot that they follow, so that where a row lies is judged as of each commit and
//! not as of some later moment, at which its parents may be gone or somebody else's.

use super::read::show_part;
use super::resolve::key_paths;
use super::rows::Cells;
use super::tree::{EndpointId, Tree};
use crate::tables::{Member, User};
use pony_state::{AnyRow, Change, Commit, Key, PartKind, Read, Snapshot, TableDef, TableId, Text, Value};
use serde_json::{Value as Json, json};
use std::collections::HashMap;

/// A path by which a row can be reached: the collection in which it is, and the keys from the root down to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) endpoint: EndpointId,
    pub(super) keys: Vec<Key>,
}

/// A row that was changed.
#[derive(Debug, Clone)]
pub struct Event {
    pub(super) table: TableId,
    /// Where it was; empty where it was nowhere, or was not.
    pub(super) before: Vec<Place>,
    /// Where it is.
    pub(super) after: Vec<Place>,
    /// Whether there was a row before, and is one afterwards.
    pub(super) existed: bool,
    pub(super) exists: bool,
    /// Whether rows below it can be reached by other paths than before.
    pub(super) moved: bool,
    /// The users whose rights it may have changed.
    pub(super) users: Vec<Text>,
    shown: String,
    gone: String,
}

impl Event {
    /// The row as it is: `{"type", "pkey_name", "pkey", "desired", "current"}`; a part that is not there is null.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The same of a row that is there no more, or not for the one who asks.
    #[must_use]
    pub fn gone(&self) -> &str {
        &self.gone
    }
}

/// See the module.
#[derive(Debug)]
pub struct Replay<'a> {
    tree: &'a Tree,
    base: &'a Snapshot,
    /// The last change of each row that was changed since, by table.
    changed: Vec<HashMap<Key, Change>>,
}

impl<'a> Replay<'a> {
    /// Begins after `base`.
    #[must_use]
    pub fn new(tree: &'a Tree, base: &'a Snapshot) -> Self {
        Self { tree, base, changed: vec![HashMap::new(); tree.schema().tables().len()] }
    }

    /// The events of the next commit. Rows that look as before make none: what changed is a secret then.
    pub fn take(&mut self, commit: &Commit) -> Vec<Event> {
        let before: Vec<Vec<Place>> = commit.iter().map(|change| self.places(change)).collect();
        for change in commit.iter() {
            if let Some(rows) = self.changed.get_mut(change.table().id().index()) {
                rows.insert(change.key(), change.clone());
            }
        }
        let events = commit.iter().zip(before).filter_map(|(change, before)| self.event(change, before));
        events.collect()
    }

    fn places(&self, change: &Change) -> Vec<Place> {
        let key = change.key();
        let at = |id: EndpointId| {
            let paths = key_paths(self.tree, self, self.tree.get(id), &key).into_iter();
            paths.map(move |keys| Place { endpoint: id, keys })
        };
        let endpoints = self.tree.endpoints_of(change.table().id());
        endpoints.flat_map(|endpoint| at(endpoint.id)).collect()
    }

    fn event(&self, change: &Change, before: Vec<Place>) -> Option<Event> {
        let (table, after) = (change.table(), self.places(change));
        let shown = describe(table, &change.key(), change.after());
        let users = users(change);
        let same = before == after && users.is_empty();
        if same && has_secrets(table) && shown == describe(table, &change.key(), change.before()) {
            return None;
        }
        let (existed, exists) = (change.before().is_some(), change.after().is_some());
        let has_children = |place: &Place| !self.tree.get(place.endpoint).children.is_empty();
        let moved = existed && exists && before != after && before.iter().chain(&after).any(has_children);
        let gone = describe(table, &change.key(), None);
        Some(Event { table: table.id(), before, after, existed, exists, moved, users, shown, gone })
    }

    fn changed(&self, table: TableId, key: &Key) -> Option<&Change> {
        self.changed.get(table.index())?.get(key)
    }
}

/// The rows as of the last commit that was taken.
impl Cells for Replay<'_> {
    fn has(&self, table: TableId, key: &Key, kind: PartKind) -> bool {
        match self.changed(table, key) {
            Some(change) => change.after().is_some_and(|row| row.has(kind)),
            None => self.base.has(table, key, kind),
        }
    }

    fn value(&self, table: TableId, key: &Key, kind: PartKind, column: &str) -> Option<Value> {
        match self.changed(table, key) {
            Some(change) => change.after()?.value(kind, column),
            None => self.base.any(table)?.get(key)?.value(kind, column),
        }
    }
}

fn has_secrets(table: &TableDef) -> bool {
    let schema = table.schema();
    schema.desired.iter().chain(&schema.current).any(|column| column.secret)
}

/// Whose rights a change may have changed: those of the user, of the member.
fn users(change: &Change) -> Vec<Text> {
    let mut users = Vec::new();
    if let Some(rows) = change.row::<User>() {
        users.extend(rows.before.or(rows.after).map(|row| row.email.clone()));
    }
    if let Some(rows) = change.row::<Member>() {
        let user = |row: &Member| row.desired.as_ref().map(|it| it.user.clone());
        users.extend([rows.before, rows.after].into_iter().flatten().filter_map(user));
    }
    users
}

/// A row as watchers are told of it.
fn describe(table: &TableDef, key: &Key, row: Option<AnyRow<'_>>) -> String {
    let names: Vec<&str> = table.schema().key.iter().map(|column| column.name.as_str()).collect();
    let part = |kind| {
        let columns = table.part_to_json(row?, kind)?;
        Some(Json::Object(show_part(table, key, kind, columns, None)))
    };
    let event = json!({
        "type": table.name(),
        "pkey_name": if let [name] = names.as_slice() { json!(name) } else { json!(names) },
        "pkey": key.to_json(),
        "desired": part(PartKind::Desired),
        "current": part(PartKind::Current),
    });
    event.to_string()
}
