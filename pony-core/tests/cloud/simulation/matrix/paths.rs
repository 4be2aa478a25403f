//! Which steps transitions and later orders take where nothing goes wrong.

use super::faults::Fault;
use super::orders::Order;
use super::scene::Scene;
use super::transitions::{TRANSITIONS, Transition};
use pony_core::agent::Step;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::sync::LazyLock;

pub(super) type Verbs = BTreeSet<&'static str>;

#[derive(Default)]
pub(super) struct Paths {
    steps: Vec<Step>,
    /// What each of [`TRANSITIONS`] takes.
    taken: BTreeMap<usize, Verbs>,
    /// What a later order takes of its own, whatever came before it.
    needed: BTreeMap<(usize, Order), Verbs>,
}

/// Found once for all tests: it takes a while.
static PATHS: LazyLock<Paths> = LazyLock::new(Paths::find);

impl Paths {
    pub(super) fn get() -> &'static Self {
        &PATHS
    }

    /// By as many threads as there are processors.
    fn find() -> Self {
        let workers = std::thread::available_parallelism().map_or(1, NonZero::get);
        std::thread::scope(|scope| {
            let find = |first: usize| {
                let mut paths = Self::default();
                (first..TRANSITIONS.len()).step_by(workers).for_each(|n| paths.add(n));
                paths
            };
            let threads: Vec<_> = (0..workers).map(|first| scope.spawn(move || find(first))).collect();
            let mut all = Self::default();
            for paths in threads.into_iter().map(|it| it.join().unwrap()) {
                all.steps.extend(paths.steps);
                all.taken.extend(paths.taken);
                all.needed.extend(paths.needed);
            }
            all
        })
    }

    fn add(&mut self, n: usize) {
        let transition = &TRANSITIONS[n];
        let taken = self.take(&mut ready(transition), &[transition.order]);
        self.taken.insert(n, taken);
        for later in transition.later {
            let needed = self.find_needed(transition, *later);
            self.needed.insert((n, *later), needed);
        }
    }

    fn find_needed(&mut self, transition: &Transition, later: Order) -> Verbs {
        // From where the earlier order is done.
        let mut scene = ready(transition);
        self.take(&mut scene, &[transition.order]);
        let mut needed = self.take(&mut scene, &[later]);
        // What undoes something may have to undo it from the beginning.
        if !later.makes() && !transition.before.is_empty() {
            needed.append(&mut self.take(&mut ready(transition), &[later]));
        }
        // What has arrived at another host goes on there, whatever was ordered since.
        if transition.order == Order::Evacuate {
            needed.insert("resume");
        }
        // A deletion that is under way goes on without a row: nothing else can have been meant.
        if later == Order::DeletePool {
            needed.insert("delete");
        }
        // Where all else fails the plug is pulled.
        needed.insert("switch off");
        // What makes something may have to do all that the earlier order has not come to.
        if later.makes() {
            let mut scene = ready(transition);
            needed.append(&mut self.take(&mut scene, &[transition.order, later]));
            let mut scene = Scene::new(0, Fault::None.sim());
            let all = transition.before.iter().chain([&transition.order, &later]);
            needed.append(&mut self.take(&mut scene, &all.copied().collect::<Vec<_>>()));
        }
        needed
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
        &self.taken[&transition]
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
