//! `/v1/schema`.

use crate::cloud::Cloud;
use serde_json::Value as Json;
use std::fmt::Write as _;

/// The tree as text: mount, table, key, access, join, indented below its parent.
fn outline(level: &Json, depth: usize, text: &mut String) {
    for (name, endpoint) in level.as_object().unwrap() {
        let pkey = match &endpoint["pkey"] {
            Json::Array(columns) => {
                columns.iter().map(|it| it.as_str().unwrap()).collect::<Vec<_>>().join(",")
            }
            column => column.as_str().unwrap().to_owned(),
        };
        let access = endpoint["access"].as_str().unwrap();
        let table = endpoint["table"].as_str().unwrap();
        let mut line = format!("{}{name}: {table}({pkey}) {access}", "  ".repeat(depth));
        let join = endpoint["join"].as_array().unwrap();
        if !join.is_empty() {
            write!(
                line,
                " join {}",
                join.iter().map(|it| it.as_str().unwrap()).collect::<Vec<_>>().join("+")
            )
            .unwrap();
        }
        if endpoint["methods"].as_array().unwrap().len() == 1 {
            line.push_str(" read-only");
        }
        writeln!(text, "{line}").unwrap();
        outline(&endpoint["children"], depth + 1, text);
    }
}

/// The paths and access modes that clients rely on. To accept a change: `UPDATE_GOLDEN=1 cargo test`.
#[test]
fn the_tree_of_endpoints() {
    let mut text = String::new();
    outline(&Cloud::new().tree.describe(), 0, &mut text);
    crate::errors::golden("schema.txt", &text);
}

#[test]
fn columns_say_all_that_a_form_needs() {
    let schema = Cloud::new().tree.describe();
    let instance = &schema["tenant"]["children"]["instance"];
    assert_eq!(instance["pkey"], "uuid");
    assert_eq!(instance["fkeys"], serde_json::json!(["tenant", "cpu_profile", "host"]));
    let state = &instance["columns"]["state"];
    assert_eq!(state["type"], "enum");
    assert_eq!(state["values"], serde_json::json!(["running", "paused", "stopped"]));
    assert_eq!(state["default"], "stopped");
    assert_eq!(state["required"], false);
    assert_eq!(instance["columns"]["name"]["required"], true);
    assert_eq!(instance["columns"]["uuid"]["parts"], serde_json::json!(["key"]));
    assert_eq!(instance["columns"]["ns"]["items"]["type"], "inet");
    let host = &schema["host"]["children"]["nic"]["columns"]["host"];
    assert_eq!(host["parts"], serde_json::json!(["desired", "current"]));
    assert_eq!(schema["image"]["only_null"], "tenant");
    assert_eq!(schema["user"]["columns"]["data"]["secret"], true);
}
