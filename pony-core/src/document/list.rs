//! What the document shows of rows: entities, collections with filters and pages, what join rows point to.

use super::access::Grant;
use super::error::{DocumentError, Problem};
use super::pointer::UrlPath;
use super::query::Query;
use super::read::{Reader, no_names};
use super::resolve::{Bound, Tail, bind_key, grant, segment};
use super::tree::Endpoint;
use pony_state::{AnyRow, ColumnSchema, Key, PartKind, Read, TableDef, Value};
use std::collections::BTreeMap;

/// Most entities are shorter.
const ENTITY_BYTES: usize = 1 << 10;

/// An entity of a collection.
struct Entity<'a> {
    row: AnyRow<'a>,
    /// For what join rows point to: those rows.
    joined: Option<Vec<AnyRow<'a>>>,
}

/// The entities of a collection, to be written one after the other.
pub struct Listing<'a> {
    entities: Box<dyn Iterator<Item = Entity<'a>> + 'a>,
    endpoint: &'a Endpoint,
    fields: Option<Vec<String>>,
}

impl<'a, R: Read> Reader<'a, R> {
    /// An entity as JSON text, `{desired?, current?}`.
    ///
    /// # Errors
    /// Where it is not there, or not for the caller to see.
    pub fn entity(&self, url: &UrlPath) -> Result<Vec<u8>, DocumentError> {
        let last = self.last(url)?;
        let mut text = Vec::with_capacity(ENTITY_BYTES);
        if let Some(row) = self.rows.any(last.endpoint.table.id()).and_then(|table| table.get(&last.key)) {
            write_row(row, None, &mut text);
        }
        Ok(text)
    }

    /// A collection, entity by entity in key order: what stands for each in the path, and `{desired?, current?}`.
    ///
    /// # Errors
    /// Where it is not there, or not for the caller to see, or the query does not fit its table.
    pub fn list(&self, url: &UrlPath, query: &Query) -> Result<Listing<'a>, DocumentError> {
        let (path, steps) = self.open(url)?;
        let Tail::Collection(endpoint) = path.tail else { return Err(wrong_place(url)) };
        let filter = query.resolve(&endpoint.table, &url.pointer())?;
        let above = steps.last().map(|step| &step.key);
        let after =
            query.after.as_ref().map(|text| self.after_key(url, endpoint, above, text)).transpose()?;
        let (caller, is_root) = (self.caller, above.is_none());
        // At the root every row is a first entity of its own, and is granted or not by itself.
        let is_granted =
            move |row: &AnyRow<'_>| !is_root || grant(endpoint, caller, Some(&row.key())) >= Grant::Read;
        let rows = rows_of(self.rows, endpoint, above, filter, after.as_ref()).filter(is_granted);
        let entities = rows.take(query.limit.unwrap_or(usize::MAX)).map(|row| Entity { row, joined: None });
        Ok(Listing { entities: Box::new(entities), endpoint, fields: query.fields.clone() })
    }

    /// What the join rows of a collection point to, in key order: the key, and `{desired?, current?, "joined":
    /// {join row: {desired?, current?}}}`. Filters, pages and fields concern what is pointed to. Of what is listed
    /// only where it lies is in memory.
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
        let after = query.after.as_ref().map(|text| Key::parse(&target.schema().key, text)).transpose();
        let after = after.map_err(|problem| DocumentError::at(&url.pointer(), Problem::Key(problem)))?;
        let mut joined: BTreeMap<Key, Vec<AnyRow<'a>>> = BTreeMap::new();
        for row in rows_of(self.rows, endpoint, steps.last().map(|step| &step.key), Vec::new(), None) {
            for value in values(row, column) {
                joined.entry(Key::one(value)).or_default().push(row);
            }
        }
        let (this, targets) = (*self, self.rows.any(target.id()));
        let entities = joined.into_iter().filter_map(move |(key, joined)| {
            let comes_after = after.as_ref().is_none_or(|after| key > *after);
            let row = targets.filter(|_| comes_after)?.get(&key)?;
            let passes = filter.iter().all(|(column, value)| row.holds(column, value));
            (passes && this.readable(target.id(), &key)).then_some(Entity { row, joined: Some(joined) })
        });
        let entities = Box::new(entities.take(query.limit.unwrap_or(usize::MAX)));
        Ok(Listing { entities, endpoint, fields: query.fields.clone() })
    }

    fn target(&self, endpoint: &Endpoint, column: &str) -> Option<&'a TableDef> {
        let references = endpoint.table.column(column)?.references.as_deref()?;
        self.tree.schema().table(references).map(AsRef::as_ref)
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

impl Listing<'_> {
    /// Appends the next entity as a member of a JSON object, `"key":{desired?, current?}`. Nothing where there is none
    /// left, and says so.
    pub fn write_next(&mut self, text: &mut Vec<u8>) -> bool {
        let Some(Entity { row, joined }) = self.entities.next() else { return false };
        let Some(joined) = joined else {
            self.write_member(row, self.fields.as_deref(), text);
            return true;
        };
        write_name(&row.key(), text);
        write_row(row, self.fields.as_deref(), text);
        // The object goes on, after its parts or at its beginning.
        text.pop();
        text.extend_from_slice(if text.last() == Some(&b'{') { b"\"joined\":{" } else { b",\"joined\":{" });
        for (number, row) in joined.into_iter().enumerate() {
            text.extend_from_slice(if number == 0 { b"" } else { b"," });
            self.write_member(row, None, text);
        }
        text.extend_from_slice(b"}}");
        true
    }

    /// All of it as JSON text.
    #[must_use]
    pub fn into_text(mut self) -> Vec<u8> {
        let mut text = b"{".to_vec();
        while self.write_next(&mut text) {
            text.push(b',');
        }
        if text.last() == Some(&b',') {
            text.pop();
        }
        text.push(b'}');
        text
    }

    fn write_member(&self, row: AnyRow<'_>, fields: Option<&[String]>, text: &mut Vec<u8>) {
        write_name(&segment(self.endpoint, &row.key()), text);
        write_row(row, fields, text);
    }
}

impl std::fmt::Debug for Listing<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Listing")
    }
}

/// Appends what stands for a row in a path as the name of a member.
fn write_name(name: &Key, text: &mut Vec<u8>) {
    match name.values() {
        // Most names are these; there is nothing to escape in them.
        [uuid @ Value::Uuid(_)] => uuid.write_json(text),
        _ => Value::from(name.to_string()).write_json(text),
    }
    text.push(b':');
}

/// Appends a row as it is shown: `{desired?, current?}`, with its key in both parts, without nulls and secrets; only the
/// columns named in `fields`, if given.
fn write_row(row: AnyRow<'_>, fields: Option<&[String]>, text: &mut Vec<u8>) {
    let shown =
        |column: &ColumnSchema| !column.secret && fields.is_none_or(|fields| fields.contains(&column.name));
    text.push(b'{');
    for (kind, name) in [(PartKind::Desired, "desired"), (PartKind::Current, "current")] {
        if row.has(kind) {
            text.extend_from_slice(if text.last() == Some(&b'{') { b"\"" } else { b",\"" });
            text.extend_from_slice(name.as_bytes());
            text.extend_from_slice(b"\":");
            row.def().write_part(row, kind, shown, text);
        }
    }
    text.push(b'}');
}

fn wrong_place(url: &UrlPath) -> DocumentError {
    let problem = Problem::WrongPlace { op: "list", place: "an entity", right: "name a collection" };
    DocumentError::at(&url.pointer(), problem)
}

/// The rows of a collection that pass the filter, beginning beyond a key; in order.
fn rows_of<'a, R: Read>(
    rows: &'a R,
    endpoint: &'a Endpoint,
    above: Option<&Key>,
    mut filter: Vec<(String, Value)>,
    after: Option<&Key>,
) -> impl Iterator<Item = AnyRow<'a>> + use<'a, R> {
    if let (Some(via), Some(parent)) = (&endpoint.via, above.and_then(|above| above.values().first())) {
        filter.push((via.clone(), parent.clone()));
    }
    let filter: Vec<(&str, Value)> =
        filter.iter().map(|(column, value)| (&**column, value.clone())).collect();
    // The query has looked at the columns.
    let rows = rows.any(endpoint.table.id()).and_then(|table| table.select(&filter, after).ok());
    let is_null = |row: &AnyRow<'_>, column: &str| row.value(PartKind::Desired, column) == Some(Value::Null);
    let appears = move |row: &AnyRow<'_>| endpoint.only_null.iter().all(|column| is_null(row, column));
    rows.into_iter().flatten().filter(appears)
}

/// The values of a column: the key's, or those of both parts; nulls left out.
fn values(row: AnyRow<'_>, column: &str) -> Vec<Value> {
    let value = |kind| row.value(kind, column).filter(|value| !value.is_null());
    let mut values: Vec<Value> = PartKind::BOTH.into_iter().filter_map(value).collect();
    values.dedup();
    values
}
