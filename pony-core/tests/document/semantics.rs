//! Random patches against the plain JSON document: what the RFCs say of a tree of objects is what happens to the rows.
//!
//! The oracle is the `json-patch` crate on `{"config": {key: {"desired": {"value": …}}}}`, with the rules that rows
//! add: an entity has a value that is not null; `add`, `copy` and `move` make no entity where one is; an entity
//! without its desired part is none.

use crate::cloud::Cloud;
use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

const KEYS: [&str; 3] = ["a", "b", "c"];

/// Values with few shapes and few names, so that paths often hit.
fn value() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![Just(Json::Null), (0..3).prop_map(Json::from), Just(json!("x"))];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
            prop::collection::btree_map("[xy~/]", inner, 0..3)
                .prop_map(|members| Json::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn entity_path() -> impl Strategy<Value = String> {
    prop::sample::select(&KEYS[..]).prop_map(|key| format!("/config/{key}"))
}

fn path() -> impl Strategy<Value = String> {
    let deeper = prop::collection::vec(prop::sample::select(vec!["x", "y", "~0", "~1", "0", "1", "-"]), 0..3);
    prop_oneof![
        2 => entity_path(),
        1 => entity_path().prop_map(|path| format!("{path}/desired")),
        6 => (entity_path(), deeper).prop_map(|(path, deeper)| {
            deeper.into_iter().fold(format!("{path}/desired/value"), |path, token| format!("{path}/{token}"))
        }),
    ]
}

/// What fits the place: an entity, a part, any value.
fn fitting(path: &str, value: Json) -> Json {
    match path.matches('/').count() {
        2 => json!({"desired": {"value": value}}),
        3 => json!({"value": value}),
        _ => value,
    }
}

fn operation() -> impl Strategy<Value = Json> {
    let with_value = prop::sample::select(vec!["add", "add", "replace", "test", "x-merge"]);
    prop_oneof![
        5 => (with_value, path(), value()).prop_map(|(op, path, value)| {
            let value = fitting(&path, value);
            json!({"op": op, "path": path, "value": value})
        }),
        2 => path().prop_map(|path| json!({"op": "remove", "path": path})),
        2 => (prop::sample::select(vec!["move", "copy"]), path(), path())
            .prop_map(|(op, from, path)| json!({"op": op, "from": from, "path": path})),
    ]
}

fn at<'a>(document: &'a Json, path: &str) -> Option<&'a Json> {
    document.pointer(path)
}

/// One operation on the plain document.
fn naive(document: &mut Json, operation: &Json) -> Result<(), String> {
    let (op, path) = (operation["op"].as_str().unwrap(), operation["path"].as_str().unwrap());
    let depth = |path: &str| path.matches('/').count();
    let entity = depth(path) == 2;
    if op == "x-merge" {
        return naive_merge(document, path, &operation["value"]);
    }
    if let Some(from) = operation["from"].as_str() {
        // Rows are taken to rows, parts to parts, values to values; a part cannot be moved away from its row.
        let kind = |path: &str| depth(path).min(4);
        if kind(from) != kind(path) || (op == "move" && depth(from) == 3 && from != path) {
            return Err("kinds".into());
        }
        if op == "move" && from == path {
            return at(document, from).map(drop).ok_or_else(|| "nothing".into());
        }
    }
    if entity && matches!(op, "add" | "copy" | "move") && at(document, path).is_some() {
        return Err("exists".into());
    }
    let patch: json_patch::Patch = serde_json::from_value(json!([operation])).map_err(|it| it.to_string())?;
    json_patch::patch(document, &patch).map_err(|it| it.to_string())?;
    valid(document)
}

fn naive_merge(document: &mut Json, path: &str, value: &Json) -> Result<(), String> {
    if path.matches('/').count() == 2 {
        // Entities that are not there are made.
        let key = path.rsplit('/').next().unwrap();
        json_patch::merge(document, &json!({"config": {key: value}}));
    } else {
        json_patch::merge(document.pointer_mut(path).ok_or("nothing")?, value);
    }
    valid(document)
}

/// Drops entities without desired part, refuses those without value.
fn valid(document: &mut Json) -> Result<(), String> {
    let entities = document["config"].as_object_mut().ok_or("no collection")?;
    entities.retain(|_, entity| entity.get("desired").is_some());
    let fine = |entity: &Json| entity["desired"].get("value").is_some_and(|value| !value.is_null());
    if entities.values().all(fine) { Ok(()) } else { Err("no value".into()) }
}

fn document(cloud: &Cloud) -> Json {
    let strip = |(key, mut entity): (String, Json)| {
        entity["desired"].as_object_mut().unwrap().remove("key");
        (key, entity)
    };
    json!({"config": cloud.list("/config/").into_iter().map(strip).collect::<Map<_, _>>()})
}

proptest! {
    #[test]
    fn rows_behave_as_the_json_document_that_they_are_shown_as(
        patches in prop::collection::vec(prop::collection::vec(operation(), 1..4), 1..8)
    ) {
        let mut cloud = Cloud::new();
        let mut plain = json!({"config": {}});
        for patch in patches {
            let mut next = plain.clone();
            let expected = patch.iter().try_for_each(|operation| naive(&mut next, operation));
            let found = cloud.patch("/", Json::from(patch.clone()));
            prop_assert_eq!(found.is_ok(), expected.is_ok(), "{:?} {:?} on {}", found, expected, plain);
            if expected.is_ok() {
                plain = next;
            }
            prop_assert_eq!(document(&cloud), plain.clone());
        }
    }
}
