//! Reading the document: what a URL names, and who may see it. What is shown is in [`super::list`].

use super::access::{Caller, Grant};
use super::describe::shown;
use super::error::{DocumentError, Problem};
use super::pointer::UrlPath;
use super::resolve::{Bound, Path, Step, Tail, bind_key, grant, refusal, root_keys, walk};
use super::rows::{Cells, Rows};
use super::tree::{Endpoint, Tree};
use pony_state::{Columns, Key, PartKind, TableDef, TableId, Value};
use serde_json::{Map, Value as Json};
use uuid::Uuid;

/// What a URL is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaceKind {
    /// The whole document.
    Root,
    /// A collection.
    Collection,
    /// What the join rows of a collection point to.
    Join,
    /// An entity.
    Entity,
}

/// A placeholder means nothing to somebody who reads.
pub(super) fn no_names(_: &str) -> Option<Uuid> {
    None
}

/// The document as one caller sees it.
#[derive(Debug)]
pub struct Reader<'a, R> {
    pub(super) tree: &'a Tree,
    pub(super) rows: &'a R,
    pub(super) caller: &'a Caller,
}

impl<R> Clone for Reader<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Reader<'_, R> {}

impl Tree {
    /// What a URL names and which methods it takes.
    ///
    /// # Errors
    /// [`Problem::NoCollection`], where there is no such place, [`Problem::NoJoin`] for a `_join` of no join.
    pub fn place(&self, url: &UrlPath) -> Result<(PlaceKind, &'static [&'static str]), DocumentError> {
        let path = Path::of_url(self, url)?;
        let writable = path.endpoint().is_some_and(Endpoint::is_writable);
        Ok(match (&path.tail, url.join) {
            (Tail::Collection(endpoint), true) => match endpoint.join_column() {
                Some(_) => (PlaceKind::Join, &["GET"]),
                None => return Err(DocumentError::at(&url.pointer(), Problem::NoJoin)),
            },
            (Tail::Root, _) => (PlaceKind::Root, &["GET", "PATCH"]),
            (Tail::Collection(_), false) if writable => (PlaceKind::Collection, &["GET", "POST", "PATCH"]),
            (Tail::Collection(_), false) => (PlaceKind::Collection, &["GET"]),
            _ if writable => (PlaceKind::Entity, &["GET", "PATCH", "DELETE"]),
            _ => (PlaceKind::Entity, &["GET"]),
        })
    }
}

impl<'a, R: Rows> Reader<'a, R> {
    /// The document over `rows` as `caller` sees it.
    #[must_use]
    pub const fn new(tree: &'a Tree, rows: &'a R, caller: &'a Caller) -> Self {
        Self { tree, rows, caller }
    }

    /// The names of the collections at the root that the caller may look into, each as an empty object.
    #[must_use]
    pub fn root(&self) -> Json {
        let readable = |endpoint: &Endpoint| endpoint.mode.grant_root(self.caller) >= Grant::Read;
        let names = self.tree.roots().iter().filter(|(_, id)| readable(self.tree.get(**id)));
        names.map(|(name, _)| (name.clone(), Json::Object(Map::new()))).collect()
    }

    /// What the caller may do with an entity, and its key.
    ///
    /// # Errors
    /// As [`Reader::entity`].
    pub fn grant(&self, url: &UrlPath) -> Result<(Grant, Key), DocumentError> {
        let (path, steps) = self.open(url)?;
        let root = steps.first().map(|step| &step.key);
        let granted = path.grant(self.caller, root);
        Ok((granted, self.last(url)?.key))
    }

    /// Finds the row that a URL names.
    pub(super) fn last(&self, url: &UrlPath) -> Result<Step<'a>, DocumentError> {
        let (_, mut steps) = self.open(url)?;
        steps.pop().ok_or_else(|| {
            let right = "name an entity";
            let place = "a collection";
            DocumentError::at(&url.pointer(), Problem::WrongPlace { op: "read", place, right })
        })
    }

    /// Whether the caller may see a row, at whichever mount.
    #[must_use]
    pub fn readable(&self, table: TableId, key: &Key) -> bool {
        self.granted(table, key) >= Grant::Read
    }

    /// The most that the caller may do with a row, at whichever mount.
    #[must_use]
    pub fn granted(&self, table: TableId, key: &Key) -> Grant {
        if self.caller.is_alicorn() {
            return Grant::Write;
        }
        let at = |endpoint: &Endpoint| {
            let roots = root_keys(self.tree, self.rows, endpoint, key);
            roots.iter().map(|root| grant(endpoint, self.caller, Some(root))).max()
        };
        self.tree.endpoints_of(table).filter_map(at).max().unwrap_or(Grant::None)
    }

    /// Finds the rows on the way to what a URL names, once it is granted to look there.
    pub(super) fn open(&self, url: &UrlPath) -> Result<(Path<'a>, Vec<Step<'a>>), DocumentError> {
        let path = Path::of_url(self.tree, url)?;
        let root = path.entities.first().and_then(|(endpoint, segment)| {
            match bind_key(self.tree, endpoint, None, segment, &no_names) {
                Ok(Bound::Key(key)) => Some(key),
                _ => None,
            }
        });
        if path.grant(self.caller, root.as_ref()) < Grant::Read {
            return Err(DocumentError::at(&url.pointer(), refusal(self.caller, Grant::Read)));
        }
        let steps = walk(self.tree, self.rows, &path.entities, &no_names)?;
        Ok((path, steps))
    }
}

/// Whether [`Rows::find`] knows the column, in whichever part it is.
pub(super) fn is_indexed(table: &TableDef, column: &str) -> bool {
    let schema = table.schema();
    schema.key.iter().any(|it| it.name == column)
        || schema
            .desired
            .iter()
            .chain(&schema.current)
            .any(|it| it.name == column && (it.indexed || it.references.is_some()))
}

/// Whether a row has that value, in either part.
pub(super) fn matches(
    rows: &(impl Cells + ?Sized),
    table: &TableDef,
    key: &Key,
    column: &str,
    value: &Value,
) -> bool {
    if let Some(place) = table.places(column).and_then(|places| places.key) {
        return key.values().get(place) == Some(value);
    }
    PartKind::BOTH
        .into_iter()
        .any(|kind| rows.value(table.id(), key, kind, column).is_some_and(|found| found == *value))
}

/// One part as it is shown: with its key, without nulls and secrets; only the columns named in `fields`, if given.
#[must_use]
pub fn show_part(
    table: &TableDef,
    key: &Key,
    kind: PartKind,
    mut columns: Columns,
    fields: Option<&[String]>,
) -> Columns {
    let wanted = |name: &str| fields.is_none_or(|fields| fields.iter().any(|field| field == name));
    let keys = table.schema().key.iter().zip(key.values());
    let mut part: Columns = keys
        .filter(|(column, _)| wanted(&column.name))
        .map(|(column, value)| (column.name.clone(), value.to_json()))
        .collect();
    for column in shown(table.schema(), kind).filter(|column| wanted(&column.name)) {
        if let Some(value) = columns.remove(&column.name).filter(|value| !value.is_null()) {
            part.insert(column.name.clone(), value);
        }
    }
    part
}
