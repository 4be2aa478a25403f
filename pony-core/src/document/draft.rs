//! A draft of changes: desired parts as they would be, over rows as they are. Everything that a request does is
//! done here first; what has become of it in the end is the request's effect, or nothing is.

use super::access::{Caller, Grant};
use super::error::{DocumentError, Problem};
use super::pointer::Pointer;
use super::resolve::{Bound, Path, Step, bind_key, need, walk};
use super::rows::{Cells, Rows};
use super::tree::{Endpoint, Tree};
use pony_state::{Columns, Key, PartKind, TableDef, TableId, Value};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Rows that one request may change, cascades included: bounds its transaction and the time that it keeps the
/// writer. Larger deletions go bottom-up, in several requests.
pub const ROWS_MAX: usize = 20_000;

/// What becomes of one row's desired part.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The columns that are not null, without the key's; nothing where the part is removed.
    pub(super) desired: Option<Columns>,
    /// Where in the document the client asked for it.
    pub(super) path: Pointer,
    /// Whether the client named the row; otherwise it changes along with another.
    pub(super) direct: bool,
}

pub(super) struct Draft<'a, R> {
    pub(super) tree: &'a Tree,
    pub(super) base: &'a R,
    pub(super) caller: &'a Caller,
    fresh: &'a mut dyn FnMut() -> Uuid,
    names: BTreeMap<String, Uuid>,
    rows: BTreeMap<(TableId, Key), Entry>,
}

impl<'a, R: Rows> Draft<'a, R> {
    pub(super) fn new(
        tree: &'a Tree,
        base: &'a R,
        caller: &'a Caller,
        fresh: &'a mut dyn FnMut() -> Uuid,
    ) -> Self {
        Self { tree, base, caller, fresh, names: BTreeMap::new(), rows: BTreeMap::new() }
    }

    /// What placeholders stand for.
    pub(super) const fn names(&self) -> &BTreeMap<String, Uuid> {
        &self.names
    }

    /// All rows touched.
    pub(super) const fn entries(&self) -> &BTreeMap<(TableId, Key), Entry> {
        &self.rows
    }

    /// What a placeholder stands for, if it was met already.
    pub(super) fn name(&self, placeholder: &str) -> Option<Uuid> {
        self.names.get(placeholder).copied()
    }

    /// What a placeholder stands for, from now on.
    pub(super) fn assign(&mut self, placeholder: &str) -> Uuid {
        if let Some(uuid) = self.name(placeholder) {
            return uuid;
        }
        let uuid = (self.fresh)();
        self.names.insert(placeholder.to_owned(), uuid);
        uuid
    }

    /// A value as the client knows it: by its placeholder, if it has one.
    pub(super) fn shown(&self, value: &Value) -> String {
        let named = value.as_uuid().and_then(|uuid| self.names.iter().find(|(_, it)| **it == uuid));
        named.map_or_else(|| value.to_string(), |(placeholder, _)| placeholder.clone())
    }

    /// The same of a key.
    pub(super) fn shown_key(&self, key: &Key) -> String {
        match key.values() {
            [value] => self.shown(value),
            _ => key.to_string(),
        }
    }

    /// A UUID that nobody hears of.
    pub(super) fn fresh(&mut self) -> Uuid {
        (self.fresh)()
    }

    /// The definition of a table.
    pub(super) fn table(&self, id: TableId) -> Option<&'a TableDef> {
        self.tree.schema().get(id).map(AsRef::as_ref)
    }

    /// The desired part of a row.
    pub(super) fn desired(&self, table: TableId, key: &Key) -> Option<Columns> {
        self.columns(table, key, PartKind::Desired)
    }

    /// Makes a row's desired part what is given.
    pub(super) fn put(&mut self, table: TableId, key: &Key, entry: Entry) -> Result<(), DocumentError> {
        let path = entry.path.clone();
        let direct = self.rows.get(&(table, key.clone())).is_some_and(|old| old.direct);
        self.rows.insert((table, key.clone()), Entry { direct: direct || entry.direct, ..entry });
        if self.rows.len() > ROWS_MAX {
            return Err(DocumentError::at(&path, Problem::TooManyRows(ROWS_MAX)));
        }
        Ok(())
    }

    /// Finds the rows that entities of a path name; all of them must be there.
    pub(super) fn walk(&self, entities: &[(&'a Endpoint, String)]) -> Result<Vec<Step<'a>>, DocumentError> {
        walk(self.tree, self, entities, &|placeholder| self.name(placeholder))
    }

    /// The same, of the last of them.
    pub(super) fn locate(&self, path: &Path<'a>, at: &Pointer) -> Result<Step<'a>, DocumentError> {
        let problem = || Problem::WrongPlace { op: "this", place: path.tail.name(), right: "name an entity" };
        self.walk(&path.entities)?.pop().ok_or_else(|| DocumentError::at(at, problem()))
    }

    /// The key of the first entity of a path, as far as it is known.
    pub(super) fn root_of(&self, path: &Path<'a>) -> Option<Key> {
        let (endpoint, segment) = path.entities.first()?;
        match bind_key(self.tree, endpoint, None, segment, &|placeholder| self.name(placeholder)) {
            Ok(Bound::Key(key)) => Some(key),
            _ => None,
        }
    }

    /// Refuses what the caller may not do at a path.
    pub(super) fn permit(&self, path: &Path<'a>, at: &Pointer, needed: Grant) -> Result<(), DocumentError> {
        need(self.caller, path.grant(self.caller, self.root_of(path).as_ref()), needed, at)
    }

    fn touched(&self, table: TableId) -> impl Iterator<Item = &Key> {
        // Keys order by their values, of which null comes first, and an empty key before all others.
        let first = (table, Key(Box::new([])));
        self.rows
            .range(first..)
            .map(|((id, key), _)| (id, key))
            .take_while(move |(id, _)| **id == table)
            .map(|(_, key)| key)
    }
}

impl<R: Rows> Cells for Draft<'_, R> {
    fn has(&self, table: TableId, key: &Key, kind: PartKind) -> bool {
        match (kind, self.rows.get(&(table, key.clone()))) {
            (PartKind::Desired, Some(entry)) => entry.desired.is_some(),
            _ => self.base.has(table, key, kind),
        }
    }

    fn value(&self, table: TableId, key: &Key, kind: PartKind, column: &str) -> Option<Value> {
        match (kind, self.rows.get(&(table, key.clone()))) {
            (PartKind::Desired, Some(entry)) => {
                let columns = entry.desired.as_ref()?;
                let schema = self.table(table)?.schema().desired.iter().find(|it| it.name == column)?;
                let json = columns.get(column).unwrap_or(&Json::Null);
                Some(Value::from_json(&schema.ty, json).unwrap_or_default())
            }
            _ => self.base.value(table, key, kind, column),
        }
    }
}

impl<R: Rows> Rows for Draft<'_, R> {
    fn columns(&self, table: TableId, key: &Key, kind: PartKind) -> Option<Columns> {
        match (kind, self.rows.get(&(table, key.clone()))) {
            (PartKind::Desired, Some(entry)) => entry.desired.clone(),
            _ => self.base.columns(table, key, kind),
        }
    }

    fn find(&self, table: TableId, column: &str, value: &Value) -> Vec<Key> {
        let mut found: BTreeSet<Key> = self.base.find(table, column, value).into_iter().collect();
        let Some(def) = self.table(table) else { return Vec::new() };
        for key in self.touched(table) {
            if self.exists(table, key) && super::read::matches(self, def, key, column, value) {
                found.insert(key.clone());
            } else {
                found.remove(key);
            }
        }
        found.into_iter().collect()
    }

    fn keys<'a>(&'a self, table: TableId, after: Option<&Key>) -> Box<dyn Iterator<Item = Key> + 'a> {
        let mut touched = self.touched(table).peekable();
        if touched.peek().is_none() {
            return self.base.keys(table, after);
        }
        let beyond = |key: &&Key| after.is_none_or(|after| *key > after);
        let mut keys: BTreeSet<Key> = self.base.keys(table, after).collect();
        keys.extend(touched.filter(beyond).cloned());
        Box::new(keys.into_iter().filter(move |key| self.exists(table, key)))
    }
}
