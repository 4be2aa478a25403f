//! Reviews: of everything, or of what events concern.

use super::Keeper;
use crate::agent::Command;
#[cfg(test)]
use crate::agent::index::Index;
use crate::agent::index::Usage;
#[cfg(test)]
use crate::agent::orders::Orders;
use crate::agent::plan::View;
use crate::agent::reach::{Changed, Leftover, is_light};
use crate::agent::step::{ResourceId, Step};
use crate::reconcile::{self, Engine};
use std::collections::BTreeSet;
use uuid::Uuid;

impl Keeper {
    /// Does what the engine says is due, of everything or of what was touched.
    pub(super) fn review(&mut self, now_ms: u64) {
        if !self.all {
            self.all = !self.attend(now_ms);
        }
        if std::mem::take(&mut self.all) {
            self.memos.update(now_ms, &self.orders, &self.facts, self.engine.runs());
            self.failing = self.failing_volumes();
            self.usage = Usage::of(&self.facts);
            self.leftover = Leftover::of(&self.facts, &self.index, &self.trial);
            self.with_engine(now_ms, |engine, view| engine.review(now_ms, view));
            self.changed = Changed::everything();
        }
        self.pass_on(now_ms);
    }

    /// Minds what was touched and what is due. Returns whether that was all: what else happened to resources than their
    /// links coming and going may concern any other.
    fn attend(&mut self, now_ms: u64) -> bool {
        let touched = self.engine.touched().clone();
        for id in &touched {
            if let ResourceId::Instance(instance) = id {
                self.memos.update_one(*instance, now_ms, &self.orders, &self.facts, self.engine.runs());
            }
        }
        let visited = self.with_engine(now_ms, |engine, view| engine.attend(now_ms, view));
        let Some(visited) = visited.filter(|it| it.iter().all(|id| is_light(*id, &touched))) else {
            return false;
        };
        self.changed.add(visited, &self.index);
        true
    }

    fn with_engine<T>(
        &mut self,
        now_ms: u64,
        ask: impl FnOnce(&mut Engine<ResourceId, Step>, &View<'_>) -> T,
    ) -> T {
        let view = View {
            now_ms,
            config: &self.config,
            ordered: self.ordered,
            trial: &self.trial,
            orders: &self.orders,
            index: &self.index,
            usage: &self.usage,
            facts: &self.facts,
            memos: &self.memos,
            failing: &self.failing,
            progress: &self.progress,
        };
        ask(&mut self.engine, &view)
    }

    /// Hands out what the engine asks for, and tells of what it met.
    fn pass_on(&mut self, now_ms: u64) {
        while let Some(command) = self.engine.poll_command() {
            self.commands.push_back(match command {
                reconcile::Command::Run { run, step, .. } => {
                    if step.uplink().is_some() {
                        self.trial.touch(now_ms, &self.config);
                    }
                    Command::Run { run, step }
                }
                reconcile::Command::Cancel { run } => Command::Cancel { run },
            });
        }
        while let Some(failure) = self.engine.poll_failure() {
            if failure.attempts == 1 {
                let (verb, error) = (failure.step.verb(), &failure.error.message);
                self.news.step_failing(now_ms, failure.id, verb, error, &self.config);
            }
        }
    }

    fn failing_volumes(&self) -> BTreeSet<Uuid> {
        let failing = |volume: &Uuid| {
            let status = self.engine.status(ResourceId::Volume(*volume));
            status.is_some_and(|s| s.attempts > 0 || matches!(s.phase, reconcile::Phase::Cannot(_)))
        };
        self.orders.volumes.keys().copied().filter(failing).collect()
    }

    /// Whether everything is to be looked at, and not only what was touched.
    #[cfg(test)]
    pub(in crate::agent) fn doubts_everything(&self) -> bool {
        self.all
    }

    /// What is ordered, as it was put together order by order.
    #[cfg(test)]
    pub(in crate::agent) fn orders(&self) -> &Orders {
        assert_eq!(self.index, Index::of(&self.orders));
        &self.orders
    }

    /// What a look at everything would do, and the one at what was touched did not.
    #[cfg(test)]
    pub(in crate::agent) fn overlooked(&self, now_ms: u64) -> Vec<Command> {
        let mut other = self.clone();
        (other.all, other.commands) = (true, std::collections::VecDeque::new());
        if self.acts() && !self.dirty {
            other.review(now_ms);
        }
        other.commands.into()
    }
}
