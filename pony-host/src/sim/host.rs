//! The handle of a simulated host: runs operations against the world, and is told what should go wrong.

use super::{errors::error, errors::transient, faults::Fate, op::SimOp, options::SimOptions, world::World};
use crate::Result;
use crate::console::Lines;
use pony_core::host::{DriverErrorKind, GuestState, NicFact, VolumeFact};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;

/// A simulated host. Clones are handles of the same host: drop one and go on with another, and the agent has
/// been restarted while the host lived on.
///
/// ```
/// use pony_host::{Hypervisor, SimHost, SimOp, SimOptions};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let host = SimHost::new(SimOptions::numbered(1, 1));
/// assert!(host.list().await.unwrap().is_empty());
/// host.fail_next(SimOp::ListGuests, pony_core::host::DriverErrorKind::Transient);
/// assert!(host.list().await.is_err());
/// # });
/// ```
#[derive(Clone)]
pub struct SimHost {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) world: Mutex<World>,
    /// Told when an operation that hung is let go.
    released: watch::Sender<()>,
    lines: Lines,
}

impl SimHost {
    /// A new host with nothing on it.
    #[must_use]
    pub fn new(options: SimOptions) -> Self {
        let world = Mutex::new(World::new(options));
        let shared = Shared { world, released: watch::channel(()).0, lines: Lines::default() };
        Self { shared: Arc::new(shared) }
    }

    /// `host.uuid`.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        self.world().options.uuid
    }

    /// Makes the next operation of this kind fail before it has any effect. Several orders queue up.
    pub fn fail_next(&self, op: SimOp, kind: DriverErrorKind) {
        self.world().faults.fail_next(op, kind);
    }

    /// Makes all operations of this kind hang, those too that run already, until they are dropped or released.
    pub fn hang(&self, op: SimOp) {
        self.world().faults.hang(op);
    }

    /// Ends [`hang`](Self::hang): what hangs goes on.
    pub fn release(&self, op: SimOp) {
        self.world().faults.release(op);
        self.shared.released.send_replace(());
    }

    /// Sets the probabilities of failures, hangs and crashes anew; see [`SimOptions`].
    pub fn set_rates(&self, failure: f64, hang: f64, crash: f64) {
        self.world().faults.set_rates(failure, hang, crash);
    }

    /// Makes a guest break down, if it runs.
    pub fn crash(&self, instance: Uuid) {
        let mut world = self.world();
        if let Some(run) = world.guests.get(&instance).map(|guest| guest.run) {
            world.end_run(instance, run, GuestState::Crashed);
        }
    }

    /// Makes a guest that is defined ignore the power button, or heed it again.
    pub fn set_deaf(&self, instance: Uuid, deaf: bool) {
        if let Some(guest) = self.world().guests.get_mut(&instance) {
            guest.deaf = deaf;
        }
    }

    /// Makes the machine have these cards from now on, as if somebody had plugged them, or their cables, or pulled them.
    pub fn set_nics(&self, nics: Vec<NicFact>) {
        let mut world = self.world();
        world.options.nics = nics;
        world.notify_machine();
    }

    /// Power off and on: guests are off, links and unfinished fills are gone; definitions and volumes stay.
    pub fn reboot(&self) {
        self.world().reboot();
    }

    /// How often an operation changed something (not: how often it was asked for).
    #[must_use]
    pub fn effects(&self, op: SimOp) -> u64 {
        self.world().effects.total(op)
    }

    /// How often an operation changed this guest, link or volume.
    #[must_use]
    pub fn effects_of(&self, op: SimOp, target: Uuid) -> u64 {
        self.world().effects.of(op, target)
    }

    /// The guests that have an emulator (running, paused or shutting down), as an all-seeing eye sees them: at
    /// once, without faults.
    #[must_use]
    pub fn active_guests(&self) -> Vec<Uuid> {
        self.world().active().collect()
    }

    /// The finished volumes, likewise.
    #[must_use]
    pub fn finished_volumes(&self) -> Vec<VolumeFact> {
        self.world().volumes.all()
    }

    /// The volumes that are being filled or were left half-filled, likewise.
    #[must_use]
    pub fn unfinished_volumes(&self) -> Vec<Uuid> {
        self.world().fills.keys().copied().collect()
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.shared.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs one operation: latency, fate, effect, latency.
    pub(super) async fn step<T>(&self, op: SimOp, effect: impl FnOnce(&mut World) -> Result<T>) -> Result<T> {
        let (fate, latency) = {
            let mut world = self.world();
            (world.faults.fate(op), world.options.latency)
        };
        tokio::time::sleep(latency / 2).await;
        self.while_hung(op).await;
        match fate {
            Fate::Hangs => std::future::pending().await,
            Fate::FailsBefore(kind) => return Err(error(kind, format!("simulated failure of {op:?}"))),
            Fate::Well | Fate::FailsAfter => {}
        }
        let answer = effect(&mut self.world());
        tokio::time::sleep(latency / 2).await;
        match fate {
            Fate::FailsAfter => Err(transient(format!("simulated loss of the answer to {op:?}"))),
            _ => answer,
        }
    }

    /// The serial lines that are open.
    pub(super) fn lines(&self) -> &Lines {
        &self.shared.lines
    }

    /// Waits for as long as an operation is told to hang.
    pub(super) async fn while_hung(&self, op: SimOp) {
        let mut released = self.shared.released.subscribe();
        while self.world().faults.is_hung(op) {
            // The sender lives in what `self` keeps: this cannot fail.
            let _ = released.changed().await;
        }
    }

    /// Ends a run of a guest after a while, if it is still on then and the host still exists.
    pub(super) fn end_run_later(&self, after: Duration, instance: Uuid, run: u64, end: GuestState) {
        let shared: Weak<Shared> = Arc::downgrade(&self.shared);
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            if let Some(shared) = shared.upgrade() {
                SimHost { shared }.world().end_run(instance, run, end);
            }
        });
    }
}
