//! The guests of the simulated world: what libvirt and QEMU would do, without time and without faults.

use super::{errors::order, errors::transient, op::SimOp, world::World};
use crate::Result;
use pony_core::host::{DriverError, GuestState, InstanceFact, InstanceSpec};
use tokio::sync::watch;
use uuid::Uuid;

/// A defined guest.
#[derive(Debug, Clone)]
pub(super) struct Guest {
    pub(super) spec: InstanceSpec,
    pub(super) state: GuestState,
    /// What it was started with: the definition may have changed since.
    pub(super) live: Option<InstanceSpec>,
    /// Counts its runs, so that what was in store for one does not befall the next.
    pub(super) run: u64,
    /// Whether it ignores the power button.
    pub(super) deaf: bool,
    /// There while it is on: its consoles end with it.
    power: Option<watch::Sender<()>>,
}

impl Guest {
    /// Whether an emulator process would exist.
    pub(super) fn is_active(&self) -> bool {
        matches!(self.state, GuestState::Running | GuestState::Paused | GuestState::ShuttingDown)
    }

    /// There is no emulator any more.
    pub(super) fn end(&mut self, state: GuestState) {
        self.state = state;
        self.power = None;
    }
}

impl World {
    pub(super) fn define(&mut self, spec: &InstanceSpec) -> Result<()> {
        if self.guests.get(&spec.instance).is_some_and(|guest| guest.spec == *spec) {
            return Ok(());
        }
        let (state, live, power) = (GuestState::Off, None, None);
        let fresh = || Guest { spec: spec.clone(), state, live, run: 0, deaf: false, power };
        self.guests.entry(spec.instance).or_insert_with(fresh).spec = spec.clone();
        self.effect(SimOp::Define, spec.instance);
        Ok(())
    }

    /// Starts a guest; answers its run where it was not running already.
    pub(super) fn start(&mut self, instance: Uuid) -> Result<Option<u64>> {
        let guest = self.guest(instance)?;
        if guest.is_active() {
            return Ok(None);
        }
        let spec = guest.spec.clone();
        self.check_parts(&spec)?;
        self.check_memory(&spec)?;
        let guest = self.guest(instance)?;
        guest.state = GuestState::Running;
        guest.live = Some(spec);
        guest.power = Some(watch::channel(()).0);
        guest.run += 1;
        let run = guest.run;
        self.effect(SimOp::Start, instance);
        Ok(Some(run))
    }

    /// A real emulator opens its disks and its taps, and ends when it cannot.
    fn check_parts(&self, spec: &InstanceSpec) -> Result<()> {
        for disk in &spec.disks {
            if !self.has_volume_at(&disk.place, disk.format) {
                let path = &disk.place;
                return Err(transient(format!("cannot start {}: no finished volume at {path}", spec.name)));
            }
        }
        match spec.nics.iter().find(|nic| !self.has_tap(&nic.tap)) {
            Some(nic) => Err(transient(format!("cannot start {}: there is no tap {}", spec.name, nic.tap))),
            None => Ok(()),
        }
    }

    fn check_memory(&self, spec: &InstanceSpec) -> Result<()> {
        let live = self.guests.values().filter(|guest| guest.is_active()).filter_map(|g| g.live.as_ref());
        let used: i64 = live.map(|live| live.mem_mib).sum();
        let left = self.options.mem_mib - used;
        if spec.mem_mib <= left {
            return Ok(());
        }
        let (name, need) = (&spec.name, spec.mem_mib);
        Err(transient(format!("cannot start {name}: it needs {need} MiB of memory, {left} MiB are free")))
    }

    pub(super) fn pause(&mut self, instance: Uuid) -> Result<()> {
        self.turn(SimOp::Pause, instance, GuestState::Running, GuestState::Paused)
    }

    pub(super) fn resume(&mut self, instance: Uuid) -> Result<()> {
        self.turn(SimOp::Resume, instance, GuestState::Paused, GuestState::Running)
    }

    fn turn(&mut self, op: SimOp, instance: Uuid, from: GuestState, to: GuestState) -> Result<()> {
        let guest = self.guest(instance)?;
        if guest.state == to {
            return Ok(());
        }
        if guest.state != from {
            let (name, state) = (&guest.spec.name, guest.state);
            return Err(transient(format!("{name} is {state:?}; this needs it to be {from:?}")));
        }
        guest.state = to;
        self.effect(op, instance);
        Ok(())
    }

    /// Presses the power button; answers the run that will end by it, if one will.
    pub(super) fn shutdown(&mut self, instance: Uuid) -> Result<Option<u64>> {
        let guest = self.guest(instance)?;
        if guest.state != GuestState::Running {
            return Ok(None);
        }
        guest.state = GuestState::ShuttingDown;
        let run = (!guest.deaf).then_some(guest.run);
        self.effect(SimOp::Shutdown, instance);
        Ok(run)
    }

    /// A guest that nobody knows does not run: that is what was asked for.
    pub(super) fn destroy(&mut self, instance: Uuid) -> Result<()> {
        let Some(guest) = self.guests.get_mut(&instance) else { return Ok(()) };
        let was_active = guest.is_active();
        guest.end(GuestState::Off);
        if was_active {
            self.effect(SimOp::Destroy, instance);
        }
        Ok(())
    }

    pub(super) fn undefine(&mut self, instance: Uuid) -> Result<()> {
        let Some(guest) = self.guests.get(&instance) else { return Ok(()) };
        if guest.is_active() {
            return Err(order(format!("{} still runs: destroy it before it is undefined", guest.spec.name)));
        }
        self.guests.remove(&instance);
        self.effect(SimOp::Undefine, instance);
        Ok(())
    }

    pub(super) fn guest_facts(&self) -> Vec<InstanceFact> {
        let fact = |(instance, guest): (&Uuid, &Guest)| InstanceFact {
            instance: *instance,
            state: guest.state,
            spec: Some(guest.spec.clone()),
            live: guest.live.clone().filter(|_| guest.state != GuestState::Off),
            console: guest.is_active().then(|| format!("/sim/console/{instance}")),
        };
        self.guests.iter().map(fact).collect()
    }

    /// Ends a run that is still on, and says whether it was.
    pub(super) fn end_run(&mut self, instance: Uuid, run: u64, end: GuestState) -> bool {
        match self.guests.get_mut(&instance) {
            Some(guest) if guest.run == run && guest.is_active() => {
                guest.end(end);
                self.notify(instance);
                true
            }
            _ => false,
        }
    }

    /// The name of a guest that is on, and what ends when it goes off.
    pub(super) fn power(&mut self, instance: Uuid) -> Result<(String, watch::Receiver<()>)> {
        let guest = self.guest(instance)?;
        match &guest.power {
            Some(power) => Ok((guest.spec.name.clone(), power.subscribe())),
            None => Err(transient(format!("{} is off: it has no console", guest.spec.name))),
        }
    }

    fn guest(&mut self, instance: Uuid) -> Result<&mut Guest> {
        self.guests.get_mut(&instance).ok_or_else(|| undefined(instance))
    }
}

fn undefined(instance: Uuid) -> DriverError {
    transient(format!("instance {instance} is not defined on this host"))
}
