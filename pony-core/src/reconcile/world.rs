//! What the engine asks of the one who knows what resources are.

use super::{Run, Runs};
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};

/// A fingerprint of something that the engine compares and never looks into.
pub type Stamp = u64;

/// The fingerprint of `value`: the same value has the same one in every process of one build.
pub fn stamp(value: &impl Hash) -> Stamp {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// What is to be done about a resource, as its order and the facts say at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan<S> {
    /// It is as ordered.
    Done,
    /// This step brings it closer.
    Step(S),
    /// Nothing can be done before something else happens: what, in words for the person who ordered it.
    Wait(String),
    /// The order cannot be met as it stands; only another order (or another fact) helps.
    Cannot(String),
    /// Nothing is ordered and nothing is there: the engine may forget the resource.
    Gone,
}

impl<S> Plan<S> {
    /// Waiting for `reason`.
    pub fn wait(reason: impl Into<String>) -> Self {
        Self::Wait(reason.into())
    }
}

/// Orders and facts, as one consistent view. Every method is pure: the engine may ask as often as it likes.
pub trait World {
    /// Names a resource: its kind and its key.
    type Id: Copy + Ord + Debug;
    /// Something that a driver carries out; idempotent, and safe to abandon half-way.
    type Step: Clone + PartialEq + Debug;

    /// All resources that are ordered or found.
    fn ids(&self) -> Vec<Self::Id>;

    /// Changes when what is ordered of the resource changes. Back-off starts afresh then.
    fn order(&self, id: Self::Id) -> Stamp;

    /// Changes when something that the resource depends on changed in a way that makes a failed step worth
    /// another try. The next try is brought forward then.
    fn circumstances(&self, id: Self::Id) -> Stamp;

    /// The next step. `runs` are the steps under way, including those that were told to end and have not.
    fn plan(&self, id: Self::Id, runs: &Runs<Self::Id, Self::Step>) -> Plan<Self::Step>;

    /// When the plan, or whether a step still serves, changes by itself as time passes.
    fn due(&self, id: Self::Id) -> Option<u64> {
        let _ = id;
        None
    }

    /// Whether a step under way still serves what is ordered now; one that does not is cancelled.
    fn serves(&self, run: &Run<Self::Id, Self::Step>) -> bool {
        run.order == self.order(run.id)
    }

    /// The index of the lane that the step runs in, see [`Config::lanes`](super::Config::lanes).
    fn lane(&self, step: &Self::Step) -> usize;
}
