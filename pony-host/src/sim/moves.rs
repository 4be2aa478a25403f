//! Guests that move between the simulated hosts of one process.

use super::{errors::transient, guests::Guest, host::Shared, host::SimHost, op::SimOp, world::World};
use crate::{Progress, Result};
use pony_core::host::{Destination, GuestState, InstanceSpec};
use std::collections::BTreeMap;
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

impl SimHost {
    /// Lets guests move between this host and the others of `fabric`.
    pub fn join(&self, fabric: &SimFabric) {
        let weak = Arc::downgrade(&self.shared);
        fabric.0.lock().unwrap_or_else(PoisonError::into_inner).insert(self.uuid(), weak);
        self.world().fabric = Some(fabric.clone());
    }

    pub(super) async fn send(&self, instance: Uuid, to: &Destination, progress: Progress) -> Result<()> {
        let whole = self.world().options.migrate;
        self.world().staying.remove(&instance);
        for part in 0..PARTS {
            progress(f64::from(part) / f64::from(PARTS));
            tokio::time::sleep(whole / PARTS).await;
            if self.world().staying.contains(&instance) {
                return Err(transient(format!("the move of instance {instance} was called off")));
            }
        }
        self.step(SimOp::Migrate, |world| world.hand_over(instance, to)).await
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
    fn hand_over(&mut self, instance: Uuid, to: &Destination) -> Result<()> {
        let gone = || transient(format!("host {} does not answer", to.host));
        let other = self.fabric.as_ref().and_then(|it| it.host(to.host)).ok_or_else(gone)?;
        // Hosts that send each other guests at once must not wait for each other.
        let mut there = other.shared.world.try_lock().map_err(|_| gone())?;
        let guest = self.guest(instance)?.clone();
        if !guest.is_active() {
            return Err(transient(format!("{} does not run", guest.spec.name)));
        }
        there.arrive(instance, guest, &way(self.options.uuid))?;
        self.guests.remove(&instance);
        self.effect(SimOp::Migrate, instance);
        self.notify(instance);
        Ok(())
    }

    fn arrive(&mut self, instance: Uuid, guest: Guest, origin: &str) -> Result<()> {
        let expected = self.guests.get(&instance).filter(|it| it.state == GuestState::Incoming);
        if expected.is_none_or(|it| it.origin.as_deref() != Some(origin)) {
            return Err(transient(format!("instance {instance} is not let in")));
        }
        let live = guest.live.clone().unwrap_or_else(|| guest.spec.clone());
        self.check_parts(&live)?;
        self.check_memory(&live)?;
        self.guests.insert(instance, Guest { state: GuestState::Paused, ..guest });
        self.notify(instance);
        Ok(())
    }
}
