//! What tables there are and where they are mounted, as `GET /v1/schema` tells. No table is known here by name.

use crate::browse::Located;
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;

/// Levels of the endpoint tree that are read: the API has five, and the answer is not trusted to end.
const LEVELS_MAX: usize = 12;

/// The tables of a cloud and where they are mounted.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    tables: BTreeMap<String, Table>,
    mounts: Vec<Mount>,
}

/// A table.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// Its name, with underscores.
    pub name: String,
    /// Its key columns, in order.
    pub key: Vec<String>,
    /// Its columns by name.
    pub columns: BTreeMap<String, Column>,
}

/// A column.
#[derive(Debug, Clone, Default)]
pub struct Column {
    /// The word for its type, such as `uuid`.
    pub kind: String,
    /// Whether it may be null.
    pub nullable: bool,
    /// The table whose key it holds.
    pub references: Option<String>,
    /// Whether it stands in the key, desired, current part.
    pub parts: Vec<String>,
    /// What becomes of the row when that one goes: `cascade` and the like.
    pub on_delete: Option<String>,
    /// Whether the row belongs to that one.
    pub follows: bool,
}

/// A column by which the rows of a table refer to those of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referrer {
    /// The table that refers.
    pub table: String,
    /// By which column.
    pub column: String,
}

/// References that keep nothing alive, though the schema says so: what a volume is made for, and whose it is. It is
/// ordered deleted then, and its row lets go of them.
const GIVEN_UP: [(&str, &str); 2] = [("volume", "tenant"), ("volume", "image")];

/// A place where a table's rows appear.
#[derive(Debug, Clone)]
pub struct Mount {
    /// Mount names from the root, with hyphens.
    pub path: Vec<String>,
    /// The table.
    pub table: String,
    /// Whether only rows with a null in some column are shown, where the schema says so.
    filtered: Option<bool>,
    /// Whether rows can be written there.
    pub writable: bool,
}

/// Why a table could not be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// There is none of that name.
    #[error("there is no table `{word}`; there are {}", .tables.join(", "))]
    Unknown {
        /// What was asked for.
        word: String,
        /// What there is.
        tables: Vec<String>,
    },
}

impl Catalog {
    /// Reads the answer of `GET /v1/schema`; what it does not understand, it leaves out.
    #[must_use]
    pub fn read(schema: &Map<String, Json>) -> Self {
        let mut catalog = Self::default();
        catalog.read_level(schema, &[]);
        catalog
            .mounts
            .sort_by(|one, other| (one.path.len(), &one.path).cmp(&(other.path.len(), &other.path)));
        catalog
    }

    fn read_level(&mut self, level: &Map<String, Json>, above: &[String]) {
        for (name, endpoint) in level {
            let path: Vec<String> = above.iter().cloned().chain([name.clone()]).collect();
            let Some(table) = endpoint["table"].as_str() else { continue };
            self.tables.entry(table.to_owned()).or_insert_with(|| read_table(table, endpoint));
            let methods = endpoint["methods"].as_array();
            self.mounts.push(Mount {
                table: table.to_owned(),
                filtered: endpoint.get("only_null").map(|column| !column.is_null()),
                writable: methods.is_none_or(|methods| methods.iter().any(|method| method == "PATCH")),
                path: path.clone(),
            });
            if let (Some(children), true) = (endpoint["children"].as_object(), path.len() < LEVELS_MAX) {
                self.read_level(children, &path);
            }
        }
    }

    /// The table that a word means: its name with hyphens or underscores, in the singular or plural, or the name of
    /// a place where only that table is mounted.
    ///
    /// # Errors
    /// [`CatalogError::Unknown`].
    pub fn find(&self, word: &str) -> Result<&Table, CatalogError> {
        let forms = forms(word);
        let named = forms.iter().find_map(|form| self.tables.get(form));
        let mounted = || forms.iter().find_map(|form| self.mounted_as(&form.replace('_', "-")));
        let ended = || forms.iter().find_map(|form| self.ending_in(form));
        named.or_else(mounted).or_else(ended).ok_or_else(|| CatalogError::Unknown {
            word: word.to_owned(),
            tables: self.tables.keys().cloned().collect(),
        })
    }

    fn mounted_as(&self, name: &str) -> Option<&Table> {
        let mut tables =
            self.mounts.iter().filter(|mount| mount.path.last().is_some_and(|last| last == name));
        let first = tables.next()?;
        tables.all(|mount| mount.table == first.table).then(|| self.tables.get(&first.table))?
    }

    /// The one table whose name ends in a word: `pool` for `storage_pool`. How hosts see a table (`host_…`) is not
    /// what is meant.
    fn ending_in(&self, word: &str) -> Option<&Table> {
        let end = format!("_{word}");
        let mut tables = self
            .tables
            .values()
            .filter(|table| table.name.ends_with(&end) && !table.name.starts_with("host_"));
        tables.next().filter(|_| tables.next().is_none())
    }

    /// The table of exactly that name.
    #[must_use]
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.get(name)
    }

    /// The mount at a path.
    #[must_use]
    pub fn mount(&self, path: &[String]) -> Option<&Mount> {
        self.mounts.iter().find(|mount| mount.path == path)
    }

    /// Ways to see all rows of a table, best first. Each is a set of mounts whose rows, taken together, are what there
    /// is to see; a way may be closed to this caller.
    #[must_use]
    pub fn ways(&self, table: &str) -> Vec<Vec<&Mount>> {
        let mounts: Vec<&Mount> = self.mounts.iter().filter(|mount| mount.table == table).collect();
        let Some(shallowest) = mounts.first().map(|mount| mount.path.len()) else { return Vec::new() };
        let complete = mounts.iter().filter(|mount| self.is_complete(mount)).map(|mount| vec![*mount]);
        let mut ways: Vec<Vec<&Mount>> = complete.collect();
        ways.push(mounts.iter().filter(|mount| mount.path.len() <= shallowest + 1).copied().collect());
        ways
    }

    /// Where rows go along when one of a table is removed. What the cloud keeps for itself is left out.
    #[must_use]
    pub fn going_along(&self, table: &str) -> Vec<Referrer> {
        let is_ordered = |name: &str| self.mounts.iter().any(|mount| mount.table == name && mount.writable);
        let tables = self.tables.values().filter(|it| is_ordered(&it.name));
        let columns = tables.flat_map(|it| it.columns.iter().map(move |(name, column)| (it, name, column)));
        let goes = columns.filter(|(it, name, column)| {
            column.references.as_deref() == Some(table)
                && (column.on_delete.as_deref() == Some("cascade")
                    || GIVEN_UP.contains(&(it.name.as_str(), name.as_str())))
        });
        goes.map(|(it, name, _)| Referrer { table: it.name.clone(), column: name.clone() }).collect()
    }

    /// The columns that say what a table's rows belong to.
    pub fn owners(&self, table: &str) -> impl Iterator<Item = String> {
        let columns = self.table(table).into_iter().flat_map(|table| &table.columns);
        columns.filter(|(_, column)| column.follows).map(|(name, _)| name.clone())
    }

    /// Whether hosts have something of a table's rows, and tell how they do: there is a `host_…` table of it.
    #[must_use]
    pub fn is_realized(&self, table: &str) -> bool {
        self.tables.contains_key(&format!("host_{table}"))
    }

    /// Paths at which a row may appear, its own first: where its columns say what is above it.
    #[must_use]
    pub fn places(&self, table: &str, row: &Located) -> Vec<Vec<String>> {
        let mut places = vec![row.path.clone()];
        let Some(columns) = self.table(table).map(|table| &table.columns) else { return places };
        for mount in self.mounts.iter().filter(|mount| mount.table == table) {
            let above = match mount.path.as_slice() {
                [_] => Some(Vec::new()),
                [parent, _] => self.mount(std::slice::from_ref(parent)).and_then(|above| {
                    let refers =
                        |(_, column): &(&String, &Column)| column.references.as_ref() == Some(&above.table);
                    let (name, _) = columns.iter().find(refers)?;
                    Some(vec![parent.clone(), row.row.desired_text(name)?.to_owned()])
                }),
                _ => None,
            };
            let own = mount.path.last().map(|name| vec![name.clone(), row.key.clone()]);
            places.extend(
                above.zip(own).map(|(above, own)| [above, own].concat()).filter(|it| *it != row.path),
            );
        }
        places
    }

    /// The name under which a table is mounted right below an entity's path.
    #[must_use]
    pub fn child(&self, place: &[String], table: &str) -> Option<String> {
        let above: Vec<&String> = place.iter().step_by(2).collect();
        let is_there = |mount: &&Mount| {
            mount.table == table
                && mount.path.len() == above.len() + 1
                && mount.path.iter().zip(&above).all(|(a, b)| a == *b)
        };
        self.mounts.iter().find(is_there).and_then(|mount| mount.path.last().cloned())
    }

    /// Whether every row of the table appears at this mount.
    fn is_complete(&self, mount: &Mount) -> bool {
        let Some(table) = self.tables.get(&mount.table) else { return false };
        let Some((_, above)) = mount.path.split_last() else { return false };
        if above.is_empty() {
            // A schema that does not say: tables that have owners show at the root those rows that have none.
            let owned = table.columns.get("tenant").is_some_and(|column| column.nullable);
            return !mount.filtered.unwrap_or(owned);
        }
        let Some(parent) = self.mount(above).filter(|parent| self.is_complete(parent)) else { return false };
        let mut links =
            table.columns.values().filter(|column| column.references.as_ref() == Some(&parent.table));
        // Several links: which of them counts is not said.
        links.next().is_some_and(|link| !link.nullable) && links.next().is_none()
    }
}

impl Table {
    /// Whether its rows have a column of that name in the desired part.
    #[must_use]
    pub fn has_desired(&self, column: &str) -> bool {
        self.columns.get(column).is_some_and(|column| column.parts.iter().any(|part| part == "desired"))
    }

    /// Whether the cloud gives out its keys: a single UUID.
    #[must_use]
    pub fn has_uuid_key(&self) -> bool {
        matches!(self.key.as_slice(), [key] if self.columns.get(key).is_none_or(|column| column.kind == "uuid"))
    }
}

fn read_table(name: &str, endpoint: &Json) -> Table {
    let strings = |json: &Json| match json {
        Json::String(one) => vec![one.clone()],
        Json::Array(several) => several.iter().filter_map(Json::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let column = |described: &Json| Column {
        kind: described["type"].as_str().unwrap_or_default().to_owned(),
        nullable: described["nullable"].as_bool().unwrap_or_default(),
        references: described["references"].as_str().map(str::to_owned),
        parts: strings(&described["parts"]),
        on_delete: described["on_delete"].as_str().map(str::to_owned),
        follows: described["follows"].as_bool().unwrap_or_default(),
    };
    let described = endpoint["columns"].as_object().into_iter().flatten();
    Table {
        name: name.to_owned(),
        key: strings(&endpoint["pkey"]),
        columns: described.map(|(name, described)| (name.clone(), column(described))).collect(),
    }
}

/// The singular names that a word may mean.
fn forms(word: &str) -> Vec<String> {
    let word = word.to_lowercase().replace('-', "_");
    let mut forms = vec![word.clone()];
    forms.extend(word.strip_suffix('s').map(str::to_owned));
    forms.extend(word.strip_suffix("es").map(str::to_owned));
    forms.extend(word.strip_suffix("ies").map(|stem| format!("{stem}y")));
    forms
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    /// A small cloud in the manner of the real one.
    pub(crate) fn schema() -> Map<String, Json> {
        let column = |kind: &str, nullable: bool, references: Option<&str>| json!({"type": kind, "nullable": nullable, "references": references, "parts": ["desired"]});
        let endpoint = |table: &str, pkey: Json, columns: Json, children: Json| json!({"table": table, "pkey": pkey, "columns": columns, "children": children, "methods": ["GET", "PATCH"]});
        let owned = json!({"uuid": column("uuid", false, None), "name": column("text", false, None),
            "tenant": column("uuid", true, Some("tenant"))});
        let volume = json!({"uuid": column("uuid", false, None), "name": column("text", true, None),
            "storage_pool": column("uuid", false, Some("storage_pool")), "image": column("uuid", true, Some("image")),
            "base_image": column("uuid", true, Some("image")), "tenant": column("uuid", true, Some("tenant"))});
        let link = |to: &str| {
            json!({"uuid": column("uuid", false, None),
            "instance": column("uuid", false, Some("instance")), to: column("uuid", true, Some(to))})
        };
        let host_instance = json!({"host": column("uuid", false, Some("host")),
            "instance": column("uuid", false, Some("instance"))});
        let named = json!({"uuid": column("uuid", false, None), "name": column("text", false, None)});
        let uuid = || json!("uuid");
        let host_key = || json!(["host", "instance"]);
        let tenant_children = json!({
            "instance": endpoint("instance", uuid(), owned.clone(), json!({
                "vdisk": endpoint("vdisk", uuid(), link("volume"), json!({})),
                "vnic": endpoint("vnic", uuid(), link("switch"), json!({})),
                "host": endpoint("host_instance", host_key(), host_instance.clone(), json!({})),
            })),
            "volume": endpoint("volume", uuid(), volume.clone(), json!({})),
            "image": endpoint("image", uuid(), owned.clone(), json!({
                "volume": endpoint("volume", uuid(), volume.clone(), json!({}))})),
            "switch": endpoint("switch", uuid(), owned.clone(), json!({})),
        });
        let root = json!({
            "tenant": endpoint("tenant", uuid(), named.clone(), tenant_children),
            "image": endpoint("image", uuid(), owned.clone(), json!({})),
            "switch": endpoint("switch", uuid(), owned, json!({})),
            "storage-pool": endpoint("storage_pool", uuid(), named.clone(), json!({
                "volume": endpoint("volume", uuid(), volume, json!({}))})),
            "host": endpoint("host", uuid(), named, json!({
                "instance": endpoint("host_instance", host_key(), host_instance, json!({})),
                "role": endpoint("net_role", uuid(), json!({}), json!({})),
            })),
            "config": endpoint("config", json!("key"), json!({"key": column("text", false, None)}), json!({})),
        });
        root.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn tables_are_found_in_every_spelling() {
        let catalog = Catalog::read(&schema());
        for (word, table) in [
            ("instance", "instance"),
            ("Instances", "instance"),
            ("storage-pools", "storage_pool"),
            ("storage_pool", "storage_pool"),
            ("switches", "switch"),
            ("role", "net_role"),
            ("roles", "net_role"),
            ("host", "host"),
            ("host-instance", "host_instance"),
            ("pools", "storage_pool"),
        ] {
            assert_eq!(catalog.find(word).map(|table| table.name.as_str()), Ok(table), "{word}");
        }
        assert!(catalog.find("dragons").unwrap_err().to_string().contains("net_role"));
    }

    #[test]
    fn the_best_way_is_the_shortest_that_shows_everything() {
        let catalog = Catalog::read(&schema());
        let ways = |table| -> Vec<Vec<String>> {
            let paths = |way: Vec<&Mount>| way.iter().map(|mount| mount.path.join("/")).collect();
            catalog.ways(table).into_iter().map(paths).collect()
        };
        assert_eq!(ways("tenant")[0], ["tenant"]);
        assert_eq!(ways("volume")[0], ["storage-pool/volume"]);
        assert_eq!(ways("volume")[1], ["storage-pool/volume", "tenant/volume", "tenant/image/volume"]);
        assert_eq!(ways("image"), [["image", "tenant/image"]], "the public ones and everybody's own");
        assert_eq!(ways("instance"), [["tenant/instance"]]);
        assert_eq!(ways("host_instance")[0], ["host/instance"]);
        assert_eq!(ways("host_instance")[1], ["host/instance", "tenant/instance/host"]);
        assert!(ways("dragon").is_empty());
    }

    #[test]
    fn a_schema_that_says_what_is_filtered_is_believed() {
        let mut schema = schema();
        schema["image"]["only_null"] = Json::Null;
        assert_eq!(Catalog::read(&schema).ways("image")[0][0].path, ["image"]);
        schema["image"]["only_null"] = json!("tenant");
        assert_eq!(Catalog::read(&schema).ways("image").len(), 1);
    }

    #[test]
    fn nonsense_is_no_schema_but_no_harm() {
        let nonsense = json!({"a": 1, "b": {"table": 2}, "c": {"table": "c", "pkey": 3, "columns": [], "children": "x"}});
        let catalog = Catalog::read(nonsense.as_object().unwrap());
        assert_eq!(catalog.find("c").unwrap().key, [""; 0]);
    }
}
