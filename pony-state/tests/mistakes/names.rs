//! Names that are none, are taken, or name nothing.

use pony_state::{Entity, Part};

#[derive(Debug, Clone, PartialEq, Part)]
struct Desired {
    host: i64,
    #[part(name = "Kind")]
    kind: i64,
    #[allow(non_snake_case)]
    linkName: i64,
    #[part(references = "my nic")]
    nic: i64,
}

#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "Machine")]
#[entity(mount(path = "machine", access = "x"))]
#[entity(mount(path = "/machine_room", access = "x", via = "hots", only_null = "bond"))]
#[entity(mount(path = "/machine", access = "x", via = "a_column_of_the_join_table", join = "nic"))]
#[entity(join("id", "rigth"), unique("host", "hots"), unique_nulls_equal("spede"))]
#[entity(no_overlap(within = "host", range = "rang"), inside(column = "ip", via = "host", range = "net"))]
struct Machine {
    #[entity(key)]
    id: i64,
    #[entity(key)]
    host: i64,
    desired: Option<Desired>,
}

fn main() {}
