//! Guests that go from one simulated host to another: at one moment, or not at all; or it arrives and its old host does not
//! hear of that, and has it go on.

use super::host::{SimAnswer, SimHost};
use super::world::{Effect, SimGuest, is_up, refuse};
use crate::agent::{Hint, Output};
use crate::host::{Destination, GuestState};
use crate::reconcile::RunId;
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
        let Departure { instance, to, .. } = departure;
        if to.way != other.way() {
            return Err(refuse(format!("nobody is at {}", to.way)));
        }
        let guest = self.world.guests.get(instance).filter(|it| is_up(it.state)).cloned();
        let guest = guest.ok_or_else(|| refuse(format!("instance {instance} is not running")))?;
        other.arrive(*instance, guest, &self.way())?;
        if self.tears() {
            return Err(refuse("the connection was lost at the very end".to_owned()));
        }
        self.world.guests.remove(instance);
        self.endings.remove(instance);
        self.world.count("migrate", *instance);
        self.answers.push(SimAnswer::Hint(Hint::Instance(*instance)));
        Ok(Output::None)
    }

    fn arrive(&mut self, instance: Uuid, guest: SimGuest, origin: &str) -> Effect {
        let expected = self.world.guests.get(&instance).filter(|it| it.state == GuestState::Incoming);
        if expected.is_none_or(|it| it.origin.as_deref() != Some(origin)) {
            return Err(refuse(format!("instance {instance} is not let in")));
        }
        let live = guest.live.clone().unwrap_or_else(|| guest.spec.clone());
        self.world.check_links(&live)?;
        // Whether it may run here is for the agent to say.
        self.world.guests.insert(instance, SimGuest { state: GuestState::Paused, arrived: true, ..guest });
        self.world.count("arrive", instance);
        self.answers.push(SimAnswer::Hint(Hint::Instance(instance)));
        Ok(Output::None)
    }

    /// How other hosts reach this one, and by what they know it: another word after each start of the agent, since that is
    /// what lets guests in.
    pub(super) fn way(&self) -> String {
        format!("sim:{}", self.starts)
    }
}
