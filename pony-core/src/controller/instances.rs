//! Where instances are ordered to run: which placement row to write, and why one cannot be.
//!
//! The rule that keeps an instance off two hosts: a placement row is removed only once its host has let go, or is
//! fenced; while there is one, no other can be made (the database refuses it too). A host lets go by an explicit
//! word, `released` in its current part: silence, or the absence of a part, proves nothing, since the order to run
//! may still be on its way there.

use super::extents::{Claim, Claims};
use super::offers::Offers;
use super::writes::Placements;
use super::{copies, moves, ops};
use crate::placement::{self, Candidate, NoHost, Request};
use crate::tables::{
    AffinityGroup, AffinityGroupInstance, AffinityType, Host, HostInstance, HostState, HostStatus, Instance,
    InstanceDesired, InstanceState, Pin, Vdisk, Volume,
};
use pony_state::{Read, RowOp};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// What the controller makes of an instance.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Decision {
    /// All is as it should be, or waits for a host.
    Nothing,
    /// To be written, as one.
    Write(Vec<RowOp>),
    /// It cannot be placed, or moved off its host, before there is room elsewhere; in words for whoever ordered it.
    Stuck(String),
    /// Nothing can be done before its own rows change, or those of its hosts; in the same words.
    Waiting(String),
}

/// What a round of decisions has to go by besides the state: what was decided already and has not come back from
/// the database yet. What the round places is accounted for as it goes.
#[derive(Debug)]
pub(crate) struct Round<'a> {
    /// Placements on their way to the database.
    pending: &'a Placements,
    /// Those of this round.
    placed: Placements,
    /// Parts of disks that are on their way to the database, and those that this round gives away.
    claimed: (&'a Claims, Claims),
    offers: &'a mut Offers,
    /// All hosts of the cloud as they are now, once somebody asks.
    candidates: Option<Vec<Candidate>>,
    /// The serial number of the next placement, or grant.
    pub(crate) serial: i64,
}

impl<'a> Round<'a> {
    /// `pending` and `claims`: placements and parts of disks that are on their way to the database.
    pub(crate) const fn new(
        pending: &'a Placements,
        claims: &'a Claims,
        offers: &'a mut Offers,
        serial: i64,
    ) -> Self {
        let claimed = (claims, Claims::new());
        Self { pending, placed: Placements::new(), claimed, offers, candidates: None, serial }
    }

    /// Parts of disks that are nobody's any more, whatever the state says.
    pub(crate) fn claims(&self) -> impl Iterator<Item = &Claim> {
        self.claimed.0.values().chain(self.claimed.1.values())
    }

    pub(crate) fn claim(&mut self, extent: Uuid, claim: Claim) {
        self.claimed.1.insert(extent, claim);
    }

    /// Chooses a host: the wished one, where it fits.
    fn choose(
        &mut self,
        view: &impl Read,
        request: &Request,
        not: Option<Uuid>,
        wished: Option<Uuid>,
    ) -> Result<Uuid, NoHost> {
        self.choose_only(view, request, wished).or_else(|_| {
            let others = self.candidates(view).iter().filter(|candidate| Some(candidate.host) != not);
            placement::choose(others, request)
        })
    }

    /// That host, or none.
    fn choose_only(
        &mut self,
        view: &impl Read,
        request: &Request,
        host: Option<Uuid>,
    ) -> Result<Uuid, NoHost> {
        placement::choose(self.candidates(view).iter().filter(|it| Some(it.host) == host), request)
    }

    /// Among the hosts that its volumes can be copied to.
    fn choose_copying(
        &mut self,
        view: &impl Read,
        request: &Request,
        instance: Uuid,
        among: impl Fn(Uuid) -> bool,
    ) -> Option<Uuid> {
        let own = copies::own_pools(view, instance);
        let request = Request { pools: &request.pools - &own, ..request.clone() };
        let fits = |it: &&Candidate| {
            !own.is_empty() && among(it.host) && copies::places(view, instance, it.host).is_ok()
        };
        placement::choose(self.candidates(view).iter().filter(fits), &request).ok()
    }

    fn candidates(&mut self, view: &impl Read) -> &[Candidate] {
        let pending =
            || self.pending.iter().filter(|(it, _)| !self.placed.contains_key(it)).chain(&self.placed);
        self.candidates.get_or_insert_with(|| reckon(view, self.offers.all(view), pending()))
    }

    pub(super) fn reserve(&mut self, host: Uuid, instance: Uuid, mem_mib: i64) -> i64 {
        self.placed.insert(instance, host);
        let candidates = self.candidates.iter_mut().flatten();
        candidates.filter(|it| it.host == host).for_each(|it| it.mem_used_mib += mem_mib);
        self.next_serial()
    }

    /// A number that no placement and no grant has had before.
    pub(crate) fn next_serial(&mut self) -> i64 {
        let serial = self.serial;
        self.serial += 1;
        serial
    }

    /// Where an instance is placed, or is about to be.
    pub(crate) fn host_of(&self, view: &impl Read, instance: Uuid) -> Option<Uuid> {
        let home = |row: &HostInstance| row.desired.as_ref().and_then(|it| it.target).unwrap_or(row.host);
        let placed = placement_of(view, instance).map(|(row, _)| home(row));
        self.placed.get(&instance).or_else(|| self.pending.get(&instance)).copied().or(placed)
    }
}

/// Adds what is placed, or about to be, and no row says so yet.
fn reckon<'a>(
    view: &impl Read,
    mut candidates: Vec<Candidate>,
    pending: impl Iterator<Item = (&'a Uuid, &'a Uuid)>,
) -> Vec<Candidate> {
    for (instance, host) in pending {
        let is_at = |row: &HostInstance| row.desired.as_ref().is_some_and(|it| it.target == Some(*host));
        let placed = placement_of(view, *instance).is_some_and(|(row, _)| row.host == *host || is_at(row));
        let order = view.get::<Instance>(instance).and_then(|row| row.desired.as_ref());
        if let Some(order) = order.filter(|_| !placed)
            && let Ok(at) = candidates.binary_search_by_key(host, |it| it.host)
        {
            candidates[at].mem_used_mib += order.mem;
        }
    }
    candidates
}

/// The placement of an instance, if it has one.
pub(crate) fn placement_of(view: &impl Read, instance: Uuid) -> Option<(&HostInstance, bool)> {
    view.table::<HostInstance>()
        .find("instance", instance)
        .find_map(|row| row.desired.as_ref().map(|desired| (row, desired.released)))
}

/// Decides about one instance, present or not.
pub(crate) fn decide(view: &impl Read, round: &mut Round<'_>, instance: Uuid) -> Decision {
    let order = view.get::<Instance>(&instance).and_then(|row| row.desired.as_ref());
    match (order, placement_of(view, instance)) {
        (None, None) => Decision::Nothing,
        (_, Some((row, true))) => forget_when_let_go(view, row),
        (None, Some((row, false))) => release_or_forget(view, row),
        (Some(_), Some((row, false))) if moves::target_of(row).is_some() => moves::go_on(view, round, row),
        (Some(order), Some((row, false))) => keep_or_move(view, round, instance, order, row),
        (Some(order), None) => place(view, round, instance, order),
    }
}

pub(super) fn key_of(row: &HostInstance) -> [(&'static str, serde_json::Value); 2] {
    [("host", json!(row.host)), ("instance", json!(row.instance))]
}

fn release_or_forget(view: &impl Read, row: &HostInstance) -> Decision {
    if is_fenced(view, row.host) && moves::target_of(row).is_none() {
        return forget(row);
    }
    Decision::Write(vec![ops::update("host_instance", key_of(row), [("released", json!(true))])])
}

fn forget(row: &HostInstance) -> Decision {
    Decision::Write(vec![ops::delete("host_instance", key_of(row))])
}

/// Whether a host has let go of what the placement orders.
pub(super) fn has_let_go(view: &impl Read, host: Uuid, row: &HostInstance) -> bool {
    let serial = row.desired.as_ref().map(|desired| desired.serial);
    let said = view.get::<HostInstance>(&(host, row.instance)).and_then(|it| it.current.as_ref());
    said.is_some_and(|it| it.released && it.serial == serial) || is_fenced(view, host)
}

fn forget_when_let_go(view: &impl Read, row: &HostInstance) -> Decision {
    let holding = [Some(row.host), moves::target_of(row)].into_iter().flatten();
    let mut holding = holding.filter(|host| !has_let_go(view, *host, row)).peekable();
    if holding.peek().is_none() {
        return forget(row);
    }
    match holding.filter_map(|host| view.get::<Host>(&host)).find(|host| !is_present(host)) {
        Some(host) => Decision::Waiting(silent(host)),
        None => Decision::Nothing,
    }
}

/// Whether the host is to have no instances.
pub(crate) fn is_evacuated(view: &impl Read, host: Uuid) -> bool {
    let ordered = view.get::<Host>(&host).and_then(|row| row.desired.as_ref());
    ordered.is_some_and(|desired| desired.state == HostState::Evacuated)
}

/// Whether the host talks.
pub(crate) fn is_present(host: &Host) -> bool {
    host.current.as_ref().is_some_and(|current| current.status == HostStatus::Present)
}

pub(super) fn silent(host: &Host) -> String {
    let name = host_name(host);
    match host.current {
        Some(_) => format!(
            "its host {name} is silent; it is started elsewhere only once that host is known to be fenced"
        ),
        None => format!("its host {name} has not been heard of yet"),
    }
}

/// Whether a host is known not to run anything.
pub(crate) fn is_fenced(view: &impl Read, host: Uuid) -> bool {
    let current = view.get::<Host>(&host).and_then(|row| row.current.as_ref());
    current.is_some_and(|current| current.status == HostStatus::Fenced)
}

fn keep_or_move(
    view: &impl Read,
    round: &mut Round<'_>,
    instance: Uuid,
    order: &InstanceDesired,
    row: &HostInstance,
) -> Decision {
    if is_fenced(view, row.host) {
        return forget(row);
    }
    let Some(host) = view.get::<Host>(&row.host) else { return Decision::Nothing };
    if !is_present(host) {
        return Decision::Waiting(silent(host));
    }
    let pinned = pin_of(view, instance).filter(|pin| *pin != row.host);
    let is_evacuated = is_evacuated(view, row.host);
    if pinned.is_none() && !is_evacuated {
        return Decision::Nothing;
    }
    if order.state == InstanceState::Stopped {
        return release_or_forget(view, row);
    }
    let request = request(view, round, instance, order);
    let chosen = if is_evacuated {
        round.choose(view, &request, Some(row.host), pinned)
    } else {
        // It stays where it is unless the wished host fits.
        round.choose_only(view, &request, pinned)
    };
    let wished = |it: Uuid| Some(it) == pinned;
    let other = |it: Uuid| is_evacuated && it != row.host;
    let chosen = chosen.or_else(|none| {
        let copying = round.choose_copying(view, &request, instance, wished);
        copying.or_else(|| round.choose_copying(view, &request, instance, other)).ok_or(none)
    });
    match (chosen, pinned.and_then(|it| view.get::<Host>(&it))) {
        (Ok(to), _) => moves::begin(view, round, order, row, to),
        (Err(none), _) if is_evacuated => {
            Decision::Stuck(format!("its host {} is to be evacuated, but {none}", host_name(host)))
        }
        (Err(none), Some(to)) => Decision::Stuck(format!("it is to be on host {}: {none}", host_name(to))),
        (Err(none), None) => Decision::Stuck(none.to_string()),
    }
}

/// Where the instance is to be.
pub(super) fn pin_of(view: &impl Read, instance: Uuid) -> Option<Uuid> {
    view.table::<Pin>().find("instance", instance).find_map(|row| row.desired.as_ref().map(|it| it.host))
}

/// What people call a host.
pub(crate) fn host_name(host: &Host) -> String {
    let ordered = host.desired.as_ref().and_then(|desired| desired.name.as_deref());
    let found = || host.current.as_ref().and_then(|current| current.hostname.as_deref());
    ordered.or_else(found).map_or_else(|| host.uuid.to_string(), str::to_owned)
}

fn place(view: &impl Read, round: &mut Round<'_>, instance: Uuid, order: &InstanceDesired) -> Decision {
    if order.state == InstanceState::Stopped {
        return Decision::Nothing;
    }
    if order.tenant.is_none() {
        return Decision::Waiting("it is a template (it has no tenant): templates do not run".to_owned());
    }
    let request = request(view, round, instance, order);
    match round.choose(view, &request, None, pin_of(view, instance)) {
        Ok(host) => {
            let serial = round.reserve(host, instance, order.mem);
            let [host, instance] = [("host", json!(host)), ("instance", json!(instance))];
            let row = [host, instance, ("released", json!(false)), ("serial", json!(serial))];
            Decision::Write(vec![ops::insert("host_instance", row)])
        }
        Err(none) => Decision::Stuck(none.to_string()),
    }
}

fn request(view: &impl Read, round: &Round<'_>, instance: Uuid, order: &InstanceDesired) -> Request {
    let groups = groups_of(view, instance);
    let of_kind = |kind| groups.iter().filter(move |(_, it)| **it == kind).map(|(group, _)| *group);
    Request {
        mem_mib: order.mem,
        pools: pools_of(view, instance),
        cpu_profile: order.cpu_profile,
        // A host that is to be evacuated holds nobody back: the group moves one by one.
        near: of_kind(AffinityType::Affinity)
            .flat_map(|group| hosts_of(view, round, group, instance))
            .filter(|host| !is_evacuated(view, *host))
            .collect(),
        apart: of_kind(AffinityType::AntiAffinity)
            .flat_map(|group| hosts_of(view, round, group, instance))
            .collect(),
    }
}

fn pools_of(view: &impl Read, instance: Uuid) -> BTreeSet<Uuid> {
    view.joined::<Vdisk, Volume>("instance", instance)
        .filter_map(|(_, volume)| volume.desired.as_ref().map(|desired| desired.storage_pool))
        .collect()
}

fn groups_of(view: &impl Read, instance: Uuid) -> BTreeMap<Uuid, AffinityType> {
    view.joined::<AffinityGroupInstance, AffinityGroup>("instance", instance)
        .filter_map(|(_, group)| group.desired.as_ref().map(|desired| (group.uuid, desired.kind)))
        .collect()
}

/// The hosts of the other members of a group.
fn hosts_of(view: &impl Read, round: &Round<'_>, group: Uuid, but: Uuid) -> Vec<Uuid> {
    view.joined::<AffinityGroupInstance, Instance>("affinity_group", group)
        .filter(|(_, member)| member.uuid != but)
        .filter_map(|(_, member)| round.host_of(view, member.uuid))
        .collect()
}
