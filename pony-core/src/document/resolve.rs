//! From a path to the rows that it names: which collection, which entity, what within it; and whether the rows
//! lie where the path says. Access is decided before anybody looks whether a row exists, so that a refusal tells
//! nothing of it.

use super::access::{Caller, Grant};
use super::error::{DocumentError, Problem};
use super::pointer::{Pointer, UrlPath};
use super::rows::Cells;
use super::tree::{Endpoint, Tree};
use pony_state::{ColumnSchema, ColumnType, Key, KeyError, PartKind, Value};
use uuid::Uuid;

/// A row on the way from the root to what a path names.
#[derive(Debug, Clone)]
pub(super) struct Step<'t> {
    pub(super) endpoint: &'t Endpoint,
    pub(super) key: Key,
}

/// What a path names, by its words alone.
#[derive(Debug, Clone)]
pub(super) struct Path<'t> {
    /// The entities on the way, with their keys as written.
    pub(super) entities: Vec<(&'t Endpoint, String)>,
    pub(super) tail: Tail<'t>,
}

/// Where a path ends, below the last of its entities.
#[derive(Debug, Clone)]
pub(super) enum Tail<'t> {
    Root,
    Collection(&'t Endpoint),
    Entity,
    Children,
    Part(PartKind),
    Column(PartKind, String, Vec<String>),
}

impl Tail<'_> {
    /// For messages.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Root => "the whole document",
            Self::Collection(_) => "a collection",
            Self::Entity => "an entity",
            Self::Children => "an entity's children",
            Self::Part(PartKind::Desired) => "a desired part",
            Self::Part(PartKind::Current) => "a current part",
            Self::Column(PartKind::Desired, ..) => "a column",
            Self::Column(PartKind::Current, ..) => "a current column",
        }
    }
}

impl<'t> Path<'t> {
    /// Reads a URL's path: it names collections and entities, nothing within them.
    pub(super) fn of_url(tree: &'t Tree, url: &UrlPath) -> Result<Self, DocumentError> {
        let mut path = Self { entities: Vec::with_capacity(url.segments.len() / 2), tail: Tail::Root };
        for pair in url.segments.chunks(2) {
            let endpoint =
                path.step(tree, &pair[0]).map_err(|problem| DocumentError::at(&url.pointer(), problem))?;
            path.tail = match pair.get(1) {
                None => Tail::Collection(endpoint),
                Some(key) => {
                    path.entities.push((endpoint, key.clone()));
                    Tail::Entity
                }
            };
        }
        Ok(path)
    }

    /// The collection of that name, below the last entity so far.
    fn step(&self, tree: &'t Tree, name: &str) -> Result<&'t Endpoint, Problem> {
        let level = self.level(tree);
        let found = level.get(name).map(|id| tree.get(*id));
        found.ok_or_else(|| Problem::NoCollection {
            name: name.to_owned(),
            known: level.keys().cloned().collect(),
        })
    }

    /// Reads a pointer.
    pub(super) fn parse(tree: &'t Tree, pointer: &Pointer) -> Result<Self, DocumentError> {
        let mut path = Self { entities: Vec::new(), tail: Tail::Root };
        let mut tokens = pointer.0.iter();
        while let Some(token) = tokens.next() {
            let endpoint = path.step(tree, token).map_err(|problem| DocumentError::at(pointer, problem))?;
            path.tail = Tail::Collection(endpoint);
            let Some(key) = tokens.next() else { break };
            path.entities.push((endpoint, key.clone()));
            path.tail = Tail::Entity;
            path.tail = match tokens.next().map(String::as_str) {
                None => Tail::Entity,
                Some("children") if tokens.len() == 0 => Tail::Children,
                Some("children") => continue,
                Some("desired") => Self::within(PartKind::Desired, tokens.as_slice()),
                Some("current") => Self::within(PartKind::Current, tokens.as_slice()),
                Some(other) => {
                    return Err(DocumentError::at(pointer, Problem::UnknownMember(other.to_owned())));
                }
            };
            break;
        }
        Ok(path)
    }

    fn within(kind: PartKind, rest: &[String]) -> Tail<'t> {
        match rest.split_first() {
            None => Tail::Part(kind),
            Some((column, rest)) => Tail::Column(kind, column.clone(), rest.to_vec()),
        }
    }

    fn level(&self, tree: &'t Tree) -> &'t std::collections::BTreeMap<String, super::tree::EndpointId> {
        self.entities.last().map_or(tree.roots(), |(endpoint, _)| &endpoint.children)
    }

    /// The endpoint that decides who may look there.
    pub(super) fn endpoint(&self) -> Option<&'t Endpoint> {
        match self.tail {
            Tail::Root => None,
            Tail::Collection(endpoint) => Some(endpoint),
            _ => self.entities.last().map(|(endpoint, _)| *endpoint),
        }
    }

    /// What `caller` may do there, given the key of the first entity.
    pub(super) fn grant(&self, caller: &Caller, root: Option<&Key>) -> Grant {
        match (self.endpoint(), self.entities.is_empty()) {
            (None, _) => Grant::Read,
            (Some(endpoint), true) => endpoint.mode.grant_root(caller),
            (Some(endpoint), false) => grant(endpoint, caller, root),
        }
    }
}

/// What `caller` may do with rows at an endpoint, given the key of the path's first entity (or nothing, where
/// there is no such entity yet).
pub(super) fn grant(endpoint: &Endpoint, caller: &Caller, root: Option<&Key>) -> Grant {
    let root = root.and_then(|key| key.values().first()).unwrap_or(&Value::Null);
    endpoint.mode.grant(caller, root)
}

/// Refuses what is not granted.
pub(super) fn need(
    caller: &Caller,
    granted: Grant,
    needed: Grant,
    path: &Pointer,
) -> Result<(), DocumentError> {
    if granted >= needed {
        return Ok(());
    }
    Err(DocumentError::at(path, refusal(caller, needed)))
}

/// What a caller lacks.
pub(super) fn refusal(caller: &Caller, needed: Grant) -> Problem {
    match (caller, needed) {
        (Caller::Nobody, _) => Problem::Unauthenticated,
        (_, Grant::Write) => Problem::AccessDenied { what: "change this".into() },
        _ => Problem::AccessDenied { what: "see this".into() },
    }
}

/// Whether a placeholder can stand in a key column: the cloud itself gives the UUID.
fn takes_placeholder(tree: &Tree, endpoint: &Endpoint, column: &ColumnSchema) -> bool {
    column.ty == ColumnType::Uuid
        && match &column.references {
            Some(table) => tree.schema().table(table).is_some_and(|table| !table.schema().user_key),
            None => !endpoint.table.schema().user_key,
        }
}

/// A key as far as it is known.
pub(super) enum Bound {
    /// A key.
    Key(Key),
    /// A placeholder that stands for no UUID yet.
    Open(String),
}

/// The key of the row that `segment` names below the row `above`. `name` says what placeholders stand for.
pub(super) fn bind_key(
    tree: &Tree,
    endpoint: &Endpoint,
    above: Option<&Key>,
    segment: &str,
    name: &dyn Fn(&str) -> Option<Uuid>,
) -> Result<Bound, KeyError> {
    let mut open = endpoint.open_key_places().filter_map(|place| endpoint.table.schema().key.get(place));
    let given = match (open.next(), open.next()) {
        (Some(column), None)
            if takes_placeholder(tree, endpoint, column) && segment.parse::<Uuid>().is_err() =>
        {
            match name(segment) {
                Some(uuid) => Key::one(Value::Uuid(uuid)),
                None => return Ok(Bound::Open(segment.to_owned())),
            }
        }
        (Some(column), None) => Key::parse(std::slice::from_ref(column), segment)?,
        (first, second) => {
            let columns: Vec<ColumnSchema> = first.into_iter().chain(second).chain(open).cloned().collect();
            Key::parse(&columns, segment)?
        }
    };
    if endpoint.fixed_key_place().is_none() {
        return Ok(Bound::Key(given));
    }
    Ok(Bound::Key(assemble(endpoint, above, given.values().to_vec())))
}

/// A whole key from the parent's and the values of the open columns, in order.
pub(super) fn assemble(endpoint: &Endpoint, above: Option<&Key>, given: Vec<Value>) -> Key {
    let mut given = given.into_iter();
    let fixed = endpoint.fixed_key_place();
    let parent = || above.and_then(|key| key.values().first()).cloned();
    Key::of((0..endpoint.table.schema().key.len()).map(|place| {
        let value = if Some(place) == fixed { parent() } else { given.next() };
        value.unwrap_or_default()
    }))
}

/// What stands for a row in the path: its key without what the path gives anyway.
pub(super) fn segment(endpoint: &Endpoint, key: &Key) -> Key {
    Key::of(endpoint.open_key_places().filter_map(|place| key.values().get(place)).cloned())
}

/// The pointer to a row.
pub(super) fn pointer(steps: &[Step<'_>]) -> Pointer {
    let mut tokens = Vec::new();
    for step in steps {
        if !tokens.is_empty() {
            tokens.push("children".to_owned());
        }
        tokens.extend([step.endpoint.name.clone(), segment(step.endpoint, &step.key).to_string()]);
    }
    Pointer(tokens)
}

/// Whether a row appears at an endpoint below the row `above`.
pub(super) fn appears(rows: &impl Cells, endpoint: &Endpoint, above: Option<&Key>, key: &Key) -> bool {
    let table = endpoint.table.id();
    if let Some(column) = &endpoint.only_null {
        let null = rows.value(table, key, PartKind::Desired, column).is_some_and(|value| value.is_null());
        if !null {
            return false;
        }
    }
    match (&endpoint.via, above.and_then(|above| above.values().first())) {
        (Some(via), Some(parent)) => match endpoint.fixed_key_place() {
            Some(place) => rows.exists(table, key) && key.values().get(place) == Some(parent),
            None => PartKind::BOTH
                .into_iter()
                .any(|kind| rows.value(table, key, kind, via).is_some_and(|value| value == *parent)),
        },
        (None, None) => rows.exists(table, key),
        _ => false,
    }
}

/// Finds the rows that the entities of a path name; all of them must be there.
pub(super) fn walk<'t>(
    tree: &'t Tree,
    rows: &impl Cells,
    entities: &[(&'t Endpoint, String)],
    name: &dyn Fn(&str) -> Option<Uuid>,
) -> Result<Vec<Step<'t>>, DocumentError> {
    let mut steps: Vec<Step<'t>> = Vec::with_capacity(entities.len());
    for (endpoint, segment) in entities {
        let above = steps.last().map(|step| step.key.clone());
        let found = match bind_key(tree, endpoint, above.as_ref(), segment, name) {
            Ok(Bound::Key(key)) if appears(rows, endpoint, above.as_ref(), &key) => Some(key),
            _ => None,
        };
        let Some(key) = found else {
            let mut path = pointer(&steps);
            if !steps.is_empty() {
                path = path.join("children");
            }
            let path = path.join(&endpoint.name).join(segment);
            let table = endpoint.table.name().to_owned();
            return Err(DocumentError::at(&path, Problem::NoRow { table, key: segment.clone() }));
        };
        steps.push(Step { endpoint, key });
    }
    Ok(steps)
}

/// All paths by which a row can be reached at an endpoint: the keys of their entities, from the root down to it.
pub(super) fn key_paths(tree: &Tree, rows: &impl Cells, endpoint: &Endpoint, key: &Key) -> Vec<Vec<Key>> {
    let (Some(parent), Some(via)) = (endpoint.parent, &endpoint.via) else {
        return if appears(rows, endpoint, None, key) { vec![vec![key.clone()]] } else { Vec::new() };
    };
    let mut found = Vec::new();
    for value in parent_values(rows, endpoint, via, key) {
        let above = Key::one(value);
        if appears(rows, endpoint, Some(&above), key) {
            found.extend(key_paths(tree, rows, tree.get(parent), &above).into_iter().map(|mut path| {
                path.push(key.clone());
                path
            }));
        }
    }
    found
}

/// The keys of the first entities of all paths by which a row can be reached at an endpoint.
pub(super) fn root_keys(tree: &Tree, rows: &impl Cells, endpoint: &Endpoint, key: &Key) -> Vec<Key> {
    let mut found = Vec::new();
    for root in key_paths(tree, rows, endpoint, key).into_iter().filter_map(|path| path.into_iter().next()) {
        if !found.contains(&root) {
            found.push(root);
        }
    }
    found
}

fn parent_values(rows: &impl Cells, endpoint: &Endpoint, via: &str, key: &Key) -> Vec<Value> {
    if let Some(place) = endpoint.fixed_key_place() {
        return key.values().get(place).cloned().into_iter().collect();
    }
    let value = |kind| rows.value(endpoint.table.id(), key, kind, via).filter(|value| !value.is_null());
    let mut values: Vec<Value> = PartKind::BOTH.into_iter().filter_map(value).collect();
    values.dedup();
    values
}
