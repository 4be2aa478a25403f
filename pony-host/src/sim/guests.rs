//! The guests of the simulated world: what libvirt and QEMU would do, without time and without faults.

use super::{errors::order, errors::transient, op::SimOp, world::World};
use crate::Result;
use pony_core::host::{
    DiskSpec, DriverError, Ending, GuestState, InstanceFact, InstanceSpec, Place, Room, adjusted,
};
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
    /// The memory that it was started with, MiB.
    pub(super) mem_started_mib: i64,
    /// How its last run ended.
    pub(super) ending: Option<Ending>,
    /// Whether it ignores the power button, and lets go of no disk.
    pub(super) deaf: bool,
    /// By what the host is known that it is let in from.
    pub(super) origin: Option<String>,
    /// There while it is on: its consoles end with it.
    pub(super) power: Option<watch::Sender<()>>,
}

/// The most virtual CPUs of a guest that runs.
const VCPU_MAX: u32 = 8;

impl Guest {
    pub(super) fn off(spec: &InstanceSpec) -> Self {
        Self {
            spec: spec.clone(),
            state: GuestState::Off,
            live: None,
            run: 0,
            mem_started_mib: 0,
            ending: None,
            deaf: false,
            origin: None,
            power: None,
        }
    }

    /// How far it can be changed while it runs.
    fn room(&self) -> Room {
        Room { vcpu_min: 1, vcpu_max: VCPU_MAX, mem_max_mib: self.mem_started_mib }
    }

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
        self.guests.entry(spec.instance).or_insert_with(|| Guest::off(spec)).spec = spec.clone();
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
        guest.mem_started_mib = spec.mem_mib;
        (guest.live, guest.ending) = (Some(spec), None);
        guest.power = Some(watch::channel(()).0);
        guest.run += 1;
        let run = guest.run;
        self.effect(SimOp::Start, instance);
        Ok(Some(run))
    }

    /// A real emulator opens its disks and its taps, and ends when it cannot.
    pub(super) fn check_parts(&self, spec: &InstanceSpec) -> Result<()> {
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

    pub(super) fn check_memory(&self, spec: &InstanceSpec) -> Result<()> {
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
        if guest.state == GuestState::Incoming {
            // What has not arrived leaves nothing behind.
            self.guests.remove(&instance);
            self.effect(SimOp::Destroy, instance);
            return Ok(());
        }
        let was_active = guest.is_active();
        guest.end(GuestState::Off);
        if was_active {
            guest.ending = Some(Ending::Destroyed);
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

    /// Makes a guest that is up exactly what is asked for, all at once.
    pub(super) fn adjust(&mut self, spec: &InstanceSpec) -> Result<()> {
        let guest = self.guest(spec.instance)?;
        let Some(live) = guest.live.clone().filter(|_| guest.is_active()) else {
            return Err(transient(format!("cannot change {}: it does not run", spec.name)));
        };
        if live == *spec {
            return Ok(());
        }
        if adjusted(&live, spec, &guest.room()) != *spec {
            return Err(order(format!("{} cannot be changed like that while it runs", spec.name)));
        }
        let stays = |disk: &&DiskSpec| spec.disks.contains(disk);
        if let Some(kept) = live.disks.iter().find(|disk| guest.deaf && !stays(disk)) {
            return Err(transient(format!("{} does not let go of disk {}", spec.name, kept.index)));
        }
        self.check_parts(spec)?;
        self.guest(spec.instance)?.live = Some(spec.clone());
        self.effect(SimOp::Adjust, spec.instance);
        Ok(())
    }

    pub(super) fn grow_disk(&mut self, instance: Uuid, disk: &DiskSpec, size_mib: i64) -> Result<()> {
        let guest = self.guest(instance)?;
        let has = guest.is_active() && guest.live.as_ref().is_some_and(|live| live.disks.contains(disk));
        let volume = self.volumes.all().into_iter().find(|volume| has && volume.place == disk.place);
        let Some(volume) = volume else {
            return Err(transient(format!("instance {instance} has no disk {} now", disk.place)));
        };
        if volume.size_mib < size_mib && matches!(volume.place, Place::Block(_)) {
            let has = volume.size_mib;
            return Err(order(format!("device {} has {has} MiB, and not {size_mib}", volume.place)));
        }
        if volume.size_mib < size_mib {
            self.volumes.grow(volume.volume, size_mib);
            self.effect(SimOp::GrowDisk, instance);
        }
        Ok(())
    }

    pub(super) fn guest_facts(&self) -> Vec<InstanceFact> {
        let fact = |(instance, guest): (&Uuid, &Guest)| InstanceFact {
            instance: *instance,
            state: guest.state,
            spec: Some(guest.spec.clone()),
            live: guest.live.clone().filter(|_| guest.state != GuestState::Off),
            room: guest.is_active().then(|| guest.room()),
            ending: guest.ending.filter(|_| !guest.is_active()),
            console: guest.is_active().then(|| format!("/sim/console/{instance}")),
            origin: guest.origin.clone(),
        };
        self.guests.iter().map(fact).collect()
    }

    /// Ends a run that is still on, and says whether it was.
    pub(super) fn end_run(&mut self, instance: Uuid, run: u64, end: GuestState) -> bool {
        match self.guests.get_mut(&instance) {
            Some(guest) if guest.run == run && guest.is_active() => {
                guest.end(end);
                let crashed = end == GuestState::Crashed;
                guest.ending = Some(if crashed { Ending::Killed } else { Ending::ShutDown });
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

    pub(super) fn guest(&mut self, instance: Uuid) -> Result<&mut Guest> {
        self.guests.get_mut(&instance).ok_or_else(|| undefined(instance))
    }
}

fn undefined(instance: Uuid) -> DriverError {
    transient(format!("instance {instance} is not defined on this host"))
}
