//! One history through both doors: a state of Rust types, a state of the same tables declared at run time, and a naive
//! model that knows neither indexes nor snapshots, go through the same writes and must give the same answers, at each
//! step, in transactions, snapshots, forks and to subscribers.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../cloud/mod.rs"]
mod cloud;
mod compare;
mod follower;
mod model;
mod op;
mod refuse;
mod typed;
mod world;
mod write;

use op::{Op, op};
use proptest::prelude::*;
use world::World;

/// One step of a history.
#[derive(Debug, Clone)]
enum Step {
    /// A transaction. Dropped, it is rolled back after any of its writes.
    Transaction {
        ops: Vec<Op>,
        end: End,
    },
    /// The same on a fork of a snapshot, whose changes are then applied to the state.
    Fork {
        snapshot: usize,
        ops: Vec<Op>,
    },
    TakeSnapshot,
    DropSnapshot(usize),
    /// A subscriber takes up to so many commits.
    Receive {
        follower: usize,
        commits: usize,
    },
}

/// How a transaction ends.
#[derive(Debug, Clone, Copy)]
enum End {
    Commit,
    /// A commit that tells no changes.
    Bulk,
    Drop,
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![6 => Just(End::Commit), 1 => Just(End::Bulk), 3 => Just(End::Drop)]
}

fn step() -> impl Strategy<Value = Step> {
    let ops = || proptest::collection::vec(op(), 0..10);
    prop_oneof![
        6 => (ops(), end()).prop_map(|(ops, end)| Step::Transaction { ops, end }),
        1 => (0..4_usize, ops()).prop_map(|(snapshot, ops)| Step::Fork { snapshot, ops }),
        2 => Just(Step::TakeSnapshot),
        1 => (0..4_usize).prop_map(Step::DropSnapshot),
        4 => (0..4_usize, 0..5_usize).prop_map(|(follower, commits)| Step::Receive { follower, commits }),
    ]
}

proptest! {
    #![proptest_config(cloud::cases(24))]

    #[test]
    fn both_doors_and_the_model_agree(steps in proptest::collection::vec(step(), 0..24)) {
        let mut world = World::new();
        for step in &steps {
            match step {
                Step::Transaction { ops, end } => world.transaction(ops, *end),
                Step::Fork { snapshot, ops } => world.fork(*snapshot, ops),
                Step::TakeSnapshot => world.take_snapshot(),
                Step::DropSnapshot(place) => world.drop_snapshot(*place),
                Step::Receive { follower, commits } => world.receive(*follower, *commits),
            }
            world.check();
        }
        world.end();
    }
}
