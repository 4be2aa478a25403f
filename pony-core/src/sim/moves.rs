//! Guests that go from one simulated host to another: at one moment, or not at all; or it arrives and its old host does not
//! hear of that, and has it go on.

use super::host::{SimAnswer, SimHost};
use super::world::{Effect, SimGuest, is_up, refuse};
use crate::agent::{Hint, Output};
use crate::host::{Destination, DriverError, GuestState, InstanceSpec};
use crate::reconcile::RunId;
use std::collections::BTreeSet;
use uuid::Uuid;

/// A guest that is about to go; whoever has both hosts lets it, by [`SimHost::depart`].
#[derive(Debug)]
pub struct Departure {
    /// The step, which may be forgotten by then.
    pub(super) run: RunId,
    /// The instance.
    pub instance: Uuid,
    /// Where to.
    pub to: Destination,
    /// The disks that are copied on the way.
    pub(super) copied: BTreeSet<Uuid>,
}

/// The same instance, whose copied disks are where the other host expects them.
fn renamed(
    spec: &InstanceSpec,
    there: &InstanceSpec,
    copied: &BTreeSet<Uuid>,
) -> Result<InstanceSpec, DriverError> {
    let mut spec = spec.clone();
    for disk in spec.disks.iter_mut().filter(|it| copied.contains(&it.vdisk)) {
        let other = there.disks.iter().find(|it| it.vdisk == disk.vdisk && it.format == disk.format);
        let other = other.ok_or_else(|| refuse("the other host is told of other disks".to_owned()))?;
        disk.place = other.place.clone();
    }
    Ok(spec)
}

impl SimHost {
    /// A guest that is about to go to another host.
    pub fn poll_departure(&mut self) -> Option<Departure> {
        self.departures.pop_front()
    }

    /// Lets the guest go to `other`, the host that it wants to go to; `None`: nobody answers there.
    pub fn depart(&mut self, departure: &Departure, other: Option<&mut Self>) {
        let effect = match other {
            None => Err(refuse(format!("host {} does not answer", departure.to.host))),
            Some(other) => self.send(departure, other),
        };
        if let Some(job) = self.jobs.get_mut(&departure.run) {
            job.effect = Some(effect);
        }
    }

    fn send(&mut self, departure: &Departure, other: &mut Self) -> Effect {
        let Departure { instance, to, copied, .. } = departure;
        if to.way != other.way() {
            return Err(refuse(format!("nobody is at {}", to.way)));
        }
        let guest = self.world.guests.get(instance).filter(|it| is_up(it.state)).cloned();
        let guest = guest.ok_or_else(|| refuse(format!("instance {instance} is not running")))?;
        let live = other.arrive(*instance, guest, &self.way(), copied)?;
        let torn = self.tears();
        other.world.note_copies(&live, copied, !torn);
        if torn {
            return Err(refuse("the connection was lost at the very end".to_owned()));
        }
        self.world.guests.remove(instance);
        self.endings.remove(instance);
        self.world.count("migrate", *instance);
        self.answers.push(SimAnswer::Hint(Hint::Instance(*instance)));
        Ok(Output::None)
    }

    fn arrive(
        &mut self,
        instance: Uuid,
        guest: SimGuest,
        origin: &str,
        copied: &BTreeSet<Uuid>,
    ) -> Result<InstanceSpec, DriverError> {
        let expected = self.world.guests.get(&instance).filter(|it| it.state == GuestState::Incoming);
        let expected = expected.filter(|it| it.origin.as_deref() == Some(origin));
        let there =
            expected.ok_or_else(|| refuse(format!("instance {instance} is not let in")))?.spec.clone();
        let live = renamed(guest.live.as_ref().unwrap_or(&guest.spec), &there, copied)?;
        self.world.check_links(&live)?;
        let spec = renamed(&guest.spec, &there, copied)?;
        // Whether it may run here is for the agent to say.
        let guest =
            SimGuest { state: GuestState::Paused, arrived: true, spec, live: Some(live.clone()), ..guest };
        self.world.guests.insert(instance, guest);
        self.world.count("arrive", instance);
        self.answers.push(SimAnswer::Hint(Hint::Instance(instance)));
        Ok(live)
    }

    /// How other hosts reach this one, and by what they know it: another word after each start of the agent, since that is
    /// what lets guests in, and volumes be read.
    pub(super) fn way(&self) -> String {
        format!("sim:{}:{}", self.seed, self.starts)
    }
}
