//! What bodies look like: of each table what is shown and what may be ordered, of each endpoint what may be created.

use super::{camel, object, schema_ref};
use pony_core::document::{Endpoint, LIST_ITEMS_MAX, OPERATIONS_MAX, TEXT_CHARS_MAX, Tree, text_chars_max};
use pony_state::{ColumnSchema, ColumnType, PartKind, TableDef, TableSchema};
use serde_json::{Map, Value as Json, json};

/// All schemas by name.
pub(super) fn all(tree: &Tree) -> Json {
    let mut schemas = fixed();
    for table in tree.schema().tables().iter().filter(|table| !table.schema().mounts.is_empty()) {
        schemas.extend(table_schemas(tree, table));
    }
    for endpoint in tree.endpoints() {
        schemas.insert(joined_name(endpoint), joined(tree, endpoint));
        if endpoint.is_writable() {
            schemas.insert(new_name(endpoint), new_entity(tree, endpoint));
        }
    }
    schemas.retain(|_, schema| !schema.is_null());
    Json::Object(schemas)
}

/// The entity of a table as it is shown.
pub(super) fn entity_name(table: &TableSchema) -> String {
    camel(&table.name)
}

/// An entity to be created at an endpoint.
pub(super) fn new_name(endpoint: &Endpoint) -> String {
    format!("New{}", camel(&endpoint.path))
}

/// What a join at an endpoint lists.
pub(super) fn joined_name(endpoint: &Endpoint) -> String {
    format!("{}Joined", camel(&endpoint.path))
}

/// A collection: entities by key.
pub(super) fn by_key(entity: &str) -> Json {
    json!({"type": "object", "additionalProperties": schema_ref(entity)})
}

fn fixed() -> Map<String, Json> {
    let operations = ["add", "remove", "replace", "move", "copy", "test", "x-merge", "x-verify"];
    let path = json!({
        "description": "A JSON Pointer into the document, relative to the URL, or its tokens",
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
    });
    let uuids = json!({
        "type": "object",
        "required": ["uuids"],
        "additionalProperties": false,
        "properties": {"uuids": {
            "description": "What each placeholder of the request became",
            "type": "object",
            "additionalProperties": {"type": "string", "format": "uuid"},
        }},
    });
    let text = || json!({"type": "string"});
    let problem = json!({
        "description": "RFC 9457, and `error` (a code), `message` (for people), `path` (where in the document)",
        "type": "object",
        "required": ["type", "title", "status", "detail", "instance", "error", "message"],
        "properties": {
            "type": text(), "title": text(), "detail": text(), "instance": text(),
            "status": {"type": "integer"}, "error": text(), "message": text(), "path": text(),
        },
    });
    let operation = json!({
        "type": "object",
        "required": ["op", "path"],
        "properties": {"op": {"type": "string", "enum": operations}, "path": path, "from": path, "value": {}},
    });
    Map::from_iter([
        ("Uuids".to_owned(), uuids),
        ("Problem".to_owned(), problem),
        ("PatchOperation".to_owned(), operation),
        (
            "JsonPatch".to_owned(),
            json!({
                "description": "RFC 6902, with `x-merge` (deep merge) and `x-verify` (deep test)",
                "type": "array",
                "maxItems": OPERATIONS_MAX,
                "items": schema_ref("PatchOperation"),
            }),
        ),
        ("MergePatch".to_owned(), json!({"description": "RFC 7396", "type": "object"})),
    ])
}

fn table_schemas(tree: &Tree, table: &TableDef) -> Vec<(String, Json)> {
    let (def, table) = (table, table.schema());
    let name = entity_name(table);
    let mut parts = Vec::new();
    let mut properties = Map::new();
    for (kind, word, has) in [
        (PartKind::Desired, "desired", table.has_desired),
        (PartKind::Current, "current", !table.current.is_empty()),
    ] {
        if has {
            let part = format!("{name}{}", camel(word));
            properties.insert(word.to_owned(), schema_ref(&part));
            parts.push((part, shown_part(table, kind)));
        }
    }
    let entity = json!({
        "description": table.doc,
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    parts.push((name.clone(), entity));
    if table.has_desired && !table.read_only {
        parts.push((format!("{name}Order"), order(tree, def)));
    }
    parts
}

/// A part as it is shown: nulls and secrets left out, so that nothing is sure to be there.
fn shown_part(table: &TableSchema, kind: PartKind) -> Json {
    let columns = table.key.iter().chain(table.part(kind)).filter(|column| !column.secret);
    let properties = columns.map(|column| (column.name.clone(), described(column, of_type(&column.ty))));
    json!({"type": "object", "properties": object(properties), "additionalProperties": false})
}

/// A desired part as it may be ordered. UUIDs may be placeholders.
fn order(tree: &Tree, def: &TableDef) -> Json {
    let table = def.schema();
    let columns = table.key.iter().chain(&table.desired);
    let properties = columns.map(|column| {
        let mut schema = if column.ty == ColumnType::Uuid {
            json!({"type": "string", "description": "A UUID, or a placeholder for a new one"})
        } else {
            bounded(table, column)
        };
        if column.nullable {
            schema = json!({"anyOf": [schema, {"type": "null"}]});
        }
        if let Some(default) = &column.default {
            schema["default"] = default.clone();
        }
        (column.name.clone(), described(column, schema))
    });
    let mut order =
        json!({"type": "object", "properties": object(properties), "additionalProperties": false});
    // Wherever it is given. What points at the entity above is known from the path there.
    let required: Vec<&str> = required(def).filter(|name| !tree.is_parent_column(def.id(), name)).collect();
    if !required.is_empty() {
        order["required"] = json!(required);
    }
    order
}

/// The columns that an order must have. Keys are not among them: the path, or the name of a child, may say them.
fn required(def: &TableDef) -> impl Iterator<Item = &str> {
    let columns = def.schema().desired.iter().filter(|it| !it.nullable && it.default.is_none());
    columns.map(|column| column.name.as_str())
}

/// What a column takes, with the bounds that hold for what people order.
fn bounded(table: &TableSchema, column: &ColumnSchema) -> Json {
    let mut schema = of_type(&column.ty);
    match &column.ty {
        ColumnType::Text => schema["maxLength"] = json!(text_chars_max(&table.name, &column.name)),
        ColumnType::List(item) => {
            schema["maxItems"] = json!(LIST_ITEMS_MAX);
            if **item == ColumnType::Text {
                schema["items"]["maxLength"] = json!(TEXT_CHARS_MAX);
            }
        }
        _ => {}
    }
    if let Some((min, max)) = column.range {
        (schema["minimum"], schema["maximum"]) = (json!(min), json!(max));
    }
    schema
}

fn described(column: &ColumnSchema, mut schema: Json) -> Json {
    if !column.doc.is_empty() {
        schema["description"] = json!(column.doc);
    }
    schema
}

fn new_entity(tree: &Tree, endpoint: &Endpoint) -> Json {
    let table = &endpoint.table;
    let mut order = schema_ref(&format!("{}Order", entity_name(table.schema())));
    // What the path says at other endpoints of the table.
    let elsewhere =
        |name: &&str| tree.is_parent_column(table.id(), name) && endpoint.via.as_deref() != Some(name);
    let required: Vec<&str> = required(table).filter(elsewhere).collect();
    if !required.is_empty() {
        order["required"] = json!(required);
    }
    let below = endpoint.children.values().map(|id| tree.get(*id)).filter(|child| child.is_writable());
    let children: Vec<(String, Json)> =
        below.map(|child| (child.name.clone(), by_key(&new_name(child)))).collect();
    let mut properties = Map::from_iter([("desired".to_owned(), order)]);
    if !children.is_empty() {
        let children = json!({
            "type": "object", "properties": object(children), "additionalProperties": false,
        });
        properties.insert("children".to_owned(), children);
    }
    json!({
        "type": "object",
        "required": ["desired"],
        "properties": properties,
        "additionalProperties": false,
    })
}

/// What a join lists: the entities that the join rows point to, each with the rows that do; null where there is none.
fn joined(tree: &Tree, endpoint: &Endpoint) -> Json {
    let Some(table) = join_target(tree, endpoint) else { return Json::Null };
    let join_row = entity_name(endpoint.table.schema());
    let name = entity_name(table);
    let mut properties = Map::from_iter([("joined".to_owned(), by_key(&join_row))]);
    for (word, has) in [("desired", table.has_desired), ("current", !table.current.is_empty())] {
        if has {
            properties.insert(word.to_owned(), schema_ref(&format!("{name}{}", camel(word))));
        }
    }
    json!({
        "type": "object",
        "required": ["joined"],
        "properties": properties,
        "additionalProperties": false,
    })
}

/// The table that the join rows at an endpoint point to.
pub(super) fn join_target<'t>(tree: &'t Tree, endpoint: &Endpoint) -> Option<&'t TableSchema> {
    let column = endpoint.table.column(endpoint.join_column()?)?;
    Some(tree.schema().table(column.references.as_deref()?)?.schema())
}

/// A column's type.
pub(super) fn of_type(ty: &ColumnType) -> Json {
    match ty {
        ColumnType::Bool => json!({"type": "boolean"}),
        ColumnType::Int => json!({"type": "integer", "format": "int64"}),
        ColumnType::Float => json!({"type": "number", "format": "double"}),
        ColumnType::Uuid => json!({"type": "string", "format": "uuid"}),
        ColumnType::Text => json!({"type": "string"}),
        ColumnType::Enum(words) => json!({"type": "string", "enum": words}),
        ColumnType::Inet | ColumnType::Cidr | ColumnType::Mac | ColumnType::Range => {
            json!({"type": "string"})
        }
        ColumnType::Json => json!({}),
        ColumnType::List(item) => json!({"type": "array", "items": of_type(item)}),
    }
}
