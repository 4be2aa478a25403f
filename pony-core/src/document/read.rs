//! Reading the document: entities, collections with filters and pages, what join rows point to.

use super::access::{Caller, Grant};
use super::describe::shown;
use super::error::{DocumentError, Problem};
use super::pointer::UrlPath;
use super::query::Query;
use super::resolve::{Bound, Path, Step, Tail, appears, bind_key, grant, need, root_keys, segment, walk};
use super::rows::{Cells, Rows};
use super::tree::{Endpoint, Tree};
use pony_state::{Columns, Key, PartKind, TableDef, TableId, Value};
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;
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
fn no_names(_: &str) -> Option<Uuid> {
    None
}

/// The document as one caller sees it.
#[derive(Debug)]
pub struct Reader<'a, R> {
    tree: &'a Tree,
    rows: &'a R,
    caller: &'a Caller,
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
        let path = Path::parse(self, &url.pointer())?;
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

    /// An entity as JSON text, `{desired?, current?}`.
    ///
    /// # Errors
    /// As [`Reader::entity`].
    pub fn entity_text(&self, url: &UrlPath) -> Result<Vec<u8>, DocumentError> {
        let last = self.last(url)?;
        let mut text = Vec::new();
        self.rows.write(&last.endpoint.table, &last.key, None, &mut text);
        Ok(text)
    }

    /// An entity, `{desired?, current?}`.
    ///
    /// # Errors
    /// Where it is not there, or not for the caller to see.
    pub fn entity(&self, url: &UrlPath) -> Result<Json, DocumentError> {
        let last = self.last(url)?;
        Ok(show(self.rows, &last.endpoint.table, &last.key, None))
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

    fn last(&self, url: &UrlPath) -> Result<Step<'a>, DocumentError> {
        let (_, mut steps) = self.open(url)?;
        steps.pop().ok_or_else(|| {
            let right = "name an entity";
            let place = "a collection";
            DocumentError::at(&url.pointer(), Problem::WrongPlace { op: "read", place, right })
        })
    }

    /// A collection, entity by entity in key order: what stands for each in the path, and `{desired?, current?}`.
    ///
    /// # Errors
    /// Where it is not there, or not for the caller to see, or the query does not fit its table.
    pub fn list(&self, url: &UrlPath, query: &Query) -> Result<Listing<'a>, DocumentError> {
        let Entries { rows, endpoint, keys, fields } = self.entries(url, query)?;
        let shown =
            move |key| (segment(endpoint, &key), show(rows, &endpoint.table, &key, fields.as_deref()));
        Ok(Listing(Box::new(keys.map(shown))))
    }

    /// The same, to be written one by one.
    ///
    /// # Errors
    /// As [`Reader::list`].
    pub fn entries(&self, url: &UrlPath, query: &Query) -> Result<Entries<'a, R>, DocumentError> {
        let (path, steps) = self.open(url)?;
        let Tail::Collection(endpoint) = path.tail else { return Err(wrong_place(url)) };
        let filter = query.resolve(&endpoint.table, &url.pointer())?;
        let above = steps.last().map(|step| step.key.clone());
        let after = match &query.after {
            None => None,
            Some(text) => Some(self.after_key(url, endpoint, above.as_ref(), text)?),
        };
        let this = *self;
        let keys = candidates(this.rows, endpoint, above.as_ref(), &filter, after.as_ref())
            .filter(move |key| appears(this.rows, endpoint, above.as_ref(), key))
            .filter(move |key| above_grants(this, endpoint, &steps, key));
        let keys = Box::new(keys.take(query.limit.unwrap_or(usize::MAX)));
        Ok(Entries { rows: self.rows, endpoint, keys, fields: query.fields.clone() })
    }

    /// What the join rows of a collection point to, in key order: the key, and `{desired?, current?, "joined":
    /// {join row: {desired?, current?}}}`. Filters, pages and fields concern what is pointed to. Of what is listed only the
    /// keys are in memory.
    ///
    /// # Errors
    /// As [`Reader::list`]; [`Problem::NoJoin`] where the collection is no join.
    pub fn join(&self, url: &UrlPath, query: &Query) -> Result<Listing<'a>, DocumentError> {
        let (path, steps) = self.open(url)?;
        let Tail::Collection(endpoint) = path.tail else { return Err(wrong_place(url)) };
        let target = endpoint.join_column().and_then(|column| Some((column, self.target(endpoint, column)?)));
        let Some((column, target)) = target else {
            return Err(DocumentError::at(&url.pointer(), Problem::NoJoin));
        };
        let filter = query.resolve(target, &url.pointer())?;
        let above = steps.last().map(|step| step.key.clone());
        let mut joined: BTreeMap<Key, Vec<Key>> = BTreeMap::new();
        for key in candidates(self.rows, endpoint, above.as_ref(), &[], None) {
            if appears(self.rows, endpoint, above.as_ref(), &key) {
                for value in column_values(self.rows, &endpoint.table, &key, column) {
                    joined.entry(Key::one(value)).or_default().push(key.clone());
                }
            }
        }
        let after = query.after.as_ref().map(|text| Key::parse(&target.schema().key, text)).transpose();
        let after = after.map_err(|problem| DocumentError::at(&url.pointer(), Problem::Key(problem)))?;
        let (this, fields) = (*self, query.fields.clone());
        let listed = joined.into_iter().filter(move |(key, _)| {
            after.as_ref().is_none_or(|after| key > after)
                && this.rows.exists(target.id(), key)
                && filter.iter().all(|(column, value)| matches(this.rows, target, key, column, value))
                && this.readable(target.id(), key)
        });
        let shown = move |(key, rows): (Key, Vec<Key>)| {
            let row = |row: &Key| (segment(endpoint, row), show(this.rows, &endpoint.table, row, None));
            let mut entity = show(this.rows, target, &key, fields.as_deref());
            if let Json::Object(entity) = &mut entity {
                entity.insert("joined".to_owned(), rows.iter().map(row).collect());
            }
            (key.to_string(), entity)
        };
        Ok(Listing(Box::new(listed.take(query.limit.unwrap_or(usize::MAX)).map(shown))))
    }

    fn target(&self, endpoint: &Endpoint, column: &str) -> Option<&'a TableDef> {
        let references = endpoint.table.column(column)?.references.as_deref()?;
        self.tree.schema().table(references).map(AsRef::as_ref)
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
        let pointer = url.pointer();
        let path = Path::parse(self.tree, &pointer)?;
        let root = path.entities.first().and_then(|(endpoint, segment)| {
            match bind_key(self.tree, endpoint, None, segment, &no_names) {
                Ok(Bound::Key(key)) => Some(key),
                _ => None,
            }
        });
        need(self.caller, path.grant(self.caller, root.as_ref()), Grant::Read, &pointer)?;
        let steps = walk(self.tree, self.rows, &path.entities, &no_names)?;
        Ok((path, steps))
    }

    fn after_key(
        &self,
        url: &UrlPath,
        endpoint: &Endpoint,
        above: Option<&Key>,
        text: &str,
    ) -> Result<Key, DocumentError> {
        let at = url.pointer();
        match bind_key(self.tree, endpoint, above, text, &no_names) {
            Ok(Bound::Key(key)) => Ok(key),
            Ok(Bound::Open(text)) => {
                let table = endpoint.table.name().to_owned();
                Err(DocumentError::at(&at, Problem::NoRow { table, key: text }))
            }
            Err(problem) => Err(DocumentError::at(&at, Problem::Key(problem))),
        }
    }
}

/// The entities of a collection, to be written.
pub struct Entries<'a, R> {
    rows: &'a R,
    endpoint: &'a Endpoint,
    keys: Box<dyn Iterator<Item = Key> + 'a>,
    fields: Option<Vec<String>>,
}

impl<R: Rows> Entries<'_, R> {
    /// Appends the next entity as a member of a JSON object, `"key":{desired?, current?}`. Nothing where there is none
    /// left, and says so.
    pub fn write_next(&mut self, text: &mut Vec<u8>) -> bool {
        let Some(key) = self.keys.next() else { return false };
        text.extend_from_slice(Json::from(segment(self.endpoint, &key)).to_string().as_bytes());
        text.push(b':');
        self.rows.write(&self.endpoint.table, &key, self.fields.as_deref(), text);
        true
    }
}

impl<R> std::fmt::Debug for Entries<'_, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entries")
    }
}

/// The entities of a collection, one after the other.
pub struct Listing<'a>(Box<dyn Iterator<Item = (String, Json)> + 'a>);

impl Iterator for Listing<'_> {
    type Item = (String, Json);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

impl Listing<'_> {
    /// Appends the next entity as a member of a JSON object. Nothing where there is none left, and says so.
    pub fn write_next(&mut self, text: &mut Vec<u8>) -> bool {
        let Some((key, entity)) = self.next() else { return false };
        text.extend_from_slice(format!("{}:{entity}", Json::from(key)).as_bytes());
        true
    }
}

impl std::fmt::Debug for Listing<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Listing")
    }
}

fn wrong_place(url: &UrlPath) -> DocumentError {
    let problem = Problem::WrongPlace { op: "list", place: "an entity", right: "name a collection" };
    DocumentError::at(&url.pointer(), problem)
}

/// At the root every row is a first entity of its own, and is granted or not by itself.
fn above_grants<R: Rows>(reader: Reader<'_, R>, endpoint: &Endpoint, steps: &[Step<'_>], key: &Key) -> bool {
    !steps.is_empty() || grant(endpoint, reader.caller, Some(key)) >= Grant::Read
}

/// Keys among which all rows of a collection that pass the filter are, and none that do not pass it; in order.
fn candidates<'a>(
    rows: &'a impl Rows,
    endpoint: &'a Endpoint,
    above: Option<&Key>,
    filter: &[(String, Value)],
    after: Option<&Key>,
) -> Box<dyn Iterator<Item = Key> + 'a> {
    let (table, mut filter) = (&*endpoint.table, filter.to_vec());
    if let (Some(via), Some(parent)) = (&endpoint.via, above.and_then(|above| above.values().first())) {
        filter.push((via.clone(), parent.clone()));
    }
    // What is looked up comes first.
    filter.sort_by_key(|(column, _)| !is_indexed(table, column));
    if filter.first().is_none_or(|(column, _)| !is_indexed(table, column)) {
        let passes =
            move |key: &Key| filter.iter().all(|(column, value)| matches(rows, table, key, column, value));
        return Box::new(rows.keys(table.id(), after).filter(passes));
    }
    let after = after.cloned();
    let found = rows.find_all(table, &filter).into_iter();
    Box::new(found.filter(move |key| after.as_ref().is_none_or(|after| key > after)))
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

/// The values of a column: the key's, or those of both parts; nulls left out.
fn column_values(rows: &impl Rows, table: &TableDef, key: &Key, column: &str) -> Vec<Value> {
    if let Some(place) = table.places(column).and_then(|places| places.key) {
        return key.values().get(place).cloned().into_iter().collect();
    }
    let value = |kind| rows.value(table.id(), key, kind, column).filter(|value| !value.is_null());
    let mut values: Vec<Value> = PartKind::BOTH.into_iter().filter_map(value).collect();
    values.dedup();
    values
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

/// A row as JSON, `{desired?, current?}`, with its key in both parts, without nulls and secrets; only the columns
/// named in `fields`, if given.
pub(super) fn show(
    rows: &(impl Rows + ?Sized),
    table: &TableDef,
    key: &Key,
    fields: Option<&[String]>,
) -> Json {
    let mut entity = Map::new();
    for (kind, name) in [(PartKind::Desired, "desired"), (PartKind::Current, "current")] {
        if let Some(columns) = rows.columns(table.id(), key, kind) {
            entity.insert(name.to_owned(), Json::Object(show_part(table, key, kind, columns, fields)));
        }
    }
    Json::Object(entity)
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
