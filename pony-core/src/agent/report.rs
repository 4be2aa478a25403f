//! What is told about the host: plain values, from which `rows` makes current parts.
//!
//! Times are the agent's clock in milliseconds; whoever writes rows turns them into Unix time.

mod links;

use super::facts::is_up;
use super::orders::{Placement, SwitchOrder, Target, VolumeOrder, VolumeWish};
use super::plan::{View, live_differences};
use super::reach::Changed;
use super::step::{ResourceId, Step};
use super::trial::Refusal;
use crate::host::{
    DriverErrorKind, GuestState, InstanceFact, PoolBackend, SwitchKind, UplinkId, UplinkSpec, VolumeFact,
    adjusted, extents_mib, made_extents,
};
use crate::reconcile::{Engine, Phase, Status};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// What is told about the host, its instances and everything that is kept for them. Keys are the rows' own.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// The machine; `None` until it was looked at.
    pub host: Option<crate::host::HostFact>,
    /// Its network cards.
    pub nics: Vec<crate::host::NicFact>,
    /// Network cards that something is ordered of, and that are not there.
    pub nics_missing: BTreeSet<String>,
    /// Bonds, and what is on them.
    pub uplinks: BTreeMap<UplinkId, UplinkReport>,
    /// `vlan` rows: bond and tag.
    pub vlans: BTreeSet<(Uuid, u16)>,
    /// `net_role` rows, by what they are made of.
    pub roles: BTreeMap<Uuid, UplinkId>,
    /// Its disks.
    pub disks: Vec<crate::host::DiskFact>,
    /// CPU profiles that are ordered and were looked at, and whether guests can have them.
    pub cpus: BTreeMap<Uuid, bool>,
    /// Storage pools.
    pub pools: BTreeMap<Uuid, PoolReport>,
    /// Volumes. One is missing as long as nothing is known of it.
    pub volumes: BTreeMap<Uuid, VolumeReport>,
    /// Extents of volumes that this host has for itself: whether what lay there before is overwritten.
    pub extents: BTreeMap<Uuid, bool>,
    /// Images.
    pub images: BTreeMap<Uuid, DataReport>,
    /// Switches.
    pub switches: BTreeMap<Uuid, SwitchReport>,
    /// Instances. One that is missing is neither ordered nor here: its guest was seen to be gone.
    pub instances: BTreeMap<Uuid, InstanceReport>,
}

/// What is told anew.
#[derive(Debug, Clone, PartialEq)]
pub enum Update {
    /// Everything.
    Whole(Box<Report>),
    /// These alone; nothing else has changed.
    Links {
        /// Switches.
        switches: BTreeMap<Uuid, SwitchReport>,
        /// Instances. `None`: it is missing from now on, as a [`Report`] says it.
        instances: BTreeMap<Uuid, Option<InstanceReport>>,
    },
}

/// How it goes with an order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Why it is not as ordered.
    pub error: Option<String>,
    /// Failed tries.
    pub attempts: u32,
    /// When it is tried next, on the agent's clock.
    pub next_retry_ms: Option<u64>,
}

/// A storage pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolReport {
    /// How it does.
    pub status: PoolHealth,
    /// MiB.
    pub capacity_mib: Option<i64>,
    /// MiB.
    pub allocated_mib: Option<i64>,
    /// Why it is not ready.
    pub error: Option<String>,
}

/// How a pool does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolHealth {
    /// It has not been looked at.
    Pending,
    /// It can be used.
    Ready,
    /// It cannot.
    Broken,
    /// There is no driver for it.
    Unsupported,
}

/// How far data are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataHealth {
    /// There are none, nor any trace of them, and none are on their way.
    Absent,
    /// They are on their way, or about to be removed.
    Initializing,
    /// They can be used.
    Ready,
    /// They cannot be had.
    Broken,
}

/// An image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataReport {
    /// How far the best copy of it here is.
    pub status: DataHealth,
    /// Why it is not ready.
    pub error: Option<String>,
}

/// A volume.
#[derive(Debug, Clone, PartialEq)]
pub struct VolumeReport {
    /// How far it is.
    pub status: DataHealth,
    /// Whether it was ordered deleted and every trace of it is gone.
    pub deleted: bool,
    /// Whether this host was ordered to let go of it, and has: nothing here has it open, nor will.
    pub released: bool,
    /// Which grant of it this is about.
    pub serial: Option<i64>,
    /// How much of it is filled, from 0 to 1.
    pub progress: Option<f64>,
    /// Its size as found, MiB.
    pub size_mib: Option<i64>,
    /// Where the hypervisor opens it.
    pub path: Option<String>,
    /// How it goes.
    pub order: Progress,
}

/// A switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwitchReport {
    /// Whether it is there.
    pub ready: bool,
    /// Whether it can never be there.
    pub unsupported: bool,
    /// Its link's name.
    pub bridge: Option<String>,
    /// Why it is not ready.
    pub error: Option<String>,
}

/// An instance.
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceReport {
    /// What it is doing.
    pub status: InstanceHealth,
    /// It was ordered to be let go of, or to move to another host, and was let go of: its guest was seen to be gone, and
    /// nothing that could bring it back is under way. This is what lets it be placed elsewhere.
    pub released: bool,
    /// Whether it was let go of by being sent to another host, where it arrived.
    pub sent: bool,
    /// The placement that this is about; none where it is not placed here.
    pub serial: Option<i64>,
    /// Where its console can be opened.
    pub console: Option<String>,
    /// What of its order takes effect only when it is stopped and started again.
    pub pending_restart: Option<String>,
    /// How far it has come on its way to another host, from 0 to 1.
    pub progress: Option<f64>,
    /// How it goes.
    pub order: Progress,
}

/// What an instance is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceHealth {
    /// It is not up and shall be.
    Starting,
    /// It runs.
    Running,
    /// It stands still.
    Paused,
    /// It is up or defined and shall not be.
    Stopping,
    /// It is off, as ordered.
    Stopped,
    /// It moves to another host, or may; or this host is ready to let it in.
    Migrating,
    /// It cannot be made to do as ordered.
    Broken,
}

type StepEngine = Engine<ResourceId, Step>;

/// Allocation of a pool is told in steps of this, MiB: guests write all the time, and each change costs a message.
const ALLOCATED_STEP_MIB: i64 = 64;

/// A bond, or what is on one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UplinkReport {
    /// How it does.
    pub status: UplinkHealth,
    /// The link that carries its frames: a bond, or a VLAN on one.
    pub below: Option<String>,
    /// The link that ends it: the same, or a bridge.
    pub link: Option<String>,
    /// How it goes.
    pub order: Progress,
}

/// How an uplink does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UplinkHealth {
    /// It is not there yet.
    Missing,
    /// It is as ordered, without a card that hears anything.
    Inactive,
    /// It is as ordered.
    Active,
    /// It could not be made so.
    Broken,
    /// This host cannot make such a thing.
    Unsupported,
}

/// Puts together what is told. `ordered`: whether there is any order at all yet.
pub(super) fn report(view: &View<'_>, engine: &StepEngine, ordered: bool) -> Report {
    let reporter = Reporter { view, engine, ordered };
    Report {
        host: view.facts.host.clone(),
        nics: view.facts.nics.clone().unwrap_or_default(),
        nics_missing: reporter.nics_missing(),
        uplinks: view.orders.links.uplinks.keys().map(|id| (*id, reporter.uplink(*id))).collect(),
        vlans: view.orders.links.vlans.clone(),
        roles: view.orders.links.roles.clone(),
        disks: view.facts.disks.clone(),
        cpus: reporter.cpus(),
        pools: view.orders.pools.keys().map(|pool| (*pool, reporter.pool(*pool))).collect(),
        volumes: reporter.volumes(),
        extents: view.overwritten(),
        images: view.orders.images.keys().map(|image| (*image, reporter.image(*image))).collect(),
        switches: view
            .orders
            .switches
            .iter()
            .map(|(uuid, order)| (*uuid, reporter.switch(*uuid, order)))
            .collect(),
        instances: reporter.instances(),
    }
}

/// The same for what has changed.
pub(super) fn update(view: &View<'_>, engine: &StepEngine, ordered: bool, changed: &Changed) -> Update {
    let reporter = Reporter { view, engine, ordered };
    let switch = |uuid: &Uuid| Some((*uuid, reporter.switch(*uuid, view.orders.switches.get(uuid)?)));
    let instance = |uuid: &Uuid| (*uuid, reporter.known_instance(*uuid));
    Update::Links {
        switches: changed.switches.iter().filter_map(switch).collect(),
        instances: changed.instances.iter().map(instance).collect(),
    }
}

struct Reporter<'a> {
    view: &'a View<'a>,
    engine: &'a StepEngine,
    ordered: bool,
}

impl Reporter<'_> {
    fn cpus(&self) -> BTreeMap<Uuid, bool> {
        let ordered = |(profile, _): &(&Uuid, &bool)| self.view.orders.cpus.contains_key(profile);
        self.view.facts.cpus.iter().filter(ordered).map(|(profile, can)| (*profile, *can)).collect()
    }

    fn pool(&self, pool: Uuid) -> PoolReport {
        let order = self.view.orders.pools.get(&pool);
        let state = self.view.facts.pools.get(&pool);
        let fault = order.and_then(|o| o.fault.clone());
        let error = fault.or_else(|| self.view.facts.pool_trouble(pool).map(str::to_owned));
        let fact = state.and_then(|s| s.fact.as_ref()).filter(|_| error.is_none());
        let unsupported = order.is_some_and(|o| matches!(o.spec.backend, PoolBackend::Unsupported(_)));
        let status = match (&error, fact) {
            (Some(_), _) if unsupported => PoolHealth::Unsupported,
            (Some(_), _) => PoolHealth::Broken,
            (None, Some(_)) => PoolHealth::Ready,
            (None, None) => PoolHealth::Pending,
        };
        let allocated_mib = fact.map(|f| f.allocated_mib / ALLOCATED_STEP_MIB * ALLOCATED_STEP_MIB);
        PoolReport { status, capacity_mib: fact.map(|f| f.capacity_mib), allocated_mib, error }
    }

    fn volumes(&self) -> BTreeMap<Uuid, VolumeReport> {
        let known = |(uuid, order): (&Uuid, &VolumeOrder)| Some((*uuid, self.volume(*uuid, order)?));
        self.view.orders.volumes.iter().filter_map(known).collect()
    }

    fn volume(&self, volume: Uuid, order: &VolumeOrder) -> Option<VolumeReport> {
        let pool = self.view.facts.pools.get(&order.pool);
        let fault = self.view.orders.pools.get(&order.pool).and_then(|p| p.fault.as_ref());
        let unusable = fault.is_some() || self.view.facts.pool_trouble(order.pool).is_some();
        if !unusable && !pool.is_some_and(|p| p.volumes.looked()) {
            return None;
        }
        let status = self.engine.status(ResourceId::Volume(volume));
        let fact = self.view.volume_fact(volume);
        let is_mapped = self.view.is_mapped(order.pool);
        let made = made_extents(&order.extents);
        let is_removed = order.wish == VolumeWish::Deleted && order.grant.is_whole();
        let nothing_here = is_removed && self.view.is_beyond(order.pool);
        let health = match fact {
            _ if nothing_here => DataHealth::Absent,
            _ if unusable => DataHealth::Broken,
            // What it has stands in rows, wherever it is mapped.
            _ if !made.is_empty() && order.wish != VolumeWish::Deleted => DataHealth::Ready,
            Some(_) if is_mapped => DataHealth::Initializing,
            Some(_) => DataHealth::Ready,
            None if self.is_absent(volume, order) => DataHealth::Absent,
            None if status.as_ref().is_some_and(is_lasting) => DataHealth::Broken,
            None => DataHealth::Initializing,
        };
        let filling = health == DataHealth::Initializing && order.wish != VolumeWish::Deleted;
        Some(VolumeReport {
            status: health,
            deleted: health == DataHealth::Absent && is_removed,
            released: self.view.lets_go(volume, order, self.engine.runs()),
            serial: order.grant.serial(),
            progress: match health {
                DataHealth::Ready => Some(1.0),
                _ if filling => Some(self.view.progress.get(&volume).copied().unwrap_or(0.0)),
                _ => None,
            },
            size_mib: match made {
                [] => fact.map(|f| f.size_mib),
                made => Some(extents_mib(made)),
            },
            path: fact.map(|f| f.place.to_string()),
            order: volume_order(order, fact, progress(status)),
        })
    }

    /// Whether there is nothing of the volume, and nothing is to come.
    fn is_absent(&self, volume: Uuid, order: &VolumeOrder) -> bool {
        let idle = self.engine.runs().of(ResourceId::Volume(volume)).next().is_none();
        if !order.grant.may_make() {
            return idle && (order.wish == VolumeWish::Deleted || !order.grant.is_made());
        }
        idle && match order.wish {
            VolumeWish::Present => false,
            VolumeWish::Optional => !self.view.is_needed(volume, order),
            VolumeWish::Deleted => self.view.memos.deleted.contains(&volume),
        }
    }

    fn image(&self, image: Uuid) -> DataReport {
        let copies: Vec<VolumeReport> =
            self.view.backing(image).filter_map(|(uuid, order)| self.volume(uuid, order)).collect();
        let best = [DataHealth::Ready, DataHealth::Initializing, DataHealth::Broken];
        let best = best.into_iter().find_map(|health| copies.iter().find(|c| c.status == health));
        let status = best.map_or(DataHealth::Absent, |copy| copy.status);
        let error = best.filter(|_| status != DataHealth::Ready).and_then(|copy| copy.order.error.clone());
        DataReport { status, error }
    }

    fn nics_missing(&self) -> BTreeSet<String> {
        let Some(found) = &self.view.facts.nics else { return BTreeSet::new() };
        let is_there = |mac: &&String| found.iter().any(|nic| nic.hwaddr == **mac);
        self.view.orders.links.nics.iter().filter(|mac| !is_there(mac)).cloned().collect()
    }

    fn uplink(&self, id: UplinkId) -> UplinkReport {
        let fact = self.view.facts.uplinks.get(id);
        let wish = self.view.uplink_wish(id);
        let state = self.engine.status(ResourceId::Uplink(id));
        let unsupported = state.as_ref().and_then(|it| it.error.as_ref());
        let unsupported = unsupported.is_some_and(|it| it.kind == DriverErrorKind::Unsupported);
        let mut order = progress(state);
        let refusal = self.view.trial.refusal(id);
        if let Some(refusal) = refusal {
            order = rolled_back(refusal, self.view.config.prove_ms);
        }
        let as_ordered = fact.filter(|it| wish.as_ref().is_some_and(|wish| it.is_as_ordered(wish)));
        let status = match as_ordered {
            _ if refusal.is_some() => UplinkHealth::Broken,
            Some(fact) if fact.carrier => UplinkHealth::Active,
            Some(_) => UplinkHealth::Inactive,
            None if unsupported => UplinkHealth::Unsupported,
            None if order.attempts > 0 => UplinkHealth::Broken,
            None => UplinkHealth::Missing,
        };
        order.error = order.error.or_else(|| self.cards_missing(id)).or_else(|| self.left_on(id));
        let (below, link) = (fact.map(|it| it.below.clone()), fact.map(|it| it.link.clone()));
        UplinkReport { status, below, link, order }
    }

    fn cards_missing(&self, id: UplinkId) -> Option<String> {
        let Some(UplinkSpec::Bond(order)) = self.view.orders.links.uplinks.get(&id) else { return None };
        let missing = self.nics_missing();
        let mac = order.nics.iter().find(|mac| missing.contains(*mac))?;
        Some(format!("card {mac} is not in this host"))
    }

    fn switch(&self, switch: Uuid, order: &SwitchOrder) -> SwitchReport {
        let fact = self.view.facts.switches.get(switch);
        let unsupported = if let SwitchKind::Unsupported(why) = &order.kind { Some(why) } else { None };
        SwitchReport {
            ready: fact.is_some(),
            unsupported: unsupported.is_some(),
            bridge: fact.map(|f| f.bridge.clone()),
            error: progress(self.engine.status(ResourceId::Switch(switch)))
                .error
                .or_else(|| unsupported.cloned())
                .or_else(|| order.left_out.clone()),
        }
    }

    fn instances(&self) -> BTreeMap<Uuid, InstanceReport> {
        if !self.view.facts.guests.looked() {
            return BTreeMap::new();
        }
        let ordered = self.view.orders.instances.keys().copied();
        let remembered = self.view.memos.instances.keys().copied();
        let all: BTreeSet<Uuid> = self.view.facts.guests.keys().chain(ordered).chain(remembered).collect();
        all.into_iter().filter_map(|instance| Some((instance, self.instance(instance)?))).collect()
    }

    /// As [`instances`](Self::instances) has it.
    fn known_instance(&self, instance: Uuid) -> Option<InstanceReport> {
        let is_known = self.view.facts.guests.has(instance)
            || self.view.orders.instances.contains_key(&instance)
            || self.view.memos.instances.contains_key(&instance);
        self.instance(instance).filter(|_| is_known && self.view.facts.guests.looked())
    }

    fn instance(&self, instance: Uuid) -> Option<InstanceReport> {
        let target = self.view.orders.target(instance);
        let guest = self.view.facts.guest(instance);
        let placement = self.view.orders.placement(instance);
        let is_to_go = target == Target::Released || placement.is_leaving();
        if is_to_go && self.view.holds(instance, self.engine.runs()).is_none() {
            self.view.orders.instances.get(&instance)?;
            let sent = self.view.memos.instances.get(&instance).is_some_and(|it| it.sent);
            return Some(let_go(target, &placement, sent));
        }
        let status = self.engine.status(ResourceId::Instance(instance)).filter(|_| self.ordered);
        let health = match guest.map(|g| g.state).filter(|s| is_up(*s)) {
            Some(state) if !self.ordered => as_found(state),
            _ if !self.ordered => InstanceHealth::Stopped,
            _ if placement.is_leaving() && self.is_moving(instance) => InstanceHealth::Migrating,
            _ if target == Target::Incoming && self.is_expected(instance) => InstanceHealth::Migrating,
            Some(GuestState::Incoming) if target.is_up() => InstanceHealth::Starting,
            Some(state) if target.is_up() => as_found(state),
            _ if target == Target::Released => InstanceHealth::Stopping,
            Some(_) => InstanceHealth::Stopping,
            None if target == Target::Stopped && !self.is_unsettled(instance) => InstanceHealth::Stopped,
            None if target == Target::Stopped => InstanceHealth::Stopping,
            None if status.as_ref().is_some_and(is_lasting) => InstanceHealth::Broken,
            None => InstanceHealth::Starting,
        };
        Some(InstanceReport {
            status: health,
            released: false,
            sent: false,
            serial: self.view.orders.instances.get(&instance).map(|order| order.placement.serial),
            console: guest.and_then(|g| g.console.clone()),
            pending_restart: guest.filter(|_| target.is_up()).and_then(pending_restart),
            progress: self.view.progress.get(&instance).copied(),
            order: self.instance_order(instance, status),
        })
    }

    fn instance_order(&self, instance: Uuid, status: Option<Status>) -> Progress {
        let order = match &status {
            Some(Status { phase: Phase::Waiting(reason), .. }) => self.link_trouble(instance, reason),
            _ => None,
        };
        let order = order.unwrap_or_else(|| progress(status));
        if order.error.is_none()
            && let Some(late) = self.switch_trouble(instance)
        {
            return late;
        }
        Progress { error: order.error.or_else(|| self.change_under_way(instance)), ..order }
    }

    /// A guest that is up as ordered, and is being changed: its status does not say so.
    fn change_under_way(&self, instance: Uuid) -> Option<String> {
        self.view
            .facts
            .guest(instance)
            .filter(|it| is_up(it.state) && self.view.orders.target(instance).is_up())?;
        let mut runs = self.engine.runs().of(ResourceId::Instance(instance)).filter(|it| !it.is_cancelled());
        runs.find_map(|it| match it.step {
            Step::Define(_) => Some("its definition is being changed".to_owned()),
            Step::Adjust(_) => Some("it is being changed while it runs".to_owned()),
            _ => None,
        })
    }

    /// Whether the guest is being sent away, or may have gone.
    fn is_moving(&self, instance: Uuid) -> bool {
        let mut runs = self.engine.runs().of(ResourceId::Instance(instance));
        self.view.facts.guests.is_vague(instance) || runs.any(|it| matches!(it.step, Step::Migrate { .. }))
    }

    /// Whether the guest is let in, with all that it needs.
    fn is_expected(&self, instance: Uuid) -> bool {
        let guest = self.view.facts.guest(instance).filter(|_| !self.view.facts.guests.is_vague(instance));
        let phase = self.engine.status(ResourceId::Instance(instance)).map(|it| it.phase);
        guest.is_some_and(|it| it.state == GuestState::Incoming) && phase == Some(Phase::Done)
    }

    fn is_unsettled(&self, instance: Uuid) -> bool {
        let id = ResourceId::Instance(instance);
        self.view.facts.guests.is_vague(instance) || self.engine.runs().of(id).next().is_some()
    }
}

/// Nothing of it is here.
fn let_go(target: Target, placement: &Placement, sent: bool) -> InstanceReport {
    let released = placement.released || target != Target::Released;
    InstanceReport {
        status: if target.is_up() { InstanceHealth::Migrating } else { InstanceHealth::Stopped },
        released,
        sent: sent && released,
        serial: Some(placement.serial),
        console: None,
        pending_restart: None,
        progress: None,
        order: Progress::default(),
    }
}

/// What a guest that is up does.
fn as_found(state: GuestState) -> InstanceHealth {
    match state {
        GuestState::Paused => InstanceHealth::Paused,
        GuestState::ShuttingDown => InstanceHealth::Stopping,
        GuestState::Incoming => InstanceHealth::Migrating,
        GuestState::Running | GuestState::Off | GuestState::Crashed => InstanceHealth::Running,
    }
}

/// What a running guest gets only after its next stop and start.
fn pending_restart(guest: &InstanceFact) -> Option<String> {
    let (live, next) = (guest.live.as_ref()?, guest.spec.as_ref()?);
    // What it gets at once is on its way, or fails for a reason that is told.
    let reachable = guest.room.map_or_else(|| live.clone(), |room| adjusted(live, next, &room));
    live_differences(&reachable, next)
}

/// Whether nothing but another order will help.
fn is_lasting(status: &Status) -> bool {
    let lasting = |kind| matches!(kind, DriverErrorKind::Order | DriverErrorKind::Unsupported);
    matches!(status.phase, Phase::Cannot(_)) || status.error.as_ref().is_some_and(|e| lasting(e.kind))
}

/// Why the order before is in force.
fn rolled_back(refusal: Refusal, prove_ms: u64) -> Progress {
    let seconds = prove_ms / 1_000;
    let error = format!(
        "rolled back: Sparkle could not be reached within {seconds} s under this order; the one before holds until it \
         is tried again, which is at once when it changes"
    );
    Progress { error: Some(error), attempts: refusal.attempts, next_retry_ms: Some(refusal.next_ms) }
}

/// A volume that can be used, and is on its way to the size that is ordered, says so: its status does not.
fn volume_order(order: &VolumeOrder, fact: Option<&VolumeFact>, progress: Progress) -> Progress {
    let (Some(wanted), Some(has)) = (order.size_mib, fact.map(|it| it.size_mib)) else { return progress };
    let is_present = order.wish == VolumeWish::Present;
    let growing = (is_present && has < wanted).then(|| format!("grows: it has {has} of {wanted} MiB"));
    Progress { error: progress.error.or(growing), ..progress }
}

fn progress(status: Option<Status>) -> Progress {
    let Some(status) = status else { return Progress::default() };
    let error = status.reason().map(str::to_owned);
    Progress { error, attempts: status.attempts, next_retry_ms: status.next_retry_ms }
}
