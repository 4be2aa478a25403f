//! `test` and `x-verify`: whether the document is what a client thinks that it is. What the caller may not see is
//! not there; a failed test tells nothing of it.

use super::access::Grant;
use super::describe::shown;
use super::draft::Draft;
use super::error::{DocumentError, Problem};
use super::pointer::Pointer;
use super::query::known;
use super::read::show_part;
use super::resolve::{Bound, Path, Tail, appears, bind_key, grant, need};
use super::rows::Rows;
use super::tree::Endpoint;
use super::within;
use pony_state::{ColumnSchema, ColumnType, Key, PartKind, TableDef, Value};
use serde_json::{Map, Value as Json};

/// Characters of a value that the message of a failed test quotes.
const QUOTE_CHARS_MAX: usize = 120;

/// How much of the document a test speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Everything at its place must be named (`test`). Children of an entity are spoken of only where they are named:
    /// what reading an entity gives must pass.
    Exact,
    /// What is named must be there (`x-verify`).
    Subset,
}

/// A row whose members are looked at.
#[derive(Clone, Copy)]
struct Member<'s, 'a> {
    endpoint: &'a Endpoint,
    root: Option<&'s Key>,
    key: &'s Key,
}

impl<'a, R: Rows> Draft<'a, R> {
    /// Whether `expected` stands at a path.
    pub(super) fn verify(
        &self,
        path: &Path<'a>,
        at: &Pointer,
        expected: &Json,
        depth: Depth,
    ) -> Result<(), DocumentError> {
        let steps = self.walk(&path.entities)?;
        let root = steps.first().map(|step| &step.key);
        let last = steps.last().map(|step| Member { endpoint: step.endpoint, root, key: &step.key });
        match (&path.tail, last) {
            (Tail::Root, _) => self.verify_level(at, expected, depth, |name| {
                self.tree.roots().get(name).map(|id| (self.tree.get(*id), None))
            }),
            (Tail::Collection(endpoint), _) => {
                let above = steps.last().map(|step| &step.key);
                self.verify_collection(endpoint, root, above, at, expected, depth)
            }
            (Tail::Entity, Some(member)) => self.verify_entity(member, at, expected, depth),
            (Tail::Children, Some(member)) => self.verify_children(member, at, expected, depth),
            (Tail::Part(kind), Some(member)) => {
                let found = self.part(member, *kind);
                self.verify_part(member, *kind, found.as_ref(), at, Some(expected), depth)
            }
            (Tail::Column(kind, column, rest), Some(member)) => {
                self.verify_column(member, *kind, column, rest, at, expected, depth)
            }
            (_, None) => Err(failed(at, expected, None)),
        }
    }

    fn part(&self, member: Member<'_, 'a>, kind: PartKind) -> Option<Map<String, Json>> {
        let table = &member.endpoint.table;
        let columns = self.columns(table.id(), member.key, kind)?;
        Some(show_part(table, member.key, kind, columns, None))
    }

    fn verify_level<'k>(
        &self,
        at: &Pointer,
        expected: &Json,
        depth: Depth,
        find: impl Fn(&str) -> Option<(&'a Endpoint, Option<(&'k Key, &'k Key)>)>,
    ) -> Result<(), DocumentError> {
        let Json::Object(collections) = expected else { return Err(failed(at, expected, None)) };
        for (name, expected) in collections {
            let at = at.join(name);
            let Some((endpoint, keys)) = find(name) else { return Err(failed(&at, expected, None)) };
            let (root, above) = keys.unzip();
            self.verify_collection(endpoint, root, above, &at, expected, depth)?;
        }
        Ok(())
    }

    fn verify_children(
        &self,
        member: Member<'_, 'a>,
        at: &Pointer,
        expected: &Json,
        depth: Depth,
    ) -> Result<(), DocumentError> {
        self.verify_level(at, expected, depth, |name| {
            let child = member.endpoint.children.get(name)?;
            Some((self.tree.get(*child), Some((member.root.unwrap_or(member.key), member.key))))
        })
    }

    fn verify_collection(
        &self,
        endpoint: &'a Endpoint,
        root: Option<&Key>,
        above: Option<&Key>,
        at: &Pointer,
        expected: &Json,
        depth: Depth,
    ) -> Result<(), DocumentError> {
        let granted = match root {
            None => endpoint.mode.grant_root(self.caller),
            Some(_) => grant(endpoint, self.caller, root),
        };
        need(self.caller, granted, Grant::Read, at)?;
        let Json::Object(entities) = expected else { return Err(failed(at, expected, None)) };
        let mut named = 0;
        for (name, expected) in entities {
            let at = at.join(name);
            let key = bind_key(self.tree, endpoint, above, name, &|placeholder| self.name(placeholder));
            let key = match key {
                Ok(Bound::Key(key)) if self.visible(endpoint, root, above, &key) => key,
                _ if expected.is_null() => continue,
                _ => return Err(failed(&at, expected, None)),
            };
            named += 1;
            self.verify_entity(Member { endpoint, root, key: &key }, &at, expected, depth)?;
        }
        if depth == Depth::Exact {
            let all = self.members(endpoint, above).filter(|key| self.visible(endpoint, root, above, key));
            if all.take(named + 1).count() != named {
                let problem = Problem::TestFailed { expected: quote(expected), found: "more".to_owned() };
                return Err(DocumentError::at(at, problem));
            }
        }
        Ok(())
    }

    fn members<'s>(
        &'s self,
        endpoint: &'a Endpoint,
        above: Option<&Key>,
    ) -> Box<dyn Iterator<Item = Key> + 's> {
        let table = endpoint.table.id();
        match (&endpoint.via, above.and_then(|above| above.values().first())) {
            (Some(via), Some(parent)) => Box::new(self.find(table, via, parent).into_iter()),
            _ => self.keys(table, None),
        }
    }

    fn visible(&self, endpoint: &Endpoint, root: Option<&Key>, above: Option<&Key>, key: &Key) -> bool {
        grant(endpoint, self.caller, Some(root.unwrap_or(key))) >= Grant::Read
            && appears(self, endpoint, above, key)
    }

    fn verify_entity(
        &self,
        member: Member<'_, 'a>,
        at: &Pointer,
        expected: &Json,
        depth: Depth,
    ) -> Result<(), DocumentError> {
        let Json::Object(members) = expected else { return Err(failed(at, expected, None)) };
        let known = |name: &&String| matches!(name.as_str(), "desired" | "current" | "children");
        if let Some(name) = members.keys().find(|name| !known(name)) {
            return Err(DocumentError::at(&at.join(name), Problem::UnknownMember(name.clone())));
        }
        for (kind, name) in [(PartKind::Desired, "desired"), (PartKind::Current, "current")] {
            let expected = members.get(name);
            if expected.is_some() || depth == Depth::Exact {
                let found = self.part(member, kind);
                self.verify_part(member, kind, found.as_ref(), &at.join(name), expected, depth)?;
            }
        }
        match members.get("children") {
            Some(expected) => self.verify_children(member, &at.join("children"), expected, depth),
            None => Ok(()),
        }
    }

    fn verify_part(
        &self,
        member: Member<'_, 'a>,
        kind: PartKind,
        found: Option<&Map<String, Json>>,
        at: &Pointer,
        expected: Option<&Json>,
        depth: Depth,
    ) -> Result<(), DocumentError> {
        let expected = expected.unwrap_or(&Json::Null);
        let (found, expected) = match (found, expected) {
            (None, Json::Null) => return Ok(()),
            (Some(found), Json::Object(expected)) => (found, expected),
            (found, expected) => return Err(failed(at, expected, found.cloned().map(Json::Object).as_ref())),
        };
        for (name, expected) in expected {
            known(&member.endpoint.table, name, at)?;
            let value = found.get(name);
            if !self.same(&member.endpoint.table, kind, name, value, expected, depth) {
                return Err(failed(&at.join(name), expected, value));
            }
        }
        let key = |name: &String| member.endpoint.table.schema().key.iter().any(|it| it.name == *name);
        // The key is part of the path already: a test may leave it out.
        match found.iter().find(|(name, _)| !expected.contains_key(*name) && !key(name)) {
            Some((name, value)) if depth == Depth::Exact => {
                Err(failed(&at.join(name), &Json::Null, Some(value)))
            }
            _ => Ok(()),
        }
    }

    #[allow(clippy::too_many_arguments)] // a column's place has many coordinates
    fn verify_column(
        &self,
        member: Member<'_, 'a>,
        kind: PartKind,
        column: &str,
        rest: &[String],
        at: &Pointer,
        expected: &Json,
        depth: Depth,
    ) -> Result<(), DocumentError> {
        known(&member.endpoint.table, column, at)?;
        let part = self.part(member, kind).unwrap_or_default();
        let found = part.get(column);
        let same = if rest.is_empty() {
            self.same(&member.endpoint.table, kind, column, found, expected, depth)
        } else {
            let found = found.and_then(|found| within::get(found, rest).ok());
            same_json(found, expected, depth)
        };
        if same { Ok(()) } else { Err(failed(at, expected, found)) }
    }

    /// Whether a column holds what is expected, by its type: `10.0.0.1` and `10.0.0.1/32` are one address.
    fn same(
        &self,
        table: &TableDef,
        kind: PartKind,
        column: &str,
        found: Option<&Json>,
        expected: &Json,
        depth: Depth,
    ) -> bool {
        let schema = table.schema();
        let column = schema.key.iter().chain(shown(schema, kind)).find(|it| it.name == column);
        let (Some(column), Some(found)) = (column, found) else {
            return found.is_none() && expected.is_null();
        };
        if column.ty == ColumnType::Json {
            return same_json(Some(found), expected, depth);
        }
        let canonical = match self.placeholder(column, expected) {
            Some(uuid) => Some(uuid),
            None => Value::from_json(&column.ty, expected).ok(),
        };
        canonical.is_some_and(|canonical| within::equal(found, &canonical.to_json()))
    }

    fn placeholder(&self, column: &ColumnSchema, expected: &Json) -> Option<Value> {
        let text = expected.as_str().filter(|_| column.ty == ColumnType::Uuid)?;
        self.name(text).map(Value::Uuid)
    }
}

fn same_json(found: Option<&Json>, expected: &Json, depth: Depth) -> bool {
    match (found, depth) {
        (None, _) => expected.is_null(),
        (Some(found), Depth::Exact) => within::equal(found, expected),
        (Some(found), Depth::Subset) => within::contains(found, expected),
    }
}

fn failed(at: &Pointer, expected: &Json, found: Option<&Json>) -> DocumentError {
    let expected = if expected.is_null() { "nothing".to_owned() } else { quote(expected) };
    let found = found.map_or_else(|| "nothing".to_owned(), quote);
    DocumentError::at(at, Problem::TestFailed { expected, found })
}

fn quote(json: &Json) -> String {
    let text = json.to_string();
    match text.char_indices().nth(QUOTE_CHARS_MAX) {
        Some((end, _)) => format!("`{}…`", text.get(..end).unwrap_or_default()),
        None => format!("`{text}`"),
    }
}
