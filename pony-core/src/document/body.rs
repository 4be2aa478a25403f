//! Bodies of requests: JSON read strictly, before anybody looks at what it says.

use super::error::{DocumentError, Problem};
use super::number;
use super::pointer::Pointer;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value as Json};
use std::fmt;

/// Levels of nesting. Deeper than the document with a deep JSON column, too shallow to exhaust a stack.
pub const DEPTH_MAX: usize = 64;

/// Reads a body. Unlike plain JSON parsers it refuses an object that names a member twice (which of the two was
/// meant?), numbers that reading would change, text that databases cannot keep, and unbounded nesting.
///
/// # Errors
/// [`Problem::NotJson`], [`Problem::Inexact`], [`Problem::TooDeep`], [`Problem::Nul`].
pub fn parse_body(bytes: &[u8]) -> Result<Json, DocumentError> {
    number::check(bytes)?;
    let mut parser = serde_json::Deserializer::from_slice(bytes);
    let json = Strict { depth: 0 }.deserialize(&mut parser).and_then(|json| parser.end().map(|()| json));
    let json = json.map_err(|error| DocumentError::anywhere(Problem::NotJson(error.to_string())))?;
    check_body(&json)?;
    Ok(json)
}

/// The same for JSON that was made otherwise (from YAML, by a program).
///
/// # Errors
/// [`Problem::TooDeep`], [`Problem::Nul`].
pub fn check_body(json: &Json) -> Result<(), DocumentError> {
    check(json, DEPTH_MAX).map_err(|mut problem| {
        if let Problem::Nul(Pointer(tokens)) = &mut problem {
            tokens.reverse();
        }
        DocumentError::anywhere(problem)
    })
}

/// Of text that cannot be kept, where it stands is gathered on the way back: innermost first.
fn check(json: &Json, levels: usize) -> Result<(), Problem> {
    let below = levels.checked_sub(1).ok_or(Problem::TooDeep(DEPTH_MAX))?;
    let text = |text: &str| if text.contains('\0') { Err(Problem::Nul(Pointer(Vec::new()))) } else { Ok(()) };
    let inside = |mut problem: Problem, name: &dyn ToString| {
        if let Problem::Nul(Pointer(tokens)) = &mut problem {
            tokens.push(name.to_string());
        }
        problem
    };
    match json {
        Json::String(it) => text(it),
        Json::Array(items) => (items.iter().enumerate())
            .try_for_each(|(index, item)| check(item, below).map_err(|problem| inside(problem, &index))),
        Json::Object(members) => members.iter().try_for_each(|(name, item)| {
            text(name)?;
            check(item, below).map_err(|problem| inside(problem, name))
        }),
        _ => Ok(()),
    }
}

/// Reads any JSON, refusing members that are named twice.
#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    /// One level further down. The parser's own limit is far above ours; ours is checked here so that nothing
    /// deeper is ever built.
    fn below<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= DEPTH_MAX {
            return Err(E::custom(format_args!("it is nested more than {DEPTH_MAX} levels deep")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, it: bool) -> Result<Json, E> {
        Ok(Json::Bool(it))
    }

    fn visit_i64<E>(self, it: i64) -> Result<Json, E> {
        Ok(Json::from(it))
    }

    fn visit_u64<E>(self, it: u64) -> Result<Json, E> {
        Ok(Json::from(it))
    }

    fn visit_f64<E: serde::de::Error>(self, it: f64) -> Result<Json, E> {
        Number::from_f64(it).map(Json::Number).ok_or_else(|| E::custom("a number is out of range"))
    }

    fn visit_str<E>(self, it: &str) -> Result<Json, E> {
        Ok(Json::String(it.to_owned()))
    }

    fn visit_string<E>(self, it: String) -> Result<Json, E> {
        Ok(Json::String(it))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let below = self.below()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(below)? {
            list.push(item);
        }
        Ok(Json::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let below = self.below()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom(format_args!("member `{name}` appears twice in one object")));
            }
            let value = members.next_value_seed(below)?;
            object.insert(name, value);
        }
        Ok(Json::Object(object))
    }
}

/// The kind of a JSON value, for messages.
pub(super) const fn kind(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "text",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ordinary_json_is_read() {
        let text = br#"{"a": [1, -2, 0.5, 18446744073709551615, null, true, "x"], "b": {}, "__proto__": 1}"#;
        let expected = json!({"a": [1, -2, 0.5, u64::MAX, null, true, "x"], "b": {}, "__proto__": 1});
        assert_eq!(parse_body(text).unwrap(), expected);
    }

    #[test]
    fn what_two_readers_could_understand_differently_is_refused() {
        let message = |text: &str| parse_body(text.as_bytes()).unwrap_err().to_string();
        assert!(message(r#"{"a": 1, "a": 2}"#).contains("member `a` appears twice"));
        assert!(message(r#"{"a": {"b": 1, "\u0062": 2}}"#).contains("member `b` appears twice"));
        assert!(message(r#"{"a": 1} {"#).contains("trailing characters"));
        assert!(message(r#"{"a": 18446744073709551617}"#).contains("would be changed"));
        assert!(message("1e999").contains("out of range"));
        assert!(message("").contains("EOF"));
        assert!(message("\"a\u{1}\"").contains("control character"));
        assert!(parse_body(b"\"\xff\"").is_err());
        let nul = message(r#"[{"op": "add", "value": {"desired": {"name": "a\u0000"}}}]"#);
        assert!(nul.contains("U+0000, as it does at `/0/value/desired/name` of the body"), "{nul}");
        assert!(message(r#"{"x": {"a\u0000": 1}}"#).contains("at `/x` of the body"));
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse_body(nested(DEPTH_MAX).as_bytes()).is_ok());
        for levels in [DEPTH_MAX + 1, 100_000] {
            assert!(parse_body(nested(levels).as_bytes()).unwrap_err().to_string().contains("64 levels"));
        }
        let mut deep = json!(1);
        for _ in 0..DEPTH_MAX {
            deep = json!([deep]);
        }
        assert_eq!(check_body(&deep).unwrap_err().problem, Problem::TooDeep(DEPTH_MAX));
    }
}
