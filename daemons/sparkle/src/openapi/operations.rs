//! The operations of each endpoint of the tree.

use super::answers::{answers, parameter};
use super::schemas::{by_key, entity_name, join_target, joined_name, new_name, of_type};
use super::{ancestry, camel, json_body, object, schema_ref, snake};
use pony_core::document::{Endpoint, Tree};
use pony_state::{ColumnSchema, ColumnType, TableSchema};
use serde_json::{Map, Value as Json, json};

/// The path of an endpoint's collection.
pub(super) fn collection_path(tree: &Tree, endpoint: &Endpoint) -> String {
    let line = ancestry(tree, endpoint);
    let above = line.iter().enumerate().take(line.len() - 1);
    let above: String =
        above.map(|(at, step)| format!("{}/{{{}}}/", step.name, key_name(&line, at))).collect();
    format!("/v1/{above}{}/", endpoint.name)
}

/// What a path calls the key of an entity on its way: its endpoint's name, and the one's above, where that is taken.
fn key_name(line: &[&Endpoint], at: usize) -> String {
    let name = snake(&line[at].name);
    match line.get(at.wrapping_sub(1)) {
        Some(above) if line[..at].iter().any(|earlier| earlier.name == line[at].name) => {
            format!("{}_{name}", snake(&above.name))
        }
        _ => name,
    }
}

/// The path of an entity in it.
pub(super) fn entity_path(tree: &Tree, endpoint: &Endpoint) -> String {
    let line = ancestry(tree, endpoint);
    format!("{}{{{}}}", collection_path(tree, endpoint), key_name(&line, line.len() - 1))
}

/// All paths of an endpoint.
pub(super) fn endpoint_paths(tree: &Tree, endpoint: &Endpoint) -> Vec<(String, Json)> {
    let (collection, entity) = (collection_path(tree, endpoint), entity_path(tree, endpoint));
    let mut paths = vec![
        (collection.clone(), item(tree, endpoint, false, collection_operations(tree, endpoint))),
        (entity, item(tree, endpoint, true, entity_operations(endpoint))),
    ];
    if let Some(target) = join_target(tree, endpoint) {
        let operations = Map::from_iter([("get".to_owned(), list_joined(endpoint, target))]);
        paths.push((format!("{collection}_join/"), item(tree, endpoint, false, operations)));
    }
    paths
}

/// A path with its operations and the parameters that they share.
fn item(tree: &Tree, endpoint: &Endpoint, entity: bool, mut operations: Map<String, Json>) -> Json {
    let line = ancestry(tree, endpoint);
    let keys = if entity { line.len() } else { line.len() - 1 };
    let parameters: Vec<Json> = (0..keys).map(|at| key_parameter(&line, at)).collect();
    if !parameters.is_empty() {
        operations.insert("parameters".to_owned(), json!(parameters));
    }
    Json::Object(operations)
}

/// The part of a path that names an entity.
fn key_parameter(line: &[&Endpoint], at: usize) -> Json {
    let endpoint = line[at];
    let open: Vec<&ColumnSchema> =
        endpoint.open_key_places().filter_map(|place| endpoint.table.schema().key.get(place)).collect();
    let schema = match open.as_slice() {
        [column] => of_type(&column.ty),
        _ => json!({"type": "string"}),
    };
    let names: Vec<&str> = open.iter().map(|column| column.name.as_str()).collect();
    json!({
        "name": key_name(line, at),
        "in": "path",
        "required": true,
        "description": format!("{}: {}", endpoint.table.name(), names.join(", ")),
        "schema": schema,
    })
}

fn collection_operations(tree: &Tree, endpoint: &Endpoint) -> Map<String, Json> {
    let (name, tag) = (snake(&endpoint.path), endpoint.table.name());
    let entity = entity_name(endpoint.table.schema());
    let list = json!({
        "operationId": format!("list_{name}"),
        "tags": [tag],
        "summary": format!("List {}", collection_path(tree, endpoint)),
        "parameters": list_parameters(endpoint.table.schema()),
        "responses": answers(&json!({"description": "By key", "content": json_body(&by_key(&entity))}), &[400]),
    });
    let mut operations = Map::from_iter([("get".to_owned(), list)]);
    if endpoint.is_writable() {
        let mut create = json!({
            "operationId": format!("create_{name}"),
            "tags": [tag],
            "summary": format!("Create an entity of {tag}, and what belongs to it"),
            "requestBody": {"required": true, "content": json_body(&schema_ref(&new_name(endpoint)))},
            "responses": write_answers(&[]),
        });
        if let Some(links) = links(&ancestry(tree, endpoint)) {
            create["responses"]["200"]["links"] = links;
        }
        operations.insert("post".to_owned(), create);
        operations.insert("patch".to_owned(), patch(&format!("patch_{name}"), tag, &[]));
    }
    operations
}

/// What can be done with an entity that was made without a key of its own: the answer says which it got.
fn links(line: &[&Endpoint]) -> Option<Json> {
    let (endpoint, own) = (line.last()?, line.len() - 1);
    let mut open = endpoint.open_key_places().filter_map(|place| endpoint.table.schema().key.get(place));
    let (column, None) = (open.next()?, open.next()) else { return None };
    if column.ty != ColumnType::Uuid || endpoint.table.schema().user_key {
        return None;
    }
    let above = (0..own).map(|at| {
        let name = key_name(line, at);
        (format!("path.{name}"), json!(format!("$request.path.{name}")))
    });
    let made = (format!("path.{}", key_name(line, own)), json!("$response.body#/uuids/POST"));
    let parameters = object(above.chain([made]));
    let name = snake(&endpoint.path);
    let link = |verb: &str| json!({"operationId": format!("{verb}_{name}"), "parameters": parameters});
    Some(object(["get", "update", "delete"].map(|verb| (verb.to_owned(), link(verb)))))
}

fn entity_operations(endpoint: &Endpoint) -> Map<String, Json> {
    let (name, tag) = (snake(&endpoint.path), endpoint.table.name());
    let shown = json!({
        "description": "The entity",
        "headers": {"ETag": {"$ref": "#/components/headers/ETag"}},
        "content": json_body(&schema_ref(&entity_name(endpoint.table.schema()))),
    });
    let get = json!({
        "operationId": format!("get_{name}"),
        "tags": [tag],
        "summary": format!("Read an entity of {tag}"),
        "parameters": [parameter("IfNoneMatch")],
        "responses": answers(&shown, &[304, 400]),
    });
    let mut operations = Map::from_iter([("get".to_owned(), get)]);
    if endpoint.is_writable() {
        let delete = json!({
            "operationId": format!("delete_{name}"),
            "tags": [tag],
            "summary": format!("Remove an entity of {tag}, and what belongs to it"),
            "parameters": [parameter("IfMatch"), parameter("IfNoneMatch")],
            "responses": write_answers(&[412]),
        });
        operations.insert("delete".to_owned(), delete);
        let mut update = patch(&format!("update_{name}"), tag, &[412]);
        update["parameters"] = json!([parameter("IfMatch"), parameter("IfNoneMatch")]);
        operations.insert("patch".to_owned(), update);
    }
    operations
}

fn list_joined(endpoint: &Endpoint, target: &TableSchema) -> Json {
    json!({
        "operationId": format!("list_{}_joined", snake(&endpoint.path)),
        "tags": [endpoint.table.name()],
        "summary": format!("List the entities of {} that these rows point to", target.name),
        "parameters": list_parameters(target),
        "responses": answers(
            &json!({"description": "By key", "content": json_body(&by_key(&joined_name(endpoint)))}),
            &[400],
        ),
    })
}

/// A patch of what is at and below a place.
pub(super) fn patch(id: &str, tag: &str, more: &[u16]) -> Json {
    let content = json!({
        "application/json-patch+json": {"schema": schema_ref("JsonPatch")},
        "application/merge-patch+json": {"schema": schema_ref("MergePatch")},
    });
    json!({
        "operationId": id,
        "tags": [tag],
        "summary": "Apply a patch, in one transaction",
        "requestBody": {"required": true, "content": content},
        "responses": write_answers(&[&[415], more].concat()),
    })
}

/// The answers of what writes.
fn write_answers(more: &[u16]) -> Json {
    let done = json!({"description": "Done, and read by whoever reads now", "content": json_body(&schema_ref("Uuids"))});
    answers(&done, &[&[202, 400, 408, 409], more].concat())
}

/// Pages, fields, and a filter for each column that is shown.
fn list_parameters(table: &TableSchema) -> Vec<Json> {
    let shared = ["Limit", "After", "Fields"].map(parameter);
    let filters = filters(table).map(|column| parameter(&filter_name(table, column)));
    shared.into_iter().chain(filters).collect()
}

/// The parameters that filter collections, of all tables.
pub(super) fn filter_parameters(tree: &Tree) -> impl Iterator<Item = (String, Json)> {
    let tables = tree.schema().tables().iter().map(|table| table.schema());
    tables.filter(|table| !table.mounts.is_empty()).flat_map(|table| {
        filters(table).map(move |column| {
            let parameter = json!({
                "name": column.name,
                "in": "query",
                "description": format!("Only those with this {} in either part", column.name),
                "schema": filter_type(&column.ty),
            });
            (filter_name(table, column), parameter)
        })
    })
}

fn filter_name(table: &TableSchema, column: &ColumnSchema) -> String {
    format!("{}Filter{}", entity_name(table), camel(&column.name))
}

/// The columns by which a table can be filtered. One that is in several places is described by the first.
fn filters(table: &TableSchema) -> impl Iterator<Item = &ColumnSchema> {
    let columns = || table.key.iter().chain(&table.desired).chain(&table.current);
    columns().filter(|column| !column.secret).enumerate().filter_map(move |(at, column)| {
        let earlier = columns().filter(|it| !it.secret).take(at).any(|it| it.name == column.name);
        let taken = ["limit", "after", "fields"].contains(&column.name.as_str());
        (!earlier && !taken).then_some(column)
    })
}

/// What a filter of a column takes: one value, as text.
fn filter_type(ty: &ColumnType) -> Json {
    match ty {
        ColumnType::Json | ColumnType::List(_) => json!({"type": "string"}),
        _ => of_type(ty),
    }
}
