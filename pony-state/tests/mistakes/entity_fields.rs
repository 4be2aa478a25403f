//! Mistakes in the fields of an entity.

use pony_state::{Entity, Part};

#[derive(Debug, Clone, PartialEq, Part)]
struct Desired {}

#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "a")]
struct NoKey {
    desired: Option<Desired>,
}

#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "a")]
struct NoPart {
    #[entity(key)]
    id: i64,
}

#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "a")]
struct OptionalKey {
    #[entity(key)]
    id: Option<i64>,
    desired: Option<Desired>,
}

#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "a")]
struct KeyTwice {
    #[entity(key)]
    id: i64,
    #[entity(key, name = "id")]
    number: i64,
    desired: Option<Desired>,
}

#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "a")]
struct NeitherKeyNorPart {
    #[entity(key)]
    id: i64,
    /// Belongs into the desired part.
    name: String,
    desired: Option<Desired>,
}

#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "a")]
struct PartWithoutOption {
    #[entity(key)]
    id: i64,
    desired: Desired,
}

#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "a")]
struct PartWithAttributes {
    #[entity(key)]
    id: i64,
    #[entity(index)]
    desired: Option<Desired>,
}

#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "a")]
struct KeyWithUnknown {
    #[entity(key, primary)]
    id: i64,
    desired: Option<Desired>,
}

fn main() {}
