//! Which steps transitions and later orders take where nothing goes wrong.

use super::faults::Fault;
use super::orders::{Order, TRANSITIONS, Transition};
use super::scene::Scene;
use pony_core::agent::Step;
use std::collections::{BTreeMap, BTreeSet};

pub(super) type Verbs = BTreeSet<&'static str>;

pub(super) struct Paths {
    steps: Vec<Step>,
    /// What each transition takes, in the order of [`TRANSITIONS`].
    taken: Vec<Verbs>,
    /// What a later order takes of its own, whatever came before it.
    needed: BTreeMap<(usize, Order), Verbs>,
}

impl Paths {
    pub(super) fn find() -> Self {
        let mut paths = Self { steps: Vec::new(), taken: Vec::new(), needed: BTreeMap::new() };
        for (n, transition) in TRANSITIONS.iter().enumerate() {
            let mut scene = ready(transition);
            let taken = paths.take(&mut scene, &[transition.order]);
            paths.taken.push(taken);
            for later in transition.later {
                // From where the earlier order is done.
                let mut scene = ready(transition);
                paths.take(&mut scene, &[transition.order]);
                let mut needed = paths.take(&mut scene, &[*later]);
                // What undoes something may have to undo it from the beginning.
                if !later.makes() && !transition.before.is_empty() {
                    needed.append(&mut paths.take(&mut ready(transition), &[*later]));
                }
                // What has arrived at another host goes on there, whatever was ordered since.
                if transition.order == Order::Evacuate {
                    needed.insert("resume");
                }
                // Where all else fails the plug is pulled.
                needed.insert("switch off");
                // What makes something may have to do all that the earlier order has not come to.
                if later.makes() {
                    let mut scene = ready(transition);
                    needed.append(&mut paths.take(&mut scene, &[transition.order, *later]));
                    let mut scene = Scene::new(0, Fault::None.sim());
                    let all = transition.before.iter().chain([&transition.order, later]);
                    needed.append(&mut paths.take(&mut scene, &all.copied().collect::<Vec<_>>()));
                }
                paths.needed.insert((n, *later), needed);
            }
        }
        paths
    }

    /// Orders it all at once, and lets it be done.
    fn take(&mut self, scene: &mut Scene, orders: &[Order]) -> Verbs {
        scene.forget_begun();
        for order in orders {
            assert!(scene.order(*order), "nobody takes {order:?}");
        }
        // Some time, so that what has an end in itself but is still under way is taken for done by nobody.
        scene.world.run(50);
        scene.settle();
        let steps: Vec<Step> = scene.begun().map(|(_, step)| step.clone()).collect();
        let verbs = steps.iter().map(Step::verb).collect();
        self.steps.extend(steps);
        verbs
    }

    /// All steps that were ever taken.
    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }

    pub(super) fn taken(&self, transition: usize) -> &Verbs {
        &self.taken[transition]
    }

    pub(super) fn needs(&self, transition: usize, later: Order, verb: &'static str) -> bool {
        self.needed[&(transition, later)].contains(verb)
    }
}

/// A scene in which what comes before a transition is done.
fn ready(transition: &Transition) -> Scene {
    let mut scene = Scene::new(0, Fault::None.sim());
    scene.before(transition);
    scene
}

impl Scene {
    pub(super) fn before(&mut self, transition: &Transition) {
        for order in transition.before {
            assert!(self.order(*order), "nobody takes {order:?}");
            self.settle();
        }
    }
}
