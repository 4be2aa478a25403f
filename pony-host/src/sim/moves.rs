//! Guests that move between the simulated hosts of one process.

use super::{errors::transient, guests::Guest, host::Shared, host::SimHost, op::SimOp, world::World};
use crate::{Progress, Result};
use pony_core::host::{Destination, GuestState, InstanceSpec, RemoteVolume};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use uuid::Uuid;

/// Parts in which the memory of a guest goes.
const PARTS: u32 = 10;

/// The simulated hosts that can send each other guests which run. Clones are handles of the same one.
///
/// ```
/// use pony_host::{SimFabric, SimHost, SimOptions};
///
/// let fabric = SimFabric::default();
/// let hosts = [1, 2].map(|number| SimHost::new(SimOptions::numbered(1, number)));
/// hosts.iter().for_each(|host| host.join(&fabric));
/// ```
#[derive(Clone, Default)]
pub struct SimFabric(Arc<Mutex<BTreeMap<Uuid, Weak<Shared>>>>);

impl SimFabric {
    fn host(&self, uuid: Uuid) -> Option<SimHost> {
        let hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Some(SimHost { shared: hosts.get(&uuid)?.upgrade()? })
    }
}

/// By what hosts reach and know one.
fn way(host: Uuid) -> String {
    format!("sim:{host}")
}

/// The same instance, whose copied disks are where the other host expects them.
fn renamed(spec: &InstanceSpec, there: &InstanceSpec, copied: &BTreeSet<Uuid>) -> Result<InstanceSpec> {
    let mut spec = spec.clone();
    for disk in spec.disks.iter_mut().filter(|it| copied.contains(&it.vdisk)) {
        let other = there.disks.iter().find(|it| it.vdisk == disk.vdisk && it.format == disk.format);
        let other = other.ok_or_else(|| transient("the other host is told of other disks"))?;
        disk.place = other.place.clone();
    }
    Ok(spec)
}

impl SimHost {
    /// Lets guests move between this host and the others of `fabric`.
    pub fn join(&self, fabric: &SimFabric) {
        let weak = Arc::downgrade(&self.shared);
        fabric.0.lock().unwrap_or_else(PoisonError::into_inner).insert(self.uuid(), weak);
        self.world().fabric = Some(fabric.clone());
    }

    pub(super) async fn send(
        &self,
        instance: Uuid,
        to: &Destination,
        copied: &BTreeSet<Uuid>,
        progress: Progress,
    ) -> Result<()> {
        let whole = self.world().options.migrate;
        self.world().staying.remove(&instance);
        for part in 0..PARTS {
            progress(f64::from(part) / f64::from(PARTS));
            tokio::time::sleep(whole / PARTS).await;
            if self.world().staying.contains(&instance) {
                return Err(transient(format!("the move of instance {instance} was called off")));
            }
        }
        self.step(SimOp::Migrate, |world| world.hand_over(instance, to, copied)).await
    }
}

impl World {
    pub(super) fn way(&self) -> Option<String> {
        self.fabric.as_ref().map(|_| way(self.options.uuid))
    }

    /// Lets a guest in.
    pub(super) fn expect(&mut self, spec: &InstanceSpec, origin: &str) -> Result<()> {
        let fresh =
            Guest { state: GuestState::Incoming, origin: Some(origin.to_owned()), ..Guest::off(spec) };
        match self.guests.get(&spec.instance) {
            Some(guest) if guest.is_active() => return Ok(()),
            Some(guest) if guest.spec == *spec && guest.origin == fresh.origin => return Ok(()),
            _ => drop(self.guests.insert(spec.instance, fresh)),
        }
        self.effect(SimOp::Expect, spec.instance);
        Ok(())
    }

    /// At one moment the guest is here, and at the next there.
    fn hand_over(&mut self, instance: Uuid, to: &Destination, copied: &BTreeSet<Uuid>) -> Result<()> {
        let gone = || transient(format!("host {} does not answer", to.host));
        let other = self.fabric.as_ref().and_then(|it| it.host(to.host)).ok_or_else(gone)?;
        // Hosts that send each other guests at once must not wait for each other.
        let mut there = other.shared.world.try_lock().map_err(|_| gone())?;
        let guest = self.guest(instance)?.clone();
        if !guest.is_active() {
            return Err(transient(format!("{} does not run", guest.spec.name)));
        }
        there.arrive(instance, guest, &way(self.options.uuid), copied)?;
        self.guests.remove(&instance);
        self.effect(SimOp::Migrate, instance);
        self.notify(instance);
        Ok(())
    }

    /// How large a volume of another host is that this one may read, MiB.
    pub(super) fn remote_mib(&self, from: &RemoteVolume) -> Result<i64> {
        let RemoteVolume { host, volume, way: told } = from;
        let gone = || transient(format!("host {host} does not answer"));
        let other = self.fabric.as_ref().filter(|_| *told == way(*host)).and_then(|it| it.host(*host));
        let other = other.ok_or_else(gone)?;
        // As with guests.
        let there = other.shared.world.try_lock().map_err(|_| gone())?;
        let reader = way(self.options.uuid);
        if !there.exports.iter().any(|it| it.volume == *volume && it.to == reader) {
            return Err(transient(format!("host {host} does not let volume {volume} be read")));
        }
        let fact = there.volumes.get(*volume);
        fact.map(|it| it.size_mib).ok_or_else(|| transient(format!("volume {volume} is not on host {host}")))
    }

    fn arrive(&mut self, instance: Uuid, guest: Guest, origin: &str, copied: &BTreeSet<Uuid>) -> Result<()> {
        let expected = self.guests.get(&instance).filter(|it| it.state == GuestState::Incoming);
        let expected = expected.filter(|it| it.origin.as_deref() == Some(origin));
        let refusal = || transient(format!("instance {instance} is not let in"));
        let there = expected.ok_or_else(refusal)?.spec.clone();
        let live = renamed(guest.live.as_ref().unwrap_or(&guest.spec), &there, copied)?;
        let spec = renamed(&guest.spec, &there, copied)?;
        self.check_parts(&live)?;
        self.check_memory(&live)?;
        self.guests.insert(instance, Guest { state: GuestState::Paused, spec, live: Some(live), ..guest });
        self.notify(instance);
        Ok(())
    }
}
