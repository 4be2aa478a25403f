//! What breaks, and the operators who say of a host that it is off.

use super::world::World;
use crate::database::update;
use pony_core::tables::{Host, HostStatus};
use pony_state::Read;
use serde_json::json;
use uuid::Uuid;

impl World {
    pub(super) fn some_host(&mut self) -> usize {
        usize::try_from(self.random.below(self.nodes.len() as u64)).unwrap()
    }

    pub(super) fn break_something(&mut self) {
        self.deeds.faults += 1;
        let n = self.some_host();
        let now_ms = self.now_ms;
        match self.random.below(40) {
            0..=9 if self.nodes[n].agent.is_some() => {
                let start_ms = now_ms + self.random.below(8_000);
                self.nodes[n].kill_agent(now_ms, start_ms);
            }
            10..=13 if self.nodes[n].powered => {
                let start_ms = now_ms + self.random.below(20_000);
                self.nodes[n].power_off(now_ms, Some(start_ms));
            }
            // It stays off until an operator has seen that it is fenced.
            14..=18 if self.nodes[n].powered => self.nodes[n].power_off(now_ms, None),
            19..=25 => self.nodes[n].cut_until_ms = now_ms + self.random.below(70_000),
            26 => {
                let start_ms = now_ms + self.random.below(5_000);
                self.kill_sparkle(start_ms);
            }
            27 | 28 => self.store.away_until_ms = now_ms + self.random.below(10_000),
            _ => {
                let guests: Vec<Uuid> = self.nodes[n].sim.world().up().collect();
                guests.into_iter().for_each(|it| self.nodes[n].sim.crash(now_ms, it));
            }
        }
        self.check_promises();
    }

    fn is_confirmed(&self, n: usize) -> bool {
        self.store.database.get("host", self.nodes[n].uuid).unwrap()["fencing"].get("confirmed").is_some()
    }

    fn seen(&self, n: usize) -> Option<HostStatus> {
        let snapshot = self.controller.as_ref()?.snapshot();
        Some(snapshot.get::<Host>(&self.nodes[n].uuid)?.current.as_ref()?.status)
    }

    /// A machine that an operator said is off stays off until Sparkle took note of that.
    pub(super) fn may_start(&self, n: usize) -> bool {
        self.nodes[n].powered || !self.is_confirmed(n) || self.seen(n) == Some(HostStatus::Fenced)
    }

    /// Operators look after machines that are off for good: they say so when Sparkle misses them, and switch
    /// them on again some time after it took note.
    pub(super) fn operate(&mut self) {
        for n in 0..self.nodes.len() {
            if self.nodes[n].powered || self.nodes[n].start_ms.is_some() {
                continue;
            }
            match self.seen(n) {
                Some(HostStatus::Missing) if !self.is_confirmed(n) => {
                    let host = self.nodes[n].uuid;
                    let op = update("host", host, json!({ "fencing": { "confirmed": true } }));
                    let lag = self.lag_ms();
                    let _ = self.store.commit(self.now_ms, lag, &[op]);
                }
                Some(HostStatus::Fenced) => {
                    self.deeds.fenced += 1;
                    self.nodes[n].start_ms = Some(self.now_ms + self.random.below(30_000));
                }
                _ => {}
            }
        }
    }

    /// Machines that nobody looks after come up; operators do the rest.
    pub(super) fn power_on_all(&mut self) {
        for n in 0..self.nodes.len() {
            if !self.nodes[n].powered && !self.is_confirmed(n) {
                self.nodes[n].start_ms.get_or_insert(self.now_ms);
            }
        }
    }
}
