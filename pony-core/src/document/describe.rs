//! The tree of endpoints as JSON, for `/v1/schema`: what a client needs to know of the API to use all of it.

use super::bounds::{LIST_ITEMS_MAX, text_chars_max};
use super::tree::{Endpoint, EndpointId, Tree};
use pony_state::{ColumnSchema, ColumnType, OnDelete, PartKind, Scope, TableSchema};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

impl Tree {
    /// The nested tree of endpoints: `{mount: {"pkey", "fkeys", "table", "access", "join", "children", "columns"}}`.
    #[must_use]
    pub fn describe(&self) -> Json {
        self.describe_level(self.roots())
    }

    fn describe_level(&self, level: &BTreeMap<String, EndpointId>) -> Json {
        level.iter().map(|(name, id)| (name.clone(), self.describe_endpoint(self.get(*id)))).collect()
    }

    fn describe_endpoint(&self, endpoint: &Endpoint) -> Json {
        let table = endpoint.table.schema();
        let access = table.mounts.iter().find(|mount| mount.path == endpoint.path).map(|mount| &mount.access);
        let join = table.join.as_ref().map_or_else(Vec::new, |(left, right)| vec![left, right]);
        json!({
            "pkey": pkey(table),
            "fkeys": foreign_keys(table),
            "table": table.name,
            "doc": table.doc,
            "access": access,
            "only_null": endpoint.only_null,
            "methods": if endpoint.is_writable() { vec!["GET", "POST", "PATCH", "DELETE"] } else { vec!["GET"] },
            "join": join,
            "children": self.describe_level(&endpoint.children),
            "columns": columns(table),
        })
    }
}

fn pkey(table: &TableSchema) -> Json {
    match table.key.as_slice() {
        [column] => json!(column.name),
        columns => columns.iter().map(|column| Json::from(column.name.as_str())).collect(),
    }
}

/// The columns that reference other tables.
fn foreign_keys(table: &TableSchema) -> Vec<&str> {
    let mut names = Vec::new();
    for column in table.key.iter().chain(&table.desired).chain(&table.current) {
        if column.references.is_some() && !names.contains(&column.name.as_str()) {
            names.push(column.name.as_str());
        }
    }
    names
}

/// What a table's columns are, by name. A column that both parts have is described as the desired part's.
fn columns(table: &TableSchema) -> Json {
    let mut described = Map::new();
    for (part, columns) in [("key", &table.key), ("desired", &table.desired), ("current", &table.current)] {
        for column in columns {
            let entry = described.entry(&column.name).or_insert_with(|| describe_column(table, part, column));
            if let Some(Json::Array(parts)) = entry.get_mut("parts") {
                parts.push(part.into());
            }
        }
    }
    Json::Object(described)
}

fn describe_column(table: &TableSchema, part: &str, column: &ColumnSchema) -> Json {
    let mut described = describe_type(&column.ty);
    let mut put = |name: &str, value: Json| described.insert(name.to_owned(), value);
    put("parts", json!([]));
    put("doc", json!(column.doc));
    put("nullable", json!(column.nullable));
    match &column.ty {
        ColumnType::Text => put("length_max", json!(text_chars_max(&table.name, &column.name))),
        ColumnType::List(_) => put("items_max", json!(LIST_ITEMS_MAX)),
        _ => None,
    };
    if let Some(default) = &column.default {
        put("default", default.clone());
    }
    if let Some(table) = &column.references {
        put("references", json!(table));
        if part != "current" && !column.soft {
            put("on_delete", json!(on_delete(column.on_delete)));
        }
    }
    if column.immutable || part == "key" {
        put("immutable", json!(true));
    }
    if let Some((min, max)) = column.range {
        put("min", json!(min));
        put("max", json!(max));
    }
    if matches!(column.scope, Some(Scope::Follows | Scope::FollowsOrAll)) && part != "current" {
        put("follows", json!(true));
    }
    if column.secret {
        put("secret", json!(true));
    }
    let required = part == "desired" && !table.read_only && !column.nullable && column.default.is_none();
    put("required", json!(required));
    Json::Object(described)
}

const fn on_delete(action: OnDelete) -> &'static str {
    match action {
        OnDelete::Restrict => "restrict",
        OnDelete::Cascade => "cascade",
        OnDelete::SetNull => "set-null",
    }
}

fn describe_type(ty: &ColumnType) -> Map<String, Json> {
    let name = match ty {
        ColumnType::Bool => "bool",
        ColumnType::Int => "int",
        ColumnType::Float => "float",
        ColumnType::Uuid => "uuid",
        ColumnType::Text => "text",
        ColumnType::Enum(_) => "enum",
        ColumnType::Inet => "inet",
        ColumnType::Cidr => "cidr",
        ColumnType::Mac => "mac",
        ColumnType::Range => "range",
        ColumnType::Json => "json",
        ColumnType::List(_) => "list",
    };
    let mut described = Map::from_iter([("type".to_owned(), json!(name))]);
    match ty {
        ColumnType::Enum(words) => described.insert("values".to_owned(), json!(words)),
        ColumnType::List(item) => described.insert("items".to_owned(), Json::Object(describe_type(item))),
        _ => None,
    };
    described
}

/// The columns of a part that are shown.
pub(super) fn shown(table: &TableSchema, kind: PartKind) -> impl Iterator<Item = &ColumnSchema> {
    let columns = match kind {
        PartKind::Desired => &table.desired,
        PartKind::Current => &table.current,
    };
    columns.iter().filter(|column| !column.secret)
}
