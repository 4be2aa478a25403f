//! Mistakes in the attributes of an entity.

use pony_state::{Entity, Part};

#[derive(Debug, Clone, PartialEq, Part)]
struct Desired {}

macro_rules! entity {
    ($name:ident, $(#[$attribute:meta])*) => {
        #[derive(Debug, Clone, PartialEq, Entity)]
        $(#[$attribute])*
        struct $name {
            #[entity(key)]
            id: i64,
            desired: Option<Desired>,
        }
    };
}

entity!(Unknown, #[entity(table = "a", tabel)]);
entity!(NoTable, #[entity(user_key)]);
entity!(TableTwice, #[entity(table = "a")] #[entity(table = "b")]);
entity!(TableWithoutName, #[entity(table)]);
entity!(TableOfNumber, #[entity(table = 5)]);
entity!(NotAList, #[entity = "a"]);
entity!(Stored, #[entity(table = "a", stored = "somewhere")]);
entity!(MountNothing, #[entity(table = "a", mount)]);
entity!(MountNoPath, #[entity(table = "a", mount(access = "x"))]);
entity!(MountNoAccess, #[entity(table = "a", mount(path = "/a"))]);
entity!(MountPathTwice, #[entity(table = "a", mount(path = "/a", path = "/b", access = "x"))]);
entity!(MountUnknown, #[entity(table = "a", mount(path = "/a", access = "x", from = "b"))]);
entity!(JoinOfOne, #[entity(table = "a", join("x"))]);
entity!(JoinOfNothing, #[entity(table = "a", join)]);
entity!(JoinOfName, #[entity(table = "a", join = "x")]);
entity!(UniqueNothing, #[entity(table = "a", unique())]);
entity!(UniqueNumber, #[entity(table = "a", unique(1))]);
entity!(CheckWithoutMessage, #[entity(table = "a", check("x > 0"))]);
entity!(OverlapHalf, #[entity(table = "a", no_overlap(within = "x"))]);
entity!(InsideTwice, #[entity(table = "a", inside(column = "x", column = "x", via = "y", range = "z"))]);

fn main() {}
