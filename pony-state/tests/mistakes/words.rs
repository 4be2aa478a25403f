//! Mistakes in an enumeration.

use pony_state::Enum;

#[derive(Debug, Clone, Copy, PartialEq, Enum)]
struct Struct;

#[derive(Debug, Clone, Copy, PartialEq, Enum)]
enum Empty {}

#[derive(Debug, Clone, Copy, PartialEq, Enum)]
enum WithFields {
    Plain,
    Speed(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Enum)]
enum Twice {
    One,
    #[value = "one"]
    Uno,
}

#[derive(Debug, Clone, Copy, PartialEq, Enum)]
enum GivenTwice {
    #[value = "a"]
    #[value = "b"]
    One,
}

#[derive(Debug, Clone, Copy, PartialEq, Enum)]
enum EmptyWord {
    #[value = ""]
    One,
}

#[derive(Debug, Clone, Copy, PartialEq, Enum)]
enum Number {
    #[value = 1]
    One,
}

#[derive(Debug, Clone, Copy, PartialEq, Enum)]
enum List {
    #[value("one")]
    One,
}

#[derive(Debug, Clone, Copy, PartialEq, Enum)]
#[value(foreign = "a::B")]
enum UnknownOfEnum {
    One,
}

fn main() {}
