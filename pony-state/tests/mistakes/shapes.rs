//! Derives on what they are not for.

use pony_state::{Entity, Part};

#[derive(Debug, Clone, PartialEq, Part)]
enum PartOfEnum {
    One,
}

#[derive(Debug, Clone, PartialEq, Part)]
struct PartOfTuple(i64);

#[derive(Debug, Clone, PartialEq, Part)]
struct PartOfUnit;

#[derive(Debug, Clone, PartialEq, Part)]
struct PartOfAnything<T> {
    host: T,
}

#[derive(Debug, Clone, PartialEq, Part)]
struct PartThatBorrows<'a> {
    name: &'a str,
}

#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "a")]
enum EntityOfEnum {
    One,
}

#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "a")]
struct EntityOfAnything<const N: usize> {
    #[entity(key)]
    id: [u8; N],
}

fn main() {}
