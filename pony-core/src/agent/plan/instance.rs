//! Instances.

use super::usage::is_starting;
use super::{Obstacle, StepRuns, View};
use crate::agent::facts::is_up;
use crate::agent::looks::Subject;
use crate::agent::orders::{DiskData, DiskOrder, Grant, Hardware, Moving, Target};
use crate::agent::step::{ResourceId, Step};
use crate::host::{
    Destination, DiskSpec, GuestState, InstanceFact, InstanceSpec, NicSpec, USUAL_MTU, adjusted,
};
use crate::reconcile::{Plan, Stamp, stamp};
use std::collections::BTreeSet;
use uuid::Uuid;

impl View<'_> {
    /// What it is made of counts only while it is to be up: nothing that is under way to switch it off is
    /// disturbed by a change of it.
    pub(super) fn instance_order(&self, instance: Uuid) -> Stamp {
        let target = self.orders.target(instance);
        let moving = self.orders.placement(instance).moving.filter(|_| target.is_up());
        stamp(&(target, moving, self.orders.hardware(instance).filter(|_| target.is_up())))
    }

    pub(super) fn instance_circumstances(&self, instance: Uuid) -> Stamp {
        // To switch a guest off nothing is needed.
        let is_up = self.orders.target(instance).is_up();
        let Some(hardware) = self.orders.hardware(instance).filter(|_| is_up) else { return 0 };
        let volumes: Vec<bool> = hardware.volumes().map(|v| self.volume_fact(v).is_some()).collect();
        let links: Vec<bool> = hardware.nics.iter().map(|n| self.tap(n).is_ok()).collect();
        stamp(&(volumes, links))
    }

    /// Says that it is not known what the hypervisor does, and why.
    pub(super) fn looking_at_guests(&self) -> String {
        match self.facts.trouble.get(&Subject::Guests) {
            None => "looking at the hypervisor".to_owned(),
            Some(error) => format!("cannot look at the hypervisor: {error}"),
        }
    }

    pub(super) fn plan_instance(&self, instance: Uuid, runs: &StepRuns) -> Plan<Step> {
        if self.facts.guests.is_vague(instance) {
            return Plan::wait(self.looking_at_guests());
        }
        let (target, guest) = (self.orders.target(instance), self.facts.guest(instance));
        match (target, self.orders.hardware(instance)) {
            (Target::Released, _) => self.plan_release(instance, guest, runs),
            (Target::Stopped, _) => self.plan_stop(instance, guest, runs),
            (_, None) => Plan::wait("the rest of its order has not arrived yet"),
            (Target::Incoming, Some(hardware)) => self.plan_incoming(instance, hardware, guest, runs),
            (_, Some(hardware)) => self.plan_up(instance, target, hardware, guest, runs),
        }
    }

    fn plan_release(&self, instance: Uuid, guest: Option<&InstanceFact>, runs: &StepRuns) -> Plan<Step> {
        match guest {
            _ if is_starting(instance, runs) => Plan::Step(Step::Destroy(instance)),
            Some(guest) if is_up(guest.state) => Plan::Step(Step::Destroy(instance)),
            Some(_) => Plan::Step(Step::Undefine(instance)),
            None => match self.holds(instance, runs) {
                Some(reason) => Plan::wait(reason),
                None => Plan::Gone,
            },
        }
    }

    /// Why this host cannot yet say that it let go of the instance. `None`: a look found nothing of it, and nothing
    /// that may bring it back is under way.
    pub(in crate::agent) fn holds(&self, instance: Uuid, runs: &StepRuns) -> Option<String> {
        use crate::agent::belief::Certainty;
        let seen = self.facts.guests.certainty(instance) == Certainty::Seen;
        if !seen || self.facts.guest(instance).is_some() {
            return Some(self.looking_at_guests());
        }
        let is_busy = runs.of(ResourceId::Instance(instance)).next().is_some();
        is_busy.then(|| "waiting for an earlier step to end".to_owned())
    }

    fn plan_stop(&self, instance: Uuid, guest: Option<&InstanceFact>, runs: &StepRuns) -> Plan<Step> {
        let placement = self.orders.placement(instance);
        let Some(guest) = guest.filter(|g| is_up(g.state)) else {
            return match is_starting(instance, runs) {
                true => Plan::Step(Step::Destroy(instance)),
                false if placement.is_leaving() => self.plan_release(instance, guest, runs),
                false => Plan::Done,
            };
        };
        if self.is_grace_over(instance) {
            return Plan::Step(Step::Destroy(instance));
        }
        if guest.state == GuestState::Incoming {
            // As long as another host has it, it may be about to arrive, and is to be shut down then.
            return if placement.is_coming() { Plan::Done } else { Plan::Step(Step::Destroy(instance)) };
        }
        let memo = self.memos.instances.get(&instance);
        match guest.state {
            GuestState::Paused => self.plan_resume(instance),
            GuestState::Running if !memo.is_some_and(|m| m.pressed) => Plan::Step(Step::Shutdown(instance)),
            _ => Plan::wait("its power button was pressed: its plug is pulled if it does not shut down"),
        }
    }

    /// What arrived stands still until all of it is this host's: its placement, and its volumes.
    fn plan_resume(&self, instance: Uuid) -> Plan<Step> {
        match self.held_elsewhere(instance) {
            _ if self.orders.placement(instance).is_coming() => {
                Plan::wait("waiting for the host that it comes from to let go of it")
            }
            Some(reason) => Plan::wait(reason),
            None => Plan::Step(Step::Resume(instance)),
        }
    }

    pub(super) fn grace_ends_ms(&self, instance: Uuid) -> Option<u64> {
        let since = self.memos.instances.get(&instance)?.stopping_since_ms?;
        Some(since.saturating_add(self.config.shutdown_grace_ms))
    }

    /// Whether the guest has had its time to shut down.
    pub(super) fn is_grace_over(&self, instance: Uuid) -> bool {
        self.grace_ends_ms(instance).is_some_and(|end| self.now_ms >= end)
    }

    fn plan_up(
        &self,
        instance: Uuid,
        target: Target,
        hardware: &Hardware,
        guest: Option<&InstanceFact>,
        runs: &StepRuns,
    ) -> Plan<Step> {
        match guest.map(|g| g.state) {
            Some(GuestState::ShuttingDown) if self.is_grace_over(instance) => {
                Plan::Step(Step::Destroy(instance))
            }
            Some(GuestState::ShuttingDown) => {
                Plan::wait("it shuts down after an earlier order, and starts again then")
            }
            Some(GuestState::Running) if target == Target::Paused => Plan::Step(Step::Pause(instance)),
            Some(GuestState::Paused) if target == Target::Running => self.plan_resume(instance),
            // What was on its way when the other host let go will never be here.
            Some(GuestState::Incoming) => Plan::Step(Step::Destroy(instance)),
            Some(GuestState::Running | GuestState::Paused) => {
                let redefine = self.plan_redefine(instance, hardware, guest, runs);
                match self.orders.placement(instance).moving {
                    Some(Moving::Away { to, stays: false }) => {
                        plan_departure(instance, to, self.copied(hardware), redefine)
                    }
                    _ => redefine,
                }
            }
            _ if self.orders.placement(instance).is_leaving() => self.plan_release(instance, guest, runs),
            Some(GuestState::Off | GuestState::Crashed) | None => {
                match self.instance_spec(instance, hardware, runs) {
                    Err(obstacle) => obstacle.into(),
                    Ok(spec) if guest.and_then(|g| g.spec.as_ref()) == Some(&spec) => {
                        Plan::Step(Step::Start(instance))
                    }
                    Ok(spec) => Plan::Step(Step::Define(spec)),
                }
            }
        }
    }

    /// The guest is let in once all is there that it needs. What came of it is left alone.
    fn plan_incoming(
        &self,
        instance: Uuid,
        hardware: &Hardware,
        guest: Option<&InstanceFact>,
        runs: &StepRuns,
    ) -> Plan<Step> {
        let Some(Moving::Here { origin }) = self.orders.placement(instance).moving else { return Plan::Done };
        if guest.is_some_and(|it| is_up(it.state) && it.state != GuestState::Incoming) {
            return Plan::Done;
        }
        let is_let_in = |spec: &InstanceSpec| {
            let guest = guest.filter(|it| it.state == GuestState::Incoming);
            guest.is_some_and(|it| it.spec.as_ref() == Some(spec) && it.origin.as_ref() == Some(&origin))
        };
        match self.instance_spec(instance, hardware, runs) {
            Err(obstacle) => obstacle.into(),
            Ok(spec) if is_let_in(&spec) => Plan::Done,
            Ok(spec) => Plan::Step(Step::Expect { spec, origin }),
        }
    }

    /// A guest that is up gets the new definition for its next start, and of it at once what can be changed while
    /// it runs. One whose definition cannot be read is left alone, rather than defined over and over.
    fn plan_redefine(
        &self,
        instance: Uuid,
        hardware: &Hardware,
        guest: Option<&InstanceFact>,
        runs: &StepRuns,
    ) -> Plan<Step> {
        let Some(defined) = guest.and_then(|g| g.spec.as_ref()) else { return Plan::Done };
        match self.instance_spec(instance, hardware, runs) {
            Ok(spec) if spec == *defined => plan_adjustment(guest, &spec),
            Ok(spec) => Plan::Step(Step::Define(spec)),
            Err(obstacle) => obstacle.into(),
        }
    }

    /// The definition that is ordered, once everything that it needs is there.
    fn instance_spec(
        &self,
        instance: Uuid,
        hardware: &Hardware,
        runs: &StepRuns,
    ) -> Result<InstanceSpec, Obstacle> {
        let disks =
            hardware.disks.iter().map(|d| self.disk_spec(instance, d, runs)).collect::<Result<_, _>>()?;
        let nic = |n: &crate::agent::orders::NicOrder| {
            let tap = self.tap(n).map_err(Obstacle::Wait)?;
            let mtu = Some(tap.mtu).filter(|mtu| *mtu != USUAL_MTU);
            Ok(NicSpec { vnic: n.vnic, index: n.index, mac: n.mac.clone(), tap: tap.link.clone(), mtu })
        };
        let nics = hardware.nics.iter().map(nic).collect::<Result<_, Obstacle>>()?;
        Ok(InstanceSpec {
            instance,
            name: hardware.name.clone(),
            vcpu: hardware.vcpu,
            cpu_percent: hardware.cpu_percent,
            mem_mib: hardware.mem_mib,
            boot: hardware.boot,
            firmware: hardware.firmware,
            cpu: hardware.cpu.clone(),
            disks,
            nics,
            seed: hardware.seed.clone(),
        })
    }

    fn disk_spec(&self, instance: Uuid, disk: &DiskOrder, runs: &StepRuns) -> Result<DiskSpec, Obstacle> {
        let (fact, read_only) = match disk.data {
            DiskData::Volume(volume) => (self.usable_volume(volume, instance, runs), false),
            DiskData::Image(image) => (self.usable_image(image), true),
            DiskData::Template => {
                let why = format!("vdisk {} has neither volume nor image: it is a template's", disk.vdisk);
                return Err(Obstacle::Cannot(why));
            }
        };
        let fact = fact.map_err(Obstacle::Wait)?;
        let (place, format) = (fact.place.clone(), fact.format);
        let shared = !read_only && self.is_shared(fact.pool, fact);
        Ok(DiskSpec { vdisk: disk.vdisk, index: disk.index, place, format, read_only, shared })
    }

    /// The disks that no other host reaches.
    fn copied(&self, hardware: &Hardware) -> BTreeSet<Uuid> {
        let is_own = |volume: &Uuid| self.orders.volumes.get(volume).is_some_and(|it| it.grant == Grant::Own);
        let own = hardware.disks.iter().filter(|it| matches!(&it.data, DiskData::Volume(it) if is_own(it)));
        own.map(|it| it.vdisk).collect()
    }

    fn usable_image(&self, image: Uuid) -> Result<&crate::host::VolumeFact, String> {
        let ready = self.ready_copy(image, None).and_then(|v| self.volume_fact(v));
        ready.ok_or_else(|| match self.pending_copy(image) {
            Some(copy) => self.volume_reason(copy),
            None => {
                format!("image {image} has no copy on this host: order a volume with `image` set to it here")
            }
        })
    }
}

/// A guest that is to be on another host goes there once that host is ready, after what can be done to it here.
fn plan_departure(
    instance: Uuid,
    to: Option<Destination>,
    copied: BTreeSet<Uuid>,
    redefine: Plan<Step>,
) -> Plan<Step> {
    match (redefine, to) {
        (Plan::Step(step), _) => Plan::Step(step),
        (_, Some(to)) => Plan::Step(Step::Migrate { instance, to, copied }),
        (_, None) => Plan::wait("waiting for the host that it moves to"),
    }
}

/// What can be changed while the guest runs is changed; the rest is told as pending.
fn plan_adjustment(guest: Option<&InstanceFact>, spec: &InstanceSpec) -> Plan<Step> {
    let known = guest.and_then(|guest| Some((guest.live.as_ref()?, guest.room.as_ref()?)));
    let Some((live, room)) = known else { return Plan::Done };
    let reachable = adjusted(live, spec, room);
    if reachable == *live { Plan::Done } else { Plan::Step(Step::Adjust(reachable)) }
}
