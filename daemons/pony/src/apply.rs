//! From documents that people write to one patch: names become UUIDs or placeholders, entities become merges.
//!
//! A document is a piece of the cloud's document. Where the API wants UUIDs, a document may have names: in
//! keys, and in columns that refer to other tables. A name that exists stands for its UUID, so that a document
//! can be applied again and again; another one in a key makes a new entity of that name. What has no name is known
//! again by its `index`, or else by being as it is written.

use crate::browse::{BrowseError, Browser, Located, pointer};
use crate::catalog::Table;
use serde_json::{Map, Value as Json, json};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// Levels that documents may nest: the API's paths have five.
const LEVELS_MAX: usize = 12;
/// Entities of one patch: what a transaction should hold.
const ENTITIES_MAX: usize = 10_000;

/// Why documents cannot be applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Something else stands where an object should.
    #[error("{place}: expected {expected}")]
    Shape {
        /// Where.
        place: String,
        /// What would be right.
        expected: &'static str,
    },
    /// No table is mounted there.
    #[error("{place}: there is no collection `{name}` here")]
    Mount {
        /// Where.
        place: String,
        /// What was written.
        name: String,
    },
    /// A member that entities do not have.
    #[error("{place}: entities have `desired` and `children`, not `{name}`")]
    Member {
        /// Where.
        place: String,
        /// What was written.
        name: String,
    },
    /// A reference to something that neither exists nor is made.
    #[error("{place}: column `{column}`")]
    Reference {
        /// Where.
        place: String,
        /// Which column.
        column: String,
        /// Why.
        #[source]
        source: Box<BrowseError>,
    },
    /// Two new entities of one name, and a reference to it.
    #[error(
        "{place}: column `{column}`: there are several new rows of {table} named `{word}`; give them keys that start with $"
    )]
    Ambiguous {
        /// Where.
        place: String,
        /// Which column.
        column: String,
        /// The table referred to.
        table: String,
        /// The name.
        word: String,
    },
    /// Too much at once.
    #[error("more than {ENTITIES_MAX} entities; apply them in several runs")]
    TooMany,
    /// The cloud could not be asked.
    #[error(transparent)]
    Browse(#[from] BrowseError),
}

/// What is to be done.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// The patch, paths from the root.
    pub operations: Vec<Json>,
    /// What it does, one line per entity.
    pub summary: Vec<String>,
}

/// An entity of a document.
#[derive(Debug)]
struct Entity {
    /// Mount names from the root.
    mounts: Vec<String>,
    /// As many keys, as they were written.
    words: Vec<String>,
    table: String,
    /// None removes it.
    desired: Option<Map<String, Json>>,
}

impl Entity {
    fn place(&self) -> String {
        let pairs = self.mounts.iter().zip(&self.words).map(|(mount, word)| format!("/{mount}/{word}"));
        pairs.collect()
    }
}

/// Makes a patch of documents.
///
/// # Errors
/// See [`ApplyError`].
pub async fn plan(browser: &mut Browser<'_>, documents: &[Json]) -> Result<Plan, ApplyError> {
    let mut entities = Vec::new();
    for document in documents {
        let Some(collections) = document.as_object() else {
            return Err(ApplyError::Shape {
                place: "document".to_owned(),
                expected: "an object of collections",
            });
        };
        flatten(browser, collections, (&[], &[]), &mut entities)?;
    }
    let mut planner = Planner::default();
    for entity in &entities {
        planner.settle_key(browser, entity).await?;
    }
    let mut plan = Plan::default();
    let mut made = HashSet::new();
    for entity in &entities {
        planner.add(browser, entity, &mut made, &mut plan).await?;
    }
    Ok(plan)
}

fn flatten(
    browser: &Browser<'_>,
    collections: &Map<String, Json>,
    (mounts, words): (&[String], &[String]),
    entities: &mut Vec<Entity>,
) -> Result<(), ApplyError> {
    let place: String = mounts.iter().zip(words).map(|(mount, word)| format!("/{mount}/{word}")).collect();
    for (name, rows) in collections {
        let mounts = [mounts, &[name.replace('_', "-")]].concat();
        let mount = browser.catalog().mount(&mounts);
        let at = if place.is_empty() { "document" } else { &place };
        let mount = mount.ok_or_else(|| ApplyError::Mount { place: at.to_owned(), name: name.clone() })?;
        let rows = rows.as_object().ok_or_else(|| ApplyError::Shape {
            place: format!("{place}/{name}"),
            expected: "an object of entities by key",
        })?;
        for (word, row) in rows {
            if entities.len() >= ENTITIES_MAX || mounts.len() > LEVELS_MAX {
                return Err(ApplyError::TooMany);
            }
            let words = [words, std::slice::from_ref(word)].concat();
            let (desired, children) = members(row, &format!("{place}/{name}/{word}"))?;
            let (mounts, table) = (mounts.clone(), mount.table.clone());
            entities.push(Entity { mounts: mounts.clone(), words: words.clone(), table, desired });
            if let Some(children) = children {
                flatten(browser, children, (&mounts, &words), entities)?;
            }
        }
    }
    Ok(())
}

type Members<'a> = (Option<Map<String, Json>>, Option<&'a Map<String, Json>>);

/// The desired part (none: remove it) and the children of an entity.
fn members<'a>(entity: &'a Json, place: &str) -> Result<Members<'a>, ApplyError> {
    let shape = |expected| ApplyError::Shape { place: place.to_owned(), expected };
    let entity = match entity {
        Json::Null => return Ok((None, None)),
        entity => entity.as_object().ok_or_else(|| shape("an entity, or null to remove it"))?,
    };
    // `current` is there when somebody edits what `pony get` printed; it cannot be ordered.
    let known = |name: &&String| ["desired", "children", "current"].contains(&name.as_str());
    if let Some(name) = entity.keys().find(|name| !known(name)) {
        return Err(ApplyError::Member { place: place.to_owned(), name: name.clone() });
    }
    let object = |name| match entity.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Object(object)) => Ok(Some(object)),
        Some(_) => Err(shape("objects in `desired` and `children`")),
    };
    Ok((Some(object("desired")?.cloned().unwrap_or_default()), object("children")?))
}

#[derive(Debug, Default)]
struct Planner {
    /// What became of the keys as they were written, by place.
    keys: HashMap<String, Key>,
    /// Rows that documents mention, by table and name.
    named: HashMap<(String, String), Vec<String>>,
}

#[derive(Debug, Clone)]
struct Key {
    key: String,
    is_new: bool,
}

impl Planner {
    /// Finds out what an entity's key means. Its parent's is known already.
    async fn settle_key(&mut self, browser: &mut Browser<'_>, entity: &Entity) -> Result<(), ApplyError> {
        let place = entity.place();
        if self.keys.contains_key(&place) {
            return Ok(());
        }
        let (Some(word), Some(table)) = (entity.words.last(), browser.catalog().table(&entity.table)) else {
            return Ok(());
        };
        let literal = !table.has_uuid_key() || Uuid::try_parse(word).is_ok();
        let key = if literal {
            Key { key: word.clone(), is_new: false }
        } else {
            let found = self.find(browser, entity, word).await?;
            found.map_or_else(
                || Key { key: placeholder(&place, word), is_new: true },
                |key| Key { key, is_new: false },
            )
        };
        self.named.entry((entity.table.clone(), word.clone())).or_default().push(key.key.clone());
        self.keys.insert(place, key);
        Ok(())
    }

    /// The key of the row that has this name, in this very place.
    async fn find(
        &self,
        browser: &mut Browser<'_>,
        entity: &Entity,
        word: &str,
    ) -> Result<Option<String>, ApplyError> {
        if word.starts_with('$') {
            return Ok(None);
        }
        let Some(path) = self.path(entity) else { return Ok(None) };
        let (collection, above) = (&path[path.len() - 1], &path[..path.len() - 1]);
        let rows = if above.is_empty() {
            browser.root(collection).await?
        } else {
            let parent = Located { path: above.to_vec(), key: String::new(), row: Default::default() };
            browser.children(&parent, collection).await?
        };
        let unnamed = self.marks(browser, entity).await;
        let is_it = |row: &Located| match &unnamed {
            None => row.row.name() == Some(word),
            Some(marks) => marks.iter().all(|(column, value)| row.row.desired(column) == Some(value)),
        };
        let mut found = rows.into_iter().filter(is_it).map(|row| row.key);
        match (found.next(), found.next()) {
            (Some(one), Some(other)) => Err(BrowseError::Several {
                table: entity.table.clone(),
                word: word.to_owned(),
                candidates: vec![one, other],
            }
            .into()),
            (found, _) => Ok(found),
        }
    }

    /// What tells a row of a table without names from others: columns and their values. `None`: it has a name.
    async fn marks(&self, browser: &mut Browser<'_>, entity: &Entity) -> Option<Map<String, Json>> {
        let table = browser.catalog().table(&entity.table).filter(|table| !table.has_desired("name"))?;
        let written = entity.desired.as_ref().filter(|desired| !desired.is_empty())?;
        if let Some(index) = written.get("index") {
            return Some(Map::from_iter([("index".to_owned(), index.clone())]));
        }
        // What refers to something that is not there is not there either.
        self.desired(browser, table, entity, written, false).await.ok()
    }

    /// The path of an entity's collection with the keys of what stands above it; none when that is new.
    fn path(&self, entity: &Entity) -> Option<Vec<String>> {
        let mut path = Vec::new();
        for level in 0..entity.mounts.len() - 1 {
            let key = self.keys.get(&place(entity, level)).filter(|key| !key.is_new)?;
            path.extend([entity.mounts[level].clone(), key.key.clone()]);
        }
        path.push(entity.mounts.last()?.clone());
        Some(path)
    }

    async fn add(
        &self,
        browser: &mut Browser<'_>,
        entity: &Entity,
        made: &mut HashSet<String>,
        plan: &mut Plan,
    ) -> Result<(), ApplyError> {
        let keys: Option<Vec<&Key>> =
            (0..entity.mounts.len()).map(|level| self.keys.get(&place(entity, level))).collect();
        let (Some(keys), Some(table)) = (keys, browser.catalog().table(&entity.table)) else { return Ok(()) };
        let path: Vec<String> = entity
            .mounts
            .iter()
            .zip(&keys)
            .flat_map(|(mount, key)| [mount.clone(), key.key.clone()])
            .collect();
        let place = entity.place();
        // What an earlier document makes is there for a later one.
        let is_new = keys.last().is_some_and(|key| key.is_new && !made.contains(&place));
        let (verb, operation) = match &entity.desired {
            None if is_new => return Ok(()),
            None => ("removed", json!({"op": "remove", "path": pointer(&path)})),
            Some(desired) if desired.is_empty() && !is_new && table.has_uuid_key() => return Ok(()),
            Some(desired) => {
                let desired = self.desired(browser, table, entity, desired, is_new).await?;
                let verb = if is_new { "created" } else { "merged" };
                made.extend(is_new.then(|| place.clone()));
                (verb, json!({"op": "x-merge", "path": pointer(&path), "value": {"desired": desired}}))
            }
        };
        plan.operations.push(operation);
        plan.summary.push(format!("{verb} {place}"));
        Ok(())
    }

    /// A desired part with names turned into keys.
    async fn desired(
        &self,
        browser: &mut Browser<'_>,
        table: &Table,
        entity: &Entity,
        written: &Map<String, Json>,
        is_new: bool,
    ) -> Result<Map<String, Json>, ApplyError> {
        let mut desired = written.clone();
        let word =
            entity.words.last().filter(|word| is_new && !word.starts_with('$') && table.has_desired("name"));
        if let Some(word) = word {
            desired.entry("name").or_insert_with(|| Json::from(word.as_str()));
        }
        for (column, value) in &mut desired {
            let target = table.columns.get(column).and_then(|column| column.references.clone());
            if let (Some(target), Some(word)) = (target, value.as_str()) {
                *value = Json::from(self.reference(browser, entity, column, &target, word).await?);
            }
        }
        Ok(desired)
    }

    async fn reference(
        &self,
        browser: &mut Browser<'_>,
        entity: &Entity,
        column: &str,
        target: &str,
        word: &str,
    ) -> Result<String, ApplyError> {
        let table = browser.catalog().table(target).filter(|table| table.has_uuid_key());
        let Some(table) = table.filter(|_| Uuid::try_parse(word).is_err()) else {
            return Ok(word.to_owned());
        };
        let (place, column) = (entity.place(), column.to_owned());
        match self.named.get(&(target.to_owned(), word.to_owned())).map(Vec::as_slice) {
            Some([key]) => Ok(key.clone()),
            Some(_) => {
                Err(ApplyError::Ambiguous { place, column, table: target.to_owned(), word: word.to_owned() })
            }
            None => match browser.one(table, word).await {
                Ok(row) => Ok(row.key),
                Err(source) => Err(ApplyError::Reference { place, column, source: Box::new(source) }),
            },
        }
    }
}

fn place(entity: &Entity, level: usize) -> String {
    let pairs = entity.mounts.iter().zip(&entity.words).take(level + 1);
    pairs.map(|(mount, word)| format!("/{mount}/{word}")).collect()
}

/// What stands for a new entity's UUID: one text per place, unless the user chose one.
fn placeholder(place: &str, word: &str) -> String {
    if word.starts_with('$') { word.to_owned() } else { format!("${place}") }
}
