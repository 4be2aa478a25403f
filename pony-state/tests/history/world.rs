//! The two states and the model, and what is done to all of them.

use crate::End;
use crate::cloud;
use crate::compare;
use crate::follower::Follower;
use crate::model::{self, Model};
use crate::op::Op;
use crate::write::write;
use pony_state::{Commit, PartKind, Read, Snapshot, State, StateBuilder};

/// How many changes may wait for each of the subscribers.
const CAPACITIES: [usize; 4] = [0, 3, 12, 1000];

pub(crate) struct World {
    /// With Rust types.
    typed: State,
    /// The same tables, declared at run time.
    dynamic: State,
    model: Model,
    snapshots: Vec<(Snapshot, Snapshot, Model)>,
    followers: Vec<Follower>,
    /// A copy of `typed` without Rust types, by its changes.
    mirror: State,
}

fn declared_at_run_time(state: &State) -> State {
    let schemas = state.schema().tables().iter().map(|def| def.schema().clone());
    schemas.fold(State::builder(), StateBuilder::table_dyn).build().unwrap()
}

impl World {
    pub(crate) fn new() -> Self {
        let mut typed = cloud::state();
        let (dynamic, mirror) = (declared_at_run_time(&typed), declared_at_run_time(&typed));
        let model = Model::new(typed.schema());
        let followers = CAPACITIES.map(|capacity| Follower::new(&mut typed, capacity)).into();
        Self { typed, dynamic, model, snapshots: Vec::new(), followers, mirror }
    }

    pub(crate) fn transaction(&mut self, ops: &[Op], end: End) {
        let before = self.model.clone();
        let versions = (self.typed.version(), self.dynamic.version());
        let (mut typed, mut dynamic) = (self.typed.transaction(), self.dynamic.transaction());
        let mut touched = false;
        for op in ops {
            touched |= write(op, &mut typed, &mut dynamic, &mut self.model);
            // What is read through a transaction is what it wrote, and nobody has to wait for the commit.
            for tx in [&typed, &dynamic] {
                compare::table(tx.view().tables().nth(op.table).unwrap(), &self.model);
                compare::joins_by_name(tx, &self.model);
            }
            assert_eq!((typed.is_empty(), dynamic.is_empty()), (!touched, !touched));
        }
        compare::typed(&typed, &self.model);
        match end {
            End::Commit => {
                let (typed, dynamic) = (typed.commit(), dynamic.commit());
                assert_same(&typed, &dynamic);
                assert_eq!(typed.version(), versions.0 + u64::from(self.model != before));
                self.mirror(&typed);
            }
            End::Bulk => {
                let found = (typed.commit_bulk(), dynamic.commit_bulk());
                assert_eq!(found, (versions.0 + u64::from(touched), versions.1 + u64::from(touched)));
                self.mirror_from(&before);
            }
            End::Drop => {
                drop((typed, dynamic));
                self.model = before;
                assert_eq!((self.typed.version(), self.dynamic.version()), versions);
            }
        }
    }

    /// Makes the copy what the model is, where nobody told of changes.
    fn mirror_from(&mut self, before: &Model) {
        let mut tx = self.mirror.transaction();
        for (table, (before, after)) in before.0.iter().zip(&self.model.0).enumerate() {
            let id = tx.schema().tables()[table].id();
            for key in before.keys().chain(after.keys()).filter(|key| before.get(*key) != after.get(*key)) {
                let parts = after.get(key).cloned().unwrap_or_default();
                for (kind, part) in PartKind::BOTH.into_iter().zip(parts) {
                    match part {
                        Some(part) => tx.set(id, key, kind, &part).unwrap(),
                        None => tx.remove_part(id, key, kind).unwrap(),
                    };
                }
            }
        }
        tx.commit();
    }

    /// Applies changes of a state with Rust types to one without.
    fn mirror(&mut self, commit: &Commit) {
        let mut tx = self.mirror.transaction();
        for change in commit.iter() {
            assert_eq!((tx.apply(change), tx.apply(change)), (Ok(true), Ok(false)));
        }
        assert_eq!(tx.commit().len(), commit.len());
    }

    pub(crate) fn fork(&mut self, snapshot: usize, ops: &[Op]) {
        let Some((typed, dynamic, model)) = self.snapshots.get(snapshot) else { return };
        let (mut fork, mut dynamic, mut expected) = (typed.fork(), dynamic.fork(), model.clone());
        let (mut tx, mut other) = (fork.transaction(), dynamic.transaction());
        for op in ops {
            write(op, &mut tx, &mut other, &mut expected);
        }
        let commit = tx.commit();
        assert_same(&commit, &other.commit());
        fork.check_invariants().unwrap();
        compare::erased(&fork, &expected);
        // What became of the origin meanwhile, with the rows of the fork laid over it.
        let (mut tx, mut other) = (self.typed.transaction(), self.dynamic.transaction());
        for change in commit.iter() {
            let (table, key) = (change.table().id().index(), change.key());
            let parts = change.after().map(|row| model::row(row).1).unwrap_or_default();
            let changed = self.model.put(table, &key, &parts);
            assert_eq!((tx.apply(change), other.apply(change)), (Ok(changed), Ok(changed)));
        }
        let commit = tx.commit();
        assert_same(&commit, &other.commit());
        self.mirror(&commit);
    }

    pub(crate) fn take_snapshot(&mut self) {
        if self.snapshots.len() < 4 {
            self.snapshots.push((self.typed.snapshot(), self.dynamic.snapshot(), self.model.clone()));
        }
    }

    pub(crate) fn drop_snapshot(&mut self, place: usize) {
        if place < self.snapshots.len() {
            self.snapshots.swap_remove(place);
        }
    }

    pub(crate) fn receive(&mut self, follower: usize, commits: usize) {
        self.followers[follower].receive(&self.typed, commits);
    }

    /// Every state and every snapshot is what the model is, or was.
    pub(crate) fn check(&self) {
        for state in [&self.typed, &self.dynamic, &self.mirror] {
            state.check_invariants().unwrap();
            compare::erased(state, &self.model);
        }
        compare::typed(&self.typed, &self.model);
        for (typed, dynamic, model) in &self.snapshots {
            typed.check_invariants().unwrap();
            dynamic.check_invariants().unwrap();
            compare::erased(typed, model);
            compare::erased(dynamic, model);
            compare::typed(typed, model);
        }
    }

    pub(crate) fn end(&mut self) {
        for follower in &mut self.followers {
            follower.catch_up(&self.typed, &self.model);
        }
    }
}

/// Both commits tell of the same changes, in the same order.
fn assert_same(typed: &Commit, dynamic: &Commit) {
    let changes = |commit: &Commit| {
        let rows = commit
            .iter()
            .map(|it| (it.table().id(), it.key(), it.before().map(model::row), it.after().map(model::row)));
        rows.collect::<Vec<_>>()
    };
    assert_eq!(changes(typed), changes(dynamic));
}
