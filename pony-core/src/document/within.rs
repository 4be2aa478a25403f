//! Operations of JSON Patch and JSON Merge Patch within one JSON value: what happens inside a column.

use serde_json::{Map, Value as Json};

/// There is nothing at a step of the path, or nothing that has such steps. The step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NoSuchMember(pub(super) String);

fn missing(token: &str) -> NoSuchMember {
    NoSuchMember(token.to_owned())
}

/// A list's index: digits without leading zeros (RFC 6901), at most `len`.
fn index(token: &str, len: usize) -> Result<usize, NoSuchMember> {
    let plain = token == "0" || (!token.starts_with('0') && token.bytes().all(|byte| byte.is_ascii_digit()));
    token.parse().ok().filter(|index| plain && *index <= len).ok_or_else(|| missing(token))
}

/// What stands at a path.
pub(super) fn get<'a>(json: &'a Json, path: &[String]) -> Result<&'a Json, NoSuchMember> {
    path.iter().try_fold(json, |json, token| {
        match json {
            Json::Object(members) => members.get(token),
            Json::Array(items) => items.get(index(token, items.len())?),
            _ => None,
        }
        .ok_or_else(|| missing(token))
    })
}

pub(super) fn get_mut<'a>(json: &'a mut Json, path: &[String]) -> Result<&'a mut Json, NoSuchMember> {
    path.iter().try_fold(json, |json, token| {
        match json {
            Json::Object(members) => members.get_mut(token),
            Json::Array(items) => {
                let index = index(token, items.len())?;
                items.get_mut(index)
            }
            _ => None,
        }
        .ok_or_else(|| missing(token))
    })
}

/// `add`: sets a member, inserts an item, or replaces the whole.
pub(super) fn add(json: &mut Json, path: &[String], value: Json) -> Result<(), NoSuchMember> {
    let Some((last, above)) = path.split_last() else {
        *json = value;
        return Ok(());
    };
    match get_mut(json, above)? {
        Json::Object(members) => {
            members.insert(last.clone(), value);
        }
        Json::Array(items) if last == "-" => items.push(value),
        Json::Array(items) => {
            let index = index(last, items.len())?;
            items.insert(index, value);
        }
        _ => return Err(missing(last)),
    }
    Ok(())
}

/// `replace`: as `add`, but something must stand there.
pub(super) fn replace(json: &mut Json, path: &[String], value: Json) -> Result<(), NoSuchMember> {
    *get_mut(json, path)? = value;
    Ok(())
}

/// `remove`: takes away what stands there. The path is not empty.
pub(super) fn remove(json: &mut Json, path: &[String]) -> Result<Json, NoSuchMember> {
    let (last, above) = path.split_last().ok_or_else(|| missing(""))?;
    match get_mut(json, above)? {
        Json::Object(members) => members.remove(last).ok_or_else(|| missing(last)),
        Json::Array(items) => {
            let index = index(last, items.len())?;
            if index < items.len() { Ok(items.remove(index)) } else { Err(missing(last)) }
        }
        _ => Err(missing(last)),
    }
}

/// RFC 7396: members are merged, null removes, anything else replaces.
pub(super) fn merge(json: &mut Json, patch: &Json) {
    let Json::Object(changes) = patch else {
        *json = patch.clone();
        return;
    };
    if !json.is_object() {
        *json = Json::Object(Map::new());
    }
    let Json::Object(members) = json else { return };
    for (name, change) in changes {
        if change.is_null() {
            members.remove(name);
        } else {
            merge(members.entry(name).or_insert(Json::Null), change);
        }
    }
}

/// Whether two values are the same, numbers by what they are worth (RFC 6902, 4.6).
pub(super) fn equal(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(x), Json::Number(y)) => {
            // Whole numbers beyond 2^53 must not meet as floats.
            let whole = |number: &serde_json::Number| {
                number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
            };
            match (whole(x), whole(y)) {
                (Some(x), Some(y)) => x == y,
                _ => x.as_f64() == y.as_f64(),
            }
        }
        (Json::Array(x), Json::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| equal(x, y)),
        (Json::Object(x), Json::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(name, x)| y.get(name).is_some_and(|y| equal(x, y)))
        }
        _ => a == b,
    }
}

/// Whether everything in `part` stands in `json`, too: members at any depth; null where there must be none.
pub(super) fn contains(json: &Json, part: &Json) -> bool {
    match (json, part) {
        (Json::Object(members), Json::Object(wanted)) => wanted.iter().all(|(name, wanted)| {
            members.get(name).map_or(wanted.is_null(), |found| contains(found, wanted))
        }),
        _ => equal(json, part),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn path(text: &str) -> Vec<String> {
        text.split('/').skip(1).map(str::to_owned).collect()
    }

    #[test]
    fn members_and_items_come_and_go() {
        let mut it = json!({"a": [1, 2], "b": {"c": null}});
        add(&mut it, &path("/a/0"), json!(0)).unwrap();
        add(&mut it, &path("/a/-"), json!(3)).unwrap();
        add(&mut it, &path("/b/d"), json!({})).unwrap();
        replace(&mut it, &path("/b/c"), json!(true)).unwrap();
        assert_eq!(remove(&mut it, &path("/a/1")).unwrap(), json!(1));
        assert_eq!(it, json!({"a": [0, 2, 3], "b": {"c": true, "d": {}}}));
        assert_eq!(get(&it, &path("/a/2")).unwrap(), &json!(3));
        for wrong in ["/a/3", "/a/01", "/a/-", "/a/+1", "/x", "/b/c/d", "/a/99999999999999999999"] {
            assert!(get(&it, &path(wrong)).is_err() && remove(&mut it, &path(wrong)).is_err(), "{wrong}");
            assert!(replace(&mut it, &path(wrong), json!(1)).is_err(), "{wrong}");
        }
        for wrong in ["/a/4", "/x/y", "/b/c/d"] {
            assert!(add(&mut it, &path(wrong), json!(1)).is_err(), "{wrong}");
        }
    }

    /// The examples of RFC 7396, appendix A.
    #[test]
    fn merging_follows_its_rfc() {
        for (mut original, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            merge(&mut original, &patch);
            assert_eq!(original, result);
        }
    }

    #[test]
    fn numbers_are_compared_by_worth_and_exactly() {
        assert!(equal(&json!([1, {"a": 2.0}]), &json!([1.0, {"a": 2}])));
        assert!(!equal(&json!(9_007_199_254_740_993_i64), &json!(9_007_199_254_740_992_i64)));
        assert!(!equal(&json!(1), &json!("1")) && !equal(&json!({"a": 1}), &json!({"a": 1, "b": 1})));
        assert!(contains(&json!({"a": {"b": 1, "c": 2}}), &json!({"a": {"b": 1, "x": null}})));
        assert!(!contains(&json!({"a": [1, 2]}), &json!({"a": [1]})));
    }
}
