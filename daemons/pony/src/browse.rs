//! Rows of a table wherever they are mounted, and the one that a user means by a word.

use crate::catalog::{Catalog, CatalogError, Mount, Table};
use crate::client::{Client, ClientError};
use crate::row::Row;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::Value as Json;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// Lists that one command asks for at once: enough to hide the network's latency, too few to be a burden.
const REQUESTS_AT_ONCE: usize = 8;
/// Lists that one command may ask for: a cloud where this is not enough wants narrower questions.
const REQUESTS_MAX: usize = 10_000;
/// Characters from which on a beginning of a UUID is taken for one.
const PREFIX_CHARS_MIN: usize = 4;
/// Candidates that an ambiguous word is answered with.
const CANDIDATES_SHOWN: usize = 8;

/// A row and where it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Located {
    /// Its path below `/v1`: mount names and keys in turn.
    pub path: Vec<String>,
    /// Its key in the last collection of the path.
    pub key: String,
    /// What it holds.
    pub row: Row,
}

impl Located {
    /// Its path in the document, for patches: entities' children stand in `children`.
    #[must_use]
    pub fn pointer(&self) -> Vec<String> {
        pointer(&self.path)
    }

    /// What people call it: its name, or what it calls itself; without either, the key.
    #[must_use]
    pub fn label(&self) -> &str {
        self.row.name().or_else(|| self.row.alias()).unwrap_or(&self.key)
    }

    /// The key of the entity at a mount above this one.
    #[must_use]
    pub fn ancestor(&self, mount: &str) -> Option<&str> {
        let mut pairs = self.path.as_chunks::<2>().0.iter();
        pairs.find_map(|[name, key]| (name == mount).then_some(key.as_str()))
    }
}

/// A path below `/v1` as a path in the document.
#[must_use]
pub fn pointer(path: &[String]) -> Vec<String> {
    let below = |(level, pair): (usize, &[String])| {
        let children = (level > 0).then(|| "children".to_owned());
        children.into_iter().chain(pair.iter().cloned()).collect::<Vec<_>>()
    };
    path.chunks(2).enumerate().flat_map(below).collect()
}

/// How one host sees one row of another table.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// The host's key.
    pub host: String,
    /// The other row's key.
    pub of: String,
    /// The row that joins them.
    pub row: Row,
}

/// Why rows could not be told.
#[derive(Debug, thiserror::Error)]
pub enum BrowseError {
    /// A request failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// There is no such table.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// No row is meant by the word.
    #[error(
        "there is no {table} `{word}` (give a name, a UUID, or at least the first {PREFIX_CHARS_MIN} characters of one)"
    )]
    None {
        /// The table.
        table: String,
        /// What was asked for.
        word: String,
    },
    /// Several rows may be meant.
    #[error("`{word}` may mean several rows of {table}: {}; give a UUID", .candidates.join(", "))]
    Several {
        /// The table.
        table: String,
        /// What was asked for.
        word: String,
        /// Some of them.
        candidates: Vec<String>,
    },
    /// The table appears nowhere.
    #[error("{table} is not mounted anywhere that you may see")]
    Nowhere {
        /// The table.
        table: String,
    },
    /// Too many lists to ask for.
    #[error("looking through {table} takes more than {REQUESTS_MAX} requests")]
    TooMany {
        /// The table.
        table: String,
    },
}

/// Looks through a cloud. What it has once listed it remembers: it sees one moment, more or less.
pub struct Browser<'a> {
    client: &'a Client,
    catalog: &'a Catalog,
    /// By mount path.
    seen: HashMap<Vec<String>, Vec<Located>>,
    requests: usize,
}

impl fmt::Debug for Browser<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Browser").field("requests", &self.requests).finish_non_exhaustive()
    }
}

impl<'a> Browser<'a> {
    /// Looks at the cloud that the client knows.
    #[must_use]
    pub fn new(client: &'a Client, catalog: &'a Catalog) -> Self {
        Self { client, catalog, seen: HashMap::new(), requests: 0 }
    }

    /// The schema.
    #[must_use]
    pub fn catalog(&self) -> &'a Catalog {
        self.catalog
    }

    /// All rows of a table that the caller may see, in key order.
    ///
    /// # Errors
    /// See [`BrowseError`]; what the caller may not see is left out without one, unless that is everything.
    pub async fn rows(&mut self, table: &Table) -> Result<Vec<Located>, BrowseError> {
        let mut last = BrowseError::Nowhere { table: table.name.clone() };
        for way in self.catalog.ways(&table.name) {
            match self.rows_by(table, &way).await {
                Err(BrowseError::Client(error)) if error.is_out_of_sight() => last = error.into(),
                result => return result,
            }
        }
        Err(last)
    }

    /// The rows of a table by name, none when the caller may not see them: for what is good to know.
    ///
    /// # Errors
    /// See [`BrowseError`].
    pub async fn rows_if_visible(&mut self, table: &str) -> Result<Vec<Located>, BrowseError> {
        let Some(table) = self.catalog.table(table) else { return Ok(Vec::new()) };
        match self.rows(table).await {
            Err(BrowseError::Client(error)) if error.is_out_of_sight() => Ok(Vec::new()),
            Err(BrowseError::Nowhere { .. }) => Ok(Vec::new()),
            result => result,
        }
    }

    /// The rows at the mounts of one way; a mount out of sight is left out, unless all are.
    async fn rows_by(&mut self, table: &Table, way: &[&Mount]) -> Result<Vec<Located>, BrowseError> {
        let mut rows: BTreeMap<Vec<String>, Located> = BTreeMap::new();
        let mut out_of_sight = None;
        let mut visible = false;
        for mount in way {
            match self.rows_at(&mount.path).await {
                Ok(found) => {
                    visible = true;
                    for row in found {
                        rows.entry(identity(table, &row)).or_insert(row);
                    }
                }
                Err(BrowseError::Client(error)) if error.is_out_of_sight() => out_of_sight = Some(error),
                Err(error) => return Err(error),
            }
        }
        match out_of_sight {
            Some(error) if !visible => Err(error.into()),
            _ => Ok(rows.into_values().collect()),
        }
    }

    /// The rows at a mount, below all rows of the mount above it.
    async fn rows_at(&mut self, mount: &[String]) -> Result<Vec<Located>, BrowseError> {
        if let Some(rows) = self.seen.get(mount) {
            return Ok(rows.clone());
        }
        let Some((name, above)) = mount.split_last() else { return Ok(Vec::new()) };
        let collections: Vec<Vec<String>> = if above.is_empty() {
            vec![vec![name.clone()]]
        } else {
            let parents = Box::pin(self.rows_at(above)).await?;
            parents.into_iter().map(|parent| [parent.path, vec![name.clone()]].concat()).collect()
        };
        let rows = self.list_all(name, collections).await?;
        self.seen.insert(mount.to_vec(), rows.clone());
        Ok(rows)
    }

    async fn list_all(
        &mut self,
        name: &str,
        collections: Vec<Vec<String>>,
    ) -> Result<Vec<Located>, BrowseError> {
        self.requests += collections.len();
        if self.requests > REQUESTS_MAX {
            return Err(BrowseError::TooMany { table: name.to_owned() });
        }
        let below_something = collections.iter().any(|collection| collection.len() > 1);
        let client = self.client;
        let lists: Vec<Vec<Located>> = stream::iter(collections)
            .map(|collection| async move {
                match client.list(&collection).await {
                    Ok(rows) => {
                        Ok(rows.into_iter().map(|(key, row)| located(&collection, key, row)).collect())
                    }
                    // The parent went in the meantime.
                    Err(error) if below_something && error.status() == Some(404) => Ok(Vec::new()),
                    Err(error) => Err(error),
                }
            })
            .buffered(REQUESTS_AT_ONCE)
            .try_collect()
            .await?;
        Ok(lists.into_iter().flatten().collect())
    }

    /// The rows of a collection at the root.
    ///
    /// # Errors
    /// See [`BrowseError`].
    pub async fn root(&mut self, mount: &str) -> Result<Vec<Located>, BrowseError> {
        self.rows_at(&[mount.to_owned()]).await
    }

    /// The rows of a child collection of a row; none where there is no such collection.
    ///
    /// # Errors
    /// See [`BrowseError`].
    pub async fn children(&mut self, row: &Located, mount: &str) -> Result<Vec<Located>, BrowseError> {
        let names: Vec<String> = row.path.iter().step_by(2).cloned().chain([mount.to_owned()]).collect();
        if self.catalog.mount(&names).is_none() {
            return Ok(Vec::new());
        }
        let collection = [row.path.clone(), vec![mount.to_owned()]].concat();
        self.list_all(mount, vec![collection]).await
    }

    /// How the hosts see a row, as (host, row of `table`): below the row itself where that is mounted, else among all.
    ///
    /// # Errors
    /// See [`BrowseError`].
    pub async fn views(
        &mut self,
        table: &str,
        column: &str,
        row: &Located,
    ) -> Result<Vec<(String, Row)>, BrowseError> {
        let names: Vec<String> = row.path.iter().step_by(2).cloned().chain(["host".to_owned()]).collect();
        if self.catalog.mount(&names).is_some_and(|mount| mount.table == table) {
            let rows = self.children(row, "host").await?;
            return Ok(rows.into_iter().map(|view| (view.key, view.row)).collect());
        }
        let all = self.all_views(table, column).await?;
        Ok(all.into_iter().filter(|view| view.of == row.key).map(|view| (view.host, view.row)).collect())
    }

    /// How the hosts see all rows: the `host_…` table that joins hosts and the table in `column`.
    ///
    /// # Errors
    /// See [`BrowseError`]; none for callers who may not see it.
    pub async fn all_views(&mut self, table: &str, column: &str) -> Result<Vec<View>, BrowseError> {
        let rows = self.rows_if_visible(table).await?;
        let mount = column.replace('_', "-");
        let view = |row: Located| {
            let side = |name: &str, mount: &str| {
                row.row.text(name).or_else(|| row.ancestor(mount).map(str::to_owned))
            };
            // Mounted below one side, the row goes by the other.
            Some(View { host: side("host", "host")?, of: side(column, &mount)?, row: row.row.clone() })
        };
        Ok(rows.into_iter().filter_map(view).collect())
    }

    /// One row, by its path.
    ///
    /// # Errors
    /// See [`BrowseError`].
    pub async fn entity(&mut self, path: &[String]) -> Result<Located, BrowseError> {
        let row = Json::Object(self.client.get(path).await?);
        let key = path.last().cloned().unwrap_or_default();
        Ok(Located { path: path.to_vec(), key, row: Row::from(row) })
    }

    /// One row, by its path; none when it is not there, or not for the caller to see.
    ///
    /// # Errors
    /// See [`BrowseError`].
    pub async fn entity_if_visible(&mut self, path: &[String]) -> Result<Option<Located>, BrowseError> {
        match self.entity(path).await {
            Ok(row) => Ok(Some(row)),
            Err(BrowseError::Client(error)) if error.is_out_of_sight() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The row that a word means: its key, its name if no other row has it, or an unambiguous beginning of its UUID.
    ///
    /// # Errors
    /// See [`BrowseError`].
    pub async fn one(&mut self, table: &Table, word: &str) -> Result<Located, BrowseError> {
        let rows = self.rows(table).await?;
        choose(table, &rows, word)
    }

    /// The same, with the table by name.
    ///
    /// # Errors
    /// See [`BrowseError`].
    pub async fn one_of(&mut self, table: &str, word: &str) -> Result<Located, BrowseError> {
        let table = self.catalog.find(table)?;
        self.one(table, word).await
    }
}

fn located(collection: &[String], key: String, row: Json) -> Located {
    let path = collection.iter().cloned().chain([key.clone()]).collect();
    Located { path, key, row: Row::from(row) }
}

/// The whole key of a row: where the path gives a part of it, the last of its keys that do.
fn identity(table: &Table, row: &Located) -> Vec<String> {
    let missing = table.key.len().saturating_sub(1);
    let stated: Option<Vec<String>> = table.key.iter().map(|column| row.row.text(column)).collect();
    match stated {
        Some(key) if missing > 0 => key,
        _ => {
            let keys: Vec<String> = row.path.as_chunks::<2>().0.iter().map(|[_, key]| key.clone()).collect();
            keys[keys.len().saturating_sub(missing + 1)..].to_vec()
        }
    }
}

/// The row that a word means, among all of them.
///
/// # Errors
/// [`BrowseError::None`], [`BrowseError::Several`].
pub fn choose(table: &Table, rows: &[Located], word: &str) -> Result<Located, BrowseError> {
    let folded = word.to_lowercase();
    let exact = |row: &Located| row.key == word || row.key == folded;
    let named = |row: &Located| row.row.name() == Some(word) || row.row.alias() == Some(word);
    let begins = |row: &Located| folded.len() >= PREFIX_CHARS_MIN && row.key.starts_with(&folded);
    let tests: [&dyn Fn(&Located) -> bool; 3] = [&exact, &named, &begins];
    for test in tests {
        let mut found: Vec<&Located> = rows.iter().filter(|row| test(row)).collect();
        match found.len() {
            0 => {}
            1 => return Ok(found.remove(0).clone()),
            _ => {
                let shown = found.iter().take(CANDIDATES_SHOWN);
                let candidates = shown.map(|row| format!("{} ({})", row.key, row.label())).collect();
                return Err(BrowseError::Several {
                    table: table.name.clone(),
                    word: word.to_owned(),
                    candidates,
                });
            }
        }
    }
    Err(BrowseError::None { table: table.name.clone(), word: word.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rows() -> Vec<Located> {
        [("5f0c1d0e-1", "web"), ("5f0c9999-2", "db"), ("77aa0000-3", "db"), ("88bb0000-4", "5f0c9")]
            .map(|(key, name)| {
                located(
                    &["tenant".into(), "T".into(), "instance".into()],
                    key.into(),
                    json!({"desired": {"name": name}}),
                )
            })
            .to_vec()
    }

    fn chosen(word: &str) -> Result<String, BrowseError> {
        choose(&Table { name: "instance".into(), ..Table::default() }, &rows(), word).map(|row| row.key)
    }

    #[test]
    fn words_mean_keys_then_names_then_beginnings() {
        assert_eq!(chosen("5f0c1d0e-1").unwrap(), "5f0c1d0e-1");
        assert_eq!(chosen("web").unwrap(), "5f0c1d0e-1");
        assert_eq!(chosen("77AA").unwrap(), "77aa0000-3");
        assert_eq!(chosen("5f0c9").unwrap(), "88bb0000-4", "a name goes before a beginning");
        assert!(
            matches!(chosen("db"), Err(BrowseError::Several { candidates, .. }) if candidates.len() == 2)
        );
        assert!(matches!(chosen("5f0c"), Err(BrowseError::Several { .. })));
        assert!(matches!(chosen("77a"), Err(BrowseError::None { .. })), "too short a beginning");
        assert!(matches!(chosen(""), Err(BrowseError::None { .. })));
    }

    #[test]
    fn paths_become_pointers() {
        let row = &rows()[0];
        assert_eq!(row.pointer(), ["tenant", "T", "children", "instance", "5f0c1d0e-1"]);
        assert_eq!(row.ancestor("tenant"), Some("T"));
        assert_eq!(row.ancestor("host"), None);
    }
}
