//! The API as an `OpenAPI` 3.1 document, for `/v1/openapi.json`: generated from the tree of endpoints, and true for every
//! endpoint, answer and error. What the endpoints do is `pony_core::document`'s and [`crate::http`]'s affair.

mod answers;
mod operations;
mod others;
mod schemas;

use operations::{endpoint_paths, filter_parameters};
use pony_core::document::{Endpoint, Tree};
use serde_json::{Map, Value as Json, json};

/// What clients read of the API as a whole.
const DESCRIPTION: &str = "The whole cloud is one JSON document of entities with a desired part (what was ordered) and a \
    current part (what is). Collections end in a slash, entities do not. Where a new UUID should stand, write any other \
    text; the answer's `uuids` says what it became. Whatever takes GET takes HEAD, too, and OPTIONS says what a place takes.";

/// The document.
pub(crate) fn document(tree: &Tree) -> Json {
    let mut paths = others::paths();
    for endpoint in tree.endpoints() {
        paths.extend(endpoint_paths(tree, endpoint));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "PonyCloud",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"basic": []}, {"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas::all(tree),
            "responses": answers::responses(),
            "parameters": answers::parameters(filter_parameters(tree)),
            "headers": answers::headers(),
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic", "description": "email and password"},
                "token": {"type": "http", "scheme": "bearer", "description": "as of `/v1/token`"},
            },
        },
    })
}

/// `tenant/affinity-group` as `TenantAffinityGroup`.
fn camel(words: &str) -> String {
    let mut name = String::new();
    for word in words.split(['/', '-', '_']).filter(|word| !word.is_empty()) {
        let mut chars = word.chars();
        name.extend(chars.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(chars.as_str());
    }
    name
}

/// `/tenant/affinity-group` as `tenant_affinity_group`.
fn snake(path: &str) -> String {
    path.trim_start_matches('/').replace(['/', '-'], "_")
}

/// The endpoint and those above it, from the root.
fn ancestry<'t>(tree: &'t Tree, endpoint: &'t Endpoint) -> Vec<&'t Endpoint> {
    let mut line = vec![endpoint];
    while let Some(parent) = line.last().and_then(|last| last.parent) {
        line.push(tree.get(parent));
    }
    line.reverse();
    line
}

fn schema_ref(name: &str) -> Json {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn json_body(schema: &Json) -> Json {
    json!({"application/json": {"schema": schema}})
}

fn object(members: impl IntoIterator<Item = (String, Json)>) -> Json {
    Json::Object(members.into_iter().collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use pony_core::tables::new_state;
    use pony_state::Read;
    use std::path::Path;
    use std::sync::Arc;

    fn cloud() -> Json {
        let state = new_state().unwrap();
        document(&Tree::new(Arc::clone(state.schema())).unwrap())
    }

    /// JSON with line breaks in the outer levels only: a line for each operation, schema, parameter.
    fn outline(json: &Json, depth: usize) -> String {
        match json {
            Json::Object(members) if depth > 0 && !members.is_empty() => {
                let line = |(name, value)| format!("{}: {}", json!(name), outline(value, depth - 1));
                format!("{{\n{}\n}}", members.iter().map(line).collect::<Vec<_>>().join(",\n"))
            }
            _ => json.to_string(),
        }
    }

    #[test]
    fn the_document_is_as_reviewed() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/openapi.json");
        let text = format!("{}\n", outline(&cloud(), 3));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(golden == text, "{} differs: UPDATE_GOLDEN=1, and look at the diff", path.display());
    }

    /// Every `$ref` in a JSON document.
    fn references(json: &Json, found: &mut Vec<String>) {
        match json {
            Json::Object(members) => {
                found.extend(members.get("$ref").and_then(Json::as_str).map(str::to_owned));
                members.values().for_each(|member| references(member, found));
            }
            Json::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn all_that_is_named_is_there_and_nothing_is_named_twice() {
        let document = cloud();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 1000);
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        let operations = document["paths"].as_object().unwrap().values().flat_map(|path| {
            path.as_object().unwrap().values().filter_map(|operation| operation["operationId"].as_str())
        });
        let mut names: Vec<&str> = operations.collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn every_endpoint_has_its_methods() {
        let state = new_state().unwrap();
        let tree = Tree::new(Arc::clone(state.schema())).unwrap();
        let document = document(&tree);
        for endpoint in tree.endpoints() {
            let path = operations::collection_path(&tree, endpoint);
            let methods = |path: &str| {
                let item = document["paths"][path].as_object().unwrap_or_else(|| panic!("{path}"));
                item.keys().filter(|key| *key != "parameters").cloned().collect::<Vec<_>>().join(" ")
            };
            let (collection, entity) =
                if endpoint.is_writable() { ("get patch post", "delete get patch") } else { ("get", "get") };
            assert_eq!(methods(&path), collection, "{path}");
            assert_eq!(methods(&operations::entity_path(&tree, endpoint)), entity, "{path}");
        }
    }
}
