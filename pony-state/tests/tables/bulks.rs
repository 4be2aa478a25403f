//! Transactions with many new rows, which are listed together at the end or when somebody looks: neither shows.

use crate::cloud::*;
use pony_state::{Mac, Read, State, Transaction};
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
enum Step {
    /// Rows of neighbouring keys, all on one host, in ascending order or not.
    Insert {
        from: u16,
        count: u16,
        host: u8,
        descending: bool,
    },
    Move {
        number: u16,
        host: u8,
    },
    Remove(u16),
    LookByHost,
    LookInOrder,
    Commit,
    CommitBulk,
    RollBack,
}

const NUMBERS: u16 = 600;
const HOSTS: u8 = 4;

fn step() -> impl Strategy<Value = Step> {
    let insert = (0..NUMBERS, 1..300_u16, 0..HOSTS, any::<bool>());
    prop_oneof![
        6 => insert.prop_map(|(from, count, host, descending)| Step::Insert { from, count, host, descending }),
        4 => (0..NUMBERS, 0..HOSTS).prop_map(|(number, host)| Step::Move { number, host }),
        2 => (0..NUMBERS).prop_map(Step::Remove),
        2 => Just(Step::LookByHost),
        2 => Just(Step::LookInOrder),
        2 => Just(Step::Commit),
        1 => Just(Step::CommitBulk),
        1 => Just(Step::RollBack),
    ]
}

fn key(number: u16) -> Mac {
    let [upper, lower] = number.to_be_bytes();
    Mac([0x52, 0x54, 0, 0, upper, lower])
}

type Model = BTreeMap<Mac, u8>;

fn insert(tx: &mut Transaction<'_>, model: &mut Model, number: u16, host: u8) {
    tx.set_desired::<Nic>(&key(number), nic_desired(host, None));
    model.insert(key(number), host);
}

fn look_by_host(view: &impl Read, model: &Model) {
    for host in 0..HOSTS {
        let mut found: Vec<Mac> =
            view.table::<Nic>().find("host", uuid(host)).map(|nic| nic.hwaddr).collect();
        found.sort_unstable();
        let expected = model.iter().filter(|(_, on)| **on == host).map(|(key, _)| *key);
        assert!(expected.eq(found), "on host {host}");
    }
}

fn look_in_order(view: &impl Read, model: &Model) {
    assert!(view.table::<Nic>().ordered().map(|nic| nic.hwaddr).eq(model.keys().copied()));
}

/// Runs steps until one ends the transaction; gives what is left of them, and the rows from then on.
fn transaction<'s>(state: &mut State, before: &Model, steps: &'s [Step]) -> (&'s [Step], Model) {
    let mut model = before.clone();
    let mut tx = state.transaction();
    for (place, step) in steps.iter().enumerate() {
        let rest = &steps[place + 1..];
        match *step {
            Step::Insert { from, count, host, descending: false } => {
                (from..from + count).for_each(|number| insert(&mut tx, &mut model, number, host));
            }
            Step::Insert { from, count, host, descending: true } => {
                (from..from + count).rev().for_each(|number| insert(&mut tx, &mut model, number, host));
            }
            Step::Move { number, host } => {
                let moved = tx.update_desired::<Nic>(&key(number), |nic| nic.host = uuid(host));
                let was = model.get_mut(&key(number)).map(|on| std::mem::replace(on, host));
                assert_eq!(moved, was.is_some_and(|was| was != host));
            }
            Step::Remove(number) => {
                assert_eq!(tx.remove::<Nic>(&key(number)), model.remove(&key(number)).is_some());
            }
            Step::LookByHost => look_by_host(&tx, &model),
            Step::LookInOrder => look_in_order(&tx, &model),
            Step::Commit => {
                tx.commit();
                return (rest, model);
            }
            Step::CommitBulk => {
                tx.commit_bulk();
                return (rest, model);
            }
            Step::RollBack => break,
        }
    }
    drop(tx);
    (
        steps.iter().position(|it| matches!(it, Step::RollBack)).map_or(&[], |at| &steps[at + 1..]),
        before.clone(),
    )
}

proptest! {
    #[test]
    fn what_is_listed_late_is_found_all_the_same(steps in proptest::collection::vec(step(), 1..30)) {
        let (mut state, mut model) = (state(), Model::new());
        let mut rest = &*steps;
        while !rest.is_empty() {
            let snapshot = state.snapshot();
            let before = model.clone();
            (rest, model) = transaction(&mut state, &before, rest);
            for (view, model) in [(state.snapshot(), &model), (snapshot, &before)] {
                look_by_host(&view, model);
                look_in_order(&view, model);
                view.check_invariants().unwrap();
            }
        }
    }
}

/// A closure that changes a row and panics: the row is what it was, and the next transaction finds nothing of it.
#[test]
fn a_change_that_panics_is_none() {
    let mut state = state();
    let mut tx = state.transaction();
    tx.set_desired::<Nic>(&key(1), nic_desired(1, None));
    tx.commit();
    let mut tx = state.transaction();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        tx.update_desired::<Nic>(&key(1), |nic| {
            nic.host = uuid(2);
            panic!("half-way");
        })
    }));
    assert!(panicked.is_err());
    assert!(
        tx.is_empty() && tx.get::<Nic>(&key(1)).is_some_and(|nic| nic.desired == Some(nic_desired(1, None)))
    );
    assert!(tx.update_desired::<Nic>(&key(1), |nic| nic.host = uuid(3)));
    assert_eq!(tx.commit().len(), 1);
    state.check_invariants().unwrap();
}
