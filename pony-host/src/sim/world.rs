//! What there is in the simulated world, and who is told of changes.

use super::moves::SimFabric;
use super::store::Volumes;
use super::volumes::Fill;
use super::{effects::Effects, faults::Faults, guests::Guest, links::Tap, op::SimOp, options::SimOptions};
use pony_core::host::{Export, GuestState, SwitchKind, UplinkFact, UplinkId};
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::mpsc;
use uuid::Uuid;

/// Everything about one host. It outlives the agent: a new handle over the same world is a restarted agent.
pub(super) struct World {
    pub(super) options: SimOptions,
    pub(super) faults: Faults,
    pub(super) effects: Effects,
    pub(super) guests: BTreeMap<Uuid, Guest>,
    pub(super) uplinks: BTreeMap<UplinkId, UplinkFact>,
    /// Switches, with how they are joined with other hosts.
    pub(super) switches: BTreeMap<Uuid, SwitchKind>,
    pub(super) taps: BTreeMap<Uuid, Tap>,
    pub(super) volumes: Volumes,
    pub(super) fills: BTreeMap<Uuid, Fill>,
    pub(super) tickets: u64,
    pub(super) boots: i64,
    pub(super) guest_watchers: Vec<mpsc::Sender<Uuid>>,
    pub(super) machine_watchers: Vec<mpsc::Sender<()>>,
    /// The hosts that it can send guests to.
    pub(super) fabric: Option<SimFabric>,
    /// What other hosts may read.
    pub(super) exports: Vec<Export>,
    /// Guests whose move was called off.
    pub(super) staying: BTreeSet<Uuid>,
}

impl World {
    pub(super) fn new(options: SimOptions) -> Self {
        Self {
            faults: Faults::new(&options),
            volumes: Volumes::new(options.store.clone()),
            options,
            effects: Effects::default(),
            guests: BTreeMap::new(),
            uplinks: BTreeMap::new(),
            switches: BTreeMap::new(),
            taps: BTreeMap::new(),
            fills: BTreeMap::new(),
            tickets: 0,
            boots: 0,
            guest_watchers: Vec::new(),
            machine_watchers: Vec::new(),
            fabric: None,
            exports: Vec::new(),
            staying: BTreeSet::new(),
        }
    }

    /// Counts a side effect, and tells those who watch guests.
    pub(super) fn effect(&mut self, op: SimOp, target: Uuid) {
        self.effects.record(op, target);
        if self.guests.contains_key(&target) || op == SimOp::Undefine {
            self.notify(target);
        }
    }

    /// Lossy: a watcher that does not keep up misses the word, one that went away is forgotten.
    pub(super) fn notify(&mut self, instance: Uuid) {
        self.guest_watchers.retain(|watcher| !watcher.is_closed());
        for watcher in &self.guest_watchers {
            let _ = watcher.try_send(instance);
        }
    }

    pub(super) fn notify_machine(&mut self) {
        self.machine_watchers.retain(|watcher| !watcher.is_closed());
        for watcher in &self.machine_watchers {
            let _ = watcher.try_send(());
        }
    }

    /// Guests are off, links and unfinished fills are gone; definitions and finished volumes are there.
    pub(super) fn reboot(&mut self) {
        self.boots += 1;
        self.uplinks.clear();
        self.switches.clear();
        self.taps.clear();
        self.fills.clear();
        self.guests.retain(|_, guest| guest.state != GuestState::Incoming);
        let running: Vec<Uuid> = self.active().collect();
        for instance in running {
            if let Some(guest) = self.guests.get_mut(&instance) {
                guest.end(GuestState::Off);
                guest.ending = None;
            }
            self.notify(instance);
        }
        self.notify_machine();
    }

    pub(super) fn active(&self) -> impl Iterator<Item = Uuid> + '_ {
        self.guests.iter().filter(|(_, guest)| guest.is_active()).map(|(instance, _)| *instance)
    }
}
