//! The steps under way.

use super::Stamp;
use std::collections::BTreeMap;

/// Names one execution of a step; never used twice by one engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(pub u64);

/// One execution of a step.
#[derive(Debug, Clone)]
pub struct Run<I, S> {
    /// The resource that it is for.
    pub id: I,
    /// What is being done.
    pub step: S,
    /// The order that it was started for.
    pub order: Stamp,
    /// How far it has come, from 0 to 1, once it said so.
    pub progress: Option<f64>,
    pub(super) lane: usize,
    /// When it was last heard of.
    pub(super) alive_ms: u64,
    pub(super) cancelled_ms: Option<u64>,
    /// Its successor no longer waits for it, nor does its lane.
    pub(super) abandoned: bool,
}

impl<I, S> Run<I, S> {
    /// Whether it was told to end.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled_ms.is_some()
    }
}

/// The steps under way, including those that were told to end and have not said that they did.
#[derive(Debug, Clone)]
pub struct Runs<I, S>(pub(super) BTreeMap<RunId, Run<I, S>>);

impl<I, S> Default for Runs<I, S> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<I: Copy + Eq, S> Runs<I, S> {
    /// All of them, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Run<I, S>> {
        self.0.values()
    }

    /// One of them.
    pub fn get(&self, run: RunId) -> Option<&Run<I, S>> {
        self.0.get(&run)
    }

    /// Those for one resource.
    pub fn of(&self, id: I) -> impl Iterator<Item = &Run<I, S>> {
        self.0.values().filter(move |run| run.id == id)
    }

    /// How far the resource's step has come: `None` where none is under way or it has not said.
    pub fn progress(&self, id: I) -> Option<f64> {
        self.of(id).filter(|run| !run.is_cancelled()).find_map(|run| run.progress)
    }

    pub(super) fn in_lane(&self, lane: usize) -> usize {
        self.0.values().filter(|run| run.lane == lane && !run.abandoned).count()
    }
}
