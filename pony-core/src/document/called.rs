//! What rows are called in messages: people know names, and paths that they can follow, rather than UUIDs.

use super::access::Grant;
use super::draft::Draft;
use super::read::Reader;
use super::resolve::{key_paths, segment};
use super::rows::Rows;
use super::tree::{Endpoint, Tree};
use pony_state::{Key, PartKind, TableDef, Value};

impl<R: Rows> Draft<'_, R> {
    /// A row in a message: the placeholder of one that the request makes; else its name and where it is, or, where
    /// that is not for the caller to see, its key.
    pub(super) fn called(&self, table: &TableDef, key: &Key) -> String {
        let shown = self.shown_key(key);
        let reader = Reader::new(self.tree, self.base, self.caller);
        if shown != key.to_string() || reader.granted(table.id(), key) < Grant::Read {
            return format!("`{shown}`");
        }
        let name = self.base.value(table.id(), key, PartKind::Desired, "name");
        match (name, self.place(table, key)) {
            (Some(Value::Text(name)), Some(place)) => format!("`{name}` ({place})"),
            (Some(Value::Text(name)), None) => format!("`{name}`"),
            (_, Some(place)) => format!("`{place}`"),
            (_, None) => format!("`{shown}`"),
        }
    }

    /// A path of a row, as URLs have it.
    fn place(&self, table: &TableDef, key: &Key) -> Option<String> {
        let mut endpoints = self.tree.endpoints_of(table.id());
        endpoints.find_map(|endpoint| {
            let keys = key_paths(self.tree, self.base, endpoint, key).into_iter().next()?;
            Some(path(self.tree, endpoint, &keys))
        })
    }
}

/// The path of the entity at an endpoint with these keys, from the root down to it.
fn path(tree: &Tree, endpoint: &Endpoint, keys: &[Key]) -> String {
    let Some((key, above)) = keys.split_last() else { return String::new() };
    let parent = endpoint.parent.map(|parent| path(tree, tree.get(parent), above)).unwrap_or_default();
    format!("{parent}/{}/{}", endpoint.name, segment(endpoint, key))
}
